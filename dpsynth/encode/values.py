"""Codes to values of an Arrow type. Post-processing of codes that were already released."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.encode.binning import default_resolution
from dpsynth.schema import Integer, Real
from dpsynth.tables.types import family, numeric_label, plain_decimals, truth_label, value_type

Code = NDArray[np.int64]


def labelled(labels: Sequence[str], codes: Code, kind: pa.DataType) -> pa.Array:
    """The labels with these codes; a code past the last label is null. Dictionaries hold the declared labels."""
    inner = value_type(kind)
    group = family(inner)
    declared = pa.array([_VALUE_OF[group](label) for label in labels], inner)
    indices = pa.array(codes, pa.int64(), mask=codes >= len(labels))
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pc.cast(indices, kind.index_type), declared, ordered=kind.ordered)
    return declared.take(indices)


def _number_of(label: str) -> float | None:
    truth = truth_label(label)
    return numeric_label(label) if truth is None else float(truth)


def _integer_of(label: str) -> int | None:
    number = _number_of(label)
    return None if number is None else int(number)


_VALUE_OF: dict[str, Any] = {
    "text": str,
    "int": _integer_of,
    "float": _number_of,
    "bool": lambda label: bool(truth_label(label)),
}


def spread(
    column: Integer | Real,
    cuts: NDArray[np.float64],
    codes: Code,
    generator: np.random.Generator,
    kind: pa.DataType,
) -> pa.Array:
    """Numbers with these codes, spread evenly over the multiples of the resolution in each bin; the last code is null.

    A bin without a multiple gives the one number that starts it (for a whole-number type, the nearest one in bounds).

    Args:
      column: The declaration.
      cuts: First values of the second, third, ... bin.
      codes: Shape (rows,).
      generator: Draws the place within the bin.
      kind: The Arrow type of the result.

    Privacy: none; post-processing.
    """
    whole = family(value_type(kind)) == "int" or isinstance(column, Integer)
    step = _resolution(column, whole)
    first, last = _grid(column, cuts, step)
    apart = codes > len(cuts)
    absent = codes > len(cuts) + len(column.special)
    at = np.where(apart, 0, codes)
    width = np.maximum(last - first, 0)[at] + 1
    place = first[at] + np.minimum((generator.random(len(codes)) * width).astype(np.int64), width - 1)
    numbers = place * float(step.numerator) / step.denominator
    empty = (first > last)[at]
    if empty.any():
        starts = np.concatenate([[column.bounds[0]], cuts])
        numbers = np.where(empty, np.round(starts[at]) if whole else starts[at], numbers)
    lower, upper = (np.ceil(column.bounds[0]), np.floor(column.bounds[1])) if whole else column.bounds
    numbers = _within_bin(np.clip(numbers, lower, upper), cuts, at, kind)
    for code, special in enumerate(column.special, len(cuts) + 1):
        numbers[codes == code] = special
    return typed(numbers, absent, column, whole, kind)


def _within_bin(numbers: NDArray[Any], cuts: NDArray[np.float64], at: Code, kind: pa.DataType) -> NDArray[Any]:
    """The numbers, those that a narrow type of floats would round out of their bin moved to its nearest end."""
    inner = value_type(kind)
    if family(inner) != "float" or pa.types.is_float64(inner):
        return numbers
    narrow = inner.to_pandas_dtype()
    starts, ends = np.append(-np.inf, cuts)[at], np.append(cuts, np.inf)[at]
    found = numbers.astype(narrow)
    found = np.where(plain_decimals(found) < ends, found, np.nextafter(found, narrow(-np.inf)))
    return np.where(plain_decimals(found) < starts, np.nextafter(found, narrow(np.inf)), found).astype(np.float64)


def bin_widths(column: Integer | Real, cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many multiples of the resolution each bin holds, at least 1; shape (bins,)."""
    first, last = _grid(column, cuts, _resolution(column, isinstance(column, Integer)))
    return np.asarray(np.maximum(last - first + 1, 1), np.float64)


