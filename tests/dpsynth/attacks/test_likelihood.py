"""Likelihoods of rows against a table and noisy marginals: the definition, the sensitivity, and what they see."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import ONE, Family, Feature, make_target, side_sums, table_facts
from dpsynth.attacks.features import look, look_at_itself, values
from dpsynth.attacks.likelihood import MOST, STEP, NoisyMarginal, likelihood, ratios, scores
from dpsynth.errors import ParameterError
from tests.dpsynth.gate.helpers import LAYOUT, source, table

LIKELY = Feature(family=Family.LIKELY)
ROWS = list(itertools.product(*(range(s) for s in LAYOUT.sizes)))
PEOPLE = [(row,) for row in ROWS] + [(ROWS[0], ROWS[-1]), (ROWS[3], ROWS[3], ROWS[5]), tuple(ROWS[1:8])]


def noisy(rng, *cliques, sigma=3.0, people=40):
    """Marginals of some people with rounded normal noise: any integers would do."""
    records = table(rng, people)
    found = []
    for columns in cliques:
        shape = tuple(LAYOUT.sizes[c] for c in columns)
        counts = np.zeros(shape, dtype=np.int64)
        np.add.at(counts, tuple(records[list(columns)].astype(int)), 1)
        values_ = counts + np.rint(rng.normal(0, sigma, shape)).astype(np.int64)
        found.append(NoisyMarginal(columns=columns, values=values_, sigma=sigma))
    return found


def by_hand(row, synthetic, marginals):
    """The sum of shrunk log ratios of a row's cells, each rounded once."""
    total = 0
    for one in marginals:
        cells = math.prod(one.values.shape)
        cell = tuple(int(row[c]) for c in one.columns)
        hits = sum(all(synthetic[c][i] == row[c] for c in one.columns) for i in range(synthetic.shape[1]))
        people = max(1.0, float(one.values.sum()))
        expected = (hits + 0.5) * people / (synthetic.shape[1] + cells / 2)
        noise = math.hypot(one.sigma, math.sqrt(expected))
        seen = max(float(one.values[cell]), 0.0, min(expected, noise) / 2)
        ratio = expected / (expected + noise) * math.log(expected / seen)
        total += min(MOST, max(-MOST, round(ratio * STEP)))
    return total


