"""Anything in any order: reserve, touch, charge, crash, expire, resume, settle, abort, retry, renew."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accountant.budget import Budget
from accountant.compose import price
from accountant.errors import Refusal
from accountant.ledger import Ledger, Level, Reservation, State, leases
from accountant.ledger import reservation as reservations
from accountant.ledger.verify import verify
from accountant.price import Coordinate, Price
from accountant.spend import BOTH_SIDES
from tests.accountant import ledgers
from tests.accountant.ledgers import UNIT, step

OPEN = (State.RESERVED, State.TOUCHED)
ROOT_BUDGETS = (1.0, 1.1, 1.3)
RUNS = st.integers(0, 5)


class Runs(RuleBasedStateMachine):
    """Every process that ever held a release is kept: it may come back late and ask for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock, self.real = leases.now(), leases.now
        leases.now = reservations.now = lambda: self.clock
        self.held: list[Reservation] = []
        self.drawn: dict[str, Price] = {}
        self.touched: dict[str, Price] = {}
        self.spent: dict[str, Price] = {}

    @initialize()
    def make(self) -> None:
        self.ledger = Ledger.create(
            self.folder / "l", dataset="acme", budget=Budget(epsilon=ROOT_BUDGETS[0], delta=1e-6), unit=UNIT,
            level=Level.ORGANISATION, store=ledgers.place(),
        )  # fmt: skip
        for name in ("people", "houses"):
            self.ledger.add_scope(name, parent="acme", level=Level.DATASET, budget=Budget(epsilon=0.8, delta=1e-6))

    def attempt(self, act: Any) -> Any:
        try:
            return act()
        except Refusal:
            return None

    def pick(self, i: int) -> Reservation:
        return self.held[i % len(self.held)]

    @rule(
        name=st.sampled_from(("people", "houses")), share=st.sampled_from((3, 5, 9)), key=st.sampled_from((None, "k"))
    )
    def reserve(self, name: str, share: int, key: str | None) -> None:
        caps = dict.fromkeys(BOTH_SIDES, Price(self.ledger.scope(name).cap.amount * share // 10, 4096))
        found = self.attempt(
            lambda: self.ledger.reserve(dataset=name, unit=UNIT, idempotency_key=key, plan={}, caps=caps)
        )
        if isinstance(found, Reservation):
            self.held.append(found)

    @precondition(lambda self: self.held)
    @rule(i=RUNS)
    def touch(self, i: int) -> None:
        self.attempt(self.pick(i).touch)

    @precondition(lambda self: self.held)
    @rule(i=RUNS, sigma=st.sampled_from((30.0, 100.0, 1000.0)))
    def charge_and_draw(self, i: int, sigma: float) -> None:
        run, asked = self.pick(i), step(sigma=sigma)
        if self.attempt(lambda: run.charge([asked]) or True):
            newest = max(r.token for r in self.held if r.release_id == run.release_id)
            assert run.token == newest, "a process drew after another had taken its release over"
            paid = price(asked.event, Coordinate.GDP)
            self.drawn[run.release_id] = self.drawn.get(run.release_id, Price()) + paid

    @precondition(lambda self: self.held)
    @rule(i=RUNS, elsewhere=st.booleans())
    def crash(self, i: int, elsewhere: bool) -> None:
        """Drop the handles without closing them; the holder was perhaps a process of another machine."""
        run = self.pick(i)
        if elsewhere:
            with self.ledger.journal.store.writing() as rows:
                rows.put_lease(run.release_id, ("elsewhere:1", self.clock + leases.LEASE_SECONDS))
        self.ledger = Ledger(self.ledger.path)

    @rule()
    def expire(self) -> None:
        self.clock += leases.LEASE_SECONDS + 1.0

    @precondition(lambda self: self.held)
    @rule(i=RUNS)
    def resume(self, i: int) -> None:
        lease = self.ledger.lease(self.pick(i).release_id)
        found = self.attempt(lambda: self.ledger.take_over(self.pick(i).release_id))
        if found is not None:
            assert lease is None or lease[0] != "elsewhere:1" or lease[1] <= self.clock
            self.held.append(found)

    @precondition(lambda self: self.held)
    @rule(i=RUNS, act=st.sampled_from(("reconcile", "release_stale")))
    def settle(self, i: int, act: str) -> None:
        self.attempt(lambda: getattr(self.ledger, act)(self.pick(i).release_id))

    @precondition(lambda self: self.held)
    @rule(i=RUNS, commit=st.booleans())
    def end(self, i: int, commit: bool) -> None:
        run = self.pick(i)
        self.attempt(lambda: run.commit(outcome="released", artefacts={}) if commit else run.abort("failed"))

    @rule(epsilon=st.sampled_from(ROOT_BUDGETS))
    def renew(self, epsilon: float) -> None:
        budget = Budget(epsilon=epsilon, delta=1e-6)
        self.attempt(lambda: self.ledger.renew("acme", budget=budget, expires=None, reason="asked"))

    @invariant()
    def nothing_is_forgotten_or_overspent(self) -> None:
        if not hasattr(self, "ledger"):
            return
        releases = {r.release_id: r for r in self.ledger.releases()}
        for scope in self.ledger.scopes():
            assert scope.held.fits(scope.cap)
            assert self.spent.get(scope.name, Price()).fits(scope.spent), "spent fell"
            self.spent[scope.name] = scope.spent
        for release_id, drawn in self.drawn.items():
            assert drawn.fits(releases[release_id].charged), "a draw isn't borne"
        for release_id, release in releases.items():
            if release.state is State.TOUCHED:
                self.touched[release_id] = release.price
            elif release_id in self.touched:
                kept = release.charged
                settled = release.outcome or release.reason == "reconciled"
                assert kept == (self.drawn.get(release_id, Price()) if settled else self.touched[release_id])
        for scope in self.ledger.scopes():
            within = [r for r in releases.values() if scope.name in ("acme", r.dataset)]
            assert scope.held == Price(sum(r.charged.amount for r in within), sum(r.charged.delta for r in within))

    def teardown(self) -> None:
        leases.now = reservations.now = self.real
        if hasattr(self, "ledger"):
            found = verify(self.ledger.path)
            assert found.scopes == self.ledger.scopes()
            self.ledger.close()
        shutil.rmtree(self.folder)


def test_any_order_of_acts_keeps_the_promises(store: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Runs,
        settings=settings(
            max_examples=15 if store == "sqlite" else 4,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_machine_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine, on a ledger that compares no tokens."""

    def careless(self: Reservation, release: Any, what: str, states: tuple[State, ...]) -> None:
        if release.state not in states:
            raise Refusal("It has another state.", "It has.", "Stop.")

    monkeypatch.setattr(Reservation, "_require", careless)
    machine = Runs()
    machine.make()
    machine.reserve("people", 5, None)
    machine.touch(0)
    machine.charge_and_draw(0, 1000.0)
    machine.resume(0)
    machine.charge_and_draw(1, 1000.0)
    machine.nothing_is_forgotten_or_overspent()
    with pytest.raises(AssertionError, match="after another had taken its release over"):
        machine.charge_and_draw(0, 1000.0)
    machine.teardown()
