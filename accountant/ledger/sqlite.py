"""Entries in SQLite: WAL, synchronous=FULL, BEGIN IMMEDIATE, and triggers that refuse every change but an append."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from accountant.errors import LedgerError, Refusal
from accountant.ledger.files import WITNESS
from accountant.ledger.replay import tampered
from accountant.ledger.store import Lease, Row

APPLICATION_ID = 0x44504C47  # "DPLG"
SCHEMA_VERSION = 2
POLL_SECONDS = 0.001
_FIRST = (
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER entries_next BEFORE INSERT ON entries "
    "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries) "
    "BEGIN SELECT RAISE(ABORT, 'append-only'); END",
)
_BESIDE = (
    "CREATE TABLE checkpoints (seq INTEGER PRIMARY KEY, signature TEXT NOT NULL)",
    "CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER checkpoints_next BEFORE INSERT ON checkpoints "
    "WHEN NEW.seq IS NOT (SELECT max(seq) FROM entries) BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TABLE leases (release TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID",
)
_MIGRATIONS = {1: _BESIDE}
"""Schema version: the statements that make the next one of it."""
_SHAPES = {1: set(_FIRST), SCHEMA_VERSION: {*_FIRST, *_BESIDE}}
"""Schema version: every statement that made it."""
_inherited: dict[tuple[int, int], sqlite3.Connection] = {}
"""In a child that was forked inside a transaction: the parent's connections by device and inode, never used."""


class _Rows:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def after(self, seq: int) -> list[Row]:
        query = "SELECT seq, body, hash FROM entries WHERE seq > ? ORDER BY seq"
        return self._connection.execute(query, [seq]).fetchall()

    def append(self, row: Row) -> None:
        self._connection.execute("INSERT INTO entries VALUES (?, ?, ?)", row)

    def checkpoints(self) -> list[tuple[int, str]]:
        if _version(self._connection) < SCHEMA_VERSION:
            return []
        return self._connection.execute("SELECT seq, signature FROM checkpoints ORDER BY seq").fetchall()

    def checkpoint(self, seq: int) -> str | None:
        if _version(self._connection) < SCHEMA_VERSION:
            return None
        found = self._connection.execute("SELECT signature FROM checkpoints WHERE seq = ?", [seq]).fetchone()
        return None if found is None else found[0]

    def add_checkpoint(self, seq: int, signature: str) -> None:
        self._connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (seq, signature))

    def lease(self, release_id: str) -> Lease | None:
        if _version(self._connection) < SCHEMA_VERSION:
            return None
        query = "SELECT holder, until FROM leases WHERE release = ?"
        found: Lease | None = self._connection.execute(query, [release_id]).fetchone()
        return found

    def put_lease(self, release_id: str, lease: Lease) -> None:
        self._connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (release_id, *lease))


