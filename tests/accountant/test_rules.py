"""The price of one application, against independent high-precision arithmetic and every rule's own definition."""

import math
from itertools import pairwise

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.compose import RULES, price
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    EVENT_TYPES,
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Gaussian,
    Laplace,
    PureDP,
    Repeat,
)
from accountant.normal import centred_quantile
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.rules.mu import bounded_range_mu, discrete_gaussian_mu, pure_mu
from accountant.rules.slack import sampler_slack

BOTH = tuple(Coordinate)
LEVELS = st.floats(0.05, 1e4)


def probit(p: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


@pytest.mark.parametrize("coordinate", BOTH)
def test_every_event_has_exactly_one_rule(coordinate: Coordinate) -> None:
    assert set(RULES[coordinate]) | {Repeat, Composed} == set(EVENT_TYPES.values())
    assert not set(RULES[coordinate]) & {Repeat, Composed}


def test_an_event_without_a_rule_is_refused() -> None:
    class Strange(Event):
        pass

    with pytest.raises(UnsupportedEvent, match="no price in the coordinate"):
        price(Strange(), Coordinate.GDP)


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7, 1.0, 1.5, 2.0, 5.0])
def test_discrete_gaussian_mu_is_the_largest_step_of_the_trade_off_curve(sigma: float) -> None:
    """mu_1 = max over ALL thresholds k of probit(F(k)) - probit(F(k - 1)), at 400 digits where the tails need them."""
    reach = math.ceil(12 * sigma) + 2
    with mpmath.workdps(400):
        s = mpmath.mpf(sigma)
        weights = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * s**2)) for k in range(-3 * reach, 3 * reach + 1)]
        mass, sums = mpmath.fsum(weights), [mpmath.mpf(0)]
        for weight in weights:
            sums.append(sums[-1] + weight)
        # F(-1) and below; the other half follows by symmetry
        below = [sums[3 * reach + 1 + k] / mass for k in range(-reach, 0)]
    with mpmath.workdps(60):
        quantiles = [
            -mpmath.sqrt(2) * mpmath.findroot(lambda y, p=p: mpmath.log(mpmath.erfc(y) / 2 / p), 2 + i / 99)
            for i, p in enumerate(reversed(below[-min(reach, 25) :]))
        ]
        steps = [-2 * quantiles[0]] + [a - b for a, b in pairwise(quantiles)]
        largest = max(steps)
        assert largest == steps[0], "the centre is the worst threshold"
        ours = mpmath.mpf(discrete_gaussian_mu(sigma))
        assert largest <= ours <= largest * (1 + mpmath.mpf("3e-12"))


@pytest.mark.parametrize(("sigma", "excess"), [(1, 4.6e-2), (2, 1.1e-2), (5, 1.7e-3), (10, 4.2e-4), (30, 4.6e-5)])
def test_discrete_gaussian_costs_more_than_the_continuous_one(sigma: float, excess: float) -> None:
    assert discrete_gaussian_mu(sigma) * sigma - 1 == pytest.approx(excess, rel=0.04)


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.999999, 1.0, 3.0, 250.0, 1e6])
def test_discrete_gaussian_mu_is_rounded_up(sigma: float) -> None:
    with mpmath.workdps(250):
        s = mpmath.mpf(sigma)
        mass = (
            mpmath.nsum(lambda k: mpmath.exp(-(k**2) / (2 * s**2)), [-mpmath.inf, mpmath.inf])
            if s < 5
            else (s * mpmath.sqrt(2 * mpmath.pi) * (1 + 2 * mpmath.exp(-2 * (mpmath.pi * s) ** 2)))
        )
        exact = 2 * probit((1 + 1 / mass) / 2)
        assert exact <= discrete_gaussian_mu(sigma) <= exact * (1 + mpmath.mpf("3e-12"))


@pytest.mark.parametrize("epsilon", [1e-8, 0.01, 0.5, 1.0, 1.0986, 5.0, 40.0, 600.0])
def test_pure_mu_is_exact_and_rounded_up(epsilon: float) -> None:
    with mpmath.workdps(600):
        e = mpmath.exp(mpmath.mpf(epsilon))
        exact = 2 * probit(e / (1 + e))
        assert exact <= pure_mu(epsilon) <= exact * (1 + mpmath.mpf("3e-12"))


@pytest.mark.parametrize("eta", [0.05, 0.5, 2.0, 6.0])
def test_bounded_range_mu_covers_every_bounded_range_pair(eta: float) -> None:
    """Pairs with log ratios t and t - eta: none needs a larger mu than the one in the middle."""
    worst = 0.0
    for i in range(1, 400):
        t = mpmath.mpf(eta) * i / 400
        q = (1 - mpmath.exp(t - eta)) / (mpmath.exp(t) - mpmath.exp(t - eta))
        worst = max(worst, probit(mpmath.exp(t) * q) - probit(q))
    assert worst <= bounded_range_mu(eta) <= worst * (1 + mpmath.mpf("3e-12"))


