"""The mu of single primitives, every float rounded up.

The discrete Gaussian. Let X have the discrete Gaussian law with parameter sigma, distribution function F, and let the
shift be by 1. X is log-concave, so the best tests are thresholds: the trade-off curve of X against X + 1 is piecewise
linear with vertices (P[X >= k], P[X < k - 1]). A piecewise linear curve lies above the convex curve of GDP(mu) iff its
vertices do, that is iff mu >= probit(F(k)) - probit(F(k - 1)) for every k. The largest of these is in the centre (a
test compares all k), so mu_1 = probit(F(0)) - probit(F(-1)) = 2 probit((1 + P[X = 0]) / 2): a little above 1/sigma.
A shift by j costs at most j mu_1 (telescoping: X, X + 1, ..., X + j), and independent cells compose, so any integer
shift of L2 norm at most s costs at most s mu_1.

Source: Dong, Roth, Su 2022 (arXiv:1905.02383), Theorem 2.10.
"""

import math

from accountant.errors import UnsupportedEvent
from accountant.normal import centred_quantile

SAFETY = 1e-12
"""Relative amount added to every mu computed in floats; their own error is below 1e-13."""


def discrete_gaussian_mu(sigma: float) -> float:
    """The mu of one discrete Gaussian draw of parameter ``sigma`` under a shift by 1, rounded up."""
    tail = mass_beside_zero(sigma)
    return _twice_centred(1.0 / (1.0 + tail), tail / (1.0 + tail))


def mass_beside_zero(sigma: float) -> float:
    """Sum of exp(-k^2 / (2 sigma^2)) over k != 0, directly or (from sigma 1) by Poisson summation."""
    if sigma < 1.0:
        return 2.0 * math.fsum(math.exp(-k * k / (2.0 * sigma * sigma)) for k in range(1, 13))
    ripple = math.fsum(math.exp(-2.0 * (math.pi * sigma * k) ** 2) for k in (1, 2, 3))
    return sigma * math.sqrt(2.0 * math.pi) * (1.0 + 2.0 * ripple) - 1.0


def pure_mu(epsilon: float) -> float:
    """The smallest mu whose curve lies below every (epsilon, 0) curve: 2 probit(e^epsilon / (1 + e^epsilon))."""
    return _twice_centred(math.tanh(epsilon / 2.0), 2.0 * math.exp(-epsilon) / (1.0 + math.exp(-epsilon)))


def bounded_range_mu(eta: float) -> float:
    """The smallest mu for every ``eta``-bounded-range mechanism: 2 probit(1 / (1 + exp(-eta / 2))).

    Its worst pairs have two outcomes with log ratios t and t - eta; the mu of that pair is largest at t = eta / 2.
    """
    return pure_mu(eta / 2.0)


def _twice_centred(inside: float, outside: float) -> float:
    x = centred_quantile(inside, outside)
    if x is None:
        raise UnsupportedEvent(
            "An event has too little noise to be priced.",
            "Its mu is above 70, far beyond any budget.",
            "Use more noise.",
        )
    return 2.0 * x * (1.0 + SAFETY)
