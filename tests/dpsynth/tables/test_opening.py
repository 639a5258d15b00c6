"""Opening a table looks at its structure only, and its errors repeat nothing that could be a record."""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError, SchemaError, TableError
from dpsynth.schema import Schema, parse_schema
from dpsynth.tables import Format, open_table
from dpsynth.tables.types import default_type

SECRET = "Zaphod"


def schema(**columns: str) -> Schema:
    lines = "".join(f"      {name}: {{{text}}}\n" for name, text in columns.items())
    return parse_schema(f"dpsynth: 1\ndataset: d\ntables:\n  - name: t\n    columns:\n{lines}")


TWO = schema(age="kind: integer, bounds: [0, 99]", job="kind: categorical, categories: [a, b], nullable: true")


def csv(folder: Path, content: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refused(table: object, declared: Schema = TWO, **options: str) -> str:
    with pytest.raises(TableError) as caught:
        open_table(table, declared, **options)
    message = str(caught.value)
    assert SECRET not in message
    assert caught.value.__cause__ is None
    assert len([part for part in message.split(". ") if part]) >= 3
    return message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"age\n", "lacks 1 of 2 declared columns: 'job'"),
        (b"age,Zaphod\n", "positions [2]"),
        (b"age,job,Zaphod\n", "positions [3]"),
        (b"age,job,age\n", "'age' at positions [1, 3]"),
        (b"Zaphod,job,age,Zaphod\n", "positions [1, 4]"),
        (b"age;job\n", "Give the delimiter ';'"),
        (b"age\tjob\n", "Give the delimiter '\\t'"),
        (b"Age, job\n", "exactly, with case and spaces"),
        ("age,job\n".encode("utf-16"), "UTF-16"),
        ("age,jöb\n".encode("latin-1"), "isn't UTF-8"),
        (b"", "empty"),
        (b"age,job\r1,a\r2,b\r", "carriage return"),
        (b"age,job," + b"x" * 2**20, "1 MiB"),
    ],
)
def test_wrong_headers(tmp_path, header: bytes, expected: str):
    assert expected in refused(csv(tmp_path, header + b"1,Zaphod\n" * bool(b"\n" in header)))


def test_wrong_files(tmp_path):
    assert "No such file" in refused(tmp_path / "none.csv")
    assert "No such file" in refused(tmp_path / "none.parquet")
    assert "isn't known" in refused(tmp_path / "t.xlsx")
    assert "can't be read" in refused(csv(tmp_path, b"age,job\n", "t.csv.gz"))
    assert "can't be read" in refused(csv(tmp_path, b"PAR1 Zaphod", "t.parquet"))
    (tmp_path / "folder.csv").mkdir()
    assert "can't be read" in refused(tmp_path / "folder.csv")
    assert "type 'list'" in refused([1, 2])
    assert "aren't text" in refused(pd.DataFrame({0: [1], 1: ["a"]}))


