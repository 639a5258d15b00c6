"""The exact neighbour oracle on the steps of `adaptive` and `aim` that read records: noisy errors and selections.

Measurements of marginals are those of every mechanism (test_neighbours); fits and samples read no record.
"""

import itertools

import numpy as np
import pytest

from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.mechanisms import adaptive, aim
from dpsynth.mechanisms.adaptive import AdaptiveConfig
from dpsynth.mechanisms.scoring import Candidates, select_candidate
from dpsynth.sources.memory import MemorySource
from tests.oracles.enumerator import price_holds

CUBE = Domain.of({"a": 2, "b": 2, "c": 2})
RECORDS = tuple(itertools.product((0, 1), repeat=3))
PAIRS = [(data, tuple(sorted((*data, record)))) for data in ((), *((r,) for r in RECORDS)) for record in RECORDS]
OFFERED = {("a", "b"): 10, ("b", "c"): 10, ("a", "b", "c"): 7}
SAMPLE = np.random.default_rng(2).integers(0, 2, (3, 25)).astype(np.uint8)
"""What the model expects: 25 rows that stand for 4.2, so that expected counts aren't whole."""


def steps(records, spend, random):
    source = MemorySource(CUBE, np.array(records, dtype=np.uint8).reshape(-1, 3).T.copy())
    return adaptive._Adaptive(
        source=source,
        config=AdaptiveConfig(error_share=0.9),
        coordinate=Coordinate.GDP,
        spend=spend,
        random=random,
        sides=(Side.TRAINING,),
    )


@pytest.mark.parametrize("mu_squared", [0.1, 2.0])
def test_selection_of_a_round(mu_squared):
    """Pairs weigh 10, triples 7: the heaviest offered is the sensitivity, and errors go up or down with a record."""

    def mechanism(records, spend, random):
        run = steps(records, spend, random)
        candidates = Candidates(run.source, OFFERED)
        errors, penalties = run._scores(candidates, np.arange(3), SAMPLE, 4.2, 1.0)
        return run._select(candidates.weights, errors, penalties, selection=int(mu_squared * AMOUNT_UNIT))

    mu, real = price_holds(mechanism, PAIRS, floor=0.0)
    assert mu_squared * (1 - 1e-6) < mu**2 <= mu_squared
    assert 0.4 < real <= 1.0 + 1e-9


@pytest.mark.parametrize("mu_squared", [0.1, 2.0])
def test_selection_of_aim(mu_squared):
    """Whole weights of the published kind: the heaviest offered is the sensitivity."""

    def mechanism(records, spend, random):
        run = steps(records, spend, random)
        candidates = Candidates(run.source, dict(zip(OFFERED, (2, 2, 3), strict=True)))
        errors, _ = candidates.scores(np.arange(3), SAMPLE, total=4.2, ceiling=0.0, saturation=0.0)
        return select_candidate(
            candidates.weights.tolist(),
            errors.tolist(),
            [aim._noise(0.3, cells) for cells in candidates.cells.tolist()],
            max_rows=1,
            amount=int(mu_squared * AMOUNT_UNIT),
            coordinate=Coordinate.GDP,
            spend=spend,
            random=random,
            sides=(Side.TRAINING,),
        )

    mu, real = price_holds(mechanism, PAIRS, floor=0.0)
    assert mu_squared * (1 - 1e-6) < mu**2 <= mu_squared
    assert 0.4 < real <= 1.0 + 1e-9


def test_noisy_errors_of_the_tree(monkeypatch):
    """One record moves each of the three errors by 1: L2 sensitivity sqrt(3)."""
    released = []
    monkeypatch.setattr(adaptive._Adaptive, "measure", lambda *_: [])
    shipped = adaptive.measure_gaussian

    def recording(exact, **given):
        released.append(shipped(exact, **given))
        return released[-1]

    monkeypatch.setattr(adaptive, "measure_gaussian", recording)

    def mechanism(records, spend, random):
        run = steps(records, spend, random)
        one_ways = [_Known((n,)) for n in CUBE.names]
        run.tree(one_ways, 4.0, int(4.0 * AMOUNT_UNIT))
        return tuple(released.pop().tolist())

    mu, real = price_holds(mechanism, PAIRS[:8], floor=3e-6)
    assert 3.59 < mu**2 <= 3.6
    assert 0.5 < real <= 1.01


class _Known:
    """A one-way measurement that is the same in every data set."""

    def __init__(self, clique):
        self.clique, self.values, self.sigma = clique, np.array([3, 1]), 1.0
