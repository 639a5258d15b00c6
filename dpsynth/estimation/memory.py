"""How much memory a graphical model takes to be fitted: what the solver holds at its peak, from public shapes alone.

Three moments can be the largest: the oracle's operations are written (their offsets exist twice), the solver descends
(its own buffers, and eight steps and gradients of the acceleration), and the beliefs are read out of the buffer. The
fit that a warm start came from is held all the while.
"""

from collections.abc import Iterable

from dpsynth.domain import Clique
from dpsynth.estimation.junction_tree import JunctionTree
from dpsynth.estimation.oracle import Oracle

BUILDING, DESCENDING, READING = 8, 30, 12
"""Copies of every measured marginal that exist at each moment; ``tests/dpsynth/estimation/test_memory.py`` measures."""

OPERATION_BYTES = 1_000
"""A row of an operation while it is written, and what describes its tables."""


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
    measured = sum(domain.cells(q) for q in factors)
    separators = sum(domain.cells(s) for s in tree.separators)
    oracle = Oracle(tree, factors)  # its buffer is reserved, never touched
    once = tree.cells + measured + 2 * separators
    moments = (
        8 * (once + tree.cells + BUILDING * measured) + 2 * oracle.offsets_bytes,
        8 * (once + tree.cells + DESCENDING * measured) + oracle.offsets_bytes,
        8 * (once + 2 * tree.cells + READING * measured) + oracle.offsets_bytes,
    )
    return (max(moments) + OPERATION_BYTES * oracle.operations) / 1e6