NUMBER, WORDS = "kind: integer, bounds: [0, 300]", "kind: categorical, categories: [a, '1']"
DIGITS, TENTHS = "kind: categorical, categories: ['1', '2']", "kind: categorical, categories: ['0.5', '1']"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (NUMBER, pa.list_(pa.int64())),
        (NUMBER, pa.binary()),
        (NUMBER, pa.month_day_nano_interval()),
        (WORDS, pa.struct([("a", pa.string())])),
        (WORDS, pa.binary()),
        ("kind: boolean", pa.list_(pa.bool_())),
        ("kind: identifier", pa.list_(pa.string())),
    ],
)
def test_types_that_cannot_be_read(text: str, kind: pa.DataType):
    table = pa.table({"other": pa.array([True]), "age": pa.array([None], kind)})
    assert "'age'" in refused(table, schema(other="kind: boolean", age=text))


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (NUMBER, pa.int16(), pa.int16()),
        (NUMBER, pa.int8(), pa.int64()),
        (NUMBER, pa.float32(), pa.float32()),
        (NUMBER, pa.large_string(), pa.large_string()),
        (NUMBER, pa.decimal128(5, 2), pa.decimal128(5, 2)),
        (NUMBER, pa.decimal128(4, 2), pa.int64()),
        (NUMBER, pa.bool_(), pa.int64()),
        (NUMBER, pa.null(), pa.int64()),
        (NUMBER, pa.timestamp("us"), pa.int64()),
        ("kind: integer, bounds: [-1, 3]", pa.uint16(), pa.int64()),
        ("kind: real, bounds: [0.2, 0.8]", pa.int64(), pa.float64()),
        ("kind: real, bounds: [0, 1e6]", pa.float16(), pa.float64()),
        ("kind: real, bounds: [0, 1e6]", pa.decimal128(5, 2), pa.float64()),
        (WORDS, pa.int64(), pa.string()),
        (WORDS, pa.float64(), pa.string()),
        (WORDS, pa.null(), pa.string()),
        (WORDS, pa.bool_(), pa.string()),
        (WORDS, pa.date32(), pa.string()),
        (WORDS, pa.decimal128(3, 1), pa.string()),
        (DIGITS, pa.int8(), pa.int8()),
        (DIGITS, pa.null(), pa.int64()),
        (DIGITS, pa.bool_(), pa.int64()),
        (DIGITS, pa.string(), pa.string()),
        (TENTHS, pa.int64(), pa.float64()),
        ("kind: categorical, categories: ['300', '1']", pa.int8(), pa.int64()),
        ("kind: categorical, categories: ['1', '1.0']", pa.int64(), pa.string()),
        ("kind: categorical, categories: ['01', '02']", pa.int64(), pa.string()),
        ("kind: categorical, categories: ['1e300', '2']", pa.int64(), pa.float64()),
        ("kind: categorical, categories: ['70000', '1']", pa.float16(), pa.int64()),
        ("kind: categorical, categories: ['yes', 'no']", pa.bool_(), pa.string()),
        ("kind: boolean", pa.int8(), pa.int8()),
        ("kind: boolean", pa.null(), pa.bool_()),
        ("kind: boolean", pa.decimal128(3, 0), pa.bool_()),
        ("kind: identifier", pa.date32(), pa.string()),
        ("kind: identifier", pa.decimal128(3, 0), pa.string()),
        ("kind: identifier", pa.binary(4), pa.binary(4)),
        (WORDS, pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.string())),
        (WORDS, pa.dictionary(pa.int16(), pa.int64()), pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_types_that_inference_can_give_are_kept_or_widened(tmp_path, text: str, kind: pa.DataType, expected):
    """One record can decide between them, so none refuses a table."""
    declared = schema(other="kind: boolean", age=text)
    table = pa.table({"other": pa.array([True]), "age": pa.array([None], kind)})
    assert open_table(table, declared).structure.arrow.field("age").type == expected
    if kind != pa.float16() and not (pa.types.is_dictionary(kind) and kind.value_type != pa.string()):
        pq.write_table(table, tmp_path / "t.parquet")
        assert open_table(tmp_path / "t.parquet", declared).structure.arrow.field("age").type == expected


@pytest.mark.parametrize("labels", [1, 127, 128, 129, 40_000])
def test_the_width_of_stored_indices_tells_nothing(tmp_path, labels: int):
    """pandas stores as narrow indices as the number of its categories allows."""
    frame = pd.DataFrame({"age": [1] * labels, "job": pd.Categorical([f"v{i}" for i in range(labels)])})
    frame.to_parquet(tmp_path / "t.parquet")
    structure = open_table(tmp_path / "t.parquet", TWO).structure
    assert structure.arrow.field("job").type == pa.dictionary(pa.int32(), pa.string())


BACKENDS = ({}, {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"})
ONE_MORE = ("", "5,a,t", ",,", "x,y,z", "1.5,1,0", "9223372036854775809,9,", "-1,True,1.5", "2020-01-01,2020-01-01,no")
INFERRED = schema(
    n="kind: integer, bounds: [0, 99], nullable: true",
    r="kind: real, bounds: [0, 9]",
    w="kind: categorical, categories: [a, b], nullable: true",
    d="kind: categorical, categories: ['1', '3.5']",
    e="kind: categorical, categories: ['1', '2', '3'], nullable: true",
    t="kind: boolean",
    s="kind: identifier",
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("before", ["", "5,a,t\n", "7,b,true\n", "1,1,1\n", ",,\n"])
def test_one_record_decides_no_type_of_a_dataframe(backend, before: str):
    """Whatever pandas infers from one record more, the synthetic table has the same types."""
    found = set()
    for line in ONE_MORE:
        frame = pd.read_csv(io.StringIO(f"a,b,c\n{before * 3}{line}\n"), **backend)
        wide = pd.DataFrame({name: frame[column] for name, column in zip("nrwdets", "aabbbcc", strict=True)})
        structure = open_table(wide, INFERRED).structure
        text = pa.string()
        assert structure.arrow.types == [pa.int64(), pa.float64(), text, pa.float64(), pa.int64(), pa.bool_(), text]
        found |= {structure.dtypes} if len(frame) else set()
    assert len(found) == 1


@pytest.mark.parametrize(
    "values",
    [
        [1], [2**63], [2**70], [1.5], ["a"], [True], [None], [b"a"], [1 + 2j], [pd.Timestamp("2020-01-01")],
        [pd.Timestamp("2020-01-01", tz="UTC")], [pd.Timedelta(1)], [pd.Period("2020")], [pd.Interval(0, 1)],
        [[1]], [{"a": 1}], [np.datetime64("NaT")], [pd.NA], [1, "a"], [float("inf")],
    ],
)
@pytest.mark.parametrize("category", [False, True])
def test_no_python_value_makes_pandas_infer_a_dtype_that_is_refused(values, category: bool):
    column = pd.Series(values)
    if category:
        try:
            column = column.astype("category")
        except TypeError:
            return
    handle = open_table(pd.DataFrame(dict.fromkeys(INFERRED.table.columns, column)), INFERRED)
    for field in handle.structure.arrow:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        assert kind == default_type(INFERRED.table.columns[field.name])
    (block,) = handle.blocks()
    assert Encoder.of(INFERRED).encode(block).shape == (6, len(values))


def test_chosen_dtypes_are_kept():
    frame = pd.DataFrame({"age": np.array([1], np.int16), "job": pd.Categorical(["a"], ordered=True)})
    structure = open_table(frame, TWO).structure
    assert structure.arrow.types == [pa.int16(), pa.dictionary(pa.int32(), pa.string(), ordered=True)]
    assert structure.dtypes == ("int16", "category")
    frame = frame.astype({"age": "UInt8", "job": object})
    frame = frame.astype({"job": pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))})
    structure = open_table(frame, TWO).structure
    assert structure.arrow.types == [pa.uint8(), pa.dictionary(pa.int32(), pa.string())]
    narrow = pd.DataFrame({"age": pd.array([1], pd.ArrowDtype(pa.decimal128(1, 0))), "job": ["a"]})
    assert open_table(narrow, TWO).structure.dtypes == ("int64[pyarrow]", "str")
    narrow = narrow.astype({"age": pd.ArrowDtype(pa.decimal128(2, 0))})
    assert open_table(narrow, TWO).structure.arrow.field("age").type == pa.decimal128(2, 0)


def test_opaque_kinds_are_refused_before_the_file_is_looked_at(tmp_path):
    with pytest.raises(SchemaError, match="omit"):
        open_table(tmp_path / "none.csv", schema(note="kind: text", job="kind: boolean"))


def test_opening_reads_no_value(tmp_path):
    """Garbage where the records are changes nothing, and tables of different records have one structure."""
    table = pa.table({"age": pa.array(np.arange(5_000) % 90), "job": pa.array(["a", "b"] * 2_500)})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    raw = path.read_bytes()
    footer = int.from_bytes(raw[-8:-4], "little") + 8
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"\xff" * (len(raw) - footer - 4) + raw[-footer:])
    whole, broken = open_table(path, TWO), open_table(tmp_path / "broken.parquet", TWO)
    assert whole.structure == broken.structure
    with pytest.raises(TableError, match="can't be read"):
        list(broken.blocks())
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    assert open_table(tmp_path / "empty.parquet", TWO).structure == whole.structure
    assert open_table(csv(tmp_path, b"age,job\n"), TWO).structure == open_table(
        csv(tmp_path, b"age,job\n\xff\xfe\0,\"\"\"Zaphod\n", "u.csv"), TWO
    ).structure


def test_a_dataframe_is_opened_by_its_dtypes():
    class Untouchable(pd.DataFrame):
        @property
        def iloc(self):
            raise AssertionError("a record was read")

    frame = pd.DataFrame({"job": ["a", None], "age": [1, 2]}).astype({"job": object})
    handle = open_table(Untouchable(frame), TWO)
    assert handle.structure.format is Format.PANDAS
    assert handle.structure.arrow == pa.schema([("job", pa.string()), ("age", pa.int64())])
    with pytest.raises(AssertionError):
        list(handle.blocks())


def test_handles_show_no_record():
    handle = open_table(pd.DataFrame({"age": [1], "job": [SECRET]}), TWO)
    assert SECRET not in repr(handle)
    with pytest.raises(ParameterError):
        handle.blocks(0)


def test_blocks_hold_the_columns_to_read_in_bounded_pieces(tmp_path):
    declared = parse_schema(
        "dpsynth: 1\ndataset: d\ntables:\n  - name: t\n    omit: [pid, note]\n"
        "    privacy_unit: {column: pid, max_rows: 2}\n"
        "    columns: {pid: {kind: identifier}, note: {kind: text}, age: {kind: integer, bounds: [0, 9]}}\n"
    )
    table = pa.table({"note": ["x"] * 7, "pid": list("aabbccd"), "age": range(7)})
    pq.write_table(table, tmp_path / "t.parquet")
    content = "note,pid,age\n" + "".join(f"x,{p},{i}\n" for i, p in enumerate("aabbccd"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content.encode()))
    for source in (table, table.to_pandas(), tmp_path / "t.parquet", tmp_path / "t.csv.gz"):
        handle = open_table(source, declared)
        blocks = list(handle.blocks(3))
        assert [set(block) for block in blocks] == [{"pid", "age"}] * 3
        assert [len(block["age"]) for block in blocks] == [3, 3, 1]
        assert handle.structure.arrow.names == ["age"]


def test_metadata_that_holds_a_row_count_stays_behind(tmp_path):
    pd.DataFrame({"age": [1] * 4321, "job": ["a"] * 4321}).to_parquet(tmp_path / "t.parquet")
    assert b"4321" in (pq.read_schema(tmp_path / "t.parquet").metadata or {})[b"pandas"]
    structure = open_table(tmp_path / "t.parquet", TWO).structure
    assert structure.arrow.metadata is None
    assert "4321" not in repr(structure)
