"""Where every trained synthesizer starts: independent columns, whose shares of codes the plan's first step measures.

Of few people, who can't teach a network much, the step also measures the pairs of each other column with the target. It
is one step over everybody, with a bound and noise of its own, and everything after it is a function of its output.
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

ALIKE = (0, 1, 2, 4, 8, 16)
"""How far apart rows of a pair are alike, in codes; at most half the rows."""

OF_ITS_OWN = 0.1
"""Share of its variance that a row doesn't have in common with those near it."""

DEPENDENCES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""How far pairs may be from independence, over what they would be then."""

LEAST_OF_PRODUCT = 0.1
"""A pair is at least this much as often as if its codes were independent."""

RAKINGS_OF_PAIRS = 20
"""Rounds in which a joint distribution is brought to its shares of codes."""

RAKINGS = 4
"""Rounds in which the weights of rows are brought back to the shares of codes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codes:
    """Counts codes: minus the gradient of a record's objective is the weight of its column at each of its codes.

    A column weighs as the cube root of its size, which spreads errors over columns best, and the squares of a record's
    weights add up to 1: so its gradient has the norm 1, whatever the record is. Where pairs are counted too, each
    other column with the last one is one more column, whose codes are those of the pair.

    Attributes:
      sizes: Codes of each column, then of each pair.
      groups: Columns of one size: their table, their positions, where their codes begin in it, and their weight.
      last: Codes of the last column where pairs are counted; 0 where they aren't.
      masks: None: every weight is free.
    """

    sizes: tuple[int, ...]
    groups: tuple[tuple[str, Tensor, Tensor, float], ...]
    last: int = 0
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], *, pairs: float = 0.0) -> "Codes":
        """The counter of a domain.

        Args:
          sizes: Codes of each column.
          pairs: Share of the squared weights that pairs with the last column have.
        """
        joint = [size * sizes[-1] for size in sizes[:-1]] if pairs else []
        groups = []
        for kind, begin, chosen, share in (("of", 0, list(sizes), 1.0 - pairs), ("pairs of", len(sizes), joint, pairs)):
            whole = math.sqrt(sum(size ** (2 / 3) for size in chosen) / share) if chosen else 1.0
            for size in sorted(set(chosen)):
                columns = [begin + j for j, other in enumerate(chosen) if other == size]
                starts = code_starts([size] * len(columns))
                groups.append((f"{kind} {size}", torch.tensor(columns), starts, size ** (1 / 3) / whole))
        return cls(sizes=(*sizes, *joint), groups=tuple(groups), last=sizes[-1] if joint else 0)

    def initial(self) -> dict[str, Tensor]:
        """Parameters to start from, which no gradient depends on."""
        return {
            name: torch.zeros(self.sizes[int(columns[0])] * len(columns), 1) for name, columns, _, _ in self.groups
        }

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """The loss of people."""
        if self.last:
            codes = torch.cat([codes, codes[:, :-1] * self.last + codes[:, -1:]], dim=1)
        terms = [
            weight * tape.lookup(codes[:, columns], starts, name)[:, 0] for name, columns, starts, weight in self.groups
        ]
        return -torch.stack(terms).sum(dim=0)

    def shares(self, gradient: Mapping[str, Tensor], deviation: float) -> dict[int, tuple[Floats, float]]:
        """Each column's noisy shares and the deviation of their noise, by its position.

        Args:
          gradient: Of the step, noisy.
          deviation: Of its noise.
        """
        found: dict[int, tuple[Floats, float]] = {}
        for name, columns, _, weight in self.groups:
            values = (to_array(-gradient[name].double()) / weight).reshape(len(columns), -1)
            found |= {c: (v, deviation / weight) for c, v in zip(columns.tolist(), values, strict=True)}
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """What the first step tells.

    Attributes:
      shares: Of codes, columns side by side; a small one is as large as its noise lets one tell.
      joint: Of each other column with the last one, shape (codes, codes of the last); empty where it wasn't measured.
    """

    shares: Tensor = field(repr=False)
    joint: tuple[Floats, ...] = field(repr=False, default=())


