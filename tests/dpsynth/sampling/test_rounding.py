"""Rounding to the model: triples and pairs come nearer to it, impossible values stay out, the books are right."""

import itertools

import numpy as np
import pytest

from dpsynth.domain import Domain
from dpsynth.estimation import Oracle, StructuralZeros, TreeModel, junction_tree
from dpsynth.sampling import generator, rounding, sample_codes
from dpsynth.sampling.kernel import draw, improve, prices

DOMAIN = Domain.of({"a": 5, "b": 9, "c": 3, "d": 12, "e": 2})
CLIQUES = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "e")]
ZEROS = [StructuralZeros(clique=("b", "d"), forbidden=np.add.outer(np.arange(9), np.arange(12)) % 4 == 1)]


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(3)
    tree = junction_tree(DOMAIN, [*CLIQUES, ("b", "d")])
    oracle = Oracle(tree, CLIQUES, zeros=ZEROS)
    theta = [rng.normal(0, 1, DOMAIN.shape(c)) for c in CLIQUES]
    return TreeModel(tree=tree, beliefs=tuple(oracle.beliefs(theta)), total=1000.0)


def counts(codes, clique):
    at = tuple(codes[DOMAIN.names.index(n)] for n in clique)
    table = np.zeros(DOMAIN.shape(clique))
    np.add.at(table, at, 1)
    return table


def distance(model, codes, ways):
    """Mean L1 distance of the sample's marginals from the model's own."""
    sets = list(itertools.combinations(DOMAIN.names, ways))
    rows = codes.shape[1]
    return np.mean([np.abs(counts(codes, q) / rows - model.marginal(q)).sum() for q in sets])


def rounded(model, rows, sets, seed=5):
    rng = generator(seed)
    plain, many = (sample_codes(model, n, rng=rng, rounded=False) for n in (rows, 50_000))
    return plain, rounding.round_to_model(plain, many, DOMAIN, list(model.conditionals()), sets, rng)


@pytest.mark.parametrize("ways", [2, 3])
def test_marginals_come_nearer_to_the_model(model, ways):
    sets = np.array(list(itertools.combinations(range(5), ways)), dtype=np.int64)
    plain, better = rounded(model, 3_000, sets)
    assert distance(model, better, ways) < 0.6 * distance(model, plain, ways)
    assert distance(model, better, 4) < 1.02 * distance(model, plain, 4)


