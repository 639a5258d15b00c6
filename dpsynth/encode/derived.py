"""Columns that are public functions of others: computed on output from codes, never read."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode import values
from dpsynth.schema import Categorical, TableSchema
from dpsynth.schema.derivations import values_by_category
from dpsynth.tables.types import family, value_type


def derived_groups(schema: TableSchema, cause: str) -> NDArray[np.int64] | None:
    """A number of a group for each category of ``cause``, by the first categorical column derived from it, if any."""
    for name, column in schema.released.items():
        if isinstance(column, Categorical) and column.derived_from is not None and column.derived_from.column == cause:
            known: dict[Any, int] = {}
            by_label = values_by_category(schema.columns, name)
            return np.array([known.setdefault(value, len(known)) for value in by_label], np.int64)
    return None


def derive(schema: TableSchema, name: str, codes: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """The values of a derived column.

    Args:
      schema: The declaration.
      name: The derived column.
      codes: Codes of the column that determines it, as that one's own encoder gives them; the last one is null.
      kind: The Arrow type of the result.

    Privacy: none; post-processing.
    """
    column = schema.columns[name]
    wanted = [*values_by_category(schema.columns, name), None]
    if isinstance(column, Categorical):
        null = len(column.categories)
        lookup = [null if value is None else column.categories.index(value) for value in wanted]
        return values.labelled(column.categories, np.array(lookup, np.int64)[codes], kind)
    absent = np.array([value is None for value in wanted])
    numbers = np.array([0.0 if value is None else value for value in wanted], np.float64)
    whole = family(value_type(kind)) == "int" or column.kind == "integer"
    return values.typed(numbers[codes], absent[codes], column, whole, kind)
