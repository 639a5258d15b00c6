"""Edges of the ledger: its two witnesses, its fault points, and what can't be read."""

import os
from pathlib import Path

import pytest

from accountant import faults
from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import larger_side
from accountant.errors import LedgerError, LedgerTampered, ParameterError
from accountant.ledger import Ledger
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
from tests.accountant.ledgers import new_ledger, step, touched

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
