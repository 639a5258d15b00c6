"""Exact discrete distributions as cumulative tables, inverted with 64 random bits and, on a tie, with 256.

A table over indices 0 .. n-1 holds the n-1 inner thresholds T_i = floor(2**256 * (w_0 + .. + w_i) / total). A uniform
U of 256 bits yields the number of thresholds at most U. Only the top 64 bits of U are drawn at first: they decide,
unless they equal the top 64 bits of a threshold; then 192 further bits are drawn and compared in full. Nothing is
approximated by the short comparison, so index i has probability (T_i - T_(i-1)) / 2**256 exactly.

Slack: a threshold is off by less than one unit of 2**-256, so the law of the table is within n * 2**-256 in total
variation of its weights (n < 2**24: below 2**-232). With a tail cut below 2**-130 (``gaussian``, ``laplace``) and
weights within 2**-300 of the intended ones, every shipped table is within 2**-129 of its intended law; 2**-127 per
draw, which is what the accountant adds to delta, covers it four times.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError

PRECISION = 256
"""Bits of a threshold, and of a uniform that is compared in full."""

SLACK_PER_DRAW = Fraction(1, 2**127)
"""Largest total-variation distance of one draw from its intended law."""

Words = Callable[[int], NDArray[np.uint64]]
"""Supplies that many independent uniform 64-bit words."""

_WORD = 64
_LOW_WORDS = PRECISION // _WORD - 1
_GUIDE_BITS = 16
_GUIDE_FROM = 4096


class CumulativeTable:
    """A finite distribution over 0 .. len - 1, exact to 256 bits. Immutable; make it with :meth:`from_weights`."""

    __slots__ = ("_guide", "_length", "_low", "_tops")

    def __init__(self, thresholds: Sequence[int], length: int) -> None:
        """Use :meth:`from_weights`; ``thresholds`` are below 2**256 and don't decrease."""
        self._set(_words(thresholds), length)

    def _set(self, words: NDArray[np.uint64], length: int) -> None:
        self._tops: NDArray[np.uint64] = np.ascontiguousarray(words[:, 0])
        self._low: NDArray[np.uint64] = np.ascontiguousarray(words[:, 1:])
        self._length = length
        self._guide: NDArray[np.int32] | None = None

    @classmethod
    def from_weights(cls, weights: Sequence[int]) -> "CumulativeTable":
        """The table with probabilities ``weights / sum(weights)``, cumulatively rounded down to 256 bits.

        Args:
          weights: Integers, at least 0, not all 0; exact where their sum is a power of two up to 2**256.

        Raises:
          ParameterError: There is no weight above 0, or one below 0.
        """
        total = sum(weights)
        if not weights or min(weights) < 0 or total <= 0:
            raise ParameterError(
                f"A table of {len(weights)} weights can't be drawn from.",
                "Weights are integers of at least 0, and one is above 0.",
                "Check the parameters that the weights came from.",
            )
        sums = accumulate(weights[:-1])
        # A threshold of exactly 2**256 (only zero weights follow) is never reached, so it is left out.
        if total == 1 << PRECISION:  # the division would change nothing
            return cls([s for s in sums if s < total], len(weights))
        return cls([(s << PRECISION) // total for s in sums if s < total], len(weights))

    @classmethod
    def mirrored(cls, lower: Sequence[int]) -> "CumulativeTable":
        """The table whose thresholds are these and their distances from 2**256, over 0 .. 2 len(lower).

        Args:
          lower: Thresholds of 0 to below 2**255 that don't decrease.
        """
        words = _words(lower)
        upper = _negative(words[np.any(words != 0, axis=1)])  # that of 0 is never reached, so it is left out
        table = cls.__new__(cls)
        table._set(np.concatenate([words, upper[::-1]]), 2 * len(lower) + 1)
        return table

    def __len__(self) -> int:
        return self._length

    @property
    def thresholds(self) -> list[int]:
        """Inner thresholds in units of 2**-256: index i is drawn where exactly i of them are at most the uniform."""
        rows = np.column_stack([self._tops, self._low]).tolist()
        return [sum(word << (_WORD * (_LOW_WORDS - j)) for j, word in enumerate(row)) for row in rows]

    @property
    def numerators(self) -> list[int]:
        """Exact probabilities in units of 2**-256, one per index; they sum to 2**256."""
        edges = [0, *self.thresholds, 1 << PRECISION]
        found = [high - low for low, high in pairwise(edges)]
        return found + [0] * (self._length - len(found))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The exact probabilities, each rounded once to float64; for oracles and plans, never for drawing."""
        return np.array([n / (1 << PRECISION) for n in self.numerators], dtype=np.float64)

    def lookup(self, words: Words, size: int) -> NDArray[np.int64]:
        """Invert ``size`` uniforms.

        Args:
          words: Source of 64-bit words: ``size`` in one call, then three for each tie.
          size: Number of indices.

        Returns:
          Indices, int64, shape (size,).
        """
        if not len(self._tops):
            return np.zeros(size, dtype=np.int64)
        word = words(size)
        if size < _GUIDE_FROM:
            return self._search(word, words)
        if self._guide is None:
            self._guide = _guide(self._tops)
        index: NDArray[np.int64] = self._guide[word >> np.uint64(_WORD - _GUIDE_BITS)].astype(np.int64)
        unsure = np.flatnonzero(index < 0)
        index[unsure] = self._search(word[unsure], words)
        return index

    def _search(self, word: NDArray[np.uint64], words: Words) -> NDArray[np.int64]:
        index = np.searchsorted(self._tops, word, side="right").astype(np.int64)
        for tie in np.flatnonzero(self._tops[np.maximum(index - 1, 0)] == word):
            index[tie] = self._search_long(word[tie], words(_LOW_WORDS))
        return index

    def _search_long(self, top: np.uint64, low: NDArray[np.uint64]) -> int:
        """Thresholds at most the 256-bit uniform ``top`` followed by ``low``."""
        first, last = (int(np.searchsorted(self._tops, top, side=side)) for side in ("left", "right"))
        equal = [tuple(row) for row in self._low[first:last].tolist()]
        return first + bisect_right(equal, tuple(low.tolist()))


def _guide(tops: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The index shared by all words with these leading 16 bits, or -1 where a threshold's top word lies among them."""
    starts = np.arange(1 << _GUIDE_BITS, dtype=np.uint64) << np.uint64(_WORD - _GUIDE_BITS)
    ends = starts + np.uint64((1 << (_WORD - _GUIDE_BITS)) - 1)
    below = np.searchsorted(tops, starts, side="left")
    return np.where(below == np.searchsorted(tops, ends, side="right"), below, -1).astype(np.int32)


def symmetric_table(half: Sequence[int], centre: int) -> CumulativeTable:
    """An exactly symmetric table over -len(half) .. len(half), at indices 0 .. 2 len(half).

    Args:
      half: Weights of 1, 2, .. on the scale of ``centre``.
      centre: Weight of 0.

    Returns:
      A table whose probabilities are multiples of 2**-256: those of +k and -k are equal, bit for bit, because each is
      rounded down alone and the centre takes the rest (at most ``2 * len(half)`` units).
    """
    total = centre + 2 * sum(half)
    scaled = [(w << PRECISION) // total for w in half]
    return CumulativeTable.mirrored(list(accumulate(reversed(scaled))))


def _words(thresholds: Sequence[int]) -> NDArray[np.uint64]:
    """Each as 64-bit words, the highest first."""
    packed = b"".join([t.to_bytes(PRECISION // 8, "big") for t in thresholds])
    return np.frombuffer(packed, dtype=">u8").reshape(-1, _LOW_WORDS + 1).astype(np.uint64)


def _negative(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """2**256 minus each, none of which is 0: all bits turned, and one added."""
    turned = ~words
    carried = np.ones(len(words), dtype=bool)
    for j in reversed(range(_LOW_WORDS + 1)):
        turned[:, j] += carried.astype(np.uint64)
        carried &= turned[:, j] == 0
    return turned
