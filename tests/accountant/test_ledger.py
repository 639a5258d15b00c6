"""The ledger's states, refusals and promises, one process at a time, on either store."""

import os
import stat
import threading
from pathlib import Path

import pytest

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import larger_side, totals
from accountant.errors import (
    BudgetExceeded,
    IdempotencyConflict,
    LedgerError,
    ParameterError,
    Refusal,
)
from accountant.ledger import Ledger, Reservation, State, StoredRelease, verify_entries
from accountant.ledger.verify import verify
from accountant.price import Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side
from tests.accountant.ledgers import (
    BUDGET,
    DELTA_UNITS,
    UNIT,
    caps,
    committed,
    new_ledger,
    reserved,
    start,
    step,
    touched,
    witnessed,
)

pytestmark = pytest.mark.usefixtures("store")


def test_a_new_ledger_is_empty_declared_and_private(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    assert (ledger.dataset, ledger.unit, ledger.budget) == ("people", UNIT, BUDGET)
    assert ledger.spent() == ledger.reserved() == Price()
    assert ledger.remaining() == BUDGET.cap
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (ledger.path / "keys").iterdir()}
    assert modes == dict.fromkeys(("signing.key", "signing.pub", "split.key"), 0o600)
    assert stat.S_IMODE((ledger.path / "keys").stat().st_mode) == 0o700
    assert len(ledger.split_key()) == 32
    assert (ledger.path / "keys" / "signing.pub").read_bytes() == ledger.public_key_pem()
    assert [p.name for p in tmp_path.iterdir()] == ["ledger"]


def test_two_ledgers_share_no_key(tmp_path: Path) -> None:
    one, two = new_ledger(tmp_path, name="one"), new_ledger(tmp_path, name="two")
    assert one.split_key() != two.split_key()
    assert one.public_key_pem() != two.public_key_pem()


