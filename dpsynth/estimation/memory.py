"""How much memory a graphical model takes to be fitted: what the solver holds at its peak, from public shapes alone.

Three moments can be the largest: the oracle's operations are written (their offsets exist twice), the solver descends
(its own buffers, and eight steps and gradients of the acceleration), and the beliefs are read out of the buffer. The
fit that a warm start came from, and what its noise was drawn in to, are held all the while.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique
from dpsynth.estimation.junction_tree import JunctionTree
from dpsynth.estimation.oracle import Oracle

Cells = float | NDArray[np.float64]

BUILDING, DESCENDING, READING = 9, 31, 13
"""Copies of every measured marginal that exist at each moment; ``tests/dpsynth/estimation/test_memory.py`` measures."""

OPERATION_BYTES, MEASURED_BYTES = 1_000, 500
"""A row of an operation while it is written, with what describes its tables; and what holds a measured marginal."""


def fit_megabytes(tree: JunctionTree, cliques: Iterable[Clique]) -> float:
    """Megabytes (10^6 bytes) that :func:`dpsynth.estimation.fit_tree` holds at its peak, warm start included.

    It speaks of what the estimator allocates, with the pages that a short descent never touches: the measurements that
    it is given, exact counts, candidates and the program itself come on top. A warm fit's measured peak lies at most a
    quarter below.

    Args:
      tree: The junction tree of the measured cliques.
      cliques: The measured cliques, in domain order; repeats cost nothing.

    Privacy:
      None; post-processing.
    """
    domain, factors = tree.domain, list(dict.fromkeys(cliques))
    oracle = Oracle(tree, factors)  # its buffer is reserved, never touched
    peak = _peak_megabytes(
        tree.cells,
        separators=sum(domain.cells(s) for s in tree.separators),
        measured=sum(domain.cells(q) for q in factors),
        factors=len(factors),
        offsets_bytes=oracle.offsets_bytes,
        operations=oracle.operations,
    )
    return float(peak)


def most_megabytes(
    cells: Cells, strided: Cells, *, measured: Cells, factors: Cells, attributes: int
) -> NDArray[np.float64]:
    """No less than :func:`fit_megabytes` of any tree with these sizes, without building it.

    A separator has at most the cells of its clique. Walks through tables are shared by operations that mirror each
    other: at most two for each measured clique and two for each edge of the tree, none with more offsets than the cells
    of a clique over its two largest attributes, since inner loops run along the largest ones.

    Args:
      cells: Cells of the junction tree, shape (trees,).
      strided: Most cells of one of its cliques over that clique's two largest attributes, shape (trees,).
      measured: Cells of the measured cliques together, each counted once, shape (trees,).
      factors: Number of measured cliques, each counted once, shape (trees,).
      attributes: Number of attributes, so at least the number of the tree's cliques.
    """
    peak = _peak_megabytes(
        cells,
        separators=cells,
        measured=measured,
        factors=factors,
        offsets_bytes=4.0 * (2.0 * (factors + attributes) * strided + 1.0),
        operations=5.0 * factors + 7.0 * attributes + 1.0,
    )
    return np.asarray(peak, dtype=np.float64)


def _peak_megabytes(
    cells: Cells, *, separators: Cells, measured: Cells, factors: Cells, offsets_bytes: Cells, operations: Cells
) -> Cells:
    once = cells + measured + 2 * separators
    building = 8 * (once + cells + BUILDING * measured) + 2 * offsets_bytes
    descending = 8 * (once + cells + DESCENDING * measured) + offsets_bytes
    reading = 8 * (once + 2 * cells + READING * measured) + offsets_bytes
    most = np.maximum(np.maximum(building, descending), reading)
    return np.asarray((most + OPERATION_BYTES * operations + MEASURED_BYTES * factors) / 1e6)
