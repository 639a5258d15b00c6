"""Closeness of real people to a fixed synthetic table: the statistics that every attack of the gate is made of.

f_t(row) = 1 where the closest synthetic row is at most t columns away. A person's f_t is the mean over their rows,
rounded down to 16 bits; c_t, the share of the synthetic rows that are as close to another one, is subtracted.
Only distances from REAL records to the synthetic table are used: one person moves a sum by at most 2**16, whichever
the table. (The other direction, from synthetic rows to real ones, can be moved by one person without such a bound.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes, Table, distances, leave_one_out

ONE = 2**16
"""The integer that stands for f = 1."""

Blocks = Iterable[tuple[Codes, NDArray[np.int64]]]
"""Blocks of rows: codes (columns, rows) and the privacy unit of each row, 0 .. units - 1."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SideSums:
    """Exact sums over the people of one side. PRIVATE: annex only; its repr shows no number.

    Attributes:
      people: Number of privacy units.
      close: For each threshold t, the sum over people of f_t, in units of 2**-16.
    """

    people: int
    close: tuple[int, ...]

    def __repr__(self) -> str:
        return "SideSums(<private>)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AttackStatistic:
    """One threshold of one attack on both sides. PRIVATE: annex only; its repr shows no number but public ones.

    Attributes:
      name: The attack's public name.
      threshold: Distance up to which a record counts as close.
      constant: c, in units of 2**-16, a function of the synthetic table alone.
      training: Sum over training people of f - c, in units of 2**-16.
      holdout: Sum over holdout people of f - c, in units of 2**-16.
    """

    name: str
    threshold: int
    constant: int
    training: int
    holdout: int

    def __repr__(self) -> str:
        return f"AttackStatistic(name={self.name!r}, threshold={self.threshold}, <private>)"


def constants(table: Table) -> tuple[int, ...]:
    """c_t for t = 0 .. columns - 1 in units of 2**-16: leave-one-out closeness within the synthetic table.

    Privacy: none; post-processing of the synthetic table.
    """
    own = leave_one_out(table)
    return tuple(int(np.count_nonzero(own <= t)) * ONE // max(1, own.size) for t in range(table.columns))


def side_sums(blocks: Blocks, table: Table) -> SideSums:
    """Exact sums of f_t over the people of one side, t = 0 .. columns - 1.

    Args:
      blocks: Coded rows of one side; rows of one unit may lie in different blocks.
      table: The synthetic table, from :func:`dpsynth.attacks.nearest.prepare`.
    """
    parts = [(distances(codes, table).astype(np.int32), units) for codes, units in blocks]
    if not parts:
        return SideSums(people=0, close=(0,) * table.columns)
    found, units = np.concatenate([d for d, _ in parts]), np.concatenate([u for _, u in parts])
    rows = np.bincount(units)
    present = rows > 0
    close = (np.bincount(units[found <= t], minlength=rows.size)[present] for t in range(table.columns))
    return SideSums(
        people=int(np.count_nonzero(present)), close=tuple(int((hits * ONE // rows[present]).sum()) for hits in close)
    )


def statistic(name: str, threshold: int, constant: int, training: SideSums, holdout: SideSums) -> AttackStatistic:
    """The statistic of one threshold: sums of f - c, so that the size of a side is not what is compared."""
    return AttackStatistic(
        name=name,
        threshold=threshold,
        constant=constant,
        training=training.close[threshold] - constant * training.people,
        holdout=holdout.close[threshold] - constant * holdout.people,
    )
