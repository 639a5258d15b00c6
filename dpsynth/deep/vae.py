"""vae: a variational autoencoder trained by DP-SGD steps makes rows, and the rows are the model.

A record's codes become the mean and the spread of a few hidden numbers, and numbers drawn from there become the logits
of all columns, at first those of independent columns. Rows are made from standard normal numbers. Source: Kingma,
Welling 2014 (arXiv:1312.6114). One record's objective depends on that record, on the parameters and on noise of its own
alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.autoregressive import SAMPLED_AT_ONCE
from dpsynth.deep.config import VaeConfig
from dpsynth.deep.device import to_tensor
from dpsynth.deep.layers import LOWEST, Tape, code_starts
from dpsynth.deep.mixture import Mixture
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.sgd import PeopleSource
from dpsynth.deep.start import measured_start, quieted, raked
from dpsynth.deep.training import Terms, begin_training, pool_of
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal

LOUD = 4e-3
"""Deviation of the noise in the mean of the gradients from which on the networks move less."""

WIDEST = 4.0
"""Largest logarithm, up or down, of a hidden number's standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Autoencoder:
    """Shapes of the networks; no parameters.

    Attributes:
      sizes: Codes of each column.
      hidden: Hidden units, of both networks.
      numbers: Hidden numbers of a record; as many standard normals are drawn for it at each step.
      masks: None: every weight is free.
    """

    sizes: tuple[int, ...]
    hidden: int
    numbers: int
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def initial(self, *, random: RandomSource) -> dict[str, Tensor]:
        """Parameters to start from: every distribution uniform, hidden units at random.

        Privacy:
          None; post-processing.
        """
        codes, d = sum(self.sizes), len(self.sizes)
        shapes = {"in": (codes, self.hidden, d), "mean": (self.hidden, self.numbers, self.hidden)}
        shapes |= {"back": (self.numbers, self.hidden, self.numbers)}
        drawn = {
            name: draw_normal(one * other, random=random).reshape(one, other) / math.sqrt(inputs)
            for name, (one, other, inputs) in shapes.items()
        }
        return {
            **{name: to_tensor(values.astype(np.float32)) for name, values in drawn.items()},
            "in bias": torch.zeros(self.hidden),
            "mean bias": torch.zeros(self.numbers),
            "spread": torch.zeros(self.hidden, self.numbers),
            "spread bias": torch.zeros(self.numbers),
            "back bias": torch.zeros(self.hidden),
            "out": torch.zeros(self.hidden, codes),
            "bias": torch.zeros(codes),
        }

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """Minus a record's bound on its log-likelihood; the part of the logits by its gradient alone."""
        inner = torch.relu(tape.lookup(codes, code_starts(self.sizes), "in", "in bias"))
        mean = tape.dense(inner, "mean", "mean bias")
        spread = WIDEST * torch.tanh(tape.dense(inner, "spread", "spread bias") / WIDEST)
        apart = 0.5 * (mean.square() + torch.exp(2.0 * spread) - 1.0) - spread
        numbers = mean + torch.exp(spread) * tape.own
        logits = self.logits(tape, numbers)
        with torch.no_grad():
            slope = self.shares(logits)
            slope.scatter_add_(1, codes + code_starts(self.sizes), torch.full(codes.shape, -1.0))
        return (logits * slope).sum(dim=1) + apart.sum(dim=1)

    def logits(self, tape: Tape, numbers: Tensor) -> Tensor:
        """Logits of all columns, shape (records, codes)."""
        return tape.dense(torch.relu(tape.dense(numbers, "back", "back bias")), "out", "bias")

    def shares(self, logits: Tensor) -> Tensor:
        """Every column's probabilities, side by side."""
        parts = [part - part.amax(dim=1, keepdim=True) for part in logits.split(list(self.sizes), dim=1)]
        return torch.cat([torch.softmax(torch.clamp(part, min=LOWEST), dim=1) for part in parts], dim=1)

    def sample(self, parameters: Mapping[str, Tensor], rows: int, *, random: RandomSource) -> NDArray[np.int64]:
        """Draw rows, int64, shape (rows, columns).

        Privacy:
          None; post-processing.
        """
        made = []
        for start in range(0, rows, SAMPLED_AT_ONCE):
            some = min(SAMPLED_AT_ONCE, rows - start)
            numbers = to_tensor(draw_normal(some * self.numbers, random=random).astype(np.float32))
            shares = self.shares(self.logits(Tape(parameters), numbers.reshape(some, self.numbers)).detach())
            made.append(Mixture.of(self.sizes, parts=some).sample(shares, some, random=random))
        return np.concatenate(made)


def fit_vae(source: PeopleSource, config: VaeConfig, terms: Terms) -> PoolModel:
    """Charge the plan, train the networks, and return their rows; arguments as in :func:`begin_training`.

    Returns:
      A pool of ``config.pool_rows`` rows.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(source, config, terms)
    first, phase = terms.plan.phases
    shares = measured_start(training, first).shares
    network = Autoencoder(sizes=training.sizes, hidden=config.hidden, numbers=config.numbers)
    parameters, adam = network.initial(random=training.random), Adam()
    parameters["bias"] = torch.log(shares)
    highest = config.rate * quieted(terms.plan, phase, loud=LOUD)
    for step in training.steps(phase, {"parameters": parameters, "adam": adam}):
        gradient = training.gradient(network, parameters, phase)
        adam.step(parameters, gradient, rate=highest * cosine(step, phase.steps))
    rows = network.sample(parameters, config.pool_rows(terms.plan.people), random=training.random)
    return pool_of(training, rows, raked(np.ones(len(rows)), rows, shares.split(list(training.sizes))))
