"""Distance of every record to the closest row of a coded table, exact, by Hamming distance over columns.

Equal rows are found by sorting keys; only the others are scanned, once each, and a scan ends at distance 1. Where an
accelerator was asked for and is there, it scans.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.accelerating import accelerator, closest

Codes = NDArray[Any]
"""Coded columns: unsigned integers, shape (columns, rows)."""

LEAVE_ONE_OUT_ROWS = 5_000
_KEY_LIMIT = 2**62
_THREADS = 2
_ROWS_PER_THREAD = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A synthetic table made ready for scanning; public facts about the table itself.

    Attributes:
      sizes: Codes of each column.
      rows: Number of rows before repeated rows are dropped.
      distinct: The different rows, most frequent first, shape (columns, distinct rows).
      copies: How often each of them occurs.
      origin: For each row of the table, the position of its equal in ``distinct``.
    """

    sizes: tuple[int, ...]
    rows: int
    distinct: Codes = field(repr=False)
    copies: NDArray[np.int64] = field(repr=False)
    origin: NDArray[np.int64] = field(repr=False)

    @property
    def columns(self) -> int:
        """Number of columns: the largest distance between two rows."""
        return len(self.sizes)


def prepare(synthetic: Codes, sizes: Sequence[int]) -> Table:
    """Drop repeated rows of a synthetic table and order the rest by frequency.

    Args:
      synthetic: Codes, shape (columns, rows); no rows is allowed.
      sizes: Public number of codes of each column.
    """
    codes = _compact(synthetic, sizes)
    _, first, inverse, copies = np.unique(
        _keys(codes, sizes), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(-copies, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    return Table(
        sizes=tuple(sizes),
        rows=codes.shape[1],
        distinct=codes[:, first[order]],
        copies=copies[order].astype(np.int64),
        origin=position[inverse].astype(np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Nearness:
    """How near rows are to a table. PRIVATE where the rows are records; its repr shows no number.

    Attributes:
      distance: Columns in which the closest row of the table differs, int64, shape (rows,); ``columns + 1`` where there
        is none.
      isolation: Where the distance is 0, columns in which the closest DIFFERENT row of the table differs
        (``columns + 1`` where there is none); 0 elsewhere.
    """

    distance: NDArray[np.int64]
    isolation: NDArray[np.int64]

    def __repr__(self) -> str:
        return "Nearness(<private>)"


def nearness(records: Codes, table: Table) -> Nearness:
    """Distance of every record to the closest row of ``table``, and the isolation of those that occur in it.

    Args:
      records: Codes, shape (columns, rows); no rows is allowed.
      table: From :func:`prepare`.
    """
    codes = _compact(records, table.sizes)
    rows, known = codes.shape[1], table.distinct.shape[1]
    if rows == 0 or known == 0:
        return Nearness(
            distance=np.full(rows, table.columns + 1, dtype=np.int64), isolation=np.zeros(rows, dtype=np.int64)
        )
    first, inverse, place, equal = _equals(codes, table)
    distance, isolation = np.zeros(first.size, dtype=np.int64), np.zeros(first.size, dtype=np.int64)
    others = first[~equal]
    distance[~equal] = _nearest_other(codes[:, others], table, np.full(others.size, -1, dtype=np.int64))
    isolation[equal] = _nearest_other(table.distinct[:, place[equal]], table, place[equal])
    return Nearness(distance=distance[inverse], isolation=isolation[inverse])


def occurs(records: Codes, table: Table) -> NDArray[np.bool_]:
    """Whether each record occurs in the table, shape (rows,). PRIVATE where the rows are records.

    Args:
      records: Codes, shape (columns, rows); no rows is allowed.
      table: From :func:`prepare`.
    """
    codes = _compact(records, table.sizes)
    if codes.shape[1] == 0 or table.distinct.shape[1] == 0:
        return np.zeros(codes.shape[1], dtype=bool)
    _, inverse, _, equal = _equals(codes, table)
    return np.asarray(equal[inverse], bool)


def _equals(codes: Codes, table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Codes]:
    """First record of each different one, each record's different one, its place in the table and if it's there."""
    rows, known = codes.shape[1], table.distinct.shape[1]
    keys = _keys(np.concatenate([codes, table.distinct], axis=1), table.sizes)
    wanted, first, inverse = np.unique(keys[:rows], return_index=True, return_inverse=True)
    order = np.argsort(keys[rows:])
    place = order[np.minimum(np.searchsorted(keys[rows:], wanted, sorter=order), known - 1)]
    return first, inverse, place, keys[rows:][place] == wanted


def sample_of(rows: int, limit: int = LEAVE_ONE_OUT_ROWS) -> NDArray[np.int64]:
    """Positions of at most ``limit`` evenly spaced rows."""
    size = min(rows, limit)
    return np.arange(size, dtype=np.int64) * rows // max(1, size)


def leave_one_out(table: Table, sample: NDArray[np.int64] | None = None) -> Nearness:
    """Nearness of rows of the table to its other rows.

    ``isolation`` is given for every one of these rows, whether or not it has an equal.

    Args:
      table: From :func:`prepare`.
      sample: Positions of the rows in the table that was prepared; by default at most 5,000, evenly spaced.
    """
    sample = sample_of(table.rows) if sample is None else sample
    own, inverse = np.unique(table.origin[sample], return_inverse=True)
    isolation = _nearest_other(table.distinct[:, own], table, own)
    distance = np.where(table.copies[own] > 1, 0, isolation)
    return Nearness(distance=distance[inverse], isolation=isolation[inverse])


def _nearest_other(codes: Codes, table: Table, skip: NDArray[np.int64]) -> NDArray[np.int64]:
    """Closest row other than ``skip``, for rows that have no equal among the others."""
    best = np.full(codes.shape[1], table.columns + 1, dtype=codes.dtype)
    if best.size == 0 or table.distinct.shape[1] <= int(skip[0] >= 0):
        return best.astype(np.int64)
    device = accelerator()
    if device is not None:
        return closest(codes, table.distinct, skip, most=table.columns + 1, device=device)
    from dpsynth.attacks.kernel import BLOCK, kernel

    scan, blocks = kernel(codes.dtype.name), in_blocks(table.distinct, BLOCK)
    rows, skip = np.ascontiguousarray(codes.T), np.ascontiguousarray(skip, dtype=np.int64)
    in_threads(lambda part: scan(rows[part], blocks, skip[part], best[part]), best.size)
    return best.astype(np.int64)


def in_threads(scan: Callable[[slice], None], rows: int) -> None:
    """Run a compiled scan over all rows, in two threads where there are enough of them."""
    threads = _THREADS if rows >= _ROWS_PER_THREAD else 1
    parts = [slice(a, b) for a, b in pairwise(np.linspace(0, rows, threads + 1).astype(int).tolist())]
    if threads == 1:
        scan(parts[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(scan, parts))


def in_blocks(codes: Codes, block: int) -> Codes:
    """Column-major blocks, shape (blocks, columns, block), the last one filled with a value that is no code.

    A filling differs from every row in all columns, so it is never closer than the one true row that there is.
    """
    columns, rows = codes.shape
    count = -(-rows // block)
    padded = np.full((columns, count * block), np.iinfo(codes.dtype).max, dtype=codes.dtype)
    padded[:, :rows] = codes
    return np.ascontiguousarray(padded.reshape(columns, count, block).transpose(1, 0, 2))


def _compact(codes: Codes, sizes: Sequence[int]) -> Codes:
    """The smallest unsigned dtype that holds every code, every distance, and one value more for the filling."""
    largest = max(*sizes, len(sizes) + 2)
    return np.ascontiguousarray(codes, dtype=np.min_scalar_type(largest))


def _keys(codes: Codes, sizes: Sequence[int]) -> NDArray[np.int64]:
    """One integer per row, equal exactly where rows are equal: mixed radix, ranked anew before it would overflow."""
    keys, bound = np.zeros(codes.shape[1], dtype=np.int64), 1
    for column, size in zip(codes, sizes, strict=True):
        if bound * size > _KEY_LIMIT:
            values, keys = np.unique(keys, return_inverse=True)
            bound = max(1, values.size)
        keys = keys * size + column
        bound *= size
    return keys