def rounded(column: Integer | Real, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers at a real column's declared resolution; as they are, where none is declared."""
    step = half_step(column) * 2
    if not step:
        return numbers
    return np.asarray(np.rint(numbers / float(step)) * float(step.numerator) / step.denominator)


def half_step(column: Integer | Real) -> Fraction:
    """How far rounding to the declared resolution moves a computed number at most; 0 where none is declared."""
    declared = None if isinstance(column, Integer) else column.resolution
    return Fraction(0) if declared is None else _exact(declared) / 2


def on_grid(column: Integer | Real, numbers: NDArray[np.float64], *, whole: bool) -> NDArray[np.float64]:
    """The nearest multiples of the resolution within the bounds; the lower bound where there is none."""
    step = _resolution(column, whole)
    (first,), (last,) = _grid(column, np.empty(0), step)
    if first > last:
        return np.full(len(numbers), float(column.bounds[0]))
    place = np.clip(np.rint(numbers / float(step)), first, last)
    return np.asarray(place * float(step.numerator) / step.denominator)


def _resolution(column: Integer | Real, whole: bool) -> Fraction:
    if isinstance(column, Integer):
        return Fraction(1)
    declared = column.resolution
    step = default_resolution(*column.bounds) if declared is None else _exact(declared)
    return step if not whole or step.denominator == 1 else Fraction(1)


def _grid(column: Integer | Real, cuts: NDArray[np.float64], step: Fraction) -> tuple[Code, Code]:
    """First and last multiple of ``step`` in each bin."""
    lower, upper = column.bounds
    if isinstance(column, Integer):
        whole = np.ceil(cuts).astype(np.int64)
        return np.concatenate([[lower], whole]), np.concatenate([whole - 1, [upper]])
    starts = [-(-_exact(value) // step) for value in (lower, *cuts.tolist())]
    ends = [*(start - 1 for start in starts[1:]), _exact(upper) // step]
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _exact(number: float) -> Fraction:
    """The decimal number that was declared, not the float nearest to it."""
    return Fraction(Decimal(repr(float(number))))


def typed(numbers: NDArray[Any], absent: NDArray[np.bool_], column: Any, whole: bool, kind: Any) -> Any:
    """Numbers as an array of an Arrow type, null where ``absent``."""
    inner = value_type(kind)
    out = _ARRAYS[family(inner)](numbers, absent, column, whole, inner)
    if not pa.types.is_dictionary(kind):
        return out
    encoded = out.dictionary_encode()
    indices = pc.cast(encoded.indices, kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)


def _integers(numbers: Any, absent: Any, column: Any, whole: bool, kind: Any) -> Any:
    return pa.array(numbers.astype(np.int64), mask=absent).cast(kind)


def _floats(numbers: Any, absent: Any, column: Any, whole: bool, kind: Any) -> Any:
    narrow = numbers.astype(kind.to_pandas_dtype())
    lower, upper = column.bounds
    plain, wide = ~np.isin(numbers, column.special), narrow.astype(np.float64)
    narrow = np.where(plain & (wide > upper), np.nextafter(narrow, narrow.dtype.type(-np.inf)), narrow)
    narrow = np.where(plain & (wide < lower), np.nextafter(narrow, narrow.dtype.type(np.inf)), narrow)
    return pa.array(narrow, kind, mask=absent)


def _decimals(numbers: Any, absent: Any, column: Any, whole: bool, kind: Any) -> Any:
    return pc.cast(pa.array(numbers, pa.float64(), mask=absent), kind)


def _texts(numbers: Any, absent: Any, column: Any, whole: bool, kind: Any) -> Any:
    plain = numbers.astype(np.int64) if whole else numbers
    distinct, place = np.unique(plain, return_inverse=True)
    return pa.array([repr(number) for number in distinct.tolist()], kind).take(pa.array(place, mask=absent))


_ARRAYS: dict[str, Any] = {
    "int": _integers, "float": _floats, "decimal": _decimals, "text": _texts,
}


def constant(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    """One value of an Arrow type in every row."""
    inner = value_type(kind)
    if pa.types.is_dictionary(kind):
        indices = pa.array([None if value is None else 0] * rows, kind.index_type)
        entries = pa.array([] if value is None else [value]).cast(inner)
        return pa.DictionaryArray.from_arrays(indices, entries, ordered=kind.ordered)
    return pa.array([value]).cast(inner).take(pa.array(np.zeros(rows, np.int64)))


def surrogates(rows: int, kind: pa.DataType) -> pa.Array:
    """Fresh identifiers 1, 2, ... of an Arrow type; they are nobody's, and wrap around where the type is too small."""
    group = family(kind)
    count = np.arange(1, rows + 1, dtype=np.int64)
    if group == "int":
        return pa.array((count - 1) % min(np.iinfo(kind.to_pandas_dtype()).max, 2**62) + 1).cast(kind)
    if group == "float":
        return pa.array(count.astype(kind.to_pandas_dtype()), kind)
    texts = [f"S{i}" for i in count.tolist()]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return pa.array([i.to_bytes(8, "big")[-width:].rjust(width, b"\0") for i in count.tolist()], kind)
    return pa.array(texts if group == "text" else [text.encode() for text in texts], kind)
