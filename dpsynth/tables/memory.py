"""Tables in memory: pandas DataFrames and Arrow tables, as blocks of Arrow arrays.

pandas infers most dtypes from the values, so that one record decides between int64, float64 and str. A dtype that
inference can give is therefore no public fact, and the synthetic column has its declaration's default type instead.
"""

import datetime
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from dpsynth.errors import TableError
from dpsynth.schema import Categorical, TableSchema
from dpsynth.tables.structure import Format, Structure
from dpsynth.tables.types import family, numeric_label, plain_decimals, value_type, without_views


def arrow_blocks(records: pa.Table, columns: tuple[str, ...], rows: int) -> Iterator[dict[str, pa.Array]]:
    """Blocks of at most ``rows`` records of an Arrow table."""
    for batch in records.select(list(columns)).to_batches(max_chunksize=rows):
        if batch.num_rows:
            yield {name: without_views(batch.column(name)) for name in columns}


def pandas_blocks(records: Any, columns: tuple[str, ...], rows: int) -> Iterator[dict[str, pa.Array]]:
    """Blocks of at most ``rows`` records of a DataFrame; total, whatever its object columns hold."""
    for start in range(0, len(records), rows):
        block = records.iloc[start : start + rows]
        yield {name: _array(block[name]) for name in columns}


def pandas_fields(records: Any) -> pa.Schema:
    """Names and Arrow types of a DataFrame, from its dtypes alone; null where a dtype tells nothing (object)."""
    return pa.schema([pa.field(str(name), _type(dtype)) for name, dtype in records.dtypes.items()])


def chosen_fields(records: Any) -> pa.Schema:
    """Names and Arrow types of a DataFrame, null wherever pandas could have inferred the dtype from the values."""
    return pa.schema([pa.field(str(name), _chosen(dtype)) for name, dtype in records.dtypes.items()])


def require_told_apart(records: Any, schema: TableSchema) -> None:
    """Refuse labels that spell one number or truth, where one record decides whether others are stored as such.

    Raises:
      TableError: A column that is read has two such labels, and a dtype that may have been inferred from its values.
    """
    for name, column in schema.released.items():
        if isinstance(column, Categorical) and not column.generated and _inferred(records.dtypes[name]):
            found = _same(column.categories)
            if found is not None:
                raise TableError(
                    f"Column {name!r} can't be read from a DataFrame: its labels {found[0]!r} and {found[1]!r} spell "
                    "one value.",
                    "In a DataFrame one record decides whether all others are stored as text or as numbers, of which "
                    "such labels can't be told apart.",
                    "Give the file itself or an Arrow table, or declare one of the labels alone.",
                )


def _inferred(dtype: Any) -> bool:
    kind = _chosen(dtype)
    return bool(pa.types.is_null(value_type(kind)))


def _same(labels: Sequence[str]) -> tuple[str, str] | None:
    """Two labels that spell one truth in words, or one number of which one is the usual text."""
    known: dict[Any, str] = {}
    for label in labels:
        word, number = label.casefold(), numeric_label(label)
        key = word if word in ("true", "false") else number
        other = known.get(key)
        if key is not None and other is not None and (number is None or {label, other} & _usual(number)):
            return other, label
        known.setdefault(key, label)
    return None


def _usual(number: float) -> set[str]:
    """How Python spells a number that is stored as one."""
    whole = {str(int(number))} if number.is_integer() else set[str]()
    return {repr(number), *whole}


def released_dtypes(records: Any, schema: TableSchema, arrow: pa.Schema) -> tuple[str, ...]:
    """Names of the dtypes of the synthetic columns ``arrow``: those of the DataFrame where they were chosen."""
    dtypes = records.dtypes
    return tuple(_released(dtypes[field.name], field.type, schema.columns[field.name].nullable) for field in arrow)


def restore(table: pa.Table, structure: Structure) -> Any:
    """The table in the form that it was given in: a DataFrame with the same dtypes, or else the Arrow table.

    A dtype that can't hold null becomes its nullable sibling where the synthetic column has nulls (int32, Int32).
    """
    if structure.format is not Format.PANDAS:
        return table
    import pandas as pd

    dtypes = zip(table.column_names, structure.dtypes, strict=True)
    return pd.DataFrame({name: _series(table.column(name), dtype) for name, dtype in dtypes})


def _series(column: pa.ChunkedArray, dtype: str) -> Any:
    if dtype == "category" or dtype.endswith("[pyarrow]"):
        return column.to_pandas() if dtype == "category" else column.to_pandas(types_mapper=_arrow_dtype)
    if dtype in ("str", TIME):
        return column.to_pandas()  # the text dtype of this pandas, or the one that it has for times
    numpy_only = dtype.startswith(("int", "uint")) or dtype == "bool"
    nullable = {"bool": "boolean", "uint": "UInt"}
    if numpy_only and column.null_count:
        dtype = nullable.get(dtype) or dtype.replace("uint", "UInt").replace("int", "Int")
    return column.to_pandas(integer_object_nulls=True).astype(dtype)


def _arrow_dtype(kind: pa.DataType) -> Any:
    import pandas as pd

    return pd.ArrowDtype(kind)


TIME = "time"
"""Stands for whatever dtype pandas has for an Arrow type of dates or times."""
_CHOSEN = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32"})
"""What no inference gives, in lower case: numpy's and, with capitals, the nullable ones of pandas."""


