"""Leases and fencing: who may act on a release, and what a process that comes too late can't do."""

import os
from pathlib import Path

import pytest

from accountant.compose import larger_side, totals
from accountant.errors import LedgerError
from accountant.ledger import Ledger, State, leases, verify_entries
from accountant.ledger.verify import verify
from accountant.price import Coordinate, Price
from tests.accountant.ledgers import caps, new_ledger, reserved, start, step, touched

pytestmark = pytest.mark.usefixtures("store")

ELSEWHERE = "another-machine:17"


def elsewhere(ledger: Ledger, release_id: str, *, seconds: float = 600.0) -> None:
    """Let a process of another machine hold the release."""
    with ledger.journal.store.writing() as rows:
        rows.put_lease(release_id, (ELSEWHERE, leases.now() + seconds))


def test_a_release_of_a_living_process_is_nobody_elses(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    waiting, running = reserved(ledger), touched(ledger)
    for run in (waiting, running):
        elsewhere(ledger, run.release_id)
    before = ledger.seq
    for act in (ledger.release_stale, ledger.take_over):
        with pytest.raises(LedgerError, match=r"belongs to another process \(another-machine:17\).*10 more minutes"):
            act(waiting.release_id)
    for act in (ledger.reconcile, ledger.take_over):
        with pytest.raises(LedgerError, match="may be at work"):
            act(running.release_id)
    assert ledger.seq == before


def test_a_lease_that_ran_out_lets_anybody_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = new_ledger(tmp_path)
    waiting, running = reserved(ledger), touched(ledger)
    for run in (waiting, running):
        elsewhere(ledger, run.release_id)
    later = leases.now() + 601.0
    monkeypatch.setattr(leases, "now", lambda: later)
    assert ledger.release_stale(waiting.release_id) == larger_side(caps())
    assert ledger.reconcile(running.release_id) == larger_side(caps())
    assert ledger.spent() == ledger.reserved() == Price()


def test_a_holder_on_this_machine_that_is_dead_holds_nothing(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    script = "import sys; sys.path.insert(0, '.')\nfrom tests.accountant.ledgers import *\n"
    script += "print(touched(Ledger.open(sys.argv[1])).release_id)"
    dead = start(script, str(ledger.path)).communicate()[0].strip()
    holder, until = ledger.lease(dead) or ("", 0.0)
    assert holder.rpartition(":")[0] == leases.holder().rpartition(":")[0]
    assert until > leases.now()
    assert ledger.take_over(dead).token == 2
    assert ledger.lease(dead) != (holder, until)
    assert (ledger.lease(dead) or ("", 0.0))[0] == f"{leases.holder()}"


def test_every_act_and_keep_renew_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = new_ledger(tmp_path)
    run = touched(ledger)
    clock = leases.now()
    for module in ("leases", "reservation"):
        monkeypatch.setattr(f"accountant.ledger.{module}.now", lambda: clock)
    for act in (lambda: run.charge([step()]), run.keep):
        clock += leases.LEASE_SECONDS / 2
        act()
        assert ledger.lease(run.release_id) == (leases.holder(), clock + leases.LEASE_SECONDS)
    assert "lease" not in {e["kind"] for e in ledger.all_entries()}


def test_a_taken_over_release_refuses_its_old_process_before_it_charges(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    old = touched(ledger)
    old.charge([step("first")])
    with Ledger.open(ledger.path) as other:
        new = other.take_over(old.release_id)
        assert (old.token, new.token) == (1, 2)
        before = other.seq
        for late in (
            lambda: old.charge([step("late")]),
            lambda: old.commit(outcome="released", artefacts={}),
            lambda: old.abort("late"),
            old.keep,
        ):
            with pytest.raises(LedgerError, match=r"fencing token is 1, and the ledger's is 2.*draw nothing more"):
                late()
        assert other.seq == before
        new.charge([step("second")])
        new.commit(outcome="released", artefacts={})
    state = verify(ledger.path).releases[0]
    assert [s.label for s in state.steps] == ["first", "second"]
    assert state.charged == larger_side(totals([step(), step()], Coordinate.GDP))
    assert verify_entries(ledger.entries(old.release_id)).token == 2


def test_a_reservation_can_be_taken_over_before_it_touches(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    old = reserved(ledger)
    new = ledger.take_over(old.release_id)
    with pytest.raises(LedgerError, match="fencing token"):
        old.touch()
    new.touch()
    assert ledger.reserved() == larger_side(caps())


def test_a_reconciled_run_keeps_what_it_charged_and_returns_the_rest(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    dead = touched(ledger)
    dead.charge([step(), step()])
    paid = larger_side(totals([step(), step()], Coordinate.GDP))
    assert ledger.reconcile(dead.release_id) == larger_side(caps()).less(paid)
    assert (ledger.spent(), ledger.reserved()) == (paid, Price())
    with pytest.raises(LedgerError, match="fencing token is 1, and the ledger's is 2"):
        dead.charge([step()])
    state = ledger.release(dead.release_id)
    assert (state.state, state.reason, state.charged) == (State.ABORTED, "reconciled", paid)
    assert verify_entries(ledger.entries(dead.release_id)) == state


def test_nothing_that_ended_is_taken_over_reconciled_or_given_back(tmp_path: Path) -> None:
    """An abort after the touch keeps the whole reservation: reconciling is for runs that died, before they ended."""
    ledger = new_ledger(tmp_path)
    done, aborted, waiting = touched(ledger), touched(ledger), reserved(ledger)
    done.commit(outcome="released", artefacts={})
    aborted.abort("failed")
    spent = ledger.spent()
    for run in (done, aborted):
        for act in (ledger.take_over, ledger.reconcile, ledger.release_stale):
            with pytest.raises(LedgerError, match=r"can't be .*: it is (committed|aborted)"):
                act(run.release_id)
    with pytest.raises(LedgerError, match="can't be reconciled: it is reserved"):
        ledger.reconcile(waiting.release_id)
    assert ledger.spent() == spent


def test_a_key_whose_run_was_reconciled_uncharged_can_be_used_again(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.reconcile(touched(ledger, key="k").release_id)
    assert touched(ledger, key="k").state.state is State.TOUCHED


@pytest.mark.parametrize(
    ("name", "works"),
    [
        (f"{leases.holder()}", False),
        ("another-machine:1", True),
        (f"{leases.holder().rpartition(':')[0]}:1", True),
        (f"{leases.holder().rpartition(':')[0]}:x", True),
        ("", True),
    ],
    ids=["this process", "another machine", "a process that never ends", "no process", "nobody"],
)
def test_who_may_be_at_work(name: str, works: bool) -> None:
    assert leases._works(name) is works
    assert os.getpid() != 1


def test_public_entries_tell_no_lease(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    run = ledger.take_over(touched(ledger).release_id)
    assert leases.holder().rpartition(":")[0] not in str(run.entries())
    for entry in run.entries():
        assert not {"lease", "holder", "until", "time"} & set(entry)
