"""The tight accountant: golden values, laws, and the answer between independent bounds."""

import math
import time
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as theirs
from dp_accounting.privacy_accountant import NeighboringRelation
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant import pld
from accountant.adjacency import Adjacency
from accountant.convert import delta_from_mu, epsilon_from_mu, epsilon_from_rho, rho_from_budget
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    EVENT_TYPES,
    ZCDP,
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    FixedPlan,
    FixedSizeSampledGaussian,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
    Repeat,
)
from accountant.losses import Losses, discretise, exponent_above, find_tilt, tilted_sum
from accountant.pld import CALIBRATE_GRID, CERTIFY_GRID, Profile, profile
from accountant.renyi import epsilon_by_renyi
from accountant.rules.mu import discrete_gaussian_mu
from accountant.rules.pld import PLD_RULES

DP_SGD = [
    (Adjacency.ADD_REMOVE, 10, 1.838),
    (Adjacency.ADD_REMOVE, 30, 3.149),
    (Adjacency.ADD_REMOVE, 100, 5.992),
    (Adjacency.REPLACE_ONE, 10, 2.808),
    (Adjacency.REPLACE_ONE, 30, 5.145),
    (Adjacency.REPLACE_ONE, 100, 10.358),
]


def dp_sgd(adjacency: Adjacency, epochs: int) -> Event:
    step = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=256 / 32561, adjacency=adjacency)
    return Repeat(event=step, count=127 * epochs, adjacency=adjacency)


def test_every_event_has_exactly_one_rule() -> None:
    structures = {Repeat, Composed, FixedPlan}
    assert set(PLD_RULES) | structures == set(EVENT_TYPES.values())
    assert not set(PLD_RULES) & structures


@pytest.mark.parametrize(("adjacency", "epochs", "epsilon"), DP_SGD)
def test_golden_dp_sgd(adjacency: Adjacency, epochs: int, epsilon: float) -> None:
    """Each within 0.1 % of the published figure, in at most a CPU second."""
    start = time.process_time()
    ours = profile([dp_sgd(adjacency, epochs)], grid=CERTIFY_GRID).epsilon(1e-6)
    seconds = time.process_time() - start
    assert ours == pytest.approx(epsilon, rel=1e-3)
    assert seconds < 3.0  # 0.3 s on a quiet machine; the figure is measured by benchmarks, this bounds a blunder


def test_golden_two_hundred_gaussians_and_fifty_selections() -> None:
    run = (
        Repeat(event=Gaussian(noise_multiplier=30.0), count=200),
        Repeat(event=BoundedRange(eta=0.05), count=50),
    )
    assert profile(run).epsilon(1e-6) == pytest.approx(2.321, rel=1e-3)


def test_nonsense_is_refused() -> None:
    mixed = (PureDP(epsilon=1.0), PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE))
    with pytest.raises(UnsupportedEvent, match="double the sensitivity"):
        profile(mixed)
    for delta in (0.0, 1.0, float("nan")):
        with pytest.raises(ParameterError):
            profile([PureDP(epsilon=1.0)]).epsilon(delta)
    for epsilon in (-1.0, 20.1, float("nan")):
        with pytest.raises(ParameterError):
            profile([PureDP(epsilon=1.0)]).delta(epsilon)


# --- goldens of plans


def aim_on_adult(sigma: float) -> list[Event]:
    """224 rounds (16 for each of 14 columns), 10 % of each round's rho for its selection, as AIM divides it."""
    rho = 1.0 / (2.0 * sigma**2 * 0.9)
    selection = BoundedRange(eta=math.sqrt(8.0 * 0.1 * rho))
    return [Repeat(event=Gaussian(noise_multiplier=sigma), count=224), Repeat(event=selection, count=224)]


def test_golden_aims_plan_needs_less_noise_than_zcdp() -> None:
    by_zcdp = math.sqrt(224.0 / (2.0 * 0.9 * rho_from_budget(1.0, 1e-6)))
    low, high = 0.8 * by_zcdp, by_zcdp
    while high - low > 1e-4 * high:
        middle = (low + high) / 2.0
        fits = profile(aim_on_adult(middle), grid=CALIBRATE_GRID).epsilon(1e-6) <= 1.0
        low, high = (low, middle) if fits else (middle, high)
    assert profile(aim_on_adult(high)).epsilon(1e-6) <= 1.0
    assert high <= by_zcdp * (1.0 - 0.042)


