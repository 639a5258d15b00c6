"""The oracle: exact marginals of a product of potentials on a junction tree, in probability space.

Two passes of sum-product message passing (Shafer-Shenoy upward, Hugin downward), written once as a list of operations
and run by one compiled function. Only the small factors are exponentiated; large tables are multiplied and summed as
plain probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique
from dpsynth.estimation import program
from dpsynth.estimation.junction_tree import JunctionTree
from dpsynth.estimation.program import Order, Place, Program
from dpsynth.estimation.zeros import StructuralZeros

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


class Oracle:
    """Marginals of prod_q exp(theta_q) for factors on fixed cliques, each inside a clique of a junction tree.

    Potentials are one flat vector, factor after factor, each with its axes in the buffer's order (``order``); the
    methods on lists of tables take and give them in domain order. One oracle holds one buffer: not for two threads.

    Attributes:
      tree: The junction tree.
      factors: The factors' cliques.
      order: The order of axes of flat tables.
    """

    __slots__ = (
        "_beliefs", "_exponentiated", "_gradient", "_loss", "_marginals", "_offsets", "_prelude", "_residuals",
        "_sweep", "_theta", "_up_and_down", "_work", "factors", "order", "tree",
    )

    def __init__(
        self,
        tree: JunctionTree,
        factors: Sequence[Clique],
        *,
        targets: Sequence[tuple[Table, float]] = (),
        total: float = 1.0,
        zeros: Sequence[StructuralZeros] = (),
    ) -> None:
        """An oracle for these factors; each, and each structural zero's clique, must lie inside a clique of the tree.

        Args:
          tree: The junction tree.
          factors: Cliques of the potentials.
          targets: For each factor its counts in domain order and the precision of a cell, for :meth:`loss`.
          total: Number of rows that probabilities are scaled to.
          zeros: Cells held at exactly zero.
        """
        from dpsynth.estimation.kernel import sweep

        self.tree, self.factors, self.order = tree, tuple(factors), Order(tree.domain)
        made = Program(order=self.order)
        theta = [made.place(f) for f in self.factors]
        covers = _covers([frozenset(c) for c in self.factors], [p.cells for p in theta])
        tops = sorted(set(covers))
        folded = {f: made.place(self.factors[f]) for f in tops}
        for f in tops:
            made.join(program.SET, folded[f], theta[f])
            for g, cover in enumerate(covers):
                if cover == f != g:
                    made.join(program.ADD, folded[f], theta[g])
            made.whole(program.SHIFT, folded[f])
        self._prelude = made.operations()
        self._theta = slice(0, sum(p.cells for p in theta))
        self._exponentiated = slice(self._theta.stop, made.cells)
        one, fixed = made.place(()), [made.place(z.clique) for z in zeros]
        inside = {i: [one] for i in range(len(tree.cliques))}
        for f, place in folded.items():
            inside[tree.home(self.factors[f])].append(place)
        for zero, place in zip(zeros, fixed, strict=True):
            inside[tree.home(zero.clique)].append(place)
        self._beliefs = _write_passes(made, tree, inside)
        self._up_and_down = made.operations()
        begin = made.cells
        marginals = [made.place(f) for f in self.factors]
        self._marginals = slice(begin, made.cells)
        for f in tops:
            made.join(program.SUM, self._beliefs[tree.home(self.factors[f])], marginals[f])
            for g, cover in enumerate(covers):
                if cover == f != g:
                    made.join(program.SUM, marginals[f], marginals[g])
        aims = [made.place(f) for f, _ in zip(self.factors, targets, strict=False)]
        begin = made.cells
        gradient = [made.place(f) for f, _ in zip(self.factors, targets, strict=False)]
        self._gradient = slice(begin, made.cells)
        reading = made.operations()
        for i, aim in enumerate(aims):
            made.whole(program.RESIDUAL, marginals[i], by=aim.start, scalar=2 + i, third=gradient[i].start)
        self._residuals = np.concatenate([reading, made.operations()])
        self._loss = np.array([total, 0.0, *(precision for _, precision in targets)])
        self._offsets, self._work, self._sweep = made.all_offsets(), np.empty(made.cells), sweep()
        self._work[one.start] = 1.0
        for zero, place in zip(zeros, fixed, strict=True):
            allowed = np.where(zero.forbidden, 0.0, 1.0)
            self._work[place.start : place.start + place.cells] = self.order.inward(allowed, zero.clique)
        for (values, _), clique, aim in zip(targets, self.factors, aims, strict=False):
            self._work[aim.start : aim.start + aim.cells] = self.order.inward(values, clique)

    @classmethod
    def of(cls, tree: JunctionTree, factors: Sequence[Clique]) -> "Oracle":
        """An oracle for these factors, without targets."""
        return cls(tree, factors)

    @property
    def cells(self) -> int:
        """Length of the flat vector of potentials."""
        return int(self._theta.stop)

    @property
    def offsets_bytes(self) -> int:
        """Bytes of the offsets that the operations refer to."""
        return int(self._offsets.nbytes)

    @property
    def operations(self) -> int:
        """Number of table operations of one call."""
        return len(self._prelude) + len(self._up_and_down) + len(self._residuals)

    def loss(self, theta: Table) -> tuple[float, Table]:
        """Loss against the targets and its gradient by the mean parameters, flat; infinite where a table underflows."""
        self._loss[1] = 0.0
        if not (self._pass(theta) and self._run(self._residuals)):
            return np.inf, np.zeros(self.cells)
        return float(self._loss[1]), self._work[self._gradient].copy()

    def flat_marginals(self, theta: Table) -> Table:
        """Probability tables of all factors as one flat vector.

        Raises:
          FloatingPointError: The potentials are so extreme that a whole table underflows.
        """
        if not (self._pass(theta) and self._run(self._residuals)):
            raise FloatingPointError("a whole table underflowed")
        return self._work[self._marginals].copy()

    def flat_beliefs(self, theta: Table) -> list[Table]:
        """Probability tables of the tree's cliques in domain order, each summing to 1; raises as above."""
        if not self._pass(theta):
            raise FloatingPointError("a whole table underflowed")
        return [
            self.order.outward(self._work[p.start : p.start + p.cells], c)
            for p, c in zip(self._beliefs, self.tree.cliques, strict=True)
        ]

    def beliefs(self, theta: Sequence[Table]) -> list[Table]:
        """Like :meth:`flat_beliefs`, from one log-potential per factor, shape ``domain.shape(factor)``."""
        return self.flat_beliefs(self.flat(theta))

    def marginals(self, theta: Sequence[Table]) -> list[Table]:
        """Probability table of each factor's clique, in the factors' order."""
        return self.tables(self.flat_marginals(self.flat(theta)))

    def flat(self, tables: Sequence[Table]) -> Table:
        """Tables of the factors, in domain order, as one flat vector."""
        return np.concatenate([self.order.inward(t, c) for t, c in zip(tables, self.factors, strict=True)])

    def tables(self, flat: Table) -> list[Table]:
        """The inverse of :meth:`flat`."""
        ends = np.cumsum([self.tree.domain.cells(c) for c in self.factors])[:-1]
        return [self.order.outward(part, c) for part, c in zip(np.split(flat, ends), self.factors, strict=True)]

    def _pass(self, theta: Table) -> bool:
        """Run both passes; false where a table underflowed."""
        self._work[self._theta] = theta
        self._run(self._prelude)
        potentials = self._work[self._exponentiated]
        with np.errstate(under="ignore"):
            np.exp(potentials, out=potentials)
        return self._run(self._up_and_down)

    def _run(self, operations: NDArray[np.int64]) -> bool:
        return self._sweep(operations, self._offsets, self._work, self._loss) == 0


