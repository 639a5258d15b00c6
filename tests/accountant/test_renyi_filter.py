"""The Renyi filter: each committed order is kept, the claim is that of the caps, sampled steps are priced."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.adjacency import Adjacency
from accountant.errors import BudgetExceeded, ParameterError, UnsupportedEvent
from accountant.events import ApproxDP, BoundedRange, DiscreteGaussian, Event, Gaussian, PoissonSampledGaussian, PureDP
from accountant.pld import profile
from accountant.price import AMOUNT_UNIT, DELTA_UNIT
from accountant.renyi import divergences
from accountant.renyi_filter import RenyiCaps, RenyiFilter, renyi_caps
from accountant.rules.rdp import ORDERS
from accountant.spend import BOTH_SIDES, Side, Step

SAMPLED = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.01)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.floats(2.0, 50.0).map(lambda s: Gaussian(noise_multiplier=s)),
    st.floats(2.0, 50.0).map(lambda s: DiscreteGaussian(sigma=s, draws=5)),
    st.floats(2.0, 50.0).map(lambda s: BoundedRange(eta=1 / s)),
    st.floats(0.8, 3.0).map(lambda s: PoissonSampledGaussian(noise_multiplier=s, sampling_probability=0.01)),
)
STEPS = st.builds(Step, label=st.just("x"), event=EVENTS, sides=st.sampled_from([(Side.TRAINING,), BOTH_SIDES]))


def step(event: Event, sides: tuple[Side, ...] = (Side.TRAINING,)) -> Step:
    return Step(label="x", event=event, sides=sides)


def spent(event: Event, order: float) -> int:
    found, _ = divergences([event])
    return math.ceil(found[ORDERS.index(order)] * AMOUNT_UNIT)


@pytest.mark.parametrize("tight", [4.0, 32.0])
def test_the_run_stops_at_the_first_order(tight: float) -> None:
    units = {order: spent(SAMPLED, order) * (2 if order == tight else 50) for order in (4.0, 32.0)}
    run = RenyiFilter(caps={Side.TRAINING: RenyiCaps(units=units)})
    run.charge([step(SAMPLED), step(SAMPLED)])
    with pytest.raises(BudgetExceeded, match=f"cap at order {tight:g}"):
        run.charge([step(SAMPLED)])
    with pytest.raises(BudgetExceeded, match="may pay nothing"):
        run.charge([step(SAMPLED, sides=(Side.HOLDOUT,))])
    assert run.steps == (step(SAMPLED), step(SAMPLED))


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(st.lists(STEPS, max_size=3), max_size=8), epsilon=st.floats(1.0, 4.0))
def test_what_is_admitted_is_within_each_cap_and_within_epsilon(batches: list[list[Step]], epsilon: float) -> None:
    caps = renyi_caps(epsilon, 1e-5, orders=(32.0, 64.0), additive=1e-6)
    run = RenyiFilter(caps=dict.fromkeys(BOTH_SIDES, caps))
    for batch in batches:
        before = run.steps
        try:
            run.charge(batch)
        except BudgetExceeded:
            assert run.steps == before
    for side in BOTH_SIDES:
        events = [s.event for s in run.steps if side in s.sides]
        total, aside = divergences(events)
        paid = dict(zip(ORDERS, total * AMOUNT_UNIT, strict=True))
        assert all(paid[order] <= cap * (1 + 1e-9) for order, cap in caps.units.items())
        assert aside * DELTA_UNIT <= caps.delta
        assert run.epsilon(1e-5, side) <= epsilon


def test_the_claim_is_that_of_the_caps_and_covers_the_run() -> None:
    """A thousand sampled steps: the caps' epsilon is above what a fixed run of the same steps really costs."""
    count = 1000
    units = {order: spent(SAMPLED, order) * count for order in (6.0, 9.0, 12.0)}
    run = RenyiFilter(caps={Side.TRAINING: RenyiCaps(units=units)})
    stated = run.epsilon(1e-6, Side.TRAINING)
    for _ in range(count):
        run.charge([step(SAMPLED)])
    assert run.epsilon(1e-6, Side.TRAINING) == stated
    assert run.epsilon(1e-6, Side.HOLDOUT) == 0.0
    assert stated >= profile([SAMPLED] * count, grid=1e-3).epsilon(1e-6)
    each = [RenyiCaps(units={order: cap}).epsilon(1e-6) for order, cap in units.items()]
    assert stated == min(each) < max(each)
    with pytest.raises(BudgetExceeded):
        run.charge([step(SAMPLED)])


