"""Marked secrets in columns of every kind leave by no public way: not on success, refusal, failure, or in a crash.

Secret are rare labels of open columns, whatever stands in identifiers and in columns that are never read, undeclared
labels, values out of bounds, and what means nothing, in nullable columns with declared null codes as in any other.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from accountant.errors import Refusal
from accountant.ledger.verify import verify
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from dpsynth.encode import Encoder, lint_table
from dpsynth.fitting import fit, load_model
from dpsynth.line import release
from dpsynth.tables import open_table
from tests.dpsynth import lines
from tests.hostile.secrets import Heard, Secrets, files_leak, listening
from tests.hostile.stand import Stand

ROWS = 1_409
NUMBER, REAL, DAY, CLOCK = "8675309124", "0.72345678917", "1911-11-13", "987654"
SECRETS = Secrets(tokens=("zqx-", NUMBER, REAL, DAY, f":13.{CLOCK}", "40333987654"))
COLUMNS = """
      person: {kind: identifier}
      file: {kind: identifier}
      ward: {kind: categorical, categories: [north, south, east, west], otherwise: west}
      degree: {kind: ordinal, categories: [low, mid, high], nullable: true, nulls: [unknown, "-9"]}
      job: {kind: open, categories: [nurse], otherwise: other job, share: 0.05}
      town: {kind: open, nullable: true, nulls: ["-9"], share: 0.05}
      drug: {kind: open, categories: [none], redraw: true, share: 0.05}
      age: {kind: integer, bounds: [0, 99], bins: 10, nullable: true, nulls: ["-9"], special: [-8]}
      score: {kind: real, bounds: [0, 1], bins: 5, nullable: true, nulls: [n/a]}
      smoker: {kind: boolean, nullable: true, nulls: ["9"]}
      day: {kind: date, bounds: [2020-01-01, 2020-12-31], bins: 4, nullable: true, nulls: [1900-01-01]}
      moment: {kind: datetime, bounds: [2020-01-01, 2020-12-31], bins: 4, zone: Europe/Paris}
      clock: {kind: time, bounds: ['00:00:00', '23:59:59'], bins: 4}
      span: {kind: duration, bounds: [0, 3600], bins: 4}
      wave: {kind: constant, value: first}
      double: {kind: integer, bounds: [0, 198], nullable: true, computed: {sum: [age, age]}}
      arm: {kind: categorical, categories: [a, b], drawn_from: {uniform: true}}
      site: {kind: categorical, categories: [x, y],
             derived_from: {column: ward, values: {north: x, south: x, east: y, west: y}}}
"""
RULES = """
    rules:
      - {when: {degree: {from: mid}}, then: {ward: {not: north}}}
      - {forbid: {double: {above: 150}, smoker: true}}
"""
HEAD = "dpsynth: 1\ndataset: wards\ntables:\n  - name: wards\n    privacy_unit: {column: person, max_rows: 2}\n"
SCHEMA = f"{HEAD}    columns:{COLUMNS}{RULES}"
DECLARED = lines.schema(SCHEMA)
PLAIN: dict[str, Callable[[int], str]] = {
    "person": lambda i: f"zqx-person-{i // 2}",
    "file": lambda i: f"zqx-file-{i}",
    "ward": lambda i: ("north", "south", "east", "west")[i % 4],
    "degree": lambda i: ("low", "mid", "high", "unknown", "-9", "")[i % 6],
    "job": lambda i: ("nurse", "baker", "clerk")[i % 3],
    "town": lambda i: ("-9", "Ulm", "", "Bonn")[i % 4],
    "drug": lambda i: ("none", "aspirin")[i % 2],
    "age": lambda i: ("-9", "-8", str(i % 90), str(i % 70))[i % 4],
    "score": lambda i: ("n/a", f"0.{i % 10}")[i % 2],
    "smoker": lambda i: ("true", "false", "9", "")[i % 4],
    "day": lambda i: ("1900-01-01", f"2020-0{1 + i % 9}-11")[i % 2],
    "moment": lambda i: f"2020-0{1 + i % 9}-11T10:00:00",
    "clock": lambda i: f"{i % 24:02}:15:00",
    "span": lambda i: str(i % 3_000),
    "wave": lambda i: f"zqx-wave-{i % 5}",
    "double": lambda i: NUMBER,
    "arm": lambda i: "zqx-arm",
    "site": lambda i: "zqx-site",
}
"""What is in each column; the text of columns that aren't read, and of identifiers, is secret throughout."""
ODD: dict[str, Callable[[int], str]] = {
    "ward": lambda i: "zqx-ward",
    "degree": lambda i: "zqx-degree",
    "job": lambda i: f"zqx-job-{i}",
    "town": lambda i: f"zqx-town-{i}",
    "drug": lambda i: f"zqx-drug-{i}",
    "age": lambda i: NUMBER,
    "score": lambda i: REAL if i % 2 else "zqx-score",
    "smoker": lambda i: "zqx-smoker",
    "day": lambda i: DAY,
    "moment": lambda i: f"{DAY}T11:12:13.{CLOCK}",
    "clock": lambda i: f"11:12:13.{CLOCK}",
    "span": lambda i: NUMBER,
}
"""The secret in one cell of every eleventh row; in an open column, a label that one person holds."""