def test_a_part_of_the_rows_brings_most_of_it(model, monkeypatch):
    sets = np.array(list(itertools.combinations(range(5), 2)), dtype=np.int64)
    plain, better = rounded(model, 3_000, sets)
    monkeypatch.setattr(rounding, "VISITS", {2: 3_000 * 20 * 2 // 5})
    _, partly = rounded(model, 3_000, sets)
    assert 0 < (partly != plain).any(axis=0).sum() < (better != plain).any(axis=0).sum()
    gained, most = (distance(model, plain, 2) - distance(model, c, 2) for c in (partly, better))
    assert gained > 0.6 * most


def test_a_rare_code_keeps_its_rows(monkeypatch):
    """Its rows lie in cells of less than half a row each, where whole rows can't be near: the sum is what counts."""
    wide = Domain.of({"rare": 2, "a": 30, "b": 30, "c": 30})
    rng = np.random.default_rng(2)
    many = np.array([rng.random(200_000) < 0.02, *(rng.integers(0, 30, 200_000) for _ in range(3))]).astype(np.int64)
    plain, sets = many[:, :4_000], np.array(list(itertools.combinations(range(4), 3)), dtype=np.int64)
    expected = 0.02 * many[0].sum()

    def apart():
        made = rounding.round_to_model(plain, many, wide, [], sets, generator(0))
        return abs(made[0].sum() / expected - 1.0)

    assert apart() < 0.04
    monkeypatch.setattr(rounding, "SINGLE", 1e-9)
    assert apart() > 0.2


@pytest.mark.parametrize("ways", [2, 3])
def test_no_impossible_value_is_taken(model, ways):
    sets = np.array(list(itertools.combinations(range(5), ways)), dtype=np.int64)
    _, better = rounded(model, 3_000, sets)
    assert not ZEROS[0].forbidden[better[1], better[3]].any()


def test_an_impossible_value_would_be_taken_without_the_model(model):
    """The rule above is what keeps it out: towards a table of uniform rows it would be taken."""
    rng = generator(1)
    plain = sample_codes(model, 2_000, rng=rng, rounded=False)
    uniform = np.array([rng.integers(0, s, 20_000) for s in DOMAIN.sizes])
    sets = np.array(list(itertools.combinations(range(5), 2)), dtype=np.int64)
    free = rounding.round_to_model(plain, uniform, DOMAIN, [], sets, rng)
    assert ZEROS[0].forbidden[free[1], free[3]].any()
    held = rounding.round_to_model(plain, uniform, DOMAIN, list(model.conditionals()), sets, rng)
    assert not ZEROS[0].forbidden[held[1], held[3]].any()


@pytest.mark.parametrize("ways", [2, 3])
def test_costs_are_kept_as_if_worked_out_anew(ways):
    rng = np.random.default_rng(8)
    sets = np.array(list(itertools.combinations(range(5), ways)), dtype=np.int64)
    codes, many = (np.array([rng.integers(0, s, n) for s in DOMAIN.sizes]) for n in (400, 900))

    def copies(rows):
        """Counts of each table, in a copy for each of its attributes, which is innermost in it."""
        found = []
        for q in sets.tolist():
            shape = [DOMAIN.sizes[a] for a in q]
            joint = np.ravel_multi_index([rows[a] for a in q], shape)
            table = np.bincount(joint, minlength=np.prod(shape)).reshape(shape)
            found += [np.moveaxis(table, i, -1).ravel() for i in range(ways)]
        return np.concatenate(found)

    def books(rows):
        return 2.0 * (copies(rows) - copies(many) * 4 / 9) + 1.0

    sizes, levels = np.array(DOMAIN.sizes), np.ones(256, dtype=np.float32)
    cells = sizes[sets].prod(axis=1)
    starts = np.cumsum(cells) - cells
    held, wanted = (rounding._tables(c, sizes, sets, starts, int(cells.sum())) for c in (codes, many))
    costs, weights = np.empty(ways * len(held), dtype=np.float32), np.empty(ways * len(held), dtype=np.uint8)
    prices()(held, wanted, 4 / 9, sizes[sets], starts, levels, costs, weights)
    np.testing.assert_allclose(costs, books(codes), atol=1e-4)
    np.testing.assert_array_equal(weights, np.rint(np.log2(copies(many) * 4 / 9 + 1.0) * (255 / 24)))
    rows = np.ascontiguousarray(codes.T, dtype=np.int32)
    possible, allowed = rounding._possible(DOMAIN, [])
    places = rounding._places(DOMAIN, sets)
    before = (books(codes) ** 2).sum()
    for a, size in enumerate(DOMAIN.sizes):
        moved = improve()(rows, a, size, np.arange(400), places[a], costs, weights, levels, possible[a], allowed)
        assert moved > 0
    np.testing.assert_allclose(costs, books(rows.T), atol=1e-3)
    assert ((books(rows.T) - 1) ** 2).sum() < ((books(codes) - 1) ** 2).sum()
    assert before > 0


def test_tables_to_match_are_bounded():
    wide = Domain(names=tuple(f"c{i}" for i in range(100)), sizes=(10,) * 100)
    assert rounding.tables_to_match(DOMAIN, 1_000, model_cells=1_000).shape == (10, 3)
    assert rounding.tables_to_match(DOMAIN, 1_000, model_cells=999).shape == (10, 2)
    assert rounding.tables_to_match(wide, 10_000, model_cells=10**6).shape == (4950, 2)
    assert rounding.tables_to_match(wide, 10**7, model_cells=10**9).shape == (0, 2)
    assert rounding.tables_to_match(Domain.of({"a": 4}), 10, model_cells=100).shape == (0, 2)


def test_a_draw_never_takes_a_cell_without_mass():
    table = np.array([[0.0, 0.3, 0.0, 0.7, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    for rows in (1, 2, 7, 1_000):
        drawn, group = np.empty(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        for uniform in (0.0, 0.5, 1.0 - 2.0**-53):
            draw()(table, group, np.full(2, uniform), np.arange(rows), drawn)
            assert set(drawn.tolist()) <= {1, 3}
            draw()(table, group + 1, np.full(2, uniform), np.arange(rows), drawn)
            assert drawn.min() >= 0
            assert drawn.max() < 5
