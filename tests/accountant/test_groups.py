"""Group privacy: against exact laws of k rows, known factors, and refusals where nothing is known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.compose import price
from accountant.convert import delta_from_mu
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    ZCDP,
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
    Repeat,
)
from accountant.groups import for_group, histogram_sensitivity
from accountant.price import AMOUNT_UNIT, Coordinate

GDP, CONCENTRATED = Coordinate.GDP, Coordinate.ZCDP
ROWS = st.integers(1, 40)
SCALES = st.floats(0.3, 1e3)
GAUSSIANS: st.SearchStrategy[Event] = st.one_of(
    st.builds(DiscreteGaussian, sigma=st.floats(1.0, 1e3), sensitivity=st.floats(0.01, 9.0), draws=st.integers(1, 99)),
    SCALES.map(lambda s: Gaussian(noise_multiplier=s)),
    SCALES.map(lambda s: ZCDP(rho=1 / s)),
)


@given(event=GAUSSIANS, rows=ROWS, coordinate=st.sampled_from([GDP, CONCENTRATED]))
def test_gaussians_of_k_rows_cost_k_squared(event: Event, rows: int, coordinate: Coordinate) -> None:
    coordinate = CONCENTRATED if isinstance(event, ZCDP) else coordinate
    once, group = price(event, coordinate), price(for_group(event, rows), coordinate)
    assert (once.amount - 1) * rows**2 <= group.amount <= once.amount * rows**2 * (1 + 1e-12) + 1
    assert group.delta == once.delta


@given(scale=SCALES, rows=ROWS)
def test_pure_parameters_are_multiplied_and_never_rounded_down(scale: float, rows: int) -> None:
    pure = for_group(PureDP(epsilon=scale), rows)
    ranged = for_group(BoundedRange(eta=scale), rows)
    assert isinstance(pure, PureDP)
    assert isinstance(ranged, BoundedRange)
    assert pure.epsilon == ranged.eta == pytest.approx(scale * rows)
    for event in (Laplace(scale=scale), DiscreteLaplace(scale=scale, sensitivity=0.1, draws=7)):
        group = for_group(event, rows)
        assert isinstance(group, Laplace | DiscreteLaplace)
        assert group.sensitivity == pytest.approx(event.sensitivity * rows)
    assert price(for_group(PureDP(epsilon=scale), rows), CONCENTRATED).amount >= rows**2 * (
        price(PureDP(epsilon=scale), CONCENTRATED).amount - 1
    )


@pytest.mark.parametrize("sigma", [0.7, 3.0])
@pytest.mark.parametrize("rows", [2, 3])
def test_k_rows_in_one_cell_are_no_easier_to_tell_apart_than_charged(sigma: float, rows: int) -> None:
    """The exact law of one count with discrete Gaussian noise, with k rows more."""
    reach = range(-60, 61)
    weights = {x: math.exp(-x * x / (2 * sigma * sigma)) for x in reach}
    whole = math.fsum(weights.values())
    group = price(for_group(DiscreteGaussian(sigma=sigma), rows), GDP)
    mu = math.sqrt(group.amount / AMOUNT_UNIT)
    for epsilon in (0.0, 0.5, 1.0, 3.0):
        exact = math.fsum(max(0.0, weights[x] - math.exp(epsilon) * weights.get(x - rows, 0.0)) for x in reach) / whole
        assert exact <= delta_from_mu(mu, epsilon) + 1e-12
        one = math.sqrt(price(DiscreteGaussian(sigma=sigma), GDP).amount / AMOUNT_UNIT)
        assert epsilon > 1.0 or exact > delta_from_mu(one, epsilon)


@given(rows=ROWS, epsilon=st.floats(0.01, 3.0), delta=st.floats(1e-30, 1e-9))
def test_a_claim_walks_row_by_row(rows: int, epsilon: float, delta: float) -> None:
    """delta_k = e^epsilon delta_(k-1) + delta, by the definition, one row at a time."""
    at = 0.0
    for _ in range(rows):
        at = math.exp(epsilon) * at + delta
    if at >= 1.0:
        with pytest.raises(UnsupportedEvent, match="reaches 1"):
            for_group(ApproxDP(epsilon=epsilon, delta=delta), rows)
        return
    group = for_group(ApproxDP(epsilon=epsilon, delta=delta), rows)
    assert isinstance(group, ApproxDP)
    assert at * (1 - 1e-11) <= group.delta * (1 + 1e-11)
    assert group.delta <= at * (1 + 1e-9)
    assert group.epsilon == pytest.approx(rows * epsilon)


def test_a_claim_far_out_is_refused_and_a_pure_one_is_not() -> None:
    with pytest.raises(UnsupportedEvent, match="reaches 1"):
        for_group(ApproxDP(epsilon=800.0, delta=1e-320), 3)
    assert for_group(ApproxDP(epsilon=800.0, delta=0.0), 3) == ApproxDP(epsilon=2400.0, delta=0.0)


@given(rows=st.integers(1, 10**6))
def test_histograms_with_one_row_a_cell(rows: int) -> None:
    root = histogram_sensitivity(rows, one_row_per_cell=True)
    assert root == pytest.approx(math.sqrt(rows))
    assert root.as_integer_ratio()[0] ** 2 >= rows * root.as_integer_ratio()[1] ** 2
    assert histogram_sensitivity(rows, one_row_per_cell=False) == rows


def test_structures_are_grouped_part_by_part() -> None:
    inner = DiscreteGaussian(sigma=3.0)
    whole = Composed(events=(Repeat(event=inner, count=4), BoundedRange(eta=0.5)))
    grouped = Composed(
        events=(Repeat(event=DiscreteGaussian(sigma=3.0, sensitivity=2.0), count=4), BoundedRange(eta=1.0))
    )
    assert for_group(whole, 2) == grouped
    assert for_group(whole, 1) == whole


SAMPLED = PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.1)
LABELS = PartitionSelection(sigma=2.0, threshold=20)


def test_what_is_not_known_is_refused_at_any_depth() -> None:
    for event in (SAMPLED, LABELS, Composed(events=(Repeat(event=SAMPLED, count=2),))):
        assert for_group(event, 1) == event
        with pytest.raises(UnsupportedEvent, match="Sample, clip and count people"):
            for_group(event, 3)


@pytest.mark.parametrize("rows", [0, -1, 1.5, True])
def test_a_unit_has_a_whole_number_of_rows(rows: object) -> None:
    with pytest.raises(ParameterError, match="whole number of rows"):
        for_group(PureDP(epsilon=1.0), rows)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="whole number of rows"):
        histogram_sensitivity(rows, one_row_per_cell=True)  # type: ignore[arg-type]
