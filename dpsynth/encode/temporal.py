"""Dates, moments, times of day and durations to codes and back: whole multiples of a resolution, binned."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.encode.columns import NO_NUMBER, NumericEncoder, numeric_encoder
from dpsynth.encode.raw import ABSENT, UNKNOWN, Numbers, dictionary_indices, numbers
from dpsynth.schema import Temporal
from dpsynth.schema.temporal import UNITS, microseconds
from dpsynth.tables.types import family, value_type

Code = NDArray[np.int64]
_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class Micros:
    """A column as whole microseconds.

    Attributes:
      values: int64; 0 where there are none.
      state: int8: 0 for a value, ABSENT for a null, UNKNOWN for anything else.
    """

    values: NDArray[np.int64]
    state: NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalEncoder:
    """Codes are bins of whole multiples of the resolution."""

    column: Temporal
    inner: NumericEncoder

    @property
    def size(self) -> int:
        """Number of bins, and null."""
        return self.inner.size

    @property
    def scale(self) -> int:
        """The bins."""
        return self.inner.scale

    @property
    def widths(self) -> NDArray[np.float64]:
        """How many multiples of the resolution each bin holds."""
        return self.inner.widths

    def encode(self, array: pa.Array) -> Code:
        """What lies outside the bounds is clamped; what means no such value is null, else in the first bin."""
        return self.inner.encode_numbers(self._ticks(array))

    def decode(self, codes: Code, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
        """Values spread evenly over their bin. Privacy: none; post-processing."""
        return _typed(self.inner.decode(codes, generator, pa.int64()), self.column, kind)

    def stored(self, array: pa.Array, kind: pa.DataType) -> pa.Array:
        """The values themselves in another Arrow type, at the column's resolution; null where there are none."""
        found = self._ticks(array)
        return _typed(pa.array(found.values.astype(np.int64), mask=found.state != 0), self.column, kind)

    def problems(self, array: pa.Array) -> dict[str, int]:
        """CONFIDENTIAL: counts of values outside the bounds, of what means no such value, and of undeclared nulls."""
        found = self.inner.problems_of(self._ticks(array))
        return {f"no {self.column.kind}" if what == NO_NUMBER else what: count for what, count in found.items()}

    def describe(self) -> dict[str, Any]:
        """Size and cuts, as text; cuts are in multiples of the resolution."""
        return self.inner.describe() | {"kind": self.column.kind}

    def _ticks(self, array: pa.Array) -> Numbers:
        found = stored_microseconds(array, self.column.kind)
        return Numbers((found.values // self.column.step).astype(np.float64), found.state)


def temporal_encoder(column: Temporal, *, finely: bool, extra: Sequence[float] = ()) -> TemporalEncoder:
    """The encoder of a column; of fine cells, or of bins; with further first values of bins, in steps of resolution."""
    return TemporalEncoder(column=column, inner=numeric_encoder(column.ticks, finely=finely, extra=extra))


def stored_microseconds(array: Any, kind: str) -> Micros:
    """What the values mean in microseconds, as whole numbers; total, whatever the array holds."""
    group = family(array.type)
    if group == "dictionary":
        return _spread(stored_microseconds(array.dictionary, kind), array)
    if group in ("text", "binary"):
        encoded = pc.cast(array, pa.large_binary()).dictionary_encode()
        found = [_meaning(text, kind) for text in encoded.dictionary.to_pylist()]
        return _spread(_micros([value for value, _ in found], [state for _, state in found]), encoded)
    if group == "time" and _stored_as(array.type) in _READ[kind]:
        stored = _stored(array)
        return stored if kind != "time" else Micros(stored.values % UNITS["day"], stored.state)
    if group in ("float", "int", "decimal"):
        return _seconds(array) if kind == "duration" else stored_microseconds(_digits(array), kind)
    null = np.asarray(pc.is_null(array, nan_is_null=group == "float").to_numpy(zero_copy_only=False), bool)
    return Micros(np.zeros(len(array), np.int64), np.where(null, ABSENT, UNKNOWN).astype(np.int8))


def _spread(inner: Micros, array: Any) -> Micros:
    """What a dictionary's entries mean, for each value of the array; nothing for null."""
    at = dictionary_indices(array)
    return Micros(np.append(inner.values, 0)[at], np.append(inner.state, np.int8(ABSENT))[at])


def _digits(array: Any) -> Any:
    """Stored numbers as the texts that they are among other objects: a number such as 20200102 means a day in each."""
    if family(array.type) != "float":
        return pc.cast(array, pa.string())
    plain = numbers(array)
    states = plain.state.tolist()
    texts = [repr(value) if state == 0 else "inf" for value, state in zip(plain.values.tolist(), states, strict=True)]
    return pa.array(texts, pa.string(), mask=plain.state == ABSENT)


def _micros(values: Sequence[int], states: Sequence[int]) -> Micros:
    return Micros(np.array(values, np.int64), np.array(states, np.int8))


def _meaning(text: bytes, kind: str) -> tuple[int, int]:
    plain = text.decode(errors="replace").strip()
    if not plain:
        return 0, ABSENT
    if kind != "duration" and (whole := _WHOLE.fullmatch(plain)):
        plain = whole[1]
    found = microseconds(plain, kind)
    return (found, 0) if found is not None else (0, UNKNOWN)


_WHOLE = re.compile(r"(\d+)\.0+")
"""A whole number as a float or a decimal is spelled."""


def _stored_as(kind: pa.DataType) -> str:
    if pa.types.is_duration(kind):
        return "duration"
    return "time" if pa.types.is_time(kind) else "moment"


_READ = {"date": ("moment",), "datetime": ("moment",), "time": ("time", "moment"), "duration": ("duration",)}
"""Which stored types have a value of each kind; a moment's time of day is its own."""


def _stored(array: Any) -> Micros:
    """Values of a stored time, date, moment or duration."""
    null = np.asarray(pc.is_null(array).to_numpy(zero_copy_only=False), bool)
    unit = _UNIT_OF.get(str(getattr(array.type, "unit", "")))
    wide = pa.int32() if array.type.bit_width == 32 else pa.int64()
    raw = np.asarray(array.view(wide).fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)
    if unit is None:
        unit = 86_400_000_000.0 if array.type.bit_width == 32 else 1_000.0  # dates count days or milliseconds
    if unit >= 1:
        most = _LARGEST // int(unit)
        return Micros(np.clip(raw, -most, most) * int(unit), np.where(null, ABSENT, 0).astype(np.int8))
    return Micros(raw // 1_000, np.where(null, ABSENT, 0).astype(np.int8))


_UNIT_OF = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}


def _seconds(array: Any) -> Micros:
    """Stored numbers of seconds; one that is too large is no duration, as in a text."""
    found = numbers(array)
    near = np.abs(found.values) < 9e12
    state = np.where((found.state == 0) & ~near, UNKNOWN, found.state).astype(np.int8)
    return Micros(np.rint(np.where(near, found.values, 0.0) * 1e6).astype(np.int64), state)


def _typed(ticks: Any, column: Temporal, kind: pa.DataType) -> Any:
    """Whole multiples of the resolution as an array of an Arrow type."""
    inner = value_type(kind)
    micros = pc.multiply(ticks, column.step)
    if family(inner) == "text":
        out = _texts(micros, column.kind).cast(inner)
    elif pa.types.is_duration(inner):
        out = pc.cast(pc.cast(micros, pa.duration("us")), inner, safe=False)
    elif pa.types.is_time(inner):
        out = pc.cast(pc.cast(micros, pa.time64("us")), inner, safe=False)
    else:
        moment = pc.cast(micros, pa.timestamp("us", tz=getattr(inner, "tz", None)))
        out = pc.cast(moment, inner, safe=False)
    if not pa.types.is_dictionary(kind):
        return out
    encoded = out.dictionary_encode()
    indices = pc.cast(encoded.indices, kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)


def _texts(micros: Any, kind: str) -> Any:
    if kind == "duration":
        return pa.array([None if v is None else repr(v / 1e6) for v in micros.to_pylist()], pa.string())
    moment = pc.cast(micros, pa.timestamp("us"))
    form = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "datetime": "%Y-%m-%d %H:%M:%S"}[kind]
    whole = micros.to_pylist()
    if kind != "date" and all(v is None or v % 1_000_000 == 0 for v in whole):
        moment = pc.cast(moment, pa.timestamp("s"))
    return pc.strftime(moment, format=form)
