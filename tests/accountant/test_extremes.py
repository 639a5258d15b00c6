"""Next to no noise and next to no sampling: roundings, overflows and underflows never make a claim smaller."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from accountant.adjacency import Adjacency
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import DiscreteGaussian, DiscreteLaplace, Laplace, PoissonSampledGaussian, event_from_json
from accountant.losses import Tilted, discretise, on_grid
from accountant.pld import profile
from accountant.rules.pld import PLD_RULES, Floats, gaussian_curve
from accountant.rules.rdp import _without_replacement


@pytest.mark.parametrize("q", [1e-3, 0.5, 1.0])
@pytest.mark.parametrize("sigma", [1e-3, 0.01, 0.02, 0.0255, 0.026])
def test_a_replaced_record_is_seen_however_little_the_noise(sigma: float, q: float) -> None:
    step = PoissonSampledGaussian(noise_multiplier=sigma, sampling_probability=q, adjacency=Adjacency.REPLACE_ONE)
    plan = profile([step], grid=0.01)
    assert plan.delta(0.0) >= q * float(ndtr(1.0 / sigma) - ndtr(-1.0 / sigma))
    assert plan.epsilon(q / 2.0) == math.inf


def test_a_sampled_step_next_to_no_noise_and_to_no_sampling() -> None:
    plan = profile([PoissonSampledGaussian(noise_multiplier=0.02, sampling_probability=1e-9)], grid=0.01)
    assert plan.delta(0.0) >= 1e-9 * (1.0 - 2.0 * float(ndtr(-25.0)))
    assert plan.epsilon(1e-10) == math.inf


def test_a_sampled_step_is_seen_far_beyond_every_epsilon() -> None:
    single = PLD_RULES[PoissonSampledGaussian](PoissonSampledGaussian(noise_multiplier=0.02, sampling_probability=1e-9))
    epsilons = np.array([29.0, 31.0, 600.0, 690.0, 710.0, 1100.0])
    for epsilon, ours in zip(epsilons, single.pair.forward(epsilons), strict=True):
        with mpmath.workdps(700):
            inside = mpmath.log(1 + mpmath.expm1(float(epsilon)) / mpmath.mpf(1e-9))
        exact = 1e-9 * float(ndtr(25.0 - float(inside) / 50.0))  # less what is subtracted, at most 0.3 of it
        assert 0.5 * exact <= float(ours) <= exact * (1.0 + 1e-9)


def _rising(epsilon: Floats) -> Floats:
    return np.minimum(epsilon, 1.0)


def _nothing(epsilon: Floats) -> Floats:
    return epsilon * 0.0


@pytest.mark.parametrize("curve", [_rising, lambda e: e * math.nan, lambda e: -0.5 - e * 0.0])
def test_a_curve_that_is_none_is_refused(curve: object) -> None:
    with pytest.raises(UnsupportedEvent, match="isn't that of any mechanism"):
        discretise(curve, _nothing, grid=0.1)  # type: ignore[arg-type]
    assert discretise(_nothing, _nothing, grid=0.1).lost == 0.0


def test_a_bound_too_small_for_a_hull_stays_as_it_is() -> None:
    above = np.array([1e-7, 5e-8, 9e-8, 1e-8, 0.0])
    law = on_grid(np.zeros(0), above, grid=0.01)
    assert np.all(law.mass >= 0.0)
    over = law.values[:, None] - law.values[None, :]
    curve = (law.mass[:, None] * np.maximum(-np.expm1(-over), 0.0)).sum(axis=0)
    assert np.all(curve + law.lost >= above)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.51, 400.0, 5e5])
@pytest.mark.parametrize("q", [1e-3, 1e-200])
def test_the_second_moment_of_a_small_sample_is_not_cut(q: float, rate: float) -> None:
    with mpmath.workdps(50):
        r = mpmath.mpf(rate)
        exact = mpmath.log1p(mpmath.mpf(q) ** 2 * min(4 * mpmath.expm1(2 * r), 2 * mpmath.exp(2 * r)))
        assert exact <= _without_replacement(2, q, rate) <= exact * (1 + mpmath.mpf("1e-14")) + 2e-12


def test_an_answer_that_is_no_number_is_infinite() -> None:
    law = Tilted(1.0, 0.0, np.array([0.0, 1.0]), np.array([0.5, 0.5]), math.nan, 0.0, 50.0)
    assert law.epsilon(1e-6) == math.inf


@pytest.mark.parametrize("sensitivity", [1, 2, 3, 7])
def test_the_largest_loss_is_never_below_the_quotient(sensitivity: int) -> None:
    for scale in (0.1, 0.3, 0.7, 1.1, 3.0, 9.7):
        exact = Fraction(sensitivity) / Fraction(scale)
        below = math.nextafter(float(exact), 0.0)
        for kind in (Laplace, DiscreteLaplace):
            event = kind(scale=scale, sensitivity=sensitivity)
            assert float(PLD_RULES[kind](event).pair.forward(np.array([below]))[0]) > 0.0


@pytest.mark.parametrize("draws", [1.0, 2.5, True, np.int64(3)])
def test_draws_are_counted_in_whole_numbers(draws: object) -> None:
    for make in (lambda: DiscreteGaussian(sigma=1.0, draws=draws), lambda: DiscreteLaplace(scale=1.0, draws=draws)):
        with pytest.raises(ParameterError, match="whole numbers"):
            make()  # type: ignore[no-untyped-call]


def test_an_older_entry_with_a_whole_float_is_read() -> None:
    event = DiscreteGaussian(sigma=2.0, draws=3)
    assert event_from_json(event.to_json() | {"draws": (3.0).hex()}) == event
    assert event_from_json(event.to_json() | {"draws": 3.0}) == event
    with pytest.raises(ParameterError, match="whole numbers"):
        event_from_json(event.to_json() | {"draws": (2.5).hex()})


def test_a_gaussian_curve_takes_every_epsilon() -> None:
    assert float(gaussian_curve(50.0)(np.array([math.inf]))[0]) == 0.0
