"""The critic: it tells real records from made ones by their codes, pairs of codes, and a few hidden units.

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

from dpsynth.deep.layers import Tape
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal

LEAK = 0.2
PAIRS = "pairs"
"""The table of pairs: it has no rate of its own for each cell, which would amplify the noise of empty ones."""


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
    _pairs: Tensor = field(repr=False)
    _pair_starts: Tensor = field(repr=False)
    _widths: Tensor = field(repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], *, hidden: int, pair_scale: float, code_scale: float) -> "Critic":
        """The critic of a domain."""
        pairs = list(combinations(range(len(sizes)), 2))
        cells = [sizes[j] * sizes[k] for j, k in pairs]
        return cls(
            sizes=tuple(sizes),
            hidden=hidden,
            pair_scale=pair_scale,
            code_scale=code_scale,
            _starts=_begins(sizes),
            _pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
            _pair_starts=_begins(cells),
            _widths=torch.tensor([sizes[k] for _, k in pairs], dtype=torch.int64),
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
        codes, cells = sum(self.sizes), sum(self.sizes[j] * self.sizes[k] for j, k in self._pairs.tolist())
        spread = draw_normal(codes * self.hidden, random=random).reshape(codes, self.hidden)
        return {
            "bias": torch.zeros(1),
            "codes": torch.zeros(codes, 1),
            **({PAIRS: torch.zeros(cells, 1)} if cells else {}),
            "in": torch.from_numpy(spread.astype(np.float32)),
            "out": torch.zeros(self.hidden, 1),
        }

    def score(self, tape: Tape, codes: Tensor) -> Tensor:
        """D of each record, shape (records,): above 0 where it looks real."""
        d = len(self.sizes)
        inner = torch.nn.functional.leaky_relu(tape.lookup(codes, self._starts, "in") / math.sqrt(d), LEAK)
        score = tape.dense(inner / math.sqrt(self.hidden), "out", "bias")
        score = score + self.code_scale / math.sqrt(d) * tape.lookup(codes, self._starts, "codes")
        if d > 1:
            one, other = codes[:, self._pairs[:, 0]], codes[:, self._pairs[:, 1]]
            found = tape.lookup(one * self._widths + other, self._pair_starts, PAIRS)
            score = score + self.pair_scale / math.sqrt(len(self._pairs)) * found
        return score[:, 0]

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """D times the slope of the logistic loss: its own gradient is that loss's gradient."""
        score = self.score(tape, codes)
        with torch.no_grad():
            slope = torch.sigmoid(score) - self.real
        return score * slope


def _begins(sizes: Sequence[int]) -> Tensor:
    return torch.tensor([0, *np.cumsum(sizes).tolist()][: len(sizes)], dtype=torch.int64)
