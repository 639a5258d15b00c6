"""Exponentials, the discrete Gaussian and Laplace tables and selection weights, against mpmath at 500 bits."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import ParameterError
from dpsynth.noise import gaussian, laplace
from dpsynth.noise.fixed_point import WEIGHT_BITS, exp_neg, powers_of_exp
from dpsynth.noise.gaussian import discrete_gaussian_table, gaussian_cut
from dpsynth.noise.laplace import discrete_laplace_table, laplace_cut
from dpsynth.noise.selection import selection_table

FULL = mpmath.mpf(2) ** 256
CLAIMED = mpmath.mpf(2) ** -129
"""Total variation of each shipped table, as its docstring has it; the accountant charges 2**-127."""


@pytest.fixture(autouse=True)
def _precision():
    with mpmath.workprec(500):
        yield


def exact(value):
    return mpmath.mpf(value.numerator) / value.denominator


def total_variation(table, law, tail):
    """Against a law given on the table's support plus the mass outside it."""
    found = [mpmath.mpf(n) / FULL for n in table.numerators]
    return (sum(abs(f - p) for f, p in zip(found, law, strict=True)) + tail) / 2


@given(st.fractions(min_value=0, max_value=420), st.sampled_from([64, 256, WEIGHT_BITS]))
@settings(max_examples=60, deadline=None)
def test_exp_neg_is_within_a_unit(exponent, bits):
    assert abs(exp_neg(exponent, bits) - mpmath.exp(-exact(exponent)) * 2**bits) <= 1


@given(st.fractions(min_value=Fraction(1, 10**12), max_value=50), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_powers_are_within_their_units(rate, k):
    found = powers_of_exp(rate)(k)
    assert abs(found - mpmath.exp(-exact(rate) * k) * 2**WEIGHT_BITS) <= 2 * k.bit_length() + 1


def gaussian_law(sigma, cut):
    weights = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * mpmath.mpf(sigma) ** 2)) for k in range(4 * cut + 40)]
    total = 2 * sum(weights) - 1
    return [weights[abs(k)] / total for k in range(-cut, cut + 1)], 2 * sum(weights[cut + 1 :]) / total


@pytest.mark.parametrize("sigma", [0.01, 0.3, 0.7, 1.0, 3.3, 10.0, 47.123])
def test_discrete_gaussian_table_is_its_law(sigma):
    table, cut = discrete_gaussian_table(sigma), gaussian_cut(sigma)
    law, tail = gaussian_law(sigma, cut)
    assert len(table) == 2 * cut + 1
    assert tail < CLAIMED
    assert total_variation(table, law, tail) < CLAIMED
    assert max(abs(n / FULL - p) for n, p in zip(table.numerators, law, strict=True)) < mpmath.mpf(2) ** -120
    assert table.numerators == table.numerators[::-1]


@pytest.mark.parametrize("scale", [0.01, 0.4, 1.0, 7.77, 30.0])
def test_discrete_laplace_table_is_its_law(scale):
    table, cut = discrete_laplace_table(scale), laplace_cut(scale)
    ratio = mpmath.exp(-1 / mpmath.mpf(scale))
    law = [(1 - ratio) / (1 + ratio) * ratio ** abs(k) for k in range(-cut, cut + 1)]
    tail = 2 * ratio ** (cut + 1) / (1 + ratio)
    assert tail < CLAIMED
    assert total_variation(table, law, tail) < CLAIMED
    assert table.numerators == table.numerators[::-1]


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=6), st.integers(1, 10**6), st.floats(1e-4, 20.0))
@settings(max_examples=60, deadline=None)
def test_selection_table_is_its_law(scores, sensitivity, eta):
    best = max(scores)
    weights = [mpmath.exp(-mpmath.mpf(eta) * (best - s) / (2 * sensitivity)) for s in scores]
    law = [w / sum(weights) for w in weights]
    assert total_variation(selection_table(scores, sensitivity=sensitivity, eta=eta), law, 0) < mpmath.mpf(2) ** -240


