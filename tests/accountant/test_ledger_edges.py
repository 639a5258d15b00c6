"""Edges of the ledger: its two witnesses, its fault points, and what can't be read."""

import csv
import io
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accountant import faults
from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import larger_side
from accountant.errors import IdempotencyConflict, LedgerError, LedgerTampered, ParameterError
from accountant.ledger import Ledger, Level
from accountant.ledger.export import COLUMNS, to_csv
from accountant.ledger.files import flush_folder
from accountant.ledger.fold import Fold
from accountant.ledger.keys import public_name
from accountant.ledger.replay import owed
from accountant.ledger.verify import verify_entries
from accountant.ledger.witness import WitnessFile
from accountant.price import Price
from accountant.sides import replaced_person
from accountant.spend import Side
from tests.accountant.ledgers import BUDGET, UNIT, caps, new_ledger, step, touched

SIDES = {Side.TRAINING: Price(400, 0), Side.HOLDOUT: Price(900, 7)}


def test_the_older_witness_is_written_over(tmp_path: Path) -> None:
    """So that a torn write leaves the newer one."""
    ledger = new_ledger(tmp_path)
    reservation = touched(ledger)
    seen = WitnessFile(ledger.path / "witness.json")
    for _ in range(4):
        reservation.charge([step()])
        assert {witness.seq for witness in seen.read()} == {ledger.seq - 1, ledger.seq}


def test_a_charge_reaches_its_fault_points_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reservation = touched(new_ledger(tmp_path))
    reached: list[str] = []
    monkeypatch.setattr(faults, "hook", reached.append)
    reservation.charge([step()])
    transaction = ["transaction.before", "transaction.after"]
    witness = ["witness.before", "witness.written", "witness.after"]
    assert reached == ["charge.before", *transaction, *witness, "charge.after"]


