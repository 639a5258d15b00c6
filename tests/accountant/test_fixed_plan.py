"""Plans entered as a dominating pair; events of sampled and selecting steps; Renyi; the report of a fixed plan."""

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from accountant import pld
from accountant.adjacency import Adjacency
from accountant.compose import price
from accountant.convert import delta_from_mu, epsilon_from_mu, epsilon_from_rho
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    EVENT_TYPES,
    ZCDP,
    ApproxDP,
    BoundedRange,
    Composed,
    Event,
    FixedPlan,
    FixedSizeSampledGaussian,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
    Repeat,
    event_from_json,
)
from accountant.fixed import report_fixed_plan
from accountant.pld import dominates, dominating_gdp, fixed_plan, profile
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.renyi import divergences, epsilon_by_renyi
from accountant.report import epsilon_of
from accountant.rules.mu import bounded_range_mu, pure_mu
from accountant.rules.rdp import ORDERS, RDP_RULES
from accountant.rules.selection import released_alone

STEP = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=256 / 32561)
DP_SGD: tuple[Event, ...] = (Repeat(event=STEP, count=127), Gaussian(noise_multiplier=20.0))


def test_a_gaussian_plan_is_dominated_by_itself() -> None:
    mu = dominating_gdp([Repeat(event=Gaussian(noise_multiplier=10.0), count=4)], 1e-11)
    assert 0.2 * (1 - 1e-6) <= mu <= 0.2 * (1 + 1e-5)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_a_pure_step_is_dominated_by_the_mu_of_its_pair(epsilon: float) -> None:
    assert dominating_gdp([PureDP(epsilon=epsilon)], 1e-12) == pytest.approx(pure_mu(epsilon), rel=1e-4)
    assert dominating_gdp([BoundedRange(eta=epsilon)], 1e-12) == pytest.approx(bounded_range_mu(epsilon), rel=1e-4)


@pytest.mark.parametrize("delta", [1e-7, 1e-9])
def test_a_pair_dominates_its_plan_everywhere_and_a_smaller_one_does_not(delta: float) -> None:
    plan, entered = profile(DP_SGD, grid=1e-3), fixed_plan(DP_SGD, delta, grid=1e-3)
    for epsilon in np.linspace(0.0, 4.0, 7):
        assert plan.delta(float(epsilon)) <= delta_from_mu(entered.mu, float(epsilon)) + delta
    assert dominates(DP_SGD, mu=entered.mu, delta=delta, grid=1e-3)
    assert not dominates(DP_SGD, mu=entered.mu * (1 - 1e-4), delta=delta, grid=1e-3)
    assert not dominates(DP_SGD, mu=entered.mu, delta=delta / 4, grid=1e-3)


def test_both_directions_must_be_dominated() -> None:
    """One step's curve without the unit against with is far below the other, and vice versa near epsilon 0."""
    one = [PoissonSampledGaussian(noise_multiplier=0.5, sampling_probability=0.2)]
    mu = dominating_gdp(one, 1e-8)
    for parts in profile(one).directions:
        assert len(parts) == 1
    for epsilon in (0.0, 0.05, 0.2, 1.0, 4.0):
        assert profile(one).delta(epsilon) <= delta_from_mu(mu, epsilon) + 1e-8


def test_a_fixed_plan_is_priced_in_both_coordinates_and_beside_others() -> None:
    entered = fixed_plan(DP_SGD, 1e-8)
    assert price(entered, Coordinate.GDP) == Price.of(entered.mu**2, 1e-8)
    assert price(entered, Coordinate.ZCDP).amount == pytest.approx(entered.mu**2 / 2 * AMOUNT_UNIT, rel=1e-9)
    assert price(entered, Coordinate.ZCDP).delta == math.ceil(1e-8 * DELTA_UNIT)
    beside = Composed(events=(entered, Repeat(event=entered, count=2)))
    assert price(beside, Coordinate.GDP) == Price.of(entered.mu**2, 1e-8) + Price(
        2 * price(entered, Coordinate.GDP).amount, 2 * price(entered, Coordinate.GDP).delta
    )
    truth = profile([beside]).epsilon(1e-6)
    assert truth <= epsilon_of(price(beside, Coordinate.GDP), 1e-6, Coordinate.GDP) <= 2.0 * truth
    assert event_from_json(entered.to_json()) == entered


