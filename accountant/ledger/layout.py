"""What lies in a ledger's folder, and where its entries are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accountant.canonical import dumps
from accountant.errors import LedgerError, MissingExtra, Refusal
from accountant.ledger.files import write_new
from accountant.ledger.replay import tampered
from accountant.ledger.sqlite import SqliteStore
from accountant.ledger.store import EntryStore

if TYPE_CHECKING:
    from accountant.ledger.postgres import PostgresStore

DATABASE, KEYS, RELEASES = "ledger.sqlite", "keys", "releases"
STORE = "store.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A place for a ledger's entries in a PostgreSQL database.

    Attributes:
      conninfo: A connection string of libpq, without any password: libpq has its own means (~/.pgpass, a service file).
      schema: The schema to make for this ledger, and for nothing else.
    """

    conninfo: str
    schema: str = "dpsynth_ledger"

    def on_disk(self) -> bytes:
        """Content of ``store.json``."""
        return dumps({"store": "postgres", "conninfo": self.conninfo, "schema": self.schema}) + b"\n"


def open_store(path: Path, *, busy_seconds: float) -> EntryStore:
    """The store of the ledger in ``path``; it connects on first use.

    Raises:
      MissingExtra: It is in PostgreSQL, and the driver isn't installed.
      LedgerTampered: What the folder says about it is damaged.
    """
    place = read_place(path)
    if place is None:
        return SqliteStore(path / DATABASE, busy_seconds=busy_seconds)
    return _driver()(place.conninfo, place.schema, busy_seconds=busy_seconds)


def make_store(path: Path, place: Postgres | None, *, busy_seconds: float) -> EntryStore:
    """A new, empty store for the ledger that is being made in ``path``; the folder says where it is.

    Raises:
      MissingExtra: It is to be in PostgreSQL, and the driver isn't installed.
      LedgerError: It is there already, or can't be made.
    """
    if place is None:
        return SqliteStore.create(path / DATABASE, busy_seconds=busy_seconds)
    made = _driver().create(place.conninfo, place.schema, busy_seconds=busy_seconds)
    write_new(path / STORE, place.on_disk(), mode=0o600)
    return made


def read_place(path: Path) -> Postgres | None:
    """Where the folder says the entries are; None for its own SQLite file.

    Raises:
      LedgerError: The file can't be read.
      LedgerTampered: It is damaged.
    """
    file = path / STORE
    try:
        content = file.read_bytes()
        body = json.loads(content)
        place = Postgres(conninfo=body["conninfo"], schema=body["schema"])
        if not isinstance(place.conninfo, str) or not isinstance(place.schema, str) or content != place.on_disk():
            raise ValueError("not in its one form")
        place.conninfo.encode()  # text that has no bytes is no connection string
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LedgerError(
            f"The file {file} can't be read: {error.strerror}.",
            "It says where the ledger's entries are.",
            "Run as the user whom the ledger belongs to.",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError, Refusal) as error:
        raise tampered(str(file), "it is damaged") from error
    return place


def _driver() -> "type[PostgresStore]":
    try:
        from accountant.ledger.postgres import PostgresStore
    except ImportError as error:
        raise MissingExtra(
            "A ledger in PostgreSQL needs the driver psycopg, which isn't installed.",
            "It comes with an extra, as most ledgers are files.",
            "Run: pip install 'dpsynth[postgres]'.",
        ) from error
    return PostgresStore
