"""Merged codes of one column, and their way back: a function of accounted outputs and declared facts."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError

Code = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merge:
    """Which fine codes share a code of the model, and in which shares they come out of it again.

    Attributes:
      groups: The model's code of each fine code, shape (fine codes,); every code below the largest is there.
      weights: Share of each fine code within its group, not below 0, shape (fine codes,); needn't sum to 1.
    """

    groups: Code = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        good = self.groups.ndim == 1 and self.groups.shape == self.weights.shape and self.groups.dtype == np.int64
        good = good and self.groups.size > 0 and self.groups.min() >= 0 and bool(np.isfinite(self.weights).all())
        if not good or self.weights.min() < 0 or len(np.unique(self.groups)) != self.groups.max() + 1:
            raise ParameterError(
                f"A merge of {self.groups.size} codes can't be used.",
                "It gives each code a group, numbered from 0 without a gap, and a finite weight that isn't below 0.",
                "Use what was learned for this column.",
            )

    @property
    def size(self) -> int:
        """Number of codes of the model."""
        return int(self.groups.max()) + 1

    def split(self, codes: Code, generator: np.random.Generator) -> Code:
        """Fine codes for these codes of the model.

        Within each code the rows get its fine codes in their shares, as exactly as whole rows can, in random order: so
        a fine code depends on nothing but the code.

        Args:
          codes: Shape (rows,).
          generator: Draws which row gets which fine code.

        Privacy: none; post-processing.
        """
        order = np.argsort(self.groups, kind="stable")
        ends = np.cumsum(self.shares[order])
        last = np.searchsorted(self.groups[order], np.arange(self.size), side="right") - 1
        above = ends[last]
        below = np.concatenate([[0.0], above[:-1]])
        rows = np.lexsort((generator.random(len(codes)), codes))
        counts = np.bincount(codes, minlength=self.size)
        sorted_codes = codes[rows]
        rank = np.arange(len(codes)) - (np.cumsum(counts) - counts)[sorted_codes]
        place = (rank + generator.random(len(codes))) / counts[sorted_codes]
        target = below[sorted_codes] + place * (above - below)[sorted_codes]
        at = np.searchsorted(ends, target, side="right")
        first = np.concatenate([[0], last[:-1] + 1])
        out = np.empty(len(codes), np.int64)
        out[rows] = order[np.clip(at, first[sorted_codes], last[sorted_codes])]
        return out

    @property
    def shares(self) -> NDArray[np.float64]:
        """The shares of each group's codes, together 1; equal ones where a group has none."""
        whole = np.bincount(self.groups, weights=self.weights)[self.groups]
        equal = 1.0 / np.bincount(self.groups)[self.groups]
        return np.divide(self.weights, whole, out=equal, where=whole > 0)
