"""Columns that are computed from others on output, and never read; and which results lie within the declared bounds."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode import values
from dpsynth.encode.raw import Numbers, numbers
from dpsynth.schema import Integer, TableSchema
from dpsynth.schema.derivations import derived_values
from dpsynth.schema.generated import computation_order
from dpsynth.tables.types import family, value_type

Floats = NDArray[np.float64]
Interval = tuple[float, float]
_FAR = 2.0**60
"""Magnitude from which a result is outside of any bounds; below it, a whole one has 64 bits."""


def with_computed(schema: TableSchema, table: pa.Table) -> tuple[pa.Table, NDArray[np.bool_]]:
    """The table with its computed columns, and which rows have results within the declared bounds.

    Args:
      schema: The declaration.
      table: Decoded rows; whatever its computed columns hold is replaced.

    Privacy: none; post-processing.
    """
    good = np.ones(table.num_rows, bool)
    for name in computation_order(schema.released):
        field, column = table.schema.field(name), _numeric(schema, name)
        parts = [_numbers(schema, table, operand) for operand in column.computed.operands]
        found, known, far = _result(column, parts)
        (lower, upper), near = column.bounds, rounding_of(column)
        inside = ~far & (found >= lower - near) & (found <= upper + near)
        good &= inside | ~known
        plain = np.clip(np.where(inside, found, lower), lower, upper).astype(np.float64)
        whole = family(value_type(field.type)) == "int" or isinstance(column, Integer)
        array = values.typed(plain, ~known, column, whole, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, array)
    return table, good


def _numeric(schema: TableSchema, name: str) -> Any:
    """A computed column, or one that others are computed from: an integer or real one."""
    return schema.columns[name]


def _numbers(schema: TableSchema, table: pa.Table, name: str) -> Numbers:
    """A column's numbers; its special ones are none."""
    found = numbers(table.column(name).combine_chunks())
    special = np.isin(found.values, _numeric(schema, name).special)
    return Numbers(found.values, np.where(special & (found.state == 0), np.int8(-1), found.state))


def _result(column: Any, parts: Sequence[Numbers]) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """The results, where there are any, and which are too far out for whole numbers."""
    how = column.computed
    known = np.logical_and.reduce([part.state == 0 for part in parts])
    plain = [np.where(known, part.values, 1.0) for part in parts]
    if how.operation == "quotient":
        known = known & (plain[1] != 0)
        plain[1] = np.where(known, plain[1], 1.0)
    operate = OPERATIONS[how.operation]
    with np.errstate(over="ignore", invalid="ignore"):
        rough = operate(plain) * how.times + how.plus
        far = ~(np.abs(rough) < _FAR)
        if isinstance(column, Integer):  # in 64 bits, where what wraps around on the way comes back
            rough = operate([p.astype(np.int64) for p in plain]) * np.int64(how.times) + np.int64(how.plus)
    return values.rounded(column, np.where(far, 0, rough).astype(np.float64)), known, far


OPERATIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": lambda parts: reduce(np.add, parts),
    "difference": lambda parts: parts[0] - parts[1],
    "product": lambda parts: reduce(np.multiply, parts),
    "quotient": lambda parts: parts[0] / parts[1],
    "least": lambda parts: reduce(np.minimum, parts),
    "greatest": lambda parts: reduce(np.maximum, parts),
}
"""What each operation does to columns of numbers."""


def interval(schema: TableSchema, name: str, known: Mapping[str, Interval | None]) -> Interval | None:
    """Where a numeric column's values can lie, bounds of computed ones left aside; None where it can only be null.

    Args:
      schema: The declaration.
      name: The column.
      known: Narrower intervals of some columns; None for null.
    """
    if name in known:
        return known[name]
    column = _numeric(schema, name)
    if column.derived_from is not None:
        found = [value for value in derived_values(column) if value is not None]
        return (min(found), max(found)) if found else None
    if column.computed is None:
        return float(column.bounds[0]), float(column.bounds[1])
    parts = [_bounded(schema, operand, known) for operand in column.computed.operands]
    if any(part is None for part in parts):
        return None
    low, high = _INTERVALS[column.computed.operation]([part for part in parts if part is not None])
    ends = np.array(sorted(end * column.computed.times + column.computed.plus for end in (low, high)))
    first, last = values.rounded(column, ends).tolist() if np.isfinite(ends).all() else ends.tolist()
    return first, last


