"""Rounding a model to whole rows: a sample whose pairs and triples are moved close to the model's own.

A sample of as many rows as the data had adds its own error to the model's. Here each attribute of each row takes the
value that brings all marginals with that attribute, its own included, nearest to the model's, by coordinate descent on
the sum over cells of (count - expected)^2 / (expected + 1). Values that the model gives no probability beside the
row's others are never taken. A function of the model and of post-processing randomness alone.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Domain
from dpsynth.estimation.base import Conditional

MOST_CELLS = 6_000_000
"""Cells of all tables together, each held three times (15 bytes)."""

MOST_VISITS = {3: 100_000_000, 2: 500_000_000}
"""Rows times attributes times tables with the attribute: bounds the time; by the number of attributes of a table."""

VISITS = {3: 100_000_000, 2: 80_000_000}
"""Visits that are made: where there would be more, only a random part of the rows is moved, for each attribute another.
That loses little, because few moves take away what is overfull (acs_income_us_exca: three tenths of the rows instead of
all take less than half the time, and the mean total variation of pairs grows by half a percent)."""

SINGLE = 3.0
"""Weight of an attribute's own counts, as a multiple of the number of tables with it. Without them a rare code loses or
gains rows: most of its cells expect less than half a row, so that none there is near."""

LEVELS = 256
OTHERS, COPY = 2, 4


def tables_to_match(domain: Domain, rows: int, *, model_cells: int) -> NDArray[np.int64]:
    """All triples where the model has at least as many cells as rows and the tables are few enough, or all pairs, or
    none: positions of attributes, shape (tables, ways)."""
    d = len(domain.names)
    for ways, most in MOST_VISITS.items():
        visits = rows * d * math.comb(d - 1, ways - 1)
        if d >= ways and visits <= most and (ways == 2 or model_cells >= rows):
            sets = np.array(list(itertools.combinations(range(d), ways)), dtype=np.int64)
            if sum(math.prod(domain.sizes[a] for a in q) for q in sets.tolist()) <= MOST_CELLS:
                return sets
    return np.zeros((0, 2), dtype=np.int64)


def round_to_model(
    codes: NDArray[Any],
    many: NDArray[Any],
    domain: Domain,
    steps: Sequence[Conditional],
    sets: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Move a sample's marginals towards those of many more rows of the same model.

    Args:
      codes: The sample, shape (attributes, rows).
      many: Many rows of the model, shape (attributes, rows).
      domain: The public domain.
      steps: How the model draws a row; those without hidden variables say which values are possible.
      sets: Tables to match, from :func:`tables_to_match`.
      rng: Randomness of the order.

    Returns:
      Codes of the same shape.

    Privacy:
      None; post-processing.
    """
    from dpsynth.sampling.kernel import improve, prices

    sizes = np.array(domain.sizes, dtype=np.int64)
    shapes = sizes[sets]
    cells = shapes.prod(axis=1)
    starts = np.cumsum(cells) - cells
    counts, wanted = (_tables(c, sizes, sets, starts, int(cells.sum())) for c in (codes, many))
    levels = (1.0 / np.geomspace(1.0, 2.0**24, LEVELS)).astype(np.float32)
    costs, weights = (np.empty(len(counts) * sets.shape[1], dtype=kind) for kind in (np.float32, np.uint8))
    prices()(counts, wanted, codes.shape[1] / many.shape[1], shapes, starts, levels, costs, weights)
    places = _places(domain, sets)
    costs, weights, places = _with_singles(codes, many, domain, levels, costs, weights, places)
    possible, allowed = _possible(domain, steps)
    rows = np.ascontiguousarray(codes.T, dtype=np.int32)
    visits = len(rows) * sum(len(p) for p in places)
    moved = len(rows) * min(visits, VISITS[sets.shape[1]]) // max(visits, 1)
    for attribute, size in enumerate(domain.sizes):
        order = rng.permutation(len(rows))[:moved]
        improve()(
            rows, attribute, size, order, places[attribute], costs, weights, levels, possible[attribute], allowed
        )
    return np.ascontiguousarray(rows.T)


