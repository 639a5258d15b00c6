"""What an attack asks of one row against a fixed synthetic table: f(x) in [0, 1], a function of the row and the table.

Every feature is a whole number of 2**-16 and reads one row and the table, never another row, so that adding a person
moves a sum over people by that person's own f alone. The families and their sources: exact and near copies
(``near``), copies that chance hardly explains (``isolated``, ``graded``), near copies in the mixed distance and on
columns that others know (``mixed``, ``known``), near copies of rare rows (``rare``), whether the closest rows give a
secret away (``guessed``), and how much likelier the table makes a row than a reference does (``likely``).
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.layout import Layout
from dpsynth.attacks.likelihood import Ratios, likelihood, scores
from dpsynth.attacks.mixed import MixedTable, mixed_distance, mixed_leave_one_out, prepare_mixed
from dpsynth.attacks.nearest import Codes, Nearness, Table, leave_one_out, nearness, prepare, sample_of
from dpsynth.errors import ParameterError

ONE = 2**16
"""The integer that stands for f = 1."""
RARE = 0.1
"""Share of the synthetic rows that count as rare."""
_GRADES = np.array([0, ONE // 8, 5 * ONE // 8, ONE], dtype=np.int64)
"""f of an exact copy by its isolation: 1, 2, and 3 or more columns. What a match says against its chance."""


class Family(StrEnum):
    """Which feature of a row."""

    NEAR = "near"
    """The closest synthetic row is at most so many columns away."""
    ISOLATED = "isolated"
    """The row occurs in the synthetic table, and the closest different row is at least so many columns away."""
    GRADED = "graded"
    """The row occurs in the synthetic table: f grows with how far away the closest different row is."""
    MIXED = "mixed"
    """The closest synthetic row is at most so many steps of the mixed distance away."""
    KNOWN = "known"
    """On a declared set of columns, the closest synthetic row is at most so many columns away."""
    RARE = "rare"
    """The row is rare by the synthetic table's one-way shares, and a synthetic row is at most so many columns away."""
    GUESSED = "guessed"
    """The synthetic rows closest on all other columns hold the row's value of a declared secret."""
    LIKELY = "likely"
    """How much likelier the table's marginals make the row than noisy marginals of reference people do."""


