"""The parts of the tight accountant and of the recursion, each against its definition: no digit on the wrong side."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations

import mpmath
import numpy as np
import pytest

from accountant import losses, pld, recursion
from accountant.adjacency import Adjacency
from accountant.convert import delta_from_mu
from accountant.errors import UnsupportedEvent
from accountant.events import (
    ZCDP,
    BoundedRange,
    DiscreteGaussian,
    FixedSizeSampledGaussian,
    Gaussian,
    Laplace,
    PoissonSampledGaussian,
    PureDP,
)
from accountant.losses import Losses, Tilted, tilted_sum
from accountant.pld import profile
from accountant.recursion import SelectionStep
from accountant.rules.pld import Single, gaussian_curve, zcdp_curve
from accountant.rules.rdp import ORDERS, RDP_RULES, _by_way_of_none
from accountant.rules.slack import sampler_slack

Floats = np.ndarray


# --- curves of one step


@pytest.mark.parametrize("mu", [1e-3, 0.05, 1.0, 7.0, 30.0])
def test_a_gaussian_curve_is_never_below_its_definition(mu: float) -> None:
    epsilons = np.array([0.0, 1e-3, 0.1, 0.5, 1.0, 2.5, 7.0, 15.0])
    epsilons = epsilons[epsilons < 12.0 * mu + mu * mu]
    with mpmath.workdps(60):
        m = mpmath.mpf(mu)
        for epsilon, ours in zip(epsilons, gaussian_curve(mu)(epsilons), strict=True):
            e = mpmath.mpf(float(epsilon))
            exact = mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)
            assert exact <= float(ours) <= exact * (1 + mpmath.mpf("1e-11") * (1 + 1 / m))


@pytest.mark.parametrize("rho", [1e-3, 0.05, 1.0])
def test_a_zcdp_curve_is_never_below_the_best_order(rho: float) -> None:
    with mpmath.workdps(40):
        r = mpmath.mpf(rho)
        for epsilon in (0.5 * math.sqrt(rho), 2.0 * math.sqrt(rho), 6.0 * math.sqrt(rho)):
            e = mpmath.mpf(epsilon)

            def log_delta(alpha: mpmath.mpf, e: mpmath.mpf = e) -> mpmath.mpf:
                return (alpha - 1) * (alpha * r - e + mpmath.log(1 - 1 / alpha)) - mpmath.log(alpha)

            low, high = mpmath.mpf("1e-6"), mpmath.mpf(10) ** 6  # of alpha - 1, on a scale of logarithms
            for _ in range(150):
                left, right = (low ** (2 - k) * high ** (1 + k) for k in (0, 1))
                left, right = mpmath.cbrt(left), mpmath.cbrt(right)
                low, high = (low, right) if log_delta(1 + left) < log_delta(1 + right) else (left, high)
            exact = min(mpmath.exp(log_delta(1 + low)), mpmath.sqrt(r / 2))
            ours = float(zcdp_curve(rho)(np.array([epsilon]))[0])
            assert exact <= ours <= exact * (1 + mpmath.mpf("1e-9"))


def test_a_zcdp_curve_starts_below_pinskers_bound() -> None:
    assert float(zcdp_curve(2e-4)(np.array([0.0]))[0]) <= 1e-2 * (1 + 1e-12)


def test_divergences_are_never_below_their_formulas() -> None:
    """Gaussians and zCDP: alpha rho; Laplace and the pure pair: their own integrals, at 40 digits."""
    with mpmath.workdps(40):
        for at, order in enumerate(ORDERS):
            a = mpmath.mpf(order)
            for size in (0.01, 0.3, 2.0):
                s = mpmath.mpf(size)
                laplace = mpmath.log(
                    a / (2 * a - 1) * mpmath.exp((a - 1) * s) + (a - 1) / (2 * a - 1) * mpmath.exp(-a * s)
                ) / (a - 1)
                pure = mpmath.log((mpmath.exp((a - 1) * s) + mpmath.exp(-a * s)) / (1 + mpmath.exp(-s))) / (a - 1)
                for event, exact in (
                    (Laplace(scale=1.0, sensitivity=size), laplace),
                    (PureDP(epsilon=size), pure),
                    (ZCDP(rho=size), a * s),
                    (Gaussian(noise_multiplier=size), a / (2 * s * s)),
                    (DiscreteGaussian(sigma=size), a / (2 * s * s)),
                ):
                    ours = float(RDP_RULES[type(event)](event)[0][at])
                    assert exact <= ours <= exact * (1 + mpmath.mpf("2e-11")) + mpmath.mpf("2e-13")


@pytest.mark.parametrize("sigma", [0.3, 0.7, 2.0])
def test_a_replaced_record_in_every_sample_costs_twice_its_distance(sigma: float) -> None:
    """Sampled always: N(1) against N(-1), whose divergence is 2 alpha / sigma^2."""
    event = PoissonSampledGaussian(noise_multiplier=sigma, sampling_probability=1.0, adjacency=Adjacency.REPLACE_ONE)
    ours = RDP_RULES[PoissonSampledGaussian](event)[0]
    for order, found in zip(ORDERS, ours, strict=True):
        assert 2.0 * order / sigma**2 * (1 - 1e-13) <= found


@pytest.mark.parametrize("sigma", [0.3, 0.7, 5.0])
def test_a_sample_of_everybody_costs_the_largest_move_of_its_sum(sigma: float) -> None:
    """One replaced record moves the sum by at most 2: 2 alpha / sigma^2."""
    event = FixedSizeSampledGaussian(noise_multiplier=sigma, sample_size=9, population_size=9)
    exact, ours = np.array(ORDERS) * 2.0 / sigma**2, RDP_RULES[FixedSizeSampledGaussian](event)[0]
    assert np.all(ours >= exact * (1 - 1e-13))
    assert ours[-50:] == pytest.approx(exact[-50:], rel=1e-10)  # whole orders; between them is a chord


def test_a_selections_divergence_leaves_the_slack_of_its_draw_aside() -> None:
    assert RDP_RULES[BoundedRange](BoundedRange(eta=0.5))[1] == sampler_slack(1) > 0


@pytest.mark.parametrize("order", [2, 3, 10])
@pytest.mark.parametrize("q", [0.01, 0.4, 1.0])
def test_the_way_by_none_is_two_divergences_at_neighbouring_orders(order: int, q: float) -> None:
    """(n - 1/2) D_2n + (n - 1) D_(2n-1), each from its binomial sum."""

    def divergence(n: int) -> mpmath.mpf:
        terms = (
            mpmath.binomial(n, k) * (1 - q) ** (n - k) * q**k * mpmath.exp(k * (k - 1) * 0.3) for k in range(n + 1)
        )
        return mpmath.log(mpmath.fsum(terms)) / (n - 1)

    exact = float((order - 0.5) * divergence(2 * order) + (order - 1) * divergence(2 * order - 1))
    assert exact * (1 - 1e-14) <= _by_way_of_none(order, q, 0.3) <= exact + 1e-10 * (1 + exact)


# --- the plan's own sums


def test_merged_parts_are_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(pld, "gaussian_curve", lambda mu: asked.append(mu))
    monkeypatch.setattr(pld, "zcdp_curve", lambda rho: asked.append(rho))
    for i in range(1, 200):
        exact = Fraction(i, 7) + Fraction(1, 3**60)
        pld._merged([(Single(mu_square=exact, rho=exact), i)])
        mu, rho = asked[-2:]
        assert exact * i <= Fraction(mu) ** 2 <= exact * i * (1 + Fraction(1, 2**47))
        assert exact * i <= Fraction(rho) <= exact * i * (1 + Fraction(1, 2**48))


def test_what_lies_between_two_vertices_is_taken_a_billionth_higher() -> None:
    """A margin of exactly the computed sag isn't enough: its own roundings count, too."""
    epsilons, mu, delta = np.array([0.0, 3.0]), 0.8, 0.5
    curve = gaussian_curve(mu)(epsilons) * (1.0 - 1e-11 / mu) + delta
    slopes = [delta_from_mu_slope(mu, float(e)) for e in epsilons]
    sag = (math.exp(3.0) - 1.0) * (slopes[0] - slopes[1]) / 4.0
    for share, enough in ((0.9e-9, False), (1.1e-9, True)):
        assert pld._above((epsilons, curve - sag * (1.0 + share)), mu, delta) is enough


