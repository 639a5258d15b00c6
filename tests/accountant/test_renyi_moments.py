"""Moments of sampled Gaussians, against the sums that define their bounds: neither too small nor needlessly large."""

import math

import pytest

from accountant.rules.rdp import _poisson_moment, _without_replacement


@pytest.mark.parametrize("order", [2, 3, 7])
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_a_sample_of_everybody_is_no_sample(order: int, rate: float) -> None:
    assert _poisson_moment(order, 1.0, rate) == pytest.approx(order * (order - 1) * rate, rel=1e-12)


@pytest.mark.parametrize("order", [2, 3, 7])
@pytest.mark.parametrize("q", [0.01, 0.4])
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_a_poisson_moment_is_its_binomial_sum(order: int, q: float, rate: float) -> None:
    terms = (
        math.comb(order, k) * (1 - q) ** (order - k) * q**k * math.exp(k * (k - 1) * rate) for k in range(order + 1)
    )
    exact = math.log(math.fsum(terms))
    assert exact <= _poisson_moment(order, q, rate) <= exact + 1e-11


@pytest.mark.parametrize("order", [2, 3, 7])
@pytest.mark.parametrize("q", [0.01, 0.4])
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_the_bound_of_a_fixed_size_is_its_sum(order: int, q: float, rate: float) -> None:
    """log(1 + q^2 C(n, 2) min(4 (e^D2 - 1), 2 e^D2) + sum over j >= 3 of 2 q^j C(n, j) e^((j-1) D_j)), D_j = j rate."""
    second = q**2 * math.comb(order, 2) * min(4 * math.expm1(2 * rate), 2 * math.exp(2 * rate))
    rest = (2 * q**j * math.comb(order, j) * math.exp((j - 1) * j * rate) for j in range(3, order + 1))
    exact = math.log1p(second + math.fsum(rest))
    assert exact <= _without_replacement(order, q, rate) <= exact + 1e-11