class SqliteStore:
    """An append-only SQLite file. One connection per process, under a lock.

    SQLite keeps its locks by process and file, and a child inherits the table but not the locks: with the parent's
    connection open, even a connection of its own would believe that it holds them, while others delete the log that it
    writes to. So the connection is closed before a fork and opened anew on both sides of it.
    """

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self._path, self._busy = path, busy_seconds
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner, self._inode = 0, (0, 0)
        self._blocks, self._forking = 0, 0
        self._frozen: tuple[int, int] | None = None  # size and time of a file that was opened as one that never changes
        _follow_forks(self)

    @classmethod
    def create(cls, path: Path, *, busy_seconds: float) -> "SqliteStore":
        """Make the file and its tables; ``path`` must not exist."""
        with _translated(path):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                for statement in _FIRST + _BESIDE:
                    connection.execute(statement)
            finally:
                connection.close()
        return cls(path, busy_seconds=busy_seconds)

    @contextmanager
    def writing(self) -> Iterator[_Rows]:
        """An exclusive transaction; see EntryStore."""
        with self._using() as connection:
            self._begin(connection)
            try:
                _migrate(connection)
                yield _Rows(connection)
                self._require_own()
                connection.execute("COMMIT")
            finally:
                if self._owner == os.getpid() and connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Take the writer's lock. Asks often: SQLite's own waiting sleeps longer than a charge takes."""
        deadline = time.monotonic() + self._busy
        connection.execute("PRAGMA busy_timeout=0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                    if not busy or time.monotonic() >= deadline:
                        raise
                time.sleep(POLL_SECONDS)
        finally:
            connection.execute(f"PRAGMA busy_timeout={round(self._busy * 1000)}")

    @contextmanager
    def reading(self) -> Iterator[_Rows]:
        """A consistent view; see EntryStore."""
        with self._using() as connection:
            yield _Rows(connection)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self._path):
            connection = self._connected()
            self._blocks += 1
            try:
                yield connection
            finally:
                self._blocks -= 1

    def hold(self) -> None:
        """Before a fork: wait for other threads to leave, then close; not where this very thread is inside."""
        self._lock.acquire()
        self._forking = threading.get_ident()
        if not self._blocks:
            self.close()

    def go_on(self) -> None:
        """After a fork, on both sides: let go of what :meth:`hold` took, if it did."""
        if self._forking == threading.get_ident():
            self._forking = 0
            if self._connection is not None and self._owner != os.getpid():
                _inherited[self._inode] = self._connection
            self._lock.release()

    def close(self) -> None:
        """Close this process's connection."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def _connected(self) -> sqlite3.Connection:
        found = _identity(self._path)
        if self._frozen is not None and (_has_log(self._path) or _changed(self._path) != self._frozen):
            self.close()  # it has a writer after all
        if self._connection is None:
            self._inode, self._owner = found, os.getpid()
            self._require_own()
            self._connection = self._connect()
        self._require_own()
        if found != self._inode:
            raise tampered(str(self._path), "the file was replaced while it was in use")
        return self._connection

    def _require_own(self) -> None:
        if self._owner != os.getpid() or self._inode in _inherited:
            raise LedgerError(
                f"The ledger {self._path.parent} can't be used in this process.",
                "It was forked in the midst of an act on the ledger, and would share the parent's transaction.",
                "Fork while nothing is being done with the ledger, and open the ledger after the fork.",
            )

    def _connect(self) -> sqlite3.Connection:
        if not any(self._inode):
            if _is_witnessed(self._path):
                raise tampered(str(self._path), "the database is gone, and its witness isn't")
            raise LedgerError(
                f"There is no ledger at {self._path.parent}.",
                "The folder or its ledger.sqlite doesn't exist.",
                "Create one with `dpsynth ledger create`, or name the right folder.",
            )
        frozen = not _can_write(self._path) and not _has_log(self._path)
        self._frozen = _changed(self._path) if frozen else None
        mode = "immutable=1" if frozen else "mode=rw" if _can_write(self._path) else "mode=ro"
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.resolve()))}?{mode}",
            uri=True,
            isolation_level=None,
            timeout=self._busy,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=1")
            connection.execute("PRAGMA trusted_schema=OFF")
            _require_shape(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection


def _follow_forks(store: SqliteStore) -> None:
    reference = weakref.ref(store)  # hooks can't be taken back, so they mustn't keep the store

    def tell(act: Callable[[SqliteStore], None]) -> None:
        found = reference()
        if found is not None:
            act(found)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: tell(SqliteStore.hold),
            after_in_parent=lambda: tell(SqliteStore.go_on),
            after_in_child=lambda: tell(SqliteStore.go_on),
        )


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode of a file; zeros where there is none."""
    if not path.is_file():
        return 0, 0
    found = path.stat()
    return found.st_dev, found.st_ino


def _changed(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file; None where there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring an older schema up to date, within the writer's transaction."""
    for version in range(_version(connection), SCHEMA_VERSION):
        for statement in _MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version + 1}")


def _can_write(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _require_shape(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN")  # one view, whoever migrates meanwhile
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    statements = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master")}
    version = _version(connection)
    connection.execute("COMMIT")
    if statements.isdisjoint(_FIRST) and identity != APPLICATION_ID:
        raise _no_ledger(path)
    if identity == APPLICATION_ID and version > SCHEMA_VERSION:
        raise LedgerError(
            f"The ledger {path.parent} has the schema {version}, and this accountant knows up to {SCHEMA_VERSION}.",
            "It was written by a newer version.",
            "Use that version, or a newer one.",
        )
    if identity != APPLICATION_ID or statements != _SHAPES.get(version, set()):
        raise tampered(str(path), "its tables, triggers or version aren't a ledger's")


def _is_witnessed(path: Path) -> bool:
    """Whether a ledger's witness lies beside a database."""
    return path.with_name(WITNESS).exists()


def _no_ledger(path: Path) -> Refusal:
    if _is_witnessed(path):
        return tampered(str(path), "another file, or an empty one, is in the place of the database")
    return LedgerError(
        f"{path} isn't a ledger.",
        "It isn't an SQLite file with a ledger's tables.",
        "Create a ledger with `dpsynth ledger create`, or name the right folder.",
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Driver and file errors as refusals."""
    try:
        yield
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    except UnicodeDecodeError as error:  # the driver chokes on its own message about a damaged schema
        raise tampered(str(path), "the database file is damaged") from error
    except OSError as error:
        raise LedgerError(
            f"The ledger {path.parent} can't be used: {error.strerror}.",
            "The file system refused to read or write it, and a charge counts only once it is on disk.",
            "Check permissions and free space, then try again.",
        ) from error


def _refusal(path: Path, error: sqlite3.Error) -> Refusal:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return _no_ledger(path)
    if code == sqlite3.SQLITE_CORRUPT:
        return tampered(str(path), "the database file is damaged")
    what, why, next_step = _REFUSALS.get(code, _REFUSALS[sqlite3.SQLITE_IOERR])
    return LedgerError(f"The ledger {path.parent} {what}.", why, next_step)


_BUSY = (
    "is locked",
    "Another process has been writing to it for longer than the time allowed.",
    "Wait until that process ends, then try again.",
)
_READ_ONLY = (
    "can't be written to",
    "Its folder or its files are read-only here, and a charge counts only once it is on disk.",
    "Give yourself permission to write, or use a ledger of your own.",
)
_REFUSALS = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: (
        "couldn't be written to: the disk is full",
        "A charge counts only once it is on disk; nothing was recorded.",
        "Free some space, then try again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "couldn't be read or written",
        "The database reported an error of the file system.",
        "Check the disk, then run `dpsynth ledger verify`.",
    ),
}
