"""Writing a sweep: where each table lies in the buffer, and the list of operations on them.

Inside the buffer a table's axes go from the smallest attribute to the largest, so that inner loops are long; outside,
tables have their attributes in domain order.
"""

import math
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain

ADD, SET, MULTIPLY, SUM, SHIFT, NORMALISE, RATIO, RESIDUAL = range(8)
"""The operations, as the kernel numbers them. The first four join a big table with a small one. ``SHIFT`` subtracts a
table's maximum, ``NORMALISE`` writes the table over its sum to ``small``, ``RATIO`` divides by the table at ``small``
with 0/0 = 0, ``RESIDUAL`` turns a marginal and its target at ``small`` into a gradient at ``third`` and adds to the
loss in ``scalars[1]``; the total is ``scalars[0]``, the precision ``scalars[second]``."""

COLUMNS = ("kind", "big", "small", "outer", "second", "inner", "inner_kept", "offsets", "third")
"""A row of operations. Joins walk the big table in order; on whole tables ``outer`` is the number of cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A table in the buffer: where it begins, and its attributes in the buffer's order."""

    start: int
    cells: int
    names: tuple[str, ...]


class Order:
    """The order of axes inside the buffer: by size, ties in domain order."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        ranked = sorted(range(len(domain.names)), key=lambda i: domain.sizes[i])
        self._rank = {domain.names[i]: r for r, i in enumerate(ranked)}
        self.size = dict(zip(domain.names, domain.sizes, strict=True))

    def names(self, clique: Clique) -> tuple[str, ...]:
        """The attributes of a clique in the buffer's order."""
        return tuple(sorted(clique, key=self._rank.__getitem__))

    def inward(self, table: NDArray[np.float64], clique: Clique) -> NDArray[np.float64]:
        """A table in domain order as a flat one in the buffer's order."""
        return np.transpose(table, [clique.index(n) for n in self.names(clique)]).ravel()

    def outward(self, flat: NDArray[np.float64], clique: Clique) -> NDArray[np.float64]:
        """A flat table in the buffer's order as one in domain order, C-order, its own memory."""
        inner = self.names(clique)
        table = flat.reshape([self.size[n] for n in inner])
        return np.array(np.transpose(table, [inner.index(n) for n in clique]), order="C")


@dataclass(slots=True)
class Program:
    """A list of operations under construction, and the buffer that they need."""

    order: Order
    cells: int = 0
    rows: list[tuple[int, ...]] = field(default_factory=list)
    offsets: list[NDArray[np.int32]] = field(default_factory=list)
    known: dict[tuple[tuple[int, bool], ...], tuple[int, ...]] = field(default_factory=dict)
    offsets_end: int = 0

    def place(self, clique: Clique) -> Place:
        """Room for a table."""
        names = self.order.names(clique)
        made = Place(start=self.cells, cells=math.prod(self.order.size[n] for n in names), names=names)
        self.cells += made.cells
        return made

    def join(self, kind: int, big: Place, small: Place) -> None:
        """Add, set, multiply or sum between a table and one on a subset of its attributes."""
        self.rows.append((kind, big.start, small.start, *self._walk(big.names, set(small.names)), small.cells))

    def whole(self, kind: int, table: Place, *, by: int = 0, scalar: int = 0, third: int = 0) -> None:
        """An operation on a whole table."""
        self.rows.append((kind, table.start, by, table.cells, scalar, 0, 0, 0, third))

    def operations(self) -> NDArray[np.int64]:
        """The operations since the last call, as the kernel takes them."""
        made = np.array(self.rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        self.rows = []
        return made

    def all_offsets(self) -> NDArray[np.int32]:
        """The offsets that all operations refer to."""
        return np.concatenate([*self.offsets, np.zeros(1, dtype=np.int32)])

    def _walk(self, names: tuple[str, ...], kept: set[str]) -> tuple[int, ...]:
        """Outer count, second count, inner count, whether the inner axes are kept, where the offsets begin."""
        axes = ((self.order.size[n], n in kept) for n in names)
        runs = tuple(
            (math.prod(size for size, _ in group), keep) for keep, group in groupby(axes, key=lambda axis: axis[1])
        )
        if runs not in self.known:
            self.known[runs] = self._new_walk(list(runs))
        return self.known[runs]

    def _new_walk(self, runs: list[tuple[int, bool]]) -> tuple[int, ...]:
        inner, inner_kept = runs.pop() if runs else (1, True)
        second = runs.pop()[0] if runs else 1
        stride = inner if inner_kept else second
        offsets = np.zeros(1, dtype=np.int32)
        steps = []
        for size, keep in reversed(runs):
            steps.append((size, stride if keep else 0))
            stride *= size if keep else 1
        for size, step in reversed(steps):
            offsets = (offsets[:, None] + step * np.arange(size, dtype=np.int32)).ravel()
        start, self.offsets_end = self.offsets_end, self.offsets_end + len(offsets)
        self.offsets.append(offsets.astype(np.int32))
        return len(offsets), second, inner, int(inner_kept), start
