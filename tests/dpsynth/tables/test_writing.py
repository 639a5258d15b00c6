"""Written tables: the schema they were given, a label, the same bytes each time, all or nothing."""

import errno
import hashlib
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpsynth.encode import Encoder
from dpsynth.errors import OutputError, TableError
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table, restore, write_table

TABLE = pa.table(
    {
        "n": pa.array([1, None, -3], pa.int16()),
        "s": pa.array(["a", 'q"uote,', None], pa.large_string()),
        "d": pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array(["=1+1", "ok"])),
        "r": pa.array([0.1, 1e300, None]),
        "b": pa.array([True, False, None]),
    }
).replace_schema_metadata({"pandas": "4321 rows"})


def test_parquet_keeps_names_order_and_types_and_says_synthetic(tmp_path):
    written = write_table(TABLE, tmp_path / "t.parquet")
    back = pq.read_table(written.path)
    assert back.schema.equals(TABLE.schema, check_metadata=False)
    assert back.schema.metadata[b"dpsynth"] == b"SYNTHETIC"
    assert b"4321" not in written.path.read_bytes()
    assert back.to_pydict() == TABLE.to_pydict()
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_narrow_floats_are_written_with_their_own_digits(tmp_path, kind):
    numbers = pa.array(np.array([0.1, -2.5, 0.7, 3], kind.to_pandas_dtype()), mask=np.array([0, 0, 0, 1], bool))
    write_table(pa.table({"x": numbers, "y": [0.1, 1.0, 1e16, 2.0]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "x,y\n0.1,0.1\n-2.5,1.0\n0.7,1e+16\n,2.0\n"


def test_parquet_says_the_label_that_it_is_given(tmp_path):
    written = write_table(TABLE, tmp_path / "t.parquet", label="NOT RELEASED ☃")
    assert pq.read_schema(written.path).metadata[b"dpsynth"].decode() == "NOT RELEASED ☃"


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz"])
def test_same_table_same_bytes(tmp_path, name):
    (tmp_path / "other").mkdir()
    assert write_table(TABLE, tmp_path / name).sha256 == write_table(TABLE, tmp_path / "other" / name).sha256


def test_csv_text(tmp_path):
    write_table(TABLE, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'n,s,d,r,b\n1,a,ok,0.1,true\n,"q""uote,",=1+1,1e+300,false\n-3,,,,\n'


def test_formulas_are_escaped_where_asked_and_it_is_recorded(tmp_path):
    assert not write_table(TABLE, tmp_path / "plain.csv").escaped
    assert write_table(TABLE, tmp_path / "t.csv", escape_formulas=True).escaped
    assert ",'=1+1," in (tmp_path / "t.csv").read_text()
    assert "\n-3," in (tmp_path / "t.csv").read_text()
    assert not write_table(TABLE, tmp_path / "t.parquet", escape_formulas=True).escaped


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_table(TABLE, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "mine"
    with pytest.raises(OutputError, match="No such file"):
        write_table(TABLE, tmp_path / "none" / "t.csv")
    with pytest.raises(TableError):
        write_table(TABLE, tmp_path / "t.xlsx")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_table(TABLE, tmp_path / "u.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


SCHEMA = parse_schema(
    "dpsynth: 1\ndataset: x\ntables:\n - name: t\n   columns:\n"
    "    i: {kind: integer, bounds: [0, 5], nullable: true}\n"
    "    c: {kind: categorical, categories: [y, x, 'z'], nullable: true}\n"
    "    o: {kind: categorical, categories: [u, 3], nullable: true}\n"
    "    n: {kind: integer, bounds: [0, 5], nullable: true}\n"
    "    b: {kind: boolean, nullable: true}\n"
    "    s: {kind: categorical, categories: [p, q], nullable: true}\n"
    "    g: {kind: categorical, categories: [1, 2, 3]}\n"
    "    r: {kind: real, bounds: [0, 1], nullable: true}\n"
)


def test_dataframes_come_back_with_their_dtypes():
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "c": pd.Categorical(["y", "x", None]),
            "o": pd.Series(["u", None, 3], dtype=object),
            "n": pd.array([1, None, 2], dtype="Int64"),
            "b": [True, False, True],
            "s": ["p", "q", None],
            "g": np.array([1, 2, 3], np.uint8),
            "r": [0.5, 1, np.nan],
        }
    )
    handle, encoder = open_table(frame, SCHEMA), Encoder.of(SCHEMA)
    (block,) = handle.blocks()
    codes = encoder.encode(block)
    assert codes.tolist()[:6] == [[1, 2, 3], [0, 1, 3], [0, 2, 1], [1, 6, 2], [1, 0, 1], [0, 1, 2]]
    back = restore(encoder.decode(codes, np.random.default_rng(0), handle.structure), handle.structure)
    assert list(back.columns) == list(frame.columns)
    chosen = {name: str(frame[name].dtype) for name in "cng"}
    declared = {"i": "Int64", "o": "str", "b": "boolean", "s": "str", "r": "float64"}
    assert {name: str(dtype) for name, dtype in back.dtypes.items()} == chosen | declared
    assert list(back["c"].cat.categories) == ["y", "x", "z"]
    null = np.full((8, 1), 0)
    null[[0, 4], 0] = [6, 2]
    again = restore(encoder.decode(null, np.random.default_rng(0), handle.structure), handle.structure)
    assert list(again.dtypes) == list(back.dtypes)
    assert again[["i", "b"]].isna().all(axis=None)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_dataframes_of_other_backends_come_back_as_such(backend):
    frame = pd.DataFrame({"i": [1], "c": "y", "o": 3.0, "n": [None], "b": True, "s": "p", "g": 1.0, "r": 1})
    frame = frame.convert_dtypes(dtype_backend=backend)
    structure = open_table(frame, SCHEMA).structure
    codes = np.zeros((8, 2), np.uint8)
    back = restore(Encoder.of(SCHEMA).decode(codes, np.random.default_rng(0), structure), structure)
    flavours = {
        "numpy_nullable": "Int64 string string Int64 boolean string Int64 Float64",
        "pyarrow": "int64 string string int64 bool string int64 double".replace(" ", "[pyarrow] ") + "[pyarrow]",
    }
    assert " ".join(str(d) for d in back.dtypes) == flavours[backend]


def test_a_chosen_dtype_that_cannot_hold_null_becomes_its_sibling():
    schema = parse_schema(
        "dpsynth: 1\ndataset: x\ntables:\n - name: t\n   columns:\n"
        "    i: {kind: integer, bounds: [0, 5], nullable: true}\n"
    )
    structure = open_table(pd.DataFrame({"i": np.array([1], np.int8)}), schema).structure
    for code, dtype in ((0, "int8"), (6, "Int8")):
        made = Encoder.of(schema).decode(np.full((1, 2), code), np.random.default_rng(0), structure)
        assert str(restore(made, structure)["i"].dtype) == dtype
