"""The oracle: exact marginals of a product of potentials on a junction tree, in probability space.

Two passes of sum-product message passing (Shafer-Shenoy upward, Hugin downward). Only the small factors are
exponentiated, by the caller's choice of log-potentials; tables are multiplied and summed as plain probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique
from dpsynth.estimation.junction_tree import JunctionTree

Table = NDArray[np.float64]

SHORT = 8
"""A trailing axis this short is summed past by a matrix product."""


def expand(table: Table, clique: Clique, onto: Clique) -> Table:
    """View of a table on ``clique`` with broadcastable axes of size 1 for the other attributes of ``onto``."""
    index = tuple(slice(None) if n in clique else None for n in onto)
    return table[index]


def reduce_to(table: Table, clique: Clique, onto: Clique) -> Table:
    """Sum a table on ``clique`` down to the attributes of ``onto``."""
    if len(clique) == len(onto):
        return table
    shape = tuple(s for s, n in zip(table.shape, clique, strict=True) if n in onto)
    for first, last in _runs([n not in onto for n in clique]):
        table = _sum_run(table, first, last)
    return table.reshape(shape)


def _runs(gone: list[bool]) -> list[tuple[int, int]]:
    """Runs of adjacent axes to sum over, last first, so that earlier axes keep their places."""
    edges = [i for i, (a, b) in enumerate(pairwise([False, *gone, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))[::-1]


def _sum_run(table: Table, first: int, last: int) -> Table:
    """Sum over axes ``first .. last - 1`` as one matrix product: what NumPy's own sum is slow at with short axes."""
    before, after = table.shape[:first], table.shape[last:]
    run, tail = math.prod(table.shape[first:last]), math.prod(after)
    if tail == 1:
        summed = table.reshape(-1, run) @ np.ones(run)
    elif tail <= SHORT:
        summed = table.reshape(-1, run * tail) @ np.tile(np.eye(tail), (run, 1))
    else:
        summed = table.reshape(-1, run, tail).sum(axis=1)
    return np.asarray(summed).reshape(before + after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """Marginals of prod_q exp(theta_q) for factors on fixed cliques, each inside a clique of a junction tree.

    Attributes:
      tree: The junction tree.
      factors: The factors' cliques.
      homes: Index of the tree clique that each factor folds into.
      covers: For each factor, the index of a largest factor that contains it (its own where there is none): small
        tables are added up there before anything large is touched.
    """

    tree: JunctionTree
    factors: tuple[Clique, ...]
    homes: tuple[int, ...]
    covers: tuple[int, ...]

    @classmethod
    def of(cls, tree: JunctionTree, factors: Sequence[Clique]) -> "Oracle":
        """An oracle for these factors; each must lie inside a clique of the tree."""
        factors = tuple(factors)
        covers = _covers([frozenset(c) for c in factors], [tree.domain.cells(c) for c in factors])
        return cls(tree=tree, factors=factors, homes=tuple(tree.home(c) for c in factors), covers=covers)

    def beliefs(self, theta: Sequence[Table]) -> list[Table]:
        """Probability tables of the tree's cliques, each summing to 1.

        Args:
          theta: One log-potential per factor, shape ``domain.shape(factor)``.

        Raises:
          FloatingPointError: The potentials are so extreme that a whole table underflows.
        """
        with np.errstate(under="ignore", over="raise", divide="raise", invalid="raise"):
            return self._pass(theta)

    def _pass(self, theta: Sequence[Table]) -> list[Table]:
        tree = self.tree
        tables = self._products(theta)
        up: dict[int, Table] = {}
        for i in range(len(tables) - 1, 0, -1):
            message = reduce_to(tables[i], tree.cliques[i], tree.separators[i])
            up[i] = message = message / message.sum()
            parent = tree.parents[i]
            tables[parent] *= expand(message, tree.separators[i], tree.cliques[parent])
        tables[0] /= tables[0].sum()
        for i in range(1, len(tables)):
            parent = tree.parents[i]
            down = reduce_to(tables[parent], tree.cliques[parent], tree.separators[i])
            ratio = np.divide(down, up[i], out=np.zeros_like(down), where=up[i] > 0)
            tables[i] *= expand(ratio, tree.separators[i], tree.cliques[i])
            tables[i] /= tables[i].sum()
        return tables

    def marginals(self, theta: Sequence[Table]) -> list[Table]:
        """Probability table of each factor's clique, in the factors' order."""
        tables = self.beliefs(theta)
        covering = {
            f: reduce_to(tables[self.homes[f]], self.tree.cliques[self.homes[f]], self.factors[f])
            for f in set(self.covers)
        }
        return [reduce_to(covering[f], self.factors[f], c) for c, f in zip(self.factors, self.covers, strict=True)]

    def _products(self, theta: Sequence[Table]) -> list[Table]:
        domain = self.tree.domain
        tables = [np.ones(domain.shape(c)) for c in self.tree.cliques]
        for f in sorted(set(self.covers)):
            whole, clique, home = theta[f], self.factors[f], self.homes[f]
            for g, cover in enumerate(self.covers):
                if cover == f != g:
                    whole = whole + expand(theta[g], self.factors[g], clique)
            tables[home] *= expand(np.exp(whole - whole.max()), clique, self.tree.cliques[home])
        return tables


def _covers(sets: Sequence[frozenset[str]], cells: Sequence[int]) -> tuple[int, ...]:
    """For each set, the first maximal one (by cells) that contains it."""
    order = sorted(range(len(sets)), key=lambda i: -cells[i])
    maximal: list[int] = []
    for i in order:
        if not any(sets[i] <= sets[m] for m in maximal):
            maximal.append(i)
    return tuple(next(m for m in maximal if s <= sets[m]) for s in sets)


def marginal(tree: JunctionTree, beliefs: Sequence[Table], clique: Clique) -> Table:
    """Exact marginal of any clique from calibrated beliefs, by variable elimination over the subtree it needs.

    Args:
      tree: The junction tree of ``beliefs``.
      beliefs: Probability tables of the tree's cliques (from :meth:`Oracle.beliefs`).
      clique: Attributes in domain order, inside one tree clique or not.
    """
    wanted = set(clique)
    messages: Mapping[int, list[tuple[Table, Clique]]] = {i: [] for i in range(len(tree.cliques))}
    for i in range(len(tree.cliques) - 1, 0, -1):
        table, names = _gather(tree, beliefs[i], i, messages[i])
        keep = tree.domain.clique(set(tree.separators[i]) | (wanted & set(names)))
        if set(keep) == set(tree.separators[i]):
            continue
        message = reduce_to(table, names, keep)
        separator = reduce_to(beliefs[i], tree.cliques[i], tree.separators[i])
        safe = np.divide(1.0, separator, out=np.zeros_like(separator), where=separator > 0)
        messages[tree.parents[i]].append((message * expand(safe, tree.separators[i], keep), keep))
    table, names = _gather(tree, beliefs[0], 0, messages[0])
    return reduce_to(table, names, clique)


def _gather(
    tree: JunctionTree, belief: Table, index: int, messages: Sequence[tuple[Table, Clique]]
) -> tuple[Table, Clique]:
    table, names = belief, tree.cliques[index]
    for message, clique in messages:
        onto = tree.domain.clique(set(names) | set(clique))
        table, names = expand(table, names, onto) * expand(message, clique, onto), onto
    return table, names