def test_flushing_a_folder_leaves_nothing_open(tmp_path: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208

    before = opened()
    for _ in range(5):
        flush_folder(tmp_path)
    assert opened() == before


def test_an_export_of_nothing_is_its_header() -> None:
    assert to_csv([]) == ",".join(COLUMNS) + "\n"


def test_only_entries_of_the_first_version_ask_replaced_people_for_one_side() -> None:
    replaced, added = PrivacyUnit(adjacency=Adjacency.REPLACE_ONE), PrivacyUnit()
    assert owed(SIDES, replaced, 1) == owed(SIDES, added, 1) == owed(SIDES, added, 2) == larger_side(SIDES)
    assert owed(SIDES, replaced, 2) == replaced_person(SIDES) != larger_side(SIDES)


def test_the_public_name_of_a_key_has_32_digits() -> None:
    name = public_name(bytes(32))
    assert len(name) == 32
    assert int(name, 16) > 0
    assert public_name(bytes([1] * 32)) != name


def test_a_first_entry_whose_key_isnt_hexadecimal_cant_be_read(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    entry = {name: value for name, value in ledger.all_entries()[0].items() if name != "hash"}
    Fold().check(entry, "0" * 64)
    with pytest.raises(LedgerTampered, match="it can't be read"):
        Fold().check(entry | {"public_key": "no digits"}, "0" * 64)


def test_a_ledger_of_no_entries_declares_nothing() -> None:
    with pytest.raises(LedgerTampered, match="entry 1"):
        _ = Fold().declared


def test_a_scope_that_isnt_there_has_no_line(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    assert [scope.name for scope in ledger.line(ledger.dataset)] == [ledger.dataset]
    with pytest.raises(LedgerError, match="nobody"):
        ledger.line("nobody")


@pytest.mark.parametrize(("length", "good"), [(1, True), (200, True), (0, False), (201, False)])
def test_the_id_of_a_data_set_has_1_to_200_characters(tmp_path: Path, length: int, good: bool) -> None:
    budget = Budget(epsilon=1.0, delta=1e-6)
    if good:
        made = Ledger.create(tmp_path / "ledger", dataset="x" * length, budget=budget, unit=PrivacyUnit())
        assert made.dataset == "x" * length
        return
    with pytest.raises(ParameterError):
        Ledger.create(tmp_path / "ledger", dataset="x" * length, budget=budget, unit=PrivacyUnit())


def test_entries_of_a_release_are_numbered_from_one() -> None:
    with pytest.raises(LedgerTampered, match="entry 1 of the release"):
        verify_entries([{}])


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_lease_lasts_a_finite_time(tmp_path: Path, seconds: float) -> None:
    ledger = new_ledger(tmp_path)
    with pytest.raises(ParameterError, match="A lease can't last"):
        ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps=caps(), lease_seconds=seconds)
    assert ledger.releases() == ()


def test_a_name_too_long_for_the_disk_is_refused(tmp_path: Path) -> None:
    for name in ("n" * 300, "n" * 250):
        with pytest.raises(LedgerError, match="can't be created"):
            Ledger.create(tmp_path / name, dataset="people", budget=BUDGET, unit=UNIT)
    assert list(tmp_path.iterdir()) == []


def test_a_key_stands_for_one_data_set(tmp_path: Path) -> None:
    root = Ledger.create(tmp_path / "two", dataset="all", budget=BUDGET, unit=UNIT, level=Level.PROJECT)
    with root as ledger:
        found = []
        for name in ("people", "firms"):
            ledger.add_scope(name, parent="all", level=Level.DATASET, budget=BUDGET)
        for name in ("people", "firms"):
            asked = {"dataset": name, "unit": UNIT, "idempotency_key": "k", "plan": {}, "caps": caps()}
            if name == "firms":
                with pytest.raises(IdempotencyConflict, match="another data set"):
                    ledger.reserve(**asked)
            else:
                found.append(ledger.reserve(**asked))
        assert len(found) == len(ledger.releases()) == 1


@pytest.mark.parametrize("change", [Path.unlink, lambda f: f.write_bytes(b""), lambda f: f.write_bytes(b"x" * 4096)])
def test_a_database_that_is_gone_beside_its_witness_is_tampering(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with new_ledger(tmp_path) as ledger:
        touched(ledger)
    change(ledger.path / "ledger.sqlite")
    with pytest.raises(LedgerTampered, match=r"gone|another file"):
        Ledger.open(ledger.path)


@pytest.mark.parametrize("value", ["2026-1-01", "20260101", "2999-99-99", "soon", 20260101, None, "9999-12-31T00:00"])
def test_a_date_has_one_form(tmp_path: Path, value: object) -> None:
    with new_ledger(tmp_path) as ledger:
        (first,) = ledger.all_entries()
    changed = {name: each for name, each in first.items() if name != "hash"}
    Fold().check(changed, "")
    with pytest.raises(LedgerTampered, match="its one form"):
        Fold().check(changed | {"date": value}, "")
    with pytest.raises(LedgerTampered, match=r"its one form|chain is broken"):
        Fold().check(changed | {"seq": True}, "")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_stops_the_state_while_it_grows_leaves_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    reservation = touched(new_ledger(tmp_path))
    ledger, whole = reservation._ledger, Fold.take

    def interrupted(fold: Fold, entry: Any, digest: str, change: Any) -> None:
        fold.hashes.append(digest)
        raise stop

    monkeypatch.setattr(Fold, "take", interrupted)
    with pytest.raises(stop):
        reservation.charge([step()])
    monkeypatch.setattr(Fold, "take", whole)
    assert len(reservation.state.steps) == 1  # it was on disk
    reservation.charge([step()])
    assert len(Ledger.open(ledger.path).release(reservation.release_id).steps) == 2


def test_a_renewed_budget_is_in_the_csv(tmp_path: Path) -> None:
    with new_ledger(tmp_path) as ledger:
        ledger.renew("people", budget=Budget(epsilon=3.0, delta=1e-6), expires="2099-01-31", reason="next wave")
        rows = list(csv.DictReader(io.StringIO(to_csv(ledger.all_entries()))))
    assert "epsilon=1; " in rows[0]["parameters"]
    assert "expires=never" in rows[0]["parameters"]
    assert "epsilon=3; " in rows[1]["parameters"]
    assert "expires=2099-01-31" in rows[1]["parameters"]


def test_a_witness_of_another_signature_is_refused(tmp_path: Path) -> None:
    with new_ledger(tmp_path) as ledger:
        seen, hashes, key = WitnessFile(ledger.path / "witness.json"), [ledger.head], ledger.journal.public_key
    first, _ = seen.read()
    seen.check([first], hashes, public_key=key)
    digit = "0" if first.signature[0] != "0" else "1"
    for signature in (digit + first.signature[1:], first.signature.upper(), "", "x"):
        with pytest.raises(LedgerTampered, match="isn't signed"):
            seen.check([replace(first, signature=signature)], hashes, public_key=key)
