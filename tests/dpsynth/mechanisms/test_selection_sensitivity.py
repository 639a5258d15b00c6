"""Adaptive mechanisms tell their selection how much one unit moves the heaviest score, and score in whole numbers."""

import numpy as np
import pytest

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.mechanisms import scoring
from dpsynth.mechanisms.scoring import l1_error
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model

DOMAIN = Domain.of({"a": 2, "b": 3, "c": 2})
HEAVIEST = {"adaptive": 10, "aim": 3}


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
