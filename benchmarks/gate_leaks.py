"""Leaks planted in honest tables, and generators that copy: what a gate has to fail. Codes in, codes out."""

from collections.abc import Callable

import numpy as np

from benchmarks.gate_runs import Plant, copies
from dpsynth.sources import Codes

LEAF = 5
CHANGED = 4


def changed_copies(honest: Codes, training: Codes, rng: np.random.Generator) -> Codes:
    """Every training row, with 4 cells drawn anew from their columns."""
    out = training.copy()
    for row, cells in enumerate(rng.permuted(np.tile(np.arange(len(out)), (out.shape[1], 1)), axis=1)[:, :CHANGED]):
        out[cells, row] = training[cells, rng.integers(0, out.shape[1], len(cells))]
    return out


def grown_trees(leaf: int) -> Plant:
    """Column after column from a tree over the columns before it, values drawn from its leaves; no privacy."""

    def plant(honest: Codes, training: Codes, rng: np.random.Generator) -> Codes:
        from sklearn.tree import DecisionTreeClassifier

        rows = training.T.astype(np.float32)
        out = np.empty_like(rows)
        out[:, 0] = rng.permutation(rows[:, 0])
        for c in range(1, rows.shape[1]):
            tree = DecisionTreeClassifier(min_samples_leaf=leaf, random_state=int(rng.integers(2**31)))
            tree.fit(rows[:, :c], rows[:, c])
            out[:, c] = _drawn(tree.apply(rows[:, :c]), rows[:, c], tree.apply(out[:, :c]), rng)
        return out.T.astype(training.dtype)

    return plant


def _drawn(leaves: np.ndarray, values: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each wanted leaf, a value of a random row in it."""
    order = np.argsort(leaves, kind="stable")
    ends = np.searchsorted(leaves[order], wanted, side="right")
    starts = np.searchsorted(leaves[order], wanted, side="left")
    return values[order[starts + (rng.random(len(wanted)) * (ends - starts)).astype(np.int64)]]


LEAKS: dict[str, Callable[[Codes, Codes, np.random.Generator], Codes] | None] = {
    "none": None,
    "the stated leak": None,
    ".25 % verbatim": copies(0.0025),
    ".5 % verbatim": copies(0.005),
    "1 % verbatim": copies(0.01),
    "2 % verbatim": copies(0.02),
    "5 % verbatim": copies(0.05),
    "every row with 4 cells changed": changed_copies,
    "trees with leaves of 5": grown_trees(LEAF),
    "trees grown to the end": grown_trees(1),
}
"""What is planted, by name: nothing in an honest table; the stated leak is what its honest table's verdict says."""
