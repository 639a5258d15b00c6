"""The solver: recovers what the measurements determine, merges repeats by precision, sees measurements alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.estimation import estimate_total, estimate_tree
from dpsynth.measurement import Measurement


def measured(clique, values, sigma=1.0):
    return Measurement(clique=clique, values=np.asarray(values, dtype=np.int64), sigma=sigma)


def test_consistent_measurements_are_reproduced():
    domain = Domain(names=("a", "b", "c"), sizes=(2, 3, 2))
    rng = np.random.default_rng(1)
    ab = rng.integers(50, 500, (2, 3))
    bc = rng.multinomial(ab.sum(axis=0)[0], [0.3, 0.7]), rng.multinomial(ab.sum(axis=0)[1], [0.5, 0.5])
    bc = np.array([*bc, rng.multinomial(ab.sum(axis=0)[2], [0.9, 0.1])])
    model = estimate_tree(domain, [measured(("a", "b"), ab), measured(("b", "c"), bc)], tolerance=1e-9)
    np.testing.assert_allclose(model.total * model.marginal(("a", "b")), ab, atol=0.05)
    np.testing.assert_allclose(model.total * model.marginal(("b", "c")), bc, atol=0.05)
    expected = ab[:, :, None] * bc[None] / ab.sum(axis=0)[None, :, None]
    np.testing.assert_allclose(model.total * model.marginal(("a", "b", "c")), expected, atol=0.1)


def test_repeats_are_merged_by_precision():
    domain = Domain(names=("a",), sizes=(2,))
    model = estimate_tree(
        domain, [measured(("a",), [100, 0], 1.0), measured(("a",), [0, 100], 3.0)], total=100.0, tolerance=1e-9
    )
    np.testing.assert_allclose(100 * model.marginal(("a",)), [90, 10], atol=0.05)


def test_the_total_is_the_precision_weighted_mean():
    one, two = measured(("a",), [6, 4], 1.0), measured(("b",), [5, 5, 10], 2.0)
    assert estimate_total([one, two]) == pytest.approx((10 / 2 + 20 / 12) / (1 / 2 + 1 / 12))
    assert estimate_total([measured(("a",), [-50, 0])]) == 1.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=6, max_size=6), st.integers(0, 2**31))
def test_any_measurement_gives_a_distribution(values, seed):
    domain = Domain(names=("a", "b"), sizes=(2, 3))
    noisy = [measured(("a", "b"), np.array(values).reshape(2, 3), 5.0), measured(("b",), [seed % 7, -3, 2], 0.7)]
    model = estimate_tree(domain, noisy)
    table = model.marginal(("a", "b"))
    assert (table >= 0).all()
    assert table.sum() == pytest.approx(1.0)


def test_the_fit_is_no_worse_than_a_long_reference_descent():
    """Against plain projected-gradient on the full joint, an independent method for the same convex problem."""
    domain = Domain(names=("a", "b", "c"), sizes=(3, 4, 3))
    rng = np.random.default_rng(5)
    pairs = [("a", "b"), ("b", "c"), ("a", "c")]
    noisy = [measured(c, rng.integers(-20, 200, domain.shape(c)), 10.0) for c in pairs]
    total = 1000.0

    def loss(joint):
        sums = {("a", "b"): joint.sum(2), ("b", "c"): joint.sum(0), ("a", "c"): joint.sum(1)}
        return sum(((total * sums[m.clique] - _centre(m.values, total)) ** 2).sum() / 200.0 for m in noisy)

    joint = np.full(domain.sizes, 1 / 36)
    for _ in range(20_000):
        gradient = np.zeros(domain.sizes)
        for m, axis in zip(noisy, (2, 0, 1), strict=True):
            residual = total * joint.sum(axis) - _centre(m.values, total)
            gradient += np.expand_dims(residual, axis) * total / 100.0
        joint = joint * np.exp(-1e-5 * gradient)
        joint /= joint.sum()
    model = estimate_tree(domain, noisy, total=total, tolerance=1e-8)
    assert loss(model.marginal(("a", "b", "c"))) <= loss(joint) * 1.001 + 1e-6


def _centre(values, total):
    return values + (total - values.sum()) / values.size


def test_acceleration_comes_close_in_a_hundred_calls():
    """Noisy overlapping pairs: plain descent is an order of magnitude above the optimum after as many calls."""
    domain = Domain(names=tuple("abcdef"), sizes=(12, 9, 14, 8, 11, 6))
    rng = np.random.default_rng(3)
    rows = np.cumsum(rng.integers(0, 4, (6, 20_000)), axis=0) % np.array(domain.sizes)[:, None]
    noisy = []
    for i in range(5):
        table = np.zeros((domain.sizes[i], domain.sizes[i + 1]), dtype=np.int64)
        np.add.at(table, (rows[i], rows[i + 1]), 1)
        noisy.append(measured(domain.names[i : i + 2], table + np.rint(rng.normal(0, 15, table.shape)), 15.0))

    def loss(calls):
        model = estimate_tree(domain, noisy, total=20_000.0, max_calls=calls, tolerance=0.0)
        residuals = (20_000 * model.marginal(m.clique) - _centre(m.values, 20_000) for m in noisy)
        return sum((r**2).sum() for r in residuals) / (2 * 15.0**2)

    assert loss(100) <= 1.05 * loss(4_000)
