"""Which type a synthetic column has: the table's where it can hold the declared domain, else the declaration's.

A stored type can be what a reader inferred from the values, so that one record decides it. No type that inference
yields is therefore a reason to refuse a table.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.errors import TableError
from dpsynth.schema import Boolean, Categorical, Column, Identifier, Integer, Open, Real, Temporal
from dpsynth.schema.columns import Constant
from dpsynth.schema.derivations import derived_values

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_TRUTH = {"false": 0, "0": 0, "true": 1, "1": 1}

_FEWEST_APART = 256

DEFAULT_TYPES: dict[type, pa.DataType] = {
    Categorical: pa.string(),
    Open: pa.string(),
    Integer: pa.int64(),
    Real: pa.float64(),
    Boolean: pa.bool_(),
    Identifier: pa.string(),
}
TEMPORAL_TYPES: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "time": pa.time64("us"),
    "duration": pa.duration("us"),
}
"""The same of dates and times, by kind."""

_FAMILIES: dict[str, Callable[[pa.DataType], bool]] = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    "binary": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t),
    "int": pa.types.is_integer,
    "float": pa.types.is_floating,
    "decimal": pa.types.is_decimal,
    "bool": pa.types.is_boolean,
    "time": lambda t: pa.types.is_temporal(t) and not pa.types.is_interval(t),
    "null": pa.types.is_null,
    "dictionary": pa.types.is_dictionary,
}

_READABLE = frozenset({"text", "int", "float", "decimal", "bool", "time", "null"})
_ACCEPTED: dict[type, frozenset[str]] = {
    Categorical: _READABLE,
    Open: _READABLE,
    Integer: _READABLE,
    Real: _READABLE,
    Boolean: _READABLE,
    Temporal: _READABLE,
    Identifier: _READABLE | {"binary"},
    Constant: _READABLE | {"binary"},
}


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type: text, binary, int, float, decimal, bool, time, null, dictionary or other."""
    return next((name for name, test in _FAMILIES.items() if test(kind)), "other")


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values: a dictionary's value type, or the type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def plain_decimals(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers as float64: of two and four bytes, the shortest decimal that stands for each, 0.1 for what is nearest it.

    So a number means the same in a column of a narrow type, in a CSV file, and as a Python object.
    """
    if values.dtype not in (np.float16, np.float32):
        return values.astype(np.float64)
    distinct, at = np.unique(values, return_inverse=True)
    return np.asarray(distinct.astype(str).astype(np.float64)[at])


def plain_text(kind: pa.DataType) -> pa.DataType:
    """The type itself; of text views, on which Arrow can do little, plain text."""
    return pa.string() if pa.types.is_string_view(kind) else kind


def without_views(array: pa.Array) -> pa.Array:
    """The array, with plain text in the place of text views."""
    if pa.types.is_dictionary(array.type) and pa.types.is_string_view(array.type.value_type):
        return pa.DictionaryArray.from_arrays(array.indices, without_views(array.dictionary))
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def numeric_label(label: str) -> float | None:
    """The number that a category's label is the text of, or None; ``3`` and ``3.0`` are one number, ``03`` is none."""
    return float(label) if _NUMBER.fullmatch(label) else None


def truth_label(label: str) -> int | None:
    """0 or 1 for a label that a boolean column can hold, else None."""
    return _TRUTH.get(label.casefold())


def plain_type(column: Column) -> pa.DataType:
    """The type of a column whose file has none of its own (CSV)."""
    if isinstance(column, Constant):
        return _CONSTANTS[type(column.value)]
    if isinstance(column, Temporal):
        return pa.timestamp("us", tz=column.zone) if column.zone else TEMPORAL_TYPES[column.kind]
    return DEFAULT_TYPES[type(column)]


def default_type(column: Column) -> pa.DataType:
    """The type that a declaration alone gives: that of labels that spell different (whole) numbers is a number's."""
    if not isinstance(column, Categorical):
        return plain_type(column)
    for kind in (pa.int64(), pa.float64()):
        if _holds_labels(column, kind):
            return kind
    return DEFAULT_TYPES[Categorical]


def output_type(name: str, column: Column, kind: pa.DataType) -> pa.DataType:
    """The Arrow type of the synthetic column, from public facts alone.

    Args:
      name: The column's name.
      column: Its declaration.
      kind: The type it has in the table; null where that isn't a public fact.

    Returns:
      ``kind`` where it can hold the declared domain, else the declaration's default. A dictionary's indices are always
      int32, because the stored width tells how many values there are.

    Raises:
      TableError: The type can't be read as this kind of column.
    """
    values = value_type(kind)
    if family(values) not in _ACCEPTED.get(type(column), frozenset()):
        raise _unfit(name, kind, f"a column of kind {column.kind!r} is stored as one of {_names(column)}")
    kept = values if _HOLDS[type(column)](column, values) else default_type(column)
    if not pa.types.is_dictionary(kind) or isinstance(column, Identifier):
        return kept
    return pa.dictionary(pa.int32(), plain_text(kept), ordered=kind.ordered)


