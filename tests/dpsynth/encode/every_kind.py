"""Random declarations of every kind, tables for them, and what has to hold of their values: for property tests."""

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from dpsynth.encode import Encoder
from dpsynth.encode.histograms import Histogram
from dpsynth.schema import TableSchema

HOSTILE = (
    "=cmd|' /C calc'!A0", "../../etc/passwd", "a\nb", 'the "quoted"', "x'); DROP TABLE t;--", "  ", "\t", "nul\0",
    "\u202e", "\U0001f600", "e\u0301", "<script>", "NaN", "null", "None", "-0", "1e3", "007", "7.0", "7", "_RARE_",
    "x" * 2_000, "{x}%s", "True", "false", "2020-01-02", "a,b;c",
)  # fmt: skip
LABELS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=4))
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
         pa.dictionary(pa.int32(), pa.large_string(), ordered=True))
UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1, "millisecond": Decimal("0.001")}
EPOCH = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """One kind of column.

    Attributes:
      declared: Draws what is declared of a column.
      stored: Types that hold whatever is declared, so that they are kept.
      holds: Whether a value, as Python has it, lies in the declared domain; null is told apart before.
    """

    declared: st.SearchStrategy[dict[str, Any]]
    stored: Callable[[dict[str, Any]], tuple[pa.DataType, ...]]
    holds: Callable[[dict[str, Any], Any], bool]