def delta_from_mu_slope(mu: float, epsilon: float) -> float:
    """How fast the Gaussian's delta falls in e^epsilon, without sign."""
    return float(mpmath.ncdf(-mu / 2.0 - epsilon / mu))


def test_a_profile_answers_up_to_a_delta_of_one() -> None:
    plan = profile([Gaussian(noise_multiplier=0.5)], grid=1e-2)
    assert 0.0 < plan.epsilon(0.6) < plan.epsilon(0.25)
    assert delta_from_mu(2.0, plan.epsilon(0.6)) <= 0.6


# --- laws of losses


def test_a_length_is_the_shortest_of_its_forms() -> None:
    forms = sorted({m << k for m in (1, 3, 5, 9) for k in range(1, 13)})
    for least in range(1, 4000):
        assert losses._fast_length(least) == next(form for form in forms if form >= least)


@pytest.mark.parametrize("size", [3, 5, 9, 10, 11, 17, 19, 33, 65])
def test_the_top_of_a_law_never_becomes_its_bottom(size: int) -> None:
    """However well its size fits the transform: the largest loss still counts."""
    mass = np.zeros(size)
    mass[0], mass[-1] = 0.75, 0.25
    top = 0.5 * (size - 1)
    ours = tilted_sum([Losses(0.5, 0, mass, 0.0, 1)], 0.1).delta(0.25)
    assert ours == pytest.approx(0.25 * -math.expm1(0.25 - top), rel=1e-8)


