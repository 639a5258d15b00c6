"""Scopes: a charge fits its data set and everything above it; budgets end, and are renewed by a recorded act only."""

from fractions import Fraction
from pathlib import Path

import pytest

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import larger_side, price, totals
from accountant.errors import BudgetExceeded, LedgerError, LedgerTampered, ParameterError
from accountant.events import DiscreteGaussian
from accountant.ledger import Ledger, Level, Reservation, State, entries, verify_entries
from accountant.ledger.fold import Fold
from accountant.ledger.verify import verify
from accountant.price import Coordinate, Price
from accountant.sides import Split
from accountant.spend import BOTH_SIDES, Side, Step
from tests.accountant import ledgers
from tests.accountant.ledgers import BUDGET, DELTA_UNITS, UNIT, new_ledger, step

pytestmark = pytest.mark.usefixtures("store")

PEOPLE = PrivacyUnit(column="person", max_rows=3)


def budget(epsilon: float, *, coordinate: Coordinate = Coordinate.GDP) -> Budget:
    return Budget(epsilon=epsilon, delta=1e-6, coordinate=coordinate)


def tree(folder: Path, *, unit: PrivacyUnit = UNIT) -> Ledger:
    """acme (3) > statistics (2) > census (1.2) > people (1) and houses (1)."""
    ledger = Ledger.create(
        folder / "tree", dataset="acme", budget=budget(3.0), unit=unit, level=Level.ORGANISATION, store=ledgers.place()
    )
    ledger.add_scope("statistics", parent="acme", level=Level.TEAM, budget=budget(2.0))
    ledger.add_scope("census", parent="statistics", level=Level.PROJECT, budget=budget(1.2))
    for name in ("people", "houses"):
        ledger.add_scope(name, parent="census", level=Level.DATASET, budget=budget(1.0))
    return ledger


def reserve(ledger: Ledger, dataset: str, amount: int, *, split: Split | None = None) -> Reservation:
    price = dict.fromkeys(BOTH_SIDES, Price(amount, DELTA_UNITS))
    found = ledger.reserve(dataset=dataset, unit=ledger.unit, idempotency_key=None, plan={}, caps=price, split=split)
    assert isinstance(found, Reservation)
    return found


def test_a_release_is_borne_by_its_data_set_and_everything_above(tmp_path: Path) -> None:
    ledger = tree(tmp_path)
    run = reserve(ledger, "people", 1000)
    bears = {scope.name: scope.reserved.amount for scope in ledger.scopes()}
    assert bears == {"acme": 1000, "statistics": 1000, "census": 1000, "people": 1000, "houses": 0}
    run.touch()
    run.charge([step(sigma=1e6)])
    run.commit(outcome="released", artefacts={})
    paid = larger_side(totals([step(sigma=1e6)], Coordinate.GDP))
    assert {scope.name: scope.spent for scope in ledger.scopes() if scope.spent != Price()} == dict.fromkeys(
        ("acme", "statistics", "census", "people"), paid
    )
    assert [scope.name for scope in ledger.line("people")] == ["people", "census", "statistics", "acme"]
    assert verify(ledger.path).scopes == ledger.scopes()
    assert verify_entries(run.entries()).state is State.COMMITTED


@pytest.mark.parametrize("short", ["acme", "statistics", "census", "people"])
def test_every_scope_of_the_line_must_afford_it(tmp_path: Path, short: str) -> None:
    """The budget of one scope at a time is the smallest."""
    ledger = Ledger.create(
        tmp_path / "t", dataset="acme", budget=budget(0.5 if short == "acme" else 3.0), unit=UNIT,
        level=Level.ORGANISATION, store=ledgers.place(),
    )  # fmt: skip
    for name, parent, level in (
        ("statistics", "acme", Level.TEAM),
        ("census", "statistics", Level.PROJECT),
        ("people", "census", Level.DATASET),
    ):
        ledger.add_scope(name, parent=parent, level=level, budget=budget(0.5 if short == name else 3.0))
    cap = budget(0.5).cap
    before = ledger.seq
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, "people", cap.amount + 1)
    assert ledger.seq == before
    assert ledger.scope(short).describe() in refused.value.what
    assert "epsilon 0.5 at delta 1e-06" in refused.value.why
    assert "mu^2" in refused.value.why
    assert "mu^2" in refused.value.next_step
    fits = float(refused.value.next_step.split("epsilon ")[1].split(" ")[0])
    reserve(ledger, "people", budget(fits).cap.amount)
    assert verify(ledger.path).scopes[0].reserved == Price(budget(fits).cap.amount, DELTA_UNITS)


