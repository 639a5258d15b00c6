"""Cells of a table that is partly known: the codes of those that are, and their values in the type of the output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.encode import values
from dpsynth.encode.columns import BooleanEncoder, CategoricalEncoder, ColumnEncoder, NumericEncoder
from dpsynth.encode.raw import numbers
from dpsynth.encode.temporal import TemporalEncoder, stored_microseconds
from dpsynth.schema import Integer
from dpsynth.tables.types import family


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """A column of which some cells are known.

    Attributes:
      codes: Unmerged codes, -1 where a cell isn't known; int64, shape (rows,).
      values: The known values as they are, null elsewhere.
    """

    codes: NDArray[np.int64] = field(repr=False)
    values: pa.Array = field(repr=False)


def observe(column: ColumnEncoder, array: pa.Array, kind: pa.DataType, *, null_is_value: bool) -> Observed | None:
    """Which cells of a column are known, and what is in them.

    Args:
      column: The column's encoder.
      array: Its values, of any type that a table may have.
      kind: The Arrow type that they get; values of another type are written anew in it.
      null_is_value: Whether null is a value of a nullable column; otherwise it is what isn't known.

    Returns:
      None where a value isn't in the declared domain, or has no equal in ``kind``; nothing tells which.
    """
    if family(array.type) == "dictionary":
        array = array.dictionary_decode()
    nullable = _nullable(column)
    if nullable.problems(array) or (isinstance(nullable.column, Integer) and not _whole(array)):
        return None
    codes = nullable.encode(array)
    absent = codes == nullable.size - 1
    written = array if array.type == kind else _WRITTEN[type(column)](column, array, codes, absent, kind)
    if written is None:
        return None
    kept = pc.if_else(pa.array(absent), pa.nulls(1, kind)[0], written)
    if not (null_is_value and nullable.size == column.size):
        codes = np.where(absent, -1, codes)
    return Observed(codes=codes, values=kept)


def _nullable(column: Any) -> Any:
    """The same encoder, with a code for null in any case: so that what is absent is told from all else."""
    if column.column.nullable:
        return column
    more = {"inner": _nullable(column.inner)} if isinstance(column, TemporalEncoder) else {}
    return replace(column, column=column.column.model_copy(update={"nullable": True}), **more)


def _whole(array: Any) -> bool:
    found = numbers(array).values
    return bool((found == np.floor(found)).all())


def _numbers(column: NumericEncoder, array: Any, codes: Any, absent: Any, kind: Any) -> Any:
    found, integers = numbers(array).values, family(kind) == "int"
    if integers and not _whole(array):
        return None
    return values.typed(found, absent, column.column, integers or isinstance(column.column, Integer), kind)


def _times(column: TemporalEncoder, array: Any, codes: Any, absent: Any, kind: Any) -> Any:
    found = stored_microseconds(array, column.column.kind)
    if (found.values % column.column.step).any():
        return None
    return column.stored(array, kind)


def _labels(labels: Sequence[str], codes: Any, absent: Any, kind: Any) -> Any:
    return values.labelled(labels, np.where(absent, len(labels), codes), kind)


_WRITTEN: dict[type, Callable[..., Any]] = {
    CategoricalEncoder: lambda column, _, codes, absent, kind: _labels(column.column.categories, codes, absent, kind),
    BooleanEncoder: lambda _, __, codes, absent, kind: _labels(("false", "true"), codes, absent, kind),
    NumericEncoder: _numbers,
    TemporalEncoder: _times,
}
"""How the known values of each kind are written in another type; None where one has no equal there."""