def _tables(
    codes: NDArray[Any], sizes: NDArray[np.int64], sets: NDArray[np.int64], starts: NDArray[np.int64], cells: int
) -> NDArray[np.int32]:
    """Counts of all tables, flat, one after the other."""
    from dpsynth.sampling.kernel import tally

    table = np.zeros(cells, dtype=np.int32)
    tally()(np.ascontiguousarray(codes, dtype=np.uint32), sizes, sets, starts, table)
    return table


def _with_singles(
    codes: NDArray[Any],
    many: NDArray[Any],
    domain: Domain,
    levels: NDArray[np.float32],
    costs: NDArray[np.float32],
    weights: NDArray[np.uint8],
    places: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.float32], NDArray[np.uint8], list[NDArray[np.int64]]]:
    """The books with each attribute's own counts added, ``SINGLE`` times for each table with it."""
    found, scale, begin = [], codes.shape[1] / many.shape[1], len(costs)
    all_costs, all_weights = [costs], [weights]
    for a, size in enumerate(domain.sizes):
        held, wanted = (np.bincount(c[a].astype(np.int64), minlength=size) for c in (codes, many))
        expected = scale * wanted
        level = np.log2((expected + 1.0) / (SINGLE * max(1, len(places[a]))))
        level = np.clip(np.rint(level * (LEVELS - 1) / 24.0), 0, LEVELS - 1).astype(np.uint8)
        all_costs.append((levels[level] * (2.0 * (held - expected) + 1.0)).astype(np.float32))
        all_weights.append(level)
        row = np.array([[0, 0, begin, 0, 0, 1, *[-1, 0, 0, 0] * 2]], dtype=np.int64)
        found.append(np.concatenate([places[a], row]))
        begin += size
    return np.concatenate(all_costs), np.concatenate(all_weights), found


def _places(domain: Domain, sets: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """For each attribute the rows of ``places`` that the kernel takes."""
    found: list[list[list[int]]] = [[] for _ in domain.sizes]
    start = 0
    for q in sets.tolist():
        cells = math.prod(domain.sizes[a] for a in q)
        copies = {}
        for i, a in enumerate(q):
            strides, stride = {a: 1}, domain.sizes[a]
            for other in reversed([b for b in q if b != a]):
                strides[other] = stride
                stride *= domain.sizes[other]
            copies[a] = (start + i * cells, strides)
        for a in q:
            others = [b for b in q if b != a]
            row = [others[0], others[-1]]
            for b in (a, *others):
                begin, strides = copies[b]
                row += [begin, strides[others[0]], strides[others[1]] if len(others) > 1 else 0, strides[a]]
            found[a].append(row + [-1, 0, 0, 0] * (3 - len(q)))
        start += len(q) * cells
    return [np.array(f, dtype=np.int64).reshape(-1, OTHERS + 3 * COPY) for f in found]


def _possible(domain: Domain, steps: Sequence[Conditional]) -> tuple[list[NDArray[np.int64]], NDArray[np.bool_]]:
    """For each attribute the model's tables that it is in: where each begins in the flat truth values, and strides."""
    d = len(domain.names)
    found: list[list[list[int]]] = [[] for _ in range(d)]
    flat, start = [np.ones(1, dtype=bool)], 1
    for step in steps:
        variables, shape = (*step.given, *step.new), (*step.given_shape, *step.new_shape)
        if any(v >= d for v in variables) or (step.table > 0).all():
            continue
        row = [start] + [0] * d
        for i, v in enumerate(variables):
            row[1 + v] = math.prod(shape[i + 1 :])
        for v in variables:
            found[v].append(row)
        flat.append((step.table > 0).ravel())
        start += step.table.size
    return [np.array(f, dtype=np.int64).reshape(-1, 1 + d) for f in found], np.concatenate(flat)
