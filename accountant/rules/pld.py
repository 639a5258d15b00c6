"""PLD: the hockey-stick curves of ONE application of each event, in both directions.

A rule gives what one application costs as a :class:`Single`: parts that add up exactly (mu^2, rho, an additive delta)
and, for everything else, a :class:`Pair` of curves. ``forward`` bounds sup_S P[M(D) in S] - e^epsilon P[M(D') in S]
where D has the unit and D' hasn't (remove), ``backward`` the same with D and D' exchanged (add); under replace-one both
are the same curve. Every curve is asked at epsilon >= 0 only: at a negative epsilon a curve is
1 - e^epsilon + e^epsilon times the other one at -epsilon, exactly.

Why parts may add up before anything is convolved. Gaussian steps of mu_1, ..., mu_n compose to one Gaussian step of
mu^2 = sum mu_i^2 (Dong, Roth, Su 2022, arXiv:1905.02383, Corollary 3.3), rho's of zCDP steps to their sum (Bun, Steinke
2016), and where H_epsilon <= delta + H'_epsilon at every real epsilon, the deltas of a sequence add up outside the
composition of the H'.

Vectors. The curve of one shift by s of log-concave noise also dominates every vector of shifts of L1 norm s: change one
coordinate after the other, T(P1 x P2, Q1 x Q2) >= T(P2, Q2) o (1 - T(P1, Q1)) (group privacy), and as the best tests of
a log-concave shift are nested thresholds, the right side is the curve of the sum of the shifts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

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
from accountant.rules.mu import discrete_gaussian_mu
from accountant.rules.selection import released_alone, selection_mu_square
from accountant.rules.slack import sampler_slack

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Hockey-stick curves at epsilon >= 0, each to a relative accuracy of 1e-11 or better where it is above 1e-30.

    Attributes:
      forward: With the unit against without.
      backward: Without the unit against with.
    """

    forward: Curve
    backward: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """What one application costs: parts that add up, and curves that are convolved.

    Attributes:
      mu_square: mu^2 of its Gaussian part.
      rho: Its zCDP part.
      delta: Its additive delta.
      pair: Its curves, or None.
    """

    mu_square: Fraction = Fraction(0)
    rho: Fraction = Fraction(0)
    delta: Fraction = Fraction(0)
    pair: Pair | None = None


def _both(curve: Curve) -> Pair:
    return Pair(forward=curve, backward=curve)


def gaussian_curve(mu: float) -> Curve:
    """Phi(-a) - e^epsilon Phi(-a - mu) with a = epsilon / mu - mu / 2, as phi(a) times a difference of Mills ratios."""
    cushion = 1.0 + 1e-12 + 1e-13 / mu  # the difference loses up to a / mu digits

    def curve(epsilon: Floats) -> Floats:
        a = epsilon / mu - mu / 2.0
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            mills = erfcx(a / math.sqrt(2.0)) - erfcx((a + mu) / math.sqrt(2.0))
            tail = np.exp(-a * a / 2.0) / 2.0 * mills
            bulk = ndtr(-a) - np.exp(np.minimum(epsilon, 700.0)) * ndtr(-a - mu)
        result: Floats = np.where(a < -5.0, bulk, tail) * cushion
        return result

    return curve


def _gaussian(event: Gaussian) -> Single:
    return Single(mu_square=1 / Fraction(event.noise_multiplier) ** 2)


def _discrete_gaussian(event: DiscreteGaussian) -> Single:
    mu = Fraction(discrete_gaussian_mu(event.sigma)) * Fraction(event.sensitivity)
    return Single(mu_square=mu**2, delta=sampler_slack(event.draws))


def _laplace(event: Laplace) -> Single:
    top = event.sensitivity / event.scale * (1.0 + 2.0**-52)  # not below the exact quotient
    return Single(pair=_both(lambda epsilon: -np.expm1(np.minimum((epsilon - top) / 2.0, 0.0))))


def _discrete_laplace(event: DiscreteLaplace) -> Single:
    """Shift by s, noise of law a^|k| (1 - a)/(1 + a), a = e^(-1/scale): the loss at k is (2k - s)/scale in 0 <= k <= s.

    The best set is k >= K, the first k whose loss is above epsilon. With m = s - K its value is
    1 - a^(m+1)/(1+a) - e^epsilon a^K/(1+a) = (1 - e^epsilon a^K + a (1 - a^m))/(1+a), two positive terms.
    """
    shift, scale = math.floor(event.sensitivity), event.scale * (1.0 - 2.0**-51)  # losses never below the exact ones
    if shift == 0:
        return Single(delta=sampler_slack(event.draws))
    a = math.exp(-1.0 / scale)

    def curve(epsilon: Floats) -> Floats:
        first = np.floor((shift + epsilon * scale) / 2.0) + 1.0
        inside = np.minimum(first, shift)
        value = -np.expm1(np.minimum(epsilon - inside / scale, 0.0)) - a * np.expm1((inside - shift) / scale)
        return np.where(first > shift, 0.0, value / (1.0 + a))

    return Single(pair=_both(curve), delta=sampler_slack(event.draws))


