"""Raw Arrow arrays to numbers and label indices: total functions, whatever the arrays hold."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.tables.types import family, numeric_label, plain_decimals, truth_label

ABSENT, UNKNOWN = -1, -2
"""Indices of a null and of a value that isn't declared."""
Levels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column as numbers.

    Attributes:
      values: float64; 0 where there is no finite number.
      state: int8: 0 for a finite number, ABSENT for a null, UNKNOWN for anything else.
    """

    values: NDArray[np.float64]
    state: NDArray[np.int8]


def numbers(array: pa.Array) -> Numbers:
    """The numbers of an array of any accepted type; text is parsed, what isn't a finite number is told apart."""
    return _NUMBERS.get(family(array.type), _no_numbers)(array)


def _dictionary_numbers(array: Any) -> Numbers:
    inner = numbers(array.dictionary)
    return _spread(inner, dictionary_indices(array))


def _spread(inner: Numbers, at: NDArray[np.int64]) -> Numbers:
    return Numbers(np.append(inner.values, 0.0)[at], np.append(inner.state, np.int8(ABSENT))[at])


def dictionary_indices(array: Any) -> NDArray[np.int64]:
    """Dictionary indices; -1 for null."""
    return _numpy(pc.cast(array.indices, pa.int64()), -1)


def _plain_numbers(array: Any) -> Numbers:
    values = plain_decimals(_numpy(array, 0))
    finite = np.isfinite(values)
    state = np.where(finite, 0, UNKNOWN).astype(np.int8)
    state[np.isnan(values)] = ABSENT
    if array.null_count:
        state[_nulls(array)] = ABSENT
    return Numbers(np.where(finite, values, 0.0), state)


def _truth_numbers(array: Any) -> Numbers:
    return _plain_numbers(pc.cast(array, pa.int8()))


def _time_numbers(array: Any) -> Numbers:
    return Numbers(np.zeros(len(array)), np.where(_nulls(array), ABSENT, UNKNOWN).astype(np.int8))


def _decimal_numbers(array: Any) -> Numbers:
    return _plain_numbers(pc.cast(array, pa.float64()))


def _text_numbers(array: Any) -> Numbers:
    encoded = as_binary(array).dictionary_encode()
    parsed = [_number(text) for text in encoded.dictionary.to_pylist()]
    state = np.array([_state(number) for number in parsed], np.int8)
    values = np.array(parsed, np.float64)
    return _spread(Numbers(np.where(state == 0, values, 0.0), state), dictionary_indices(encoded))


def _number(text: bytes) -> float:
    """The number that bytes spell; NaN where they are blank, infinity where they spell no finite number."""
    try:
        return float(text) if b"_" not in text else np.inf
    except ValueError:
        return _TRUTHS.get(text, np.inf if text.strip() else np.nan)


_TRUTHS = {b"false": 0, b"False": 0, b"FALSE": 0, b"true": 1, b"True": 1, b"TRUE": 1}
"""Texts of which a reader makes truth values where a column holds nothing else; they mean the same in any column."""


def _state(number: float) -> int:
    return ABSENT if np.isnan(number) else (0 if np.isfinite(number) else UNKNOWN)


def _no_numbers(array: Any) -> Numbers:
    return Numbers(np.zeros(len(array)), np.full(len(array), ABSENT, np.int8))


_NUMBERS: dict[str, Callable[[Any], Numbers]] = {
    "dictionary": _dictionary_numbers,
    "int": _plain_numbers,
    "float": _plain_numbers,
    "decimal": _decimal_numbers,
    "bool": _truth_numbers,
    "time": _time_numbers,
    "text": _text_numbers,
    "binary": _text_numbers,
}


def levels(array: pa.Array, labels: Sequence[str]) -> Levels:
    """The index of each value among ``labels``; ABSENT for a null, UNKNOWN for a value that isn't among them.

    Text is compared exactly; a number's text also matches in the form that a float has, and ``True`` matches a label of
    that truth, where these aren't labels themselves. Stored numbers match labels that spell the same number (``3`` also
    ``03``), stored times match ISO dates. So a record has one code whichever type a reader inferred from all values.
    Empty text is null, unless it is a label.
    """
    return _LEVELS.get(family(array.type), _no_levels)(array, labels)


def _dictionary_levels(array: Any, labels: Sequence[str]) -> Levels:
    return np.asarray(np.append(levels(array.dictionary, labels), ABSENT)[dictionary_indices(array)])


def _text_levels(array: Any, labels: Sequence[str]) -> Levels:
    known = {label: i for i, label in enumerate(labels)}
    for number, i in _spelled(labels).items():
        whole = number.is_integer() and abs(number) < 2**53
        for form in (str(int(number)), f"{int(number)}.0") if whole else (repr(number),):
            known.setdefault(form, i)
    for text, truth in _TRUTHS.items():
        known.setdefault(text.decode(), _truths(labels)[truth])
    known.setdefault("", ABSENT)
    values = pa.array([text.encode() for text in known], pa.large_binary())
    found = _numpy(pc.index_in(as_binary(array), value_set=values), len(known))
    out: Levels = np.array([*known.values(), UNKNOWN], np.int64)[found]
    if array.null_count:
        out[_nulls(array)] = ABSENT
    return out


def _number_levels(array: Any, labels: Sequence[str]) -> Levels:
    spelled = _spelled(labels)
    known = np.array(sorted(spelled) or [np.nan], np.float64)
    index = np.array([spelled.get(k, UNKNOWN) for k in known.tolist()], np.int64)
    found = numbers(array)
    at = np.minimum(np.searchsorted(known, found.values), len(known) - 1)
    out = np.where(known[at] == found.values, index[at], UNKNOWN)
    return np.where(found.state == 0, out, found.state.astype(np.int64))


