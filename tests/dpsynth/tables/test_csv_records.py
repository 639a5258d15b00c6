"""One physical line is one record, whatever it holds."""

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
    assert len(joint) == sum(bool(line.rstrip(b"\r")) for line in before + after)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"x,y", (b"x", b"y")),
        (b"x", (b"x", None)),
        (b"x,y,z,z", (b"x", b"y")),
        (b'"x,1","y""z"', (b"x,1", b'y"z')),
        (b'"x,y', (b"x,y", None)),
        (b"\xff,\xe9", (b"\xff", b"\xe9")),
        (b'"\xff",y', (b"\xff", b"y")),
        (b"x,y\r", (b"x", b"y")),
        (b",", (b"", b"")),
        (b" x,y ", (b" x", b"y ")),
    ],
)
def test_fields(tmp_path, line, expected):
    assert records(tmp_path / "t.csv", [b"p,q", line, b"r,s"]) == [(b"p", b"q"), expected, (b"r", b"s")]


def test_a_line_of_any_length_is_one_record(tmp_path):
    found = records(tmp_path / "t.csv", [b"p,q", b"x," + b"y" * 3_000_000, b'"' + b"z" * 200_000, b"r,s"])
    assert (found[0], found[3], len(found)) == ((b"p", b"q"), (b"r", b"s"), 4)


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