def test_a_plan_below_its_own_curve_is_refused_at_replay() -> None:
    entered = fixed_plan(DP_SGD, 1e-8)
    for less in ({"mu": entered.mu * 0.99}, {"delta": 1e-9}):
        body = {"events": entered.events, "mu": entered.mu, "delta": entered.delta} | less
        for coordinate in Coordinate:
            with pytest.raises(UnsupportedEvent, match="below its own curve"):
                price(FixedPlan(**body), coordinate)  # type: ignore[arg-type]


def test_a_gaussian_that_only_meets_the_vertices_is_not_above_their_chord() -> None:
    vertices = np.array([0.0, 0.5])
    curve = np.array([delta_from_mu(0.8, float(epsilon)) for epsilon in vertices])
    assert not pld._above((vertices, curve * (1 - 1e-6)), 0.8, 0.0)
    assert pld._above((vertices, curve - 0.05), 0.8, 0.0)
    assert not pld._above((vertices, curve + 1e-6), 0.8, 0.0)


def test_what_no_mu_dominates_is_refused() -> None:
    with pytest.raises(UnsupportedEvent, match="no mu at the additive delta"):
        dominating_gdp([ApproxDP(epsilon=0.1, delta=1e-7)], 1e-8)
    with pytest.raises(UnsupportedEvent, match="no mu at the additive delta"):
        dominating_gdp([Gaussian(noise_multiplier=0.05)], 1e-8)
    assert dominating_gdp([ApproxDP(epsilon=1e-9, delta=1e-9)], 1e-6) == 0.0


@pytest.mark.parametrize("coordinate", list(Coordinate))
@pytest.mark.parametrize(
    "event", [STEP, FixedSizeSampledGaussian(noise_multiplier=1.0, sample_size=2, population_size=9)]
)
def test_a_sampled_step_alone_says_how_to_enter_it(event: Event, coordinate: Coordinate) -> None:
    with pytest.raises(UnsupportedEvent, match="enter it as a FixedPlan"):
        price(event, coordinate)


def test_a_rho_has_no_mu() -> None:
    assert price(ZCDP(rho=0.25), Coordinate.ZCDP) == Price.of(0.25)
    with pytest.raises(UnsupportedEvent, match="A rho implies no mu"):
        price(ZCDP(rho=0.25), Coordinate.GDP)


def test_adjacencies_mix_in_no_plan() -> None:
    with pytest.raises(UnsupportedEvent, match="double the sensitivity"):
        fixed_plan((STEP, PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE)), 1e-8)
    inner = FixedPlan(events=(PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE),), mu=9.0, delta=1e-8)
    with pytest.raises(UnsupportedEvent, match="double the sensitivity"):
        price(inner, Coordinate.GDP)


# --- new events


def test_a_fixed_size_sample_is_replace_one_only() -> None:
    with pytest.raises(UnsupportedEvent, match="no theorem amplifies it"):
        FixedSizeSampledGaussian(noise_multiplier=1.0, sample_size=2, population_size=9, adjacency=Adjacency.ADD_REMOVE)


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (PoissonSampledGaussian, {"noise_multiplier": 1.0, "sampling_probability": 1.1}),
        (PoissonSampledGaussian, {"noise_multiplier": 1.0, "sampling_probability": 0.0}),
        (FixedSizeSampledGaussian, {"noise_multiplier": 1.0, "sample_size": 3, "population_size": 2}),
        (FixedSizeSampledGaussian, {"noise_multiplier": 1.0, "sample_size": 1.0, "population_size": 2}),
        (ZCDP, {"rho": 0.0}),
        (PartitionSelection, {"sigma": 1.0, "threshold": 9.5}),
        (PartitionSelection, {"sigma": 1.0, "threshold": 9, "labels_per_unit": 0}),
        (FixedPlan, {"events": (), "mu": 1.0, "delta": 0.0}),
    ],
)
def test_events_out_of_range_are_refused(make: type[Event], body: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        make(**body)


@pytest.mark.parametrize(("sigma", "threshold", "labels"), [(2.0, 12, 1), (5.0, 40, 3), (60.0, 400, 2), (0.3, 4, 5)])
def test_the_chance_of_a_lone_label_is_that_of_any_of_the_units_labels(
    sigma: float, threshold: int, labels: int
) -> None:
    event = PartitionSelection(sigma=sigma, threshold=threshold, labels_per_unit=labels)
    with mpmath.workdps(60):
        weights = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * mpmath.mpf(sigma) ** 2)) for k in range(-3000, 3001)]
        lone = mpmath.fsum(weights[3000 + threshold - 1 :]) / mpmath.fsum(weights)
        exact = 1 - (1 - lone) ** labels
        ours = released_alone(event)
        stated = mpmath.mpf(ours.numerator) / ours.denominator
        assert exact <= stated <= exact * (1 + mpmath.mpf("1e-3")) + mpmath.mpf("1e-28")
    other = PartitionSelection(
        sigma=sigma, threshold=threshold, labels_per_unit=labels, adjacency=Adjacency.REPLACE_ONE
    )
    assert released_alone(other) == 2 * ours


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_partition_selection_pays_for_all_labels_of_a_unit(coordinate: Coordinate) -> None:
    one, four = (
        price(PartitionSelection(sigma=4.0, threshold=24, labels_per_unit=labels), coordinate) for labels in (1, 4)
    )
    assert 4 * one.amount - 4 <= four.amount <= 4 * one.amount
    assert 3.99 * one.delta <= four.delta <= 4 * one.delta + 4
    both = PartitionSelection(sigma=4.0, threshold=24, adjacency=Adjacency.REPLACE_ONE)
    assert 2 * one.amount - 2 <= price(both, coordinate).amount <= 2 * one.amount


