"""Compiled scoring: errors and penalties of many candidates against one sample. Importing this module imports numba."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from dpsynth.compiling import compiled

Scan = Callable[..., None]


def _scan(
    codes: Any, sizes: Any, columns: Any, cells: Any, starts: Any, exact: Any, scales: Any, errors: Any, penalties: Any
) -> None:
    rows, ways = codes.shape[1], columns.shape[1]
    scale, ceiling, saturation = scales[0], scales[1], scales[2]
    joint = np.zeros(rows, np.uint32)
    largest = 0
    for q in range(cells.size):  # a loop compiles faster than cells.max()
        largest = max(largest, cells[q])
    table = np.zeros(largest, np.int32)
    for q in range(columns.shape[0]):
        fresh = q == 0
        if not fresh:
            for j in range(ways - 1):
                fresh |= columns[q, j] != columns[q - 1, j]
        if fresh:
            joint[:] = 0
            for j in range(ways - 1):
                if columns[q, j] >= 0:
                    size, column = np.uint32(sizes[columns[q, j]]), codes[columns[q, j]]
                    for r in range(rows):
                        joint[r] = joint[r] * size + column[r]
        size, column = np.uint32(sizes[columns[q, ways - 1]]), codes[columns[q, ways - 1]]
        for r in range(rows):
            table[joint[r] * size + column[r]] += 1
        error, penalty = np.int64(0), 0.0
        seen = exact[starts[q] : starts[q] + cells[q]]
        for i in range(cells[q]):
            expected = scale * table[i]
            error += abs(np.int64(seen[i]) - np.int64(np.rint(expected)))
            penalty += min(ceiling, saturation * expected)
        table[: cells[q]] = 0
        errors[q], penalties[q] = error, penalty


@cache
def scan() -> Scan:
    """The compiled ``scan(codes, sizes, columns, cells, starts, exact, scales, errors, penalties)``.

    Codes (attributes, rows); a candidate is a row of ``columns``, padded with -1 in front, with ``cells[q]`` exact
    counts from ``starts[q]``; ``scales`` are the weight of a row of the sample, the ceiling of a cell's penalty and its
    saturation. Fills ``errors`` (whole: expected counts are rounded before the difference) and ``penalties``.
    """
    integers, counts = numba.int64[::1], numba.int32[::1]
    signature = numba.void(
        numba.uint32[:, ::1], integers, numba.int64[:, ::1], integers, integers, counts,
        numba.float64[::1], integers, numba.float64[::1],
    )
    return cast(Scan, compiled(_scan, signature, fastmath={"reassoc", "nsz", "contract"}))
