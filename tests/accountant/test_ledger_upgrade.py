"""Ledgers of earlier versions are read, verified and gone on with; ``fixtures/ledger-v1`` is one of the first."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from accountant.errors import LedgerError, LedgerTampered
from accountant.ledger import Ledger, Level, State, verify_entries
from accountant.ledger.verify import verify
from accountant.price import Price
from tests.accountant.ledgers import BUDGET, committed, files, step, touched, witnessed

HEAD = "172ca35af7ffd25018d0a56bde88d76fc61515bc9d9325a45493e7ca92df104f"
SPENT, RESERVED = Price(15482126146, 4099), Price(15399662602, 8192)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(Path(__file__).parent / "fixtures" / "ledger-v1", tmp_path / "ledger"))
    (folder / "releases").mkdir()
    return folder


def version(folder: Path) -> int:
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return found


def test_a_ledger_of_the_first_schema_reads_as_it_was_and_is_not_changed_by_reading(old: Path) -> None:
    before = files(old)
    found = verify(old)
    assert (found.seq, found.head, found.spent, found.reserved) == (16, HEAD, SPENT, RESERVED)
    assert (found.dataset, found.budget, found.checkpoints) == ("people", BUDGET, 0)
    assert [s.level for s in found.scopes] == [Level.DATASET]
    assert [r.state for r in found.releases] == [
        State.COMMITTED, State.ABORTED, State.ABORTED, State.TOUCHED, State.RESERVED,
    ]  # fmt: skip
    assert {name: content for name, content in files(old).items() if name in before} == before
    assert version(old) == 1


def test_the_first_act_brings_schema_and_witness_up_to_date(old: Path) -> None:
    with Ledger.open(old) as ledger:
        done = committed(ledger)
        assert ledger.spent() == SPENT + done.state.charged
        assert {e["version"] for e in done.entries()} == {2}
    found = verify(old)
    assert (version(old), found.checkpoints) == (2, 3)
    assert witnessed(old) == (found.seq, found.head)
    assert len((old / "witness.json").read_bytes()) == 1024


def test_old_runs_are_settled_under_the_new_rules(old: Path) -> None:
    with Ledger.open(old) as ledger:
        crashed, waiting = ledger.releases()[3:]
        run = ledger.take_over(crashed.release_id)
        run.charge([step()])
        run.commit(outcome="released", artefacts={})
        assert ledger.release_stale(waiting.release_id) == waiting.price
        assert ledger.reserved() == Price()
        state = verify_entries(ledger.entries(crashed.release_id))
        assert (state.version, state.token, len(state.steps)) == (2, 2, 2)
    verify(old)


def test_an_upgrade_that_is_interrupted_never_began(old: Path) -> None:
    with Ledger.open(old) as ledger:
        with pytest.raises(ZeroDivisionError), ledger.journal.store.writing():
            raise ZeroDivisionError
        assert version(old) == 1
        touched(ledger)
    assert version(old) == 2


def test_a_newer_schema_is_named(old: Path) -> None:
    with sqlite3.connect(old / "ledger.sqlite") as connection:
        connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(LedgerError, match="has the schema 3, and this accountant knows up to 2"):
        Ledger.open(old)


def test_a_version_without_its_tables_is_found(old: Path) -> None:
    with sqlite3.connect(old / "ledger.sqlite") as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(LedgerTampered, match="aren't a ledger's"):
        Ledger.open(old)
