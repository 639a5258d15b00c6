"""Entries in PostgreSQL, for teams: one schema a ledger, triggers that refuse all but appends, one writer at a time.

The only module that imports the driver. A writer holds ``LOCK TABLE ... EXCLUSIVE`` until its transaction ends; what it
commits is on the server's disk (``fsync`` and ``synchronous_commit`` are asserted in every transaction that writes).
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from accountant.errors import LedgerError, ParameterError, Refusal
from accountant.faults import reach
from accountant.ledger.postgres_schema import (
    APPEND_ONLY,
    BEFORE_CHANGE,
    BEFORE_ROW,
    NEXT,
    REFUSE,
    RELATIONS,
    SCHEMA_VERSION,
    TABLES,
    TRIGGERS,
    follows,
    statements,
)
from accountant.ledger.replay import tampered
from accountant.ledger.store import Lease, Row

CONNECT_SECONDS = 10
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SECRETS = ("password", "passfile", "sslpassword")
_DURABLE = frozenset({"on", "remote_apply"})
_inherited: list[Any] = []  # after a fork: the parent's connections, kept so that nothing closes them


class _Rows:
    """The rows within a transaction, or, for a reader, each statement by itself."""

    def __init__(self, store: "PostgresStore", *, alone: bool) -> None:
        self._store, self._alone = store, alone
        self.appended: list[Row] = []

    def after(self, seq: int) -> list[Row]:
        return self._ask("SELECT seq, body, hash FROM {schema}.entries WHERE seq > %s ORDER BY seq", seq)

    def append(self, row: Row) -> None:
        self._do("INSERT INTO {schema}.entries VALUES (%s, %s, %s)", *row)
        self.appended.append(row)

    def checkpoints(self) -> list[tuple[int, str]]:
        return self._ask("SELECT seq, signature FROM {schema}.checkpoints ORDER BY seq")

    def checkpoint(self, seq: int) -> str | None:
        found: list[tuple[str]] = self._ask("SELECT signature FROM {schema}.checkpoints WHERE seq = %s", seq)
        return found[0][0] if found else None

    def add_checkpoint(self, seq: int, signature: str) -> None:
        self._do("INSERT INTO {schema}.checkpoints VALUES (%s, %s)", seq, signature)

    def lease(self, release_id: str) -> Lease | None:
        found: list[Lease] = self._ask("SELECT holder, until FROM {schema}.leases WHERE release = %s", release_id)
        return found[0] if found else None

    def put_lease(self, release_id: str, lease: Lease) -> None:
        put = (
            "INSERT INTO {schema}.leases VALUES (%s, %s, %s) "
            "ON CONFLICT (release) DO UPDATE SET holder = excluded.holder, until = excluded.until"
        )
        self._do(put, release_id, *lease)

    def _ask(self, statement: str, *values: object) -> list[Any]:
        return list(self._store.run(statement, values, alone=self._alone).fetchall())

    def _do(self, statement: str, *values: object) -> None:
        self._store.run(statement, values, alone=False)


class PostgresStore:
    """One schema of a database. One connection per process, under a lock; opened anew after a fork or a loss."""

    def __init__(self, conninfo: str, schema: str, *, busy_seconds: float) -> None:
        self._conninfo, self._schema, self._busy = conninfo, schema, busy_seconds
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._owner = 0
        require_place(conninfo, schema)

    @classmethod
    def create(cls, conninfo: str, schema: str, *, busy_seconds: float) -> "PostgresStore":
        """Make the schema and its tables; it must not exist."""
        store = cls(conninfo, schema, busy_seconds=busy_seconds)
        with store._translated():
            connection = store._open()
            try:
                with connection.transaction():
                    for statement in statements():
                        connection.execute(store._named(statement))
            finally:
                connection.close()
        return store

    @contextmanager
    def writing(self) -> Iterator[_Rows]:
        """An exclusive transaction; see EntryStore."""
        with self._lock, self._translated():
            rows = _Rows(self, alone=False)
            try:
                self._begin()
                yield rows
                self._commit(rows)
            except BaseException:  # also an interrupted commit: no transaction may stay open behind it
                self._undo()
                raise

    @contextmanager
    def reading(self) -> Iterator[_Rows]:
        """Each statement sees what was committed before it; see EntryStore."""
        with self._lock, self._translated():
            yield _Rows(self, alone=True)

    def close(self) -> None:
        """Close this process's connection."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def run(self, statement: str, values: tuple[object, ...], *, alone: bool) -> "psycopg.Cursor[Any]":
        """Run one statement; one that stands alone is tried again over a new connection if the old one is lost."""
        if not alone:  # within a transaction: never over another connection than the one that began it
            return self._connected_still().execute(self._named(statement), values)
        try:
            return self._connected().execute(self._named(statement), values)
        except psycopg.OperationalError:
            if not self._is_lost():
                raise
        return self._connected().execute(self._named(statement), values)

    def _named(self, statement: str) -> bytes:
        return statement.replace("{schema}", f'"{self._schema}"').encode()

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.closed

    def _connected(self) -> "psycopg.Connection[Any]":
        if self._connection is not None and self._owner != os.getpid():
            _inherited.append(self._connection)
            self._connection = None
        if self._connection is None or self._connection.closed:
            connection = self._open()
            try:
                self._require_shape(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def _open(self) -> "psycopg.Connection[Any]":
        connection = psycopg.connect(
            self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="dpsynth ledger"
        )
        connection.execute(
            "SET synchronous_commit = on; SET search_path = pg_catalog; SET client_min_messages = error; "
            f"SET lock_timeout = {max(1, round(self._busy * 1000))}".encode()
        )
        return connection

    def _begin(self) -> None:
        """Take the writer's lock, over a new connection if the old one was lost: nothing was asked for over it yet."""
        try:
            self._lock_table(self._connected())
        except psycopg.OperationalError:
            if not self._is_lost():
                raise
            self._lock_table(self._connected())

    def _lock_table(self, connection: "psycopg.Connection[Any]") -> None:
        begin = (
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; LOCK TABLE {schema}.entries IN EXCLUSIVE MODE; "
            "SELECT current_setting('synchronous_commit'), current_setting('fsync')"
        )
        cursor = connection.execute(self._named(begin))
        while cursor.nextset():
            pass
        committing, flushing = cursor.fetchone() or ("", "")
        if committing not in _DURABLE or flushing != "on":
            raise LedgerError(
                f"The database of the ledger keeps nothing safe: synchronous_commit is {committing}, fsync {flushing}.",
                "A charge counts only once it is on disk, and this server doesn't wait for that.",
                "Set both to on, then try again.",
            )

    def _undo(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return
        connection.close()

    def _commit(self, rows: _Rows) -> None:
        connection = self._connected_still()
        try:
            ended = connection.execute("COMMIT").statusmessage
        except psycopg.OperationalError:
            if not self._is_lost():
                raise
            self._settle(rows)
            return
        if ended != "COMMIT":
            raise LedgerError(
                "The database of the ledger undid an entry instead of keeping it.",
                "A statement before it had failed; nothing was recorded.",
                "Run `dpsynth ledger verify`, then try again.",
            )

    def _connected_still(self) -> "psycopg.Connection[Any]":
        if self._connection is None or self._connection.closed:
            raise _lost("nothing was recorded")
        return self._connection

    def _settle(self, rows: _Rows) -> None:
        """The connection broke while a commit was under way: find out whether it happened, and never append again.

        Whoever gets the writer's lock knows that the broken transaction has ended, one way or the other.
        """
        reach("connection.lost")
        if not rows.appended:
            raise _lost("no entry was at stake")
        seq, _, digest = rows.appended[-1]
        try:
            self._lock_table(self._connected())
            found = self.run("SELECT hash FROM {schema}.entries WHERE seq = %s", (seq,), alone=False).fetchone()
            self._undo()
        except psycopg.Error as error:
            raise _lost("whether the entry was recorded isn't known; if it was, it counts") from error
        if found is None or found[0] != digest:
            raise _lost("nothing was recorded")

    def _require_shape(self, connection: "psycopg.Connection[Any]") -> None:
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._schema]).fetchone():
            raise _no_ledger(self._schema)
        relations = set(connection.execute(RELATIONS, [self._schema]).fetchall())
        if relations != {(table, "r", "p", False, False) for table in TABLES}:
            raise tampered(f"the schema {self._schema}", "its tables aren't a ledger's")
        found = set(connection.execute(TRIGGERS, [self._schema]).fetchall())
        expected = {(t, f"{t}_append_only", "A", BEFORE_CHANGE, REFUSE) for t in APPEND_ONLY} | {
            (t, f"{t}_follow", "A", BEFORE_ROW, follows(t).replace("{schema}", f'"{self._schema}"')) for t in NEXT
        }
        if found != expected:
            raise tampered(f"the schema {self._schema}", "its triggers aren't a ledger's")
        (version,) = connection.execute(self._named("SELECT max(number) FROM {schema}.version")).fetchone() or (None,)
        if version != SCHEMA_VERSION:
            raise LedgerError(
                f"The schema {self._schema} has the version {version}, and this accountant knows {SCHEMA_VERSION}.",
                "It was written by another version.",
                "Use that version, or a newer one.",
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Driver errors as refusals."""
        try:
            yield
        except psycopg.Error as error:
            raise _refusal(error, self._schema) from error


def require_place(conninfo: str, schema: str) -> None:
    """Refuse an address with a secret in it, or a schema whose name isn't plain.

    Raises:
      ParameterError: The folder that says where the store is would hold a password, or the name needs quoting.
    """
    if not _NAME.fullmatch(schema):
        raise ParameterError(
            f"A ledger's schema can't be named {schema!r}.", f"It must match {_NAME.pattern}.", "Choose a plain name."
        )
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise ParameterError(
            "The address of the ledger's database can't be read.",
            "It is a connection string of libpq.",
            "Write it as host=... dbname=... user=...",
        ) from error
    if any(given.get(name) for name in _SECRETS):
        raise ParameterError(
            "The address of the ledger's database holds a password.",
            "It is written to the ledger's folder, where no secret of the database belongs.",
            "Leave it out, and use libpq's own means: ~/.pgpass, a service file, or a certificate.",
        )


def _lost(so: str) -> LedgerError:
    return LedgerError(
        f"The connection to the ledger's database was lost: {so}.",
        "A charge counts only once the database has said that it is on disk.",
        "Try again; the ledger is read anew first, and never records anything twice.",
    )


def _no_ledger(schema: str) -> LedgerError:
    return LedgerError(
        f"There is no ledger in the schema {schema}.",
        "The database of the ledger's folder doesn't hold it.",
        "Check store.json in the folder, or restore the database.",
    )


def _refusal(error: psycopg.Error, schema: str) -> Refusal:
    if isinstance(error, errors.RestrictViolation | errors.UniqueViolation):
        return tampered(f"the schema {schema}", "it has rows that the ledger didn't expect")
    for kinds, (what, why, next_step) in _REFUSALS:
        if isinstance(error, kinds):
            return LedgerError(f"The ledger in the schema {schema} {what}.", why, next_step)
    if error.sqlstate is None:
        return LedgerError(
            f"The database of the ledger (schema {schema}) can't be reached.",
            "The server doesn't answer, or refuses this user.",
            "Check that it runs and that libpq's settings (store.json, ~/.pgpass) are right, then try again.",
        )
    return LedgerError(
        f"The ledger in the schema {schema} couldn't be read or written.",
        f"The database reported the error {error.sqlstate}.",
        "Check the server, then run `dpsynth ledger verify`.",
    )


_READ_ONLY = (
    "can't be written to",
    "The server or this user may only read it, and a charge counts only once it is on disk.",
    "Connect to the primary server, as a user who may write.",
)
_REFUSALS: tuple[tuple[type[psycopg.Error] | tuple[type[psycopg.Error], ...], tuple[str, str, str]], ...] = (
    (
        (errors.LockNotAvailable, errors.DeadlockDetected),
        (
            "is locked",
            "Another process has been writing to it for longer than the time allowed.",
            "Wait until that process ends, then try again.",
        ),
    ),
    ((errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege), _READ_ONLY),
    (
        errors.DiskFull,
        (
            "couldn't be written to: the disk is full",
            "A charge counts only once it is on disk; nothing was recorded.",
            "Free some space, then try again.",
        ),
    ),
    (
        (errors.DuplicateSchema, errors.DuplicateTable),
        (
            "can't be created",
            "Something is there already, and a ledger never replaces anything.",
            "Choose another schema, or open the ledger that is there.",
        ),
    ),
)
