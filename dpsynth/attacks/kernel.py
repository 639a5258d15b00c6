"""Compiled nearest neighbours, by Hamming and by mixed distance. Importing this module imports numba.

The loop runs over synthetic rows inside a column, so that one vector instruction compares many rows; a block of the
synthetic table stays in the first-level cache while every record passes over it. Counters have the codes' own width.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from dpsynth.compiling import compiled

BLOCK = 1024
"""Synthetic rows of one block: a power of two, so that the minimum is a tree of halvings."""

Kernel = Callable[[NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[Any]], None]
MixedKernel = Callable[
    [NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[Any], np.unsignedinteger[Any]],
    None,
]


def _scan(records: Any, blocks: Any, skip: Any, best: Any) -> None:
    rows, columns = records.shape
    count = np.empty(BLOCK, records.dtype)
    for b in range(blocks.shape[0]):
        block = blocks[b]
        for i in range(rows):
            if best[i] <= 1:
                continue
            value = records[i, 0]
            for j in range(BLOCK):
                count[j] = block[0, j] != value
            c = 1
            while c + 3 < columns:
                v0, v1, v2, v3 = records[i, c], records[i, c + 1], records[i, c + 2], records[i, c + 3]
                for j in range(BLOCK):
                    first = (block[c, j] != v0) + (block[c + 1, j] != v1)
                    second = (block[c + 2, j] != v2) + (block[c + 3, j] != v3)
                    count[j] += first + second
                c += 4
            while c < columns:
                value = records[i, c]
                for j in range(BLOCK):
                    count[j] += block[c, j] != value
                c += 1
            own = skip[i] - b * BLOCK
            if 0 <= own < BLOCK:
                count[own] = best[i]
            half = BLOCK // 2
            while half > 0:
                for j in range(half):
                    count[j] = min(count[j], count[j + half])
                half //= 2
            best[i] = min(best[i], count[0])


def _scan_mixed(records: Any, scaled: Any, blocks: Any, scaled_blocks: Any, skip: Any, best: Any, unit: Any) -> None:
    rows, labelled, numbers = best.shape[0], records.shape[1], scaled.shape[1]
    count, apart = np.empty(BLOCK, best.dtype), np.empty(BLOCK, best.dtype)
    for b in range(blocks.shape[0]):
        for i in range(rows):
            if best[i] == 0:
                continue
            for j in range(BLOCK):
                count[j] = 0
            for c in range(labelled):
                value = records[i, c]
                for j in range(BLOCK):
                    count[j] += blocks[b, c, j] != value
            for j in range(BLOCK):
                count[j] *= unit
            for c in range(numbers):
                place = scaled[i, c]
                for j in range(BLOCK):
                    apart[j] = max(scaled_blocks[b, c, j], place) - min(scaled_blocks[b, c, j], place)
                for j in range(BLOCK):
                    count[j] += min(apart[j], unit)
            own = skip[i] - b * BLOCK
            if 0 <= own < BLOCK:
                count[own] = best[i]
            half = BLOCK // 2
            while half > 0:
                for j in range(half):
                    count[j] = min(count[j], count[j + half])
                half //= 2
            best[i] = min(best[i], count[0])


@cache
def mixed_kernel(dtype: str) -> MixedKernel:
    """The compiled mixed scan for one unsigned dtype ("uint16", "uint32").

    ``scan(records, scaled, blocks, scaled_blocks, skip, best, unit)``: categories and places of the records (rows,
    columns) and of the table (blocks, columns, BLOCK); ``unit`` is what two categories are apart, and the most that two
    places are. skip and best as in :func:`kernel`; a record's scan ends at distance 0.
    """
    number = numba.from_dtype(np.dtype(dtype))
    rows, blocks = number[:, ::1], number[:, :, ::1]
    signature = numba.void(rows, rows, blocks, blocks, numba.int64[::1], number[::1], number)
    return cast(MixedKernel, compiled(_scan_mixed, signature))


@cache
def kernel(dtype: str) -> Kernel:
    """The compiled scan for codes of one unsigned dtype ("uint8", "uint16", "uint32").

    ``scan(records, blocks, skip, best)``: records (rows, columns); blocks (blocks, columns, BLOCK), padded with a value
    that is no code; skip[i] the position of a synthetic row that record i ignores, or -1; best[i] in and out. Records
    must not be equal to a synthetic row other than the skipped one: the scan of a record ends at distance 1.
    """
    number = numba.from_dtype(np.dtype(dtype))
    signature = numba.void(number[:, ::1], number[:, :, ::1], numba.int64[::1], number[::1])
    return cast(Kernel, compiled(_scan, signature))
