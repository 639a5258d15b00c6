"""Adaptive mechanisms tell their selection how much one unit moves the heaviest score, and score in whole numbers."""

import numpy as np
import pytest

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.estimation import TreeModel, junction_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.mechanisms import scoring
from dpsynth.mechanisms.scoring import Candidates, expected_counts, l1_error
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model

DOMAIN = Domain.of({"a": 2, "b": 3, "c": 2})
WEIGHTS = {("a",): 1, ("a", "b"): 2, ("b", "c"): 2, ("c",): 1, ("a", "b", "c"): 3}
HEAVIEST = {"adaptive": 10, "aim": 3, "mwem": 1}


@pytest.mark.parametrize("name", sorted(HEAVIEST))
@pytest.mark.parametrize("max_rows", [1, 3])
def test_selection_is_told_the_heaviest_weight_times_the_rows_of_a_person(monkeypatch, name, max_rows):
    told, select = [], scoring.select_exponential

    def noted(scores, *, sensitivity, **rest):
        told.append(sensitivity)
        assert all(type(s) is int for s in scores)
        return select(scores, sensitivity=sensitivity, **rest)

    monkeypatch.setattr(scoring, "select_exponential", noted)
    codes = np.zeros((3, 9), dtype=np.uint8)
    fit_model(
        MemorySource(DOMAIN, codes, units=np.arange(9) // max_rows, max_rows=max_rows),
        find_synthesizer(name),
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(AMOUNT_UNIT, 2**20)}),
        random=SeededRandom(1),
    )
    assert told
    assert set(told) == {HEAVIEST[name] * max_rows}


def test_one_record_moves_an_error_by_exactly_one():
    rng = np.random.default_rng(0)
    for _ in range(200):
        exact, expected = rng.integers(0, 6, 5), rng.random(5) * 6
        more = exact.copy()
        more[rng.integers(5)] += 1
        assert abs(l1_error(more, expected) - l1_error(exact, expected)) == 1


def test_one_record_moves_every_compiled_error_by_exactly_one():
    rng = np.random.default_rng(1)
    records = np.array([rng.integers(0, s, 60) for s in DOMAIN.sizes], dtype=np.uint8)
    sample = np.array([rng.integers(0, s, 37) for s in DOMAIN.sizes], dtype=np.uint8)

    def errors(rows):
        candidates = Candidates(MemorySource(DOMAIN, np.ascontiguousarray(records[:, :rows])), WEIGHTS)
        return candidates.scores(np.arange(len(WEIGHTS)), sample, total=23.4, ceiling=1.0, saturation=1.0)[0]

    for rows in range(60):
        assert set(np.abs(errors(rows + 1) - errors(rows)).tolist()) == {1}


def test_compiled_scores_equal_those_of_plain_counting():
    rng = np.random.default_rng(2)
    records, sample = (np.array([rng.integers(0, s, n) for s in DOMAIN.sizes], dtype=np.uint8) for n in (500, 90))
    source = MemorySource(DOMAIN, records)
    candidates = Candidates(source, WEIGHTS)
    positions = np.array([4, 0, 2, 3])
    errors, penalties = candidates.scores(positions, sample, total=480.0, ceiling=20.0, saturation=0.5)
    for at, error, penalty in zip(positions, errors, penalties, strict=True):
        clique = candidates.cliques[at]
        expected = expected_counts(sample, DOMAIN, clique, 480.0)
        assert error == l1_error(next(source.counts([clique]))[1], expected)
        assert penalty == pytest.approx(np.minimum(20.0, 0.5 * expected).sum())


def test_feasible_candidates_are_those_whose_tree_stays_small():
    model = TreeModel(tree=junction_tree(DOMAIN, [("a", "b")]), beliefs=(), total=1.0)
    candidates = Candidates(MemorySource(DOMAIN, np.zeros((3, 1), dtype=np.uint8)), WEIGHTS)
    sizes = TreeSizes(DOMAIN, [("a", "b")])
    reached = [junction_tree(DOMAIN, [("a", "b"), q]).cells for q in WEIGHTS]
    for limit in (1, 8, 9, 10, 12, 100):
        wanted = [i for i, (q, c) in enumerate(zip(WEIGHTS, reached, strict=True)) if q == ("a", "b") or c <= limit]
        offered = candidates.feasible(sizes, model, limit, None).tolist()
        assert [i for i in offered if len(candidates.cliques[i]) > 1] == [
            i for i in wanted if len(candidates.cliques[i]) > 1
        ]


def test_counts_shared_between_candidates():
    candidates = Candidates(MemorySource(DOMAIN, np.zeros((3, 1), dtype=np.uint8)), WEIGHTS)
    assert candidates.shared(np.arange(5), 1).tolist() == [1, 2, 1, 0, 2]


def test_counts_beyond_32_bits_are_clipped():
    class Huge(MemorySource):
        def counts(self, cliques):
            for clique in cliques:
                yield clique, np.full(DOMAIN.shape(clique), 2**32 + 5, dtype=np.int64)

    candidates = Candidates(Huge(DOMAIN, np.zeros((3, 1), dtype=np.uint8)), WEIGHTS)
    sample = np.zeros((3, 2), dtype=np.uint8)
    errors, _ = candidates.scores(np.arange(5), sample, total=2.0, ceiling=1.0, saturation=1.0)
    assert errors.tolist() == [n * (2**31 - 1) - 2 for n in (2, 6, 6, 2, 12)]
