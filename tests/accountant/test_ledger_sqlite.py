"""A ledger in an SQLite file: locks, permissions, full disks, and files that are none."""

import sqlite3
from pathlib import Path

import pytest

from accountant.errors import LedgerError
from accountant.ledger import Ledger
from accountant.ledger import sqlite as sqlite_store
from accountant.ledger.verify import verify
from tests.accountant.ledgers import BUDGET, committed, files, new_ledger, reserved, step, touched


def test_a_locked_ledger_says_so_and_stays_readable(tmp_path: Path) -> None:
    path = new_ledger(tmp_path).path
    holder = sqlite3.connect(path / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ledger = Ledger.open(path, busy_seconds=0.05)
    with pytest.raises(LedgerError, match="is locked"):
        reserved(ledger)
    assert ledger.remaining() == BUDGET.cap
    holder.execute("ROLLBACK")
    holder.close()
    reserved(ledger)


def test_a_read_only_ledger_can_be_verified_but_not_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_ledger(tmp_path)
    committed(made)
    made.close()
    monkeypatch.setattr(sqlite_store, "_can_write", lambda _: False)  # also holds where the tests run as root
    made.path.chmod(0o500)
    before = files(made.path)
    with Ledger.open(made.path) as ledger:
        assert verify(made.path).spent == ledger.spent()
        with pytest.raises(LedgerError, match="read-only here"):
            reserved(ledger)
    made.path.chmod(0o700)
    assert files(made.path) == before


def test_a_full_disk_is_refused_and_records_nothing(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reservation = touched(ledger)
    connection = ledger.journal.store._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(LedgerError, match="the disk is full"):
        reservation.charge([step("x" * 40_000)])
    connection.execute("PRAGMA max_page_count=1000000")
    assert reservation.state.steps == ()
    reservation.charge([step()])


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no ledger"):
        Ledger.open(tmp_path / "nothing")
    for content in (b"not a database, but long enough to look at" * 40, b""):
        folder = tmp_path / f"foreign-{len(content)}"
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(content)
        with pytest.raises(LedgerError, match="isn't a ledger"):
            Ledger.open(folder)
    folder = tmp_path / "other"
    folder.mkdir()
    other = sqlite3.connect(folder / "ledger.sqlite")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(LedgerError, match="isn't a ledger"):
        Ledger.open(folder)


@pytest.mark.parametrize("closes", [False, True])
def test_a_reader_without_permission_follows_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """It opened the file as one that never changes; then its owner wrote, and perhaps closed it again."""
    with new_ledger(tmp_path) as made:
        path = made.path
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "_can_write", lambda _: False)
        reader = Ledger.open(path)
        assert reader.seq == 1
    writer = Ledger.open(path)
    committed(writer)
    seq = writer.seq
    if closes:
        writer.close()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "_can_write", lambda _: False)
        assert reader.seq == seq
    reader.close()
    writer.close()


def test_a_store_at_rest_is_closed_before_a_fork_and_one_in_use_is_not(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.entries("none")
    store = ledger.journal.store
    assert isinstance(store, sqlite_store.SqliteStore)
    assert store._connection is not None
    store.hold()
    assert store._connection is None
    store.go_on()
    with store.reading():
        store.hold()
        assert store._connection is not None
        store.go_on()
