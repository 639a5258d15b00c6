"""How much likelier the synthetic table makes a row than people whom it never looked at do: a public function of a row.

Over a set of cliques, each cell has the logarithm of its share in the table over its share in noisy marginals of
reference people, which were charged. Where the noise of a cell is larger than what the table has there, the ratio is
drawn towards 1. A row's score is the sum over the cliques, and f stands on the score in units of its spread among rows
that nobody is behind: 1/2 at their mean, 0 and 1 two standard deviations below and above.

All of it is a function of the table, of the noisy marginals and of the model's own rows, so one person more moves the
sum of f over people by their own f alone. The reference people aren't among those who are looked at.

Source: van Breugel et al. 2023 (arXiv:2302.12580) attack by the density of a table over that of a reference; here both
are those of the cliques that the generator is known to preserve, and the reference is private.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes, sample_of

STEP = 2**16
"""Steps of one nat of a log ratio."""
MOST = 4 * STEP
"""Largest log ratio of one cell, either way."""
_SPREADS = 4
"""Standard deviations of the score from f = 0 to f = 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyMarginal:
    """A charged marginal of the reference people; public.

    Attributes:
      columns: Its columns, by position, ascending.
      values: Noisy counts, int64, one axis a column.
      sigma: Standard deviation of their noise.
    """

    columns: tuple[int, ...]
    values: NDArray[np.int64] = field(repr=False)
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratios:
    """Log ratios of every cell of some cliques; public.

    Attributes:
      columns: Columns of each clique.
      shapes: Codes of these columns.
      tables: Log ratio of each cell, in 2**-16 nats, flat.
      low: The score from which f is above 0.
      width: Steps of the score from f = 0 to f = 1, at least 1.
    """

    columns: tuple[tuple[int, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    tables: tuple[NDArray[np.int64], ...] = field(repr=False)
    low: int = 0
    width: int = 1


def ratios(
    synthetic: Codes, sizes: Sequence[int], marginals: Sequence[NoisyMarginal], strangers: Codes | None
) -> Ratios:
    """Log ratios of a synthetic table to noisy marginals of reference people.

    Args:
      synthetic: Codes, shape (columns, rows); no rows is allowed.
      sizes: Codes of each column.
      marginals: Accounted outputs.
      strangers: Codes of rows that nobody is behind, of which 5,000 give the scale of f; the table's own where there
        are none.

    Privacy: none; post-processing of accounted outputs.
    """
    shapes = tuple(tuple(sizes[c] for c in one.columns) for one in marginals)
    raw = Ratios(
        columns=tuple(one.columns for one in marginals),
        shapes=shapes,
        tables=tuple(_ratio(synthetic, one, shape) for one, shape in zip(marginals, shapes, strict=True)),
    )
    others = synthetic if strangers is None else strangers
    found = scores(others[:, sample_of(others.shape[1])], raw)
    many = max(1, found.size)
    mean = int(found.sum()) // many
    spread = max(1, math.isqrt(int(((found - mean) ** 2).sum()) // many))
    return Ratios(
        columns=raw.columns,
        shapes=raw.shapes,
        tables=raw.tables,
        low=mean - _SPREADS * spread // 2,
        width=_SPREADS * spread,
    )


def scores(codes: Codes, of: Ratios) -> NDArray[np.int64]:
    """The sum of log ratios of each row, in 2**-16 nats. Private where the rows are records."""
    total = np.zeros(codes.shape[1], dtype=np.int64)
    for columns, shape, table in zip(of.columns, of.shapes, of.tables, strict=True):
        total += table[_cells(codes, columns, shape)]
    return total


def likelihood(score: NDArray[np.int64], of: Ratios, *, one: int) -> NDArray[np.int64]:
    """f of each score, a whole number from 0 to ``one``: integers alone."""
    inside = np.clip(score - of.low, 0, of.width)
    found: NDArray[np.int64] = inside * one // of.width
    return found


def _ratio(synthetic: Codes, one: NoisyMarginal, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Shrunk log ratios of one clique's cells, rounded once: the same whole numbers for every row that is looked at."""
    counted = np.bincount(_cells(synthetic, one.columns, shape), minlength=math.prod(shape)).astype(np.float64)
    people = max(1.0, float(one.values.sum()))
    expected = (counted + 0.5) * people / (counted.sum() + 0.5 * counted.size)
    seen = np.maximum(one.values.reshape(-1).astype(np.float64), 0.0)
    noise = np.hypot(one.sigma, np.sqrt(expected))
    trust = expected / (expected + noise)
    found = trust * np.log(expected / np.maximum(seen, np.minimum(expected, noise) / 2.0))
    rounded: NDArray[np.int64] = np.rint(np.clip(found * STEP, -MOST, MOST)).astype(np.int64)
    return rounded


def _cells(codes: Codes, columns: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.int64]:
    found = np.zeros(codes.shape[1], dtype=np.int64)
    for column, size in zip(columns, shape, strict=True):
        found = found * size + codes[column]
    return found
