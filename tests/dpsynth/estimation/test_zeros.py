"""Structural zeros and dependencies: exactly zero in the model and its samples, the rest as without them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Oracle, StructuralZeros, dependency, estimate_tree, fit_tree, junction_tree
from dpsynth.estimation.oracle import expand, reduce_to
from dpsynth.measurement import Measurement
from dpsynth.sampling import generator, sample_codes

DOMAIN = Domain.of({"a": 3, "b": 4, "c": 2, "d": 3})
SUBSETS = [c for k in (1, 2, 3) for c in itertools.combinations(DOMAIN.names, k)]


def random_zeros(rng, clique):
    forbidden = rng.random(DOMAIN.shape(clique)) < 0.4
    forbidden[(0,) * len(clique)] = False  # the cell of all zeros is allowed by each
    return StructuralZeros(clique=clique, forbidden=forbidden)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(SUBSETS), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(SUBSETS[4:]), min_size=1, max_size=3, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_marginals_under_zeros_equal_brute_force(factors, forbidding, seed):
    rng = np.random.default_rng(seed)
    zeros = [random_zeros(rng, c) for c in forbidding]
    theta = [rng.normal(0, 2, DOMAIN.shape(c)) for c in factors]
    terms = [expand(t, c, DOMAIN.names) for t, c in zip(theta, factors, strict=True)]
    joint = np.exp(sum(terms, np.zeros(DOMAIN.sizes)))
    for zero in zeros:
        joint = joint * ~expand(zero.forbidden, zero.clique, DOMAIN.names)
    joint /= joint.sum()
    oracle = Oracle(junction_tree(DOMAIN, [*factors, *forbidding]), factors, zeros=zeros)
    for clique, table in zip(factors, oracle.marginals(theta), strict=True):
        np.testing.assert_allclose(table, reduce_to(joint, DOMAIN.names, clique), atol=1e-12)


def test_forbidden_cells_are_zero_in_the_fit_and_never_sampled():
    rng = np.random.default_rng(4)
    zeros = [random_zeros(rng, ("a", "b")), random_zeros(rng, ("b", "c", "d"))]
    noisy = [
        Measurement(clique=c, values=rng.integers(-5, 60, DOMAIN.shape(c)), sigma=5.0)
        for c in (("a",), ("a", "b"), ("c", "d"))
    ]
    model = estimate_tree(DOMAIN, noisy, total=500.0, zeros=zeros)
    codes = sample_codes(model, 5_000, rng=generator(3))
    for zero in zeros:
        assert (model.marginal(zero.clique)[zero.forbidden] == 0.0).all()
        assert not zero.forbidden[tuple(codes[DOMAIN.names.index(n)] for n in zero.clique)].any()


def test_zeros_don_t_move_what_agrees_with_them():
    counts = np.array([[40, 0, 0, 0], [0, 30, 0, 0], [0, 0, 20, 10]])
    noisy = [Measurement(clique=("a", "b"), values=counts, sigma=1.0)]
    zeros = [StructuralZeros(clique=("a", "b"), forbidden=counts == 0)]
    model = fit_tree(DOMAIN, noisy, total=100.0, tolerance=1e-9, zeros=zeros).model
    np.testing.assert_allclose(100 * model.marginal(("a", "b")), counts, atol=1e-3)


@pytest.mark.parametrize(("cause", "effect"), [("b", "c"), ("d", "a")])
def test_a_dependency_allows_one_effect_for_each_cause(cause, effect):
    values = np.arange(DOMAIN.size(cause)) % DOMAIN.size(effect)
    zeros = dependency(DOMAIN, cause, effect, values)
    model = estimate_tree(
        DOMAIN, [Measurement(clique=(effect,), values=np.ones(DOMAIN.size(effect), dtype=np.int64), sigma=1.0)],
        total=10.0, zeros=[zeros],
    )
    codes = sample_codes(model, 200, rng=generator(1))
    np.testing.assert_array_equal(
        codes[DOMAIN.names.index(effect)], values[codes[DOMAIN.names.index(cause)]]
    )


@pytest.mark.parametrize("forbidden", [np.ones((3, 4), dtype=bool), np.zeros(3, dtype=bool), np.zeros((3, 4))])
def test_zeros_that_leave_nothing_or_fit_nothing_are_refused(forbidden):
    with pytest.raises(ParameterError, match="structural zeros"):
        StructuralZeros(clique=("a", "b"), forbidden=forbidden)
