"""How many rows like a given one a table would hold by chance: a tree of pairs fitted to the table itself.

A tree of pairs (Chow and Liu 1968, https://doi.org/10.1109/TIT.1968.1054142) keeps the strongest dependences that a
table shows. Where a row occurs in the table although the tree expects next to none of it, chance hardly explains it.
The tree is a function of the table alone: whoever has the table can fit it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes, Table

MOST_CELLS = 2**24
"""Pairs of columns with more cells than this aren't looked at."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chance:
    """A tree of pairs fitted to a table; public, as the table is.

    Attributes:
      rows: Rows of the table.
      parents: For each column the column that it depends on; -1 where there is none.
      logs: For each column the logarithm of its shares, given the parent's code where it has one: shape (codes,) or
        (parent's codes, codes).
    """

    rows: int
    parents: tuple[int, ...]
    logs: tuple[NDArray[np.float64], ...] = field(repr=False)

    def expected(self, codes: Codes) -> NDArray[np.float64]:
        """Expected number of rows equal to each of these, shape (rows,).

        Args:
          codes: Codes within the sizes, shape (columns, rows).
        """
        found = np.full(codes.shape[1], np.log(max(self.rows, 1)))
        for column, (parent, logs) in enumerate(zip(self.parents, self.logs, strict=True)):
            found += logs[codes[column]] if parent < 0 else logs[codes[parent], codes[column]]
        return np.asarray(np.exp(found), np.float64)


def by_chance(table: Table) -> Chance:
    """Fit a tree of pairs to a table; one half is added to each code's count, a row's worth of those to each condition.

    Args:
      table: From :func:`dpsynth.attacks.nearest.prepare`; no rows is allowed.

    Privacy: none; a function of the synthetic table.
      Checked by: tests/dpsynth/attacks/test_improbable.py::test_many_rows_of_a_tree_are_expected_as_they_are
    """
    singles = [_counts(table, (column,)) for column in range(table.columns)]
    parents = _tree(table, singles)
    shares = [(counts + 0.5) / (table.rows + 0.5 * counts.size) for counts in singles]
    logs = []
    for column, parent in enumerate(parents):
        made = shares[column]
        if parent >= 0:
            made = (_counts(table, (parent, column)) + made) / (singles[parent][:, None] + 1.0)
        logs.append(np.log(made))
    return Chance(rows=table.rows, parents=parents, logs=tuple(logs))


def _counts(table: Table, columns: Sequence[int]) -> NDArray[np.float64]:
    """Counts of a marginal of the table, repeated rows counted."""
    shape = tuple(table.sizes[c] for c in columns)
    cells = np.ravel_multi_index(tuple(table.distinct[c].astype(np.int64) for c in columns), shape)
    counts = np.bincount(cells, weights=table.copies.astype(np.float64), minlength=int(np.prod(shape)))
    return np.asarray(counts, np.float64).reshape(shape)


def _tree(table: Table, singles: Sequence[NDArray[np.float64]]) -> tuple[int, ...]:
    """Parents in a spanning tree of most mutual information; the first of equals; too large pairs are left out."""
    known = np.zeros((table.columns, table.columns))
    for a, b in combinations(range(table.columns), 2):
        if singles[a].size * singles[b].size <= MOST_CELLS:
            known[a, b] = known[b, a] = _information(_counts(table, (a, b)), singles[a], singles[b])
    parents, inside = [-1] * table.columns, np.zeros(table.columns, dtype=bool)
    gain, best = np.zeros(table.columns), np.full(table.columns, -1)
    for _ in range(table.columns):
        column = int(np.argmax(np.where(inside, -1.0, gain)))
        inside[column], parents[column] = True, int(best[column])
        better = ~inside & (known[column] > gain)
        gain[better], best[better] = known[column][better], column
    return tuple(parents)


def _information(pair: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Mutual information in nats times the number of rows."""
    a, b = np.nonzero(pair)
    seen = pair[a, b]
    return float((seen * np.log(seen * first.sum() / (first[a] * second[b]))).sum())
