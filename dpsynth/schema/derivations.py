"""Columns that are public functions of others: what a declaration of one has to say."""

from collections.abc import Collection, Mapping
from typing import Any

from dpsynth.schema.columns import Categorical, Integer, Real
from dpsynth.schema.declared import finite
from dpsynth.schema.kinds import Column


def check_derived(columns: Mapping[str, Column], *, omitted: Collection[str] = ()) -> None:
    """Refuse a derivation that doesn't give a value of the declared domain for every category of its cause.

    Args:
      columns: The released columns.
      omitted: Names of columns that are left out, and can't determine one.

    Raises:
      ValueError: In the words of a validator: what was expected.
    """
    for name, column in columns.items():
        if column.derived_from is not None:
            _check(name, column, columns, omitted)


def _check(name: str, column: Column, columns: Mapping[str, Column], omitted: Collection[str]) -> None:
    derivation = column.derived_from
    assert derivation is not None
    cause = columns.get(derivation.column)
    if derivation.column in omitted or not isinstance(cause, Categorical) or cause.derived_from is not None:
        raise ValueError(f"column {name!r} derived from a released categorical column that isn't derived itself")
    if set(derivation.values) != set(cause.categories):
        raise ValueError(f"in 'values' of column {name!r} each category of {derivation.column!r} once, and no other")
    if cause.nullable and not column.nullable:
        raise ValueError(f"column {name!r} to be nullable, as {derivation.column!r} is, from which it is derived")
    try:
        values = derived_values(column)
    except (TypeError, ValueError):
        values = ()
    if not values or (None in values and not column.nullable):
        raise ValueError(f"in 'values' of column {name!r} what its own declaration allows")


def derived_values(column: Column) -> tuple[Any, ...]:
    """The value for each category of the cause, in the order of ``values``: label, number or None.

    Raises:
      ValueError: One of them lies outside the column's own domain, or the column's kind can't be derived.
    """
    assert column.derived_from is not None
    return tuple(_value(column, value) for value in column.derived_from.values.values())


def values_by_category(columns: Mapping[str, Column], name: str) -> list[Any]:
    """The value of a derived column for each category of its cause, in the order of that one's declaration."""
    column = columns[name]
    assert column.derived_from is not None
    by_key = dict(zip(column.derived_from.values, derived_values(column), strict=True))
    cause: Any = columns[column.derived_from.column]
    return [by_key[label] for label in cause.categories]


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column, Categorical):
        return column.categories[column.categories.index(str(value))]
    if not isinstance(column, Integer | Real):
        raise ValueError("a categorical, integer or real column")
    number = finite(value)
    whole = number == int(number) or isinstance(column, Real)
    if not whole or not column.bounds[0] <= number <= column.bounds[1]:
        raise ValueError("a number within the bounds")
    return int(number) if isinstance(column, Integer) else number
