"""What a power cut can't undo: how the store asks the disk, who may write, and when the witness has its name."""

import os
import stat
from pathlib import Path

import pytest

from accountant.errors import LedgerError
from accountant.ledger.files import replace_atomically
from accountant.ledger.sqlite import SqliteStore
from tests.accountant.ledgers import new_ledger, step, touched

FULL = 2
"""SQLite's number of ``synchronous=FULL``: a commit returns once the log is on disk."""


def test_a_transaction_waits_for_the_disk(tmp_path: Path) -> None:
    """Asked of the very connection that charged: the setting belongs to a connection, not to the file."""
    ledger = new_ledger(tmp_path)
    touched(ledger).charge([step()])
    connection = ledger._store._connected()
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}
    assert found == {"synchronous": FULL, "journal_mode": "wal"}


def test_a_writer_excludes_others_from_the_start(tmp_path: Path) -> None:
    """From BEGIN, not from the first insert: what the writer reads, to see whether there is room, stays so."""
    ledger = new_ledger(tmp_path)
    first, second = (SqliteStore(ledger.path / "ledger.sqlite", busy_seconds=0.05) for _ in range(2))
    with first.writing() as rows:
        assert len(rows.after(0)) == 1
        with pytest.raises(LedgerError, match="is locked"), second.writing():
            pass
    with second.writing() as rows:
        assert len(rows.after(0)) == 1
    first.close()
    second.close()


def test_a_witness_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def renamed(source: Path, target: Path) -> Path:
        done.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    replace_atomically(tmp_path / "witness.json", b"{}", mode=0o600)
    assert done == ["file", "rename", "folder"]
