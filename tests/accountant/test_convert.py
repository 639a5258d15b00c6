"""Conversions: golden values, deep tails against high precision, round trips, direction."""

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant import convert
from accountant.budget import CLAIM_SHARE, Budget
from accountant.calibrate import bounded_range_eta, discrete_gaussian_sigma
from accountant.compose import price
from accountant.convert import (
    delta_from_mu,
    epsilon_from_mu,
    epsilon_from_rho,
    mu_from_budget,
    rho_from_budget,
)
from accountant.errors import ParameterError
from accountant.events import BoundedRange, DiscreteGaussian
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.report import advantage_ceiling, epsilon_of, plain_reading, posterior, tpr_ceiling

BOTH = tuple(Coordinate)
EPSILONS = st.floats(1e-3, 20.0)
DELTAS = st.floats(-30.0, -1.0).map(lambda exponent: 10.0**exponent)


@pytest.mark.parametrize(("epsilon", "delta", "mu"), [(0.1, 1e-6, 0.0275), (1.0, 1e-6, 0.237), (1.0, 1e-9, 0.182)])
def test_golden_mu(epsilon: float, delta: float, mu: float) -> None:
    assert mu_from_budget(epsilon, delta) == pytest.approx(mu, rel=3e-3)


@pytest.mark.parametrize(
    ("mu", "epsilon"),
    [
        (0.01, 0.3),
        (0.0275, 0.1),
        (1e-4, 1e-3),
        (1.6, 20.0),
        (1.0, 0.0),
        (13.0, 20.0),
        (20.0, 1.0),
        (1e-3, 0.0),
        (6.0, 0.0),
        (0.9, 20.0),
    ],
)
def test_delta_is_exact_in_every_tail_and_rounded_up(mu: float, epsilon: float) -> None:
    with mpmath.workdps(700):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(-e / m + m / 2) - mpmath.exp(e) * mpmath.ncdf(-e / m - m / 2)
        ours = delta_from_mu(mu, epsilon)
        assert exact <= ours <= exact * (1 + mpmath.mpf("3e-10")) or ours == 1.0


@given(epsilon=EPSILONS, delta=DELTAS)
def test_mu_of_a_budget_is_never_above_it_and_loses_nothing(epsilon: float, delta: float) -> None:
    mu = mu_from_budget(epsilon, delta)
    assert epsilon_from_mu(mu, delta) == pytest.approx(epsilon, rel=1e-3)
    assert delta_from_mu(mu, epsilon) <= delta < delta_from_mu(mu * (1 + 1e-6), epsilon)


@given(mu=st.floats(0.01, 5.0), delta=DELTAS)
def test_epsilon_of_mu_is_never_below_the_truth_and_loses_nothing(mu: float, delta: float) -> None:
    epsilon = epsilon_from_mu(mu, delta)
    assert delta_from_mu(mu, epsilon) <= delta * (1 + 1e-9)
    assert epsilon == 0.0 or delta_from_mu(mu, epsilon * (1 - 1e-6)) > delta


@given(epsilon=EPSILONS, delta=DELTAS)
def test_rho_of_a_budget_is_never_above_it_and_loses_nothing(epsilon: float, delta: float) -> None:
    rho = rho_from_budget(epsilon, delta)
    assert epsilon * (1 - 1e-3) <= epsilon_from_rho(rho, delta) <= epsilon


@given(rho=st.floats(1e-6, 5.0), delta=DELTAS)
def test_zcdp_conversion_is_the_best_order_and_beats_the_textbook(rho: float, delta: float) -> None:
    log_delta = float(mpmath.log(delta))
    ours = epsilon_from_rho(rho, delta)
    assert ours <= rho + 2 * (rho * -log_delta) ** 0.5
    start = (-log_delta / rho) ** 0.5
    for factor in (0.3, 0.7, 0.9, 1.0, 1.1, 1.5, 3.0):
        order = mpmath.mpf(1 + start * factor)
        at = order * rho + mpmath.log(1 - 1 / order) - (log_delta + mpmath.log(order)) / (order - 1)
        assert ours <= max(0, at) * (1 + 1e-9)


@given(log_rho=st.floats(-11.0, 1.0), log_delta=st.floats(-18.0, -0.05))
@settings(max_examples=300)
def test_zcdp_is_never_below_its_own_order(log_rho: float, log_delta: float) -> None:
    """However much the terms of the order cancel; at 50 digits."""
    rho, delta = 10.0**log_rho, 10.0**log_delta
    used: list[float] = []
    order_epsilon = convert._order_epsilon

    def spied(rho: float, delta: float, log_excess: float) -> float:
        used.append(log_excess)
        return order_epsilon(rho, delta, log_excess)

    with pytest.MonkeyPatch.context() as patch, mpmath.workdps(50):
        patch.setattr(convert, "_order_epsilon", spied)
        ours = epsilon_from_rho(rho, delta)
        excess = mpmath.exp(mpmath.mpf(used[-1]))
        exact = (1 + excess) * mpmath.mpf(rho) + mpmath.log(excess / (1 + excess))
        exact += (-mpmath.log(mpmath.mpf(delta)) - mpmath.log(1 + excess)) / excess
        assert ours >= exact