def test_ten_exponential_mechanisms_cost_ten() -> None:
    """Far above one (a well-known accountant's head gives the price of one), and not below the best attack on ten."""
    ten = profile([Repeat(event=BoundedRange(eta=1.0), count=10)]).epsilon(1e-6)
    assert profile([BoundedRange(eta=1.0)] * 10).epsilon(1e-6) == pytest.approx(ten, rel=1e-9)
    assert epsilon_from_rho(10 / 8, 1e-6) == pytest.approx(8.83, rel=3e-3)
    assert _two_outcomes_epsilon(1.0, 10, 1e-6) <= ten <= epsilon_from_rho(10 / 8, 1e-6)


def _two_outcomes(eta: float, t: float, count: int, epsilon: float) -> float:
    """The exact delta of ``count`` selections between two outcomes of log ratios t and t - eta: a real attack."""
    p = -math.expm1(t - eta) / -math.expm1(-eta)
    terms = []
    for k in range(count + 1):
        loss = k * t + (count - k) * (t - eta)
        if loss > epsilon:
            terms.append(math.comb(count, k) * p**k * (1 - p) ** (count - k) * -math.expm1(epsilon - loss))
    return math.fsum(terms)


def _two_outcomes_epsilon(eta: float, count: int, delta: float) -> float:
    epsilons = np.linspace(0.0, eta * count, 2001)
    ts = [eta * i / 40 for i in range(1, 40)]
    return max(float(e) for e in epsilons if any(_two_outcomes(eta, t, count, float(e)) > delta for t in ts))


# --- one step, in both directions, against its own definition


def _mixture_delta(q: float, sigma: float, epsilon: float, *, to: float, forward: bool) -> float:
    """sup over half lines of (1-q) N(0) + q N(1) against (1-q) N(0) + q N(to), by its definition, at 34 digits."""
    with mpmath.workdps(34):
        x, s, q = mpmath.exp(mpmath.mpf(epsilon)), mpmath.mpf(sigma), mpmath.mpf(q)

        def tail(y: mpmath.mpf, shift: float) -> mpmath.mpf:
            return (1 - q) * mpmath.ncdf(-y / s) + q * mpmath.ncdf(-(y - shift) / s)

        def value(y: mpmath.mpf) -> mpmath.mpf:
            if forward:
                return tail(y, 1.0) - x * tail(y, to)
            return (1 - tail(y, to)) - x * (1 - tail(y, 1.0))

        low, high = mpmath.mpf(-30) * s, mpmath.mpf(30) * s
        ys = [low + (high - low) * i / 120 for i in range(121)]
        best = max(range(121), key=lambda i: value(ys[i]))
        low, high = ys[max(best - 1, 0)], ys[min(best + 1, 120)]
        for _ in range(60):
            a, b = low + (high - low) / 3, high - (high - low) / 3
            low, high = (a, high) if value(a) < value(b) else (low, b)
        return float(max(0, value((low + high) / 2)))


@pytest.mark.parametrize("adjacency", list(Adjacency))
@pytest.mark.parametrize(("q", "sigma"), [(256 / 32561, 1.0), (0.3, 0.7), (1.0, 2.0), (0.001, 3.0)])
def test_a_sampled_step_is_tight_in_both_directions(q: float, sigma: float, adjacency: Adjacency) -> None:
    event = PoissonSampledGaussian(noise_multiplier=sigma, sampling_probability=q, adjacency=adjacency)
    to = 0.0 if adjacency is Adjacency.ADD_REMOVE else -1.0
    pair = PLD_RULES[PoissonSampledGaussian](event).pair
    assert pair is not None
    for epsilon in (0.0, 1e-3, 0.5, 2.0):
        for curve, forward in ((pair.forward, True), (pair.backward, False)):
            exact = _mixture_delta(q, sigma, epsilon, to=to, forward=forward)
            ours = float(curve(np.array([epsilon]))[0])
            assert exact * (1 - 1e-10) - 1e-40 <= ours <= exact * (1 + 1e-9) + 1e-40


