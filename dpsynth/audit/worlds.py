"""Fabricated worst cases: two small tables that differ by one record, so made that a fault shows.

Four columns of three codes. ``a`` decides ``b`` and ``c``; ``d`` is independent and uses two of its codes. The record
that comes weakens one dependence and strengthens the other, so that scores of candidates that tie move in opposite
directions (the worst case of a selection), and its ``d`` is a code that nobody else has (the worst case of a bound or a
list of categories that is taken from the data). It moves one cell of every marginal, like any record.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from accountant.adjacency import WHOLE_UNITS, Adjacency
from dpsynth.domain import Domain
from dpsynth.sources import Codes

REPEATS = 20
"""Records of each of the six kinds in the table that both worlds share."""

DOMAIN = Domain.of({"a": 3, "b": 3, "c": 3, "d": 3})
LEAVES, COMES = (0, 0, 0, 0), (1, 2, 2, 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """One worst case: two neighbouring tables, both public because both are made up.

    Attributes:
      name: Public name.
      adjacency: How they differ.
      domain: Their domain.
      without: Codes without the record that is looked for, shape (columns, rows).
      having: Codes with it.
      record: That record.
    """

    name: str
    adjacency: Adjacency
    domain: Domain
    without: Codes = field(repr=False)
    having: Codes = field(repr=False)
    record: tuple[int, ...]


def worst_cases(adjacencies: tuple[Adjacency, ...] = WHOLE_UNITS) -> tuple[World, ...]:
    """The cases that every synthesizer is audited on, one for each adjacency."""
    return tuple(_world(adjacency) for adjacency in adjacencies)


@cache
def _world(adjacency: Adjacency) -> World:
    shared = [(i, i, (i + 1) % 3, d) for i in range(3) for d in range(2)] * REPEATS
    before = [LEAVES] if adjacency is Adjacency.REPLACE_ONE else []
    return World(
        name=f"one record {'comes' if not before else 'takes the place of another'}",
        adjacency=adjacency,
        domain=DOMAIN,
        without=_codes([*shared, *before]),
        having=_codes([*shared, COMES]),
        record=COMES,
    )


def _codes(rows: list[tuple[int, int, int, int]]) -> Codes:
    return np.ascontiguousarray(np.array(rows, dtype=np.uint8).T)
