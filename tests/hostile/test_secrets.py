"""No value of a record, id, undeclared category, file content or exact count leaves by any public way.

Excluded on purpose: `dpsynth check --values`, `dpsynth attack` and the annex, which are for the operator alone.
"""

import base64
import io
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.errors import Refusal
from accountant.ledger import Ledger
from accountant.ledger.verify import verify
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from dpsynth.encode import Encoder
from dpsynth.fitting import fit, load_model
from dpsynth.line import release
from dpsynth.noise.random import SystemRandom
from dpsynth.plan import make_plan
from dpsynth.records import read_records, split_records
from dpsynth.tables import open_table
from tests.dpsynth import lines
from tests.hostile.secrets import Heard, Secrets, files_leak, listening

ROWS = 1_733
TEXT, PERSON, OUTSIDE, NUMBER, REAL, HEADER = (
    "zqx-jane-doe", "zqx-person-51", "zqx-undeclared", "8675309124", "0.72345678917", "zqx-header"
)  # fmt: skip
SECRETS = Secrets(tokens=("zqx-", NUMBER, REAL))
DECLARED = lines.schema(lines.PERSON_SCHEMA)
FORMS = ("arrow", "pandas", "csv", "parquet", "csv.gz")


def records(share: int, *, rows: int = ROWS) -> pa.Table:
    """The small table with a secret in every ``share``-th cell of every column; the numbers as text, as files have."""
    table = lines.table(rows, people=rows // 2)
    tokens = {"person": PERSON, "ward": OUTSIDE, "age": NUMBER, "smoker": TEXT, "score": REAL}
    columns = {}
    for name, token in tokens.items():
        values = [None if v is None else str(v).lower() for v in table[name].to_pylist()]
        columns[name] = pa.array([f"{token}" if i % share == 0 else v for i, v in enumerate(values)], pa.string())
    return pa.table(columns)


def typed(table: pa.Table) -> pa.Table:
    """The same with numbers stored as such, where a typed file must."""
    numbers = {"age": pa.int64(), "score": pa.float64()}
    for name, kind in numbers.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    truth = [None if v not in ("true", "false") else v == "true" for v in table["smoker"].to_pylist()]
    return table.set_column(table.column_names.index("smoker"), "smoker", pa.array(truth))


def given_as(table: pa.Table, form: str, folder: Path) -> Any:
    """The table in one of the forms that the public entries take."""
    if form == "arrow":
        return typed(table)
    if form == "pandas":
        return typed(table).to_pandas()
    path = folder / f"in.{form}"
    if form == "parquet":
        pq.write_table(typed(table), path)
    elif form == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        with pa.CompressedOutputStream(str(path), "gzip") as stream:
            pyarrow.csv.write_csv(table, stream)
    return path


def everything(folder: Path, heard: Heard, table: Any) -> None:
    """Release, fit, save, load and sample; keep what each object shows of itself."""
    book = lines.ledger(folder, declared=DECLARED, epsilon=8.0)
    asked: dict[str, Any] = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "progress": heard}
    result = release(table, DECLARED, out=folder / "out", **asked)
    model = fit(table, DECLARED, synthesizer="independent", **asked)
    saved = load_model(model.save(folder / "saved.model"))
    sample = saved.sample(50)
    heard.add("sample", f"{sample.to_pylist()} {sample.schema.metadata}")
    heard.add_repr(result, model, saved, model.model, book, verify(book.path), *book.releases())
    heard.add_repr(verify_release(result.out, result.public_key.read_bytes()))
    heard.add("ledger", json.dumps(book.all_entries()))