def _spelled(labels: Sequence[str]) -> dict[float, int]:
    """The index of the label of each number."""
    spelled: dict[float, int] = {}
    for read in (numeric_label, _loosely):
        for i, label in enumerate(labels):
            number = read(label)
            if number is not None:
                spelled.setdefault(number, i)
    return spelled


def _loosely(label: str) -> float | None:
    """The number that a reader makes of a label such as ``007``."""
    number = np.inf if label.encode() in _TRUTHS else _number(label.encode())
    return number if np.isfinite(number) else None


def _truth_levels(array: Any, labels: Sequence[str]) -> Levels:
    out = np.array(_truths(labels), np.int64)[_numpy(array, False).astype(np.int64)]
    out[_nulls(array)] = ABSENT
    return out


def _truths(labels: Sequence[str]) -> list[int]:
    """The indices of the first labels of false and of true; words come before digits."""
    index = [UNKNOWN, UNKNOWN]
    for i, label in sorted(enumerate(labels), key=lambda pair: (pair[1] not in ("0", "1"), -pair[0])):
        truth = truth_label(label)
        if truth is not None:
            index[truth] = i
    return index


def _time_levels(array: Any, labels: Sequence[str]) -> Levels:
    return _text_levels(time_text(array), [_DAY.sub("", label) for label in labels])


def time_text(array: Any) -> Any:
    """ISO 8601 text of times, of days where the time is midnight; times with a zone are in UTC."""
    naive = pc.cast(array, pa.timestamp(array.type.unit)) if pa.types.is_timestamp(array.type) else array
    encoded = pc.cast(naive, pa.string()).dictionary_encode()
    short = [_DAY.sub("", text) for text in encoded.dictionary.to_pylist()]
    return pa.array(short, pa.large_string()).take(encoded.indices)


_DAY = re.compile(r"((?<=\d{4}-\d\d-\d\d)[ T]00:00:00)?(\.0+)?$")


def _no_levels(array: Any, labels: Sequence[str]) -> Levels:
    return np.full(len(array), ABSENT, np.int64)


_LEVELS: dict[str, Callable[[Any, Sequence[str]], Levels]] = {
    "dictionary": _dictionary_levels,
    "int": _number_levels,
    "float": _number_levels,
    "decimal": _number_levels,
    "bool": _truth_levels,
    "time": _time_levels,
    "text": _text_levels,
    "binary": _text_levels,
}


def keys(array: pa.Array) -> list[bytes | None]:
    """A key of bytes for each value of an id column: equal values have equal keys; None where there is no id.

    A whole number has one key, stored as an integer, a float, a decimal or the text of any of these, so that neither a
    file's type nor a mix of types splits a person. There is no id in a null, a NaN or an empty text.
    """
    if family(array.type) == "dictionary":
        inner = [*keys(array.dictionary), None]
        return [inner[i] for i in dictionary_indices(array).tolist()]
    write = _KEYS.get(family(array.type), _no_keys)
    return [_key(text) for text in write(array)]


def texts(array: pa.Array) -> list[bytes | None]:
    """The same of an array of texts or bytes as they are, whatever number they spell; None where they are empty."""
    return [b"\1" + text if text else None for text in _text_keys(array)]


def _no_keys(array: Any) -> list[bytes | None]:
    return [None] * len(array)


def _text_keys(array: Any) -> list[bytes | None]:
    texts: list[bytes | None] = as_binary(array).to_pylist()
    return texts


def _number_keys(array: Any) -> list[bytes | None]:
    values = array.to_pylist()
    if pa.types.is_float16(array.type) or pa.types.is_float32(array.type):
        found = plain_decimals(_numpy(array, np.nan)).tolist()
        values = [None if value is None else number for value, number in zip(values, found, strict=True)]
    return [None if value is None or value != value else str(value).encode() for value in values]


_KEYS: dict[str, Callable[[Any], list[bytes | None]]] = {
    "int": _number_keys,
    "float": _number_keys,
    "decimal": _number_keys,
    "text": _text_keys,
    "binary": _text_keys,
    "time": lambda array: _text_keys(time_text(array)),
    "bool": lambda array: [None if value is None else str(value).lower().encode() for value in array.to_pylist()],
}
_WHOLE = re.compile(rb"(-?\d+)\.0+")
_EXPONENT = re.compile(rb"-?\d(?:\.\d+)?[eE]\+\d{1,3}")
"""How a large float (``e``) or decimal (``E``) is spelled."""


def _key(text: bytes | None) -> bytes | None:
    if not text:
        return None
    if text.endswith(b"0") and (whole := _WHOLE.fullmatch(text)):
        text = whole[1] if whole[1] != b"-0" else b"0"
    elif b"+" in text and _EXPONENT.fullmatch(text) and np.isfinite(float(text)):
        text = str(int(float(text) if b"e" in text else Decimal(text.decode()))).encode()
    return b"\1" + text


def as_binary(array: Any) -> Any:
    """An array of texts or bytes as large binary."""
    return array if pa.types.is_large_binary(array.type) else pc.cast(array, pa.large_binary())


def _nulls(array: Any) -> NDArray[np.bool_]:
    return np.asarray(pc.is_null(array).to_numpy(zero_copy_only=False), np.bool_)


def _numpy(array: Any, fill: Any) -> NDArray[Any]:
    filled = array.fill_null(fill) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False))