def _pure_curve(epsilon_0: float) -> Curve:
    share = 1.0 / (1.0 + math.exp(-epsilon_0))
    return lambda epsilon: -share * np.expm1(np.minimum(epsilon - epsilon_0, 0.0))


def _pure(event: PureDP) -> Single:
    return Single(pair=_both(_pure_curve(event.epsilon)))


def _claim(event: ApproxDP) -> Single:
    return Single(pair=_both(_pure_curve(event.epsilon)), delta=Fraction(event.delta))


def _bounded_range(event: BoundedRange) -> Single:
    """(1 - exp((epsilon - eta)/2))^2 / (1 - exp(-eta)) for abs(epsilon) <= eta.

    All log ratios of the mechanism's outcomes lie in [t - eta, t] for some t in [0, eta], unknown and different for
    each pair of data sets. The hockey stick is the mean of a convex function of the ratio, so for a given t it is
    largest where all outcomes are at the two ends, with probabilities p and 1 - p that make both laws sum to one:
    p = (1 - e^(t-eta)) / (1 - e^-eta). For epsilon in [t - eta, t] it is p (1 - e^(epsilon - t)), that is
    (1 + e^(epsilon - eta) - e^(t - eta) - e^(epsilon - t)) / (1 - e^-eta), largest at t = (eta + epsilon)/2: the
    square above. At the ends it meets 0 and 1 - e^epsilon. It is convex in x = e^epsilon (1 - 2 c sqrt x + c^2 x) and
    equals 1 - e^epsilon + e^epsilon times itself at -epsilon, so it is the curve of one dominating pair, the same in
    both directions, and dominating pairs compose adaptively (Zhu, Dong, Wang 2022, arXiv:2106.08567, Theorem 10).

    Source for eta-bounded range: Dong, Durfee, Rogers 2020 (arXiv:1909.13830).
    """
    eta, mass = event.eta, -math.expm1(-event.eta)
    curve: Curve = lambda epsilon: np.expm1(np.minimum((epsilon - eta) / 2.0, 0.0)) ** 2 / mass  # noqa: E731
    return Single(pair=_both(curve), delta=sampler_slack(1))


def _amplified(inner: Curve, q: float) -> Curve:
    """q H_(epsilon')(P, Q) with e^epsilon' = 1 + (e^epsilon - 1)/q: the curve of (1 - q) Q + q P against Q."""

    def curve(epsilon: Floats) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            near = np.log1p(np.expm1(np.minimum(epsilon, 30.0)) / q)
            far = epsilon - math.log(q) + np.log1p(-(1.0 - q) * np.exp(-np.maximum(epsilon, 30.0)))
        return q * inner(np.where(epsilon > 30.0, far, near))

    return curve


def _amplified_backward(inner: Curve, q: float) -> Curve:
    """Q against (1 - q) Q + q P: c H_(epsilon'')(Q, P), c = 1 - e^epsilon (1 - q), e^epsilon'' = q e^epsilon / c."""
    if q == 1.0:
        return inner

    def curve(epsilon: Floats) -> Floats:
        c = -np.expm1(np.minimum(epsilon + math.log1p(-q), 0.0))
        with np.errstate(divide="ignore"):
            inside = np.maximum(epsilon + math.log(q) - np.log(c), 0.0)
        return np.where(c > 0.0, c * inner(np.minimum(inside, 1e6)), 0.0)

    return curve


def _poisson(event: PoissonSampledGaussian) -> Single:
    """Add-remove: Zhu, Dong, Wang 2022 (arXiv:2106.08567), Theorem 11. Replace-one: see :func:`_replaced`."""
    q, sigma = event.sampling_probability, event.noise_multiplier
    if event.adjacency.replaces:
        return Single(pair=_both(_replaced(sigma, q)))
    inner = gaussian_curve(1.0 / sigma)
    return Single(pair=Pair(forward=_amplified(inner, q), backward=_amplified_backward(inner, q)))


