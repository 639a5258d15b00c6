"""Where every trained synthesizer starts: independent columns, whose shares of codes the plan's first step measures.

The step is one over everybody, with a bound and noise of its own, and everything after it is a function of its output.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.layers import Tape, code_starts
from dpsynth.deep.plan import Phase, SgdPlan
from dpsynth.deep.training import Training

LEAST_SHARE, FEWEST = 0.002, 1e-9
"""A code's share counts as at least this many deviations of its noise, and as at least so much."""

REACHES = (0, 1, 2, 3, 5, 8)
"""How far neighbouring codes are averaged at most: to so many on either side, the nearer the more."""

RAKINGS = 4
"""Rounds in which the weights of rows are brought back to the shares of codes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codes:
    """Counts codes: minus the gradient of a record's objective is the weight of its column at each of its codes.

    A column weighs as the cube root of its size, which spreads errors over columns best, and the squares of a record's
    weights add up to 1: so its gradient has the norm 1, whatever the record is.

    Attributes:
      groups: Columns of one size: their table, their positions, where their codes begin in it, and their weight.
      masks: None: every weight is free.
    """

    groups: tuple[tuple[str, Tensor, Tensor, float], ...]
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int]) -> "Codes":
        """The counter of a domain."""
        whole = math.sqrt(sum(size ** (2 / 3) for size in sizes))
        groups = []
        for size in sorted(set(sizes)):
            columns = [j for j, other in enumerate(sizes) if other == size]
            starts = code_starts([size] * len(columns))
            groups.append((f"of {size}", torch.tensor(columns), starts, size ** (1 / 3) / whole))
        return cls(groups=tuple(groups))

    def initial(self, sizes: Sequence[int]) -> dict[str, Tensor]:
        """Parameters to start from, which no gradient depends on."""
        return {name: torch.zeros(sizes[int(columns[0])] * len(columns), 1) for name, columns, _, _ in self.groups}

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """The loss of people."""
        terms = [
            weight * tape.lookup(codes[:, columns], starts, name)[:, 0] for name, columns, starts, weight in self.groups
        ]
        return -torch.stack(terms).sum(dim=0)

    def shares(self, gradient: Mapping[str, Tensor], deviation: float) -> dict[int, Floats]:
        """Each column's shares, by its position.

        Args:
          gradient: Of the step, noisy.
          deviation: Of its noise.
        """
        found = {}
        for name, columns, _, weight in self.groups:
            values = (to_array(-gradient[name].double()) / weight).reshape(len(columns), -1)
            for column, value in zip(columns.tolist(), values, strict=True):
                found[column] = distribution_near(value, deviation=deviation / weight)
        return found


def distribution_near(values: Floats, *, deviation: float) -> Floats:
    """The distribution that noisy shares of a column's codes speak for; no share of it is zero.

    Neighbouring codes are averaged as far as an unbiased estimate of the risk (Stein 1981) says that it helps: it does
    in columns of numbers, and not where neighbours have nothing in common. Then comes the distribution at the least
    Euclidean distance (Held, Wolfe, Crowder 1974), its smallest shares raised.

    Args:
      values: Shares with normal noise, shape (codes,).
      deviation: Of the noise.
    """
    codes = np.arange(len(values))
    means = []
    for reach in REACHES:
        kernel = np.maximum(0.0, 1.0 - np.abs(codes[:, None] - codes) / (reach + 1))
        kernel /= kernel.sum(axis=1, keepdims=True)
        mean = kernel @ values
        risk = float(np.square(mean - values).sum() + 2.0 * deviation**2 * np.trace(kernel))
        means.append((risk, reach, mean))
    smooth = min(means, key=lambda found: found[:2])[2]
    falling = np.sort(smooth)[::-1]
    excess = (falling.cumsum() - 1.0) / (codes + 1)
    near = np.maximum(smooth - excess[int((falling > excess).sum()) - 1], max(FEWEST, LEAST_SHARE * deviation))
    return np.asarray(near / near.sum())


def measured_shares(training: Training, phase: Phase) -> Tensor:
    """Noisy shares of codes, columns side by side; a small one is as large as its noise lets one tell.

    Args:
      training: A run that was charged.
      phase: The plan's first.

    Privacy:
      The phase's step of the charged plan, and nothing else of the records.
      Checked by: tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone
    """
    plan, sizes = training.charged.plan, training.sizes
    counter = Codes.of(sizes)
    found = counter.initial(sizes)  # what a step that was taken and lost leaves: no code more often than another
    for _ in training.steps(phase, {"found": found}):
        found.update(training.gradient(counter, found, phase))
    shares = counter.shares(found, plan.noise_of(phase) * phase.clip / plan.expected_batch(phase))
    return to_tensor(np.concatenate([shares[column] for column in range(len(sizes))]).astype(np.float32))


def quieted(plan: SgdPlan, phase: Phase, *, loud: float) -> float:
    """What a rate is multiplied with where the noise in the mean of a phase's gradients is louder: it'd learn noise.

    Args:
      plan: The plan.
      phase: A phase of it.
      loud: Deviation of that noise from which on the rate falls, as much as the noise rises.
    """
    noise = plan.noise_of(phase) * phase.clip / (plan.expected_batch(phase) * math.sqrt(phase.steps))
    return min(1.0, loud / noise)


def raked(weights: Floats, rows: NDArray[np.int64], shares: Sequence[Tensor]) -> Floats:
    """Weights under which the rows have these shares of codes, column after column, in a few rounds."""
    for _ in range(RAKINGS):
        for codes, share in zip(rows.T, shares, strict=True):
            found = np.bincount(codes, weights, minlength=len(share)) / weights.sum()
            weights = weights * (to_array(share) / np.maximum(found, FEWEST))[codes]
    return weights