@given(rho=st.floats(1e-4, 3.0), delta=st.floats(-12.0, -2.0).map(lambda exponent: 10.0**exponent))
def test_zcdp_is_never_below_the_exact_gaussian(rho: float, delta: float) -> None:
    assert epsilon_from_rho(rho, delta) >= epsilon_from_mu((2 * rho) ** 0.5, delta) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("mu", "delta"), [(-1.0, 0.1), (float("nan"), 0.1), (1.0, 0.0), (1.0, 1.0), (1.0, float("inf"))]
)
def test_nonsense_is_refused(mu: float, delta: float) -> None:
    with pytest.raises(ParameterError):
        epsilon_from_mu(mu, delta)
    with pytest.raises(ParameterError):
        epsilon_from_rho(mu, delta)


def test_a_delta_too_small_for_a_float_is_still_above_zero() -> None:
    assert 0.0 < delta_from_mu(0.5, 20.0) < 1e-307


def test_nothing_costs_nothing() -> None:
    assert delta_from_mu(0.0, 1.0) == epsilon_from_mu(0.0, 1e-9) == epsilon_from_rho(0.0, 1e-9) == 0.0
    assert epsilon_of(Price(), 1e-6, Coordinate.GDP) == 0.0


@pytest.mark.parametrize("coordinate", BOTH)
@given(amount=st.integers(1, 2**45), sensitivity=st.floats(0.5, 8.0))
def test_calibrated_noise_fits_and_is_the_least(coordinate: Coordinate, amount: int, sensitivity: float) -> None:
    sigma = discrete_gaussian_sigma(amount=amount, coordinate=coordinate, sensitivity=sensitivity)
    assert price(DiscreteGaussian(sigma=sigma, sensitivity=sensitivity), coordinate).amount <= amount
    less = DiscreteGaussian(sigma=sigma * (1 - 1e-9), sensitivity=sensitivity)
    assert price(less, coordinate).amount > amount or amount < 2**30  # one unit is coarse where the amount is small
    eta = bounded_range_eta(amount=amount, coordinate=coordinate)
    assert price(BoundedRange(eta=eta), coordinate).amount <= amount
    assert price(BoundedRange(eta=eta * (1 + 1e-9)), coordinate).amount > amount or amount < 2**30


def test_noise_within_nothing_is_refused() -> None:
    with pytest.raises(ParameterError, match="No finite noise"):
        discrete_gaussian_sigma(amount=0, coordinate=Coordinate.GDP)


@pytest.mark.parametrize("coordinate", BOTH)
@given(epsilon=EPSILONS, delta=st.floats(-13.0, -1.0).map(lambda exponent: 10.0**exponent))
def test_what_fits_a_cap_satisfies_its_budget_and_the_cap_wastes_nothing(
    coordinate: Coordinate, epsilon: float, delta: float
) -> None:
    budget = Budget(epsilon=epsilon, delta=delta, coordinate=coordinate)
    assert epsilon_of(budget.cap, delta, coordinate) <= epsilon * (1 + 1e-9)
    assert epsilon_of(budget.cap, delta, coordinate) >= epsilon * (1 - 1e-3)
    assert budget.cap.delta <= delta * CLAIM_SHARE * DELTA_UNIT
    assert Budget.from_json(budget.to_json()) == budget


def test_the_full_budget_fits_its_own_scope_once() -> None:
    cap = Budget(epsilon=1.0, delta=1e-6).cap
    assert Budget(epsilon=1.0, delta=1e-6).cap.fits(cap)
    assert not (cap + cap).fits(cap)
    assert cap.amount / AMOUNT_UNIT == pytest.approx(mu_from_budget(1.0, 1e-6 * (1 - CLAIM_SHARE)) ** 2, rel=1e-9)


@pytest.mark.parametrize(
    "bad",
    [{"epsilon": e} for e in (0.0, -1.0, float("nan"), float("inf"), 20.1)]
    + [{"delta": d} for d in (0.0, -1e-9, 1.0, 2.0, float("nan"))]
    + [{"claim_share": 1.0}, {"claim_share": -0.1}],
)
def test_budgets_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match="A budget has"):
        Budget(**({"epsilon": 1.0, "delta": 1e-6} | bad))  # type: ignore[arg-type]


def test_additive_delta_is_taken_off_before_conversion() -> None:
    spent = Price.of(0.05)
    claimed = Price.of(0.05, 0.9e-6)
    assert epsilon_of(claimed, 1e-6, Coordinate.GDP) == pytest.approx(epsilon_of(spent, 1e-7, Coordinate.GDP), rel=1e-6)
    with pytest.raises(ParameterError, match="No epsilon can be stated"):
        epsilon_of(Price.of(0.05, 1e-6), 1e-6, Coordinate.GDP)


def test_an_epsilon_beyond_the_slack_is_not_stated() -> None:
    with pytest.raises(ParameterError, match="above 20"):
        epsilon_of(Price.of(25.0), 1e-6, Coordinate.GDP)


def test_plain_reading() -> None:
    assert posterior(0.01, 1.0) == pytest.approx(0.02672, abs=1e-5)
    assert advantage_ceiling(1.0, 0.0) == pytest.approx(0.46212, abs=1e-5)
    assert tpr_ceiling(0.01, 1.0, 1e-6) == pytest.approx(0.0271838, abs=1e-6)
    assert tpr_ceiling(0.9, 1.0, 1e-6) == 1.0
    reading = plain_reading(epsilon=1.0, delta=1e-6)
    assert "1% that a person is in the data can come to believe it with at most 2.7%" in reading.sentence()
    assert all(tpr <= fpr * 2.72 + 1e-6 for fpr, tpr in reading.tpr_at)
