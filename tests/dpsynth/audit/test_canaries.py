"""Fabricated canaries: made of the domain alone, guessed from the table alone, and telling where a table copies."""

import numpy as np
import pytest

from dpsynth.audit.canaries import audit_by_canaries, fabricate
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom

DOMAIN = Domain.of({f"c{i}": 6 for i in range(8)})


def records(rows=400, seed=0):
    return np.random.default_rng(seed).integers(0, 3, (8, rows)).astype(np.uint8)


def test_canaries_are_made_of_the_domain_and_bits_alone():
    first, second = (fabricate(DOMAIN, 300, random=SeededRandom(3)) for _ in range(2))
    assert (first == second).all()
    assert first.shape == (8, 300)
    assert set(np.unique(first)) == set(range(6))


def test_a_copier_remembers_its_canaries_and_an_honest_table_does_not():
    made = {"copier": lambda training: training, "honest": lambda training: records(400, seed=9)}
    found = {
        name: audit_by_canaries(records(), DOMAIN, make, delta=1e-6, random=SeededRandom(1))
        for name, make in made.items()
    }
    assert found["copier"].guesses.correct == found["copier"].guesses.guessed == 100
    assert found["copier"].bound.epsilon_low > 3.0
    assert found["honest"].bound.epsilon_low == 0.0
    assert 30 < found["honest"].guesses.correct < 70


def test_the_guesses_are_a_function_of_the_table_and_the_coins():
    fixed = records(100, seed=5)
    found = [
        audit_by_canaries(records(seed=seed), DOMAIN, lambda _: fixed, delta=1e-6, random=SeededRandom(2))
        for seed in (0, 1)
    ]
    assert found[0] == found[1]


def test_included_canaries_alone_join_the_records():
    seen = []
    audit_by_canaries(records(), DOMAIN, lambda t: seen.append(t) or t, delta=1e-6, random=SeededRandom(1), canaries=60)
    (training,) = seen
    assert (training[:, :400] == records()).all()
    made_up = fabricate(DOMAIN, 60, random=SeededRandom(1))
    joined = set(map(tuple, training[:, 400:].T.tolist()))
    assert joined < set(map(tuple, made_up.T.tolist()))
    assert 15 < len(joined) < 45


def test_few_canaries_are_refused():
    with pytest.raises(ParameterError):
        audit_by_canaries(records(), DOMAIN, lambda t: t, delta=1e-6, random=SeededRandom(1), canaries=19)
