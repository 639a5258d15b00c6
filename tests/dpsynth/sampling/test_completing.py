"""Completing rows: what isn't known has exactly the model's conditional law, whatever is known, of every model."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import gammaincc

from dpsynth.domain import Domain
from dpsynth.estimation import MixtureModel, Oracle, PoolModel, TreeModel, junction_tree
from dpsynth.sampling import complete_codes, completing, generator

DOMAIN = Domain.of({"a": 3, "b": 2, "c": 4, "d": 3, "e": 2})
CHAIN = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]
STAR = [("a", "b", "c"), ("c", "d"), ("c", "e")]
FOREST = [("a", "b"), ("c", "d")]


def tree_model(cliques, seed=0, zero=False):
    rng, tree = np.random.default_rng(seed), junction_tree(DOMAIN, cliques)
    theta = [rng.normal(0, 1.5, DOMAIN.shape(c)) for c in cliques]
    if zero:
        theta[0].ravel()[:2] = -800.0
    return TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=1000.0)


def mixture_model():
    rng = np.random.default_rng(4)
    tables = tuple(rng.dirichlet(np.full(size, 0.4), 6) for size in DOMAIN.sizes)
    return MixtureModel(domain=DOMAIN, weights=rng.dirichlet(np.ones(6)), tables=tables, total=10.0)


def pool_model():
    rng = np.random.default_rng(5)
    codes = np.array([rng.integers(0, size, 900) for size in DOMAIN.sizes], np.uint8)
    return PoolModel(domain=DOMAIN, codes=codes, weights=rng.random(900) + 0.05, total=10.0)


MODELS = {
    "chain": lambda: tree_model(CHAIN),
    "star": lambda: tree_model(STAR, 1),
    "forest": lambda: tree_model(FOREST, 2),
    "zeros": lambda: tree_model(CHAIN, 3, zero=True),
    "mixture": mixture_model,
    "pool": pool_model,
}


def joint_of(model):
    """The probability of every cell, by the models' own account of rows, not of their conditionals."""
    cells = np.array(list(itertools.product(*map(range, DOMAIN.sizes)))).T
    return np.exp(model.log_density(cells)).reshape(DOMAIN.sizes)


def chi_square(seen, expected):
    likely = expected > 5
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    return gammaincc(max(1, likely.sum() - 1) / 2, statistic / 2)


@pytest.mark.parametrize("systematic", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_unknown_codes_have_the_models_conditional_law(name, systematic):
    """Every set of known attributes at once, 3,000 rows each, their known codes uniform: a chi-square test each."""
    model, rng = MODELS[name](), np.random.default_rng(7)
    joint, patterns, each = joint_of(model), list(itertools.product([False, True], repeat=5)), 3_000
    known = np.repeat(np.array(patterns).T, each, axis=1)
    order = rng.permutation(known.shape[1])
    known = known[:, order]
    asked = np.array([rng.integers(0, size, known.shape[1]) for size in DOMAIN.sizes], np.uint8)
    filled, possible = complete_codes(model, asked, known, rng=generator(3), systematic=systematic)
    assert (filled[known] == asked[known]).all()
    assert (filled < np.array(DOMAIN.sizes)[:, None]).all()
    for pattern in patterns:
        rows = (known == np.array(pattern)[:, None]).all(axis=0)
        unknown = tuple(i for i, have in enumerate(pattern) if not have)
        below = joint.sum(axis=unknown, keepdims=True)
        law = np.divide(joint, below, out=np.zeros_like(joint), where=below > 0)
        place = np.array(np.unravel_index(np.arange(joint.size), DOMAIN.sizes))
        count = np.zeros(below.shape)
        np.add.at(count, tuple(np.where(pattern, asked[:, rows].T, 0).T), 1)
        assert (possible[rows] == (below[tuple(np.where(pattern, asked[:, rows].T, 0).T)] > 0)).all(), pattern
        expected = (law * count).ravel()
        seen = np.bincount(np.ravel_multi_index(filled[:, rows & possible], DOMAIN.sizes), minlength=joint.size)
        assert seen[expected == 0].sum() == 0, (pattern, place[:, (expected == 0) & (seen > 0)])
        assert chi_square(seen, expected) > 1e-6, pattern


def test_rows_that_are_alike_come_in_the_models_shares():
    model, rows = tree_model(STAR, 1), 5_000
    known = np.zeros((5, rows), bool)
    known[2] = True
    filled, _ = complete_codes(model, np.full((5, rows), 3, np.uint8), known, rng=generator(1))
    law = model.conditional(("d",), ("c",))[3]
    assert np.abs(np.bincount(filled[3], minlength=3) - law * rows).max() <= 1


def test_small_blocks_change_no_law(monkeypatch):
    monkeypatch.setattr(completing, "MOST_CELLS", 7)
    monkeypatch.setattr(completing, "MOST_MESSAGE", 5)
    test_the_unknown_codes_have_the_models_conditional_law("star", False)


def test_joints_that_outgrow_their_numbers_are_numbered_anew(monkeypatch):
    monkeypatch.setattr(completing, "_LARGEST_JOINT", 6)
    test_the_unknown_codes_have_the_models_conditional_law("chain", False)


def test_evidence_of_many_attributes_does_not_underflow():
    domain = Domain.of({f"x{i}": 2 for i in range(400)})
    rare = np.tile(np.array([[1e-3, 1 - 1e-3], [1 - 1e-3, 1e-3]]), (1, 1))
    model = MixtureModel(domain=domain, weights=np.array([0.5, 0.5]), tables=(rare,) * 400, total=1.0)
    codes, known = np.zeros((400, 1_000), np.uint8), np.ones((400, 1_000), bool)
    codes[:200] = 1  # both components explain half of what is known: neither is likelier, both are below 1e-300
    known[-1] = False
    codes[0] = 0
    filled, possible = complete_codes(model, codes, known, rng=generator(1))
    assert possible.all()
    odds = math.exp(math.log(1 - 1e-3) - math.log(1e-3))
    assert filled[-1].mean() == pytest.approx(1 / (1 + odds), abs=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_to_do_is_nothing(name):
    model = MODELS[name]()
    empty, possible = complete_codes(model, np.zeros((5, 0), np.uint8), np.zeros((5, 0), bool), rng=generator(1))
    assert empty.shape == (5, 0)
    assert possible.shape == (0,)
    whole = np.argmax(joint_of(model))
    codes = np.array(np.unravel_index([whole], DOMAIN.sizes), np.uint8)
    same, possible = complete_codes(model, codes, np.ones((5, 1), bool), rng=generator(1))
    assert (same == codes).all()
    assert possible.all()
