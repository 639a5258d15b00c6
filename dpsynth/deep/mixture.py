"""A mixture of products of columns: the generator of ``gan``, whose moments of pairs are known exactly.

Each part draws its columns independently, and all parts weigh the same. Only its logits are parameters; they are moved
along exact gradients, and after each move all parts are tilted alike so that the mixture keeps given shares of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.layers import code_columns
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal, draw_uniform

LOWEST = -60.0
"""Logits further below a column's largest one count as this far below."""

FEWEST = 1e-9
"""A share below this counts as this much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """Shapes of the mixture; no parameters.

    Attributes:
      sizes: Codes of each column.
      parts: Parts of the mixture.
    """

    sizes: tuple[int, ...]
    parts: int
    _columns: Tensor = field(repr=False)

    @classmethod
    def of(cls, sizes: Sequence[int], *, parts: int) -> "Mixture":
        """The mixture of a domain."""
        columns = code_columns(sizes)
        return cls(sizes=tuple(sizes), parts=parts, _columns=columns)

    def initial(
        self, shares: Tensor, *, spread: float, random: RandomSource, joint: Sequence[NDArray[np.float64]] = ()
    ) -> Tensor:
        """Logits to start from: shares of codes, apart from each other at random; shape (parts, codes).

        Args:
          shares: Shares of codes, columns side by side.
          spread: Deviation of what sets parts apart.
          random: Source of it.
          joint: Of each other column with the last one, shape (codes, codes of the last): each part then has one code
            of the last column, and the other columns' codes given it. Empty where it isn't known.

        Privacy:
          None; post-processing.
        """
        codes = sum(self.sizes)
        logits = spread * draw_normal(self.parts * codes, random=random).reshape(self.parts, codes)
        if joint:
            logits += self._given_the_last(joint)
        return self.kept(to_tensor(logits.astype(np.float32)), shares)

    def _given_the_last(self, joint: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Logits of parts that have one code of the last column each, in its shares; shape (parts, codes)."""
        last = joint[0].sum(axis=0)
        reached = np.searchsorted(last.cumsum() / last.sum(), (np.arange(self.parts) + 0.5) / self.parts)
        given = [np.log(table / table.sum(axis=0))[:, reached].T for table in joint]
        return np.concatenate([*given, np.where(np.arange(len(last)) == reached[:, None], 0.0, LOWEST)], axis=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Each part's probability of each code, columns side by side, shape (parts, codes)."""
        largest = torch.cat([part.amax(dim=1, keepdim=True) for part in logits.split(list(self.sizes), dim=1)], dim=1)
        powers = torch.exp(torch.clamp(logits - largest @ self._columns.T, min=LOWEST))
        return powers / self.summed(powers)

    def summed(self, values: Tensor) -> Tensor:
        """The sum over each column's codes, at each of them."""
        return (values @ self._columns) @ self._columns.T

    def gradient(self, probabilities: Tensor, values: Tensor) -> Tensor:
        """Gradient in the logits of what has the gradient ``values`` in the probabilities."""
        return probabilities * (values - self.summed(probabilities * values))

    def kept(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Logits tilted, in all parts alike, towards a mixture with these shares of codes (a step of raking)."""
        found = self.probabilities(logits).mean(dim=0)
        return logits + torch.log(shares / torch.clamp(found, min=FEWEST))

    def sample(self, probabilities: Tensor, rows: int, *, random: RandomSource) -> NDArray[np.int64]:
        """Draw rows, the parts in turn; int64, shape (rows, columns).

        Privacy:
          None; post-processing.
        """
        part = np.arange(rows) % self.parts
        edges = pairwise([0, *np.cumsum(self.sizes).tolist()])
        codes = np.empty((rows, len(self.sizes)), dtype=np.int64)
        for j, (start, end) in enumerate(edges):
            powers = to_array(probabilities[:, start:end].double().cumsum(dim=1))
            powers = powers / powers[:, -1:] + np.arange(self.parts)[:, None]  # one ascending line for all parts
            drawn = np.searchsorted(powers.ravel(), draw_uniform(rows, random=random) + part, side="right")
            codes[:, j] = np.clip(drawn - part * (end - start), 0, end - start - 1)
        return codes