def test_a_threshold_that_hides_nobody_is_refused() -> None:
    with pytest.raises(UnsupportedEvent, match="Raise the threshold"):
        price(PartitionSelection(sigma=4.0, threshold=1), Coordinate.GDP)
    with pytest.raises(UnsupportedEvent, match="Raise the threshold"):
        price(PartitionSelection(sigma=400.0, threshold=300), Coordinate.GDP)


# --- Renyi


def test_every_event_has_exactly_one_renyi_rule() -> None:
    structures = {Repeat, Composed, FixedPlan}
    assert set(RDP_RULES) | structures == set(EVENT_TYPES.values())
    assert not set(RDP_RULES) & structures


def _renyi(p: np.ndarray, q: np.ndarray, order: float) -> float:
    return float(logsumexp(order * np.log(p) + (1 - order) * np.log(q))) / (order - 1)


@pytest.mark.parametrize("order", [1.1, 1.5, 2.0, 4.5, 12.0])
def test_divergences_cover_their_definition_in_both_directions(order: float) -> None:
    at = ORDERS.index(order)
    grid = np.linspace(-36.0, 36.0, 200_001)
    width = grid[1] - grid[0]

    def normal(shift: float, sigma: float) -> np.ndarray:
        return np.exp(-((grid - shift) ** 2) / (2 * sigma**2)) * width / (sigma * math.sqrt(2 * math.pi))

    def check(event: Event, p: np.ndarray, q: np.ndarray, loosest: float) -> None:
        ours = float(RDP_RULES[type(event)](event)[0][at])
        truth = max(_renyi(p, q, order), _renyi(q, p, order))
        assert truth * (1 - 1e-6) <= ours <= truth * loosest

    q, none = 0.2, normal(0.0, 1.3)
    sampled = (1 - q) * none + q * normal(1.0, 1.3)
    check(PoissonSampledGaussian(noise_multiplier=1.3, sampling_probability=q), sampled, none, 4.0)
    other = (1 - q) * none + q * normal(-1.0, 1.3)
    r = Adjacency.REPLACE_ONE
    check(PoissonSampledGaussian(noise_multiplier=1.3, sampling_probability=q, adjacency=r), sampled, other, 9.0)
    check(FixedSizeSampledGaussian(noise_multiplier=1.3, sample_size=2, population_size=10), sampled, other, 40.0)
    laplace = np.exp(-np.abs(grid) / 1.5) * width / 3.0, np.exp(-np.abs(grid - 1) / 1.5) * width / 3.0
    check(Laplace(scale=1.5), *laplace, 1 + 1e-6)
    p = 1 / (1 + math.exp(-0.8))
    check(PureDP(epsilon=0.8), np.array([p, 1 - p]), np.array([1 - p, p]), 1 + 1e-9)


@given(eta=st.floats(0.01, 10.0), share=st.floats(0.01, 0.99), at=st.integers(0, len(ORDERS) - 30))
def test_selections_divergence_covers_every_pair_of_outcomes(eta: float, share: float, at: int) -> None:
    t, order = share * eta, ORDERS[at]
    p = -math.expm1(t - eta) / -math.expm1(-eta)
    pair = np.array([p, 1 - p]), np.array([p * math.exp(-t), (1 - p) * math.exp(eta - t)])
    ours = float(RDP_RULES[BoundedRange](BoundedRange(eta=eta))[0][at])
    assert _renyi(*pair, order) <= ours + 1e-12
    assert ours <= order * eta**2 / 8 * (1 + 1e-10)


