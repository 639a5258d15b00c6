"""RDP: bounds on the Renyi divergence, in both directions, of ONE application of each event, on a grid of orders.

A cross-check and a line of reports, never the price of a scope. A rule gives the divergences at ``ORDERS``, a little
rounded up, and the additive delta that stays outside. Where a formula holds at whole orders only, the orders between
them take the chord of (alpha - 1) D_alpha, which is convex in alpha and 0 at order 1.

Sources: Mironov 2017 (arXiv:1702.07476), Proposition 6 (Laplace), Table II; Mironov, Talwar, Zhang 2019
(arXiv:1908.10530), Sections 3.2 and 3.3 (Poisson, add-remove); Wang, Balle, Kasiviswanathan 2019 (arXiv:1808.00087),
Theorem 9 (samples of fixed size); Bun, Steinke 2016 (zCDP, pure); Canonne, Kamath, Steinke 2020 (discrete Gaussian).
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from accountant.events import (
    ZCDP,
    ApproxDP,
    BoundedRange,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    FixedSizeSampledGaussian,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
)
from accountant.rules.selection import released_alone, selection_mu_square
from accountant.rules.slack import sampler_slack

Floats = NDArray[np.float64]
Divergences = tuple[Floats, Fraction]
"""Divergences at ``ORDERS``, and an additive delta."""

WHOLE_ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 768, 1024)
ORDERS: tuple[float, ...] = (1.1, 1.25, 1.5, 1.75, *(k / 2 for k in range(4, 21)), *WHOLE_ORDERS[9:])
"""From 1.1 to 1,024: halves up to 10, whole orders above."""
_UP = 1.0 + 1e-11


def _orders() -> Floats:
    return np.array(ORDERS)


def _linear(rho: float, delta: Fraction = Fraction(0)) -> Divergences:
    return _orders() * rho * _UP, delta


def _gaussian(event: Gaussian) -> Divergences:
    return _linear(0.5 / event.noise_multiplier**2)


def _discrete_gaussian(event: DiscreteGaussian) -> Divergences:
    return _linear(0.5 * (event.sensitivity / event.sigma) ** 2, sampler_slack(event.draws))


def _laplace(event: Laplace) -> Divergences:
    alpha, shift = _orders(), event.sensitivity / event.scale
    up = np.log(alpha / (2.0 * alpha - 1.0)) + (alpha - 1.0) * shift
    down = np.log((alpha - 1.0) / (2.0 * alpha - 1.0)) - alpha * shift
    return np.logaddexp(up, down) / (alpha - 1.0) * _UP + 1e-14, Fraction(0)


def _pure_divergence(epsilon: float) -> Floats:
    """Randomised response's, which dominates every (epsilon, 0) mechanism."""
    alpha, log_mass = _orders(), math.log1p(math.exp(-epsilon))
    value: Floats = np.logaddexp(alpha * epsilon - epsilon, -alpha * epsilon) - log_mass
    return value / (alpha - 1.0) * _UP + 1e-14


def _discrete_laplace(event: DiscreteLaplace) -> Divergences:
    return _pure_divergence(event.sensitivity / event.scale), sampler_slack(event.draws)


def _pure(event: PureDP) -> Divergences:
    return _pure_divergence(event.epsilon), Fraction(0)


def _claim(event: ApproxDP) -> Divergences:
    return _pure_divergence(event.epsilon), Fraction(event.delta)


def _bounded_range(event: BoundedRange) -> Divergences:
    """The worst pair with two outcomes of log ratios t and t - eta; and eta^2/8-zCDP, which roundings don't touch.

    Its moment is y^(alpha-1) (A - B y) / (1 - e^-eta) with y = e^t, A = 1 - e^(-alpha eta) and
    B = e^-eta - e^(-alpha eta), largest at y = (alpha - 1) A / (alpha B) (Cesar, Rogers 2021, arXiv:2004.07223,
    Lemma 3.2, for eta^2/8).
    """
    alpha, eta = _orders(), event.eta
    a, b = -np.expm1(-alpha * eta), -np.expm1(-(alpha - 1.0) * eta) * math.exp(-eta)
    log_y = np.log((alpha - 1.0) * a / (alpha * b))
    exact = log_y + (np.log(a / alpha) - math.log(-math.expm1(-eta))) / (alpha - 1.0)
    rounded = exact * _UP + 1e-13 * (1.0 + 1.0 / (alpha - 1.0)) * (1.0 + eta)
    return np.minimum(alpha * (eta**2 / 8.0 * _UP), rounded), sampler_slack(1)


