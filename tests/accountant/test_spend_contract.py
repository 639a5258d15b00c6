"""What every Spend promises: a filter in memory and a reservation on disk pass the same suite."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accountant.adjacency import Adjacency
from accountant.compose import price, totals
from accountant.errors import BudgetExceeded, ParameterError, UnsupportedEvent
from accountant.events import ApproxDP, BoundedRange, DiscreteGaussian, Event, Gaussian, PureDP
from accountant.filters import FilterSpend
from accountant.ledger import Reservation, verify_entries
from accountant.price import Coordinate, Price
from accountant.spend import BOTH_SIDES, Side, Spend, Step
from tests.accountant.ledgers import caps, new_ledger, step, touched


@dataclass(frozen=True)
class Subject:
    spend: Spend
    steps: Callable[[], tuple[Step, ...]]
    paid: Callable[[], dict[Side, Price]]


def in_memory(_: Path) -> Subject:
    spend = FilterSpend(coordinate=Coordinate.GDP, caps=caps())
    return Subject(spend, lambda: spend.steps, lambda: spend.spent)


def on_disk(folder: Path) -> Subject:
    spend: Reservation = touched(new_ledger(folder))
    return Subject(spend, lambda: spend.state.steps, lambda: dict(spend.state.totals))


@pytest.fixture(params=[in_memory, on_disk])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    made: Subject = request.param(tmp_path)
    return made


def fitting(limit: Price) -> Event:
    """A claim whose price is close to, and not above, half of ``limit``."""
    low, high = 1e-6, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        fits = 2 * price(PureDP(epsilon=middle), Coordinate.GDP).amount <= limit.amount
        low, high = (middle, high) if fits else (low, middle)
    return PureDP(epsilon=low)


def test_charges_are_recorded_in_order_and_priced_by_side(subject: Subject) -> None:
    steps = [step("a"), step("b", sides=(Side.TRAINING,)), step("c", sides=(Side.HOLDOUT,))]
    subject.spend.charge(steps[:1])
    subject.spend.charge(steps[1:])
    assert subject.steps() == tuple(steps)
    assert subject.paid() == totals(steps, Coordinate.GDP)


def test_refusal_leaves_no_entry(subject: Subject) -> None:
    subject.spend.charge([step("first")])
    before, paid = subject.steps(), subject.paid()
    for refused in (step("too loud", sigma=0.5), step("other side", sigma=0.5, sides=(Side.HOLDOUT,))):
        with pytest.raises(BudgetExceeded, match=r"Can't spend mu\^2 = .* is already spent\. Use more noise"):
            subject.spend.charge([step("small"), refused])
        assert (subject.steps(), subject.paid()) == (before, paid)
    with pytest.raises(BudgetExceeded, match="Can't spend delta"):
        subject.spend.charge([Step(label="claim", event=ApproxDP(epsilon=1e-3, delta=1e-9))])
    assert (subject.steps(), subject.paid()) == (before, paid)


def test_the_cap_is_reached_and_never_passed(subject: Subject) -> None:
    half = Step(label="half", event=fitting(caps()[Side.TRAINING]))
    subject.spend.charge([half])
    subject.spend.charge([half])
    with pytest.raises(BudgetExceeded):
        subject.spend.charge([half])
    assert subject.steps() == (half, half)


def test_a_whole_batch_is_charged_or_none_of_it(subject: Subject) -> None:
    half = Step(label="half", event=fitting(caps()[Side.TRAINING]))
    with pytest.raises(BudgetExceeded, match="and 2 more"):
        subject.spend.charge([half, half, half])
    assert subject.steps() == ()


def test_sides_have_their_own_caps(subject: Subject) -> None:
    half = fitting(caps()[Side.TRAINING])
    for side in BOTH_SIDES:
        subject.spend.charge([Step(label=side, event=half, sides=(side,))] * 2)
    assert len(subject.steps()) == 4


def test_other_adjacencies_and_steps_that_read_nobody_are_refused(subject: Subject) -> None:
    with pytest.raises(UnsupportedEvent, match="replace-one can't be added to events under add-remove"):
        subject.spend.charge([Step(label="x", event=PureDP(epsilon=0.01, adjacency=Adjacency.REPLACE_ONE))])
    with pytest.raises(ParameterError, match="names no side"):
        subject.spend.charge([Step(label="x", event=PureDP(epsilon=0.01), sides=())])
    assert subject.steps() == ()


def test_charging_nothing_records_nothing(subject: Subject) -> None:
    subject.spend.charge([])
    assert subject.steps() == ()


def test_a_side_without_a_cap_may_pay_nothing() -> None:
    spend = FilterSpend(coordinate=Coordinate.ZCDP, caps={Side.TRAINING: Price(10**12, 10)})
    spend.charge([step("ok", sides=(Side.TRAINING,))])
    with pytest.raises(BudgetExceeded, match="On the holdout side 0 of 0"):
        spend.charge([step("no")])


SIGMAS = st.floats(20.0, 1e4)
EVENTS = st.one_of(
    st.builds(DiscreteGaussian, sigma=SIGMAS, draws=st.integers(1, 2**20)),
    SIGMAS.map(lambda s: Gaussian(noise_multiplier=s)),
    SIGMAS.map(lambda s: BoundedRange(eta=1 / s)),
)
STEPS = st.builds(
    Step,
    label=st.text(max_size=8),
    event=EVENTS,
    sides=st.sampled_from([(Side.TRAINING,), (Side.HOLDOUT,), BOTH_SIDES]),
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(STEPS, max_size=3), max_size=5))
def test_replaying_the_ledger_gives_the_live_total(
    batches: list[list[Step]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    live = FilterSpend(coordinate=Coordinate.GDP, caps=caps())
    ledger = new_ledger(tmp_path_factory.mktemp("replay"))
    disk = touched(ledger)
    for batch in batches:
        outcomes = []
        for spend in (live, disk):
            try:
                spend.charge(batch)
                outcomes.append("charged")
            except BudgetExceeded as refusal:
                outcomes.append(str(refusal))
        assert outcomes[0] == outcomes[1]
    replayed = verify_entries(disk.entries())
    assert (replayed.steps, replayed.totals) == (live.steps, live.spent)
    disk.commit(outcome="released", artefacts={})
    assert ledger.spent() == live.price
