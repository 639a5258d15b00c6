"""What a fit reports: what it measured and preserved, the error to expect of it, and what each step cost.

Every number is a function of the charged steps and of accounted outputs: nothing here sees a record or an exact count.
The error of a measured marginal is that of its noise alone. Where a marginal lies in no measured one, its error comes
from what the model infers, which noise says nothing about: none is stated.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from accountant.compose import price
from accountant.events import BoundedRange
from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.spend import Step
from dpsynth.domain import Clique, Domain
from dpsynth.measurement import Measurement

CONFIDENCE = 0.95
FEW_CELLS = 64
GRID = 0.005
"""Step of the grid on which few half-normals are convolved, in standard deviations."""
_CERTAIN = 1800
"""Steps of the grid, nine standard deviations, within which a half-normal lies but for what a float can't tell."""
_MEAN, _TWO_SIDED = math.sqrt(2.0 / math.pi), 1.959964
_SHAPE = (2.0 / math.pi) / (1.0 - 2.0 / math.pi)
"""Mean over spread of a half-normal, squared: the shape of the gamma law that has its mean and its variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """Error of a measured marginal, from its noise alone; the model's is smaller where measurements agree.

    Attributes:
      l1: Expected sum of absolute errors over the cells, as a share of the rows (twice the total variation).
      low: It lies above this with half of the remaining probability of ``CONFIDENCE``.
      high: It lies below this with the other half.
      count: Largest error of one count of the marginal, in records, with probability ``CONFIDENCE``.
    """

    l1: float
    low: float
    high: float
    count: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measured marginal, its repeats merged by precision.

    Attributes:
      clique: Attribute names in domain order.
      cells: Its cells.
      sigma: Standard deviation of the noise of one merged count, in records.
      times: How often it was measured.
      maximal: Whether no other measured marginal holds it.
      expected: The error to expect of it.
    """

    clique: Clique
    cells: int
    sigma: float
    times: int
    maximal: bool
    expected: ExpectedError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What one kind of step cost.

    Attributes:
      label: What it was for.
      times: How often it was charged.
      amount: Units of 2^-40 of the coordinate, together.
      share: Its share of all that the fit spent.
    """

    label: str
    times: int
    amount: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a fit did, from accounted outputs alone.

    Attributes:
      synthesizer: Public name of what was run.
      domain: The public domain.
      rows: Estimated number of rows, an accounted output.
      measured: Every measured marginal.
      selections: How often a marginal was chosen by its score.
      coordinate: What amounts are in.
      budget: What each kind of step cost.
      fit_mb: Megabytes that fitting the graphical model of these marginals takes, from their shapes; None where the
        model is another.
    """

    synthesizer: str
    domain: Domain
    rows: float
    measured: tuple[Measured, ...]
    selections: int
    coordinate: Coordinate
    budget: tuple[StepCost, ...]
    fit_mb: float | None = None

    @property
    def preserved(self) -> tuple[Clique, ...]:
        """The maximal measured marginals: each, and all that can be summed out of it, is kept up to its noise."""
        return tuple(m.clique for m in self.measured if m.maximal)

    def expected_error(self, names: Iterable[str]) -> ExpectedError | None:
        """The error to expect of any marginal from noise alone; None where no measured marginal holds it.

        Args:
          names: Attributes of the marginal.

        Raises:
          ParameterError: A name isn't in the domain.
        """
        clique = self.domain.clique(names)
        cells = self.domain.cells(clique)
        holding = [m for m in self.measured if set(clique) <= set(m.clique)]
        if not holding:
            return None
        sigma = min(m.sigma * math.sqrt(m.cells / cells) for m in holding)
        return expected_error(cells, sigma, rows=self.rows)

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        unit = AMOUNT_UNIT
        spent = sum(c.amount for c in self.budget) / unit
        told = [
            f"{self.synthesizer}: {len(self.measured)} marginals measured, {self.selections} selections, "
            f"about {self.rows:,.0f} rows by noisy totals, {self.coordinate.symbol} {spent:.4g} spent",
            *(f"  {c.label}: {c.times} times, {c.share:.1%}" for c in self.budget),
            *([] if self.fit_mb is None else [f"  fitting the model of them takes {self.fit_mb:,.0f} MB"]),
        ]
        if not self.measured:
            return [*told, "The model was trained, not measured: the error of its marginals has no bound from noise."]
        told.append("Preserved up to noise, with everything that can be summed out of it (L1 error, share of rows):")
        for m in self.measured:
            if m.maximal:
                e = m.expected
                told.append(f"  {' x '.join(m.clique)}: {e.l1:.3g} ({e.low:.3g} to {e.high:.3g}), sigma {m.sigma:.3g}")
        told.append("Every other marginal is inferred by the model: its error has no bound from noise.")
        return told

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values without floats."""
        return {
            "synthesizer": self.synthesizer,
            "rows": float(self.rows).hex(),
            "measured": [[list(m.clique), float(m.sigma).hex(), m.times] for m in self.measured],
            "selections": self.selections,
            "coordinate": str(self.coordinate),
            "budget": [[c.label, c.times, c.amount] for c in self.budget],
            "fit_mb": None if self.fit_mb is None else float(self.fit_mb).hex(),
        }

    @classmethod
    def from_json(cls, domain: Domain, body: Any) -> "FitReport":
        """Rebuild a report; raises KeyError, ValueError or TypeError where a field is missing or of another kind."""
        rows, megabytes = float.fromhex(body["rows"]), body.get("fit_mb")
        merged = [(tuple(clique), float.fromhex(sigma), int(times)) for clique, sigma, times in body["measured"]]
        return cls(
            synthesizer=str(body["synthesizer"]),
            domain=domain,
            rows=rows,
            measured=_measured(domain, merged, rows),
            selections=int(body["selections"]),
            coordinate=Coordinate(body["coordinate"]),
            budget=_with_shares([(str(label), int(n), int(amount)) for label, n, amount in body["budget"]]),
            fit_mb=None if megabytes is None else float.fromhex(megabytes),
        )


def report_fit(
    domain: Domain,
    measurements: Sequence[Measurement],
    steps: Sequence[Step],
    *,
    rows: float,
    coordinate: Coordinate,
    synthesizer: str,
    fit_mb: float | None = None,
) -> FitReport:
    """Report what was measured and charged.

    Args:
      domain: The public domain.
      measurements: What was measured; only cliques and sigmas are read.
      steps: Every charged step of the fit.
      rows: Estimated number of rows, an accounted output.
      coordinate: The ledger's coordinate.
      synthesizer: Public name of what was run.
      fit_mb: Megabytes that the fit takes, from public shapes and accounted outputs.
    """
    return FitReport(
        synthesizer=synthesizer,
        domain=domain,
        rows=rows,
        measured=_measured(domain, merge_sigmas([(m.clique, m.sigma) for m in measurements]), rows),
        selections=sum(isinstance(step.event, BoundedRange) for step in steps),
        coordinate=coordinate,
        budget=_with_shares(_costs(steps, coordinate)),
        fit_mb=fit_mb,
    )


def expected_error(cells: int, sigma: float, *, rows: float) -> ExpectedError:
    """Error of a marginal with independent noise of ``sigma`` records in each of ``cells`` counts.

    The law of the sum of absolute errors of normal noise: by convolution for few cells, as a gamma law with its true
    mean and variance for many. Ends are rounded outwards to whole records, because the noise is whole.
    """
    low, high = _quantiles(cells) if cells <= FEW_CELLS else _gamma_quantiles(cells)
    people = max(1.0, rows)
    return ExpectedError(
        l1=_MEAN * cells * sigma / people,
        low=math.floor(low * sigma) / people,
        high=math.ceil(high * sigma) / people,
        count=_TWO_SIDED * sigma,
    )


@cache
def _quantiles(cells: int) -> tuple[float, float]:
    """Of a sum of half-normals: their masses on a grid, convolved."""
    length = int((_MEAN * cells + 10.0 * math.sqrt(cells)) / GRID) + 2
    ends = np.array([math.erf(i * GRID / math.sqrt(2.0)) for i in range(min(length, _CERTAIN) + 1)])
    mass = np.fft.irfft(np.fft.rfft(np.diff(ends), 2 * length) ** cells, 2 * length)[:length]
    tail = (1.0 - CONFIDENCE) / 2.0
    below, above = np.searchsorted(np.cumsum(mass), (tail, 1.0 - tail))
    return float(below) * GRID, float(above + cells) * GRID


def _gamma_quantiles(cells: int) -> tuple[float, float]:
    """Of the gamma law, by its cube root, which is normal but for some 1e-5 (Wilson and Hilferty 1931)."""
    spread = 1.0 / (9.0 * cells * _SHAPE)
    low, high = (_MEAN * cells * (1.0 - spread + z * math.sqrt(spread)) ** 3 for z in (-_TWO_SIDED, _TWO_SIDED))
    return low, high


def merge_sigmas(measured: Iterable[tuple[Clique, float]]) -> list[tuple[Clique, float, int]]:
    """Cliques with the sigma of their repeats merged by precision, and how often each was measured."""
    groups: dict[Clique, list[float]] = {}
    for clique, sigma in measured:
        groups.setdefault(clique, []).append(sigma)
    return [(q, math.fsum(s**-2 for s in found) ** -0.5, len(found)) for q, found in groups.items()]


def _measured(domain: Domain, merged: Sequence[tuple[Clique, float, int]], rows: float) -> tuple[Measured, ...]:
    cliques = [frozenset(q) for q, _, _ in merged]
    return tuple(
        Measured(
            clique=clique,
            cells=domain.cells(clique),
            sigma=sigma,
            times=times,
            maximal=not any(set(clique) < other for other in cliques),
            expected=expected_error(domain.cells(clique), sigma, rows=rows),
        )
        for clique, sigma, times in merged
    )


def _costs(steps: Sequence[Step], coordinate: Coordinate) -> list[tuple[str, int, int]]:
    """Label, times and amount of each kind of step; the names in parentheses of a marginal's step are left out."""
    found: dict[str, list[int]] = {}
    for step in steps:
        amounts = found.setdefault(step.label.partition(" (")[0], [])
        amounts.append(price(step.event, coordinate).amount)
    return [(label, len(amounts), sum(amounts)) for label, amounts in found.items()]


def _with_shares(costs: Sequence[tuple[str, int, int]]) -> tuple[StepCost, ...]:
    whole = max(1, sum(amount for _, _, amount in costs))
    return tuple(StepCost(label=label, times=n, amount=a, share=a / whole) for label, n, a in costs)