def records() -> pa.Table:
    """Text in every column, as a CSV file has it."""
    return pa.table({
        name: pa.array([(ODD[name] if name in ODD and (i + 3 * j) % 11 == 0 else plain)(i) for i in range(ROWS)])
        for j, (name, plain) in enumerate(PLAIN.items())
    })


def in_form(form: str, folder: Path) -> Any:
    """The records in one of the forms that are taken."""
    table, path = records(), folder / f"in.{form}"
    if form == "arrow":
        views = pa.schema([(name, pa.string_view()) for name in table.column_names])
        return table.cast(views)
    if form == "pandas":
        frame = table.to_pandas()
        return frame.astype({"job": "category", "degree": "category"})
    (pyarrow.csv.write_csv if form == "csv" else pq.write_table)(table, path)
    return path


def whole_line(folder: Path, heard: Heard, table: Any) -> None:
    """Release, fit, save, load, and every kind of sample, refused ones too."""
    book = lines.ledger(folder, declared=DECLARED, epsilon=12.0)
    asked: dict[str, Any] = {
        "epsilon": 3.0, "delta": 1e-6, "ledger": book, "progress": heard, "synthesizer": "independent",
    }  # fmt: skip
    result = release(table, DECLARED, out=folder / "out", policy=lines.lenient(), **asked)
    verify_release(result.out, result.public_key.read_bytes())
    model = load_model(fit(table, DECLARED, **asked).save(folder / "saved.model"))
    encoder = model.encoder
    heard.add_repr(result, model, model.model, encoder, encoder.schema, book, verify(book.path), *book.releases())
    heard.add("ledger", json.dumps(book.all_entries()))
    for made in (
        model.sample(300, seed=1),
        model.sample(50, where={"degree": {"from": "mid"}, "day": {"below": "2020-06-01"}}),
        model.sample(50, target={"ward": {"north": 0.5}}),
        model.impute(pa.table({"ward": ["north", None], "age": [40, -8]}), dataset="elsewhere"),
    ):
        heard.add("sample", f"{[made[name].unique().to_pylist() for name in made.column_names]} {made.schema}")
    own = records().select(["ward", "degree", "age"])
    for refused in (
        lambda: model.impute(own, dataset="elsewhere"),
        lambda: model.join_public(model.sample(5), table, dataset="elsewhere"),
        lambda: model.impute(table, dataset="wards"),
    ):
        with pytest.raises(Refusal) as caught:
            refused()
        heard.add_exception(caught.value)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "pandas"])
def test_no_secret_of_any_kind_of_column_leaves_by_the_library(tmp_path: Path, form: str) -> None:
    made, inputs = tmp_path / "made", tmp_path / "inputs"
    made.mkdir()
    inputs.mkdir()
    table = in_form(form, inputs)
    with listening() as heard:
        whole_line(made, heard, table)
        handle = open_table(table, DECLARED)
        heard.add_repr(handle, handle.structure)
        heard.add("lint", "\n".join(lint_table(handle)))
    assert heard.leaks(SECRETS) == []
    assert files_leak([made], SECRETS, but=["out.CONFIDENTIAL-annex"]) == []
    told = {where for where, _ in heard.texts}
    assert told >= {"sample", "traceback", "ledger", "lint", "repr of Encoder"}


def test_labels_that_many_hold_are_found_so_that_rare_ones_could_be(tmp_path: Path) -> None:
    """The search isn't in vain: selection ran, over columns that hold secrets."""
    model = fit(records(), DECLARED, epsilon=8.0, delta=1e-4, synthesizer="independent",
                ledger=lines.ledger(tmp_path, declared=DECLARED, epsilon=20.0, delta=1e-3))
    found = {name: set(labels) for name, labels in model.selected.items()}
    assert found == {"job": {"baker", "clerk"}, "town": {"Ulm", "Bonn"}, "drug": {"aspirin"}}


