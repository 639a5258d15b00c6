"""Declared conditions and rules over values: what codes don't decide is decided by the rows of a decoded table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode.columns import BooleanEncoder
from dpsynth.encode.raw import levels, numbers
from dpsynth.encode.temporal import stored_microseconds
from dpsynth.schema import Boolean, Categorical, Column, Integer, Real, TableSchema, Temporal
from dpsynth.schema.rules import Condition, is_ordinal, place, placed
from dpsynth.schema.temporal import microseconds

Mask = NDArray[np.bool_]

COMPARED: dict[str, Any] = {
    "below": np.less,
    "from": np.greater_equal,
    "up_to": np.less_equal,
    "above": np.greater,
}
"""What each word of a comparison means."""


def within(values: NDArray[Any], limits: Sequence[tuple[str, Any]]) -> Mask:
    """Which values lie within all limits; none where there are no limits."""
    if not limits:
        return np.zeros(len(values), bool)
    return np.asarray(np.logical_and.reduce([COMPARED[word](values, limit) for word, limit in limits]))


def fulfilled(column: Column, stored: Any, condition: Condition) -> Mask:
    """Which values of a column fulfil a condition, whatever type they are stored in.

    Args:
      column: The declaration.
      stored: An Arrow array with values of its domain.
      condition: What is asked.
    """
    null = np.asarray(stored.is_null().to_numpy(zero_copy_only=False), bool)
    held: Callable[[Any, Any, Condition], Mask] = _INSIDE.get(type(column), _nothing)
    inside = held(column, stored, condition)
    inside = (inside & ~null) | (null & (None in condition.values))
    return np.asarray(~inside if condition.negated else inside, bool)


def _nothing(column: Column, stored: Any, condition: Condition) -> Mask:
    return np.zeros(len(stored), bool)


def _number(column: Any, stored: Any, condition: Condition) -> Mask:
    found, meant = numbers(stored), placed(condition, column)
    inside = np.isin(found.values, [v for v in meant.values if v is not None])
    inside |= within(found.values, meant.limits) & ~np.isin(found.values, column.special)
    return np.asarray(inside & (found.state == 0))


def _label(column: Categorical, stored: Any, condition: Condition) -> Mask:
    found = levels(stored, column.categories)
    inside = np.isin(found, [column.categories.index(str(v)) for v in condition.values if v is not None])
    limits = [(word, place(column, limit)) for word, limit in condition.limits]
    return np.asarray(inside | (within(found, limits) & (found >= 0)))


def _truth(column: Boolean, stored: Any, condition: Condition) -> Mask:
    codes = BooleanEncoder(column=column.model_copy(update={"nullable": True})).encode(stored)
    return np.isin(codes, [int(v) for v in condition.values if v is not None])


def _time(column: Temporal, stored: Any, condition: Condition) -> Mask:
    """In whole microseconds."""
    found = stored_microseconds(stored, column.kind)
    wanted: list[Any] = [microseconds(str(v), column.kind) for v in condition.values if v is not None]
    limits = [(word, microseconds(str(limit), column.kind)) for word, limit in condition.limits]
    return np.asarray((np.isin(found.values, wanted) | within(found.values, limits)) & (found.state == 0))


_INSIDE: dict[type, Callable[[Any, Any, Condition], Mask]] = {
    Integer: _number,
    Real: _number,
    Categorical: _label,
    Boolean: _truth,
    Temporal: _time,
}
"""How each kind's values are held against a condition; of others only null is known."""


def decided_late(schema: TableSchema, names: Collection[str]) -> bool:
    """Whether codes don't decide a rule about these columns: one is computed, or drawn, on output."""
    columns = (schema.columns[name] for name in names)
    return any(column.computed is not None or column.drawn_from is not None for column in columns)


def rules_kept(schema: TableSchema, table: pa.Table, known: Mapping[str, Mask] | None = None) -> Mask:
    """Which rows keep the rules that codes don't decide: orders of numbers or times, and whatever is made on output.

    Args:
      schema: The declaration.
      table: Decoded rows.
      known: Where only some columns, or cells, of the rows are known, which those are; of what isn't known, no rule is
        broken.
    """
    good = np.ones(table.num_rows, bool)
    for rule in schema.rules:
        if rule.at_most is not None and _has(rule.at_most, known):
            first, second = rule.at_most
            if not is_ordinal(schema.columns[first]) or decided_late(schema, rule.at_most):
                good &= ~_exceeds(schema, table, first, second)
        for box in rule.forbidden():
            if decided_late(schema, box) and _has(box, known):
                hit = [
                    fulfilled(schema.columns[name], _column(table, name), condition)
                    for name, conditions in box.items()
                    for condition in conditions
                ]
                sure = [np.ones(table.num_rows, bool) if known is None else known[name] for name in box]
                good &= ~np.logical_and.reduce([*hit, *sure])
    return good


def _has(names: Collection[str], known: Mapping[str, Mask] | None) -> bool:
    return known is None or set(names) <= set(known)


def _column(table: pa.Table, name: str) -> Any:
    return table.column(name).combine_chunks()


def _exceeds(schema: TableSchema, table: pa.Table, first: str, second: str) -> Mask:
    (one, known), (other, also) = (_comparable(schema.columns[n], _column(table, n)) for n in (first, second))
    return np.asarray(known & also & (one > other))


def _comparable(column: Column, stored: Any) -> tuple[NDArray[Any], Mask]:
    """A column's values in one unit, whatever type they are stored in, and where there are any.

    Times are whole microseconds, labels their positions, numbers are float64, which holds every declared one.
    """
    if isinstance(column, Temporal):
        moments = stored_microseconds(stored, column.kind)
        return moments.values, moments.state == 0
    if isinstance(column, Categorical):
        found = levels(stored, column.categories)
        return found, found >= 0
    plain = numbers(stored)
    return plain.values, (plain.state == 0) & ~np.isin(plain.values, getattr(column, "special", ()))