def _write_passes(made: Program, tree: JunctionTree, inside: Mapping[int, Sequence[Place]]) -> list[Place]:
    """Write the upward and the downward pass; ``inside`` are the small tables of each tree clique."""
    tables = [made.place(c) for c in tree.cliques]
    summed = [made.place(s) for s in tree.separators]
    messages = [made.place(s) for s in tree.separators]
    children: list[list[int]] = [[] for _ in tables]
    for i in range(len(tables) - 1, -1, -1):
        smalls = sorted([*inside[i], *(messages[c] for c in children[i])], key=lambda p: -p.cells)
        made.join(program.SET, tables[i], smalls[0])
        for small in smalls[1:]:
            if small.names:
                made.join(program.MULTIPLY, tables[i], small)
        if i == 0:
            made.whole(program.NORMALISE, tables[0], by=tables[0].start)
            continue
        made.join(program.SUM, tables[i], summed[i])
        made.whole(program.NORMALISE, summed[i], by=messages[i].start)
        children[tree.parents[i]].append(i)
    for i in range(1, len(tables)):
        made.join(program.SUM, tables[tree.parents[i]], messages[i])
        made.whole(program.RATIO, messages[i], by=summed[i].start)
        made.join(program.MULTIPLY, tables[i], messages[i])
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
