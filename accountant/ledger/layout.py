"""What lies in a ledger's folder, and where its entries are."""

from pathlib import Path

from accountant.ledger.sqlite import SqliteStore
from accountant.ledger.store import EntryStore

DATABASE, WITNESS, KEYS, RELEASES = "ledger.sqlite", "witness.json", "keys", "releases"


def open_store(path: Path, *, busy_seconds: float) -> EntryStore:
    """The store of the ledger in ``path``; it connects on first use."""
    return SqliteStore(path / DATABASE, busy_seconds=busy_seconds)


def make_store(path: Path, *, busy_seconds: float) -> EntryStore:
    """A new, empty store for the ledger that is being made in ``path``."""
    return SqliteStore.create(path / DATABASE, busy_seconds=busy_seconds)