def _replaced(sigma: float, q: float) -> Curve:
    """(1 - q) N(0) + q N(1) against (1 - q) N(0) + q N(-1), variance sigma^2, the worst pair under replace-one.

    Let a record of contribution g, norm at most 1, become one of g'. For a set S of noise probability a = N(0)(S),
    N(g)(S) <= Phi(probit(a) + 1/sigma) and N(g')(S) >= Phi(probit(a) - 1/sigma) (Neyman, Pearson), and one half line
    attains both for (1, -1) at once. So (1-q)(1-x) a + q N(g)(S) - x q N(g')(S) is at most the half line's value, for
    every x. The best half line starts at y where the densities' ratio is x: with u = e^(y/sigma^2) and
    c = q e^(-1/(2 sigma^2)), c u^2 - (1-q)(x-1) u - x c = 0; its terms, divided by the density at y, regroup to
    c u (R(y-1) - R(y)) + (x c / u) (R(y) - R(y+1)) with the Mills ratio R: nothing cancels.
    """
    root, cushion = math.sqrt(2.0) * sigma, 1.0 + 1e-12 + 1e-13 * sigma
    log_c = math.log(q) - 1.0 / (2.0 * sigma * sigma)

    def curve(epsilon: Floats) -> Floats:
        epsilon = np.minimum(epsilon, 300.0)
        half = (1.0 - q) * np.expm1(epsilon) / 2.0
        with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
            gap = np.log(half) - (epsilon / 2.0 + log_c)  # asinh form: nothing underflows, however little the noise
            log_sum = np.arcsinh(np.exp(np.minimum(gap, 300.0)))
            log_u = epsilon / 2.0 + np.where(gap > 300.0, gap + math.log(2.0), log_sum)
            y = sigma * sigma * log_u
            density = np.exp(-((y / root) ** 2)) / 2.0
            low, middle, high = erfcx((y - 1.0) / root), erfcx(y / root), erfcx((y + 1.0) / root)
            up, down = np.exp(log_c + log_u), np.exp(log_c + epsilon - log_u)
            # where erfcx would overflow (y far below 1) density is close to 1/2 and the tails are taken directly
            direct = q * ndtr(-(y - 1.0) / sigma) - np.exp(epsilon) * q * ndtr(-(y + 1.0) / sigma)
            direct -= (1.0 - q) * np.expm1(epsilon) * ndtr(-y / sigma)
            tail = density * (up * (low - middle) + down * (middle - high))
        result: Floats = np.where((y - 1.0) / sigma < -5.0, direct, tail) * cushion
        return result

    return curve


def _fixed_size(event: FixedSizeSampledGaussian) -> Single:
    """Replace-one: the sum moves by at most twice the bound; amplified: Balle, Barthe, Gaboardi 2018
    (arXiv:1807.01647), Theorem 11, and as a dominating pair Zhu, Dong, Wang 2022, Theorem 11."""
    q = event.sample_size / event.population_size
    inner = gaussian_curve(2.0 / event.noise_multiplier)
    return Single(pair=_both(_amplified(inner, q)))


def zcdp_curve(rho: float) -> Curve:
    """The least hockey stick that Renyi divergences of at most rho alpha allow, over the best order at each epsilon.

    For alpha > 1, delta <= exp((alpha - 1)(alpha rho - epsilon)) (1 - 1/alpha)^(alpha - 1) / alpha at every real
    epsilon (Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Proposition 12), in both directions; Pinsker's inequality
    bounds it by sqrt(rho / 2), too. Any order is valid, so the inexact best one is only a little larger. A mechanism's
    true curve is convex in e^epsilon; that the bound isn't everywhere is mended where it is put on a grid
    (``accountant.losses``), by its lower hull, which every convex curve below the bound respects. What dominates the
    true curve in both directions dominates its compositions (Zhu, Dong, Wang 2022, arXiv:2106.08567, Theorem 10).
    """

    def curve(epsilon: Floats) -> Floats:
        coarse = np.linspace(epsilon.min(), epsilon.max(), 256)
        log_excess = np.interp(epsilon, coarse, _best_order(rho, coarse))
        bound = np.exp(_log_order(rho, epsilon, log_excess) + 1e-11)
        return np.minimum(bound, min(1.0, math.sqrt(rho / 2.0)))

    return curve


def _best_order(rho: float, epsilon: Floats) -> Floats:
    """log(alpha - 1) of the best order, by golden section: the bound's logarithm is convex in alpha."""
    low, high = np.full_like(epsilon, -12.0), np.log(epsilon / rho + 40.0 / math.sqrt(rho) + 1.0)
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        better = _log_order(rho, epsilon, left) <= _log_order(rho, epsilon, right)
        low, high = np.where(better, low, left), np.where(better, right, high)
    return (low + high) / 2.0


def _log_order(rho: float, epsilon: Floats, log_excess: Floats) -> Floats:
    excess = np.exp(log_excess)
    value: Floats = excess * ((1.0 + excess) * rho - epsilon) - excess * np.log1p(1.0 / excess) - np.log1p(excess)
    return value


def _zcdp(event: ZCDP) -> Single:
    return Single(rho=Fraction(event.rho))


def _partition_selection(event: PartitionSelection) -> Single:
    return Single(mu_square=selection_mu_square(event), delta=released_alone(event))


PLD_RULES: dict[type[Event], Callable[[Any], Single]] = {
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
    PartitionSelection: _partition_selection,
}
"""One rule for each event that isn't itself a composition."""