@pytest.mark.parametrize("sigma", [0.4, 1.0, 30.0])
def test_other_directions_cost_less_under_replace_one(sigma: float) -> None:
    """Contributions g and g' that aren't opposite, in the plane, are never worse than 1 and -1."""
    q, x = 0.2, math.exp(0.3)
    step = PoissonSampledGaussian(noise_multiplier=sigma, sampling_probability=q, adjacency=Adjacency.REPLACE_ONE)
    pair = PLD_RULES[PoissonSampledGaussian](step).pair
    assert pair is not None
    worst = float(pair.forward(np.array([0.3]))[0])
    grid = np.linspace(-8.0 * sigma - 1, 8.0 * sigma + 1, 801)
    a, b = np.meshgrid(grid, grid)
    cell = (grid[1] - grid[0]) ** 2 / (2 * math.pi * sigma**2)

    def density(g: tuple[float, float]) -> np.ndarray:
        return np.exp(-((a - g[0]) ** 2 + (b - g[1]) ** 2) / (2 * sigma**2)) * cell

    none = density((0.0, 0.0))
    for angle in (0.0, 1.0, 2.0, math.pi):
        p = (1 - q) * none + q * density((1.0, 0.0))
        other = (1 - q) * none + q * density((math.cos(angle), math.sin(angle)))
        assert np.maximum(p - x * other, 0.0).sum() <= worst * (1 + 1e-4) + 1e-9


@given(scale=st.floats(0.3, 30.0), shift=st.integers(1, 12), epsilon=st.floats(0.0, 5.0))
def test_a_discrete_laplace_step_is_its_own_definition(scale: float, shift: int, epsilon: float) -> None:
    pair = PLD_RULES[DiscreteLaplace](DiscreteLaplace(scale=scale, sensitivity=float(shift))).pair
    assert pair is not None
    a = math.exp(-1 / scale)
    reach = math.ceil(60 * scale) + shift

    def mass(k: int) -> float:
        return a ** abs(k) * (1 - a) / (1 + a)

    exact = math.fsum(max(0.0, mass(k - shift) - math.exp(epsilon) * mass(k)) for k in range(-reach, reach + 1))
    assert float(pair.forward(np.array([epsilon]))[0]) == pytest.approx(exact, rel=1e-9, abs=1e-13)


