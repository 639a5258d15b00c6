"""The mixture of products against brute force, and the one interface of models: sampled, saved and scored alike."""

import itertools

import numpy as np
import pytest
from scipy.special import gammaincc

from dpsynth.domain import Domain
from dpsynth.estimation import MODELS, MixtureModel, Oracle, TreeModel, junction_tree
from dpsynth.sampling import generator, sample_codes

DOMAIN = Domain.of({"a": 2, "b": 3, "c": 4})


def mixture(components=5, seed=0):
    rng = np.random.default_rng(seed)
    tables = tuple(rng.dirichlet(np.full(s, 0.5), components) for s in DOMAIN.sizes)
    return MixtureModel(domain=DOMAIN, weights=rng.dirichlet(np.ones(components)), tables=tables, total=321.5)


def tree():
    cliques = [("a", "b"), ("b", "c")]
    made = junction_tree(DOMAIN, cliques)
    theta = [np.random.default_rng(1).normal(0, 1, DOMAIN.shape(c)) for c in cliques]
    return TreeModel(tree=made, beliefs=tuple(Oracle.of(made, cliques).beliefs(theta)), total=99.0)


def joint(model):
    """The whole table, from densities of every cell."""
    cells = np.array(list(itertools.product(*map(range, DOMAIN.sizes)))).T
    return np.exp(model.log_density(cells)).reshape(DOMAIN.sizes)


MADE = [mixture(), tree()]


@pytest.mark.parametrize("model", MADE, ids=lambda m: m.structure()["kind"])
@pytest.mark.parametrize("clique", [q for k in range(1, 4) for q in itertools.combinations(DOMAIN.names, k)])
def test_marginals_are_sums_of_densities(model, clique):
    gone = tuple(i for i, n in enumerate(DOMAIN.names) if n not in clique)
    np.testing.assert_allclose(model.marginal(clique), joint(model).sum(axis=gone), atol=1e-12)


def test_densities_are_those_of_the_components():
    model = mixture()
    a, b, c = model.tables
    np.testing.assert_allclose(joint(model), np.einsum("k,ka,kb,kc->abc", model.weights, a, b, c), atol=1e-14)


def test_a_cell_that_no_component_has_is_impossible():
    tables = tuple(np.eye(s)[[0]] for s in DOMAIN.sizes)
    model = MixtureModel(domain=DOMAIN, weights=np.ones(1), tables=tables, total=1.0)
    assert model.log_density(np.array([[0, 1], [0, 0], [0, 0]])).tolist() == [0.0, -np.inf]


@pytest.mark.parametrize("model", MADE, ids=lambda m: m.structure()["kind"])
def test_conditionals_multiply_to_the_model(model):
    sizes = list(DOMAIN.sizes)
    steps = list(model.conditionals())
    hidden = {v: s for step in steps for v, s in zip(step.new, step.new_shape, strict=True) if v >= len(sizes)}
    variables = [*range(len(sizes)), *sorted(hidden)]
    whole = np.ones([*sizes, *(hidden[v] for v in sorted(hidden))])
    for step in steps:
        shares = step.table / step.table.sum(axis=1, keepdims=True)
        axes = (*step.given, *step.new)
        grid = np.transpose(
            shares.reshape(*step.given_shape, *step.new_shape), [axes.index(v) for v in variables if v in axes]
        )
        whole = whole * grid[tuple(slice(None) if v in axes else None for v in variables)]
    whole = whole.sum(axis=tuple(range(len(sizes), whole.ndim)))
    np.testing.assert_allclose(whole, joint(model), atol=1e-12)


@pytest.mark.parametrize("model", MADE, ids=lambda m: m.structure()["kind"])
@pytest.mark.parametrize("ways", [2, 3])
def test_a_sample_follows_its_model(model, ways):
    rows = 40_000
    codes = sample_codes(model, rows, rng=generator(3))
    for clique in itertools.combinations(DOMAIN.names, ways):
        expected = rows * model.marginal(clique).ravel()
        flat = np.ravel_multi_index([codes["abc".index(n)] for n in clique], DOMAIN.shape(clique))
        seen = np.bincount(flat, minlength=len(expected))
        statistic = ((seen - expected) ** 2 / expected).sum()
        assert gammaincc((len(expected) - 1) / 2, statistic / 2) > 1e-5


@pytest.mark.parametrize("model", MADE, ids=lambda m: m.structure()["kind"])
def test_a_saved_model_comes_back_bit_for_bit(model):
    structure, arrays = model.structure(), model.arrays()
    again = MODELS[structure["kind"]].from_parts(DOMAIN, structure, arrays)
    assert again.structure() == structure
    assert all(np.array_equal(arrays[n], table) for n, table in again.arrays().items())
    codes = sample_codes(again, 100, rng=generator(4))
    np.testing.assert_array_equal(codes, sample_codes(model, 100, rng=generator(4)))
