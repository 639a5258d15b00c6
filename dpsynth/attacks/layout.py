"""What the attacks know of a table's columns: public facts that the publisher declared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes

UNIT = 64
"""Steps of one column in the mixed distance: what two different categories, or the ends of a scale, are apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of a coded table; public.

    Attributes:
      sizes: Codes of each column.
      ordered: For each column, how many of its first codes stand on a scale (bins of a number, ordered labels); 0 where
        none do. What follows them (null) is on no scale.
      known: Sets of columns, by position, that others may know of a person.
      secrets: Columns, by position, that are guessed from the others: more often rightly for people in the table?
    """

    sizes: tuple[int, ...]
    ordered: tuple[int, ...]
    known: tuple[tuple[int, ...], ...] = ()
    secrets: tuple[int, ...] = ()

    @classmethod
    def plain(cls, sizes: Sequence[int]) -> "Layout":
        """Columns of categories of which nothing else is declared."""
        return cls(sizes=tuple(sizes), ordered=(0,) * len(sizes))

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.sizes)

    @property
    def scaled(self) -> tuple[int, ...]:
        """Columns with a scale, by position."""
        return tuple(i for i, bins in enumerate(self.ordered) if bins > 1)

    @property
    def unscaled(self) -> tuple[int, ...]:
        """All other columns."""
        return tuple(i for i, bins in enumerate(self.ordered) if bins <= 1)


def places(codes: Codes, layout: Layout) -> Codes:
    """Where each value of the columns with a scale stands on it: ``min(|a - b|, UNIT)`` is how far two are apart.

    The ends of a scale are ``UNIT`` apart; null, and whatever else follows the scale, is ``UNIT`` from all but itself.

    Args:
      codes: Shape (columns, rows).
      layout: Of these columns.

    Returns:
      Whole numbers of the smallest unsigned type, shape (columns with a scale, rows).
    """
    tables = [_places_of(layout.sizes[i], layout.ordered[i]) for i in layout.scaled]
    dtype = np.min_scalar_type(max([0, *(int(table.max()) for table in tables)]) + 2 * UNIT)
    found = [table.astype(dtype)[codes[i]] for i, table in zip(layout.scaled, tables, strict=True)]
    return np.array(found, dtype=dtype).reshape(len(found), codes.shape[1])


def _places_of(size: int, bins: int) -> NDArray[np.int64]:
    """The place of each code of one column."""
    scale = (np.arange(bins, dtype=np.int64) * UNIT + (bins - 1) // 2) // (bins - 1)
    return np.concatenate([scale, UNIT * (2 + np.arange(size - bins, dtype=np.int64))])
