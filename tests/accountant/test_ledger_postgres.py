"""A ledger in PostgreSQL: what its server refuses, what it must promise, and connections that are lost."""

import ast
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from accountant import faults
from accountant.errors import LedgerError, LedgerTampered, MissingExtra, ParameterError
from accountant.ledger import Ledger, Postgres, State
from accountant.ledger.postgres import PostgresStore
from accountant.ledger.store import Row
from accountant.ledger.verify import verify
from tests.accountant import servers
from tests.accountant.ledgers import BUDGET, UNIT, committed, files, new_ledger, reserved, step, touched

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(postgres: servers.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr("tests.accountant.ledgers.place", postgres.place)
    return new_ledger(tmp_path)


def schema(ledger: Ledger) -> str:
    assert isinstance(ledger.journal.store, PostgresStore)
    return ledger.journal.store._schema


def test_the_folder_says_where_the_entries_are_and_holds_no_password(ledger: Ledger, postgres: servers.Server) -> None:
    found = files(ledger.path)
    assert set(found) == {"store.json", "witness.json", "keys/signing.key", "keys/signing.pub", "keys/split.key"}
    assert b"password" not in found["store.json"]
    committed(ledger)
    assert verify(ledger.path).spent == ledger.spent()
    for conninfo in ("host=x password=hunter2", "postgresql://u:hunter2@x/d", "host=x passfile=/tmp/p"):
        with pytest.raises(ParameterError, match=r"holds a password.*~/\.pgpass") as refused:
            Ledger.create(
                ledger.path.parent / "n", dataset="p", budget=BUDGET, unit=UNIT, store=Postgres(conninfo=conninfo)
            )
        assert "hunter2" not in str(refused.value)
    assert not (ledger.path.parent / "n").exists()


@pytest.mark.parametrize("name", ["Ledger", "a-b", 'x"; DROP SCHEMA y', "", "1a", "a" * 64])
def test_a_schema_has_a_plain_name(postgres: servers.Server, tmp_path: Path, name: str) -> None:
    place = Postgres(conninfo=postgres.conninfo, schema=name)
    with pytest.raises(ParameterError, match="Choose a plain name"):
        Ledger.create(tmp_path / "n", dataset="people", budget=BUDGET, unit=UNIT, store=place)


def test_a_ledger_never_replaces_a_schema(ledger: Ledger, postgres: servers.Server) -> None:
    place = Postgres(conninfo=postgres.conninfo, schema=schema(ledger))
    with pytest.raises(LedgerError, match="never replaces anything"):
        Ledger.create(ledger.path.parent / "again", dataset="people", budget=BUDGET, unit=UNIT, store=place)
    assert not (ledger.path.parent / "again").exists()
    verify(ledger.path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {s}.entries SET body = body",
        "DELETE FROM {s}.entries",
        "TRUNCATE {s}.entries",
        "INSERT INTO {s}.entries VALUES (99, '{{}}', 'x')",
        "INSERT INTO {s}.entries VALUES (1, '{{}}', 'x')",
        "UPDATE {s}.checkpoints SET signature = 'x'",
        "TRUNCATE {s}.checkpoints",
        "INSERT INTO {s}.checkpoints VALUES (99, 'x')",
        "DELETE FROM {s}.version",
        "SET session_replication_role = replica; DELETE FROM {s}.entries",
    ],
)
def test_the_database_itself_refuses_all_but_appends(ledger: Ledger, postgres: servers.Server, statement: str) -> None:
    """Even to a superuser who turns off what can be turned off for a session."""
    with pytest.raises((psycopg.errors.RestrictViolation, psycopg.errors.UniqueViolation)):
        postgres.sql(statement.format(s=schema(ledger)))
    verify(ledger.path)


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("ALTER TABLE {s}.entries DISABLE TRIGGER ALL", "its triggers aren't a ledger's"),
        ("DROP TRIGGER entries_append_only ON {s}.entries", "its triggers aren't a ledger's"),
        (
            "CREATE OR REPLACE FUNCTION {s}.append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "its triggers aren't a ledger's",
        ),
        ("CREATE TABLE {s}.more (x int)", "its tables aren't a ledger's"),
        ("ALTER TABLE {s}.entries SET UNLOGGED", "its tables aren't a ledger's"),
        ("CREATE RULE r AS ON INSERT TO {s}.entries DO INSTEAD NOTHING", "its tables aren't a ledger's"),
        ("INSERT INTO {s}.version VALUES (9)", "has the version 9"),
        ("ALTER SCHEMA {s} RENAME TO {s}_gone", "There is no ledger in the schema"),
    ],
)
def test_a_changed_schema_is_found(ledger: Ledger, postgres: servers.Server, statement: str, match: str) -> None:
    ledger.close()
    postgres.sql(statement.format(s=schema(ledger)))
    with pytest.raises((LedgerTampered, LedgerError), match=match):
        Ledger.open(ledger.path)


