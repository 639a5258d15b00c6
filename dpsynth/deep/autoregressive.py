"""The autoregressive network: each column's distribution given the columns before it, all of them in one pass.

Logits of column j = b_j + the skip rows of the codes of columns m < j + W h, where hidden unit k belongs to a column
m(k) and sees the codes of columns up to it, and reaches the logits of columns after it. Source: Germain et al. 2015
(arXiv:1502.03509), with fixed degrees in column order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.layers import Centre, Reach, Tape, code_columns, code_starts, column_shares, total_along
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal, draw_uniform

SAMPLED_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Autoregressive:
    """Shapes and masks of the network; no parameters.

    Attributes:
      sizes: Codes of each column, in the order in which columns are drawn.
      hidden: Hidden units.
      weights: Weight of each code's column in a record's loss, shape (codes,).
      masks: 1 where a weight may differ from zero, by parameter.
      centre: Public shares that are subtracted from the codes' one-hot vectors; None for nothing.
    """

    sizes: tuple[int, ...]
    hidden: int
    weights: Tensor = field(repr=False)
    masks: Mapping[str, Tensor] = field(repr=False)
    centre: Centre | None = field(repr=False)
    _starts: Tensor = field(repr=False)
    _into_hidden: Reach = field(repr=False)
    _into_logits: Reach = field(repr=False)
    _skip: Reach = field(repr=False)

    @classmethod
    def of(
        cls,
        sizes: Sequence[int],
        *,
        hidden: int,
        shares: Tensor | None = None,
        last_weight: float = 1.0,
        last_alone: bool = False,
    ) -> "Autoregressive":
        """The network of a domain.

        Args:
          sizes: Codes of each column, in the order in which columns are drawn.
          hidden: Hidden units.
          shares: Public shares of codes above 0, of which inputs are centred and at which the network starts.
          last_weight: Weight of the last column in a record's loss, over that of each other.
          last_alone: Whether the last column alone is learned, and the others stay independent.
        """
        d = len(sizes)
        columns = code_columns(sizes)
        units = torch.eye(d)[torch.arange(hidden) * max(1, d - 1) // hidden]
        upto, before = torch.triu(torch.ones(d, d)), torch.triu(torch.ones(d, d), diagonal=1)
        if last_alone:
            before[:, :-1] = 0.0
        other, last = (0.0, 1.0) if last_alone else (1.0, last_weight)
        weights = columns @ torch.tensor([*[other] * (d - 1), last])
        into_hidden = Reach(inputs=columns, outputs=units, blocks=upto)
        into_logits = Reach(inputs=units, outputs=columns, blocks=before)
        skip = Reach(inputs=columns, outputs=columns, blocks=before)
        return cls(
            sizes=tuple(sizes),
            hidden=hidden,
            weights=weights,
            centre=None if shares is None else Centre.of(shares, columns),
            masks={
                "in": into_hidden.mask(), "out": into_logits.mask(), "skip": skip.mask(),
                "bias": (weights > 0).float(),
            },
            _starts=code_starts(sizes),
            _into_hidden=into_hidden,
            _into_logits=into_logits,
            _skip=skip,
        )

    def initial(self, *, random: RandomSource) -> dict[str, Tensor]:
        """Parameters to start from: independent columns, with the centre's shares or uniform; hidden units at random.

        Privacy:
          None; post-processing.
        """
        codes = sum(self.sizes)
        seen = self._into_hidden.blocks.sum(dim=0) @ self._into_hidden.outputs.T
        spread = draw_normal(codes * self.hidden, random=random).reshape(codes, self.hidden)
        first = to_tensor(spread.astype(np.float32)) * self.masks["in"] / seen.sqrt()
        return {
            "in": first,
            "in bias": torch.zeros(self.hidden),
            "out": torch.zeros(self.hidden, codes),
            "skip": torch.zeros(codes, codes),
            "bias": torch.zeros(codes) if self.centre is None else torch.log(self.centre.shares),
        }

    def begin_at(self, parameters: Mapping[str, Tensor], joint: Sequence[NDArray[np.float64]]) -> None:
        """Let the last column start at what its pairs say together, as if the other columns were independent given it.

        Args:
          parameters: Of :meth:`initial`, with a centre; changed in place.
          joint: Of each other column with the last one, shape (codes, codes of the last), at the centre's shares.
        """
        starts = self._starts.tolist()
        last = starts[-1]
        for start, table in zip(starts[:-1], joint, strict=True):
            rows, columns = table.sum(axis=1), table.sum(axis=0)
            beyond = np.log(table / np.outer(rows, columns))
            parameters["skip"][start : start + len(rows), last:] = to_tensor(beyond.astype(np.float32))
            parameters["bias"][last:] += to_tensor((rows @ beyond).astype(np.float32))

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """Of which the gradient alone is worked out: that of the negative log-likelihood."""
        inner = torch.relu(tape.lookup(codes, self._starts, "in", "in bias", self._into_hidden, self.centre))
        logits = tape.dense(inner, "out", None, self._into_logits)
        logits = logits + tape.lookup(codes, self._starts, "skip", "bias", self._skip, self.centre)
        with torch.no_grad():
            slope = column_shares(logits, self._skip.inputs)
            slope.scatter_add_(1, codes + self._starts, torch.full(codes.shape, -1.0))
            slope.mul_(self.weights)
        return total_along(logits, slope)

    def sample(self, parameters: Mapping[str, Tensor], rows: int, *, random: RandomSource) -> NDArray[np.int64]:
        """Draw rows, int64, shape (rows, columns).

        Privacy:
          None; post-processing.
        """
        parts = [min(SAMPLED_AT_ONCE, rows - start) for start in range(0, rows, SAMPLED_AT_ONCE)]
        return np.concatenate([np.zeros((0, len(self.sizes)), np.int64), *self._drawn(parameters, parts, random)])

    def _drawn(
        self, parameters: Mapping[str, Tensor], parts: Sequence[int], random: RandomSource
    ) -> Iterator[NDArray[np.int64]]:
        for rows in parts:
            yield to_array(self._draw(parameters, rows, random))

    def _draw(self, parameters: Mapping[str, Tensor], rows: int, random: RandomSource) -> Tensor:
        """Column after column; what a code adds to hidden units and later logits is added once it is drawn."""
        d = len(self.sizes)
        ends = np.cumsum(self.sizes).tolist()
        edges = list(pairwise([0, *ends]))
        units = self._units()
        inner, logits = (start.repeat(rows, 1) for start in self._starts_of_sums(parameters))
        codes = torch.zeros(rows, d, dtype=torch.int64)
        uniforms = to_tensor(draw_uniform(rows * d, random=random).astype(np.float32).reshape(d, rows, 1))
        for m, (start, end) in enumerate(edges):
            powers = torch.softmax(logits[:, start:end], dim=1).cumsum(dim=1)
            drawn = torch.searchsorted(powers, uniforms[m] * powers[:, -1:], right=True)[:, 0]
            codes[:, m] = drawn = torch.clamp(drawn, max=end - start - 1)
            inner += parameters["in"][start + drawn]
            logits[:, end:] += parameters["skip"][start + drawn, end:]
            if len(units[m]):
                logits[:, end:] += torch.relu(inner[:, units[m]]) @ parameters["out"][units[m], end:]
        return codes

    def _starts_of_sums(self, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Hidden units and logits of a row of which no code is drawn yet."""
        if self.centre is None:
            return parameters["in bias"], parameters["bias"]
        shares = self.centre.shares
        return parameters["in bias"] - shares @ parameters["in"], parameters["bias"] - shares @ parameters["skip"]

    def _units(self) -> list[Tensor]:
        """Hidden units of each column."""
        owner = self._into_hidden.outputs.argmax(dim=1)
        return [torch.nonzero(owner == m)[:, 0] for m in range(len(self.sizes))]
