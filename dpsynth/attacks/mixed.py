"""Distance of every record to the closest row of a coded table where some columns have a scale: exact, in whole steps.

Gower's distance on public scales: a column of categories adds ``UNIT`` where two values differ, a column with a scale
adds how far they stand apart on it, ``UNIT`` from end to end; null is ``UNIT`` from every value and 0 from null.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.accelerating import accelerator, closest_mixed
from dpsynth.attacks.layout import UNIT, Layout, places
from dpsynth.attacks.nearest import Codes, Table, in_blocks, in_threads, sample_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedTable:
    """A synthetic table made ready for mixed distances; public facts about the table itself.

    Attributes:
      layout: Of its columns.
      table: The same table, repeated rows dropped.
      labels: Codes of its columns of categories, in blocks, shape (blocks, columns, rows of a block).
      scaled: Places of its other columns, likewise.
    """

    layout: Layout
    table: Table
    labels: Codes = field(repr=False)
    scaled: Codes = field(repr=False)


def prepare_mixed(table: Table, layout: Layout) -> MixedTable:
    """Make a table ready for :func:`mixed_distance`.

    Args:
      table: From :func:`dpsynth.attacks.nearest.prepare`.
      layout: Of its columns.
    """
    from dpsynth.attacks.kernel import BLOCK

    labels, scaled = _parts(table.distinct, layout)
    return MixedTable(layout=layout, table=table, labels=in_blocks(labels, BLOCK), scaled=in_blocks(scaled, BLOCK))


def mixed_distance(records: Codes, mixed: MixedTable) -> NDArray[np.int64]:
    """Mixed distance of every record to the closest row; one step more than the largest distance where there is none.

    Args:
      records: Codes, shape (columns, rows). Private where they are records: so is what is returned.
      mixed: From :func:`prepare_mixed`.
    """
    return _closest(records, mixed, np.full(records.shape[1], -1, dtype=np.int64))


def mixed_leave_one_out(mixed: MixedTable) -> NDArray[np.int64]:
    """Mixed distance of at most 5,000 rows of the table, evenly spaced, to its other rows."""
    own = mixed.table.origin[sample_of(mixed.table.rows)]
    found = _closest(mixed.table.distinct[:, own], mixed, own)
    return np.where(mixed.table.copies[own] > 1, 0, found)


def _closest(codes: Codes, mixed: MixedTable, skip: NDArray[np.int64]) -> NDArray[np.int64]:
    dtype, most = mixed.labels.dtype, UNIT * mixed.layout.columns + 1
    best = np.full(codes.shape[1], most, dtype=dtype)
    if best.size == 0 or mixed.table.distinct.shape[1] <= int(skip[0] >= 0):
        return best.astype(np.int64)
    device = accelerator()
    if device is not None:
        searched = _parts(mixed.table.distinct, mixed.layout)
        return closest_mixed(*_parts(codes, mixed.layout), *searched, skip, unit=UNIT, most=most, device=device)
    from dpsynth.attacks.kernel import mixed_kernel

    labels, scaled = (np.ascontiguousarray(part.T) for part in _parts(codes, mixed.layout))
    scan, unit = mixed_kernel(dtype.name), dtype.type(UNIT)
    in_threads(
        lambda part: scan(labels[part], scaled[part], mixed.labels, mixed.scaled, skip[part], best[part], unit),
        best.size,
    )
    return best.astype(np.int64)


def _parts(codes: Codes, layout: Layout) -> tuple[Codes, Codes]:
    """Codes of the columns of categories and places of the others, in one dtype that holds every distance."""
    scaled = places(codes, layout)
    largest = max(*layout.sizes, UNIT * layout.columns + 1, *(UNIT * (size + 4) for size in _scaled_sizes(layout)))
    dtype = np.dtype(np.uint16) if largest < np.iinfo(np.uint16).max else np.dtype(np.uint32)
    return codes[list(layout.unscaled)].astype(dtype), scaled.astype(dtype)


def _scaled_sizes(layout: Layout) -> list[int]:
    """How many codes follow each scale."""
    return [layout.sizes[i] - layout.ordered[i] for i in layout.scaled]