@given(scale=st.floats(0.5, 5.0), parts=st.lists(st.floats(0.1, 2.0), min_size=2, max_size=3), epsilon=st.floats(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_vector_of_shifts_costs_at_most_its_l1_norm(scale: float, parts: list[float], epsilon: float) -> None:
    alone = profile([Laplace(scale=scale, sensitivity=sum(parts))], grid=1e-3)
    apart = profile([Laplace(scale=scale, sensitivity=part) for part in parts], grid=1e-3)
    assert apart.delta(epsilon) <= alone.delta(epsilon) * (1 + 5e-3) + 1e-6


@given(eta=st.floats(0.01, 8.0), share=st.floats(0.001, 0.999), epsilon=st.floats(0.0, 8.0))
def test_a_selection_covers_every_pair_of_outcomes(eta: float, share: float, epsilon: float) -> None:
    pair = PLD_RULES[BoundedRange](BoundedRange(eta=eta)).pair
    assert pair is not None
    assert pair.forward is pair.backward
    ours = float(pair.forward(np.array([epsilon]))[0])
    assert _two_outcomes(eta, share * eta, 1, epsilon) <= ours + 1e-15
    if epsilon < eta:
        assert ours == pytest.approx(_two_outcomes(eta, (eta + epsilon) / 2, 1, epsilon), rel=1e-6, abs=1e-15)


def test_a_selection_of_three_is_covered() -> None:
    """Exponential mechanisms of coefficient 1/2 over three candidates, all integer scores that differ by at most 1."""
    pair = PLD_RULES[BoundedRange](BoundedRange(eta=1.2)).pair
    assert pair is not None
    for scores in np.ndindex(3, 3, 3):
        for change in np.ndindex(3, 3, 3):
            p, q = (np.exp(0.6 * np.array(s, dtype=float)) for s in (scores, np.array(scores) + np.array(change) - 1))
            p, q = p / p.sum(), q / q.sum()
            for epsilon in (0.0, 0.2, 0.6, 1.0):
                assert np.maximum(p - math.exp(epsilon) * q, 0).sum() <= pair.forward(np.array([epsilon]))[0] + 1e-12


# --- compositions between independent bounds


@pytest.mark.parametrize("mu", [0.005, 0.5, 1.5])
@pytest.mark.parametrize("delta", [1e-2, 1e-6, 1e-9, 1e-14])
def test_gaussians_are_exact_and_rounded_up_in_every_tail(mu: float, delta: float) -> None:
    plan = profile([Repeat(event=Gaussian(noise_multiplier=3.0 / mu), count=9)])
    exact = epsilon_from_mu(mu, delta)
    assert exact * (1 - 1e-9) <= plan.epsilon(delta) <= exact * (1 + 2e-4) + 1e-7
    assert plan.delta(exact) >= delta_from_mu(mu, exact) * (1 - 2e-9)


def test_a_discrete_gaussian_is_the_gaussian_of_its_mu_and_pays_its_slack() -> None:
    plan = profile([DiscreteGaussian(sigma=1.5, sensitivity=2.0, draws=2**60)])
    exact = epsilon_from_mu(2.0 * discrete_gaussian_mu(1.5), 1e-6)
    assert exact * (1 - 1e-9) <= plan.epsilon(1e-6) <= exact * (1 + 1e-5)
    assert plan.additive > 2.0**60 * 2.0**-127 * math.exp(20.0)


def _responses_delta(epsilon: float, count: int, at: float) -> float:
    """The exact delta of ``count`` binary randomised responses, the worst pure mechanism."""
    p = 1.0 / (1.0 + math.exp(-epsilon))
    return math.fsum(
        math.comb(count, k) * p**k * (1 - p) ** (count - k) * -math.expm1(at - (2 * k - count) * epsilon)
        for k in range(count + 1)
        if (2 * k - count) * epsilon > at
    )


@pytest.mark.parametrize(("epsilon", "count"), [(0.1, 40), (1.0, 1), (0.5, 7), (0.01, 1000)])
def test_pure_steps_are_exact_and_rounded_up(epsilon: float, count: int) -> None:
    plan = profile([Repeat(event=PureDP(epsilon=epsilon), count=count)])
    for share in (0.0, 0.1, 0.4, 0.8, 0.98):
        exact = _responses_delta(epsilon, count, share * epsilon * count)
        ours = plan.delta(min(20.0, share * epsilon * count))
        assert share * epsilon * count > 20.0 or exact * (1 - 1e-9) <= ours <= exact * (1 + 1e-4) + 1e-30


def test_a_claim_pays_its_pure_pair_and_its_delta() -> None:
    claim = profile([Repeat(event=ApproxDP(epsilon=0.3, delta=1e-7), count=4)])
    assert claim.additive == pytest.approx(4e-7, rel=1e-9)
    assert claim.delta(0.5) == pytest.approx(_responses_delta(0.3, 4, 0.5) + 4e-7, rel=1e-6)
    assert profile([ApproxDP(epsilon=0.3, delta=1e-7)]).epsilon(5e-8) == math.inf


@pytest.mark.parametrize("rho", [1e-4, 0.05, 1.0])
@pytest.mark.parametrize("delta", [1e-6, 1e-12])
def test_zcdp_covers_gaussians_and_pure_steps_and_costs_what_its_conversion_says(rho: float, delta: float) -> None:
    plan = profile([Repeat(event=ZCDP(rho=rho / 4), count=4)])
    by_conversion = epsilon_from_rho(rho, delta)
    assert by_conversion * (1 - 1e-9) <= plan.epsilon(delta) <= by_conversion * (1 + 1e-4)
    pure = math.sqrt(2.0 * rho)
    for epsilon in (0.0, 0.1 * pure, 0.7 * pure, by_conversion):
        assert plan.delta(epsilon) >= delta_from_mu(pure, epsilon)
        assert plan.delta(epsilon) >= _responses_delta(pure, 1, epsilon)


def test_zcdp_composed_with_others_is_covered() -> None:
    """A Gaussian known by its rho only costs more beside others than known as what it is."""
    others = [
        Repeat(event=BoundedRange(eta=0.1), count=5),
        PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.01),
    ]
    known = profile([Gaussian(noise_multiplier=4.0), *others]).epsilon(1e-6)
    by_rho = profile([ZCDP(rho=1 / 32), *others]).epsilon(1e-6)
    assert known <= by_rho <= 1.15 * known


@pytest.mark.parametrize("count", [1, 50, 1270])
@pytest.mark.parametrize("adjacency", list(Adjacency))
def test_sampled_gaussians_lie_between_independent_bounds(count: int, adjacency: Adjacency) -> None:
    """An optimistic law of privacy losses by another library below, the Renyi accountant above."""
    relation = {
        Adjacency.ADD_REMOVE: NeighboringRelation.ADD_OR_REMOVE_ONE,
        Adjacency.REPLACE_ONE: NeighboringRelation.REPLACE_ONE,
        Adjacency.REPLACE_PRIVATE: NeighboringRelation.REPLACE_ONE,
    }[adjacency]
    q, sigma = 0.01, 1.1
    low, high = (
        theirs.from_gaussian_mechanism(
            sigma,
            sampling_prob=q,
            pessimistic_estimate=pessimistic,
            use_connect_dots=pessimistic,
            value_discretization_interval=1e-4,
            neighboring_relation=relation,
        )
        .self_compose(count)
        .get_epsilon_for_delta(1e-6)
        for pessimistic in (False, True)
    )
    event = Repeat(
        event=PoissonSampledGaussian(noise_multiplier=sigma, sampling_probability=q, adjacency=adjacency),
        count=count,
        adjacency=adjacency,
    )
    ours = profile([event]).epsilon(1e-6)
    assert low <= ours <= epsilon_by_renyi([event], 1e-6)
    assert ours == pytest.approx(high, rel=1e-4)


def test_a_fixed_size_sample_covers_the_attack_on_one_record_among_zeros() -> None:
    """All others contribute nothing: the sum is that of a Poisson sample, whose law is known."""
    r = Adjacency.REPLACE_ONE
    fixed = FixedSizeSampledGaussian(noise_multiplier=1.0, sample_size=20, population_size=100)
    attack = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.2, adjacency=r)
    for count in (1, 30):
        bound = profile([Repeat(event=fixed, count=count, adjacency=r)])
        truth = profile([Repeat(event=attack, count=count, adjacency=r)])
        for epsilon in (0.0, 0.5, 2.0, 5.0):
            assert truth.delta(epsilon) <= bound.delta(epsilon) * (1 + 1e-6)