def test_renyi_is_never_below_the_truth_and_close_for_a_gaussian() -> None:
    for mu in (0.1, 1.0):
        ours = epsilon_by_renyi([Repeat(event=Gaussian(noise_multiplier=2.0 / mu), count=4)], 1e-6)
        assert epsilon_from_mu(mu, 1e-6) <= epsilon_from_rho(mu**2 / 2, 1e-6) * (1 - 1e-9) <= ours
        assert ours <= 1.02 * epsilon_from_rho(mu**2 / 2, 1e-6)


def test_renyi_adds_up_and_keeps_deltas_aside() -> None:
    events = [Repeat(event=ApproxDP(epsilon=0.3, delta=1e-8), count=5), STEP]
    once, step = (RDP_RULES[type(e)](e)[0] for e in (ApproxDP(epsilon=0.3, delta=1e-8), STEP))
    total, aside = divergences(events)
    assert total == pytest.approx(5 * once + step, rel=1e-9)
    assert float(aside) == pytest.approx(5e-8, rel=1e-12)
    assert epsilon_by_renyi(events, 4e-8) == math.inf
    with pytest.raises(ParameterError):
        epsilon_by_renyi(events, 0.0)


# --- the report


def test_the_report_is_the_smallest_of_all_accountants_and_says_which() -> None:
    run = (Repeat(event=Gaussian(noise_multiplier=30.0), count=200), Repeat(event=BoundedRange(eta=0.05), count=50))
    report = report_fixed_plan(run, delta=1e-6)
    assert report.accountant == "pld"
    assert report.answers == pytest.approx({"pld": 2.321, "gdp": 2.358, "zcdp": 2.437, "rdp": 2.437}, rel=2e-3)
    assert report.epsilon == min(report.answers.values())
    assert [delta for delta, _ in report.curve] == [1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-12]
    assert dict(report.curve)[1e-6] == report.epsilon
    assert all(a < b for (_, a), (_, b) in zip(report.curve, report.curve[1:], strict=False))
    assert report.mu == pytest.approx(math.sqrt(200 / 900 + 50 * bounded_range_mu(0.05) ** 2), rel=1e-9)
    assert report.rho == pytest.approx(200 / 1800 + 50 * 0.05**2 / 8, rel=1e-6)
    assert report.reading.epsilon == report.epsilon


def test_naive_zcdp_is_the_golden_figure_above_all() -> None:
    rho = 200 / 1800 + 50 * 0.05**2 / 8
    assert rho + 2 * math.sqrt(rho * math.log(1e6)) == pytest.approx(2.773, rel=1e-3)


def test_another_accountant_can_win() -> None:
    """Ten large selections: the worst hockey stick at each epsilon and the worst moment belong to different pairs."""
    report = report_fixed_plan([Repeat(event=BoundedRange(eta=1.0), count=10)], delta=1e-6, grid=1e-3)
    assert report.accountant == "rdp"
    assert report.epsilon == report.answers["rdp"] < report.answers["pld"] < report.answers["gdp"]


def test_a_plan_without_a_price_in_a_coordinate_is_reported_by_the_others() -> None:
    report = report_fixed_plan([Repeat(event=STEP, count=10)], delta=1e-6, grid=1e-3)
    assert set(report.answers) == {"pld", "rdp"}
    assert report.mu is None
    assert report.rho is None


def test_no_report_beyond_epsilon_20() -> None:
    with pytest.raises(ParameterError, match="No epsilon can be stated"):
        report_fixed_plan([Gaussian(noise_multiplier=0.1)], delta=1e-6, grid=1e-2)


@given(level=st.floats(1.0, 20.0), count=st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_a_plan_replayed_costs_what_it_cost(level: float, count: int) -> None:
    live = fixed_plan((Repeat(event=BoundedRange(eta=1 / level), count=count),), 1e-7)
    assert price(event_from_json(live.to_json()), Coordinate.GDP) == price(live, Coordinate.GDP)


def test_importing_the_accountant_loads_neither_numpy_nor_scipy() -> None:
    code = "import sys, accountant; print(sorted({'numpy', 'scipy', 'dp_accounting'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
