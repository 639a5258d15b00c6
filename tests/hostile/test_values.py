"""What only records decide goes to buckets and noise: whatever they hold, a release ends with a verdict."""

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpsynth.cli import main
from tests.dpsynth import lines
from tests.hostile.stand import ROWS, Stand, rows, text

HEADER = b"ward,age,smoker,score\n"
GOOD = rows()


def _with(line: bytes, *, times: int = 1) -> bytes:
    """A good file with hostile lines in its middle."""
    good = text(GOOD).splitlines(keepends=True)
    return b"".join([*good[:700], *[line] * times, *good[700:]])


def _all(*fields: str) -> bytes:
    return text([list(fields)] * ROWS)


CSV: dict[str, Callable[[], bytes]] = {
    "only a header": lambda: HEADER,
    "only a header, without an end": lambda: HEADER.rstrip(),
    "one row": lambda: text(GOOD[:1]),
    "all null": lambda: _all("", "", "", ""),
    "all out of domain": lambda: _all("elsewhere", "1000000", "perhaps", "-7"),
    "numbers that are none": lambda: _all("nan", "inf", "1e999", "-inf"),
    "huge numbers": lambda: _all("north", "9" * 400, "true", "1e-400"),
    "formulas and markup": lambda: _all("=cmd|' /C calc'!A0", "<script>", "${7*7}", "{{7*7}}"),
    "undecodable bytes": lambda: _with(b"\xff\xfe\xfa,\x80,\xc0\xaf,\xed\xa0\x80\n", times=300),
    "every byte": lambda: _with(bytes(b for b in range(256) if b not in b"\n") + b",1,true,0.5\n"),
    "ragged lines": lambda: _with(b"north\nnorth,1\nnorth,1,true,0.5,6,7,8,9\n,,,,,,,,,,,\n", times=50),
    "NUL bytes": lambda: _with(b"no\0rth,\0,tr\0ue,0\0.5\n\0\0\0\n", times=50),
    "a cell of 1 MB": lambda: _with(b"n" * 2**20 + b",1,true,0.5\n"),
    "a cell of 3 MB in quotes": lambda: _with(b'"' + b"n" * 3 * 2**20 + b'",1,true,0.5\n'),
    "a quote that never closes": lambda: _with(b'north,1,"true,0.5\n'),
    "quotes in odd places": lambda: _with(b'no"r"th,"1"2,"true""",""0.5"\n"""""\n"\n', times=30),
    "other line ends": lambda: text(GOOD).replace(b"\n", b"\r\n"),
    "lone carriage returns": lambda: _with(b"north,1\r2,tr\rue,0.5\r\n", times=30),
    "blank lines": lambda: text(GOOD).replace(b"\n", b"\n\n"),
    "a byte order mark": lambda: b"\xef\xbb\xbf" + text(GOOD),
    "the header again": lambda: _with(HEADER, times=30),
    "control characters": lambda: _with(b"\x1b[2J\x07north,\x1b]0;x\x07,true,0.5\n", times=30),
}


@pytest.mark.parametrize("case", CSV)
def test_no_csv_record_changes_the_kind_of_outcome(stand: Stand, case: str) -> None:
    stand.released(stand.release(stand.file("t.csv", CSV[case]())))


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _columns(*arrays: pa.Array) -> bytes:
    return parquet(pa.table(dict(zip(("ward", "age", "smoker", "score"), arrays, strict=True))))


def _invalid_text() -> pa.Array:
    raw = b"\xff\xfe" * ROWS
    offsets = np.arange(0, 2 * ROWS + 1, 2, dtype=np.int32)
    return pa.StringArray.from_buffers(ROWS, pa.py_buffer(offsets.tobytes()), pa.py_buffer(raw))


AGE, TRUTH, SCORE = pa.array([30] * ROWS), pa.array([True] * ROWS), pa.array([0.5] * ROWS)
PARQUET: dict[str, Callable[[], bytes]] = {
    "no rows": lambda: parquet(lines.table(0)),
    "one row": lambda: parquet(lines.table(1)),
    "all null": lambda: _columns(*(pa.nulls(ROWS, t) for t in (pa.string(), pa.int64(), pa.bool_(), pa.float64()))),
    "text that isn't UTF-8": lambda: _columns(_invalid_text(), AGE, TRUTH, SCORE),
    "infinite and no numbers": lambda: _columns(
        pa.array(["north"] * ROWS),
        pa.array([2**63 - 1, -(2**63)] * (ROWS // 2)),
        TRUTH,
        pa.array([np.nan, np.inf, -np.inf] * (ROWS // 3)),
    ),
    "a dictionary of everything": lambda: _columns(
        pa.array([f"w{i}" for i in range(ROWS)]).dictionary_encode(), AGE, TRUTH, SCORE
    ),
    "a cell of 1 MB": lambda: _columns(pa.array(["n" * 2**20, *["north"] * (ROWS - 1)]), AGE, TRUTH, SCORE),
}


@pytest.mark.parametrize("case", PARQUET)
def test_no_parquet_record_changes_the_kind_of_outcome(stand: Stand, case: str) -> None:
    stand.released(stand.release(stand.file("t.parquet", PARQUET[case]())))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_people_are_a_verdict(stand: Stand, count: int) -> None:
    ended = stand.release(stand.file("t.csv", text(GOOD[:count])))
    stand.released(ended, codes=[main.GATED])
    assert "UNDECIDABLE" in ended.out


def test_a_page_that_turns_out_corrupt_is_refused_and_says_what_stays_charged(stand: Stand) -> None:
    content = bytearray(parquet(lines.table(30_000)))
    page = pq.read_metadata(io.BytesIO(content)).row_group(0).column(2).data_page_offset
    content[page : page + 40] = b"\xff" * 40
    ended = stand.release(stand.file("t.parquet", bytes(content)))
    stand.refused(ended, "can't be read", charged=True)


def test_a_gzip_that_ends_too_early_is_refused_and_says_what_stays_charged(stand: Stand) -> None:
    import gzip

    content = gzip.compress(text(GOOD))
    stand.refused(stand.release(stand.file("t.csv.gz", content[: len(content) // 2])), charged=True)
