"""What a power cut can't undo: how the store asks the disk, who may write, and when the witness is on disk."""

import os
from pathlib import Path

import pytest

from accountant.errors import LedgerError
from accountant.ledger import files, witness
from accountant.ledger.sqlite import SqliteStore
from tests.accountant.ledgers import new_ledger, reserved, step, touched, witnessed

FULL = 2
"""SQLite's number of ``synchronous=FULL``: a commit returns once the log is on disk."""


def test_a_transaction_waits_for_the_disk(tmp_path: Path) -> None:
    """Asked of the very connection that charged: the setting belongs to a connection, not to the file."""
    ledger = new_ledger(tmp_path)
    touched(ledger).charge([step()])
    connection = ledger.journal.store._connected()
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


def test_a_witness_is_on_disk_with_every_checkpoint_and_written_with_every_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place, in one slot; the other keeps the witness before it, whole."""
    ledger = new_ledger(tmp_path)
    path = ledger.path / "witness.json"
    flushed: list[tuple[int, bytes]] = []
    flush = files.flush_data

    def synced(handle: int) -> None:
        flushed.append((os.fstat(handle).st_ino, path.read_bytes()))
        flush(handle)

    monkeypatch.setattr(witness, "flush_data", synced)
    reservation = reserved(ledger)
    for act, flushes in (
        (reservation.touch, True),
        (lambda: reservation.charge([step(sigma=1e4)]), False),
        *[(lambda: reservation.charge([step(sigma=1e4)]), seq % 64 == 0) for seq in range(5, 66)],
        (lambda: reservation.commit(outcome="released", artefacts={}), True),
    ):
        before = path.read_bytes()
        flushed.clear()
        act()
        content = path.read_bytes()
        assert flushed == ([(path.stat().st_ino, content)] if flushes else []), ledger.seq
        assert witnessed(ledger.path) == (ledger.seq, ledger.head)
        halves = [(before[i : i + 512], content[i : i + 512]) for i in (0, 512)]
        assert [old == new for old, new in halves].count(True) == 1
        assert len(content) == 2 * 512


def test_a_witness_that_another_process_wrote_is_flushed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = new_ledger(tmp_path)
    flushed: list[int] = []
    monkeypatch.setattr(witness, "flush_data", flushed.append)
    before = (ledger.path / "witness.json").read_bytes()
    for flush in (False, True):
        ledger.journal.witness.advance(1, "0" * 64, ledger.signing_key(), flush=flush)
        assert len(flushed) == flush
    assert (ledger.path / "witness.json").read_bytes() == before


def test_bringing_to_the_disk_asks_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _, name=name: asked.append(name), raising=False)
    files.flush_data(0)
    files.write_new(tmp_path / "file", b"{}", mode=0o600)
    assert asked == ["fdatasync", "fsync"]


def test_a_late_writer_never_takes_the_witness_back(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    touched(ledger).charge([step()])
    before = (ledger.path / "witness.json").read_bytes()
    for seq in (1, ledger.seq):
        ledger.journal.witness.advance(seq, "0" * 64, ledger.signing_key(), flush=True)
    assert (ledger.path / "witness.json").read_bytes() == before
