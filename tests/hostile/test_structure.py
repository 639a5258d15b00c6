"""Tables, numbers and domains that can't be released: refused in three sentences before anything is charged."""

import gzip
import io
import tracemalloc
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpsynth.cli import main
from dpsynth.errors import ParameterError, Refusal
from dpsynth.fitting import fit
from dpsynth.line import release
from tests.dpsynth import lines
from tests.hostile.stand import HEADER, Stand, rows, text

SECRET = "patient-4711"
FEW = rows(3)


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def without(i: int) -> bytes:
    return text([row[:i] + row[i + 1 :] for row in FEW], [*HEADER[:i], *HEADER[i + 1 :]])


def more(name: str) -> bytes:
    return text([[*row, SECRET] for row in FEW], [*HEADER, name])


NESTED = lines.table(3).set_column(1, "age", pa.array([[1], [2], [3]], pa.list_(pa.int64())))
BINARY = lines.table(3).set_column(0, "ward", pa.array([b"\xff\0"] * 3, pa.binary()))
FILES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "missing column": lambda: ("t.csv", without(1)),
    "missing column, Parquet": lambda: ("t.parquet", parquet(lines.table(3).drop_columns(["age"]))),
    "extra column": lambda: ("t.csv", more(SECRET)),
    "extra column, Parquet": lambda: ("t.parquet", parquet(lines.table(3).append_column(SECRET, [[1, 2, 3]]))),
    "declared name twice": lambda: ("t.csv", more("age")),
    "undeclared name twice": lambda: ("t.csv", text([[*row, "", ""] for row in FEW], [*HEADER, SECRET, SECRET])),
    "another case": lambda: ("t.csv", text(FEW, ["Ward", *HEADER[1:]])),
    "no header but a record": lambda: ("t.csv", text(FEW[1:], [SECRET, *FEW[0][1:]])),
    "wrong delimiter": lambda: ("t.csv", text(FEW, delimiter=";")),
    "tabs": lambda: ("t.csv", text(FEW, delimiter="\t")),
    "UTF-16": lambda: ("t.csv", text(FEW).decode().encode("utf-16")),
    "Latin-1 header": lambda: ("t.csv", "größe,age,smoker,score\n".encode("latin-1")),
    "NUL in the header": lambda: ("t.csv", b"ward\0,age,smoker,score\n"),
    "a header's quote that never closes": lambda: ("t.csv", b'"ward,age,smoker,score\nnorth,1,true,0.5\n'),
    "a header without end": lambda: ("t.csv", b"ward," * 500_000),
    "old Macintosh line ends": lambda: ("t.csv", text(FEW).replace(b"\n", b"\r")),
    "empty CSV": lambda: ("t.csv", b""),
    "empty Parquet": lambda: ("t.parquet", b""),
    "empty gzip": lambda: ("t.csv.gz", b""),
    "not gzip": lambda: ("t.csv.gz", text(FEW)),
    "gzip cut in the header": lambda: ("t.csv.gz", gzip.compress(text(FEW))[:20]),
    "text named Parquet": lambda: ("t.parquet", text(FEW)),
    "Parquet named CSV": lambda: ("t.csv", parquet(lines.table(3))),
    "truncated Parquet": lambda: ("t.parquet", parquet(lines.table(300))[:-40]),
    "Parquet with a damaged footer": lambda: ("t.parquet", parquet(lines.table(3))[:-60] + b"\xff" * 52 + b"PAR1    "),
    "nested type": lambda: ("t.parquet", parquet(NESTED)),
    "bytes without a meaning": lambda: ("t.parquet", parquet(BINARY)),
    "unknown format": lambda: ("t.xlsx", b"PK"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_table_of_the_wrong_structure_is_refused(stand: Stand, case: str) -> None:
    ended = stand.release(stand.file(*FILES[case]()))
    stand.refused(ended)
    assert SECRET not in ended.words
    assert not stand.verified().releases
    assert stand.run("check", stand.folder / FILES[case]()[0], "-s", stand.schema).code == main.REFUSED


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.csv.gz"])
def test_a_folder_or_nothing_instead_of_a_file_is_refused(stand: Stand, name: str) -> None:
    stand.refused(stand.release(stand.folder / name), "No such file")
    (stand.folder / name).mkdir()
    stand.refused(stand.release(stand.folder / name))


@pytest.mark.parametrize(
    "numbers",
    [{"epsilon": e} for e in ("0", "-1", "nan", "inf", "-inf", "21", "1e308")]
    + [{"delta": d} for d in ("0", "1", "-1e-6", "2", "nan", "inf")],
)
def test_numbers_without_meaning_are_refused_everywhere(stand: Stand, numbers: dict[str, str]) -> None:
    stand.refused(stand.release(stand.file("t.csv", text(FEW)), **numbers))
    budget = {"epsilon": "1", "delta": "1e-6"} | numbers
    options = [f"--{name}={value}" for name, value in budget.items()]
    stand.refused(stand.run("plan", "-s", stand.schema, *options))
    stand.refused(stand.run("ledger", "create", stand.folder / "new", "-s", stand.schema, *options))
    assert not (stand.folder / "new").exists()
    asked = {name: float(value) for name, value in budget.items()}
    for call in (fit, lambda *a, **k: release(*a, out=stand.out, **k)):
        with pytest.raises(ParameterError):
            call(lines.table(3), lines.schema(), ledger=stand.ledger, **asked)
    assert not stand.verified().releases


@pytest.mark.parametrize("count", ["0", "-5", str(2**40)])
def test_a_senseless_number_of_rows_is_refused(stand: Stand, count: str) -> None:
    stand.refused(stand.release(stand.file("t.csv", text(FEW)), rows=count))


def test_a_budget_too_small_for_the_gate_is_refused(stand: Stand) -> None:
    stand.refused(stand.release(stand.file("t.csv", text(FEW)), epsilon=0.001), "gate")


def test_a_release_beyond_the_budget_is_refused(stand: Stand) -> None:
    stand.refused(stand.release(stand.file("t.csv", text(FEW)), epsilon=19), "epsilon 8")


@pytest.mark.parametrize("numbers", [{"epsilon": 1e-300}, {"delta": 1e-300}, {"delta": 1e-15}])
def test_numbers_too_small_to_spend_are_refused_before_the_data_is_opened(
    stand: Stand, numbers: dict[str, float]
) -> None:
    stand.refused(stand.release(stand.file("t.csv", text(FEW)), **numbers))
    asked = {"epsilon": 2.0, "delta": 1e-6} | numbers
    if "delta" in numbers:
        with pytest.raises(ParameterError):
            fit(lines.table(3), lines.schema(), ledger=stand.ledger, **asked)
    assert not stand.verified().releases


def test_a_domain_that_memory_cannot_hold_is_refused_with_its_cells_before_allocation(stand: Stand) -> None:
    wide = "      a: {kind: integer, bounds: [0, 59999], bins: each}\n"
    stand.schema.write_text(lines.SCHEMA + wide + wide.replace("a:", "b:"))
    table = stand.file("t.csv", text([[*row, "1", "2"] for row in FEW], [*HEADER, "a", "b"]))
    tracemalloc.start()
    ended = stand.release(table, synthesizer="mst")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stand.refused(ended, "3,600,000,000 cells")
    assert peak < 100e6


@pytest.mark.parametrize("bins", ["each", "1000000000000", "65536000"])
def test_a_column_that_memory_cannot_hold_is_refused(stand: Stand, bins: str) -> None:
    stand.schema.write_text(lines.SCHEMA + f"      a: {{kind: integer, bounds: [0, 1000000000000], bins: {bins}}}\n")
    ended = stand.release(stand.file("t.csv", text([[*row, "1"] for row in FEW], [*HEADER, "a"])))
    stand.refused(ended, "'a'")


def test_a_key_error_of_an_api_call_is_a_refusal_too(stand: Stand) -> None:
    for table in (lines.table(3).drop_columns(["age"]), [1, 2], object(), None):
        with pytest.raises(Refusal):
            release(table, lines.schema(), epsilon=2, delta=1e-6, ledger=stand.ledger, out=stand.out)
    assert not stand.verified().releases
