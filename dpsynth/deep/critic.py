"""Critics: they tell real records from made ones by their codes, pairs of codes, and a few hidden units.

D(x) = c + a l.x / sqrt(d) + p / sqrt(d (d - 1) / 2) * sum over pairs A[x_j, x_k] + v . lrelu(W x / sqrt(d)) / sqrt(H)

with x one-hot. Trained with the logistic loss, whose slope in D is sigmoid(D) - y: while D is near zero one record's
gradient has a norm of at most about 1/2 sqrt(p^2 + a^2 + 2.2), which is the public clip bound. Nothing in it crosses
records: no batch statistics, no penalty over pairs of records.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from dpsynth.deep.device import to_tensor
from dpsynth.deep.kernel import pair_codes
from dpsynth.deep.layers import Tape, code_starts
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal

LEAK = 0.2
PAIRS = "pairs"
"""The table of pairs: it has no rate of its own for each cell, which would amplify the noise of empty ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Where the cells of pairs of columns stand in one table, pair after pair.

    Attributes:
      sizes: Codes of each column.
      name: Name of the table.
      columns: The two columns of each pair, shape (pairs, 2).
      starts: First row of each pair.
      cells: Rows of the table.
    """

    sizes: tuple[int, ...]
    name: str
    columns: Tensor = field(repr=False)
    starts: Tensor = field(repr=False)
    cells: int
    _widths: Tensor = field(repr=False)
    _places: Tensor = field(repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], pairs: Sequence[tuple[int, int]] | None = None, *, name: str = PAIRS) -> "Pairs":
        """These pairs of columns, the smaller column first; all of them where None."""
        pairs = list(combinations(range(len(sizes)), 2)) if pairs is None else pairs
        cells = [sizes[j] * sizes[k] for j, k in pairs]
        return cls(
            sizes=tuple(sizes),
            name=name,
            columns=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
            starts=code_starts(cells),
            cells=sum(cells),
            _widths=torch.tensor([sizes[k] for _, k in pairs], dtype=torch.int64),
            _places=_places(sizes, pairs),
        )

    def sum(self, tape: Tape, codes: Tensor) -> Tensor:
        """The sum of the cells of each record's pairs, shape (records,)."""
        return tape.lookup(self._codes(codes), self.starts, self.name)[:, 0]

    def _codes(self, codes: Tensor) -> Tensor:
        """The code of each of a record's pairs within its cells, shape (records, pairs)."""
        if codes.device.type != "cpu":
            return codes[:, self.columns[:, 0]] * self._widths + codes[:, self.columns[:, 1]]
        found = torch.empty(len(codes), len(self.columns), dtype=torch.int64)
        pair_codes()(codes.contiguous().numpy(), self.columns.numpy(), self._widths.numpy(), found.numpy())
        return found

    def matrix(self, table: Tensor) -> Tensor:
        """The cells of a table, shape (cells, 1), between all codes; symmetric, and zero within a column."""
        codes = sum(self.sizes)
        one = torch.zeros(codes * codes).index_copy_(0, self._places, table[:, 0]).reshape(codes, codes)
        return one + one.T

    def moments(self, probabilities: Tensor) -> Tensor:
        """The share of each cell in a mixture of products, given each part's probabilities; shape (cells,)."""
        return (probabilities.T @ probabilities / len(probabilities)).flatten()[self._places]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairCritic:
    """A critic of pairs alone, with a linear loss: it gives to people what it takes from made rows.

    D is a weighted sum of the cells of a record's pairs, and the loss of a record of people -D / 2. Pairs with the last
    column, the target, may weigh more than others; the squares of a record's weights add up to 1, so its gradient has
    the norm 1/2, whatever the record and the tables are.

    Attributes:
      groups: Groups of pairs, and the weight of a cell of each.
      masks: None: every weight is free.
    """

    groups: tuple[tuple[Pairs, float], ...]
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], *, target_weight: float) -> "PairCritic":
        """The critic of a domain of two columns at least; ``target_weight`` is over that of other pairs."""
        last, every = len(sizes) - 1, list(combinations(range(len(sizes)), 2))
        parted = (
            ("target pairs", target_weight, [pair for pair in every if pair[1] == last]),
            (PAIRS, 1.0, [pair for pair in every if pair[1] != last]),
        )
        whole = math.sqrt(sum(weight**2 * len(pairs) for _, weight, pairs in parted))
        groups = tuple((Pairs.of(sizes, pairs, name=name), weight / whole) for name, weight, pairs in parted if pairs)
        return cls(groups=groups)

    def initial(self) -> dict[str, Tensor]:
        """Parameters to start from: nothing is told apart."""
        return {pairs.name: torch.zeros(pairs.cells, 1) for pairs, _ in self.groups}

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """The loss of people."""
        terms = torch.stack([weight * pairs.sum(tape, codes) for pairs, weight in self.groups])
        return -0.5 * terms.sum(dim=0)

    def add_made(self, gradient: Mapping[str, Tensor], probabilities: Tensor) -> None:
        """Add the gradient of the mean loss of made rows, D / 2, exactly: the moments of a mixture of products."""
        for pairs, weight in self.groups:
            gradient[pairs.name][:, 0].add_(pairs.moments(probabilities), alpha=0.5 * weight)

    def matrix(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """What two codes add to D, shape (codes, codes)."""
        found = [weight * pairs.matrix(parameters[pairs.name]) for pairs, weight in self.groups]
        return torch.stack(found).sum(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Critic:
    """Shapes and scales of the critic; no parameters.

    Attributes:
      sizes: Codes of each column.
      hidden: Hidden units.
      pair_scale: p.
      code_scale: a.
      real: The label that records of a batch have: 1 for people, 0 for made rows.
    """

    sizes: tuple[int, ...]
    hidden: int
    pair_scale: float
    code_scale: float
    real: float = 1.0
    _starts: Tensor = field(repr=False)
    _pairs: Pairs = field(repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], *, hidden: int, pair_scale: float, code_scale: float) -> "Critic":
        """The critic of a domain."""
        return cls(
            sizes=tuple(sizes),
            hidden=hidden,
            pair_scale=pair_scale,
            code_scale=code_scale,
            _starts=code_starts(sizes),
            _pairs=Pairs.of(sizes),
        )

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """Every weight is free."""
        return {}

    def initial(self, *, random: RandomSource) -> dict[str, Tensor]:
        """Parameters to start from: nothing is told apart, hidden units at random.

        Privacy:
          None; post-processing.
        """
        codes, cells = sum(self.sizes), self._pairs.cells
        spread = draw_normal(codes * self.hidden, random=random).reshape(codes, self.hidden)
        return {
            "bias": torch.zeros(1),
            "codes": torch.zeros(codes, 1),
            **({PAIRS: torch.zeros(cells, 1)} if cells else {}),
            "in": to_tensor(spread.astype(np.float32)),
            "out": torch.zeros(self.hidden, 1),
        }

    def score(self, tape: Tape, codes: Tensor) -> Tensor:
        """D of each record, shape (records,): above 0 where it looks real."""
        d = len(self.sizes)
        inner = torch.nn.functional.leaky_relu(tape.lookup(codes, self._starts, "in") / math.sqrt(d), LEAK)
        score = tape.dense(inner / math.sqrt(self.hidden), "out", "bias")
        score = score + self.code_scale / math.sqrt(d) * tape.lookup(codes, self._starts, "codes")
        if d < 2:
            return score[:, 0]
        return score[:, 0] + self.pair_scale / math.sqrt(d * (d - 1) / 2) * self._pairs.sum(tape, codes)

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """D times the slope of the logistic loss: its own gradient is that loss's gradient."""
        score = self.score(tape, codes)
        with torch.no_grad():
            slope = torch.sigmoid(score) - self.real
        return score * slope


def _places(sizes: Sequence[int], pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Where each pair's cells stand in the square of all codes."""
    begins, codes = code_starts(sizes).tolist(), sum(sizes)
    parts = [
        (torch.arange(sizes[j])[:, None] + begins[j]) * codes + torch.arange(sizes[k]) + begins[k] for j, k in pairs
    ]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *(part.flatten() for part in parts)])