@given(st.integers(0, 2**32 - 1), st.integers(0, 14), st.sampled_from([0.5, 3.0, 200.0]))
def test_a_score_is_its_definition(seed, rows, sigma):
    rng = np.random.default_rng(seed)
    synthetic, marginals = table(rng, rows), noisy(rng, (0, 1), (2,), sigma=sigma)
    of = ratios(synthetic, LAYOUT.sizes, marginals, None)
    codes = np.array(ROWS, dtype=np.uint8).T
    expected = [by_hand(row, synthetic, marginals) for row in ROWS]
    found = scores(codes, of)
    assert np.abs(found - np.array(expected)).max() <= 1
    for score, f in zip(found.tolist(), likelihood(found, of, one=ONE).tolist(), strict=True):
        assert f == min(ONE, max(0, (score - of.low) * ONE // of.width))


def test_f_is_a_half_at_the_mean_of_strangers_and_has_a_quarter_for_their_spread():
    rng = np.random.default_rng(2)
    synthetic, marginals = table(rng, 500), noisy(rng, (0, 1), (1, 2), people=200)
    strangers = table(rng, 5_000)
    of = ratios(synthetic, LAYOUT.sizes, marginals, strangers)
    score = scores(strangers, of)
    assert of.low + of.width / 2 == pytest.approx(score.mean(), abs=2)
    assert of.width == pytest.approx(4 * score.std(), abs=8)


def test_noise_above_what_a_table_has_says_little():
    rng = np.random.default_rng(3)
    synthetic = table(rng, 500)
    (marginal,) = noisy(rng, (0, 1), sigma=1.0)
    quiet, loud = (
        ratios(synthetic, LAYOUT.sizes, [dataclasses.replace(marginal, sigma=sigma)], None) for sigma in (1.0, 1e4)
    )
    assert np.abs(loud.tables[0]).max() < STEP // 50 < np.abs(quiet.tables[0]).max()


def test_one_person_moves_the_sum_by_their_own_likelihood_alone():
    """All add-remove neighbours of small sides, for every table: in [0, 1], all of it somewhere, alone or not."""
    rng = np.random.default_rng(0)
    seen = set()
    tables = [np.zeros((3, 0), dtype=np.uint8), np.array(ROWS, dtype=np.uint8).T, table(rng, 3), table(rng, 30)]
    for synthetic in tables:
        of = ratios(synthetic, LAYOUT.sizes, noisy(rng, (0, 1), (1, 2)), None)
        target = make_target(synthetic, LAYOUT, [LIKELY], of)

        def total(*persons, target=target):
            rows = [row for person in persons for row in person]
            units = [i for i, person in enumerate(persons) for _ in person]
            codes = np.array(rows, dtype=np.uint8).reshape(-1, 3).T
            return side_sums(source(codes, units, max_rows=7).blocks(rows=2), target, [LIKELY]).sums[LIKELY]

        alone = {person: total(person) for person in PEOPLE}
        for base in ([], [PEOPLE[0], PEOPLE[-1]], [PEOPLE[5]] * 3):
            before = total(*base)
            for person in PEOPLE:
                moved = total(*base, person) - before
                assert moved == alone[person]
                assert 0 <= moved <= ONE
                seen.add(moved)
    assert {0, ONE} <= seen


def test_rows_of_the_table_are_seen_as_anybody_is_and_copies_too():
    rng = np.random.default_rng(5)
    synthetic = table(rng, 30)
    of = ratios(synthetic, LAYOUT.sizes, noisy(rng, (0, 1), (2,)), None)
    target = make_target(synthetic, LAYOUT, [LIKELY], of)
    expected = values(LIKELY, look(synthetic, target)).tolist()
    assert [values(LIKELY, sight).tolist() for sight in look_at_itself(target)] == [expected, expected]
    facts = table_facts(target, [LIKELY])[LIKELY]
    assert all(0 <= x <= ONE for x in (facts.constant, facts.square, facts.opposite, facts.copied))


def test_it_is_refused_without_a_reference_and_idle_where_it_was_not_asked_for():
    synthetic = table(np.random.default_rng(6), 5)
    with pytest.raises(ParameterError, match="without a reference"):
        make_target(synthetic, LAYOUT, [LIKELY])
    assert look(synthetic, make_target(synthetic, LAYOUT, [])).likely.size == 0


def test_a_table_that_has_its_peoples_marginals_makes_them_likelier_than_others():
    """Many cells, few people: the table's marginals are those of training people without noise."""
    rng, sizes = np.random.default_rng(7), (12, 12, 12)
    people = rng.integers(0, 12, (3, 3_000)).astype(np.uint8)
    training, holdout, compared = people[:, :1_000], people[:, 1_000:2_000], people[:, 2_000:]
    synthetic = np.stack([training[c, rng.permutation(1_000)] for c in range(3)])
    synthetic[:2] = training[:2]
    counts = np.zeros((12, 12), dtype=np.int64)
    np.add.at(counts, (compared[0].astype(int), compared[1].astype(int)), 1)
    marginal = NoisyMarginal(columns=(0, 1), values=counts, sigma=1.0)
    of = ratios(synthetic, sizes, [marginal], None)
    inside, outside = (likelihood(scores(side, of), of, one=ONE).mean() / ONE for side in (training, holdout))
    assert inside - outside > 0.05
    honest = rng.integers(0, 12, (3, 1_000)).astype(np.uint8)
    of = ratios(honest, sizes, [marginal], None)
    inside, outside = (likelihood(scores(side, of), of, one=ONE).mean() / ONE for side in (training, holdout))
    assert abs(inside - outside) < 0.05
