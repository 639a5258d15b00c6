"""The sampler reproduces its model's two- and three-way marginals, siblings stay conditionally independent."""

import itertools

import numpy as np
import pytest
from scipy.special import gammaincc

from dpsynth.domain import Domain
from dpsynth.estimation import Oracle, TreeModel, junction_tree
from dpsynth.sampling import generator, sample_codes


def make_model(cliques, sizes, seed=0):
    domain = Domain(names=tuple("abcdef"[: len(sizes)]), sizes=sizes)
    rng = np.random.default_rng(seed)
    tree = junction_tree(domain, cliques)
    theta = [rng.normal(0, 1, domain.shape(c)) for c in cliques]
    return TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=1000.0)


STAR = [("a", "b"), ("a", "c"), ("a", "d")]
CHAIN = [("a", "b"), ("b", "c"), ("c", "d")]
LOOP = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]
APART = [("a", "b"), ("c",), ("d",)]


@pytest.mark.parametrize("cliques", [STAR, CHAIN, LOOP, APART])
@pytest.mark.parametrize("ways", [2, 3, 4])
@pytest.mark.parametrize("rounded", [False, True])
def test_marginals_of_the_sample_follow_the_model(cliques, ways, rounded):
    model = make_model(cliques, (3, 4, 3, 2))
    rows = 60_000
    codes = sample_codes(model, rows, rng=generator(7), rounded=rounded)
    for clique in itertools.combinations(model.domain.names, ways):
        expected = rows * model.marginal(clique).ravel()
        shape = model.domain.shape(clique)
        joint = np.ravel_multi_index([codes["abcd".index(n)] for n in clique], shape)
        seen = np.bincount(joint, minlength=len(expected))
        statistic = ((seen - expected) ** 2 / expected).sum()
        p = gammaincc((len(expected) - 1) / 2, statistic / 2)
        assert p > 1e-5  # systematic sampling only lowers the statistic; a comonotone sampler gives p = 0


def test_siblings_are_conditionally_independent_and_not_comonotone():
    model = make_model(STAR, (2, 5, 5, 2), seed=3)
    codes = sample_codes(model, 40_000, rng=generator(1))
    for a in range(2):
        group = codes[:, codes[0] == a].astype(float)
        assert abs(np.corrcoef(group[1], group[2])[0, 1]) < 0.03


def test_one_way_counts_are_exact_to_a_row_per_group():
    model = make_model([("a",), ("b",)], (4, 3))
    codes = sample_codes(model, 1_000, rng=generator(2), rounded=False)
    expected = 1_000 * model.marginal(("a",))
    assert np.abs(np.bincount(codes[0], minlength=4) - expected).max() <= 1.0 + 1e-9


def test_seeded_sampling_repeats_and_unseeded_does_not():
    model = make_model(CHAIN, (3, 4, 3, 2))
    one, same = (sample_codes(model, 200, rng=generator(5)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    fresh = [sample_codes(model, 200, rng=generator(None)) for _ in range(2)]
    assert not np.array_equal(*fresh)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_tiny_samples(rows):
    assert sample_codes(make_model(LOOP, (3, 4, 3, 2)), rows, rng=generator(0)).shape == (4, rows)


def test_codes_take_the_smallest_unsigned_type():
    assert sample_codes(make_model([("a",)], (256, 2)), 5, rng=generator(0)).dtype == np.uint8
    assert sample_codes(make_model([("a",)], (257, 2)), 5, rng=generator(0)).dtype == np.uint16