def test_siblings_share_what_is_above_them(tmp_path: Path) -> None:
    ledger = tree(tmp_path)
    census, people = ledger.scope("census").cap.amount, ledger.scope("people").cap.amount
    reserve(ledger, "people", people)
    with pytest.raises(BudgetExceeded, match="project 'census'"):
        reserve(ledger, "houses", census - people + 1)
    reserve(ledger, "houses", census - people)
    assert ledger.remaining("census").amount == 0
    with pytest.raises(BudgetExceeded, match="Nothing more fits"):
        reserve(ledger, "houses", 1)


def test_what_fits_is_said_for_the_whole_line(tmp_path: Path) -> None:
    """The data set refuses first, but what its project has left is less still."""
    ledger = tree(tmp_path)
    reserve(ledger, "houses", ledger.scope("houses").cap.amount)
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, "people", ledger.scope("people").cap.amount + 1)
    assert "data set 'people'" in refused.value.what
    fits = float(refused.value.next_step.split("epsilon ")[1].split(" ")[0])
    reserve(ledger, "people", budget(fits).cap.amount)


def day(monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    for module in ("journal", "reservation", "making"):
        monkeypatch.setattr(f"accountant.ledger.{module}.today", lambda: date)


def test_a_budget_ends_for_reservations_and_touches_and_not_for_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tree(tmp_path)
    last = "2090-06-30"
    ledger.renew("statistics", budget=budget(2.0), expires=last, reason="a year at a time")
    day(monkeypatch, last)
    running, waiting = reserve(ledger, "people", 10**8), reserve(ledger, "people", 1000)
    running.touch()
    day(monkeypatch, "2090-07-01")
    for late in (lambda: reserve(ledger, "houses", 1), waiting.touch):
        with pytest.raises(BudgetExceeded, match=r"team 'statistics'.*ended on 2090-06-30.*owner renew it"):
            late()
    running.charge([step(sigma=1e4)])
    running.commit(outcome="released", artefacts={})
    assert ledger.release_stale(waiting.release_id) == Price(1000, DELTA_UNITS)
    ledger.renew("statistics", budget=budget(2.0), expires="2091-06-30", reason="another year")
    reserve(ledger, "houses", 1).touch()
    assert ledger.scope("statistics").renewals == 2
    verify(ledger.path)


def test_a_clock_that_goes_back_brings_no_day_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tree(tmp_path)
    ledger.renew("acme", budget=budget(3.0), expires="2090-06-30", reason="until then")
    day(monkeypatch, "2090-07-01")
    ledger.renew("houses", budget=budget(1.0), expires=None, reason="an act of that day")
    day(monkeypatch, "2090-06-30")
    with pytest.raises(BudgetExceeded, match=r"organisation 'acme'.*ended"):
        reserve(ledger, "people", 1)


def test_a_renewal_forgets_nothing(tmp_path: Path) -> None:
    ledger = tree(tmp_path)
    run = reserve(ledger, "people", ledger.scope("people").cap.amount)
    run.touch()
    run.abort("failed")
    spent = ledger.spent("people")
    with pytest.raises(LedgerError, match="Totals are for life"):
        ledger.renew("people", budget=budget(0.9), expires=None, reason="less")
    with pytest.raises(LedgerError, match="coordinate"):
        ledger.renew("people", budget=budget(2.0, coordinate=Coordinate.ZCDP), expires=None, reason="other")
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "people", 1)
    renewed = ledger.renew("people", budget=budget(1.2), expires=None, reason="the board's decision of May")
    assert (renewed.spent, renewed.budget.epsilon) == (spent, 1.2)
    assert renewed.remaining == budget(1.2).cap.less(spent)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "people", renewed.remaining.amount + 1)
    reserve(ledger, "people", renewed.remaining.amount)
    (entry,) = [e for e in ledger.all_entries() if e["kind"] == "renew"]
    assert entry["reason"] == "the board's decision of May"
    verify(ledger.path)