def test_a_read_delta_is_never_below_the_sum_that_defines_it() -> None:
    rng = np.random.Generator(np.random.PCG64(11))
    for theta in (0.0625, 1.0, 8.0):
        values = np.arange(-40.0, 41.0) * 0.25
        mass = rng.random(81)
        mass /= mass.sum()
        law = Tilted(theta, -0.5, values, mass, 0.0, 0.0, 10.0)
        for epsilon in (0.0, 0.3, 1.25, 5.0):
            with mpmath.workdps(40):
                e, t = mpmath.mpf(epsilon), mpmath.mpf(theta)
                exact = mpmath.fsum(
                    mpmath.mpf(float(m)) * mpmath.exp(mpmath.mpf("-0.5") - t * v) * (1 - mpmath.exp(e - v))
                    for m, v in zip(mass, map(mpmath.mpf, map(float, values)), strict=True)
                    if v > e
                )
                assert exact <= law.delta(epsilon) <= exact * (1 + mpmath.mpf("3e-9"))
                many = float(law.curve(np.array([epsilon]))[0])
                assert exact <= many <= exact * (1 + mpmath.mpf("1e-6"))


def test_what_errors_and_the_window_may_hide_is_added_at_every_point() -> None:
    values = np.arange(81.0) * 0.25
    law = Tilted(0.5, -1.0, values, np.zeros(81), 1e-3, 1e-5, 20.0)
    epsilons = np.array([0.0, 0.3, 4.0, 12.0])
    added = np.exp(-1.0 - 0.5 * epsilons) * 1e-3 + 1e-5
    assert law.curve(epsilons) == pytest.approx(added, rel=1e-12)
    assert [law.delta(float(e)) for e in epsilons] == pytest.approx(added, rel=2e-9)
    assert [law.blur(float(e)) for e in epsilons] == pytest.approx(added, rel=1e-12)


def below_all_chords(x: Floats, y: Floats) -> Floats:
    """The largest convex curve below the points, by its definition: the lowest of all chords over each point."""
    found = y.copy()
    for a, b in combinations(range(len(x)), 2):
        part = (x[a + 1 : b] - x[a]) / (x[b] - x[a])
        found[a + 1 : b] = np.minimum(found[a + 1 : b], y[a] + (y[b] - y[a]) * part)
    return found