@pytest.mark.parametrize(("own", "shared"), [(2, 0), (1, 1), (0, 2)])
def test_partition_selection_covers_the_whole_mechanism_in_both_directions(own: int, shared: int) -> None:
    """Two labels of one unit, ``own`` of them nobody else's: every output with its noisy counts, exactly."""
    sigma, threshold = 1.5, 6
    plan = profile([PartitionSelection(sigma=sigma, threshold=threshold, labels_per_unit=2)])
    support = np.arange(-40, 60)

    def law(count: int) -> np.ndarray:
        """Not released, then each released noisy count."""
        mass = np.exp(-((support - count) ** 2) / (2 * sigma**2))
        mass = mass / mass.sum()
        return np.append(mass[support < threshold].sum(), mass[support >= threshold])

    nothing = np.zeros_like(law(0))
    nothing[0] = 1.0
    with_unit = [law(1)] * own + [law(4)] * shared
    without = [nothing] * own + [law(3)] * shared
    p, q = np.outer(*with_unit), np.outer(*without)
    for epsilon in (0.0, 0.1, 1.0, 3.0):
        for upper, lower in ((p, q), (q, p)):
            assert np.maximum(upper - math.exp(epsilon) * lower, 0.0).sum() <= plan.delta(epsilon)
    lone = law(1)[1:].sum()
    assert plan.additive == pytest.approx(1 - (1 - lone) ** 2, rel=1e-9)


# --- laws

