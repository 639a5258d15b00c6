"""Edges: defaults, the first values refused and the last allowed, and roundings that a person reads."""

import math
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accountant.ledger
from accountant import faults
from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import CLAIM_SHARE, Budget, amount_within
from accountant.calibrate import bounded_range_eta, discrete_gaussian_sigma
from accountant.compose import leaves, price
from accountant.convert import delta_from_mu, epsilon_from_mu, epsilon_from_rho, mu_from_budget, rho_from_budget
from accountant.errors import BudgetExceeded, ParameterError, Refusal, UnsupportedEvent
from accountant.events import (
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
    PureDP,
    Repeat,
)
from accountant.groups import for_group
from accountant.ledger.replay import _same
from accountant.ledger.room import _down, _up, _what_fits
from accountant.planning import default_plan
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.report import advantage_ceiling, epsilon_of, plain_reading, posterior, tpr_ceiling
from accountant.rules.slack import sampler_slack
from accountant.selection import best_of_a_random_number
from accountant.spend import Side, Step

BOTH = tuple(Coordinate)


def test_defaults_are_one_record_and_one_draw() -> None:
    assert DiscreteGaussian(sigma=2.0) == DiscreteGaussian(sigma=2.0, sensitivity=1.0, draws=1)
    assert Laplace(scale=2.0) == Laplace(scale=2.0, sensitivity=1.0)
    assert DiscreteLaplace(scale=2.0) == DiscreteLaplace(scale=2.0, sensitivity=1.0, draws=1)
    assert Step(label="a", event=PureDP(epsilon=1.0)).sides == (Side.TRAINING,)
    assert PrivacyUnit() == PrivacyUnit(column=None, max_rows=1, adjacency=Adjacency.ADD_REMOVE)
    assert Price() == Price(0, 0)
    assert Price.of(0.5) == Price(AMOUNT_UNIT // 2, 0)


MAKERS: list[Callable[[float], Event]] = [
    lambda x: Gaussian(noise_multiplier=x),
    lambda x: DiscreteGaussian(sigma=x),
    lambda x: DiscreteGaussian(sigma=1.0, sensitivity=x),
    lambda x: Laplace(scale=x),
    lambda x: Laplace(scale=1.0, sensitivity=x),
    lambda x: DiscreteLaplace(scale=x),
    lambda x: DiscreteLaplace(scale=1.0, sensitivity=x),
    lambda x: BoundedRange(eta=x),
    lambda x: PureDP(epsilon=x),
    lambda x: ApproxDP(epsilon=x, delta=0.0),
]


@pytest.mark.parametrize("make", MAKERS)
def test_every_scale_is_above_zero_and_finite(make: Callable[[float], Event]) -> None:
    make(5e-324)
    for bad in (0.0, -0.5, math.inf, math.nan):
        with pytest.raises(ParameterError):
            make(bad)


def test_counts_of_draws_and_of_repetitions_are_at_least_one() -> None:
    DiscreteGaussian(sigma=1.0, draws=1)
    Repeat(event=PureDP(epsilon=1.0), count=1)
    for make in (
        lambda: DiscreteGaussian(sigma=1.0, draws=0),
        lambda: DiscreteLaplace(scale=1.0, draws=0),
        lambda: Repeat(event=PureDP(epsilon=1.0), count=0),
    ):
        with pytest.raises(ParameterError):
            make()


@pytest.mark.parametrize("delta", [0.0, 0.75, math.nextafter(1.0, 0.0)])
def test_a_claims_delta_is_at_least_zero_and_below_one(delta: float) -> None:
    assert ApproxDP(epsilon=1.0, delta=delta).delta == delta
    for bad in (-5e-324, 1.0, math.nan):
        with pytest.raises(ParameterError):
            ApproxDP(epsilon=1.0, delta=bad)


@pytest.mark.parametrize(("column", "rows", "good"), [(None, 1, True), (None, 2, False), ("id", 2, True)])
def test_a_unit_without_an_id_is_one_row(column: str | None, rows: int, good: bool) -> None:
    if good:
        assert PrivacyUnit(column=column, max_rows=rows).max_rows == rows
        return
    with pytest.raises(ParameterError):
        PrivacyUnit(column=column, max_rows=rows)


@pytest.mark.parametrize("column", [None, "id"])
@pytest.mark.parametrize("rows", [0, -1])
def test_a_unit_has_a_row(column: str | None, rows: int) -> None:
    with pytest.raises(ParameterError):
        PrivacyUnit(column=column, max_rows=rows)


def test_a_budgets_ends() -> None:
    for good in ({"epsilon": 20.0}, {"epsilon": 5e-324}, {"delta": 0.5}, {"claim_share": 0.0}, {"claim_share": 0.999}):
        Budget(**({"epsilon": 1.0, "delta": 1e-6} | good))  # type: ignore[arg-type]
    for bad in (
        *({"epsilon": x} for x in (0.0, -1.0, math.nextafter(20.0, 21.0), math.nan)),
        *({"delta": x} for x in (0.0, 1.0, 1.5, math.nan)),
        *({"claim_share": x} for x in (-5e-324, 1.0, math.nan)),
    ):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            Budget(**({"epsilon": 1.0, "delta": 1e-6} | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize("coordinate", BOTH)
def test_the_cap_of_a_budget_is_that_of_its_two_shares(coordinate: Coordinate) -> None:
    budget = Budget(epsilon=1.0, delta=1e-6, coordinate=coordinate, claim_share=0.25)
    assert budget.conversion_delta == pytest.approx(0.75e-6, rel=1e-14)
    assert budget.conversion_delta <= Fraction(1e-6) * Fraction(3, 4)
    assert budget.cap.delta == math.floor(Fraction(1e-6) / 4 * DELTA_UNIT)
    assert budget.cap.amount == amount_within(1.0, budget.conversion_delta, coordinate)
    plain = Fraction(mu_from_budget(1.0, budget.conversion_delta)) ** 2
    if coordinate is Coordinate.ZCDP:
        plain = Fraction(rho_from_budget(1.0, budget.conversion_delta))
    assert budget.cap.amount == math.floor(plain * AMOUNT_UNIT)
    assert Fraction(CLAIM_SHARE) == Fraction(1, 1024)


@pytest.mark.parametrize("coordinate", BOTH)
@pytest.mark.parametrize("amount", [1, 10**6, AMOUNT_UNIT, 50 * AMOUNT_UNIT])
def test_calibration_uses_up_what_it_may(coordinate: Coordinate, amount: int) -> None:
    """The noise costs at most the amount, and a billionth less of it costs more."""
    sigma = discrete_gaussian_sigma(amount=amount, coordinate=coordinate)
    assert sigma == discrete_gaussian_sigma(amount=amount, coordinate=coordinate, sensitivity=1.0)
    assert price(DiscreteGaussian(sigma=sigma), coordinate).amount <= amount
    assert price(DiscreteGaussian(sigma=sigma * (1 - 1e-9)), coordinate).amount >= amount
    eta = bounded_range_eta(amount=amount, coordinate=coordinate)
    assert price(BoundedRange(eta=eta), coordinate).amount <= amount
    assert price(BoundedRange(eta=eta * (1 + 1e-9)), coordinate).amount >= amount


@pytest.mark.parametrize("amount", [0, -1])
def test_no_noise_costs_nothing(amount: int) -> None:
    with pytest.raises(ParameterError, match="at least one unit"):
        discrete_gaussian_sigma(amount=amount, coordinate=Coordinate.GDP)
    with pytest.raises(ParameterError, match="at least one unit"):
        bounded_range_eta(amount=amount, coordinate=Coordinate.GDP)


def test_conversions_of_nothing_and_of_next_to_nothing() -> None:
    assert delta_from_mu(0.0, 1.0) == 0.0
    assert delta_from_mu(1e-3, 20.0) == math.ulp(0.0)
    assert delta_from_mu(80.0, 0.0) == 1.0
    assert epsilon_from_mu(0.0, 1e-6) == 0.0
    assert epsilon_from_mu(1e-9, 0.5) == 0.0
    assert epsilon_from_rho(0.0, 1e-6) == 0.0
    assert epsilon_from_rho(1e-9, 0.9) == 0.0
    with pytest.raises(ParameterError, match="smaller than the accountant resolves"):
        mu_from_budget(0.0, 1e-300)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_conversions_refuse_what_is_no_number(bad: float) -> None:
    for convert in (delta_from_mu, epsilon_from_mu, epsilon_from_rho, mu_from_budget, rho_from_budget):
        with pytest.raises(ParameterError):
            convert(bad, 0.5)
        with pytest.raises(ParameterError):
            convert(0.5, bad)


@pytest.mark.parametrize("coordinate", BOTH)
def test_additive_deltas_are_taken_from_the_delta_that_is_asked_at(coordinate: Coordinate) -> None:
    amount = AMOUNT_UNIT // 100
    half = Price(amount, DELTA_UNIT // 10**6)
    assert epsilon_of(half, 2e-6, coordinate) == pytest.approx(epsilon_of(Price(amount), 1e-6, coordinate), rel=1e-9)
    for delta in (1e-6 * (1 - 1e-9), 0.0):
        with pytest.raises(ParameterError, match="use all of it"):
            epsilon_of(Price(amount, math.ceil(Fraction(1e-6) * DELTA_UNIT)), delta, coordinate)
    assert epsilon_of(Price(), 1e-6, coordinate) == 0.0
    with pytest.raises(ParameterError, match="above 20"):
        epsilon_of(Price(100 * AMOUNT_UNIT), 1e-6, coordinate)


def test_the_plain_reading_is_recomputed() -> None:
    e = math.exp(0.5)
    assert posterior(0.01, 0.5) == pytest.approx(0.01 * e / (0.01 * e + 0.99), rel=1e-14)
    assert tpr_ceiling(0.001, 0.5, 1e-3) == pytest.approx(e * 0.001 + 1e-3, rel=1e-14)
    assert tpr_ceiling(0.99, 0.5, 1e-3) == 1.0
    assert advantage_ceiling(0.5, 1e-3) == pytest.approx((e - 1 + 2e-3) / (e + 1), rel=1e-14)
    reading = plain_reading(epsilon=0.5, delta=1e-3)
    assert reading.prior == 0.01
    assert reading.posterior == posterior(0.01, 0.5)
    assert reading.advantage == advantage_ceiling(0.5, 1e-3)
    assert reading.tpr_at == tuple((f, tpr_ceiling(f, 0.5, 1e-3)) for f in (0.0001, 0.001, 0.01, 0.1))
    assert "believed with 1% that" in reading.sentence()


def test_prices_are_whole_and_not_below_zero() -> None:
    assert Price(0, 0).less(Price(1, 1)) == Price(0, 0)
    assert Price(5, 7).less(Price(2, 3)) == Price(3, 4)
    assert Price(5, 1).larger(Price(2, 3)) == Price(5, 3)
    assert Price(5, 7).fits(Price(5, 7))
    assert not Price(6, 7).fits(Price(5, 7))
    assert not Price(5, 8).fits(Price(5, 7))
    for bad in ((-1, 0), (0, -1), (1.0, 0), (0, 1.0), (True, 0)):
        with pytest.raises(ParameterError):
            Price(*bad)  # type: ignore[arg-type]
    for infinite in ((math.inf, 0.0), (0.0, math.inf), (math.nan, 0.0)):
        with pytest.raises(ParameterError):
            Price.of(*infinite)
    assert Price.of(Fraction(1, 3), Fraction(1, 3)) == Price(-(-AMOUNT_UNIT // 3), -(-DELTA_UNIT // 3))


@given(st.floats(1e-9, 19.9))
def test_figures_in_refusals_are_four_digits_on_the_safe_side(value: float) -> None:
    down, up = _down(value), _up(value)
    assert value * (1 - 1.01e-3) <= down <= value
    assert value * (1 - 2e-9) <= up <= value * (1 + 1.01e-3)
    for shown in (down, up):
        assert float(f"{shown:.4g}") == pytest.approx(shown, rel=1e-12)


def test_figures_that_have_four_digits_already_stay() -> None:
    assert _up(0.1234) == pytest.approx(0.1234, rel=1e-12)
    assert _down(0.12349) == pytest.approx(0.1234, rel=1e-12)
    assert _up(0.12341) == pytest.approx(0.1235, rel=1e-12)
    assert _down(0.0) == _up(0.0) == 0.0


def fits(price: Price, *left: Price) -> str:
    budget = Budget(epsilon=1.0, delta=1e-6)
    line: list[Any] = [SimpleNamespace(budget=budget, remaining=each) for each in left]
    return _what_fits(price, line, line[0])


def test_what_would_fit_is_said_for_the_whole_line_of_scopes() -> None:
    for nothing in (Price(0, 5), Price(5, 0), Price(0, 0)):
        assert fits(Price(9, 9), nothing, Price(9, 9)).startswith("Nothing more fits")
        assert fits(Price(9, 9), Price(9, 9), nothing).startswith("Nothing more fits")
    assert "smaller additive delta" in fits(Price(5, 9), Price(5, 8), Price(6, 9))
    assert "smaller additive delta" in fits(Price(5, 9), Price(7, 9), Price(5, 8))
    assert "lower this one's" in fits(Price(6, 9), Price(7, 8), Price(5, 9))
    half, quarter = Price(AMOUNT_UNIT // 100, 8), Price(AMOUNT_UNIT // 400, 8)
    assert fits(Price(AMOUNT_UNIT, 1), half, quarter) == fits(Price(AMOUNT_UNIT, 1), quarter, half)
    assert "(mu^2 0.002499) fits" in fits(Price(AMOUNT_UNIT, 1), half, quarter)


@pytest.mark.parametrize(("amount", "tolerated"), [(0, 1), (2**36 - 1, 1), (2**36, 2), (3 * 2**36, 4)])
def test_a_recorded_price_may_differ_in_its_last_bits_only(amount: int, tolerated: int) -> None:
    computed = Price(amount, 7)
    for off in {tolerated, -min(tolerated, amount)}:
        assert _same(Price(amount + off, 7), computed)
    assert not _same(Price(amount + tolerated + 1, 7), computed)
    assert not _same(Price(amount, 8), computed)
    assert not _same(Price(amount, 6), computed)


def test_the_ledgers_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Leger'"):
        accountant.ledger.Leger  # type: ignore[attr-defined]  # noqa: B018


def test_a_refusal_keeps_its_three_sentences_apart() -> None:
    refusal = BudgetExceeded("It doesn't fit.", "It is spent.", "Spend less.")
    assert isinstance(refusal, Refusal)
    assert (refusal.what, refusal.why, refusal.next_step) == ("It doesn't fit.", "It is spent.", "Spend less.")
    assert str(refusal) == "It doesn't fit. It is spent. Spend less."


def test_a_fault_point_calls_the_tests_hook_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    faults.reach("nobody listens")
    monkeypatch.setattr(faults, "hook", reached.append)
    faults.reach("draw.before")
    assert reached == ["draw.before"]


def test_the_slack_of_a_draw_is_one_plus_e_to_the_twenty_rounded_up_to_a_whole_number() -> None:
    unit = Fraction(1, 2**127)
    assert sampler_slack(1) == math.ceil(1 + math.exp(20.0)) * unit
    assert sampler_slack(1000) == 1000 * sampler_slack(1)


def test_defaults_and_ends_of_plans_and_partitions() -> None:
    assert PartitionSelection(sigma=1.0, threshold=9).labels_per_unit == 1
    for delta in (5e-324, 0.75):
        assert FixedPlan(events=(PureDP(epsilon=1.0),), mu=1.0, delta=delta).delta == delta
    for bad in (0.0, 1.0, math.nan):
        with pytest.raises(ParameterError):
            FixedPlan(events=(PureDP(epsilon=1.0),), mu=1.0, delta=bad)
    for threshold, labels in ((0, 1), (9, 0), (2.5, 1), (9, 1.5)):
        with pytest.raises(ParameterError):
            PartitionSelection(sigma=1.0, threshold=threshold, labels_per_unit=labels)  # type: ignore[arg-type]


def test_the_shape_of_a_number_of_tries_is_above_minus_one() -> None:
    once = PureDP(epsilon=0.5)
    assert best_of_a_random_number(once, shape=math.nextafter(-1.0, 0.0)).epsilon > 0.5
    for bad in (-1.0, -2.0, math.inf, math.nan):
        with pytest.raises(ParameterError):
            best_of_a_random_number(once, shape=bad)


def test_a_group_for_whom_a_claim_says_nothing_is_refused_without_an_overflow() -> None:
    with pytest.raises(UnsupportedEvent, match="units of 2 rows"):
        for_group(ApproxDP(epsilon=800.0, delta=1e-9), 2)
    grown = for_group(ApproxDP(epsilon=700.0, delta=5e-324), 2)
    assert isinstance(grown, ApproxDP)
    assert 0.0 < grown.delta < 1.0


@pytest.mark.parametrize(("mu", "epsilon"), [(12.2, 0.3), (12.3, 0.01), (12.05, 0.0), (12.6, 1.0)])
def test_delta_is_exact_where_hardly_anything_is_left_to_one(mu: float, epsilon: float) -> None:
    """Where 1 - delta is about 1e-9: the tail that is left out of it must be the right one."""
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(-e / m + m / 2) - mpmath.exp(e) * mpmath.ncdf(-e / m - m / 2)
        assert exact <= delta_from_mu(mu, epsilon) <= exact * (1 + mpmath.mpf("3e-10"))


def test_events_of_a_plan_are_counted_whatever_holds_them() -> None:
    one, other = PureDP(epsilon=1.0), BoundedRange(eta=2.0)
    inner = Composed(events=(one, Repeat(event=other, count=3), one))
    found = leaves([Repeat(event=inner, count=5), other])
    assert dict(found) == {one: 10, other: 16}
    assert leaves([]) == []
    replaced = PureDP(epsilon=1.0, adjacency=Adjacency.REPLACE_ONE)
    with pytest.raises(UnsupportedEvent, match="can't be added"):
        leaves([one, Repeat(event=replaced, count=2)])


def test_a_plan_to_start_from_holds_out_a_fifth_and_encodes_for_nothing() -> None:
    budget = Budget(epsilon=1.0, delta=1e-6)
    assert default_plan(budget) == default_plan(budget, holdout_share=Fraction(1, 5), encoding=Fraction(0))
    assert default_plan(budget).holdout_share == Fraction(1, 5)
    for bad in (Fraction(0), Fraction(1), Fraction(3, 2)):
        with pytest.raises(ParameterError, match="strictly between 0 and 1"):
            default_plan(budget, holdout_share=bad)


def test_a_batch_of_a_fixed_size_is_of_one_to_all() -> None:
    for size in (1, 7, 10):
        assert FixedSizeSampledGaussian(noise_multiplier=1.0, sample_size=size, population_size=10).sample_size == size
    for size, population in ((0, 10), (11, 10), (0, 0), (2.0, 10), (2, 10.0)):
        with pytest.raises(ParameterError):
            FixedSizeSampledGaussian(
                noise_multiplier=1.0,
                sample_size=size,  # type: ignore[arg-type]
                population_size=population,  # type: ignore[arg-type]
            )


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_label_that_is_released_more_often_than_not_has_no_price(sigma: float) -> None:
    """One label of a unit's own is released with the chance that the noise reaches the threshold less one."""
    weights = [math.exp(-k * k / (2 * sigma * sigma)) for k in range(-math.ceil(20 * sigma), math.ceil(20 * sigma) + 1)]
    lone = sum(weights[len(weights) // 2 + 1 :]) / sum(weights)
    alone = price(PartitionSelection(sigma=sigma, threshold=2), Coordinate.GDP)
    assert alone.delta / DELTA_UNIT == pytest.approx(lone, rel=1e-9)
    for threshold, labels in ((2, 3), (1, 1)):
        with pytest.raises(UnsupportedEvent, match="no price"):
            price(PartitionSelection(sigma=sigma, threshold=threshold, labels_per_unit=labels), Coordinate.GDP)