SURE = frozenset({Family.NEAR, Family.MIXED, Family.KNOWN, Family.GUESSED})
"""Families in which a verbatim copy always has f = 1, whoever was copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature; public.

    Attributes:
      family: Which.
      distance: Its threshold; 0 where it has none.
      which: Which of the layout's known sets or secrets; 0 elsewhere.
    """

    family: Family
    distance: int = 0
    which: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Secret:
    """A table made ready for guessing one column from the others.

    Attributes:
      rest: All rows without the column.
      groups: By value of the column, the rows that hold it, without the column, and their positions.
    """

    rest: Table = field(repr=False)
    groups: Mapping[int, tuple[Table, NDArray[np.int64]]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A synthetic table made ready for every feature that was asked for; public facts about the table itself.

    Attributes:
      layout: Of its columns.
      table: For distances over all columns.
      codes: The rows, in their order, shape (columns, rows).
      mixed: For the mixed distance, where it was asked for.
      known: For each known set of columns that was asked for, by its position.
      secrets: For each secret that was asked for, by its position.
      surprise: For each column and code, how rare the table makes it, in 2**-16 bits.
      rare_from: Sum of these from which on a row counts as rare.
      ratios: Log ratios to reference people, where they were asked for.
    """

    layout: Layout
    table: Table
    codes: Codes = field(repr=False)
    mixed: MixedTable | None
    known: Mapping[int, Table]
    secrets: Mapping[int, Secret]
    surprise: tuple[NDArray[np.int64], ...] = field(repr=False)
    rare_from: int
    ratios: Ratios | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sight:
    """What some rows look like against a table. PRIVATE where the rows are records; its repr shows no number.

    Attributes:
      near: Hamming distance and isolation.
      mixed: Mixed distance; empty where it wasn't asked for.
      known: Distance on each known set of columns.
      guessed: For each secret, whether the closest rows hold the row's value.
      rare: Whether the row is rare.
      likely: f of its likelihood; empty where it wasn't asked for.
    """

    near: Nearness
    mixed: NDArray[np.int64]
    known: Mapping[int, NDArray[np.int64]]
    guessed: Mapping[int, NDArray[np.bool_]]
    rare: NDArray[np.bool_]
    likely: NDArray[np.int64]

    def __repr__(self) -> str:
        return "Sight(<private>)"


def make_target(
    synthetic: Codes, layout: Layout, features: Collection[Feature], ratios: Ratios | None = None
) -> Target:
    """Make a synthetic table ready for these features.

    Args:
      synthetic: Codes, shape (columns, rows); no rows is allowed.
      layout: Of the columns.
      features: What will be asked.
      ratios: Log ratios to reference people, from :func:`dpsynth.attacks.likelihood.ratios`: accounted outputs.

    Privacy: none; post-processing of an accounted output.

    Raises:
      ParameterError: Likelihoods were asked for, and there are no ratios.
    """
    if ratios is None and any(f.family is Family.LIKELY for f in features):
        raise ParameterError(
            "An attack by likelihood was asked for without a reference.",
            "It compares a table's marginals with noisy ones of people whom nothing looked at.",
            "Measure the reference first, or leave the attack out of the policy.",
        )
    table = prepare(synthetic, layout.sizes)
    surprise = tuple(_surprise(codes, size) for codes, size in zip(synthetic, layout.sizes, strict=True))
    scores = np.sort(_surprises(synthetic, surprise))
    rare_from = int(scores[math.floor((1 - RARE) * scores.size)]) if scores.size else 0
    return Target(
        layout=layout,
        table=table,
        codes=synthetic,
        mixed=prepare_mixed(table, layout) if any(f.family is Family.MIXED for f in features) else None,
        known={w: _on(synthetic, layout, layout.known[w]) for w in _asked(features, Family.KNOWN)},
        secrets={w: _secret(synthetic, layout, layout.secrets[w]) for w in _asked(features, Family.GUESSED)},
        surprise=surprise,
        rare_from=rare_from,
        ratios=ratios,
    )


def look(records: Codes, target: Target) -> Sight:
    """Look at rows against a table.

    Args:
      records: Codes, shape (columns, rows); no rows is allowed. Private where they are records.
      target: From :func:`make_target`.
    """
    near, layout = nearness(records, target.table), target.layout
    return Sight(
        near=near,
        mixed=_NOTHING if target.mixed is None else _unless_equal(records, near.distance, target.mixed),
        known={w: nearness(records[list(layout.known[w])], t).distance for w, t in target.known.items()},
        guessed={w: _guessed(records, layout.secrets[w], s) for w, s in target.secrets.items()},
        rare=_surprises(records, target.surprise) >= target.rare_from,
        likely=_likely(records, target),
    )


def look_at_itself(target: Target) -> tuple[Sight, Sight]:
    """At most 5,000 of the table's own rows: against its other rows, and as copied people would be seen.

    Privacy: none; post-processing of an accounted output.
    """
    sample = sample_of(target.table.rows)
    own = leave_one_out(target.table)
    rare = _surprises(target.codes[:, sample], target.surprise) >= target.rare_from
    zero, likely = np.zeros(sample.size, dtype=np.int64), _likely(target.codes[:, sample], target)
    others = Sight(
        near=Nearness(distance=own.distance, isolation=np.where(own.distance == 0, own.isolation, 0)),
        mixed=_NOTHING if target.mixed is None else mixed_leave_one_out(target.mixed),
        known={w: leave_one_out(t, sample).distance for w, t in target.known.items()},
        guessed={w: _guessed_among_itself(s, sample) for w, s in target.secrets.items()},
        rare=rare,
        likely=likely,
    )
    copied = Sight(
        near=Nearness(distance=zero, isolation=own.isolation),
        mixed=_NOTHING if target.mixed is None else zero,
        known=dict.fromkeys(target.known, zero),
        guessed=dict.fromkeys(target.secrets, zero == 0),
        rare=rare,
        likely=likely,
    )
    return others, copied


def values(feature: Feature, sight: Sight) -> NDArray[np.int64]:
    """f of each row, in units of 2**-16, from 0 to ``ONE``. Private where the rows are records."""
    return np.asarray(_VALUES[feature.family](sight, feature), dtype=np.int64)


def _unless_equal(records: Codes, distance: NDArray[np.int64], mixed: MixedTable) -> NDArray[np.int64]:
    """Mixed distances; those of rows that occur in the table are known to be 0."""
    far = distance > 0
    found = np.zeros(far.size, dtype=np.int64)
    found[far] = mixed_distance(records[:, far], mixed)
    return found


def _likely(codes: Codes, target: Target) -> NDArray[np.int64]:
    return _NOTHING if target.ratios is None else likelihood(scores(codes, target.ratios), target.ratios, one=ONE)


def _graded(sight: Sight, _: Feature) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.where(sight.near.distance == 0, _GRADES[np.minimum(sight.near.isolation, 3)], 0)
    return found


_NOTHING = np.zeros(0, dtype=np.int64)

_VALUES: dict[Family, Callable[[Sight, Feature], NDArray[np.int64]]] = {
    Family.NEAR: lambda rows, f: ONE * (rows.near.distance <= f.distance),
    Family.ISOLATED: lambda rows, f: ONE * ((rows.near.distance == 0) & (rows.near.isolation >= f.distance)),
    Family.GRADED: _graded,
    Family.MIXED: lambda rows, f: ONE * (rows.mixed <= f.distance),
    Family.KNOWN: lambda rows, f: ONE * (rows.known[f.which] <= f.distance),
    Family.RARE: lambda rows, f: ONE * (rows.rare & (rows.near.distance <= f.distance)),
    Family.GUESSED: lambda rows, f: ONE * rows.guessed[f.which],
    Family.LIKELY: lambda rows, f: rows.likely,
}


def _asked(features: Collection[Feature], family: Family) -> list[int]:
    return sorted({f.which for f in features if f.family is family})


def _on(codes: Codes, layout: Layout, columns: tuple[int, ...]) -> Table:
    return prepare(codes[list(columns)], [layout.sizes[i] for i in columns])


def _surprise(codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """How rare each code is: the logarithm of one over its share, nobody's being one row in addition."""
    counts = np.bincount(codes.astype(np.int64), minlength=size) + 1
    found: NDArray[np.int64] = np.round(ONE * np.log2(counts.sum() / counts)).astype(np.int64)
    return found


def _surprises(codes: Codes, surprise: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
    total = np.zeros(codes.shape[1], dtype=np.int64)
    for column, table in zip(codes, surprise, strict=True):
        total += table[column]
    return total


def _secret(codes: Codes, layout: Layout, secret: int) -> Secret:
    rest = tuple(i for i in range(layout.columns) if i != secret)
    groups = {int(value): np.flatnonzero(codes[secret] == value).astype(np.int64) for value in np.unique(codes[secret])}
    return Secret(
        rest=_on(codes, layout, rest),
        groups={value: (_on(codes[:, rows], layout, rest), rows) for value, rows in groups.items()},
    )


def _guessed(records: Codes, secret: int, ready: Secret) -> NDArray[np.bool_]:
    """Whether, among the rows closest on the other columns, one holds the record's own value."""
    rest = np.delete(records, secret, axis=0)
    closest = nearness(rest, ready.rest).distance
    hit = np.zeros(closest.size, dtype=np.bool_)
    for value, (table, _) in ready.groups.items():
        same = np.flatnonzero(records[secret] == value)
        hit[same] = nearness(rest[:, same], table).distance == closest[same]
    return hit


def _guessed_among_itself(ready: Secret, sample: NDArray[np.int64]) -> NDArray[np.bool_]:
    closest = leave_one_out(ready.rest, sample).distance
    hit = np.zeros(sample.size, dtype=np.bool_)
    for table, rows in ready.groups.values():
        same = np.flatnonzero(np.isin(sample, rows, assume_unique=True))
        own = leave_one_out(table, np.searchsorted(rows, sample[same])).distance
        hit[same] = (own == closest[same]) & (own <= table.columns)
    return hit