def measured_start(training: Training, phase: Phase, *, pairs: float = 0.0) -> Start:
    """Noisy shares of codes, and of pairs with the last column where they have a share of the step.

    Args:
      training: A run that was charged.
      phase: The plan's first.
      pairs: Share of the step's squared weights that pairs take.

    Privacy:
      The phase's step of the charged plan, and nothing else of the records.
      Checked by: tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone
    """
    plan, d = training.charged.plan, len(training.sizes)
    counter = Codes.of(training.sizes, pairs=pairs)
    found = counter.initial()  # what a step that was taken and lost leaves: no code more often than another
    for _ in training.steps(phase, {"found": found}):
        found.update(training.gradient(counter, found, phase))
    noisy = counter.shares(found, plan.noise_of(phase) * phase.clip / plan.expected_batch(phase))
    tables = [noisy[j][0].reshape(-1, counter.last) for j in range(d, len(counter.sizes))]
    told: list[list[tuple[Floats, float]]] = [[noisy[j]] for j in range(d)]
    for j, table in enumerate(tables):
        deviation = noisy[d + j][1]
        told[j].append((table.sum(axis=1), deviation * math.sqrt(table.shape[1])))
        told[-1].append((table.sum(axis=0), deviation * math.sqrt(table.shape[0])))
    shares = [distribution_near(value, deviation=dev) for value, dev in map(_by_precision, told)]
    joint = tuple(
        joint_near(table, shares[j], shares[-1], deviation=noisy[d + j][1]) for j, table in enumerate(tables)
    )
    return Start(shares=to_tensor(np.concatenate(shares).astype(np.float32)), joint=joint)


def _by_precision(told: Sequence[tuple[Floats, float]]) -> tuple[Floats, float]:
    """The mean of independent noisy values by their precision, and its deviation."""
    if len(told) == 1:
        return told[0]
    precision = sum(deviation**-2 for _, deviation in told)
    mean = np.sum([value * deviation**-2 for value, deviation in told], axis=0) / precision
    return np.asarray(mean), precision**-0.5


def joint_near(table: Floats, rows: Floats, columns: Floats, *, deviation: float) -> Floats:
    """The joint distribution with these shares that a noisy table speaks for.

    What a pair has beyond independence is taken as normal before it is seen: as large as the pair would be if its codes
    were independent, times one deviation for all, alike in rows that stand near each other, and adding up to nothing in
    each row. The deviation, and how far rows are alike, are those under which the noisy table is the most likely
    (MacKay 1992); then its mean given the table is what is expected. So a rare code tells next to nothing, a column of
    numbers tells a curve, and where noise explains everything the codes are independent.

    Args:
      table: Noisy shares of pairs, shape (rows, columns).
      rows: Shares of the rows' codes.
      columns: Shares of the columns' codes.
      deviation: Of the noise.
    """
    product, places = np.outer(rows, columns), np.arange(len(rows))
    apart = columns[:, None] * (np.eye(len(columns)) - columns)
    spreads, turned = np.linalg.eigh(apart @ apart.T)
    likely, beyond = -math.inf, np.zeros_like(product)
    for reach in (reach for reach in ALIKE if 2 * reach < len(rows)):
        near = np.exp(-0.5 * np.square((places[:, None] - places) / max(reach, FEWEST)))
        alike = OF_ITS_OWN * np.eye(len(rows)) + (1.0 - OF_ITS_OWN) * near
        scales, basis = np.linalg.eigh(rows[:, None] * alike * rows)
        seen, unit = basis.T @ (table - product) @ turned, np.outer(np.maximum(scales, 0.0), np.maximum(spreads, 0.0))
        for dependence in DEPENDENCES:
            signal = dependence**2 * unit
            whole = signal + max(deviation, FEWEST) ** 2
            evidence = -float((np.log(whole) + np.square(seen) / whole).sum())
            if evidence > likely:
                likely, beyond = evidence, basis @ (signal / whole * seen) @ turned.T
    found = np.maximum(product + beyond, LEAST_OF_PRODUCT * product)
    for _ in range(RAKINGS_OF_PAIRS):
        found *= (rows / found.sum(axis=1))[:, None]
        found *= columns / found.sum(axis=0)
    return np.asarray(found)


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