STEPS: st.SearchStrategy[Event] = st.one_of(
    st.floats(1.0, 50.0).map(lambda s: Gaussian(noise_multiplier=s)),
    st.builds(DiscreteGaussian, sigma=st.floats(1.0, 50.0), sensitivity=st.floats(0.5, 2.0)),
    st.floats(1.0, 50.0).map(lambda s: Laplace(scale=s)),
    st.builds(DiscreteLaplace, scale=st.floats(2.0, 50.0), sensitivity=st.floats(0.5, 4.0)),
    st.floats(1.0, 50.0).map(lambda s: BoundedRange(eta=1 / s)),
    st.floats(2.0, 50.0).map(lambda s: PureDP(epsilon=1 / s)),
    st.floats(2.0, 50.0).map(lambda s: ApproxDP(epsilon=1 / s, delta=1e-9)),
    st.builds(PoissonSampledGaussian, noise_multiplier=st.floats(0.7, 5.0), sampling_probability=st.floats(0.001, 0.5)),
    st.floats(0.001, 0.1).map(lambda r: ZCDP(rho=r)),
    st.builds(
        PartitionSelection, sigma=st.floats(2.0, 9.0), threshold=st.integers(60, 90), labels_per_unit=st.integers(1, 3)
    ),
)
EXAMPLES = settings(max_examples=10, deadline=None)
GRID = 5e-3


def answers(events: list[Event]) -> list[float]:
    plan = profile(events, grid=GRID)
    return [plan.epsilon(1e-5), plan.epsilon(1e-8), plan.delta(0.0), plan.delta(0.7)]


@given(step=STEPS, count=st.integers(2, 6), other=STEPS)
@EXAMPLES
def test_n_applications_at_once_cost_n_applications(step: Event, count: int, other: Event) -> None:
    at_once = answers([Repeat(event=step, count=count), other])
    assert at_once == pytest.approx(answers([step] * count + [other]), rel=1e-7, abs=1e-12)
    nested = Composed(events=(Repeat(event=Composed(events=(step,)), count=count), other))
    assert at_once == pytest.approx(answers([nested]), rel=1e-7, abs=1e-12)


@given(events=st.lists(STEPS, min_size=2, max_size=4), data=st.data())
@EXAMPLES
def test_order_does_not_matter(events: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(events))
    assert answers(shuffled) == pytest.approx(answers(events), rel=1e-7, abs=1e-12)


@given(events=st.lists(STEPS, min_size=1, max_size=3), more=STEPS)
@EXAMPLES
def test_doing_more_never_costs_less(events: list[Event], more: Event) -> None:
    assert all(a <= b * (1 + 1e-6) + 1e-12 for a, b in zip(answers(events), answers([*events, more]), strict=True))


@given(level=st.floats(1.0, 20.0), factor=st.floats(1.05, 3.0))
@settings(max_examples=4, deadline=None)
def test_more_noise_never_costs_more(level: float, factor: float) -> None:
    q, r = 0.05, Adjacency.REPLACE_ONE
    makers: list[Callable[[float], Event]] = [
        lambda s: Gaussian(noise_multiplier=s),
        lambda s: DiscreteGaussian(sigma=s),
        lambda s: Laplace(scale=s),
        lambda s: DiscreteLaplace(scale=s),
        lambda s: BoundedRange(eta=1 / s),
        lambda s: PureDP(epsilon=1 / s),
        lambda s: PoissonSampledGaussian(noise_multiplier=s, sampling_probability=q),
        lambda s: PoissonSampledGaussian(noise_multiplier=s, sampling_probability=q, adjacency=r),
        lambda s: FixedSizeSampledGaussian(noise_multiplier=s, sample_size=5, population_size=100),
        lambda s: ZCDP(rho=0.5 / s**2),
    ]
    for make in makers:
        noisy, noisier = (profile([make(noise)], grid=GRID) for noise in (level, level * factor))
        assert noisier.epsilon(1e-6) <= noisy.epsilon(1e-6) * (1 + 1e-6) + 1e-9
        assert noisier.delta(0.1) <= noisy.delta(0.1) * (1 + 1e-6) + 1e-9


@given(events=st.lists(STEPS, min_size=1, max_size=3), log_delta=st.floats(-10.0, -2.0))
@EXAMPLES
def test_epsilon_and_delta_are_inverse(events: list[Event], log_delta: float) -> None:
    plan, delta = profile(events, grid=GRID), 10.0**log_delta
    epsilon = plan.epsilon(delta)
    if 0.0 < epsilon < math.inf:
        assert plan.delta(epsilon) <= delta * (1 + 1e-6)
        assert plan.delta(epsilon * (1 - 1e-3)) > delta