def _stand(tmp_path: Path, capsys: pytest.CaptureFixture[str], schema: str = SCHEMA) -> Stand:
    stand = Stand(tmp_path, capsys, schema=schema)
    pyarrow.csv.write_csv(records().select(list(lines.schema(schema).table.columns)), tmp_path / "in.csv")
    return stand


def _clean(stand: Stand, *ended: Any) -> None:
    for end in ended:
        assert SECRETS.within(end.out + end.words) == []
    stand.folder.joinpath("in.csv").unlink()
    assert files_leak([stand.folder], SECRETS, but=["out.CONFIDENTIAL-annex"]) == []


def test_no_secret_leaves_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand = _stand(tmp_path, capsys)
    table, key = tmp_path / "in.csv", stand.ledger / "keys/signing.pub"
    with listening() as heard:
        ended = [
            stand.run("check", table, "-s", stand.schema, "--values", tmp_path / "lint.txt"),
            stand.run("init", table),
            stand.run("plan", "-s", stand.schema, "-e", "2", "-d", "1e-6"),
            stand.release(table, "--json", epsilon=3),
            stand.release(table, out=tmp_path / "no/such"),
            stand.run("verify", stand.out, "-k", key),
            stand.run("ledger", "show", stand.ledger),
            stand.run("ledger", "show", stand.ledger, "--json"),
        ]
    assert [end.code for end in ended] == [0, 0, 0, ended[3].code, 2, 0, 0, 0]
    assert ended[3].code in (main.DONE, main.GATED)
    assert heard.leaks(SECRETS) == []
    _clean(stand, *ended)


def test_no_secret_leaves_where_the_gate_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An outside command that copies its training rows, and talks."""
    kept = [line for line in COLUMNS.splitlines() if not line.strip().startswith(("drug", "double", "town"))]
    stand = _stand(tmp_path, capsys, schema=f"{HEAD}    columns:" + "\n".join(kept) + "\n")
    claim = tmp_path / "claim.yaml"
    talk = "import shutil, sys; print(open(sys.argv[1]).read()); shutil.copy(*sys.argv[1:])"
    command = json.dumps([sys.executable, "-c", talk, "{train}", "{out}"])
    claim.write_text(
        f"command: {command}\nclaim: {{epsilon: 0.15, delta: 1e-10, adjacency: add-remove, unit: person, "
        "max_rows: 2, row_count_private: true}\n"
    )
    more = ("--external-config", claim)
    ended = stand.release(tmp_path / "in.csv", *more, synthesizer="external", epsilon=2)
    stand.released(ended, codes=[main.GATED])
    _clean(stand, ended)


@pytest.mark.parametrize(
    "where",
    ["dpsynth.encode.opened.Interned._of", "dpsynth.line.select_labels", "dpsynth.encode.encoder.without_null_codes",
     "dpsynth.encode.encoder.rules_kept", "dpsynth.encode.encoder.with_computed", "dpsynth.line.draw_table"],
)
def test_no_crash_over_these_columns_tells_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A fault of our own that quotes what it was given, while labels are found out, codes made or rows drawn."""

    def fail(*given: object, **named: object) -> None:
        raise ValueError(f"zqx-fault {given!r} {named!r} {NUMBER}")

    stand = _stand(tmp_path, capsys)
    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        ended = stand.release(tmp_path / "in.csv", epsilon=3)
    assert ended.code == main.CRASH
    assert "ValueError" in ended.words
    (run,) = stand.verified().releases
    assert run.charged == run.price
    assert not stand.out.exists()
    _clean(stand, ended)


def test_a_frame_of_objects_that_talk_tells_nothing(tmp_path: Path) -> None:
    """Values of types that nobody foresees: they are undeclared, and nothing asks them for their text aloud."""

    class Talkative:
        def __repr__(self) -> str:
            return "zqx-talk"

        __str__ = __repr__

    frame = records().to_pandas().astype(object)
    frame.loc[frame.index % 7 == 0, list(ODD)] = Talkative()
    with listening() as heard:
        model = fit(frame, DECLARED, epsilon=3.0, delta=1e-6, synthesizer="independent",
                    ledger=lines.ledger(tmp_path, declared=DECLARED, epsilon=12.0), progress=heard)
        made = model.sample(300)
        heard.add("sample", made.to_pylist())
        heard.add_repr(model, Encoder.of(DECLARED))
    assert isinstance(frame, pd.DataFrame)
    assert heard.leaks(SECRETS) == []
    assert files_leak([tmp_path], SECRETS) == []
