"""Tampering, damage, rollback: found, and said where."""

import copy
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accountant.canonical import dumps, sha256_hex
from accountant.errors import LedgerError, LedgerTampered
from accountant.ledger import Ledger, verify_entries
from accountant.ledger.entries import GENESIS
from accountant.ledger.verify import VerifiedLedger, verify
from tests.accountant.ledgers import committed, new_ledger, reserved, step, touched

Change = Callable[[list[dict[str, Any]]], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with new_ledger(tmp_path_factory.mktemp("original")) as ledger:
        committed(ledger, key="k")
        touched(ledger).charge([step()])
        reserved(ledger)
    return ledger.path


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def same(one: VerifiedLedger, two: VerifiedLedger) -> bool:
    return (one.head, one.seq, one.releases, one.spent, one.remaining) == (
        two.head, two.seq, two.releases, two.spent, two.remaining
    )  # fmt: skip


def test_an_untouched_copy_verifies(ledger: Path, original: Path) -> None:
    assert same(verify(ledger), verify(original))


def flipped(path: Path, content: bytes, offset: int, mask: int) -> None:
    path.write_bytes(content[:offset] + bytes([content[offset] ^ mask]) + content[offset + 1 :])


def test_every_flipped_byte_of_an_entry_is_found(ledger: Path) -> None:
    path = ledger / "ledger.sqlite"
    content = path.read_bytes()
    with Ledger.open(ledger) as opened:
        bodies = [dumps({k: v for k, v in e.items() if k != "hash"}) for e in opened.all_entries()]
    spans = [(content.index(body[:200]), min(len(body), 200)) for body in bodies]
    offsets = [start + i for start, length in spans for i in range(0, length, 17)]
    assert len(offsets) > 60
    for offset in offsets:
        flipped(path, content, offset, 0x01)
        with pytest.raises(LedgerTampered):
            verify(ledger)


def test_a_flipped_byte_anywhere_is_found_or_changes_nothing(ledger: Path, original: Path) -> None:
    path = ledger / "ledger.sqlite"
    content, truth, found = path.read_bytes(), verify(original), 0
    for offset in [*range(0, 100, 5), *range(100, len(content), 331)]:
        flipped(path, content, offset, 0xFF)
        try:
            assert same(verify(ledger), truth)
        except (LedgerTampered, LedgerError):
            found += 1
        for extra in ledger.glob("ledger.sqlite-*"):
            extra.unlink()
    assert found > 20


def test_every_flipped_byte_of_the_witness_is_found(ledger: Path) -> None:
    path = ledger / "witness.json"
    content = path.read_bytes()
    for offset in range(len(content)):
        flipped(path, content, offset, 0x20)
        with pytest.raises(LedgerTampered):
            verify(ledger)
    path.unlink()
    with pytest.raises(LedgerTampered, match="the witness can't be read"):
        verify(ledger)


def rewrite(ledger: Path, change: Change, *, rehash: bool) -> None:
    """Change the rows as somebody with the file could: triggers dropped and put back."""
    connection = sqlite3.connect(ledger / "ledger.sqlite", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    entries = [
        {"body": json.loads(body), "hash": digest}
        for body, digest in connection.execute("SELECT body, hash FROM entries ORDER BY seq")
    ]
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    change(entries)
    if rehash:
        rechain(entries)
    connection.execute("DELETE FROM entries")
    connection.executemany(
        "INSERT INTO entries VALUES (?, ?, ?)",
        [(i, dumps(e["body"]).decode(), e["hash"]) for i, e in enumerate(entries, start=1)],
    )
    for _, statement in triggers:
        connection.execute(statement)
    connection.close()


def rechain(entries: list[dict[str, Any]]) -> None:
    heads: dict[str, str] = {}
    prev = GENESIS
    for seq, entry in enumerate(entries, start=1):
        body = entry["body"]
        body |= {"seq": seq, "prev": prev}
        if "release" in body:
            body["release_prev"] = heads.get(body["release"], GENESIS)
        prev = entry["hash"] = sha256_hex(body)
        if "release" in body:
            heads[body["release"]] = prev


def cheaper(entries: list[dict[str, Any]]) -> None:
    entry = next(e for e in entries if e["body"]["kind"] == "charge")
    entry["body"]["steps"][0]["price"]["amount"] -= 1000


def drop(position: int) -> Change:
    return lambda entries: entries.__delitem__(position)


def swap(entries: list[dict[str, Any]]) -> None:
    entries[3], entries[4] = entries[4], entries[3]


def richer(entries: list[dict[str, Any]]) -> None:
    entries[0]["body"]["budget"]["epsilon"] = (2.0).hex()


CHANGES: dict[str, Change] = {
    "cheaper": cheaper,
    "last entry gone": drop(-1),
    "middle entry gone": drop(4),
    "first entry gone": drop(0),
    "order": swap,
    "budget": richer,
}


@pytest.mark.parametrize("rehash", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_changed_entries_are_found_even_when_chained_anew(ledger: Path, name: str, rehash: bool) -> None:
    rewrite(ledger, CHANGES[name], rehash=rehash)
    with pytest.raises(LedgerTampered, match="doesn't verify at"):
        verify(ledger)


@pytest.mark.parametrize("last_of_its_release", [True, False])
def test_one_entry_exchanged_with_its_own_hash_breaks_the_chain(ledger: Path, last_of_its_release: bool) -> None:
    """The witness still agrees, as later entries are as they were."""

    def exchange(entries: list[dict[str, Any]]) -> None:
        charges = [e for e in entries[:-1] if e["body"]["kind"] == "charge"]
        entry = charges[-1 if last_of_its_release else 0]
        entry["body"]["steps"][0]["label"] = "something else"
        entry["hash"] = sha256_hex(entry["body"])

    rewrite(ledger, exchange, rehash=False)
    with pytest.raises(LedgerTampered, match="the chain is broken"):
        verify(ledger)


def test_rewriting_without_a_change_is_no_false_alarm(ledger: Path, original: Path) -> None:
    rewrite(ledger, lambda _: None, rehash=True)
    assert same(verify(ledger), verify(original))


def test_an_older_copy_of_the_database_is_a_rollback(ledger: Path, tmp_path: Path) -> None:
    shutil.copy(ledger / "ledger.sqlite", tmp_path / "older")
    with Ledger.open(ledger) as opened:
        committed(opened)
    shutil.copy(tmp_path / "older", ledger / "ledger.sqlite")
    with pytest.raises(LedgerTampered, match=r"the witness saw entry \d+, but the database ends at \d+"):
        verify(ledger)


def test_a_file_replaced_under_a_running_process_is_found(ledger: Path, tmp_path: Path) -> None:
    older = Path(shutil.copy(ledger / "ledger.sqlite", tmp_path / "older"))
    with Ledger.open(ledger) as opened:
        reservation = touched(opened)
        older.replace(ledger / "ledger.sqlite")
        with pytest.raises(LedgerTampered, match="replaced while it was in use"):
            reservation.charge([step()])


def test_rows_that_vanish_under_a_running_process_are_found(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        reserved(opened)
        rewrite(ledger, drop(-1), rehash=False)
        with pytest.raises(LedgerTampered, match="is gone or another"):
            reserved(opened)


def test_a_ledger_of_other_keys_is_found(ledger: Path, tmp_path: Path) -> None:
    with new_ledger(tmp_path, name="other") as other:
        shutil.copy(other.path / "keys" / "signing.key", ledger / "keys" / "signing.key")
        shutil.copy(other.path / "witness.json", tmp_path / "witness.json")
    with pytest.raises(LedgerTampered, match="isn't the key that the ledger declares"):
        verify(ledger)
    shutil.copy(tmp_path / "witness.json", ledger / "witness.json")
    with pytest.raises(LedgerTampered, match="isn't signed by the ledger's key"):
        verify(ledger)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = body",
        "DELETE FROM entries",
        "REPLACE INTO entries SELECT seq, body, 'x' FROM entries WHERE seq = 2",
        "INSERT INTO entries VALUES (99, '{}', 'x')",
        "INSERT INTO entries VALUES (NULL, '{}', 'x')",
    ],
)
def test_the_database_itself_refuses_all_but_appends(ledger: Path, statement: str) -> None:
    connection = sqlite3.connect(ledger / "ledger.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    verify(ledger)


def test_a_dropped_trigger_is_found(ledger: Path) -> None:
    connection = sqlite3.connect(ledger / "ledger.sqlite")
    connection.execute("DROP TRIGGER entries_no_delete")
    connection.close()
    with pytest.raises(LedgerTampered, match="aren't a ledger's"):
        verify(ledger)


CHECKPOINT = "the checkpoint of entry 2"


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("DELETE FROM checkpoints WHERE seq = 2", f"{CHECKPOINT}: it is missing"),
        ("UPDATE checkpoints SET signature = 'ab' WHERE seq = 2", f"{CHECKPOINT}: it was signed for another chain"),
        (
            "UPDATE checkpoints SET signature = (SELECT signature FROM checkpoints WHERE seq = 1) WHERE seq = 2",
            f"{CHECKPOINT}: it was signed for another chain",
        ),
        ("INSERT INTO checkpoints VALUES (4, 'ab')", "the checkpoint of entry 4: no entry there has one"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_found(ledger: Path, statement: str, match: str) -> None:
    connection = sqlite3.connect(ledger / "ledger.sqlite", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    for _, again in triggers:
        connection.execute(again)
    connection.close()
    with pytest.raises(LedgerTampered, match=match):
        verify(ledger)


def test_the_checkpoints_themselves_are_append_only(ledger: Path) -> None:
    connection = sqlite3.connect(ledger / "ledger.sqlite")
    for statement in (
        "UPDATE checkpoints SET signature = 'x'",
        "DELETE FROM checkpoints",
        "INSERT INTO checkpoints VALUES (99, 'x')",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


def test_a_long_run_of_charges_has_checkpoints_in_between(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        run = touched(opened)
        while opened.seq < 130:
            run.charge([step(sigma=1e4)])
        kinds = {e["seq"]: e["kind"] for e in opened.all_entries()}
        with opened.journal.store.reading() as rows:
            signed = [seq for seq, _ in rows.checkpoints()]
    assert signed == [seq for seq, kind in kinds.items() if kind != "charge" or seq % 64 == 0]
    assert {64, 128} <= set(signed)
    assert verify(ledger).checkpoints == len(signed)


def test_a_running_total_that_is_wrong_is_found(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        scopes = opened.journal.fold.scopes
        scopes["people"] = replace(scopes["people"], finished={})
        with pytest.raises(LedgerTampered, match="running total isn't the sum"):
            opened.journal.verify()


@pytest.fixture(scope="module")
def public(original: Path) -> list[dict[str, Any]]:
    with Ledger.open(original) as opened:
        return opened.entries(opened.releases()[0].release_id)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, child in items for leaf in leaves(child, (*path, key))]
    return [path]


def altered(value: Any) -> Any:
    return {int: lambda: value + 1, str: lambda: value + "0", bool: lambda: not value}.get(type(value), lambda: 1)()


def test_every_altered_value_of_the_public_entries_is_found(public: list[dict[str, Any]]) -> None:
    verify_entries(public)
    paths = leaves(public)
    assert len(paths) > 80
    for *path, last in paths:
        entries = copy.deepcopy(public)
        target: Any = entries
        for key in path:
            target = target[key]
        target[last] = altered(target[last])
        with pytest.raises(LedgerTampered):
            verify_entries(entries)


@pytest.mark.parametrize("entries", [[], [{}], [{"hash": 1}], [None], ["x"]])
def test_entries_that_are_none_are_refused(entries: list[Any]) -> None:
    with pytest.raises(LedgerTampered):
        verify_entries(entries)


def test_missing_and_repeated_public_entries_are_found(public: list[dict[str, Any]]) -> None:
    for position in range(len(public) - 1):
        with pytest.raises(LedgerTampered):
            verify_entries(public[:position] + public[position + 1 :])
        with pytest.raises(LedgerTampered):
            verify_entries([*public[: position + 1], *public[position:]])


def test_one_public_entry_exchanged_with_its_own_hash_breaks_the_chain(public: list[dict[str, Any]]) -> None:
    entries = copy.deepcopy(public)
    body = {k: v for k, v in entries[2].items() if k != "hash"}
    body["steps"][0]["label"] = "something else"
    entries[2] = body | {"hash": sha256_hex(body)}
    with pytest.raises(LedgerTampered, match="the chain of its release is broken"):
        verify_entries(entries)


def chained(public: list[dict[str, Any]], change: Callable[[list[dict[str, Any]]], None]) -> list[dict[str, Any]]:
    """The entries after ``change``, with hashes and the release's chain made right again."""
    entries = copy.deepcopy(public)
    change(entries)
    prev = GENESIS
    for entry in entries:
        entry["release_prev"] = prev
        prev = entry["hash"] = sha256_hex({k: v for k, v in entry.items() if k != "hash"})
    return entries


def less_charged(entries: list[dict[str, Any]]) -> None:
    entries[2]["steps"][0]["price"]["amount"] -= 1000
    for side in entries[2]["totals"].values():
        side["amount"] -= 1000


def smaller_total(entries: list[dict[str, Any]]) -> None:
    entries[3]["totals"]["holdout"]["amount"] -= 1


def lower_cap(entries: list[dict[str, Any]]) -> None:
    low = {"amount": 5, "delta": 4096}
    entries[0]["caps"], entries[0]["price"] = {"training": low, "holdout": low}, low


def lower_price(entries: list[dict[str, Any]]) -> None:
    entries[0]["price"]["amount"] -= 1


def other_plan(entries: list[dict[str, Any]]) -> None:
    entries[0]["plan"]["plan"] = "b"


def refund(entries: list[dict[str, Any]]) -> None:
    entries[-1]["charged"]["amount"] -= 1


def free_abort(entries: list[dict[str, Any]]) -> None:
    last = entries[-1]
    del last["outcome"], last["artefacts"]
    last |= {"kind": "abort", "reason": "none", "charged": {"amount": 0, "delta": 0}}


def untouched(entries: list[dict[str, Any]]) -> None:
    del entries[1]


def late(entries: list[dict[str, Any]]) -> None:
    """A charge in the name of a process that was taken over before."""
    body = {name: entries[1][name] for name in ("version", "seq", "date", "release", "prev")}
    entries.insert(2, body | {"kind": "takeover", "token": 2})
    for position, entry in enumerate(entries):
        entry["seq"] = 10 + position


def another_token(entries: list[dict[str, Any]]) -> None:
    entries[2]["token"] = 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (less_charged, "price isn't that of its event"),
        (smaller_total, "totals aren't the sums"),
        (lower_cap, "a side is above its cap"),
        (lower_price, "price isn't the larger side"),
        (other_plan, "plan doesn't have its hash"),
        (refund, "settled price isn't"),
        (free_abort, "refunds what it must not"),
        (untouched, "a charge can't follow the state reserved"),
        (late, "written under another fencing token"),
        (another_token, "written under another fencing token"),
    ],
)
def test_a_consistent_chain_of_false_claims_is_found(
    public: list[dict[str, Any]], change: Callable[[list[dict[str, Any]]], None], match: str
) -> None:
    assert verify_entries(chained(public, lambda _: None)).steps
    with pytest.raises(LedgerTampered, match=match):
        verify_entries(chained(public, change))


@pytest.mark.parametrize("kind", ["renew", "abort"])
def test_an_entry_without_its_checkpoint_is_never_believed(tmp_path: Path, kind: str) -> None:
    """Whoever may write to the database but has no key appends a lawful entry: refused, and again."""
    with new_ledger(tmp_path) as ledger:
        release = reserved(ledger).state
        fold = ledger.journal.fold
        common = {"version": 2, "seq": fold.seq + 1, "kind": kind, "date": fold.date, "prev": fold.head}
        own: dict[str, dict[str, Any]] = {
            "renew": {
                "scope": "people",
                "budget": replace(ledger.budget, epsilon=9.0).to_json(),
                "expires": None,
                "reason": "asked",
            },
            "abort": {
                "release": release.release_id,
                "release_prev": release.head,
                "token": 1,
                "reason": "failed",
                "charged": {"amount": 0, "delta": 0},
            },
        }
        content = dumps(common | own[kind])
        with sqlite3.connect(ledger.path / "ledger.sqlite") as connection:
            row = (fold.seq + 1, content.decode(), sha256_hex(common | own[kind]))
            connection.execute("INSERT INTO entries VALUES (?, ?, ?)", row)
        connection.close()
        for _ in range(2):
            with pytest.raises(LedgerTampered, match="the checkpoint of entry 3"):
                ledger.remaining()
            with pytest.raises(LedgerTampered, match="the checkpoint of entry 3"):
                reserved(ledger)
            with pytest.raises(LedgerTampered, match="the checkpoint of entry 3"):
                Ledger.open(ledger.path)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (("split",), {"key": "a", "share": [1, 0], "column": None}),
        (("plan",), "deep"),
        (("steps", 0, "event"), "composed"),
    ],
)
def test_content_that_breaks_arithmetic_or_recursion_cant_be_read(
    original: Path, change: tuple[Any, ...], value: Any
) -> None:
    with Ledger.open(original) as opened:
        entries = opened.entries(opened.releases()[0].release_id)
    at: Any = next(entry for entry in entries if change[0] in entry)
    for name in change[:-1]:
        at = at[name]
    if value == "deep":
        value = {}
        for _ in range(5000):
            value = {"a": value}
    elif value == "composed":
        value = at["event"]
        for _ in range(5000):
            value = {"kind": "composed", "events": [value], "count": 1, "adjacency": "add-remove"}
    at[change[-1]] = value
    for entry in entries:  # with its own hash, where it can have one
        body = {name: content for name, content in entry.items() if name != "hash"}
        if change[0] == "split":
            entry["hash"] = sha256_hex(body)
    with pytest.raises(LedgerTampered, match="it can't be read"):
        verify_entries(entries)


@pytest.mark.parametrize("content", [DEEP, '{"kind":"scope","version":2,"seq":7}'])
def test_a_row_of_hostile_content_is_tampering(ledger: Path, content: str) -> None:
    with sqlite3.connect(ledger / "ledger.sqlite") as connection:
        last = connection.execute("SELECT max(seq) FROM entries").fetchone()[0]
        connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (last + 1, content, "0" * 64))
    connection.close()
    with pytest.raises(LedgerTampered):
        Ledger.open(ledger)


@pytest.mark.parametrize("name", ["witness.json", "store.json"])
@pytest.mark.parametrize("content", [DEEP, '{"conninfo":"\\ud800","schema":"a","store":"postgres"}\n', "1" * 5000])
def test_a_file_of_hostile_content_is_tampering(ledger: Path, name: str, content: str) -> None:
    (ledger / name).write_text(content)
    with pytest.raises(LedgerTampered):
        Ledger.open(ledger)