def _chords(whole: dict[int, float]) -> Floats:
    """Divergences at ``ORDERS`` from log moments (alpha - 1) D_alpha at whole orders, by chords."""
    known = sorted(whole)
    moments = np.interp(_orders(), [1.0, *known], [0.0, *(whole[k] for k in known)])
    result: Floats = moments / (_orders() - 1.0) * _UP + 1e-14
    return result


def _log_binomials(order: int) -> Floats:
    k = np.arange(order + 1.0)
    value: Floats = gammaln(order + 1.0) - gammaln(k + 1.0) - gammaln(order - k + 1.0)
    return value


def _poisson(event: PoissonSampledGaussian) -> Divergences:
    q, rate = event.sampling_probability, 0.5 / event.noise_multiplier**2
    if event.adjacency.replaces:
        moments = {k: min(_convex(k, q, 4.0 * rate), _by_way_of_none(k, q, rate)) for k in WHOLE_ORDERS}
        return _chords(moments), Fraction(0)
    return _chords({k: _poisson_moment(k, q, rate) for k in WHOLE_ORDERS}), Fraction(0)


def _poisson_moment(order: int, q: float, rate: float) -> float:
    """log of the sum of C(n, k) (1-q)^(n-k) q^k e^(k (k-1) rate); the other direction isn't larger."""
    k = np.arange(order + 1.0)
    if q == 1.0:
        return order * (order - 1.0) * rate
    terms = _log_binomials(order) + (order - k) * math.log1p(-q) + k * math.log(q) + k * (k - 1.0) * rate
    return max(0.0, float(logsumexp(terms))) + 1e-12


def _by_way_of_none(order: int, q: float, rate: float) -> float:
    """One unit against none, none against another: (n - 1/2) D_2n + (n - 1) D_(2n-1) (Mironov 2017, Proposition 11)."""
    there, back = 2 * order, 2 * order - 1
    there_moment, back_moment = _poisson_moment(there, q, rate), _poisson_moment(back, q, rate)
    return (order - 0.5) * there_moment / (there - 1) + (order - 1.0) * back_moment / (back - 1)


def _convex(order: int, q: float, rate: float) -> float:
    """log(1 - q + q e^((n-1) n rate)): the moment is jointly convex, and 1 where the unit isn't sampled."""
    exponent = order * (order - 1.0) * rate
    return (
        exponent + math.log(q + (1.0 - q) * math.exp(-exponent))
        if exponent > 30.0
        else math.log1p(q * math.expm1(exponent))
    )


def _fixed_size(event: FixedSizeSampledGaussian) -> Divergences:
    q, rate = event.sample_size / event.population_size, 2.0 / event.noise_multiplier**2
    moments = {k: min(_convex(k, q, rate), _without_replacement(k, q, rate)) for k in WHOLE_ORDERS}
    return _chords(moments), Fraction(0)


def _without_replacement(order: int, q: float, rate: float) -> float:
    """log(1 + q^2 C(n, 2) min(4 (e^D2 - 1), 2 e^D2) + sum over j >= 3 of 2 q^j C(n, j) e^((j-1) D_j)), D_j = j rate."""
    logs, j = _log_binomials(order), np.arange(3.0, order + 1.0)
    twice = 2.0 * rate
    smaller = math.log(2.0) + twice if twice > 1.0 else math.log(min(4.0 * math.expm1(twice), 2.0 * math.exp(twice)))
    second = logs[2] + 2.0 * math.log(q) + smaller
    terms = math.log(2.0) + logs[3:] + j * math.log(q) + j * (j - 1.0) * rate
    return float(logsumexp(np.concatenate(([0.0, second], terms)))) + 1e-12


def _zcdp(event: ZCDP) -> Divergences:
    return _linear(event.rho)


def _selection(event: PartitionSelection) -> Divergences:
    return _linear(float(selection_mu_square(event)) / 2.0, released_alone(event))


RDP_RULES: dict[type[Event], Callable[[Any], Divergences]] = {
    Gaussian: _gaussian,
    DiscreteGaussian: _discrete_gaussian,
    Laplace: _laplace,
    DiscreteLaplace: _discrete_laplace,
    BoundedRange: _bounded_range,
    PureDP: _pure,
    ApproxDP: _claim,
    PoissonSampledGaussian: _poisson,
    FixedSizeSampledGaussian: _fixed_size,
    ZCDP: _zcdp,
    PartitionSelection: _selection,
}
"""One rule for each event that isn't itself a composition."""
