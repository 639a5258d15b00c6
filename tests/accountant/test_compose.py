"""Laws of composition, and the answer between independent bounds."""

import math

import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.common import DifferentialPrivacyParameters
from hypothesis import given
from hypothesis import strategies as st

from accountant.adjacency import Adjacency
from accountant.compose import larger_side, price, total, totals
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Gaussian,
    PureDP,
    Repeat,
    event_from_json,
)
from accountant.price import Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side, Step

NOISE = st.floats(0.5, 1e4)
LEAVES: st.SearchStrategy[Event] = st.one_of(
    NOISE.map(lambda s: Gaussian(noise_multiplier=s)),
    st.builds(DiscreteGaussian, sigma=NOISE, sensitivity=st.floats(0.1, 9.0), draws=st.integers(1, 2**40)),
    NOISE.map(lambda s: DiscreteLaplace(scale=s)),
    NOISE.map(lambda s: BoundedRange(eta=1 / s)),
    NOISE.map(lambda s: PureDP(epsilon=1 / s)),
    NOISE.map(lambda s: ApproxDP(epsilon=1 / s, delta=1e-9 / s)),
)
EVENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Repeat, event=inner, count=st.integers(1, 9))
        | st.lists(inner, max_size=3).map(lambda e: Composed(events=tuple(e)))
    ),
    max_leaves=5,
)
BOTH = tuple(Coordinate)


@pytest.mark.parametrize("coordinate", BOTH)
@given(event=EVENTS, count=st.integers(1, 40))
def test_n_applications_at_once_cost_n_applications(coordinate: Coordinate, event: Event, count: int) -> None:
    separate = total(price(event, coordinate) for _ in range(count))
    assert price(Repeat(event=event, count=count), coordinate) == separate
    assert price(Composed(events=(event,) * count), coordinate) == separate


@pytest.mark.parametrize("coordinate", BOTH)
@given(events=st.lists(EVENTS, min_size=1, max_size=5), data=st.data())
def test_order_does_not_matter(coordinate: Coordinate, events: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(events))
    assert price(Composed(events=tuple(shuffled)), coordinate) == price(Composed(events=tuple(events)), coordinate)


@given(EVENTS)
def test_events_survive_json(event: Event) -> None:
    assert event_from_json(event.to_json()) == event


def test_ten_exponential_mechanisms_cost_ten() -> None:
    """A well-known accountant's head gives 1.006, the price of one; ten at epsilon 1 are far above."""
    ten = price(Repeat(event=BoundedRange(eta=1.0), count=10), Coordinate.GDP)
    assert epsilon_of(ten, 1e-6, Coordinate.GDP) > 8.0


def test_each_named_side_pays_and_the_scope_pays_the_larger_of_each_component() -> None:
    both = Step(label="both", event=PureDP(epsilon=1.0), sides=BOTH_SIDES)
    training = Step(label="training", event=PureDP(epsilon=1.0))
    holdout = Step(label="holdout", event=ApproxDP(epsilon=0.1, delta=1e-9), sides=(Side.HOLDOUT, Side.HOLDOUT))
    one, claim = price(both.event, Coordinate.GDP), price(holdout.event, Coordinate.GDP)
    paid = totals([both, training, holdout], Coordinate.GDP)
    assert paid == {Side.TRAINING: one + one, Side.HOLDOUT: one + claim}
    assert larger_side(paid) == Price((one + one).amount, claim.delta)
    assert totals([], Coordinate.GDP) == dict.fromkeys(BOTH_SIDES, Price())


@pytest.mark.parametrize(
    "events",
    [
        (PureDP(epsilon=1.0), PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE)),
        (Repeat(event=PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE), count=2),),
        (Composed(events=(Repeat(event=PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE), count=2),)),),
    ],
)
def test_mixed_adjacencies_are_refused_with_a_way_out(events: tuple[Event, ...]) -> None:
    with pytest.raises(UnsupportedEvent, match="double the sensitivity"):
        totals([Step(label="x", event=event) for event in events], Coordinate.GDP)


def test_one_adjacency_throughout_is_priced() -> None:
    inner = PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE)
    event = Repeat(event=inner, count=2, adjacency=Adjacency.REPLACE_ONE)
    assert price(event, Coordinate.ZCDP) == price(inner, Coordinate.ZCDP) + price(inner, Coordinate.ZCDP)


