"""Dates, moments, times of day and durations: total, in the declared domain, types in as types out."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.encode import Encoder
from dpsynth.errors import SchemaError
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table, restore, write_table

PARIS = pa.timestamp("us", "Europe/Paris")
ODD_TEXTS = ["2013-06-01", "12:30", "24:00", "2013-13-01", "2013-06-01T10:00:00+02:00", "1e400", "nan"]
KINDS = {
    "date": ("kind: date, bounds: [2013-01-01, 2013-12-31]", pa.date32()),
    "moment": ("kind: datetime, bounds: ['2013-01-01', '2014-01-01 06:00:00'], resolution: hour", pa.timestamp("s")),
    "zoned": ("kind: datetime, bounds: ['2013-01-01', '2013-02-01'], zone: Europe/Paris", PARIS),
    "clock": ("kind: time, bounds: ['00:00:00', '23:59:59'], resolution: minute, bins: 48", pa.time32("s")),
    "span": ("kind: duration, bounds: [0, 86400], resolution: second", pa.duration("ms")),
}


def schema_of(kind, nullable=True):
    return parse_schema(f"name: t\ncolumns:\n  x: {{{KINDS[kind][0]}, nullable: {str(nullable).lower()}}}\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [False, True])
def test_every_code_decodes_into_itself_in_every_type(kind, learned):
    text = f"name: t\n{'encoding: {}' if learned else ''}\ncolumns:\n  x: {{{KINDS[kind][0]}, nullable: true}}\n"
    encoder = Encoder.of(parse_schema(text))
    codes = np.arange(encoder.domain.sizes[0])[None, :].repeat(2, axis=1)
    for stored in (KINDS[kind][1], pa.string(), pa.dictionary(pa.int32(), KINDS[kind][1])):
        handle = open_table(pa.schema([("x", stored)]).empty_table(), encoder.schema)
        assert handle.structure.arrow.field("x").type == stored
        made = encoder.decode(codes, np.random.default_rng(0), handle.structure)
        assert made.schema.field("x").type == stored
        assert (encoder.encode_arrow(made) == codes).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(
        st.one_of(
            st.none(), st.text(max_size=12), st.binary(max_size=9).map(lambda b: b.decode(errors="replace")),
            st.datetimes(datetime.datetime(1, 1, 1)).map(str), st.floats().map(str), st.integers().map(str),
            st.sampled_from(ODD_TEXTS),
        ),
        min_size=1, max_size=20,
    ),
    st.booleans(),
)
def test_total_on_any_text(kind, values, nullable):
    encoder = Encoder.of(schema_of(kind, nullable))
    codes = encoder.encode({"x": pa.array(values, pa.string())})
    assert codes.shape == (1, len(values))
    assert (codes < encoder.domain.sizes[0]).all()
    for i, value in enumerate(values):
        assert encoder.encode({"x": pa.array([value], pa.string())})[0, 0] == codes[0, i]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([2**62, -(2**62), None], pa.int64()).view(pa.timestamp("s")),
        pa.array([2**62, -(2**62), None], pa.int64()).view(pa.timestamp("ns")),
        pa.array([2**31 - 1, -(2**31), None], pa.int32()).view(pa.date32()),
        pa.array([2**62, -(2**62), None], pa.int64()).view(pa.duration("s")),
        pa.array([1.5, float("nan"), float("inf")]),
        pa.array([1, 2, None]),
        pa.array([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), None], pa.int64()),
        pa.array([2**53 + 1, 2**64 - 1, None], pa.uint64()),
        pa.array([2**53 + 1, None], pa.int64()).dictionary_encode(),
        pa.array([True, None, False]),
        pa.nulls(3),
    ],
)
def test_total_on_any_stored_type(array):
    for kind in KINDS:
        encoder = Encoder.of(schema_of(kind))
        assert (encoder.encode({"x": array}) < encoder.domain.sizes[0]).all()


def test_a_number_of_seconds_has_one_code_in_every_form():
    """One that is too large for a duration means none, in a text as in a stored number; no other row notices."""
    encoder = Encoder.of(schema_of("span"))
    for seconds in (0, 77, 86_399, -5, 2**53 + 1, 2**63 - 1):
        array = pa.array([5, seconds], pa.int64())
        forms = [array, array.dictionary_encode(), pa.array(["5", str(seconds)]), pa.array([5.0, float(seconds)])]
        assert len({tuple(encoder.encode({"x": form})[0].tolist()) for form in forms}) == 1


def test_one_moment_has_one_code_in_every_form():
    moment = datetime.datetime(2013, 5, 6, 7, 30, tzinfo=datetime.UTC)
    forms = [
        pa.array([moment], pa.timestamp("us", "America/New_York")),
        pa.array([moment.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array(["2013-05-06T09:30:00+02:00"]),
        pa.array(["2013-05-06 07:30:00"]).dictionary_encode(),
        pa.array([b"2013-05-06 07:30"]),
    ]
    encoder = Encoder.of(schema_of("moment"))
    assert len({int(encoder.encode({"x": form})[0, 0]) for form in forms}) == 1


def test_a_time_of_day_has_one_code_in_every_form():
    """Of a stored moment, its own time of day, in UTC; before 1970, too; a day's is midnight."""
    moment = datetime.datetime(2013, 5, 6, 7, 30, tzinfo=datetime.UTC)
    early = datetime.datetime(1950, 1, 1, 7, 30)
    forms = [
        pa.array([moment], pa.timestamp("us", "America/New_York")),
        pa.array([early], pa.timestamp("ms")),
        pa.array([datetime.time(7, 30)], pa.time32("s")),
        pa.array(["07:30"]),
        pa.array(["2013-05-06 09:30:00+02:00"]).dictionary_encode(),
    ]
    encoder = Encoder.of(schema_of("clock"))
    wanted = encoder.encode({"x": forms[2]})[0, 0]
    assert [encoder.encode({"x": form})[0, 0] for form in forms] == [wanted] * len(forms)
    assert 0 < wanted < encoder.domain.sizes[0] - 2
    days = [pa.array([datetime.date(2013, 5, 6)]), pa.array(["2013-05-06"]), pa.array(["00:00"])]
    assert {int(encoder.encode({"x": form})[0, 0]) for form in days} == {0}


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_outside_is_clamped_and_what_means_nothing_is_null(kind):
    encoder = Encoder.of(schema_of(kind))
    last = encoder.domain.sizes[0] - 1
    known = {"span": ["-5", "1e8", "x"], "clock": ["00:00", "23:59:59.9", "x"]}
    values = known.get(kind, ["0001-01-01", "9999-12-31", "x"])
    assert encoder.encode({"x": pa.array(values)}).tolist() == [[0, last - 1, last]]