def changed(ledger: Ledger, postgres: servers.Server, *statements: str) -> None:
    """Change the rows as a superuser of the server could: triggers off, and on again."""
    triggers = "ALTER TABLE {s}.entries {what} TRIGGER ALL"
    always = [f"ALTER TABLE {{s}}.entries ENABLE ALWAYS TRIGGER entries_{name}" for name in ("append_only", "follow")]
    for statement in (triggers.replace("{what}", "DISABLE"), *statements, *always):
        postgres.sql(statement.format(s=schema(ledger)))


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE {s}.entries SET body = replace(body, '2', '3') WHERE seq = 3", "entry 3: it"),
        ("DELETE FROM {s}.entries WHERE seq = 4", "entry 4: it is missing or out of order"),
        ("DELETE FROM {s}.entries WHERE seq >= 5", "the witness saw entry 6, but the database ends at 4"),
        (
            "UPDATE {s}.entries SET body = (SELECT body FROM {s}.entries e WHERE e.seq = 3), "
            "hash = (SELECT hash FROM {s}.entries e WHERE e.seq = 3) WHERE seq = 4",
            "entry 4: the chain is broken",
        ),
    ],
)
def test_rows_that_the_servers_master_changed_are_found(
    ledger: Ledger, postgres: servers.Server, statement: str, match: str
) -> None:
    committed(ledger)
    ledger.close()
    changed(ledger, postgres, statement)
    with pytest.raises(LedgerTampered, match=match):
        verify(ledger.path)


def until(postgres: servers.Server, fsync: str) -> None:
    """Wait until the server has read its settings again."""
    for _ in range(100):
        if postgres.sql("SHOW fsync") == [(fsync,)]:
            return
        time.sleep(0.05)
    raise AssertionError("the server didn't read its settings")


