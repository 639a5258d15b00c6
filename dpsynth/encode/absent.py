"""Declared codes of an absent value: read as null, whatever type they are stored in. Total."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.encode.raw import as_binary, dictionary_indices, numbers, time_text
from dpsynth.schema import Column, Integer, Real
from dpsynth.tables.types import family, numeric_label


def without_null_codes(array: pa.Array, column: Column) -> pa.Array:
    """The values with null in the place of each declared code of an absent one.

    Text is compared exactly; a code that spells a number also stands for that number where numbers are stored, and in
    numeric columns for any text of it.
    """
    if not column.nulls:
        return array
    found = _coded(array, column.nulls, numeric=isinstance(column, Integer | Real))
    if not found.any():
        return array
    mask = pa.array(found)
    if pa.types.is_dictionary(array.type):
        indices = pc.if_else(mask, pa.scalar(None, array.type.index_type), array.indices)
        return pa.DictionaryArray.from_arrays(indices, array.dictionary, ordered=array.type.ordered)
    return pc.if_else(mask, pa.scalar(None, array.type), array)


def _coded(array: Any, codes: tuple[str, ...], *, numeric: bool) -> NDArray[np.bool_]:
    """Which values are one of the codes; shape (rows,)."""
    group = family(array.type)
    if group == "dictionary":
        inner = np.append(_coded(array.dictionary, codes, numeric=numeric), False)
        return np.asarray(inner[dictionary_indices(array)])
    if group == "time" and not pa.types.is_duration(array.type):
        return _coded(time_text(array), codes, numeric=False)
    if group in ("int", "float", "decimal"):
        return _equal(array, codes)
    if group not in ("text", "binary"):
        return np.zeros(len(array), bool)
    forms = [*codes, *(f"{int(n)}.0" for n in map(numeric_label, codes) if n is not None and n.is_integer())]
    wanted = pa.array([form.encode() for form in forms], pa.large_binary())
    same = np.asarray(pc.is_in(as_binary(array), value_set=wanted).to_numpy(zero_copy_only=False), bool)
    return same | _equal(array, codes) if numeric else same


def _equal(array: Any, codes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which values are the number of one of the codes."""
    wanted = [n for n in map(numeric_label, codes) if n is not None]
    found = numbers(array)
    return np.asarray(np.isin(found.values, wanted) & (found.state == 0))
