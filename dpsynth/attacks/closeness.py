"""Closeness of real people to a fixed synthetic table: the statistics that every attack of the gate is made of.

Two families of 0/1 features of a row, from the synthetic table alone: ``near`` at t, the closest synthetic row is at
most t columns away (t = 0: an exact match); ``isolated`` at k, the row occurs in the table and the closest different
row is at least k columns away, so that chance hardly explains it. A person's f is the mean over their rows, rounded
down to 16 bits; c, the same rate of rows that nobody is behind, is subtracted: of further, independent rows of the
model where there are some, of the synthetic rows among each other otherwise. (Rows that were placed to match a model
keep clear of each other, so that among themselves they would look rarer than they are.)
Only the direction from REAL records to the synthetic table is used: one person moves a sum by at most 2**16, whichever
the table. (The other direction, from synthetic rows to real ones, can be moved by one person without such a bound.)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes, Nearness, Table, leave_one_out, nearness

ONE = 2**16
"""The integer that stands for f = 1."""

Blocks = Iterable[tuple[Codes, NDArray[np.int64]]]
"""Blocks of rows: codes (columns, rows) and the privacy unit of each row, 0 .. units - 1."""


class Family(StrEnum):
    """Which feature of a row."""

    NEAR = "near"
    """The closest synthetic row is at most so many columns away."""
    ISOLATED = "isolated"
    """The row occurs in the synthetic table, and the closest different row is at least so many columns away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What the synthetic table says about rows that nobody is behind; a function of accounted outputs.

    Attributes:
      constants: c of each family and distance 0 .. columns - 1, in units of 2**-16.
      alone: For each k, the share of rows whose closest different row is at least k columns away, the same units: how
        often a copied row would be isolated.
    """

    constants: Mapping[Family, tuple[int, ...]]
    alone: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SideSums:
    """Exact sums over the people of one side. PRIVATE: annex only; its repr shows no number.

    Attributes:
      people: Number of privacy units.
      sums: For each family and distance 0 .. columns - 1, the sum over people of f, in units of 2**-16.
    """

    people: int
    sums: Mapping[Family, tuple[int, ...]]

    def __repr__(self) -> str:
        return "SideSums(<private>)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AttackStatistic:
    """One statistic of one attack on both sides. PRIVATE: annex only; its repr shows no number but public ones.

    Attributes:
      name: The attack's public name.
      family: Which feature of a row.
      distance: Its distance.
      constant: c, in units of 2**-16, a function of the synthetic table alone.
      training: Sum over training people of f - c, in units of 2**-16.
      holdout: Sum over holdout people of f - c, in units of 2**-16.
    """

    name: str
    family: Family
    distance: int
    constant: int
    training: int
    holdout: int

    def __repr__(self) -> str:
        return f"AttackStatistic(name={self.name!r}, distance={self.distance}, <private>)"


def table_facts(table: Table, reference: Codes | None = None) -> TableFacts:
    """Constants of the synthetic table, from ``reference`` or from at most 5,000 of its rows by leave-one-out.

    Args:
      table: The synthetic table, from :func:`dpsynth.attacks.nearest.prepare`.
      reference: Codes of rows that stand for strangers, shape (columns, rows), at least one: independent of the table
        but for the model of both, so a function of accounted outputs. None where there is no model to ask.

    Privacy: none; post-processing of accounted outputs.
    """
    own, distances = leave_one_out(table), range(table.columns)
    size = max(1, own.distance.size)
    copied = Nearness(distance=own.distance, isolation=np.where(own.distance == 0, own.isolation, 0))
    strangers = copied if reference is None else nearness(reference, table)
    many = max(1, strangers.distance.size)
    return TableFacts(
        constants={
            family: tuple(int(np.count_nonzero(feature(strangers, t))) * ONE // many for t in distances)
            for family, feature in _FEATURES.items()
        },
        alone=tuple(int(np.count_nonzero(own.isolation >= k)) * ONE // size for k in distances),
    )


def side_sums(blocks: Blocks, table: Table) -> SideSums:
    """Exact sums of f over the people of one side.

    Args:
      blocks: Coded rows of one side; rows of one unit may lie in different blocks.
      table: The synthetic table, from :func:`dpsynth.attacks.nearest.prepare`.
    """
    parts = [(nearness(codes, table), units) for codes, units in blocks]
    units = np.concatenate([_NOBODY, *(units for _, units in parts)])
    found = Nearness(
        distance=np.concatenate([_NOBODY, *(part.distance for part, _ in parts)]),
        isolation=np.concatenate([_NOBODY, *(part.isolation for part, _ in parts)]),
    )
    rows = np.bincount(units)
    return SideSums(
        people=int(np.count_nonzero(rows)),
        sums={
            family: tuple(_sum_of_means(units[feature(found, t)], rows) for t in range(table.columns))
            for family, feature in _FEATURES.items()
        },
    )


def _sum_of_means(hits: NDArray[np.int64], rows: NDArray[np.int64]) -> int:
    """Sum over people of floor(2**16 hits / rows); each term is a whole number from 0 to 2**16."""
    means = np.bincount(hits, minlength=rows.size) * ONE // np.maximum(rows, 1)
    return int(means.sum())


def statistic(
    name: str, family: Family, distance: int, facts: TableFacts, *, training: SideSums, holdout: SideSums
) -> AttackStatistic:
    """One statistic: sums of f - c, so that the size of a side is not what is compared."""
    constant = facts.constants[family][distance]
    return AttackStatistic(
        name=name,
        family=family,
        distance=distance,
        constant=constant,
        training=training.sums[family][distance] - constant * training.people,
        holdout=holdout.sums[family][distance] - constant * holdout.people,
    )


_NOBODY = np.zeros(0, dtype=np.int64)

_FEATURES: dict[Family, Callable[[Nearness, int], NDArray[np.bool_]]] = {
    Family.NEAR: lambda rows, t: rows.distance <= t,
    Family.ISOLATED: lambda rows, k: (rows.distance == 0) & (rows.isolation >= k),
}
