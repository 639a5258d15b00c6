"""The compiled sweep, one function that runs a list of table operations, and compiled elimination. Imports numba.

A new set of cliques is a new array of operations, never a new compilation. All tables lie in one buffer of float64;
an operation joins a big table with a small one on a subset of its axes, whose place is found by a list of offsets for
the outer axes and by two inner loops, of which one keeps its axes and the other is summed over (or repeated).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from dpsynth.compiling import compiled

Sweep = Callable[[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]], int]
Elimination = Callable[..., None]

SMALLEST = 1e-290
"""What lies below counts as zero: a whole table of it as an underflow."""


def _sweep(ops: Any, offsets: Any, work: Any, scalars: Any) -> int:
    for op in range(ops.shape[0]):
        kind, big, small = ops[op, 0], ops[op, 1], ops[op, 2]
        outer, second, inner, kept, first = ops[op, 3], ops[op, 4], ops[op, 5], ops[op, 6], ops[op, 7]
        if kind == 2:
            for o in range(outer):
                base = small + offsets[first + o]
                for j in range(second):
                    row = work[big : big + inner]
                    if kept:
                        other = work[base : base + inner]
                        for i in range(inner):
                            row[i] *= other[i]
                    else:
                        factor = work[base + j]
                        for i in range(inner):
                            row[i] *= factor
                    big += inner
        elif kind == 3:
            work[small : small + ops[op, 8]] = 0.0
            for o in range(outer):
                base = small + offsets[first + o]
                for j in range(second):
                    row = work[big : big + inner]
                    if kept:
                        other = work[base : base + inner]
                        for i in range(inner):
                            other[i] += row[i]
                    else:
                        total = 0.0
                        for i in range(inner):
                            total += row[i]
                        work[base + j] += total
                    big += inner
        elif kind == 1:
            for o in range(outer):
                base = small + offsets[first + o]
                for j in range(second):
                    row = work[big : big + inner]
                    if kept:
                        other = work[base : base + inner]
                        for i in range(inner):
                            row[i] = other[i]
                    else:
                        row[:] = work[base + j]
                    big += inner
        elif kind == 0:
            for o in range(outer):
                base = small + offsets[first + o]
                for j in range(second):
                    row = work[big : big + inner]
                    if kept:
                        other = work[base : base + inner]
                        for i in range(inner):
                            row[i] += other[i]
                    else:
                        term = work[base + j]
                        for i in range(inner):
                            row[i] += term
                    big += inner
        elif kind == 4:
            row = work[big : big + outer]
            row -= row.max()
        elif kind == 5:
            row = work[big : big + outer]
            total = 0.0
            for i in range(outer):
                total += row[i]
            if not SMALLEST < total < np.inf:
                return 1
            scale = 1.0 / total
            for i in range(outer):
                work[small + i] = row[i] * scale
        elif kind == 6:
            for i in range(outer):
                below = work[small + i]
                work[big + i] = work[big + i] / below if below > SMALLEST else 0.0
        else:
            third, precision, loss = ops[op, 8], scalars[second], 0.0
            for i in range(outer):
                residual = scalars[0] * work[big + i] - work[small + i]
                loss += residual * residual
                work[third + i] = scalars[0] * precision * residual
            scalars[1] += 0.5 * precision * loss
    return 0


@cache
def sweep() -> Sweep:
    """The compiled ``sweep(ops, offsets, work, scalars)``; returns 0, or 1 where a whole table underflowed.

    The operations and the columns of ``ops`` are those of :mod:`dpsynth.estimation.program`.
    """
    signature = numba.int64(numba.int64[:, ::1], numba.int32[::1], numba.float64[::1], numba.float64[::1])
    return cast(Sweep, compiled(_sweep, signature, fastmath={"reassoc", "nsz", "contract"}))


def _eliminate(linked: Any, sizes: Any, cliques: Any, limit: float, cells: Any, strided: Any) -> None:
    d = linked.shape[0]
    plain, around, left = np.empty(d), np.empty(d, np.int64), np.empty(d, np.int64)
    for v in range(d):
        plain[v] = sizes[v]
        for u in range(d):
            if linked[v, u]:
                plain[v] *= sizes[u]
    near, made, weight = np.empty((d, d), np.bool_), np.empty((d, d), np.bool_), np.empty(d)
    unchanged, unchanged_strided = -1.0, 1.0
    for q in range(cliques.shape[0]):
        for v in range(d):  # copies by loops: slices would bring messages of shapes that don't fit, slow to compile
            weight[v] = plain[v]
            for u in range(d):
                near[v, u], made[v, u] = linked[v, u], False
        added = False
        for a in cliques[q]:
            for b in cliques[q]:
                if a >= 0 and b >= 0 and a != b and not near[a, b]:
                    near[a, b] = added = True
                    weight[a] *= sizes[b]
        if not added and unchanged >= 0.0:
            cells[q], strided[q] = unchanged, unchanged_strided
            continue
        for u in range(d):
            left[u] = u
        total, most = 0.0, 1.0
        for step in range(d):
            at = 0
            for k in range(1, d - step):
                if weight[left[k]] < weight[left[at]]:
                    at = k
            v = left[at]
            for k in range(at, d - step - 1):
                left[k] = left[k + 1]
            degree = 0
            for k in range(d - step - 1):
                if near[v, left[k]]:
                    around[degree] = left[k]
                    degree += 1
            maximal = True
            for earlier in range(step):
                if made[v, earlier]:
                    inside = True
                    for k in range(degree):
                        inside = inside and made[around[k], earlier]
                    maximal = maximal and not inside
            made[v, step] = True
            for k in range(degree):
                made[around[k], step] = True
            if maximal:
                total += weight[v]
                if total > limit:
                    break
                first, second = sizes[v], 1.0
                for k in range(degree):
                    first, second = max(first, sizes[around[k]]), max(second, min(first, sizes[around[k]]))
                most = max(most, weight[v] / (first * second))
            for k in range(degree):
                u = around[k]
                near[u, v] = False
                weight[u] /= sizes[v]
                for m in range(degree):
                    w = around[m]
                    if w != u and not near[u, w]:
                        near[u, w] = True
                        weight[u] *= sizes[w]
        cells[q], strided[q] = total, most
        if not added:
            unchanged, unchanged_strided = total, most


@cache
def elimination() -> Elimination:
    """The compiled ``eliminate(linked, sizes, cliques, limit, cells, strided)``: what the tree is with each clique.

    ``linked`` (attributes, attributes): attributes that share a clique already; ``sizes`` float64; a clique is a row of
    attributes, padded with -1. Fills ``cells``, float64, with those of the junction tree; where they would pass
    ``limit``, with some number above it. Fills ``strided`` with the most cells of one clique over its two largest
    attributes: no walk through a table needs more offsets.
    """
    cells = numba.float64[::1]
    signature = numba.void(numba.boolean[:, ::1], cells, numba.int64[:, ::1], numba.float64, cells, cells)
    return cast(Elimination, compiled(_eliminate, signature))