def test_half_an_application_is_refused() -> None:
    with pytest.raises(ParameterError, match="whole number of times"):
        price(Repeat(event=PureDP(epsilon=1.0), count=1.5), Coordinate.GDP)  # type: ignore[arg-type]


def test_golden_two_hundred_gaussians_and_fifty_selections() -> None:
    run = Composed(
        events=(
            Repeat(event=Gaussian(noise_multiplier=30.0), count=200),
            Repeat(event=BoundedRange(eta=0.05), count=50),
        )
    )
    assert epsilon_of(price(run, Coordinate.GDP), 1e-6, Coordinate.GDP) == pytest.approx(2.358, abs=5e-4)
    assert epsilon_of(price(run, Coordinate.ZCDP), 1e-6, Coordinate.ZCDP) == pytest.approx(2.437, abs=5e-4)


def _bounds(make: object, count: int, delta: float) -> tuple[float, float]:
    low, high = (
        make(pessimistic).self_compose(count).get_epsilon_for_delta(delta)  # type: ignore[operator]
        for pessimistic in (False, True)
    )
    return low, high


@pytest.mark.parametrize(("sigma", "count", "delta"), [(5.0, 30, 1e-6), (30.0, 200, 1e-9), (1.0, 1, 1e-6)])
def test_gaussians_lie_between_independent_bounds(sigma: float, count: int, delta: float) -> None:
    low, high = _bounds(
        lambda p: pld.from_gaussian_mechanism(sigma, pessimistic_estimate=p, value_discretization_interval=1e-3),
        count,
        delta,
    )
    ours = price(Repeat(event=Gaussian(noise_multiplier=sigma), count=count), Coordinate.GDP)
    assert low <= epsilon_of(ours, delta, Coordinate.GDP) <= high
    rho = price(Repeat(event=Gaussian(noise_multiplier=sigma), count=count), Coordinate.ZCDP)
    assert low <= epsilon_of(rho, delta, Coordinate.ZCDP)


@pytest.mark.parametrize(("sigma", "count"), [(1, 5), (3, 40), (12, 300)])
def test_discrete_gaussians_are_never_undercharged(sigma: int, count: int) -> None:
    low, high = _bounds(
        lambda p: pld.from_discrete_gaussian_mechanism(
            sigma, pessimistic_estimate=p, value_discretization_interval=1e-3
        ),
        count,
        1e-6,
    )
    for coordinate, most in ((Coordinate.GDP, 1.12), (Coordinate.ZCDP, 1.25)):
        ours = epsilon_of(
            price(Repeat(event=DiscreteGaussian(sigma=float(sigma)), count=count), coordinate), 1e-6, coordinate
        )
        assert low <= ours <= high * most


def _randomised_response_delta(epsilon: float, count: int, at: float) -> float:
    """The exact delta of ``count`` binary randomised responses, the worst pure mechanism, by the binomial law."""
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    return math.fsum(
        math.comb(count, k) * max(0.0, p**k * (1 - p) ** (count - k) - math.exp(at) * p ** (count - k) * (1 - p) ** k)
        for k in range(count + 1)
    )


@pytest.mark.parametrize(("epsilon", "count"), [(0.1, 40), (1.0, 6), (0.3, 10)])
def test_pure_mechanisms_are_never_undercharged(epsilon: float, count: int) -> None:
    """One mu lies below every pure curve, so GDP charges up to pi/2 times their variance; zCDP beats the textbook."""
    event = Repeat(event=PureDP(epsilon=epsilon), count=count)
    for coordinate in BOTH:
        ours = epsilon_of(price(event, coordinate), 1e-6, coordinate)
        assert _randomised_response_delta(epsilon, count, ours) <= 1e-6
    rho = count * epsilon**2 / 2
    assert epsilon_of(price(event, Coordinate.ZCDP), 1e-6, Coordinate.ZCDP) <= rho + 2 * math.sqrt(rho * math.log(1e6))


def test_a_library_that_knows_the_whole_curve_of_pure_mechanisms_is_below_us() -> None:
    pair = DifferentialPrivacyParameters(0.1, 0.0)
    theirs = pld.from_privacy_parameters(pair, value_discretization_interval=1e-3).self_compose(40)
    exact = theirs.get_epsilon_for_delta(1e-6)
    for coordinate, most in ((Coordinate.GDP, 1.4), (Coordinate.ZCDP, 1.25)):
        ours = epsilon_of(price(Repeat(event=PureDP(epsilon=0.1), count=40), coordinate), 1e-6, coordinate)
        assert exact <= ours <= most * exact
