"""Distance of every record to the closest row of a coded table, exact, by Hamming distance over columns.

Equal rows are found by sorting keys; only the others are scanned, once each, and a scan ends at distance 1.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[Any]
"""Coded columns: unsigned integers, shape (columns, rows)."""

LEAVE_ONE_OUT_ROWS = 5_000
_KEY_LIMIT = 2**62
_THREADS = 2


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


def distances(records: Codes, table: Table) -> NDArray[np.int64]:
    """Distance of every record to the closest row of ``table``, int64, shape (rows,).

    A distance is the number of columns that differ, 0 to ``columns``; ``columns + 1`` where the table has no rows.

    Args:
      records: Codes, shape (columns, rows); no rows is allowed.
      table: From :func:`prepare`.
    """
    codes = _compact(records, table.sizes)
    rows, known = codes.shape[1], table.distinct.shape[1]
    if rows == 0 or known == 0:
        return np.full(rows, table.columns + 1, dtype=np.int64)
    keys = _keys(np.concatenate([codes, table.distinct], axis=1), table.sizes)
    _, first, inverse = np.unique(keys[:rows], return_index=True, return_inverse=True)
    equal = np.isin(keys[first], keys[rows:])
    found = np.zeros(first.size, dtype=np.int64)
    others = first[~equal]
    found[~equal] = _nearest_other(codes[:, others], table, np.full(others.size, -1, dtype=np.int64))
    return found[inverse]


def leave_one_out(table: Table, limit: int = LEAVE_ONE_OUT_ROWS) -> NDArray[np.int64]:
    """Distance of rows of the table to the closest other row, int64, for at most ``limit`` evenly spaced rows.

    ``columns + 1`` where there is no other row.
    """
    sample = np.arange(min(table.rows, limit), dtype=np.int64) * table.rows // max(1, min(table.rows, limit))
    own, inverse = np.unique(table.origin[sample], return_inverse=True)
    found = np.zeros(own.size, dtype=np.int64)
    single = table.copies[own] == 1
    found[single] = _nearest_other(table.distinct[:, own[single]], table, own[single])
    return found[inverse]


def _nearest_other(codes: Codes, table: Table, skip: NDArray[np.int64]) -> NDArray[np.int64]:
    """Closest row other than ``skip``, for rows that have no equal among the others."""
    best = np.full(codes.shape[1], table.columns + 1, dtype=codes.dtype)
    if best.size == 0 or table.distinct.shape[1] <= int(skip[0] >= 0):
        return best.astype(np.int64)
    from dpsynth.attacks.kernel import BLOCK, kernel

    scan, blocks = kernel(codes.dtype.name), _blocks(table.distinct, BLOCK)
    rows = np.ascontiguousarray(codes.T)
    cuts = np.linspace(0, best.size, _THREADS + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(cuts)]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda part: scan(rows[part], blocks, skip[part], best[part]), parts))
    return best.astype(np.int64)


def _blocks(codes: Codes, block: int) -> Codes:
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
