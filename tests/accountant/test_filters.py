"""Several caps at once, what an odometer may say, and the speed and exactness of a filter's check."""

import contextlib
import copy
import pickle
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant import compose, filters
from accountant.adjacency import Adjacency
from accountant.errors import BudgetExceeded, ParameterError, UnsupportedEvent
from accountant.events import ApproxDP, BoundedRange, Composed, DiscreteGaussian, Event, Gaussian, PureDP, Repeat
from accountant.filters import FilterSpend, SeveralCaps, admit, epsilon_of_caps
from accountant.odometer import MEANING, read
from accountant.price import Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side, Step

GDP, ZCDP = Coordinate.GDP, Coordinate.ZCDP
SIGMAS = st.floats(2.0, 1e3)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(DiscreteGaussian, sigma=SIGMAS, draws=st.integers(1, 2**20)),
    SIGMAS.map(lambda s: Gaussian(noise_multiplier=s)),
    SIGMAS.map(lambda s: BoundedRange(eta=10.0 / s)),
    SIGMAS.map(lambda s: PureDP(epsilon=1.0 / s)),
    SIGMAS.map(lambda s: ApproxDP(epsilon=1.0 / s, delta=1e-9 / s)),
)
STEPS = st.builds(
    Step,
    label=st.just("x"),
    event=st.one_of(EVENTS, EVENTS.map(lambda e: Repeat(event=e, count=3))),
    sides=st.sampled_from([(Side.TRAINING,), (Side.HOLDOUT,), BOTH_SIDES]),
)


def both(amount: int, delta: int = 2**40) -> dict[Side, Price]:
    return dict.fromkeys(BOTH_SIDES, Price(amount, delta))


def several(gdp: int, zcdp: int) -> SeveralCaps:
    return SeveralCaps(caps={GDP: both(gdp), ZCDP: both(zcdp)})


@pytest.mark.parametrize("tight", [GDP, ZCDP])
def test_the_run_stops_at_the_first_cap(tight: Coordinate) -> None:
    step = Step(label="x", event=BoundedRange(eta=0.5))
    room = {c: compose.price(step.event, c).amount * (2 if c is tight else 9) for c in (GDP, ZCDP)}
    run = several(room[GDP], room[ZCDP])
    run.charge([step])
    run.charge([step])
    spent = run.spent
    with pytest.raises(BudgetExceeded, match=r"mu\^2" if tight is GDP else "rho"):
        run.charge([step])
    assert run.steps == (step, step)
    assert run.spent == spent


@given(batches=st.lists(st.lists(STEPS, max_size=3), max_size=6), caps=st.tuples(*[st.integers(0, 2**38)] * 2))
def test_several_caps_are_each_kept_and_never_less_than_what_was_done(
    batches: list[list[Step]], caps: tuple[int, int]
) -> None:
    run = several(*caps)
    alone = {c: FilterSpend(coordinate=c, caps=both(cap)) for c, cap in zip((GDP, ZCDP), caps, strict=True)}
    for batch in batches:
        try:
            run.charge(batch)
        except BudgetExceeded:
            continue
        for spend in alone.values():
            spend.charge(batch)  # whatever several caps admit, each admits
    for coordinate, spend in alone.items():
        assert run.spent[coordinate] == spend.spent == compose.totals(run.steps, coordinate)
        assert all(paid.fits(both(caps[coordinate is ZCDP])[side]) for side, paid in spend.spent.items())


def test_the_claim_is_the_smallest_of_the_caps_and_not_of_what_was_spent() -> None:
    mu_squared, rho = Price.of(0.05), Price.of(0.04)
    first, second = epsilon_of(mu_squared, 1e-6, GDP), epsilon_of(rho, 1e-6, ZCDP)
    assert first < second
    run = SeveralCaps(caps={GDP: {Side.TRAINING: mu_squared}, ZCDP: {Side.TRAINING: rho}})
    assert run.epsilon(1e-6, Side.TRAINING) == first
    run.charge([Step(label="x", event=Gaussian(noise_multiplier=50.0))])
    assert run.epsilon(1e-6, Side.TRAINING) == first
    assert run.epsilon(1e-6, Side.HOLDOUT) == 0.0
    assert epsilon_of_caps({ZCDP: Price.of(0.01), GDP: mu_squared}, 1e-6) == epsilon_of(Price.of(0.01), 1e-6, ZCDP)