def objects(folder: Path, heard: Heard, table: Any) -> None:
    """What lies between the entries: handle, records, sides, plan, reservation."""
    handle, encoder = open_table(table, DECLARED), Encoder.of(DECLARED)
    plan = make_plan(DECLARED, epsilon=2, delta=1e-6, claim_share=0.1)
    coded = read_records(handle, encoder, unit=plan.unit, key=b"k" * 32)
    assert plan.policy is not None
    sides = split_records(coded, share=plan.policy.holdout_share, key=b"k" * 32, random=SystemRandom())
    with Ledger.open(folder / "ledger") as book:
        held = book.reserve(dataset="wards", unit=plan.unit, idempotency_key=None, plan=plan.to_json(), caps=plan.caps)
        heard.add_repr(handle, handle.structure, encoder, plan, coded, coded.source, *sides, held)


@given(form=st.sampled_from(FORMS), share=st.sampled_from([1, 2, 7]))
@settings(max_examples=5)
def test_no_secret_leaves_by_any_public_way(form: str, share: int) -> None:
    with tempfile.TemporaryDirectory() as place, listening() as heard:
        folder, inputs = Path(place) / "made", Path(place) / "inputs"
        folder.mkdir()
        inputs.mkdir()
        table = given_as(records(share), form, inputs)
        everything(folder, heard, table)
        objects(folder, heard, table)
        assert heard.leaks(SECRETS) == []
        assert files_leak([folder], SECRETS, but=["out.CONFIDENTIAL-annex"]) == []
        told = {w for w, _ in heard.texts}
        assert told >= {"progress", "round", "sample", "repr of CodedRecords", "repr of MemorySource"}


def test_the_number_of_records_leaves_by_no_public_way() -> None:
    """From a seed, so that the noise can't hit the number itself by chance."""
    secrets = Secrets(tokens=(), count=ROWS)
    with tempfile.TemporaryDirectory() as place, listening() as heard:
        folder = Path(place)
        book = lines.ledger(folder, epsilon=8.0)
        asked: dict[str, Any] = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "progress": heard, "test_seed": 11}
        result = release(lines.table(ROWS), lines.schema(), out=folder / "out", **asked)
        model = fit(lines.table(ROWS), lines.schema(), synthesizer="independent", **asked)
        model.save(folder / "saved.model")
        heard.add_repr(result, model, model.model, book, open_table(lines.table(ROWS), lines.schema()))
        heard.add("rows", pq.read_metadata(next(result.out.glob("*.parquet"))).num_rows)
        heard.add("rows", model.sample().num_rows)
        assert heard.leaks(secrets) == []
        assert files_leak([folder], secrets, but=["out.CONFIDENTIAL-annex", "keys"]) == []


class Talkative:
    """A value whose text is a secret."""

    def __repr__(self) -> str:
        return TEXT

    __str__ = __repr__


def _damaged(folder: Path) -> Path:
    path = folder / "damaged.parquet"
    pq.write_table(typed(records(2)), path, compression="none")
    content = bytearray(path.read_bytes())
    page = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    content[page : page + 30] = b"\xff" * 30
    path.write_bytes(content)
    return path


def _cut(folder: Path) -> Path:
    path = given_as(records(2), "csv.gz", folder)
    path.write_bytes(path.read_bytes()[:-200])
    return Path(path)


def _headless(folder: Path) -> Path:
    path = folder / "headless.csv"
    path.write_text(f"{PERSON},{OUTSIDE},{NUMBER},{TEXT},{REAL}\n" * 3)
    return path


def _named(name: str, content: bytes) -> Any:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


