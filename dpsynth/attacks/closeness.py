"""Closeness of real people to a fixed synthetic table: the statistics that every attack of the gate is made of.

A person's f is the mean of a feature over their rows, rounded down to 16 bits; c, the same mean of rows that nobody is
behind, is subtracted: of further, independent rows of the model where there are some, of the synthetic rows among each
other otherwise. (Rows that were placed to match a model keep clear of each other, so that among themselves they would
look rarer than they are.)

Only the direction from REAL records to the synthetic table is used: one person moves a sum by at most 2**16, whichever
the table. (The other direction, from synthetic rows to real ones, can be moved by one person without such a bound.)
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.features import ONE as ONE
from dpsynth.attacks.features import Feature, Sight, Target, look, look_at_itself, values
from dpsynth.attacks.nearest import Codes, Nearness

Blocks = Iterable[tuple[Codes, NDArray[np.int64]]]
"""Blocks of rows: codes (columns, rows) and the privacy unit of each row, 0 .. units - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFacts:
    """What the synthetic table says of one feature of rows that nobody is behind, in units of 2**-16; public.

    Attributes:
      constant: c, the mean of f.
      square: The mean of f squared.
      opposite: The mean of (1 - f) squared.
      copied: The mean of f of people who were copied verbatim.
    """

    constant: int
    square: int
    opposite: int
    copied: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SideSums:
    """Exact sums over the people of one side. PRIVATE: annex only; its repr shows no number.

    Attributes:
      people: Number of privacy units.
      sums: For each feature, the sum over people of f, in units of 2**-16.
    """

    people: int
    sums: Mapping[Feature, int]

    def __repr__(self) -> str:
        return "SideSums(<private>)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AttackStatistic:
    """One statistic of one attack on both sides. PRIVATE: annex only; its repr shows no number but public ones.

    Attributes:
      name: The attack's public name.
      feature: Which feature of a row.
      constant: c, in units of 2**-16, a function of the synthetic table alone.
      training: Sum over training people of f - c, in units of 2**-16.
      holdout: Sum over holdout people of f - c, in units of 2**-16.
    """

    name: str
    feature: Feature
    constant: int
    training: int
    holdout: int

    def __repr__(self) -> str:
        return f"AttackStatistic(name={self.name!r}, distance={self.feature.distance}, <private>)"


def table_facts(
    target: Target, features: Collection[Feature], reference: Codes | None = None
) -> dict[Feature, FeatureFacts]:
    """Facts of the synthetic table, from ``reference`` or from at most 5,000 of its rows by leave-one-out.

    Args:
      target: From :func:`dpsynth.attacks.features.make_target`.
      features: Which features.
      reference: Codes of rows that stand for strangers, shape (columns, rows), at least one: independent of the table
        but for the model of both, so a function of accounted outputs. None where there is no model to ask.

    Privacy: none; post-processing of accounted outputs.
    """
    own, copied = look_at_itself(target)
    strangers = own if reference is None else look(reference, target)
    return {feature: _facts(values(feature, strangers), values(feature, copied)) for feature in features}


def _facts(strangers: NDArray[np.int64], copied: NDArray[np.int64]) -> FeatureFacts:
    many = max(1, strangers.size)
    return FeatureFacts(
        constant=int(strangers.sum()) // many,
        square=int((strangers**2).sum()) // (many * ONE),
        opposite=int(((ONE - strangers) ** 2).sum()) // (many * ONE),
        copied=int(copied.sum()) // max(1, copied.size),
    )


def side_sums(blocks: Blocks, target: Target, features: Collection[Feature]) -> SideSums:
    """Exact sums of f over the people of one side.

    A person's f is a function of their own rows and the table, a whole number from 0 to 2**16, however many rows they
    have: so one person more moves each sum by their own f, at most 2**16, whichever the table.

    Args:
      blocks: Coded rows of one side; rows of one unit may lie in different blocks.
      target: From :func:`dpsynth.attacks.features.make_target`.
      features: Which features.
    """
    parts = [(_compact(look(codes, target)), units) for codes, units in blocks]
    units = np.concatenate([_NOBODY, *(units for _, units in parts)])
    rows = np.bincount(units)
    return SideSums(
        people=int(np.count_nonzero(rows)),
        sums={
            feature: _sum_of_means(
                np.concatenate([_NOBODY, *(values(feature, sight) for sight, _ in parts)]), units, rows
            )
            for feature in features
        },
    )


def _compact(sight: Sight) -> Sight:
    """The same in fewer bytes: it is kept for every row of a side."""
    near = Nearness(distance=_small(sight.near.distance), isolation=_small(sight.near.isolation))
    known = {w: _small(distance) for w, distance in sight.known.items()}
    mixed, likely = _small(sight.mixed), _small(sight.likely)
    return Sight(near=near, mixed=mixed, known=known, guessed=sight.guessed, rare=sight.rare, likely=likely)


def _small(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    return distance.astype(np.min_scalar_type(int(distance.max()))) if distance.size else distance


def _sum_of_means(found: NDArray[np.int64], units: NDArray[np.int64], rows: NDArray[np.int64]) -> int:
    """Sum over people of floor(sum of f / rows); each term is a whole number from 0 to 2**16.

    The sums are exact: whole numbers below 2**53 in float64.
    """
    if (rows == 1).all():
        return int(found.sum())
    means = np.bincount(units, weights=found, minlength=rows.size).astype(np.int64) // np.maximum(rows, 1)
    return int(means.sum())


def statistic(
    name: str, feature: Feature, facts: Mapping[Feature, FeatureFacts], *, training: SideSums, holdout: SideSums
) -> AttackStatistic:
    """One statistic: sums of f - c, so that the size of a side is not what is compared."""
    constant = facts[feature].constant
    return AttackStatistic(
        name=name,
        feature=feature,
        constant=constant,
        training=training.sums[feature] - constant * training.people,
        holdout=holdout.sums[feature] - constant * holdout.people,
    )


_NOBODY = np.zeros(0, dtype=np.int64)
