"""The plans of the golden table, as events and as the questions that independent accountants are asked about them."""

from dataclasses import dataclass
from typing import Any

from accountant.adjacency import Adjacency
from accountant.events import BoundedRange, Event, Gaussian, PoissonSampledGaussian, Repeat

DELTA = 1e-6
WITHIN = 1e-3
"""Relative distance from a golden value that a figure may have."""
BATCH, ROWS, STEPS = 256, 32561, 127
"""DP-SGD on Adult: expected batch, training rows, steps an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One row of the golden table.

    Attributes:
      name: What is priced.
      events: The plan.
      value: Its epsilon at ``DELTA``, as published or as found by experiment, with the digits that are known.
      parts: The same plan in the words of ``benchmarks/oracles/accountants.py``.
      oracles: Who is asked about it.
      adjacency: The neighbouring relation of every event.
    """

    name: str
    events: tuple[Event, ...]
    value: str
    parts: tuple[dict[str, Any], ...]
    oracles: tuple[str, ...]
    adjacency: Adjacency = Adjacency.ADD_REMOVE


def _dp_sgd(epochs: int, value: str, adjacency: Adjacency) -> Golden:
    q, steps = BATCH / ROWS, STEPS * epochs
    added = adjacency is Adjacency.ADD_REMOVE
    step = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=q, adjacency=adjacency)
    return Golden(
        name=f"DP-SGD, {epochs} epochs, {adjacency}",
        events=(Repeat(event=step, count=steps, adjacency=adjacency),),
        value=value,
        parts=({"kind": "poisson-gaussian", "sigma": 1.0, "q": q, "count": steps},),
        oracles=("dp_accounting_pld", "opacus_prv", "opacus_rdp", "prv_accountant")
        if added
        else ("dp_accounting_pld",),
        adjacency=adjacency,
    )


DP_SGD = tuple(
    _dp_sgd(epochs, value, adjacency)
    for adjacency, values in (
        (Adjacency.ADD_REMOVE, ("1.838", "3.149", "5.992")),
        (Adjacency.REPLACE_ONE, ("2.808", "5.145", "10.358")),
    )
    for epochs, value in zip((10, 30, 100), values, strict=True)
)
"""q = 256/32561, sigma 1, Poisson batches."""

MIXED = (
    Repeat(event=Gaussian(noise_multiplier=30.0), count=200),
    Repeat(event=BoundedRange(eta=0.05), count=50),
)
"""200 Gaussians of sigma 30 and 50 exponential mechanisms of parameter 0.05."""