def test_the_budget_changes_by_a_renewal_only(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    assert ledger.renew("people", budget=budget(1.5), expires=None, reason="more people asked").cap == budget(1.5).cap
    assert (ledger.budget.epsilon, Ledger.open(ledger.path).budget.epsilon) == (1.5, 1.5)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"level": Level.ORGANISATION}, "can't lie in"),
        ({"level": Level.TEAM}, "can't lie in"),
        ({"budget": budget(1.0, coordinate=Coordinate.ZCDP)}, "same epsilon and delta with the coordinate gdp"),
        ({"unit": PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)}, "double the sensitivity"),
        ({"unit": PEOPLE}, "largest number of rows"),
        ({"parent": "people"}, "can't lie in"),
        ({"parent": "nowhere"}, "has no scope 'nowhere'"),
        ({"name": "people"}, "has a scope 'people' already"),
        ({"expires": "30.6.2026"}, "Write it as 2026-12-31"),
        ({"name": "a\nb"}, "1 to 200 printable"),
    ],
)
def test_a_scope_that_can_not_lie_there_is_refused(tmp_path: Path, changed: dict[str, object], match: str) -> None:
    ledger = tree(tmp_path)
    before = ledger.seq
    asked: dict[str, object] = {
        "name": "more", "parent": "statistics", "level": Level.DATASET, "budget": budget(1.0),
    } | changed  # fmt: skip
    with pytest.raises((LedgerError, ParameterError), match=match):
        ledger.add_scope(asked.pop("name"), **asked)  # type: ignore[arg-type]
    assert ledger.seq == before


def test_only_a_data_set_can_be_released(tmp_path: Path) -> None:
    ledger = tree(tmp_path)
    for name in ("acme", "census", "nowhere"):
        with pytest.raises(LedgerError, match="of 2 data sets, not"):
            reserve(ledger, name, 1)


def test_data_sets_have_coins_of_their_own(tmp_path: Path) -> None:
    ledger = tree(tmp_path)
    assert len({ledger.split_key(name) for name in ("people", "houses")}) == 2
    assert ledger.split_key_id("people") != ledger.split_key_id("houses")
    alone = new_ledger(tmp_path)
    assert alone.split_key() == alone.split_key("people") == (alone.path / "keys/split.key").read_bytes()


def sided(ledger: Ledger, training: int, holdout: int, split: Split | None) -> Reservation:
    caps = {Side.TRAINING: Price(training, 1), Side.HOLDOUT: Price(holdout, 1)}
    found = ledger.reserve(dataset="people", unit=PEOPLE, idempotency_key=None, plan={}, caps=caps, split=split)
    assert isinstance(found, Reservation)
    return found


def split_of(ledger: Ledger, share: Fraction = Fraction(1, 5)) -> Split:
    return Split(key_id=ledger.split_key_id("people"), holdout_share=share, id_column="person")


def test_sides_stand_apart_in_a_data_set_under_one_split_and_nowhere_else(tmp_path: Path) -> None:
    ledger = tree(tmp_path, unit=PEOPLE)
    sided(ledger, 100, 1, split_of(ledger))
    sided(ledger, 1, 100, split_of(ledger))
    assert ledger.reserved("people") == Price(101, 2)
    assert ledger.reserved("census") == ledger.reserved() == Price(200, 2)
    sided(ledger, 7, 2, None)
    assert ledger.reserved("people") == Price(108, 3)
    sided(ledger, 5, 30, split_of(ledger, Fraction(1, 4)))
    assert ledger.reserved("people") == Price(138, 4)
    assert verify(ledger.path).scopes == ledger.scopes()


def test_reference_people_pay_their_own_price_and_count_as_held_out(tmp_path: Path) -> None:
    ledger = tree(tmp_path, unit=PEOPLE)
    caps = {Side.TRAINING: Price(100, 9), Side.HOLDOUT: Price(60, 9), Side.REFERENCE: Price(80, 9)}
    how = {"dataset": "people", "unit": PEOPLE, "idempotency_key": None, "plan": {}}
    run = ledger.reserve(**how, caps=caps, split=split_of(ledger))
    assert ledger.reserved("people") == Price(100, 9)
    run.touch()
    cheap = Step(label="reference (age)", event=DiscreteGaussian(sigma=2.0**19), sides=(Side.REFERENCE,))
    run.charge([cheap])
    assert set(run.state.totals) == set(Side)
    assert run.state.totals[Side.REFERENCE] == price(cheap.event, run.state.coordinate)
    assert run.state.totals[Side.TRAINING] == run.state.totals[Side.HOLDOUT] == Price()
    with pytest.raises(BudgetExceeded, match="reference side"):
        run.charge([Step(label="too dear", event=DiscreteGaussian(sigma=100.0), sides=(Side.REFERENCE,))])
    run.commit(outcome="pass", artefacts={})
    paid = price(cheap.event, run.state.coordinate)
    assert ledger.spent("people") == ledger.spent() == paid
    sided(ledger, 1, 5, split_of(ledger))
    assert ledger.reserved("people") == Price(5, 1)
    assert verify(ledger.path).scopes == ledger.scopes()
    ungiven = sided(ledger, 10, 10, None)
    ungiven.touch()
    with pytest.raises(BudgetExceeded, match="reference side"):
        ungiven.charge([cheap])