def test_a_ledger_never_replaces_anything(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with pytest.raises(LedgerError, match="Something is there already"):
        new_ledger(tmp_path)
    with pytest.raises(LedgerError, match="No such file"):
        new_ledger(tmp_path, name="missing/ledger")
    assert [p.name for p in tmp_path.iterdir()] == ["ledger"]


def test_a_release_from_reservation_to_commit(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reservation = reserved(ledger)
    price = larger_side(caps())
    assert (ledger.reserved(), ledger.spent()) == (price, Price())
    reservation.touch()
    reservation.charge([step("a"), step("b", sides=(Side.TRAINING,))])
    assert ledger.reserved() == price
    reservation.commit(outcome="released", artefacts={"certificate.json": "0f" * 32})
    paid = larger_side(totals([step(), step()], Coordinate.GDP))
    assert (ledger.reserved(), ledger.spent()) == (Price(), paid)
    assert ledger.remaining() == BUDGET.cap.less(paid)
    state = reservation.state
    assert (state.state, state.outcome, dict(state.artefacts)) == (
        State.COMMITTED,
        "released",
        {"certificate.json": "0f" * 32},
    )
    assert verify(ledger.path).spent == paid


def test_the_scope_pays_the_larger_side_of_each_component(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    uneven = {Side.TRAINING: Price(1000, 7), Side.HOLDOUT: Price(10, 70)}
    ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps=uneven)
    assert ledger.reserved() == Price(1000, 70)


@pytest.mark.parametrize("charges", [0, 1])
def test_an_abort_refunds_everything_before_the_touch_and_nothing_after(tmp_path: Path, charges: int) -> None:
    ledger = new_ledger(tmp_path)
    reserved(ledger).abort("cancelled")
    assert (ledger.reserved(), ledger.spent()) == (Price(), Price())
    second = touched(ledger)
    for _ in range(charges):
        second.charge([step()])
    second.abort("interrupted")
    assert (ledger.reserved(), ledger.spent()) == (Price(), larger_side(caps()))


def test_a_release_takes_its_steps_in_order_and_ends_once(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reservation = reserved(ledger)
    for early in (lambda: reservation.charge([step()]), lambda: reservation.commit(outcome="x", artefacts={})):
        with pytest.raises(LedgerError, match="it is reserved, not touched"):
            early()
    reservation.touch()
    reservation.commit(outcome="released", artefacts={})
    for late in (
        reservation.touch,
        lambda: reservation.charge([step()]),
        lambda: reservation.abort("late"),
        lambda: reservation.commit(outcome="released", artefacts={}),
    ):
        with pytest.raises(LedgerError, match="it is committed"):
            late()
    assert [e["kind"] for e in reservation.entries()] == ["reserve", "touch", "commit"]


def test_a_second_release_beyond_the_budget_is_refused(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reserved(ledger, share=0.9)
    before = ledger.all_entries()
    with pytest.raises(BudgetExceeded) as refusal:
        reserved(ledger, share=0.2)
    assert ledger.all_entries() == before
    assert "data set 'people'" in refusal.value.what
    assert "epsilon 1 at delta 1e-06" in refusal.value.why
    fits = float(refusal.value.next_step.split("epsilon ")[1].split(" ")[0])
    left = ledger.remaining()
    assert fits == pytest.approx(epsilon_of(Price(left.amount), 1e-6, Coordinate.GDP), rel=2e-3)
    assert Budget(epsilon=fits, delta=1e-6).cap.amount <= left.amount
    reservation = ledger.reserve(
        dataset="people",
        unit=UNIT,
        idempotency_key=None,
        plan={},
        caps={Side.TRAINING: Price(Budget(epsilon=fits, delta=1e-6).cap.amount, DELTA_UNITS)},
    )
    assert isinstance(reservation, Reservation)


def test_the_whole_budget_fits_once(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps={Side.TRAINING: BUDGET.cap})
    with pytest.raises(BudgetExceeded, match="Nothing more fits"):
        ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps={Side.TRAINING: Price(1, 0)})


def test_additive_delta_runs_out_too(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    with pytest.raises(BudgetExceeded, match="smaller additive delta"):
        ledger.reserve(
            dataset="people",
            unit=UNIT,
            idempotency_key=None,
            plan={},
            caps={Side.HOLDOUT: Price(1, BUDGET.cap.delta + 1)},
        )


@pytest.mark.parametrize(
    ("dataset", "unit", "match"),
    [
        ("others", UNIT, "is of the data set 'people', not 'others'"),
        ("people", PrivacyUnit(column="id", max_rows=3), "protects one row .* not all rows, at most 3"),
        ("people", PrivacyUnit(adjacency=Adjacency.REPLACE_ONE), "replace-one"),
    ],
)
def test_another_data_set_or_unit_is_refused(tmp_path: Path, dataset: str, unit: PrivacyUnit, match: str) -> None:
    ledger = new_ledger(tmp_path)
    with pytest.raises(LedgerError, match=match):
        ledger.reserve(dataset=dataset, unit=unit, idempotency_key=None, plan={}, caps=caps())
    assert ledger.seq == 1


def test_the_same_key_and_plan_returns_the_stored_release(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    first = committed(ledger, key="monthly")
    spent, seq = ledger.spent(), ledger.seq
    again = ledger.reserve(dataset="people", unit=UNIT, idempotency_key="monthly", plan={"plan": "a"}, caps=caps(0.9))
    assert again == StoredRelease(
        release_id=first.release_id,
        outcome="released",
        folder=ledger.path / "releases" / first.release_id,
        artefacts={"certificate.json": "ab" * 32},
    )
    assert (ledger.spent(), ledger.seq) == (spent, seq)


def test_the_same_key_with_another_plan_is_a_conflict(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    first = committed(ledger, key="monthly")
    with pytest.raises(IdempotencyConflict, match=f"another plan \\(release {first.release_id}\\)"):
        reserved(ledger, key="monthly", plan="b")
    assert ledger.reserved() == Price()


def test_a_key_whose_run_did_not_finish_is_a_conflict(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    waiting = reserved(ledger, key="waiting")
    with pytest.raises(IdempotencyConflict, match=f"{waiting.release_id}.*stays reserved"):
        reserved(ledger, key="waiting")
    crashed = touched(ledger, key="crashed")
    with pytest.raises(IdempotencyConflict, match=f"{crashed.release_id}.*stays charged"):
        reserved(ledger, key="crashed")
    crashed.abort("crash")
    with pytest.raises(IdempotencyConflict, match="stays charged"):
        reserved(ledger, key="crashed")
    waiting.abort("cancelled")
    assert reserved(ledger, key="waiting", plan="b").release_id != waiting.release_id


def test_runs_without_a_key_are_runs_of_their_own(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    assert committed(ledger).release_id != committed(ledger).release_id
    assert len(ledger.releases()) == 2


def test_a_stale_reservation_is_returned_only_by_an_explicit_act_and_only_untouched(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    dead, crashed = reserved(ledger), touched(ledger)
    ledger.close()
    ledger = Ledger.open(ledger.path)
    assert ledger.reserved() == larger_side(caps()) + larger_side(caps())
    assert ledger.release_stale(dead.release_id) == larger_side(caps())
    with pytest.raises(LedgerError, match="it is touched"):
        ledger.release_stale(crashed.release_id)
    with pytest.raises(LedgerError, match="has no release 'nobody'"):
        ledger.release_stale("nobody")
    assert ledger.reserved() == larger_side(caps())
    with pytest.raises(LedgerError, match="it is aborted"):
        dead.touch()


def test_what_goes_public_is_plain(tmp_path: Path) -> None:
    reservation = touched(new_ledger(tmp_path))
    for bad in (
        lambda: reservation.commit(outcome="Born 1970-01-01!", artefacts={}),
        lambda: reservation.commit(outcome="released", artefacts={"../escape": "0" * 64}),
        lambda: reservation.commit(outcome="released", artefacts={"table.csv": "short"}),
        lambda: reservation.abort("because of row 17"),
    ):
        with pytest.raises(ParameterError, match="form that isn't allowed"):
            bad()
    with pytest.raises(ParameterError, match="float"):
        reservation._ledger.reserve(
            dataset="people", unit=UNIT, idempotency_key=None, plan={"epsilon": 0.5}, caps=caps()
        )
    assert reservation.state.state is State.TOUCHED


def test_entries_tell_no_time_and_no_key(tmp_path: Path) -> None:
    reservation = committed(new_ledger(tmp_path), key="secret name")
    for entry in reservation.entries():
        assert len(entry["date"]) == len("2025-01-01")
        assert not {"time", "timestamp", "seconds", "pid", "host"} & set(entry)
    assert "secret name" not in str(reservation.entries())


def test_entries_of_one_release_verify_among_others(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    one, two = touched(ledger), touched(ledger)
    for release in (one, two, one, two):
        release.charge([step(release.release_id)])
    two.commit(outcome="released", artefacts={})
    verified = verify_entries(two.entries())
    assert (verified.state, verified.release_id, len(verified.steps)) == (State.COMMITTED, two.release_id, 2)
    assert verified == ledger.release(two.release_id)
    assert verify_entries(one.entries()).state is State.TOUCHED


def test_the_witness_follows_every_entry(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reservation = reserved(ledger)
    acts = (
        reservation.touch,
        lambda: reservation.charge([step()]),
        lambda: reservation.commit(outcome="released", artefacts={}),
    )
    for act in acts:
        before = ledger.seq
        act()
        assert witnessed(ledger.path) == (ledger.seq, ledger.head)
        assert ledger.seq == before + 1


def test_threads_share_one_ledger(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    reservation = touched(ledger)
    threads = [
        threading.Thread(target=lambda i=i: [reservation.charge([step(f"{i}")]) for _ in range(5)]) for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(s.label for s in reservation.state.steps) == sorted(f"{i}" for i in range(6) for _ in range(5))
    assert verify(ledger.path).releases[0].totals == totals([step()] * 30, Coordinate.GDP)


FORKED = """
import os, sys
sys.path.insert(0, ".")
from tests.accountant.ledgers import *
ledger = Ledger.open(sys.argv[1])
reservation = touched(ledger)
child = os.fork()
for _ in range(5):
    reservation.charge([step("child" if child == 0 else "parent")])
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_its_own_connection(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    process = start(FORKED, str(ledger.path))
    assert process.communicate()[1] == ""
    assert sorted(s.label for s in verify(ledger.path).releases[0].steps) == ["child"] * 5 + ["parent"] * 5


def test_refusals_have_three_parts(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    refusals: list[Refusal] = []
    for bad in (
        lambda: Ledger.open(tmp_path / "nothing"),
        lambda: new_ledger(tmp_path),
        lambda: reserved(ledger, share=1.5),
        lambda: ledger.reserve(dataset="x", unit=UNIT, idempotency_key=None, plan={}, caps=caps()),
        lambda: Ledger.create(tmp_path / "n", dataset="", budget=BUDGET, unit=UNIT),
    ):
        with pytest.raises(Refusal) as caught:
            bad()
        refusals.append(caught.value)
    for refusal in refusals:
        for part in (refusal.what, refusal.why, refusal.next_step):
            assert part.rstrip().endswith("."), part


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_a_ledger_keeps_its_coordinate(tmp_path: Path, coordinate: Coordinate) -> None:
    budget = Budget(epsilon=1.0, delta=1e-6, coordinate=coordinate)
    ledger = new_ledger(tmp_path, budget=budget)
    cap = Price(budget.cap.amount, DELTA_UNITS)
    made = ledger.reserve(
        dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps=dict.fromkeys(BOTH_SIDES, cap)
    )
    assert isinstance(made, Reservation)
    made.touch()
    made.charge([step()])
    assert made.state.coordinate is coordinate
    assert made.state.totals == totals([step()], coordinate)
