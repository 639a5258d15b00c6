"""The mixture's solver: its gradient against differences, its fit of what a mixture can hold, its determinism."""

import itertools

import numpy as np
import pytest

from dpsynth.domain import Domain
from dpsynth.estimation import MixtureModel
from dpsynth.estimation.mixture_solver import _Problem, _softmax, fit_mixture
from dpsynth.estimation.solver import merge
from dpsynth.measurement import Measurement

DOMAIN = Domain.of({"a": 2, "b": 3, "c": 4, "d": 2})
CLIQUES = [q for k in (1, 2, 3, 4) for q in itertools.combinations(DOMAIN.names, k)]


def truth(seed=0):
    rng = np.random.default_rng(seed)
    tables = tuple(rng.dirichlet(np.full(s, 0.3), 3) for s in DOMAIN.sizes)
    return MixtureModel(domain=DOMAIN, weights=np.array([0.5, 0.3, 0.2]), tables=tables, total=5_000.0)


def measured(cliques, sigma=2.0, seed=1):
    rng = np.random.default_rng(seed)
    found = []
    for i, q in enumerate(cliques):
        exact = 5_000.0 * truth().marginal(q)
        noisy = np.rint(exact + rng.normal(0, sigma, exact.shape)).astype(np.int64)
        found.append(Measurement(clique=q, values=noisy, sigma=sigma * (1 + i % 3)))
    return found


def slow_loss(problem_targets, total, tables, weights):
    """The loss as it is defined, marginal by marginal in double precision."""
    model = MixtureModel(domain=DOMAIN, weights=weights, tables=tables, total=total)
    return sum(
        0.5 * t.precision * ((total * model.marginal(t.clique) - t.values) ** 2).sum() for t in problem_targets
    )


def test_loss_and_gradient_are_those_of_the_definition():
    total, targets = 5_000.0, merge(measured(CLIQUES), 5_000.0)
    problem = _Problem(DOMAIN, targets, total)
    rng = np.random.default_rng(2)
    theta = rng.normal(0, 1, (4, sum(DOMAIN.sizes))).astype(np.float32)
    omega = rng.normal(0, 1, 4).astype(np.float32)

    def loss(theta, omega):
        blocks = np.split(theta.astype(np.float64), np.cumsum(DOMAIN.sizes)[:-1], axis=1)
        tables = tuple(np.exp(b) / np.exp(b).sum(axis=1, keepdims=True) for b in blocks)
        weights = np.exp(omega.astype(np.float64))
        return slow_loss(targets, total, tables, weights / weights.sum())

    value, by_theta, by_omega = problem.gradient(theta, omega)
    assert value == pytest.approx(loss(theta, omega), rel=1e-4)
    for index in [(0, 0), (1, 4), (2, 7), (3, 10)]:
        up, down = theta.astype(np.float64), theta.astype(np.float64)
        up[index] += 1e-5
        down[index] -= 1e-5
        slope = (loss(up, omega) - loss(down, omega)) / 2e-5
        assert by_theta[index] == pytest.approx(slope, rel=2e-3, abs=1e-2 * float(np.abs(by_theta).mean()))
    for k in range(4):
        step = np.eye(4)[k] * 1e-5
        slope = (loss(theta, omega + step) - loss(theta, omega - step)) / 2e-5
        assert by_omega[k] == pytest.approx(slope, rel=2e-3, abs=1e-2 * float(np.abs(by_omega).mean()))


def test_a_fit_comes_as_near_as_the_noise():
    model = fit_mixture(DOMAIN, measured([q for q in CLIQUES if len(q) <= 3]), components=20, steps=150)
    for clique in CLIQUES:
        assert np.abs(model.marginal(clique) - truth().marginal(clique)).sum() < 0.02


def test_a_fit_is_a_function_of_its_measurements():
    found = measured(CLIQUES[:10])
    one, same = (fit_mixture(DOMAIN, found, components=8, steps=20) for _ in range(2))
    for name, table in one.arrays().items():
        np.testing.assert_array_equal(table, same.arrays()[name])


@pytest.mark.parametrize("cliques", [[("b",)], [("a", "b")], [("a", "b", "c")]])
def test_any_set_of_marginals_can_be_fitted(cliques):
    model = fit_mixture(DOMAIN, measured(cliques), components=10, steps=150)
    assert np.abs(model.marginal(cliques[0]) - truth().marginal(cliques[0])).sum() < 0.03
    assert all(np.isfinite(t).all() and np.allclose(t.sum(axis=1), 1) for t in model.tables)


def test_weights_sum_to_one():
    assert _softmax(np.array([1e4, 0.0, -1e4], dtype=np.float32)).tolist() == [1.0, 0.0, 0.0]