def _names(column: Column) -> str:
    return ", ".join(sorted(_ACCEPTED.get(type(column), ())))


def _holds_labels(column: Categorical, values: pa.DataType) -> bool:
    """Whether every label has a value of its own in this type."""
    group = family(values)
    if group == "text":
        return True
    read = truth_label if group == "bool" else numeric_label
    found = [read(label) for label in column.categories]
    told = [number for number in found if number is not None]
    if group not in ("int", "float", "bool") or len(set(told)) < len(found):
        return False
    if group == "int" and not all(number == np.floor(number) and abs(number) < 2**53 for number in told):
        return False
    return _fits(min(told), max(told), values) and (
        group != "float" or plain_decimals(np.array(told, values.to_pandas_dtype())).tolist() == told
    )


def _holds_range(column: Integer | Real, values: pa.DataType) -> bool:
    group, (lower, upper) = family(values), column.bounds
    if column.derived_from is not None and not _holds_exactly(derived_values(column), values):
        return False
    if group == "int" and np.ceil(lower) > np.floor(upper):
        return False
    if not _holds_exactly(column.special, values) or not _holds_computed(column, values):
        return False
    lower, upper = min((lower, *column.special)), max((upper, *column.special))
    if group == "float" and not _finely_enough(column, lower, upper, values):
        return False
    return group in ("text", "int", "float", "decimal") and _fits(lower, upper, values)


def _finely_enough(column: Integer | Real, lower: float, upper: float, values: pa.DataType) -> bool:
    """Whether a type of floats tells whole numbers, or ``_FEWEST_APART`` steps between the bounds, and codes apart."""
    kind = values.to_pandas_dtype()
    largest = max(abs(lower), abs(upper))
    if largest > float(np.finfo(kind).max):
        return False
    if isinstance(column, Integer):
        return bool(largest <= 2.0 ** (np.finfo(kind).nmant + 1))
    apart = plain_decimals(np.array(column.special, kind)).tolist() == [float(code) for code in column.special]
    return apart and bool(float(np.spacing(kind(largest))) * _FEWEST_APART <= column.bounds[1] - column.bounds[0])


def _holds_computed(column: Integer | Real, values: pa.DataType) -> bool:
    """Whether no result would be rounded to whole numbers, or to a decimal's places."""
    if column.computed is None or isinstance(column, Integer) or family(values) not in ("int", "decimal"):
        return True
    return column.resolution is not None and _holds_exactly((column.resolution,), values)


def _holds_exactly(numbers: Sequence[float | None], values: pa.DataType) -> bool:
    """Whether no value of a public function would be rounded to whole numbers, or to a decimal's places."""
    places = {"int": 0, "decimal": getattr(values, "scale", 0)}.get(family(values))
    return places is None or all(number is None or number == round(number, places) for number in numbers)


def _holds_time(column: Temporal, values: pa.DataType) -> bool:
    """Whether each multiple of the resolution between the bounds has a value of its own in this type."""
    tests = {
        "date": lambda t: pa.types.is_date(t) or pa.types.is_timestamp(t),
        "datetime": pa.types.is_timestamp,
        "time": pa.types.is_time,
        "duration": pa.types.is_duration,
    }
    unit = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}.get(str(getattr(values, "unit", "us")), 1)
    if not tests[column.kind](values) or column.step % unit:
        return False
    ends = [tick * column.step for tick in column.ticks.bounds] if column.bounds is not None else [0]
    return str(getattr(values, "unit", "")) != "ns" or max(map(abs, ends)) < 2**63 // 1_000


def _holds_constant(column: Constant, values: pa.DataType) -> bool:
    """Whether the value has a form in this type from which it comes back."""
    if column.value is None:
        return not pa.types.is_null(values)
    plain = pa.array([column.value])
    try:
        return bool(plain.cast(values).cast(plain.type).equals(plain))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False


_CONSTANTS: dict[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    type(None): pa.string(),
}
"""The type of a constant column whose table has none that holds its value."""


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
        "Store the column as another type, or list it under 'omit'.",
    )


_HOLDS: dict[type, Callable[[Any, pa.DataType], bool]] = {
    Categorical: _holds_labels,
    Open: lambda column, values: family(values) == "text",
    Integer: _holds_range,
    Real: _holds_range,
    Boolean: lambda column, values: family(values) in ("text", "int", "float", "bool"),
    Temporal: lambda column, values: family(values) == "text" or _holds_time(column, values),
    Constant: _holds_constant,
    Identifier: lambda column, values: family(values) in ("text", "binary", "int", "float"),
}
"""Whether a type can hold the declared domain of a column of each kind."""