@pytest.mark.parametrize("sigma", [0.0, -1.0, 0.009, 1.1e5, float("inf"), float("nan")])
def test_noise_out_of_range_is_refused(sigma):
    with pytest.raises(ParameterError):
        discrete_gaussian_table(sigma)
    with pytest.raises(ParameterError):
        discrete_laplace_table(sigma)


@pytest.mark.parametrize(
    ("scores", "sensitivity", "eta"),
    [([], 1, 1.0), ([1], 0, 1.0), ([1], 1, 0.0), ([1], 1, float("inf")), ([1], 1, float("nan"))],
)
def test_selections_out_of_range_are_refused(scores, sensitivity, eta):
    with pytest.raises(ParameterError):
        selection_table(scores, sensitivity=sensitivity, eta=eta)


def test_scores_are_never_floats():
    with pytest.raises(TypeError):
        selection_table([1.0, 2.0], sensitivity=1, eta=1.0)
    with pytest.raises(TypeError):
        selection_table([1, 2], sensitivity=1.5, eta=1.0)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0, 7.7, 1e5])
def test_the_cuts_are_as_stated(sigma):
    assert gaussian_cut(sigma) == math.ceil(13.5 * sigma) + 1
    assert laplace_cut(sigma) == math.ceil(91 * sigma) + 1


@pytest.mark.parametrize(
    ("module", "limit", "table", "least", "most"),
    [
        (gaussian, "LARGEST_SIGMA", discrete_gaussian_table, 0.01, 100_000),
        (laplace, "LARGEST_SCALE", discrete_laplace_table, 0.01, 10_000),
    ],
)
def test_the_ends_of_the_range_are_in_it(monkeypatch, module, limit, table, least, most):
    """The largest table takes long to make, so the check at that end is made with a smaller limit."""
    with pytest.raises(ParameterError, match=f"from {least} to {most} counts"):
        table(math.nextafter(most, math.inf))
    with pytest.raises(ParameterError):
        table(math.nextafter(least, 0.0))
    assert len(table(least)) > 1
    monkeypatch.setattr(module, limit, 3.8125)
    assert len(table(3.8125)) > 50
    with pytest.raises(ParameterError):
        table(math.nextafter(3.8125, 4.0))


@given(st.fractions(min_value=0, max_value=420), st.sampled_from([64, 256, WEIGHT_BITS]))
@settings(max_examples=60, deadline=None)
def test_exp_neg_of_nothing_is_one_and_of_much_is_zero(exponent, bits):
    assert exp_neg(Fraction(0), bits) == 1 << bits
    assert exp_neg(exponent + bits, bits) == 0
    assert 0 <= exp_neg(exponent, bits) <= 1 << bits


@pytest.mark.parametrize("rate", [Fraction(1, 3), Fraction(2), Fraction(7, 2), Fraction(WEIGHT_BITS)])
def test_powers_at_their_first_and_last_places(rate):
    """Every binary digit of k alone, and the places around the one from which on all are zero."""
    power, limit = powers_of_exp(rate), int(WEIGHT_BITS / rate) + 1
    for k in [0, *(1 << j for j in range(12)), limit - 1, limit, limit + 1]:
        wanted = mpmath.exp(-exact(rate) * k) * 2**WEIGHT_BITS
        assert abs(power(k) - wanted) <= 2 * k.bit_length() + 1
        assert k < limit or power(k) == 0
    assert power(0) == 1 << WEIGHT_BITS


def test_equal_scores_are_equally_likely_and_the_best_most():
    table = selection_table([7, 7, 7, 7], sensitivity=3, eta=0.25)
    assert table.numerators == [2**254] * 4
    low, high = selection_table([0, 6], sensitivity=3, eta=1.0).numerators
    assert high / low == pytest.approx(math.e, rel=1e-12)
