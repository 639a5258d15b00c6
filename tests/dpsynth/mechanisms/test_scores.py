"""Scores of pairs: one record moves each by at most 1, so people with k rows by at most k, and that is what is paid."""

import numpy as np
import pytest

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import MstConfig, measure_mst, mst
from dpsynth.mechanisms.scoring import l1_error
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource

DOMAIN = Domain.of({"a": 2, "b": 2})
NOISY = {"a": (5, 3), "b": (4, 5)}
"""Noisy marginals whose shares aren't binary fractions: a model of floats would move an error by 2 now and then."""


def source(counts):
    rows = [(i, j) for (i, j), n in np.ndenumerate(counts) for _ in range(n)]
    return MemorySource(DOMAIN, np.array(rows, dtype=np.uint8).reshape(-1, 2).T.copy())


def score(counts):
    measured = [Measurement(clique=(n,), values=np.array(v, dtype=np.int64), sigma=1.0) for n, v in NOISY.items()]
    (found,) = mst._scores(source(counts), measured, penalty=3.0).values()
    return found


@pytest.mark.parametrize("total", [1.0, 17.0])
def test_one_record_moves_a_score_by_at_most_one(monkeypatch, total):
    """The solver is replaced by a plain share, and the total fixed: neither reads a record."""
    monkeypatch.setattr(mst, "_share", lambda m, *_: m.values / m.values.sum())
    monkeypatch.setattr(mst, "estimate_total", lambda _: total)
    rng, moved = np.random.default_rng(0), set()
    for counts in ([[5, 4], [5, 3]], [[0, 0], [0, 0]], *(rng.integers(0, 7, (2, 2)).tolist() for _ in range(60))):
        before = score(np.array(counts))
        assert type(before) is int
        for cell in np.ndindex(2, 2):
            more = np.array(counts)
            more[cell] += 1
            moved.add(score(more) - before)
    assert moved <= {-1, 1}


@pytest.mark.parametrize("max_rows", [1, 3])
def test_selection_is_told_how_much_one_person_moves_a_score(monkeypatch, max_rows):
    told, select = [], mst.select_exponential

    def noted(scores, *, sensitivity, **rest):
        told.append(sensitivity)
        return select(scores, sensitivity=sensitivity, **rest)

    monkeypatch.setattr(mst, "select_exponential", noted)
    domain = Domain.of({"a": 2, "b": 3, "c": 2})
    codes = np.zeros((3, 9), dtype=np.uint8)
    measure_mst(
        MemorySource(domain, codes, units=np.arange(9) // max_rows, max_rows=max_rows),
        MstConfig(),
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(AMOUNT_UNIT, 2**20)}),
        random=SeededRandom(1),
    )
    assert told == [max_rows] * 2


def test_an_error_against_an_absurd_model_stays_within_64_bits():
    assert 0 < l1_error(np.array([0, 7]), np.array([1e30, 1e30])) < 2**63