@given(
    epsilon=st.floats(0.5, 10.0),
    log_delta=st.floats(-9.0, -2.0),
    order=st.sampled_from([o for o in ORDERS if o >= 64.0]),
)
def test_caps_imply_their_epsilon_and_waste_nothing(epsilon: float, log_delta: float, order: float) -> None:
    delta = 10.0**log_delta
    caps = renyi_caps(epsilon, delta, orders=(order,))
    assert epsilon - 1e-8 <= caps.epsilon(delta) <= epsilon
    cap = caps.units[order] / AMOUNT_UNIT
    exact = cap + math.log(1 - 1 / order) - math.log(order * delta) / (order - 1)
    assert exact <= epsilon
    assert caps.epsilon(delta) >= exact


def test_additive_deltas_are_capped_and_taken_off() -> None:
    caps = RenyiCaps(units={8.0: AMOUNT_UNIT}, delta=DELTA_UNIT // 10**6)
    run = RenyiFilter(caps={Side.TRAINING: caps})
    run.charge([step(ApproxDP(epsilon=0.01, delta=6e-7))])
    with pytest.raises(BudgetExceeded, match="cap at delta"):
        run.charge([step(ApproxDP(epsilon=0.01, delta=6e-7))])
    assert caps.epsilon(2e-6) == pytest.approx(RenyiCaps(units={8.0: AMOUNT_UNIT}).epsilon(1e-6), rel=1e-6)
    with pytest.raises(ParameterError, match="No epsilon can be stated"):
        caps.epsilon(9e-7)
    assert renyi_caps(1.0, 1e-5, orders=(64.0,), additive=1e-6).delta == math.floor(1e-6 * DELTA_UNIT)


def test_nonsense_is_refused() -> None:
    for units in ({}, {3.14: 5}, {8.0: -1}):
        with pytest.raises(ParameterError, match="A Renyi filter was given caps"):
            RenyiCaps(units=units)
    with pytest.raises(ParameterError, match="no room within"):
        renyi_caps(0.5, 1e-6, orders=(1.5,))
    with pytest.raises(ParameterError, match="Renyi caps were asked"):
        renyi_caps(1.0, 1e-6, orders=(64.0,), additive=1e-6)
    run = RenyiFilter(caps={Side.TRAINING: RenyiCaps(units={8.0: AMOUNT_UNIT})})
    with pytest.raises(UnsupportedEvent, match="can't be added"):
        run.charge([step(PureDP(epsilon=0.1, adjacency=Adjacency.REPLACE_ONE))])
    with pytest.raises(ParameterError, match="names no side"):
        run.charge([step(PureDP(epsilon=0.1), sides=())])
    assert run.steps == ()
    assert RenyiCaps(units={1024.0: 10**15}).epsilon(1e-6) == math.inf


def test_every_order_is_kept_exactly() -> None:
    run = RenyiFilter(caps={Side.TRAINING: RenyiCaps(units=dict.fromkeys(ORDERS, 10**18))})
    run.charge([step(SAMPLED), step(Gaussian(noise_multiplier=3.0), sides=BOTH_SIDES[:1])])
    total, _ = divergences([SAMPLED, Gaussian(noise_multiplier=3.0)])
    assert np.all(np.array(run._spent[Side.TRAINING][0]) >= np.floor(total * AMOUNT_UNIT))


def test_caps_at_the_edge_of_a_unit_imply_no_more_than_was_asked() -> None:
    """Where the room is a whole number of units but for a few last bits of epsilon, the conversion's own rounding up
    must not lift what the caps imply above it."""
    for order in (8.0, 64.0):
        least = RenyiCaps(units={order: 0}).epsilon(1e-6)
        for whole in range(15 * AMOUNT_UNIT, 15 * AMOUNT_UNIT + 20):
            epsilon = least + whole / AMOUNT_UNIT
            for _ in range(6):
                assert renyi_caps(epsilon, 1e-6, orders=(order,)).epsilon(1e-6) <= epsilon
                epsilon = math.nextafter(epsilon, math.inf)
