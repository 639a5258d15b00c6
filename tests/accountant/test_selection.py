"""Retries and private selection: against exact laws of the whole process, and against each other."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.adjacency import Adjacency
from accountant.compose import price
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import ApproxDP, BoundedRange, Gaussian, PureDP
from accountant.price import Coordinate, Price
from accountant.selection import (
    best_of_a_random_number,
    compare_retries,
    declared_retries,
    reserve_retries,
    until_passed,
)
from accountant.spend import Side

Pair = tuple[list[float], list[float]]


@st.composite
def pairs(draw: st.DrawFn, outcomes: int = 4) -> Pair:
    """Two laws on the same few outcomes."""
    weights = [[draw(st.floats(0.01, 1.0)) for _ in range(outcomes)] for _ in range(2)]
    first, second = ([w / sum(side) for w in side] for side in weights)
    return first, second


def hockey(p: list[float], q: list[float], epsilon: float) -> float:
    return math.fsum(max(0.0, x - math.exp(epsilon) * y) for x, y in zip(p, q, strict=True))


def both_ways(p: list[float], q: list[float], epsilon: float) -> float:
    return max(hockey(p, q, epsilon), hockey(q, p, epsilon))


def stopped(law: list[float], gamma: float) -> list[float]:
    """The exact law of 'until passed' where the first two outcomes pass: those two, then nothing."""
    stop = gamma + (1 - gamma) * (law[0] + law[1])
    return [law[0] / stop, law[1] / stop, gamma * (law[2] + law[3]) / stop]


@given(pair=pairs(), gamma=st.floats(0.01, 1.0), epsilon=st.floats(0.01, 3.0))
@settings(max_examples=200)
def test_until_passed_is_what_it_claims(pair: Pair, gamma: float, epsilon: float) -> None:
    p, q = pair
    delta = both_ways(p, q, epsilon)
    once = ApproxDP(epsilon=epsilon, delta=delta)
    try:
        claim = until_passed(once, gamma=gamma)
    except UnsupportedEvent:
        return
    assert both_ways(stopped(p, gamma), stopped(q, gamma), claim.epsilon) <= claim.delta + 1e-12


def test_until_passed_uses_what_it_claims() -> None:
    """An epsilon 5 % smaller would be wrong, and delta has to grow with 1/gamma."""
    e = math.exp(0.5)
    p, q = [0.3, 1e-4, 0.0, 0.0], [0.3 / e, 1e-4 * e, 0.0, 0.0]
    p[2], q[2] = 1 - p[0] - p[1], 1 - q[0] - q[1]
    assert both_ways(p, q, 0.5) < 1e-12
    assert until_passed(PureDP(epsilon=0.5), gamma=1e-4) == ApproxDP(epsilon=1.0, delta=0.0)
    assert both_ways(stopped(p, 1e-4), stopped(q, 1e-4), 0.95) > 0
    p, q = [1e-3, 0.0, 1 - 1e-3, 0.0], [0.0, 0.0, 1.0, 0.0]
    delta = both_ways(p, q, 0.1)
    real = both_ways(stopped(p, 0.01), stopped(q, 0.01), 0.2)
    assert 50 * delta < real <= until_passed(ApproxDP(epsilon=0.1, delta=delta), gamma=0.01).delta


def best_of(law: list[float], shape: float, gamma: float) -> list[float]:
    """The exact law of the best of K tries, outcomes in rising order; K is truncated negative binomial."""

    def generating(x: float) -> float:
        if shape == 0.0:
            return math.log1p(-(1 - gamma) * x) / math.log(gamma)
        return ((1 - (1 - gamma) * x) ** -shape - 1) / (gamma**-shape - 1)

    below = [math.fsum(law[:i]) for i in range(len(law) + 1)]
    return [generating(min(1.0, high)) - generating(low) for low, high in pairwise(below)]


@given(pair=pairs(), shape=st.sampled_from([-0.5, 0.0, 1.0, 2.0]), gamma=st.floats(0.001, 0.9))
@settings(max_examples=200)
def test_the_best_of_a_random_number_is_what_it_claims(pair: Pair, shape: float, gamma: float) -> None:
    p, q = pair
    epsilon = max(abs(math.log(a / b)) for a, b in zip(p, q, strict=True))
    if epsilon < 1e-3:
        return
    claim = best_of_a_random_number(PureDP(epsilon=epsilon), shape=shape)
    first, second = best_of(p, shape, gamma), best_of(q, shape, gamma)
    assert max(abs(math.log(a / b)) for a, b in zip(first, second, strict=True)) <= claim.epsilon * (1 + 1e-9) + 1e-9
    assert claim.delta == 0.0


def test_a_geometric_number_of_tries_can_cost_nearly_three() -> None:
    """So that a factor of two, which is right for a known threshold, would be wrong here."""
    e = math.exp(0.25)
    p, q = [0.0, 1e-9 * e, 1e-3], [0.0, 1e-9, 1e-3 * e]
    p[0], q[0] = 1 - p[1] - p[2], 1 - q[1] - q[2]
    first, second = best_of(p, 1.0, 1e-9), best_of(q, 1.0, 1e-9)
    assert 2.9 * 0.25 < math.log(first[1] / second[1]) <= 3 * 0.25
    assert best_of_a_random_number(PureDP(epsilon=0.25), shape=1.0).epsilon == 0.75


@given(amount=st.integers(0, 2**50), delta=st.integers(0, 2**50), tries=st.integers(1, 9))
def test_retries_are_reserved_in_full(amount: int, delta: int, tries: int) -> None:
    caps = {Side.TRAINING: Price(amount, delta), Side.HOLDOUT: Price(delta, amount)}
    held = reserve_retries(caps, tries=tries)
    assert held[Side.TRAINING] == Price(amount * tries, delta * tries)
    assert held[Side.HOLDOUT] == Price(delta * tries, amount * tries)


@pytest.mark.parametrize("coordinate", tuple(Coordinate))
@given(tries=st.integers(1, 9))
def test_declared_tries_compose(coordinate: Coordinate, tries: int) -> None:
    once = ApproxDP(epsilon=0.3, delta=1e-9)
    whole, one = price(declared_retries(once, tries=tries), coordinate), price(once, coordinate)
    assert whole == Price(one.amount * tries, one.delta * tries)


def test_other_adjacencies_stay_what_they_are() -> None:
    once = ApproxDP(epsilon=0.3, delta=1e-9, adjacency=Adjacency.REPLACE_ONE)
    made = (declared_retries(once, tries=3), until_passed(once, gamma=0.5))
    assert {event.adjacency for event in made} == {Adjacency.REPLACE_ONE}


@given(epsilon=st.floats(0.01, 5.0), delta=st.floats(0.0, 1e-6))
def test_private_selection_is_worse_for_one_or_two_tries(epsilon: float, delta: float) -> None:
    once = ApproxDP(epsilon=epsilon, delta=delta)
    for tries in (1, 2):
        assert compare_retries(once, tries=tries).declared_is_better
    assert not compare_retries(once, tries=3).declared_is_better


@pytest.mark.parametrize(
    "bad",
    [
        lambda: until_passed(PureDP(epsilon=1.0), gamma=0.0),
        lambda: until_passed(PureDP(epsilon=1.0), gamma=1.5),
        lambda: until_passed(PureDP(epsilon=1.0), gamma=float("nan")),
        lambda: declared_retries(PureDP(epsilon=1.0), tries=0),
        lambda: reserve_retries({}, tries=True),
        lambda: best_of_a_random_number(PureDP(epsilon=1.0), shape=-1.0),
    ],
)
def test_nonsense_is_refused(bad: object) -> None:
    with pytest.raises(ParameterError):
        bad()  # type: ignore[operator]


@pytest.mark.parametrize("event", [Gaussian(noise_multiplier=1.0), BoundedRange(eta=1.0)])
def test_only_pairs_can_be_selected_from(event: object) -> None:
    with pytest.raises(UnsupportedEvent, match=r"one \(epsilon, delta\)"):
        until_passed(event, gamma=0.5)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedEvent, match="pure tries"):
        best_of_a_random_number(ApproxDP(epsilon=1.0, delta=1e-9), shape=0.0)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedEvent, match="delta is too large"):
        until_passed(ApproxDP(epsilon=1.0, delta=0.01), gamma=0.01)
    with pytest.raises(UnsupportedEvent, match="delta is too large"):
        until_passed(ApproxDP(epsilon=800.0, delta=1e-300), gamma=0.5)