def test_a_transaction_waits_for_the_disk(ledger: Ledger, postgres: servers.Server) -> None:
    """Asserted in every transaction that writes, whatever the server, the user or the session say."""
    touched(ledger).charge([step()])
    connection = ledger.journal.store._connected()  # type: ignore[attr-defined]
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    connection.execute("SET synchronous_commit = local")
    before = ledger.seq
    with pytest.raises(LedgerError, match="keeps nothing safe: synchronous_commit is local, fsync on"):
        reserved(ledger)
    assert ledger.seq == before
    ledger.close()
    postgres.sql("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        with Ledger.open(ledger.path) as again:
            until(postgres, "off")
            with pytest.raises(LedgerError, match="fsync off"):
                reserved(again)
    finally:
        postgres.sql("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")
        until(postgres, "on")
    assert verify(ledger.path).seq == before


def test_a_locked_ledger_says_so_and_stays_readable(ledger: Ledger, postgres: servers.Server) -> None:
    with psycopg.connect(postgres.conninfo) as holder:
        holder.execute(f"LOCK TABLE {schema(ledger)}.entries IN EXCLUSIVE MODE".encode())
        with Ledger.open(ledger.path, busy_seconds=0.05) as other:
            with pytest.raises(LedgerError, match="is locked"):
                reserved(other)
            assert other.remaining() == BUDGET.cap
            holder.rollback()
            reserved(other)


def test_a_writer_excludes_others_from_the_start(ledger: Ledger, postgres: servers.Server) -> None:
    """From BEGIN, not from the first insert: what the writer reads, to see whether there is room, stays so."""
    second = PostgresStore(postgres.conninfo, schema(ledger), busy_seconds=0.05)
    with ledger.journal.store.writing() as rows:
        assert len(rows.after(0)) == 1
        with pytest.raises(LedgerError, match="is locked"), second.writing():
            pass
    with second.writing() as rows:
        assert len(rows.after(0)) == 1
    second.close()


def killed(postgres: servers.Server) -> None:
    """End every session of a ledger, as a server that is restarted does."""
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dpsynth ledger'")


def test_an_idle_connection_that_was_lost_is_replaced(ledger: Ledger, postgres: servers.Server) -> None:
    run = touched(ledger)
    for act in (lambda: run.charge([step()]), lambda: ledger.spent(), lambda: run.charge([step()])):
        killed(postgres)
        act()
    assert len(verify(ledger.path).releases[0].steps) == 2


@pytest.mark.parametrize("point", ["transaction.before", "witness.before", "transaction.after"])
def test_a_connection_lost_in_the_middle_records_once_or_not_at_all(
    ledger: Ledger, postgres: servers.Server, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    run = touched(ledger)
    hits = []

    def hook(name: str) -> None:
        if name == point and not hits:
            hits.append(name)
            killed(postgres)

    monkeypatch.setattr(faults, "hook", hook)
    before = ledger.seq
    done = False
    with suppress(LedgerError):
        run.charge([step("once")])
        done = True
    assert hits
    recorded = [s.label for s in verify(ledger.path).releases[0].steps]
    assert recorded == (["once"] if point != "transaction.before" else [])
    assert not done or recorded
    run.charge([step("again")])
    assert [s.label for s in verify(ledger.path).releases[0].steps] == [*recorded, "again"]
    assert ledger.seq == before + len(recorded) + 1


def test_a_commit_whose_answer_was_lost_is_looked_up_and_never_repeated(
    ledger: Ledger, postgres: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server committed, and the connection broke before it could say so."""
    run = touched(ledger)
    execute: Callable[..., object] = psycopg.Connection.execute
    lost = []

    def cut(connection: "psycopg.Connection[object]", query: object, *arguments: object) -> object:
        done = execute(connection, query, *arguments)
        if query == "COMMIT" and not lost:
            lost.append(query)
            connection.close()
            raise psycopg.OperationalError("the connection is lost")
        return done

    monkeypatch.setattr(psycopg.Connection, "execute", cut)
    run.charge([step("once")])
    assert lost
    state = verify(ledger.path).releases[0]
    assert ([s.label for s in state.steps], state.state) == (["once"], State.TOUCHED)


def test_a_commit_that_the_database_answers_with_an_undoing_is_no_commit(ledger: Ledger) -> None:
    store, before = ledger.journal.store, ledger.seq
    with pytest.raises(LedgerError, match="undid an entry"), store.writing() as rows, suppress(psycopg.Error):
        rows.append((before + 7, "{}", "x"))  # refused, and with it the whole transaction
    assert ledger.seq == before


def test_a_statement_of_a_lost_transaction_never_runs_outside_of_it(ledger: Ledger) -> None:
    store, before = ledger.journal.store, ledger.seq
    assert isinstance(store, PostgresStore)

    def lose_and_append() -> None:
        with store.writing() as rows:
            assert store._connection is not None
            store._connection.close()
            rows.append((before + 1, "{}", "x"))

    with pytest.raises(LedgerError, match="connection to the ledger's database was lost"):
        lose_and_append()
    assert [row[0] for row in _rows(ledger)] == list(range(1, before + 1))


def _rows(ledger: Ledger) -> list[Row]:
    with ledger.journal.store.reading() as rows:
        return rows.after(0)


def test_an_interrupted_commit_leaves_no_transaction_open(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run = touched(ledger)
    execute: Callable[..., object] = psycopg.Connection.execute
    hits = []

    def interrupt(connection: "psycopg.Connection[object]", query: object, *arguments: object) -> object:
        if query == "COMMIT" and not hits:
            hits.append(query)
            raise KeyboardInterrupt
        return execute(connection, query, *arguments)

    monkeypatch.setattr(psycopg.Connection, "execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.charge([step("never")])
    assert ledger.journal.store._connected().info.transaction_status.name == "IDLE"  # type: ignore[attr-defined]
    assert run.state.steps == ()
    run.charge([step("once")])
    assert [s.label for s in verify(ledger.path).releases[0].steps] == ["once"]


def test_a_server_that_is_gone_is_named(tmp_path: Path, ledger: Ledger) -> None:
    place = Postgres(conninfo=f"host={tmp_path} dbname=postgres user=postgres")
    with pytest.raises(LedgerError, match=r"can't be reached.*store\.json, ~/\.pgpass"):
        Ledger.create(tmp_path / "n", dataset="people", budget=BUDGET, unit=UNIT, store=place)
    assert not (tmp_path / "n").exists()
    (ledger.path / "store.json").write_bytes(place.on_disk())
    with pytest.raises(LedgerError, match="can't be reached"):
        Ledger.open(ledger.path)
    (ledger.path / "store.json").write_bytes(place.on_disk().replace(b'"store":"postgres"', b'"store":"other"'))
    with pytest.raises(LedgerTampered, match=r"store\.json.*damaged"):
        Ledger.open(ledger.path)


def test_a_user_who_may_only_read_can_not_charge(ledger: Ledger, postgres: servers.Server, tmp_path: Path) -> None:
    name = schema(ledger)
    reader = f"reader_{name}"
    postgres.sql(
        f"CREATE ROLE {reader} LOGIN",
        f"GRANT USAGE ON SCHEMA {name} TO {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {reader}",
    )
    copy = Path(shutil.copytree(ledger.path, tmp_path / "copy"))
    conninfo = postgres.conninfo.replace("user=postgres", f"user={reader}")
    (copy / "store.json").write_bytes(Postgres(conninfo=conninfo, schema=name).on_disk())
    with Ledger.open(copy) as opened:
        assert opened.remaining() == BUDGET.cap
        with pytest.raises(LedgerError, match="can't be written to"):
            reserved(opened)


def test_another_ledgers_schema_under_the_folder_is_found(
    ledger: Ledger, postgres: servers.Server, tmp_path: Path
) -> None:
    other = new_ledger(tmp_path, name="other")
    shutil.copy(other.path / "store.json", ledger.path / "store.json")
    with pytest.raises(LedgerTampered, match="isn't signed by the ledger's key"):
        verify(ledger.path)


def test_the_driver_is_imported_in_one_module_and_its_absence_is_explained(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for package in ("accountant", "dpsynth"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "psycopg" for name in names):
                    found.add(str(path.relative_to(ROOT)))
    assert found == {"accountant/ledger/postgres.py"}
    monkeypatch.delitem(sys.modules, "accountant.ledger.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for act in (
        lambda: Ledger.open(ledger.path),
        lambda: Ledger.create(tmp_path / "n", dataset="p", budget=BUDGET, unit=UNIT, store=Postgres(conninfo="host=x")),
    ):
        with pytest.raises(MissingExtra) as refused:
            act()
        assert refused.value.next_step == "Run: pip install 'dpsynth[postgres]'."
