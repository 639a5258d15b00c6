"""Which joint tables to count so that every asked marginal can be summed out of one of them. Public facts only."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain

JOINT_CELLS = 65_536
"""Cells of a joint that was grown: its codes fit 16 bits, its table the second-level cache."""

MOST_COLUMNS = 16
"""Columns of a joint that was grown: as many as fit of two codes each; it bounds the number of their subsets, too."""

_Columns = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A table to count, and the asked cliques that are summed out of it.

    Attributes:
      clique: Attribute names in domain order.
      cells: Its cells.
      asked: Cliques within it, each in exactly one joint of a cover.
    """

    clique: Clique
    cells: int
    asked: tuple[Clique, ...]


def joint_cover(domain: Domain, cliques: Sequence[Clique], *, limit: int = JOINT_CELLS) -> list[Joint]:
    """Joints of at most ``limit`` cells that hold every clique; a clique above the limit is a joint of its own.

    Greedy: the largest clique that is left starts a joint, which takes in the attribute that completes most other
    cliques for its size, as long as it fits. What completes a clique is looked up by the subsets of the joint, which
    are few, instead of searched among the cliques, which are many.

    Args:
      domain: The public domain.
      cliques: Asked cliques, repeats allowed.
      limit: Cells of a grown joint.

    Returns:
      The joints, in the order in which the cliques ask for them.
    """
    left = sorted(dict.fromkeys(cliques), key=lambda q: (-len(q), -domain.cells(q)))
    column = {name: i for i, name in enumerate(domain.names)}
    waiting = _Waiting([tuple(column[n] for n in q) for q in left], len(domain.names))
    sizes = np.array(domain.sizes, dtype=np.float64)
    joints = []
    for first in range(len(left)):
        if not waiting.pending[first]:
            continue
        inside = _grow(waiting.cliques[first], waiting, sizes, limit)
        clique = tuple(domain.names[i] for i in inside)
        asked = tuple(left[i] for i in waiting.take(inside))
        joints.append(Joint(clique=clique, cells=domain.cells(clique), asked=asked))
    place = {clique: i for i, clique in reversed(list(enumerate(cliques)))}
    return sorted(joints, key=lambda joint: min(place[q] for q in joint.asked))


def _grow(inside: _Columns, waiting: "_Waiting", sizes: NDArray[np.float64], limit: int) -> _Columns:
    """The columns of the joint that begins with ``inside``, ascending."""
    worth = 1.0 / np.log2(sizes + 1.0)
    cells = math.prod(int(sizes[i]) for i in inside)
    if len(inside) >= MOST_COLUMNS:
        return inside
    completed = waiting.completed_by(_subsets(inside, [w - 1 for w in waiting.widths if w > 0]))
    while len(inside) < MOST_COLUMNS:
        gain = completed * worth
        gain[cells * sizes > limit] = 0.0
        gain[list(inside)] = 0.0
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            break
        others = _subsets(inside, [w - 2 for w in waiting.widths if w > 1])
        completed = completed + waiting.completed_by(tuple(sorted((*o, best))) for o in others)
        inside = tuple(sorted((*inside, best)))
        cells *= int(sizes[best])
    return inside


def _subsets(columns: _Columns, sizes: Iterable[int]) -> Iterable[_Columns]:
    return itertools.chain.from_iterable(itertools.combinations(columns, k) for k in sizes)


class _Waiting:
    """The cliques that no joint holds yet, and which column completes which set of columns to one of them.

    Attributes:
      cliques: All cliques, as ascending columns.
      pending: Whether each is still without a joint.
      widths: The numbers of columns that cliques have.
    """

    __slots__ = ("_completing", "_place", "_sets", "cliques", "pending", "widths")

    def __init__(self, cliques: Sequence[_Columns], columns: int) -> None:
        self.cliques, self.pending = cliques, [True] * len(cliques)
        self.widths = sorted({len(q) for q in cliques})
        self._place = {q: i for i, q in enumerate(cliques)}
        self._sets: dict[_Columns, int] = {}
        found = [(self._sets.setdefault(rest, len(self._sets)), one) for q in cliques for one, rest in _without_one(q)]
        self._completing = np.zeros((len(self._sets), columns), dtype=np.uint8)
        self._completing[tuple(np.array(found, dtype=np.int64).reshape(-1, 2).T)] = 1

    def completed_by(self, sets: Iterable[_Columns]) -> NDArray[np.int64]:
        """For each column, how many pending cliques it and one of these sets are."""
        known = self._sets
        rows = [known[s] for s in sets if s in known]
        return np.asarray(self._completing[rows].sum(axis=0, dtype=np.int64))

    def take(self, inside: _Columns) -> list[int]:
        """Positions of the pending cliques within these columns, ascending; pending no longer."""
        if len(inside) > MOST_COLUMNS:
            whole = set(inside)
            within = [i for i, q in enumerate(self.cliques) if whole.issuperset(q)]
        else:
            within = sorted(self._place[q] for q in _subsets(inside, self.widths) if q in self._place)
        done = [i for i in within if self.pending[i]]
        for i in done:
            self.pending[i] = False
            for one, rest in _without_one(self.cliques[i]):
                self._completing[self._sets[rest], one] = 0
        return done


def _without_one(clique: _Columns) -> Iterable[tuple[int, _Columns]]:
    """Each column of a clique, with the others."""
    return ((one, clique[:i] + clique[i + 1 :]) for i, one in enumerate(clique))