def test_known_rho() -> None:
    def rho(event: Event) -> float:
        return price(event, Coordinate.ZCDP).amount / AMOUNT_UNIT

    assert rho(Gaussian(noise_multiplier=2.0)) == 1 / 8
    assert rho(DiscreteGaussian(sigma=4.0, sensitivity=2.0)) == 1 / 8
    assert rho(BoundedRange(eta=2.0)) == 1 / 2
    assert rho(PureDP(epsilon=1.0)) == rho(Laplace(scale=1.0)) == rho(DiscreteLaplace(scale=1.0)) == 1 / 2
    assert price(ApproxDP(epsilon=1.0, delta=2.0**-20), Coordinate.ZCDP) == Price(AMOUNT_UNIT // 2, DELTA_UNIT >> 20)


@pytest.mark.parametrize("coordinate", BOTH)
def test_sensitivity_scales_mu_and_a_claim_pays_its_pure_pair_and_its_delta(coordinate: Coordinate) -> None:
    one = price(DiscreteGaussian(sigma=7.0), coordinate).amount
    three = price(DiscreteGaussian(sigma=7.0, sensitivity=3.0), coordinate).amount
    assert 9 * (one - 1) <= three <= 9 * one
    pure, claim = price(PureDP(epsilon=0.7), coordinate), price(ApproxDP(epsilon=0.7, delta=1e-7), coordinate)
    assert claim == pure + Price.of(0, 1e-7)


def test_slack_is_charged_for_every_draw_and_valid_to_epsilon_20() -> None:
    with mpmath.workdps(50):
        exact = mpmath.mpf(2) ** -127 * (1 + mpmath.exp(20))
        charged = mpmath.mpf(sampler_slack(1).numerator) / sampler_slack(1).denominator
        assert exact <= charged <= exact * (1 + mpmath.mpf("1e-8"))
    assert sampler_slack(10) == 10 * sampler_slack(1)
    for event in (DiscreteGaussian(sigma=1.0), DiscreteLaplace(scale=1.0), BoundedRange(eta=1.0)):
        assert price(event, Coordinate.GDP).delta == price(event, Coordinate.ZCDP).delta == 1
    assert price(DiscreteGaussian(sigma=1.0, draws=2**40), Coordinate.GDP).delta == math.ceil(
        sampler_slack(2**40) * DELTA_UNIT
    )
    assert price(Gaussian(noise_multiplier=1.0), Coordinate.GDP).delta == 0


@pytest.mark.parametrize("coordinate", BOTH)
@given(level=LEVELS, factor=st.floats(1.000001, 50.0))
def test_more_noise_never_costs_more(coordinate: Coordinate, level: float, factor: float) -> None:
    more = level * factor
    pairs: list[tuple[Event, Event]] = [
        (Gaussian(noise_multiplier=level), Gaussian(noise_multiplier=more)),
        (DiscreteGaussian(sigma=level), DiscreteGaussian(sigma=more)),
        (Laplace(scale=level), Laplace(scale=more)),
        (DiscreteLaplace(scale=level), DiscreteLaplace(scale=more)),
        (BoundedRange(eta=1 / level), BoundedRange(eta=1 / more)),
        (PureDP(epsilon=1 / level), PureDP(epsilon=1 / more)),
        (ApproxDP(epsilon=1 / level, delta=1e-6), ApproxDP(epsilon=1 / more, delta=1e-7)),
    ]
    for noisy, noisier in pairs:
        assert price(noisier, coordinate).fits(price(noisy, coordinate))


def test_too_little_noise_is_refused_not_mispriced() -> None:
    assert centred_quantile(1.0, 1e-301) is None
    with pytest.raises(UnsupportedEvent, match="too little noise"):
        price(DiscreteGaussian(sigma=0.01), Coordinate.GDP)
    with pytest.raises(UnsupportedEvent, match="too little noise"):
        price(PureDP(epsilon=800.0), Coordinate.GDP)


def test_prices_are_whole_units_rounded_up() -> None:
    assert Price.of(2.0**-40) == Price(1, 0)
    assert Price.of(2.0**-41, 2.0**-70) == Price(1, 1)
    assert Price(3, 1).larger(Price(2, 5)) == Price(3, 5)
    assert not Price(3, 1).fits(Price(3, 0))
    assert not Price(3, 1).fits(Price(2, 1))
    for bad in ((-1, 0), (0, -1), (0.5, 0), (True, 0)):
        with pytest.raises(ParameterError):
            Price(*bad)
    with pytest.raises(ParameterError):
        Price.of(math.inf)
