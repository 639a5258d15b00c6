"""Compiled drawing and improving of coded rows. Importing this module imports numba."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from dpsynth.compiling import compiled

Compiled = Callable[..., Any]

LEAST = 2.1
"""Smallest gain of a move that is made: in excess of 2, as a multiple of the weights of the cells that it leaves."""


def _draw(table: Any, group: Any, uniforms: Any, order: Any, drawn: Any) -> None:
    groups, cells = table.shape
    rows = group.shape[0]
    ends = np.zeros(groups + 1, np.int64)
    for r in range(rows):
        ends[group[r] + 1] += 1
    for g in range(groups):
        ends[g + 1] += ends[g]
    place = ends[:groups].copy()
    placed = np.empty(rows, np.int64)
    for i in range(rows):
        g = group[order[i]]
        placed[place[g]] = order[i]
        place[g] += 1
    for g in range(groups):
        first, count = ends[g], ends[g + 1] - ends[g]
        if count == 0:
            continue
        mass, last = 0.0, cells - 1
        for c in range(cells):
            if table[g, c] > 0.0:
                mass += table[g, c]
                last = c
        step = mass / count
        cell, reached = 0, table[g, 0]
        for k in range(count):
            position = (k + uniforms[g]) * step
            if mass > 0.0:
                while cell < last and (reached <= position or table[g, cell] == 0.0):
                    cell += 1
                    reached += table[g, cell]
            else:
                cell = min(cells - 1, int((k + uniforms[g]) * cells / count))
            drawn[placed[first + k]] = cell


@cache
def draw() -> Compiled:
    """The compiled ``draw(table, group, uniforms, order, drawn)``: a systematic sample of each group's shares.

    ``table`` (groups, cells); ``group`` of each row; ``uniforms`` one in [0, 1) a group; ``order`` a random order
    of the rows; fills ``drawn`` with a cell for each row, never one without mass where its group has any.
    """
    whole, real = numba.int64[::1], numba.float64
    return cast(Compiled, compiled(_draw, numba.void(real[:, ::1], whole, real[::1], whole, whole)))


def _tally(codes: Any, sizes: Any, sets: Any, starts: Any, table: Any) -> None:
    rows, ways = codes.shape[1], sets.shape[1]
    joint = np.zeros(rows, np.uint32)
    for q in range(sets.shape[0]):
        fresh = q == 0
        if not fresh:
            for j in range(ways - 1):
                fresh |= sets[q, j] != sets[q - 1, j]
        if fresh:
            joint[:] = 0
            for j in range(ways - 1):
                size, column = np.uint32(sizes[sets[q, j]]), codes[sets[q, j]]
                for r in range(rows):
                    joint[r] = joint[r] * size + column[r]
        size, column = np.uint32(sizes[sets[q, ways - 1]]), codes[sets[q, ways - 1]]
        own = table[starts[q] :]
        for r in range(rows):
            own[joint[r] * size + column[r]] += 1


@cache
def tally() -> Compiled:
    """The compiled ``tally(codes, sizes, sets, starts, table)``: counts of each set of attributes, ``starts[q]`` on."""
    whole = numba.int64
    signature = numba.void(numba.uint32[:, ::1], whole[::1], whole[:, ::1], whole[::1], numba.int32[::1])
    return cast(Compiled, compiled(_tally, signature))


def _prices(
    counts: Any, wanted: Any, scale: float, shapes: Any, starts: Any, levels: Any, costs: Any, weights: Any
) -> None:
    ways, finest = shapes.shape[1], (len(levels) - 1) / 24.0
    steps = np.ones((3, 3), np.int64)
    for q in range(shapes.shape[0]):
        cells = 1
        for j in range(ways):
            cells *= shapes[q, j]
        for i in range(ways):  # strides of the copy that has axis i innermost
            stride = shapes[q, i]
            steps[i, i] = 1
            for j in range(ways - 1, -1, -1):
                if j != i:
                    steps[i, j] = stride
                    stride *= shapes[q, j]
        last = shapes[q, ways - 1]
        for cell in range(cells):
            expected = np.float32(wanted[starts[q] + cell]) * np.float32(scale)
            level = min(np.rint(np.log2(expected + np.float32(1.0)) * finest), len(levels) - 1.0)
            weight = np.uint8(level)
            excess = np.float32(counts[starts[q] + cell]) - expected
            cost = levels[weight] * (np.float32(2.0) * excess + np.float32(1.0))
            front, back = cell // last, cell % last
            for i in range(ways):
                at = ways * starts[q] + i * cells + back * steps[i, ways - 1]
                if ways == 3:
                    at += (front // shapes[q, 1]) * steps[i, 0] + (front % shapes[q, 1]) * steps[i, 1]
                else:
                    at += front * steps[i, 0]
                costs[at], weights[at] = cost, weight


@cache
def prices() -> Compiled:
    """The compiled ``prices(counts, wanted, scale, shapes, starts, levels, costs, weights)``.

    ``counts`` and ``wanted``: each table's counts, flat, from ``starts[q]`` on; a wanted one times ``scale`` is what is
    expected. ``shapes`` (tables, 2 or 3). Fills ``costs`` and ``weights`` as :func:`improve` takes them, each table
    in a copy for each of its attributes, which is innermost in it.
    """
    whole, real = numba.int64, numba.float32[::1]
    signature = numba.void(
        numba.int32[::1], numba.int32[::1], numba.float64, whole[:, ::1], whole[::1], real, real, numba.uint8[::1]
    )
    return cast(Compiled, compiled(_prices, signature))


def _improve(
    rows: Any, attribute: Any, size: Any, order: Any, places: Any, costs: Any, weights: Any, levels: Any,
    steps: Any, allowed: Any,
) -> int:
    moved, contexts = 0, places.shape[0]
    score = np.empty(size, np.float32)
    begins = np.empty(contexts, np.int64)
    for i in order:
        row = rows[i]
        old = row[attribute]
        left, weight = np.float32(0.0), np.float32(0.0)
        for k in range(contexts):
            at = places[k, 2] + row[places[k, 0]] * places[k, 3] + row[places[k, 1]] * places[k, 4]
            begins[k] = at
            left += costs[at + old]
        if left > np.float32(0.0):  # only then are weights, which lie elsewhere in memory, worth reading
            for k in range(contexts):
                weight += levels[weights[begins[k] + old]]
        if left <= np.float32(2.0) * weight:  # its cells aren't overfull: moving it would hardly pay
            continue
        score[:] = 0.0
        for k in range(contexts):
            line = costs[begins[k] : begins[k] + size]
            for x in range(size):
                score[x] += line[x]
        best, least = old, left - np.float32(LEAST) * weight - np.float32(1e-4)
        for x in range(size):
            if x != old and score[x] < least:
                best, least = x, score[x]
        if best == old:
            continue
        row[attribute] = best
        fits = True
        for s in range(steps.shape[0]):
            at = steps[s, 0]
            for j in range(rows.shape[1]):
                at += steps[s, 1 + j] * row[j]
            fits = fits and allowed[at]
        if not fits:
            row[attribute] = old
            continue
        moved += 1
        for k in range(contexts):
            less = np.float32(2.0) * levels[weights[begins[k] + old]]
            more = np.float32(2.0) * levels[weights[begins[k] + best]]
            first, second = row[places[k, 0]], row[places[k, 1]]
            for c in range(2, places.shape[1], 4):
                if places[k, c] >= 0:
                    at = places[k, c] + first * places[k, c + 1] + second * places[k, c + 2]
                    costs[at + old * places[k, c + 3]] -= less
                    costs[at + best * places[k, c + 3]] += more
    return moved


@cache
def improve() -> Compiled:
    """The compiled ``improve(rows, attribute, size, order, places, costs, weights, levels, steps, allowed)``.

    Gives one attribute of each row, in ``order``, the value that lowers the loss most; returns how many moved. ``rows``
    (rows, attributes). ``costs``: for each cell of each table, what one more row would add to the loss; ``weights``:
    the place of the cell's weight in ``levels``. ``places``: for each table with the attribute, the two others, and for
    each of its three copies where it begins and its strides for those two and for the attribute (-1: no copy); the
    first has the attribute innermost. ``steps``: for each table of the model with the attribute, where it begins in
    ``allowed`` and a stride for each attribute.
    """
    whole, real = numba.int64, numba.float32[::1]
    signature = whole(
        numba.int32[:, ::1], whole, whole, whole[::1], whole[:, ::1], real, numba.uint8[::1], real,
        whole[:, ::1], numba.boolean[::1],
    )
    return cast(Compiled, compiled(_improve, signature, fastmath={"reassoc", "nsz", "contract"}))
