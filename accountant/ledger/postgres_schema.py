"""The schema of a ledger in PostgreSQL: its tables, its triggers, and how to see that they are as they were made."""

from collections.abc import Iterator

SCHEMA_VERSION = 1

REFUSE = "BEGIN RAISE EXCEPTION 'append-only' USING ERRCODE = 'restrict_violation'; END"
NEXT = {
    "entries": "SELECT coalesce(max(seq), 0) + 1 FROM {schema}.entries",
    "checkpoints": "SELECT max(seq) FROM {schema}.entries",
}
TABLES = {
    "checkpoints": "seq bigint PRIMARY KEY, signature text NOT NULL",
    "entries": "seq bigint PRIMARY KEY, body text NOT NULL, hash text NOT NULL",
    "leases": "release text PRIMARY KEY, holder text NOT NULL, until double precision NOT NULL",
    "version": "number integer PRIMARY KEY",
}
APPEND_ONLY = ("checkpoints", "entries", "version")


def follows(table: str) -> str:
    """Body of the trigger function that lets only the next row in."""
    wanted = NEXT[table]
    return (
        f"BEGIN IF NEW.seq IS DISTINCT FROM ({wanted}) THEN "
        "RAISE EXCEPTION 'append-only' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END"
    )


def statements() -> Iterator[str]:
    """What makes a ledger's schema; ``{schema}`` stands for its name."""
    yield "CREATE SCHEMA {schema}"
    for table, columns in TABLES.items():
        yield f"CREATE TABLE {{schema}}.{table} ({columns})"
    yield f"CREATE FUNCTION {{schema}}.append_only() RETURNS trigger LANGUAGE plpgsql AS $${REFUSE}$$"
    for table in APPEND_ONLY:
        yield (
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {{schema}}.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.append_only()"
        )
        yield f"ALTER TABLE {{schema}}.{table} ENABLE ALWAYS TRIGGER {table}_append_only"
    for table in NEXT:
        function = f"{{schema}}.{table}_follow"
        yield f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $${follows(table)}$$"
        yield (
            f"CREATE TRIGGER {table}_follow BEFORE INSERT ON {{schema}}.{table} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}()"
        )
        yield f"ALTER TABLE {{schema}}.{table} ENABLE ALWAYS TRIGGER {table}_follow"
    yield f"INSERT INTO {{schema}}.version VALUES ({SCHEMA_VERSION})"


TRIGGERS = (
    "SELECT c.relname, t.tgname, t.tgenabled::text, t.tgtype::int, p.prosrc FROM pg_trigger t "
    "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND NOT t.tgisinternal"
)
RELATIONS = (
    "SELECT c.relname, c.relkind::text, c.relpersistence::text, c.relhasrules, c.relrowsecurity FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind <> 'i'"
)
BEFORE_CHANGE = 2 + 8 + 16 + 32  # pg_trigger.tgtype: BEFORE, DELETE, UPDATE, TRUNCATE; by statement
BEFORE_ROW = 1 + 2 + 4  # by row, BEFORE, INSERT
