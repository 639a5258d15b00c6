"""The oracle and the junction tree against brute force over the full joint, on small domains."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.estimation.junction_tree import junction_tree
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import Oracle, expand, reduce_to

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def problems(draw):
    d = draw(st.integers(1, 5))
    domain = Domain(names=NAMES[:d], sizes=tuple(draw(st.integers(1, 4)) for _ in range(d)))
    subsets = [c for k in range(1, min(3, d) + 1) for c in itertools.combinations(domain.names, k)]
    cliques = draw(st.lists(st.sampled_from(subsets), min_size=1, max_size=6, unique=True))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    return domain, cliques, [rng.normal(0, 3, domain.shape(c)) for c in cliques]


def joint_by_brute_force(domain, cliques, theta):
    log = np.zeros(domain.sizes)
    for clique, table in zip(cliques, theta, strict=True):
        log = log + expand(table, clique, domain.names)
    joint = np.exp(log - log.max())
    return joint / joint.sum()


@settings(max_examples=80, deadline=None)
@given(problems())
def test_marginals_equal_brute_force(problem):
    domain, cliques, theta = problem
    joint = joint_by_brute_force(domain, cliques, theta)
    oracle = Oracle.of(junction_tree(domain, cliques), cliques)
    for clique, table in zip(cliques, oracle.marginals(theta), strict=True):
        np.testing.assert_allclose(table, reduce_to(joint, domain.names, clique), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_any_marginal_and_density_of_the_model_equal_brute_force(problem):
    domain, cliques, theta = problem
    joint = joint_by_brute_force(domain, cliques, theta)
    tree = junction_tree(domain, cliques)
    model = TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=1.0)
    for k in range(1, len(domain.names) + 1):
        for clique in itertools.combinations(domain.names, k):
            np.testing.assert_allclose(model.marginal(clique), reduce_to(joint, domain.names, clique), atol=1e-11)
    for known in domain.names[1:]:
        table = reduce_to(joint, domain.names, (domain.names[0], known))
        np.testing.assert_allclose(
            model.conditional((domain.names[0],), (known,)), (table / table.sum(axis=0)).T, atol=1e-9
        )
    codes = np.indices(domain.sizes).reshape(len(domain.names), -1)
    np.testing.assert_allclose(np.exp(model.log_density(codes)), joint.ravel(), atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_the_tree_has_the_running_intersection_property(problem):
    domain, cliques, _ = problem
    tree = junction_tree(domain, cliques)
    assert all(any(set(c) <= set(t) for t in tree.cliques) for c in cliques)
    assert set().union(*map(set, tree.cliques)) == set(domain.names)
    seen: set[str] = set()
    for clique, parent, separator in zip(tree.cliques, tree.parents, tree.separators, strict=True):
        assert set(clique) & seen == set(separator)
        assert parent < 0 or set(separator) <= set(tree.cliques[parent])
        seen |= set(clique)


def test_a_saved_model_comes_back_bit_for_bit():
    domain = Domain(names=("a", "b", "c"), sizes=(2, 3, 2))
    tree = junction_tree(domain, [("a", "b"), ("b", "c")])
    theta = [np.arange(6.0).reshape(2, 3), np.ones((3, 2))]
    beliefs = Oracle.of(tree, [("a", "b"), ("b", "c")]).beliefs(theta)
    model = TreeModel(tree=tree, beliefs=tuple(beliefs), total=12.5)
    again = TreeModel.from_parts(domain, model.structure(), model.arrays())
    assert again.total == model.total
    assert again.tree == model.tree
    for one, other in zip(again.beliefs, model.beliefs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unmeasured_attribute_is_uniform():
    domain = Domain(names=("a", "b"), sizes=(2, 4))
    tree = junction_tree(domain, [("a",)])
    model = TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, [("a",)]).beliefs([np.array([0.0, 1.0])])), total=1.0)
    np.testing.assert_allclose(model.marginal(("b",)), 0.25)


@pytest.mark.parametrize("scale", [1e2, 6e2])
def test_extreme_potentials_stay_finite(scale):
    domain = Domain(names=("a", "b"), sizes=(3, 3))
    tree = junction_tree(domain, [("a", "b")])
    (belief,) = Oracle.of(tree, [("a", "b")]).beliefs([scale * np.arange(9.0).reshape(3, 3) / 9])
    assert np.isfinite(belief).all()
    assert belief.sum() == pytest.approx(1.0)
