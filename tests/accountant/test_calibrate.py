"""Calibration: certified, never above the target, within 1e-3 of it, and nothing smaller would do."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant import calibrate
from accountant.adjacency import Adjacency
from accountant.calibrate import (
    bounded_range_eta,
    discrete_gaussian_sigma,
    epsilon_of_plan,
    largest_count,
    least_noise,
)
from accountant.compose import price
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    Event,
    Gaussian,
    PoissonSampledGaussian,
    PureDP,
    Repeat,
)
from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.report import epsilon_of


def dp_sgd(noise: float) -> Event:
    step = PoissonSampledGaussian(noise_multiplier=noise, sampling_probability=256 / 32561)
    return Repeat(event=step, count=1270)


def repeated(noise: float) -> Event:
    return Repeat(event=DiscreteGaussian(sigma=noise, draws=10), count=50)


def select_and_measure(noise: float) -> Event:
    """224 rounds of which a selection takes a tenth of mu^2."""
    amount = max(1, int(AMOUNT_UNIT / (9.0 * noise**2)))
    selection = BoundedRange(eta=bounded_range_eta(amount=amount, coordinate=Coordinate.GDP))
    return Repeat(event=Composed(events=(selection, DiscreteGaussian(sigma=noise))), count=224)


def staircase(noise: float) -> Event:
    return Gaussian(noise_multiplier=math.ceil(noise * 2.0) / 2.0)


@pytest.mark.parametrize(
    ("plan", "epsilon", "smooth"),
    [
        (dp_sgd, 1.838, True),
        (repeated, 0.1, True),
        (select_and_measure, 1.0, True),
        (staircase, 1.0, False),
    ],
)
def test_the_least_noise_is_certified_and_never_above_its_target(plan: object, epsilon: float, smooth: bool) -> None:
    found = least_noise(plan, epsilon=epsilon, delta=1e-6)  # type: ignore[arg-type]
    certified, name = epsilon_of_plan(plan(found.scale), 1e-6)  # type: ignore[operator]
    assert (found.epsilon, found.accountant) == (certified, name)
    assert certified <= epsilon
    if smooth:
        assert certified >= epsilon * (1 - 1e-3)
    less = 0.995 if smooth else 1.0 - 0.51 / found.scale
    assert epsilon_of_plan(plan(found.scale * less), 1e-6)[0] > epsilon  # type: ignore[operator]


def test_a_guess_far_off_ends_at_the_same_noise() -> None:
    near, far = (least_noise(repeated, epsilon=0.1, delta=1e-6, start=start).scale for start in (200.0, 1e-3))
    assert near == pytest.approx(far, rel=1e-3)


@pytest.mark.parametrize("factor", [0.9995, 0.97, 1.05])
def test_certification_ends_just_within_from_either_side(factor: float) -> None:
    """Whatever the coarse grid hands over: a little too little noise, far too little, or too much."""
    near = least_noise(repeated, epsilon=0.1, delta=1e-6, start=200.0)
    found = calibrate._certified(repeated, near.scale * factor, epsilon=0.1, delta=1e-6)
    assert 0.1 * (1 - 1e-3) <= found.epsilon <= 0.1
    assert epsilon_of_plan(repeated(found.scale), 1e-6)[0] == found.epsilon


def test_a_plan_of_selections_needs_less_noise_than_any_conversion_of_rho() -> None:
    """At least 4.2 % less, with the selections' price in each accountant's own coordinate."""

    def in_rho(noise: float) -> float:
        eta = bounded_range_eta(amount=int(AMOUNT_UNIT / (18.0 * noise**2)), coordinate=Coordinate.ZCDP)
        plan = Repeat(event=Composed(events=(BoundedRange(eta=eta), DiscreteGaussian(sigma=noise))), count=224)
        return epsilon_of(price(plan, Coordinate.ZCDP), 1e-6, Coordinate.ZCDP)

    low, high = 1.0, 1000.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if in_rho(middle) > 1.0 else (low, middle)
    assert least_noise(select_and_measure, epsilon=1.0, delta=1e-6).scale < high * (1 - 0.042)


@settings(max_examples=4, deadline=None)
@given(epsilon=st.floats(0.05, 8.0), log_delta=st.floats(-11.0, -3.0), noise=st.floats(0.5, 30.0))
def test_the_smallest_of_the_bounds_is_stated(epsilon: float, log_delta: float, noise: float) -> None:
    delta = 10.0**log_delta
    event = Repeat(event=Gaussian(noise_multiplier=noise), count=3)
    stated, _ = epsilon_of_plan(event, delta)
    try:
        assert stated <= min(epsilon_of(price(event, c), delta, c) for c in Coordinate)
    except ParameterError:
        assert stated > 15.0
    found = least_noise(lambda scale: Gaussian(noise_multiplier=scale), epsilon=epsilon, delta=delta)
    assert epsilon * (1 - 1e-3) <= found.epsilon <= epsilon


@pytest.mark.parametrize(("epsilon", "noise"), [(1.0, 12.0), (0.3, 40.0)])
def test_the_largest_number_of_steps(epsilon: float, noise: float) -> None:
    def plan(count: int) -> Event:
        return Composed(events=(BoundedRange(eta=0.1), Repeat(event=Gaussian(noise_multiplier=noise), count=count)))

    found = largest_count(plan, epsilon=epsilon, delta=1e-6)
    assert found.scale == int(found.scale) >= 1
    assert epsilon_of_plan(plan(int(found.scale)), 1e-6)[0] == found.epsilon <= epsilon
    assert epsilon_of_plan(plan(int(found.scale) + 1), 1e-6)[0] > epsilon


def test_what_no_noise_reaches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_MOST_DOUBLINGS", 4)
    mixed = PureDP(epsilon=0.1, adjacency=Adjacency.REPLACE_ONE)
    with pytest.raises(ParameterError, match="No noise stays within it"):
        least_noise(lambda _: PureDP(epsilon=2.0), epsilon=1.0, delta=1e-6)
    with pytest.raises(ParameterError, match="Any noise stays within it"):
        least_noise(lambda _: PureDP(epsilon=0.5), epsilon=1.0, delta=1e-6)
    with pytest.raises(ParameterError, match="No noise stays within it"):
        least_noise(lambda _: ApproxDP(epsilon=0.1, delta=1e-5), epsilon=1.0, delta=1e-6)
    with pytest.raises(ParameterError, match="Not even one step"):
        largest_count(lambda n: Repeat(event=PureDP(epsilon=2.0), count=n), epsilon=1.0, delta=1e-6)
    with pytest.raises(UnsupportedEvent, match="can't be added"):
        least_noise(lambda s: Composed(events=(mixed, Gaussian(noise_multiplier=s))), epsilon=1.0, delta=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-6), (21.0, 1e-6), (1.0, 0.0), (1.0, 1.0), (math.nan, 1e-6)])
def test_targets_out_of_range_are_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(ParameterError, match="was calibrated to"):
        least_noise(repeated, epsilon=epsilon, delta=delta)
    with pytest.raises(ParameterError, match="was calibrated to"):
        largest_count(lambda n: repeated(n), epsilon=epsilon, delta=delta)


@pytest.mark.parametrize("coordinate", tuple(Coordinate))
@given(log_amount=st.floats(0.0, 53.0), sensitivity=st.floats(0.5, 50.0))
@settings(max_examples=60)
def test_closed_forms_fit_however_much_is_allowed(
    coordinate: Coordinate, log_amount: float, sensitivity: float
) -> None:
    """Up to mu = 90, past the tails' reach, where noise is found by bisection."""
    amount = int(2.0**log_amount)
    sigma = discrete_gaussian_sigma(amount=amount, coordinate=coordinate, sensitivity=sensitivity)
    assert price(DiscreteGaussian(sigma=sigma, sensitivity=sensitivity), coordinate).amount <= amount
    eta = bounded_range_eta(amount=amount, coordinate=coordinate)
    assert price(BoundedRange(eta=eta), coordinate).amount <= amount
    if amount > 2**34:
        for less, event in (
            (sigma, lambda s: DiscreteGaussian(sigma=s, sensitivity=sensitivity)),
            (1.0 / eta, lambda s: BoundedRange(eta=1.0 / s)),
        ):
            try:
                assert price(event(less * (1 - 1e-9)), coordinate).amount > amount  # type: ignore[no-untyped-call]
            except UnsupportedEvent:
                assert amount > 2**51


def test_where_an_accountant_has_no_number_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(scale: float, delta: float) -> tuple[float, str]:
        return (math.inf if scale < 1.0 else 0.0 if scale > 8.0 else 2.0 / scale), "told"

    monkeypatch.setattr(calibrate, "epsilon_of_plan", told)
    for start in (0.3, 20.0):
        found = calibrate._certified(lambda scale: scale, start, epsilon=1.0, delta=1e-6)  # type: ignore[arg-type, return-value]
        assert 0.99 <= found.epsilon <= 1.0
