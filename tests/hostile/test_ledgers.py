"""Ledgers that can't be used as asked: refused, nothing charged, nothing written beside them."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accountant.ledger import Ledger
from dpsynth.cli import main
from tests.dpsynth import lines
from tests.hostile.stand import Ended, Stand, rows, text

ROOT = Path(__file__).parents[2]
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def table(stand: Stand) -> Path:
    return stand.file("t.csv", text(rows(20)))


@pytest.fixture
def locked(stand: Stand) -> Iterator[None]:
    """Another process holds the ledger's write lock."""
    command = [sys.executable, "-c", HOLD, str(stand.ledger / "ledger.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("")


@pytest.mark.usefixtures("locked")
def test_a_locked_ledger_is_refused(stand: Stand, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Ledger.open.__func__.__kwdefaults__, "busy_seconds", 0.2)  # type: ignore[attr-defined]
    stand.refused(stand.release(table), "is locked")
    stand.refused(stand.release(table), "is locked")


def test_a_missing_ledger_is_refused(stand: Stand, table: Path) -> None:
    stand.refused(stand.release(table, ledger=stand.folder / "none"), "There is no ledger")
    assert not (stand.folder / "none").exists()
    for command in ("show", "verify"):
        stand.refused(stand.run("ledger", command, stand.folder / "none"))


def test_what_is_no_ledger_is_refused(stand: Stand, table: Path) -> None:
    (stand.folder / "empty").mkdir()
    (stand.folder / "other").mkdir()
    (stand.folder / "other/ledger.sqlite").write_bytes(b"nothing of the kind" * 100)
    for place in (table, stand.folder / "empty", stand.folder / "other"):
        stand.refused(stand.release(table, ledger=place))


def test_a_ledger_of_another_data_set_or_unit_is_refused(stand: Stand, table: Path) -> None:
    stand.schema.write_text(lines.SCHEMA.replace("dataset: wards", "dataset: others"))
    stand.refused(stand.release(table), "'wards'", "'others'")
    stand.schema.write_text(lines.PERSON_SCHEMA)
    people = stand.file("p.csv", text([["p", *row] for row in rows(5)], ["person", "ward", "age", "smoker", "score"]))
    stand.refused(stand.release(people), "protects")


def damage_body(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        connection.execute("DROP TRIGGER entries_no_update")
        connection.execute("UPDATE entries SET body = replace(body, 'wards', 'words')")


def damage_file(folder: Path) -> None:
    content = bytearray((folder / "ledger.sqlite").read_bytes())
    content[100:4000] = b"\xff" * 3900
    (folder / "ledger.sqlite").write_bytes(content)


def lose_witness(folder: Path) -> None:
    (folder / "witness.json").unlink()


def swap_key(folder: Path) -> None:
    lines.ledger(folder.parent / "elsewhere").close()
    shutil.copy(folder.parent / "elsewhere/ledger/keys/signing.key", folder / "keys/signing.key")


def cut_split_key(folder: Path) -> None:
    (folder / "keys/split.key").write_bytes(b"short")


@pytest.mark.parametrize("damage", [damage_body, damage_file, lose_witness, swap_key, cut_split_key])
def test_a_tampered_ledger_is_refused(stand: Stand, table: Path, damage: object) -> None:
    assert callable(damage)
    (stand.folder / "elsewhere").mkdir()
    damage(stand.ledger)
    ended = stand.release(table)
    shutil.rmtree(stand.folder / "elsewhere")
    stand.refused(ended, "ledger", ledger=False)


def test_a_read_only_ledger_is_refused(stand: Stand, table: Path) -> None:
    """In a process that must ask for permission: root gives up its right not to."""
    places = [*stand.ledger.rglob("*"), stand.ledger]
    for path in places:
        path.chmod(0o500 if path.is_dir() else 0o400)
    dropped = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    argv = ["-e", "2", "-d", "1e-6", "-s", str(stand.schema), "-l", str(stand.ledger), "-o", str(stand.out)]
    command = [*(dropped if os.geteuid() == 0 else []), sys.executable, "-m", "dpsynth", "release", str(table), *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for path in places[::-1]:
        path.chmod(0o700)
    stand.refused(
        Ended(code=done.returncode, out=done.stdout, said=tuple(done.stderr.splitlines())), "can't be written to"
    )
    assert not stand.verified().releases


def test_another_run_under_the_same_key_is_refused(stand: Stand, table: Path) -> None:
    with Ledger.open(stand.ledger) as book:
        from dpsynth.plan import make_plan

        asked = {"synthesizer": "independent", "claim_share": 0.1, "policy": lines.lenient()}
        plan = make_plan(lines.schema(), epsilon=2, delta=1e-6, **asked)
        held = book.reserve(
            dataset="wards", unit=plan.unit, idempotency_key="march", plan=plan.to_json(), caps=plan.caps
        )
    ended = stand.release(table, **{"idempotency-key": "march"})
    assert ended.code == main.REFUSED
    assert held.release_id in ended.words
    assert "return-stale" in ended.words
    assert stand.run("ledger", "return-stale", stand.ledger, held.release_id).code == 0
    stand.released(stand.release(table, **{"idempotency-key": "march"}))
    ended = stand.release(table, **{"idempotency-key": "march", "rows": 7})
    assert ended.code == main.REFUSED


def test_the_same_command_twice_returns_the_stored_release(stand: Stand, table: Path) -> None:
    """Also where the annex of the first run stands, as it does after a crash while publishing."""
    stand.released(stand.release(table, **{"idempotency-key": "march"}))
    spent = stand.verified().spent
    kept = {p.name: p.read_bytes() for p in stand.out.iterdir()}
    shutil.rmtree(stand.out)
    ended = stand.release(table, **{"idempotency-key": "march"})
    stand.released(ended)
    assert "uncharged" in ended.out
    assert stand.verified().spent == spent
    assert {p.name: p.read_bytes() for p in stand.out.iterdir()} == kept