def test_a_hull_is_the_lowest_of_all_chords() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    for size in (3, 7, 40):
        x = np.cumsum(rng.random(size) + 0.01)
        for y in (rng.random(size), (x - x.mean()) ** 2 + 0.3 * rng.random(size), np.exp(-x) + 0.05 * rng.random(size)):
            assert losses._lower_hull(x, y) == pytest.approx(below_all_chords(x, y), rel=1e-12, abs=1e-13)


def test_a_bound_that_is_no_curve_is_put_under_its_hull_and_not_lower() -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    grid, zero = 0.05, 30
    x = np.exp((np.arange(90) - zero) * grid)
    straight = np.maximum(1.0 - x, 0.0)
    for _ in range(5):
        r = np.exp(-np.abs(np.arange(90) - zero) * grid) * (0.2 + 0.05 * rng.random(90))
        hull = below_all_chords(x, straight + r) - straight
        ours = losses._hull(r, zero, grid)
        assert np.all(hull - 1e-13 <= ours)
        assert ours == pytest.approx(np.maximum(hull, 0.0), rel=1e-8, abs=1e-12)


# --- the recursion's steps


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.7, 6.0])
@pytest.mark.parametrize("mu", [0.05, 1.0])
def test_a_kernel_is_a_law_whose_loss_isnt_lower(mu: float, ratio: float) -> None:
    """However wide the grid: all mass is there once, e^-loss means 1 as it has to, and the mean loss only rises."""
    width = mu * ratio
    first, weights, beyond = recursion._gaussian_kernel(mu, width)
    at = (first + np.arange(weights.size)) * width
    assert 1.0 <= weights.sum() + beyond <= 1.0 + 1e-9
    assert float((weights * np.exp(-at)).sum()) == pytest.approx(1.0, abs=1e-6)
    assert mu * mu / 2.0 <= float((weights * at).sum()) * (1 + 1e-9)


@pytest.mark.parametrize("cells", [0.4, 0.9, 1.0, 1.3, 2.6, 5.0])
@pytest.mark.parametrize("eta", [0.3, 2.0])
def test_a_selection_is_above_every_t_on_the_broken_line(eta: float, cells: float) -> None:
    """Between the turns the best t is in the middle of its piece: what is added there has to reach it."""
    width = eta / cells
    grid = recursion._Grid(width=width, left=30, size=60)
    x = (np.arange(60) - 30) * width
    rng = np.random.Generator(np.random.PCG64(3))
    margin = np.inf
    for number in range(12):
        kinks, shares = rng.normal(size=4) * eta, rng.random(4)
        values = sum(s * np.maximum(0.0, -np.expm1(x - k)) for s, k in zip(shares, kinks, strict=True)) / shares.sum()
        if number % 3 == 0:  # the line that is added holds for any falling values
            values = np.sort(rng.random(60))[::-1]
        after = recursion._selection(grid, values, SelectionStep(eta=eta), {})
        inner = np.arange(20, 40)
        best = np.zeros(20)
        for t in np.linspace(0.0, eta, 241):
            p = math.expm1(t - eta) / math.expm1(-eta)
            up, down = (np.interp(np.exp(x[inner] - loss), np.exp(x), values) for loss in (t, t - eta))
            best = np.maximum(best, p * up + (1.0 - p) * down)
        assert np.all(best <= after[inner] * (1.0 + 1e-12))
        margin = min(margin, float(np.min(after[inner] - best)))
    assert margin < 1e-3


@pytest.mark.parametrize("values", [lambda e: e / 300.0, lambda e: -np.exp(-e), lambda e: np.full_like(e, np.nan)])
def test_what_is_no_curve_is_refused(values: Callable[[losses.Floats], losses.Floats]) -> None:
    losses._require_falling(lambda e: np.exp(-e))
    with pytest.raises(UnsupportedEvent, match="isn't that of any mechanism"):
        losses._require_falling(values)
