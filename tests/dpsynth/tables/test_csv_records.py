"""One physical line is one record or none, whatever it holds."""

import csv

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import TableError
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table
from dpsynth.tables.csv_file import read_blocks

SCHEMA = parse_schema(
    "dpsynth: 1\ndataset: d\ntables:\n  - name: t\n    columns:\n"
    "      a: {kind: categorical, categories: [x]}\n      b: {kind: categorical, categories: [y]}\n"
)
LINES = st.lists(
    st.one_of(st.binary(max_size=12), st.text('ab",;\r\' é\0', max_size=8).map(str.encode)).map(
        lambda line: line.replace(b"\n", b"")
    ),
    max_size=6,
)


def records(path, lines: list[bytes], rows: int = 100) -> list[tuple[bytes | None, bytes | None]]:
    path.write_bytes(b"a,b\n" + b"".join(line + b"\n" for line in lines))
    blocks = list(open_table(path, SCHEMA).blocks(rows))
    return [pair for block in blocks for pair in zip(block["a"].to_pylist(), block["b"].to_pylist(), strict=True)]


@settings(max_examples=150, deadline=None)
@given(LINES, LINES, st.integers(1, 4))
def test_each_record_is_parsed_on_its_own(tmp_path_factory, before, after, rows):
    """Records of the concatenation are the records of each part: nothing raises, swallows or shifts a neighbour."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    joint = records(path, before + after, rows)
    assert joint == records(path, before) + records(path, after)
    assert len(joint) == sum(bool(line.rstrip(b"\r")) for line in before + after) - left_out(path, before + after)


@settings(max_examples=150, deadline=None)
@given(st.text('ab",; é', min_size=1, max_size=12), st.sampled_from(",;"))
def test_a_line_is_read_as_csv_is_read(tmp_path_factory, line, delimiter):
    """The fields of a line that is a record are those of the standard library's reader."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(f"a{delimiter}b\n{line}\n".encode())
    found = [
        [block[name].to_pylist()[0].decode() for name in ("a", "b")]
        for block in open_table(path, SCHEMA, delimiter=delimiter).blocks()
    ]
    (expected,) = csv.reader([line], delimiter=delimiter)
    assert found == ([] if line.count('"') % 2 or not found or len(expected) != 2 else [expected])
    assert found or line.count('"') or len(expected) != 2


@pytest.mark.parametrize("breaks", [1, 2, 100])
def test_a_field_with_line_breaks_makes_no_records(tmp_path, breaks):
    good = [b"p,q", b"r,s"]
    broken = b'F,"' + b"\n".join([b"x,"] * breaks) + b'\nx"'
    found = records(tmp_path / "t.csv", [good[0], broken.replace(b"x,", b"x"), good[1]])
    assert found == [(b"p", b"q"), (b"r", b"s")]
    assert left_out(tmp_path / "t.csv", [broken.replace(b"x,", b"x")]) == breaks + 1


def left_out(path, lines: list[bytes]) -> int:
    path.write_bytes(b"a,b\n" + b"".join(line + b"\n" for line in lines))
    return open_table(path, SCHEMA).lines_left_out()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"x,y", (b"x", b"y")),
        (b"x", None),
        (b"x,y,z,z", None),
        (b'"x,1","y""z"', (b"x,1", b'y"z')),
        (b'"x,y', None),
        (b'x",y', None),
        (b'x,"y', None),
        (b'x","y', None),
        (b'x,"y\rz"', (b"x", b"y\rz")),
        (b'x,"y"z"', None),
        (b'"x,1"2,3', (b"x,12", b"3")),
        (b"\xff,\xe9", (b"\xff", b"\xe9")),
        (b'"\xff",y', (b"\xff", b"y")),
        (b"x,y\r", (b"x", b"y")),
        (b",", (b"", b"")),
        (b" x,y ", (b" x", b"y ")),
    ],
)
def test_fields(tmp_path, line, expected):
    around = [(b"p", b"q"), (b"r", b"s")]
    found = records(tmp_path / "t.csv", [b"p,q", line, b"r,s"])
    assert found == (around if expected is None else [around[0], expected, around[1]])


def test_a_line_of_any_length_is_one_record_or_none(tmp_path):
    lines = [b"p,q", b"x," + b"y" * 3_000_000, b'"' + b"z" * 200_000 + b'",u', b'"' + b"z" * 200_000, b"r,s"]
    found = records(tmp_path / "t.csv", lines)
    assert [a for a, _ in found] == [b"p", b"x", b"z" * 200_000, b"r"]


def test_header_with_a_byte_order_mark_and_no_last_newline(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfb;a\r\ny;x")
    (block,) = open_table(path, SCHEMA, delimiter=";").blocks()
    assert block["a"].to_pylist() == [b"x"]
    assert block["a"].type == pa.large_binary()


def test_a_file_that_ends_early_is_a_table_error_without_its_content(tmp_path):
    import gzip

    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"Zaphod,y\n" * 50_000)[:-200])
    with pytest.raises(TableError, match="isn't complete") as caught:
        list(read_blocks(path, ("a", "b"), ("a",), ",", 100))
    assert "Zaphod" not in str(caught.value)