REFUSED = {
    "no header": _headless,
    "secret header": lambda _: records(2).append_column(HEADER, [[1] * ROWS]),
    "secret header twice": lambda _: pa.table([[1], [2]], names=[HEADER, HEADER]),
    "secret names that aren't text": lambda _: typed(records(2)).to_pandas().rename(columns={"age": Talkative()}),
    "a list of secrets": lambda _: [TEXT, PERSON],
    "an object": lambda _: Talkative(),
    "a secret type": lambda _: records(2).set_column(
        1, "ward", pa.array([{HEADER: 1}] * ROWS, pa.struct([(HEADER, pa.int64())]))
    ),
    "a damaged page": _damaged,
    "a gzip cut short": _cut,
    "text named Parquet": _named("t.parquet", TEXT.encode() * 50),
    "a header that is no UTF-8": _named("t.csv", f"{TEXT}\xff,{HEADER}\n".encode("latin-1")),
    "a header in another delimiter": _named("t2.csv", f"{TEXT};{HEADER};{NUMBER}\n".encode()),
    "a header without end": _named("t3.csv", TEXT.encode() * 200_000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_refusal_tells_a_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    made, inputs = tmp_path / "made", tmp_path / "inputs"
    made.mkdir()
    inputs.mkdir()
    table = REFUSED[case](inputs)
    asked: dict[str, Any] = {"epsilon": 2.0, "delta": 1e-6, "ledger": lines.ledger(made, declared=DECLARED)}
    with listening() as heard:
        for call in (
            lambda: release(table, DECLARED, out=made / "out", **asked),
            lambda: fit(table, DECLARED, **asked),
        ):
            with pytest.raises(Refusal) as caught:
                call()
            heard.add_exception(caught.value)
        if isinstance(table, Path):
            schema = made / "schema.yaml"
            schema.write_text(lines.PERSON_SCHEMA)
            argv = ["-s", str(schema), "-e", "1", "-d", "1e-6", "-l", str(made / "ledger"), "-o", str(made / "out")]
            assert main.run(["release", str(table), *argv]) == main.REFUSED
    captured = capfd.readouterr()
    heard.add("screen", captured.out + captured.err)
    assert heard.leaks(SECRETS) == []
    assert files_leak([made], SECRETS) == []


@pytest.mark.parametrize("where", ["read_records", "split_records", "measure_totals", "run_gate"])
def test_no_crash_tells_a_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A fault of our own whose text quotes a record: the screen shows its type, the ledger its charge."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError(TEXT)

    monkeypatch.setattr(f"dpsynth.line.{where}", fail)
    if where == "run_gate":  # else the noise on the totals of a few people may leave nothing to decide
        monkeypatch.setattr("dpsynth.line.decidable", lambda *_, **__: SimpleNamespace(decidable=True))
    lines.ledger(tmp_path, declared=DECLARED).close()
    table, schema = given_as(records(2), "csv", tmp_path), tmp_path / "schema.yaml"
    schema.write_text(lines.PERSON_SCHEMA)
    argv = ["-s", str(schema), "-e", "2", "-d", "1e-6", "-l", str(tmp_path / "ledger"), "-o", str(tmp_path / "out")]
    assert main.run(["release", str(table), *argv]) == main.CRASH
    captured = capfd.readouterr()
    assert SECRETS.within(captured.out + captured.err) == []
    assert "KeyError" in captured.err
    assert not (tmp_path / "out").exists()
    (run,) = verify(tmp_path / "ledger").releases
    assert (run.reason, run.charged) == ("failed", run.price)
    assert files_leak([tmp_path / "ledger"], SECRETS) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """In the encoded kinds of files, in exceptions and in reprs."""
    payload = base64.b64encode(json.dumps({"x": TEXT, "rows": ROWS}).encode()).decode()
    (tmp_path / "certificate.json").write_text(json.dumps({"payload": payload}))
    pq.write_table(pa.table({"a": [TEXT] * 3}), tmp_path / "t.parquet", compression="zstd")
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"k": TEXT}), out)
    (tmp_path / "m.parquet").write_bytes(out.getvalue())
    assert sorted(files_leak([tmp_path], SECRETS)) == ["certificate.json", "m.parquet", "t.parquet"]
    assert files_leak([tmp_path], Secrets(tokens=(), count=ROWS)) == ["certificate.json"]
    heard = Heard()
    error = ValueError("outer")
    error.__cause__ = KeyError(TEXT)
    heard.add_exception(error)
    heard.add_repr(Talkative())
    assert len(heard.leaks(SECRETS)) == 3
    assert Secrets(tokens=(), count=ROWS).within(f"a {ROWS:,} b") == [str(ROWS)]
    assert Secrets(tokens=(), count=ROWS).within(f"ab{ROWS}cd 0.{ROWS}") == []