@given(events=st.lists(STEPS, min_size=1, max_size=3), log_delta=st.floats(-9.0, -3.0))
@EXAMPLES
def test_a_finer_grid_is_tighter(events: list[Event], log_delta: float) -> None:
    """Broken lines through more points of a convex curve are lower; both are above the truth."""
    fine, rough = (profile(events, grid=grid).epsilon(10.0**log_delta) for grid in (GRID / 4, GRID))
    assert fine <= rough * (1 + 1e-6) + 1e-9


def test_nothing_costs_nothing() -> None:
    assert profile([]).epsilon(1e-9) == 0.0
    assert profile([]).delta(0.0) == 0.0


def test_every_answer_is_the_larger_of_both_directions() -> None:
    """Sampled Gaussians cost more on removal, so the other order is made up here."""
    both = profile([PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.1)], grid=GRID).directions
    assert len(both) == 2
    assert not np.array_equal(both[0][0].mass, both[1][0].mass)
    cheap, dear = (profile([PureDP(epsilon=e)], grid=GRID).directions[0] for e in (0.1, 0.5))
    for directions in ((cheap, dear), (dear, cheap)):
        mixed = Profile(directions, 0.0)
        assert mixed.epsilon(1e-3) == Profile((dear,), 0.0).epsilon(1e-3)
        assert mixed.delta(0.2) == Profile((dear,), 0.0).delta(0.2)
        assert pld._vertices(mixed, 1e-3)[1][0] >= Profile((dear,), 0.0).delta(0.0) * (1 - 1e-6)  # type: ignore[index]


# --- the engine's own errors


def test_the_bound_on_rounding_covers_the_rounding() -> None:
    """Two outcomes on the grid, 900 copies: the exact binomial law, at 60 digits, against the FFT's."""
    step = discretise(
        lambda e: -np.expm1(np.minimum(e - 0.05, 0.0)) / (1 + math.exp(-0.05)),
        lambda e: -np.expm1(np.minimum(e - 0.05, 0.0)) / (1 + math.exp(-0.05)),
        grid=1e-3,
        count=900,
    )
    for log_delta in (-5.0, -20.0, -60.0):
        tilted = tilted_sum([step], find_tilt([step], exponent_above(log_delta)))
        with mpmath.workdps(60):
            p = 1 / (1 + mpmath.exp(mpmath.mpf(-0.05)))
            epsilon = 1.25
            exact = mpmath.fsum(
                mpmath.binomial(900, k)
                * p**k
                * (1 - p) ** (900 - k)
                * (1 - mpmath.exp(epsilon - (2 * k - 900) * mpmath.mpf("0.05")))
                for k in range(463, 901)
            )
            assert exact * (1 - mpmath.mpf("1e-9")) <= tilted.delta(epsilon)
        assert tilted.blur(epsilon) > 0.0


def test_the_bound_on_rounding_is_above_the_rounding() -> None:
    """Two outcomes, 900 copies: all masses of the FFT against the binomial law at 50 digits."""
    mass = np.zeros(101)
    mass[0], mass[100] = 0.4875, 0.5125
    tilted = tilted_sum([Losses(1e-3, -50, mass, 0.0, 900)], 0.3)
    with mpmath.workdps(50):
        up, down = 0.5125 * mpmath.exp(mpmath.mpf("0.015")), 0.4875 * mpmath.exp(mpmath.mpf("-0.015"))
        p = up / (up + down)
        exact = {2 * k - 900: float(mpmath.binomial(900, k) * p**k * (1 - p) ** (900 - k)) for k in range(901)}
    inside = {round(float(loss) * 20, 6): float(m) for loss, m in zip(tilted.losses, tilted.mass, strict=True)}
    distance = math.fsum(abs(m - exact.get(round(k), 0.0) * (k == round(k))) for k, m in inside.items())
    assert 0.0 < distance <= tilted.error < 1e-8


def test_a_window_that_cuts_says_what_it_cut() -> None:
    step = PLD_RULES[PoissonSampledGaussian](
        PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.1)
    ).pair
    assert step is not None
    losses = discretise(step.forward, step.backward, grid=1e-3, count=50)
    tilted = tilted_sum([losses], 0.5)
    assert 0.0 < tilted.lost < 1e-15
    assert tilted.losses[-1] < tilted.top