def _chosen(dtype: Any) -> pa.DataType:
    """The Arrow type of a dtype that was chosen; null for one that may have been inferred."""
    kind = type(dtype).__name__
    if kind == "CategoricalDtype":
        return pa.dictionary(pa.int32(), _chosen(dtype.categories.dtype), ordered=bool(dtype.ordered))
    if kind == "ArrowDtype":
        wide = dtype.pyarrow_dtype in (pa.int64(), pa.uint64(), pa.float64())
        inferred = wide or family(dtype.pyarrow_dtype) in ("text", "bool", "time", "null")
        return pa.null() if inferred else dtype.pyarrow_dtype
    return _type(dtype) if str(dtype).lower() in _CHOSEN else pa.null()


def _released(dtype: Any, kind: pa.DataType, nullable: bool) -> str:
    name, flavour = str(dtype), type(dtype).__name__
    if flavour == "ArrowDtype":
        return f"{kind}[pyarrow]"
    if pa.types.is_dictionary(kind):
        return "category"
    if _chosen(dtype) == kind:
        return name
    if family(kind) == "time":
        return TIME
    if family(kind) == "text":
        return "string" if name in _MASKED else "str"
    if family(kind) == "bool":
        return "boolean" if nullable or name in _MASKED else "bool"
    plain = str(np.dtype(kind.to_pandas_dtype()))
    masked = name in _MASKED or (nullable and family(kind) == "int")
    return plain.replace("int", "Int").replace("uInt", "UInt").replace("float", "Float") if masked else plain


_MASKED = frozenset({
    "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean", "string",
})
"""The nullable dtypes of pandas: a DataFrame that has them gets them back."""


def _type(dtype: Any) -> pa.DataType:
    kind = type(dtype).__name__
    if kind == "ArrowDtype":
        return dtype.pyarrow_dtype
    if kind == "CategoricalDtype":
        values = _type(dtype.categories.dtype)
        text = pa.large_string() if pa.types.is_null(values) else values
        return pa.dictionary(pa.int32(), text, ordered=bool(dtype.ordered))
    if kind == "StringDtype":
        return pa.large_string()
    try:
        return pa.from_numpy_dtype(getattr(dtype, "numpy_dtype", dtype))
    except (pa.ArrowNotImplementedError, TypeError):
        return pa.null() if dtype == np.dtype(object) else pa.list_(pa.null())


def _array(series: Any) -> pa.Array:
    dtype = series.dtype
    kind = type(dtype).__name__
    python_text = kind == "StringDtype" and dtype.storage != "pyarrow"
    if kind == "CategoricalDtype":
        codes = np.asarray(series.cat.codes)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32), mask=codes < 0), _array(series.cat.categories.to_series())
        )
    if python_text or dtype == np.dtype(object):
        return pa.array([_plain(value) for value in series.tolist()], pa.large_binary())
    if kind in _AS_OBJECTS or getattr(dtype, "kind", "") in "mMc" or family(_type(dtype)) == "other":
        return pa.array([_plain(value) for value in series.astype(object).tolist()], pa.large_binary())
    array = pa.Array.from_pandas(series)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


_AS_OBJECTS = frozenset({"PeriodDtype", "IntervalDtype", "DatetimeTZDtype"})
"""With times, durations and complex numbers: read value by value, so that a value means the same in a column of
objects, which one other value makes of them."""


def _plain(value: Any) -> bytes | None:
    """The bytes of one Python value; null for absent values and for types that have no plain text."""
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return bytes(text) if (text := writer(value)) is not None else None
    if type(value).__name__ in ("Period", "Interval", "UUID"):
        return _text(value)
    return next((write(value) for kind, write in _KINDS if isinstance(value, kind)), None)


def _moment(value: Any) -> bytes | None:
    """ISO 8601, of days where the time is midnight; times with a zone are in UTC. Null for pandas' not-a-time."""
    if value != value:
        return None
    naive = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    return str(naive.isoformat(sep=" ")).removesuffix(" 00:00:00").encode()


def _span(value: Any) -> bytes | None:
    return None if value != value else f"{value.days}d{value.seconds}.{value.microseconds:06d}s".encode()


def _numpy_span(value: Any) -> bytes | None:
    """A NumPy span as any other; null where it is none, or none of a known number of microseconds (months, say)."""
    try:
        plain = value.astype("timedelta64[us]").item()
    except (TypeError, ValueError):
        return None
    return _span(plain) if isinstance(plain, datetime.timedelta) else None


def _complex(value: Any) -> bytes | None:
    return _float(float(value.real)) if value.imag == 0 else _text(value)


def _float(value: Any) -> bytes | None:
    return None if value != value else str(value).encode()


def _text(value: Any) -> bytes:
    return str(value).encode(errors="replace")


_KINDS: tuple[tuple[Any, Any], ...] = (
    (datetime.datetime, _moment),
    (datetime.date, lambda value: value.isoformat().encode()),
    (datetime.timedelta, _span),
    ((complex, np.complexfloating), _complex),
    (np.timedelta64, _numpy_span),
    (np.datetime64, lambda value: None if np.isnat(value) else _plain(value.astype("datetime64[us]").item())),
)

_WRITERS: dict[type, Any] = {
    str: _text,
    np.str_: _text,
    bytes: bytes,
    bool: lambda value: b"true" if value else b"false",
    np.bool_: lambda value: b"true" if value else b"false",
    int: lambda value: str(value).encode() if abs(value) < 10**300 else b"inf",
    float: _float,
    Decimal: lambda value: str(value).encode() if value.is_finite() else None,
    **{kind: (lambda value: str(value.item()).encode()) for kind in (np.int8, np.int16, np.int32, np.int64)},
    **{kind: (lambda value: str(value.item()).encode()) for kind in (np.uint8, np.uint16, np.uint32, np.uint64)},
    np.float64: lambda value: _float(value.item()),
    **{kind: (lambda value: _float(float(plain_decimals(np.array([value]))[0]))) for kind in (np.float16, np.float32)},
}