def test_a_split_of_another_key_or_column_is_refused(tmp_path: Path) -> None:
    ledger = tree(tmp_path, unit=PEOPLE)
    other = Split(key_id=ledger.split_key_id("houses"), holdout_share=Fraction(1, 5), id_column="person")
    column = Split(key_id=ledger.split_key_id("people"), holdout_share=Fraction(1, 5), id_column="family")
    for wrong in (other, column):
        with pytest.raises(ParameterError, match="everybody pays the larger side"):
            sided(ledger, 1, 1, wrong)
    coins = Split(key_id="fresh", holdout_share=Fraction(1, 5), id_column=None)
    sided(ledger, 100, 1, coins)
    sided(ledger, 1, 100, coins)
    assert ledger.reserved("people") == Price(200, 2)


def test_a_replaced_person_pays_both_sides(tmp_path: Path) -> None:
    unit = PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)
    ledger = Ledger.create(tmp_path / "l", dataset="people", budget=BUDGET, unit=unit, store=ledgers.place())
    caps = {Side.TRAINING: Price(900, 1), Side.HOLDOUT: Price(400, 0)}
    ledger.reserve(dataset="people", unit=unit, idempotency_key=None, plan={}, caps=caps)
    assert ledger.reserved() == Price(2500, 1)
    assert verify(ledger.path).reserved == Price(2500, 1)


def test_a_chain_whose_scopes_do_not_add_up_is_found(tmp_path: Path) -> None:
    """Rules of the fold itself: whoever wrote the chain, and however well it is hashed."""
    fold = Fold()
    ledger = tree(tmp_path)
    reserve(ledger, "people", ledger.scope("people").cap.amount)
    ledger.renew("people", budget=budget(1.0), expires="2020-01-01", reason="over")
    with ledger.journal.store.reading() as rows:
        for row in rows.after(0):
            fold.read(row)
    base = {"version": 2, "seq": fold.seq + 1, "prev": fold.head, "date": fold.date}
    many = {"amount": ledger.scope("houses").cap.amount, "delta": 0}  # which its project can't afford any more
    ended = _reserve_fields("people", {"amount": 1, "delta": 0})
    wide = {"kind": "scope", "scope": "x", "parent": "people", "level": "team", "unit": entries.unit_to_json(UNIT)}
    for fields, match in (
        (_reserve_fields("houses", many), "more was reserved than the budget allows"),
        (ended, "had ended"),
        (_reserve_fields("census", {"amount": 1, "delta": 0}), "belongs to another scope"),
        (wide | {"budget": budget(1.0).to_json(), "expires": None}, "can't be read"),
        ({"kind": "renew", "scope": "nobody"}, "can't be read"),
        ({"kind": "create"}, "can't be read"),
        (ended | {"version": 1}, "older than that of an earlier entry"),
        (_reserve_fields("houses", {"amount": 1, "delta": 0}) | {"date": "2020-01-01"}, "date is before"),
    ):
        with pytest.raises(LedgerTampered, match=match):
            fold.check(base | fields, "0" * 64)
    assert fold.check(base | _reserve_fields("houses", {"amount": 1, "delta": 0}), "0" * 64)


def _reserve_fields(dataset: str, price: dict[str, int]) -> dict[str, object]:
    from accountant.canonical import sha256_hex

    return {
        "kind": "reserve", "release": "r", "release_prev": entries.GENESIS, "token": 1, "dataset": dataset,
        "unit": entries.unit_to_json(UNIT), "coordinate": "gdp", "plan": {}, "plan_hash": sha256_hex({}),
        "key_hash": None, "split": None, "caps": {"training": price}, "price": price,
        "before": {"amount": 0, "delta": 0},
    }  # fmt: skip
