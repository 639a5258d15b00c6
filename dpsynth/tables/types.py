"""Which Arrow types can hold a column of which kind, and which type a synthetic column has."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from dpsynth.errors import TableError
from dpsynth.schema import Boolean, Categorical, Column, Identifier, Integer, Real

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_TRUTH = {"false": 0, "0": 0, "true": 1, "1": 1}

DEFAULT_TYPES: dict[type, pa.DataType] = {
    Categorical: pa.string(),
    Integer: pa.int64(),
    Real: pa.float64(),
    Boolean: pa.bool_(),
    Identifier: pa.string(),
}
"""The type of a column whose file has none of its own: CSV, or an Arrow column of nulls only."""

_FAMILIES: dict[str, Callable[[pa.DataType], bool]] = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    "binary": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t),
    "int": pa.types.is_integer,
    "float": pa.types.is_floating,
    "decimal": pa.types.is_decimal,
    "bool": pa.types.is_boolean,
    "null": pa.types.is_null,
    "dictionary": pa.types.is_dictionary,
}

_ACCEPTED: dict[type, frozenset[str]] = {
    Categorical: frozenset({"text", "int", "float", "bool", "null"}),
    Integer: frozenset({"text", "int", "float", "decimal", "null"}),
    Real: frozenset({"text", "int", "float", "decimal", "null"}),
    Boolean: frozenset({"text", "int", "float", "bool", "null"}),
    Identifier: frozenset({"text", "binary", "int", "float", "null"}),
}


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type: text, binary, int, float, decimal, bool, null, dictionary or other."""
    return next((name for name, test in _FAMILIES.items() if test(kind)), "other")


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values: a dictionary's value type, or the type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def numeric_label(label: str) -> float | None:
    """The number that a category's label is the text of, or None; ``3`` and ``3.0`` are one number, ``03`` is none."""
    return float(label) if _NUMBER.fullmatch(label) else None


def truth_label(label: str) -> int | None:
    """0 or 1 for a label that a boolean column can hold, else None."""
    return _TRUTH.get(label.casefold())


def output_type(name: str, column: Column, kind: pa.DataType) -> pa.DataType:
    """The Arrow type of the synthetic column, from public facts alone.

    Args:
      name: The column's name.
      column: Its declaration.
      kind: The type it has in the table.

    Returns:
      ``kind``, but the default of the column's kind where ``kind`` is null, and a wider index where the declared
      categories don't fit a dictionary's.

    Raises:
      TableError: The type can't hold the declared domain.
    """
    values = value_type(kind)
    group = family(values)
    if group not in _ACCEPTED.get(type(column), frozenset()):
        raise _unfit(name, kind, f"a column of kind {column.kind!r} is stored as one of {_names(column)}")
    if group == "null":
        return DEFAULT_TYPES[type(column)]
    check = _CHECKS.get(type(column))
    if check is not None:
        check(name, column, values, group)
    if not pa.types.is_dictionary(kind):
        return kind
    if isinstance(column, Identifier):
        return values
    return pa.dictionary(_index_type(kind, column), values, ordered=kind.ordered)


def _index_type(kind: pa.DataType, column: Column) -> pa.DataType:
    levels = _LEVELS.get(type(column), lambda c: 2**31 - 1)(column)
    return kind.index_type if levels <= np.iinfo(kind.index_type.to_pandas_dtype()).max else pa.int32()


_LEVELS: dict[type, Callable[[Any], int]] = {
    Categorical: lambda column: len(column.categories),
    Boolean: lambda column: 2,
    Integer: lambda column: int(column.bounds[1] - column.bounds[0] + 1),
}
"""Most distinct values that a column's dictionary can have to hold; as many as rows, for other kinds."""


def _names(column: Column) -> str:
    return ", ".join(sorted(_ACCEPTED.get(type(column), ())))


def _check_labels(name: str, column: Column, values: pa.DataType, group: str) -> None:
    assert isinstance(column, Categorical)
    for label in column.categories:
        if group == "bool" and truth_label(label) is None:
            raise _unfit(name, values, f"the declared label {label!r} is neither true nor false")
        number = numeric_label(label) if group in ("int", "float") else 0.0
        if number is None or (group == "int" and (number != int(number) or not _fits(number, number, values))):
            raise _unfit(name, values, f"the declared label {label!r} isn't a number of that type")


def _check_range(name: str, column: Column, values: pa.DataType, group: str) -> None:
    assert isinstance(column, Integer | Real)
    lower, upper = column.bounds
    if group == "int" and np.ceil(lower) > np.floor(upper):
        raise _unfit(name, values, "there is no whole number between the declared bounds")
    if not _fits(lower, upper, values):
        raise _unfit(name, values, f"it can't hold the declared bounds [{lower}, {upper}]")


def _fits(lower: float, upper: float, values: pa.DataType) -> bool:
    if pa.types.is_integer(values):
        info = np.iinfo(values.to_pandas_dtype())
        return bool(info.min <= lower and upper <= info.max)
    if pa.types.is_floating(values):
        return bool(max(abs(lower), abs(upper)) <= float(np.finfo(values.to_pandas_dtype()).max))
    if pa.types.is_decimal(values):
        return bool(max(abs(lower), abs(upper)) < 10 ** (values.precision - values.scale))
    return True


def _unfit(name: str, kind: pa.DataType, why: str) -> TableError:
    shown = str(kind).partition("<")[0] if pa.types.is_nested(kind) else kind  # names of fields may come from records
    return TableError(
        f"Column {name!r} is stored as {shown}, which doesn't fit its declaration.",
        f"For this column, {why}.",
        "Change the declaration, store the column as another type, or list it under 'omit'.",
    )


_CHECKS: dict[type, Callable[[str, Column, pa.DataType, str], None]] = {
    Categorical: _check_labels,
    Integer: _check_range,
    Real: _check_range,
}