def _bounded(schema: TableSchema, name: str, known: Mapping[str, Interval | None]) -> Interval | None:
    """The same, within the bounds of computed columns, which every row keeps."""
    found, column = interval(schema, name, known), _numeric(schema, name)
    if found is None or column.computed is None:
        return found
    return max(found[0], column.bounds[0]), min(found[1], column.bounds[1])


def spanned(
    schema: TableSchema, name: str, known: Mapping[str, Interval | None]
) -> tuple[Interval | None, bool]:
    """Where a number lies in a row that is kept, None where it can only be null; and whether it may be a null quotient.

    Args:
      schema: The declaration.
      name: The column.
      known: Intervals of the columns that it is computed from in the end, as far as they are known; None for null.
    """
    found = _bounded(schema, name, known)
    if found is not None and found[0] > found[1]:
        found = interval(schema, name, known)  # such a row isn't kept anyway
    return found, found is not None and _may_divide_by_zero(schema, name, known)


def _may_divide_by_zero(schema: TableSchema, name: str, known: Mapping[str, Interval | None]) -> bool:
    how = _numeric(schema, name).computed
    if how is None:
        return False
    below = _bounded(schema, how.operands[-1], known) if how.operation == "quotient" else None
    zero = below is not None and below[0] <= 0 <= below[1]
    return zero or any(_may_divide_by_zero(schema, operand, known) for operand in how.operands)


def possible(schema: TableSchema, name: str, known: Mapping[str, Interval | None]) -> bool:
    """Whether a computed column can lie within its bounds, or be null, as far as intervals tell."""
    found, column = interval(schema, name, known), _numeric(schema, name)
    near = rounding_of(column)
    return found is None or (found[0] <= column.bounds[1] + near and found[1] >= column.bounds[0] - near)


def may_leave(schema: TableSchema, name: str) -> bool:
    """Whether a computed column may lie outside of its bounds, as far as intervals tell."""
    found, column = interval(schema, name, {}), _numeric(schema, name)
    near = rounding_of(column)
    return found is not None and not (column.bounds[0] - near <= found[0] and found[1] <= column.bounds[1] + near)


def rounding_of(column: Any) -> float:
    """By how much floating point may move a result out of its bounds; it is brought back then."""
    return 0.0 if isinstance(column, Integer) else 1e-12 * max(map(abs, column.bounds))


def operands_of(schema: TableSchema, name: str) -> tuple[str, ...]:
    """The columns that aren't computed themselves, from which one is computed in the end."""
    how = schema.columns[name].computed
    if how is None:
        return (name,)
    return tuple(dict.fromkeys(part for operand in how.operands for part in operands_of(schema, operand)))


def _corners(combine: Callable[[float, float], float], first: Interval, second: Interval) -> Interval:
    found = [combine(a, b) for a in first for b in second]
    return min(found), max(found)


def _quotients(parts: Sequence[Interval]) -> Interval:
    if parts[1][0] <= 0 <= parts[1][1]:
        return -math.inf, math.inf
    return _corners(lambda a, b: a / b, *parts)


_INTERVALS: dict[str, Callable[[Sequence[Interval]], Interval]] = {
    "sum": lambda parts: (math.fsum(p[0] for p in parts), math.fsum(p[1] for p in parts)),
    "difference": lambda parts: (parts[0][0] - parts[1][1], parts[0][1] - parts[1][0]),
    "product": lambda parts: reduce(lambda one, other: _corners(lambda a, b: a * b, one, other), parts),
    "quotient": _quotients,
    "least": lambda parts: (min(p[0] for p in parts), min(p[1] for p in parts)),
    "greatest": lambda parts: (max(p[0] for p in parts), max(p[1] for p in parts)),
}
"""The same of intervals."""