def _labels(least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(LABELS, min_size=least, max_size=5, unique=True)


@st.composite
def _whole(draw: Any) -> dict[str, Any]:
    lower = draw(st.sampled_from([-(2**53), -(10**6), -100, -1, 0, 1, 17, 10**9]))
    width = draw(st.sampled_from([1, 2, 9, 100, 101, 5_000, 10**7]))
    found: dict[str, Any] = {"kind": "integer", "bounds": [lower, max(lower + width, lower + -(-abs(lower) // 10**8))]}
    width = found["bounds"][1] - lower
    how = draw(st.sampled_from(["", "bins", "log", "edges", "each"]))
    if how == "bins":
        found["bins"] = draw(st.integers(1, 40))
    elif how == "log":
        found["scale"] = "log"
    elif how == "each" and width < 5_000:
        found["bins"] = "each"
    elif how == "edges":
        found["edges"] = sorted({lower + draw(st.integers(1, width)) for _ in range(3)})
    return found | draw(_special(found["bounds"]))


@st.composite
def _real(draw: Any) -> dict[str, Any]:
    lower = draw(st.sampled_from([-1e15, -1e4, -1.5, -0.1, 0.0, 1e-9, 0.3, 7.0]))
    width = draw(st.sampled_from([0.5, 1.0, 33.3, 1e5, 1e15]))
    found: dict[str, Any] = {"kind": "real", "bounds": [lower, lower + max(width, abs(lower) * 1e-6)]}
    how = draw(st.sampled_from(["", "bins", "log", "edges"]))
    if how == "bins":
        found["bins"] = draw(st.integers(1, 40))
    elif how == "log":
        found["scale"] = "log"
    elif how == "edges":
        found["edges"] = [lower + (found["bounds"][1] - lower) / 3]
    if draw(st.booleans()) and max(map(abs, found["bounds"])) < 1e12:
        found["resolution"] = draw(st.sampled_from([0.01, 0.5, 5.0, 1e3]))
    return found | draw(_special(found["bounds"]))


def _special(bounds: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    codes = [bounds[0] - 1, bounds[1] + 3]
    fits = [code for code in codes if abs(code) <= 2**53 and not bounds[0] <= code <= bounds[1]]
    return st.sampled_from([{}, {"special": fits}])


MOMENTS = {
    "date": [("1969-12-30", "1970-01-03"), ("2013-01-01", "2014-01-01"), ("1600-01-01", "2250-12-31")],
    "datetime": [("1969-12-31T23:00:00", "1970-01-01T02:00:00"), ("2013-01-01", "2014-01-01")],
    "time": [("00:00:00", "23:59:59"), ("09:00:00", "17:30:00")],
    "duration": [("0", "86400"), ("-7200", "7200")],
}


@st.composite
def _times(draw: Any, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "bounds": list(draw(st.sampled_from(MOMENTS[kind])))}
    if kind != "date":
        found["resolution"] = draw(st.sampled_from(["hour", "minute", "second", "millisecond"]))
    if draw(st.booleans()):
        found["bins"] = draw(st.integers(1, 30))
    if kind == "datetime" and draw(st.booleans()):
        found["zone"] = draw(st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu"]))
    return found


def _moment(kind: str, value: Any) -> Decimal:
    """Seconds that a value or an ISO text means, by other means than the engine's."""
    if kind == "duration":
        return Decimal(str(value.total_seconds() if isinstance(value, datetime.timedelta) else value))
    if kind == "time":
        found = value if isinstance(value, datetime.time) else datetime.time.fromisoformat(value)
        return Decimal(found.hour * 3600 + found.minute * 60 + found.second) + Decimal(found.microsecond) / 10**6
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return Decimal((value - EPOCH) // datetime.timedelta(microseconds=1)) / 10**6


def _in_time(column: dict[str, Any], value: Any) -> bool:
    first, last, found = (_moment(column["kind"], v) for v in (*column["bounds"], value))
    step = Decimal(UNITS[column.get("resolution", "day")])
    low, high = (math.floor(end / step) * step for end in (first, last))
    return found % step == 0 and low <= found <= high


def _time_types(column: dict[str, Any]) -> tuple[pa.DataType, ...]:
    fine = column.get("resolution") == "millisecond"
    units = ("ms", "us", "ns") if fine else ("s", "ms", "us", "ns")
    if column["kind"] == "date":
        wide = column["bounds"][0] == "1600-01-01"
        return (pa.date32(), pa.date64(), pa.timestamp("s"), pa.string(), *(() if wide else (pa.timestamp("ns"),)))
    if column["kind"] == "datetime":
        zones = (None, "UTC", "America/New_York")
        return (*(pa.timestamp(unit, zone) for unit in units for zone in zones), pa.string(),
                pa.dictionary(pa.int32(), pa.timestamp(units[0])))
    if column["kind"] == "time":
        return (*(pa.time32(u) for u in units if u in ("s", "ms")), pa.time64("us"), pa.time64("ns"), pa.large_string())
    return (*(pa.duration(unit) for unit in units), pa.string())


def _number_types(column: dict[str, Any]) -> tuple[pa.DataType, ...]:
    ends = [*column["bounds"], *column.get("special", [])]
    low, high = min(ends), max(ends)
    far = max(abs(low), abs(high))
    out: list[pa.DataType] = [pa.float64(), pa.string(), pa.dictionary(pa.int16(), pa.float64())]
    if column["kind"] == "integer":
        whole = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64())
        for kind in whole:
            info = np.iinfo(kind.to_pandas_dtype())
            if info.min <= low and high <= info.max:
                out.append(kind)
        out.append(pa.decimal128(20, 2))
        return (*out, *([pa.float16()] if far <= 2**11 else []), *([pa.float32()] if far <= 2**24 else []))
    width = column["bounds"][1] - column["bounds"][0]
    for kind, scalar, fits in (
        (pa.float16(), np.float16, far <= 60_000 and far <= width), (pa.float32(), np.float32, far <= 1_000 * width)
    ):
        if fits and all(float(str(scalar(code))) == code for code in column.get("special", [])):
            out.append(kind)
    return tuple(out)


def _number(column: dict[str, Any], value: Any) -> bool:
    found = float(value)
    with np.errstate(over="ignore"):
        special = [float(kind(code)) for code in column.get("special", []) for kind in (float, np.float32, np.float16)]
    if found in special:
        return True
    return column["bounds"][0] <= found <= column["bounds"][1] and (column["kind"] == "real" or found == int(found))


KINDS: dict[str, Sort] = {
    "categorical": Sort(
        declared=_labels().flatmap(
            lambda labels: st.sampled_from(
                [{"kind": "categorical", "categories": labels},
                 {"kind": "categorical", "categories": labels, "otherwise": labels[-1]}]
            )
        ),
        stored=lambda column: TEXTS,
        holds=lambda column, value: value in column["categories"],
    ),
    "ordinal": Sort(
        declared=_labels().map(lambda labels: {"kind": "ordinal", "categories": labels}),
        stored=lambda column: TEXTS,
        holds=lambda column, value: value in column["categories"],
    ),
    "codes": Sort(
        declared=st.lists(st.integers(-9, 99), min_size=1, max_size=5, unique=True).map(
            lambda codes: {"kind": "categorical", "categories": [str(code) for code in codes]}
        ),
        stored=lambda column: (pa.int8(), pa.int64(), pa.float32(), pa.string(), pa.dictionary(pa.int8(), pa.int64())),
        holds=lambda column, value: str(value).removesuffix(".0") in column["categories"],
    ),
    "boolean": Sort(
        declared=st.just({"kind": "boolean"}),
        stored=lambda column: (pa.bool_(), pa.string(), pa.int8(), pa.float64(), pa.dictionary(pa.int8(), pa.string())),
        holds=lambda column, value: value in (True, False, "true", "false"),
    ),
    "integer": Sort(declared=_whole(), stored=_number_types, holds=_number),
    "real": Sort(declared=_real(), stored=_number_types, holds=_number),
    **{kind: Sort(declared=_times(kind), stored=_time_types, holds=_in_time) for kind in MOMENTS},
}
"""The kinds that a model learns."""


def names() -> st.SearchStrategy[str]:
    """Names that a column may have."""
    return st.one_of(
        st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
    )


@st.composite
def declarations(draw: Any, most: int = 4) -> tuple[dict[str, dict[str, Any]], dict[str, pa.DataType]]:
    """Columns of random kinds under hostile names, and a type that each is stored in and that holds its domain."""
    columns: dict[str, dict[str, Any]] = {}
    types: dict[str, pa.DataType] = {}
    for name in draw(st.lists(names(), min_size=1, max_size=most, unique=True)):
        sort = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        column = draw(sort.declared) | {"nullable": draw(st.booleans())}
        if column["nullable"] and draw(st.booleans()):
            column["nulls"] = draw(st.sampled_from([["-77777"], ["N/A", ""], ["1900-01-01"]]))
            if set(column["nulls"]) & set(column.get("categories", ())):
                del column["nulls"]
        columns[name], types[name] = column, draw(st.sampled_from(sort.stored(column)))
    return columns, types


def schema_of(columns: dict[str, dict[str, Any]], **more: Any) -> TableSchema:
    """A declaration, validated as a file's is."""
    return TableSchema.model_validate({"name": "t", "columns": columns, **more})


def in_domain(column: dict[str, Any], value: Any) -> bool:
    """Whether a value of the synthetic table, as Python has it, is one that the declaration has."""
    if value is None:
        return bool(column["nullable"])
    kind = "codes" if column["kind"] == "categorical" and not isinstance(value, str) else column["kind"]
    return KINDS[kind].holds(column, value)


def learned(encoder: Encoder, rng: np.random.Generator) -> Encoder:
    """The encoder with merges of random histograms."""
    found = {}
    for name in encoder.learned:
        cells = rng.integers(-5, 60, encoder.domain.size(name) - encoder.apart[name])
        starts = encoder.blocks()[name]
        sums = None if starts is None else np.add.reduceat(cells, starts)
        found[name] = Histogram(cells=cells, sigma=3.0, blocks=sums, block_sigma=3.0, starts=starts)
    return encoder.merge(found, bins=8) if found else encoder


ODD = st.one_of(
    st.none(), LABELS, st.sampled_from(["-77777", "N/A", "", "1e999", "nan", "-inf", "9" * 400, "12:30", "2013-06-01"]),
    st.integers(-(10**20), 10**20).map(str), st.floats().map(repr),
)  # fmt: skip


def raw(kind: pa.DataType, rows: int) -> st.SearchStrategy[pa.Array]:
    """Records of a stored type, whatever they hold."""
    if pa.types.is_dictionary(kind):
        return raw(kind.value_type, rows).map(lambda array: array.dictionary_encode())
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return st.lists(ODD, min_size=rows, max_size=rows).map(lambda cells: pa.array(cells, kind))
    return st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows).map(lambda seeds: _random(kind, seeds))


def _random(kind: pa.DataType, seeds: list[int]) -> pa.Array:
    """Arbitrary bit patterns as values; one in five is null."""
    rows = len(seeds)
    mask = np.array([seed % 5 == 0 for seed in seeds])
    if pa.types.is_boolean(kind):
        return pa.array([seed % 2 == 0 for seed in seeds], kind, mask=mask)
    if pa.types.is_decimal(kind):
        return pa.array([Decimal(seed) / 100 for seed in seeds], kind)
    width = kind.bit_width // 8
    if pa.types.is_time(kind):
        day = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit] * 86_400
        plain = np.array([seed * 20_011 % day for seed in seeds], f"i{width}")
        return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(plain.tobytes())])
    bits = np.random.default_rng(seeds).bytes(width * rows)
    array = pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(bits)])
    return pa.array(array.to_numpy(zero_copy_only=False), kind, mask=mask) if pa.types.is_floating(kind) else array


@st.composite
def with_made(draw: Any, most: int = 3) -> tuple[dict[str, dict[str, Any]], dict[str, pa.DataType]]:
    """The same, with columns that no model holds: an identifier, a constant, drawn, derived and computed ones."""
    columns, types = draw(declarations(most))
    learned = dict(columns)

    def add(column: dict[str, Any], *kinds: pa.DataType) -> None:
        name = draw(names().filter(lambda name: name not in columns))
        columns[name], types[name] = column | {"nullable": True}, draw(st.sampled_from(kinds))

    if draw(st.booleans()):
        add({"kind": "identifier"}, pa.string(), pa.int32(), pa.float64(), pa.binary(), pa.binary(3), pa.string_view())
    if draw(st.booleans()):
        constant = {"kind": "constant", "value": draw(LABELS)}
        add(constant, pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
    if draw(st.booleans()):
        low = draw(st.integers(-5, 5))
        law = {"uniform": True, "absent": 0.25}
        add({"kind": "integer", "bounds": [low, low + 3], "drawn_from": law}, pa.int8(), pa.float32())
    labelled = [n for n, c in learned.items() if c["kind"] == "categorical"]
    if labelled and draw(st.booleans()):
        cause = draw(st.sampled_from(labelled))
        values = {label: i if i % 3 else None for i, label in enumerate(learned[cause]["categories"])}
        follows = {"column": cause, "values": values}
        add({"kind": "real", "bounds": [0, 9], "derived_from": follows}, pa.float32(), pa.int16())
    whole = [n for n, c in columns.items() if c["kind"] == "integer" and sum(map(abs, c["bounds"])) < 2**40]
    if whole and draw(st.booleans()):
        one, other = draw(st.sampled_from(whole)), draw(st.sampled_from(whole))
        operation = draw(st.sampled_from(["sum", "difference", "least"]))
        ends = [end for n in (one, other) for end in columns[n]["bounds"]]
        far = 2 * max(map(abs, ends))
        bounds = [-far, far if draw(st.booleans()) else far // 4]
        add({"kind": "integer", "bounds": bounds, "computed": {operation: [one, other]}}, pa.int64(), pa.string())
    order = draw(st.permutations(list(columns)))
    return {name: columns[name] for name in order}, {name: types[name] for name in order}


def made_right(columns: dict[str, dict[str, Any]], row: dict[str, Any]) -> bool:
    """Whether what is made on output is what the declaration says of the row, read by other means than the engine's."""
    for name, column in columns.items():
        value = row[name]
        if column["kind"] == "constant" and value != column["value"]:
            return False
        if "drawn_from" in column and value is not None and not _number(column, value):
            return False
        if "derived_from" in column:
            cause = row[column["derived_from"]["column"]]
            values = column["derived_from"]["values"]
            if value != (None if cause is None else next(v for k, v in values.items() if k == label_of(cause, values))):
                return False
        if "computed" in column and not _computed_right(columns, column, row, value):
            return False
    return True


def label_of(value: Any, labels: Any) -> str:
    """The label that a stored value stands for."""
    if isinstance(value, str):
        return value
    return next(label for label in labels if float(label) == float(value))


def _computed_right(columns: dict[str, Any], column: dict[str, Any], row: dict[str, Any], value: Any) -> bool:
    (operation, operands), = column["computed"].items()
    parts = [None if row[n] is None else int(float(row[n])) for n in operands]
    if any(part is None or part in columns[n].get("special", ()) for n, part in zip(operands, parts, strict=True)):
        return value is None
    expected = {"sum": parts[0] + parts[1], "difference": parts[0] - parts[1], "least": min(parts)}[operation]
    return int(value) == expected and column["bounds"][0] <= expected <= column["bounds"][1]


PYTHON = st.one_of(
    st.sampled_from(HOSTILE), st.integers(-(2**63), 2**63 - 1), st.integers(-9, 99), st.floats(), st.floats(width=32),
    st.booleans(), st.none(), st.decimals(allow_nan=True, allow_infinity=True, places=3),
    st.complex_numbers(max_magnitude=9),
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1)), st.dates(datetime.date(1700, 1, 1)),
    st.times(), st.timedeltas(datetime.timedelta(-900), datetime.timedelta(900)), st.binary(max_size=4), st.uuids(),
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1), timezones=st.just(datetime.UTC)),
    st.floats(width=32).map(np.float32), st.integers(-99, 99).map(np.int8), st.integers(0, 2**64 - 1).map(np.uint64),
    st.floats(width=16).map(np.float16), st.just(float("nan")), st.just(pd.NaT), st.just(pd.NA),
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1)).map(pd.Timestamp),
    st.timedeltas(datetime.timedelta(-900), datetime.timedelta(900)).map(pd.Timedelta),
    st.just(pd.Period("2020-01", "M")), st.just(np.timedelta64(1, "M")), st.just(np.timedelta64("NaT")),
)  # fmt: skip