def test_a_dataframe_gets_its_times_back(tmp_path):
    frame = pd.DataFrame({
        "x": pd.to_datetime(["2013-02-03 04:00", None]),
        "y": pd.to_timedelta([5, None], unit="s"),
        "d": [datetime.date(2013, 1, 5), None],
    })
    named = {"x": "moment", "y": "span", "d": "date"}
    columns = [f"  {name}: {{{KINDS[kind][0]}, nullable: true}}\n" for name, kind in named.items()]
    declared = parse_schema("name: t\ncolumns:\n" + "".join(columns))
    handle, encoder = open_table(frame, declared), Encoder.of(declared)
    codes = np.concatenate([encoder.encode(block) for block in handle.blocks()], axis=1)
    table = encoder.decode(codes, np.random.default_rng(0), handle.structure)
    back = restore(table, handle.structure)
    assert back["x"].dtype.kind == "M"
    assert back["y"].dtype.kind == "m"
    assert isinstance(back["d"][0], datetime.date)
    assert back.isna().to_numpy().tolist() == [[False] * 3, [True] * 3]
    again = np.concatenate([encoder.encode(block) for block in open_table(back, declared).blocks()], axis=1)
    assert (again == codes).all()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_give_the_same_codes_back(tmp_path, suffix):
    declared = parse_schema("name: t\ncolumns:\n" + "".join(
        f"  {kind}: {{{text}, nullable: true}}\n" for kind, (text, _) in KINDS.items()
    ))
    encoder, rng = Encoder.of(declared), np.random.default_rng(3)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (len(KINDS), 200))
    table = encoder.decode(codes, rng)
    written = write_table(table, tmp_path / f"t.{suffix}")
    blocks = open_table(written.path, declared).blocks()
    assert (np.concatenate([encoder.encode(block) for block in blocks], axis=1) == codes).all()
    if suffix == "parquet":
        assert pq.read_schema(written.path).types == table.schema.types


@pytest.mark.parametrize(
    "column",
    [
        "kind: date, bounds: [2013-12-31, 2013-01-01]",
        "kind: date, bounds: [2013-01-01, never]",
        "kind: date, bounds: [2013-01-01, 2013-01-02], resolution: hour",
        "kind: date, bounds: [2013-01-01, 2013-01-02], zone: UTC",
        "kind: datetime, bounds: [2013-01-01, 2013-01-02], zone: Europe/Atlantis",
        "kind: datetime, bounds: [2013-01-01, 2013-01-02], zone: ''",
        "kind: datetime, bounds: [2013-01-01, 2013-01-02], zone: ../etc/localtime",
        "kind: datetime, bounds: [2013-01-01, 2013-01-02], zone: Europe",
        "kind: time, bounds: ['10:00', '10:00']",
        "kind: datetime, bounds: ['0001-01-01', '9999-01-01'], resolution: microsecond",
        "kind: duration, bounds: [0, x]",
    ],
)
def test_declarations_that_make_no_sense_are_refused(column):
    with pytest.raises(SchemaError):
        parse_schema(f"name: t\ncolumns:\n  x: {{{column}}}\n")


@pytest.mark.parametrize("column", ["kind: date", "kind: text, max_length: 9"])
def test_free_text_and_times_without_bounds_load_but_are_not_released(column):
    declared = parse_schema(f"name: t\ncolumns:\n  x: {{{column}}}\n  y: {{kind: boolean}}\n")
    with pytest.raises(SchemaError, match="no finite public domain"):
        Encoder.of(declared)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([20130601, 7, None], pa.int64()),
        pa.array([20130601, 7, None], pa.float64()),
        pa.array([20130601, 7, None], pa.decimal128(12, 2)),
        pa.array(["20130601", "7", None]),
        pa.array(["20130601.0", "7.0", ""]),
        pa.array([20130601, 7, None]).dictionary_encode(),
    ],
)
def test_digits_of_a_day_are_that_day_in_every_form(array):
    """An undeclared one is null, as is what is no day."""
    encoder = Encoder.of(schema_of("date"))
    null = encoder.domain.sizes[0] - 1
    day = encoder.encode({"x": pa.array([datetime.date(2013, 6, 1)])})[0, 0]
    assert encoder.encode({"x": array})[0].tolist() == [day, null, null]
    assert encoder.columns[0].problems(array) == {"no date": 1}