def test_a_cap_that_cannot_be_stated_leaves_the_others() -> None:
    hopeless = Price.of(1e6)
    assert epsilon_of_caps({GDP: Price.of(0.05), ZCDP: hopeless}, 1e-6) == epsilon_of(Price.of(0.05), 1e-6, GDP)
    with pytest.raises(ParameterError, match="isn't stated"):
        epsilon_of_caps({ZCDP: hopeless}, 1e-6)
    for make in (lambda: SeveralCaps(caps={}), lambda: epsilon_of_caps({}, 1e-6)):
        with pytest.raises(ParameterError, match="without a cap"):
            make()


def test_a_step_without_a_price_anywhere_is_recorded_nowhere() -> None:
    run = several(2**40, 2**40)
    with pytest.raises(UnsupportedEvent):
        run.charge([Step(label="x", event=PureDP(epsilon=1e3))])  # rho has a price for it, mu hasn't
    with pytest.raises(UnsupportedEvent, match="can't be added"):
        run.charge([Step(label="x", event=PureDP(epsilon=0.1, adjacency=Adjacency.REPLACE_ONE))])
    assert run.steps == ()
    assert run.spent == {GDP: both(0, 0), ZCDP: both(0, 0)}


@given(steps=st.lists(STEPS, max_size=6), coordinate=st.sampled_from([GDP, ZCDP]))
def test_what_is_remembered_is_the_exact_price(steps: list[Step], coordinate: Coordinate) -> None:
    for _ in range(2):
        after = admit(steps, spent={}, caps=both(2**60, 2**60), coordinate=coordinate, adjacency=Adjacency.ADD_REMOVE)
        assert after == compose.totals(steps, coordinate)


def test_nested_adjacencies_are_seen_however_often_an_event_is_charged() -> None:
    inner = PureDP(epsilon=0.1, adjacency=Adjacency.REPLACE_ONE)
    bad = Step(label="x", event=Composed(events=(Repeat(event=inner, count=2),)))
    run = FilterSpend(coordinate=GDP, caps=both(2**40))
    run.charge([Step(label="x", event=PureDP(epsilon=0.1))])
    for _ in range(2):
        with pytest.raises(UnsupportedEvent, match="replace-one can't be added to events under add-remove"):
            run.charge([bad])


@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=6))
def test_an_odometer_adds_up_and_claims_no_epsilon(steps: list[Step]) -> None:
    reading = read(steps)
    assert reading.steps == len(steps)
    for coordinate in (GDP, ZCDP):
        assert {side: reading.of(coordinate, side) for side in BOTH_SIDES} == compose.totals(steps, coordinate)
    assert reading.lines()[-1] == MEANING
    assert "state no epsilon" in MEANING


def test_an_odometer_leaves_out_no_step() -> None:
    steps = [Step(label="x", event=PureDP(epsilon=1e3)), Step(label="y", event=PureDP(epsilon=1.0))]
    reading = read(steps, coordinates=(GDP, ZCDP))
    assert reading.unpriced == (GDP,)
    with pytest.raises(UnsupportedEvent, match="would be too low"):
        reading.of(GDP, Side.TRAINING)
    assert reading.of(ZCDP, Side.TRAINING) == compose.totals(steps, ZCDP)[Side.TRAINING]
    assert any("gdp: no total" in line for line in reading.lines())
    with pytest.raises(UnsupportedEvent, match="can't be added"):
        read([Step(label="x", event=PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE))])


@pytest.mark.parametrize("kind", ["one", "several"])
def test_threads_keep_the_cap_together(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others run between a check and its record: what is admitted is the cap all the same."""
    step, count = Step(label="x", event=Gaussian(noise_multiplier=30.0)), 20
    cap = both(compose.price(step.event, GDP).amount * count)
    run = FilterSpend(coordinate=GDP, caps=cap) if kind == "one" else SeveralCaps(caps={GDP: cap})

    def slow(*args: Any, **named: Any) -> dict[Side, Price]:
        after = admit(*args, **named)
        time.sleep(1e-3)
        return after

    def spend() -> None:
        with contextlib.suppress(BudgetExceeded):
            while True:
                run.charge([step])

    monkeypatch.setattr(filters, "admit", slow)
    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(run.steps) == count


def test_a_filter_is_copied_and_pickled_with_what_it_spent() -> None:
    run = several(2**38, 2**38)
    run.charge([Step(label="x", event=Gaussian(noise_multiplier=30.0))])
    for twin in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert twin.spent == run.spent
        twin.charge(run.steps)
        assert len(twin.steps) == 2
    assert len(run.steps) == 1