@st.composite
def python_values(draw: Any, column: dict[str, Any]) -> Any:
    """A value of a column's domain as one of the Python objects that may stand for it, or any other."""
    if draw(st.integers(0, 3)) == 0:
        return draw(PYTHON)
    kind = column["kind"]
    if kind in ("integer", "real"):
        low, high = column["bounds"]
        number = low + draw(st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, 1.0])) * (high - low)
        number = draw(st.sampled_from([number, round(number), *column.get("special", []), *column.get("edges", [])]))
        return _as_python(draw, number)
    if kind in ("categorical", "ordinal"):
        label = draw(st.sampled_from(column["categories"]))
        try:
            return draw(st.sampled_from([label, _as_python(draw, float(label))]))
        except (ValueError, OverflowError):
            plain = np.str_(label.rstrip("\0"))  # an array of text drops final NULs
            return draw(st.sampled_from([label, label.encode(), plain]))
    if kind == "boolean":
        return draw(st.sampled_from([True, False, np.True_, "true", "False", 1, 0.0, np.float32(1), "1", "yes"]))
    if kind == "duration":
        seconds = draw(st.sampled_from([0, 1, 59.5, 3_600, -60]))
        span = datetime.timedelta(seconds=seconds)
        forms = [seconds, float(seconds), str(seconds), span, pd.Timedelta(span), np.timedelta64(span)]
        return draw(st.sampled_from(forms))
    if kind == "time":
        moment = draw(st.sampled_from([datetime.time(9), datetime.time(17, 30, 0, 500_000), datetime.time(23, 59, 59)]))
        whole = datetime.datetime.combine(datetime.date(2020, 1, 2), moment)
        return draw(st.sampled_from([moment, moment.isoformat(), whole]))
    first = datetime.datetime.fromisoformat(column["bounds"][0])
    first += datetime.timedelta(hours=draw(st.sampled_from([0, 1, 24])))
    zoned = first.replace(tzinfo=datetime.UTC)
    times = [first, first.date(), pd.Timestamp(first), np.datetime64(first), zoned, pd.Timestamp(zoned)]
    return draw(st.sampled_from([*times, first.isoformat(), str(first), zoned.isoformat()]))


def _as_python(draw: Any, number: float) -> Any:
    """A number as an object of one of the types that Python and NumPy have for it."""
    kinds: list[Any] = [float, np.float64, repr, lambda n: Decimal(repr(n))]
    if abs(number) < 60_000:
        kinds += [np.float32, np.float16]
    if float(number).is_integer() and abs(number) < 2**53:
        kinds += [int, lambda n: str(int(n)), lambda n: np.int64(int(n)), lambda n: Decimal(int(n))]
    return draw(st.sampled_from(kinds))(float(number))
