"""Shadow models: one that remembers is told, one that doesn't isn't, and no refit teaches an attack on itself."""

import numpy as np
import pytest

from dpsynth.audit.shadow import ratios, shadow_attack
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom

REST = np.zeros((3, 5), dtype=np.uint8)
TARGETS = np.arange(60, dtype=np.uint8).reshape(3, 20)


def remembering(noise):
    rng = np.random.default_rng(1)

    def refit(training):
        there = set(map(tuple, training.T.tolist()))

        def score(codes):
            kept = np.array([tuple(row) in there for row in codes.T.tolist()], dtype=float)
            return kept + rng.normal(0, noise, len(kept))

        return score

    return refit


def test_a_model_that_remembers_is_told_and_one_that_does_not_is_not():
    remembers, forgets = (
        shadow_attack(REST, TARGETS, remembering(noise), refits=24, random=SeededRandom(2)) for noise in (0.2, 50.0)
    )
    assert remembers.auc > 0.98
    assert remembers.true_rate_low > 0.7
    assert 0.4 < forgets.auc < 0.6
    assert forgets.true_rate < 0.08
    assert (remembers.refits, remembers.targets) == (24, 20)


def test_no_refit_teaches_an_attack_on_itself():
    coins = np.array([[True, False], [False, True], [True, True], [False, False]])
    scores = np.array([[2.0, 0.1], [0.3, 2.1], [2.2, 1.9], [0.1, 0.2]])
    found = ratios(coins, scores)
    for k in range(4):
        others = coins.copy()
        others[k] = ~others[k]
        assert (ratios(others, scores)[k] == found[k]).all()
    assert ((found > 0) == coins).all()


def test_a_target_that_was_never_in_or_never_out_tells_nothing():
    coins = np.array([[True], [False], [False], [False]])
    assert ratios(coins, np.array([[9.0], [0.0], [0.0], [0.0]]))[0, 0] == 0.0


def test_few_refits_are_refused():
    with pytest.raises(ParameterError):
        shadow_attack(REST, TARGETS, remembering(1.0), refits=7, random=SeededRandom(2))
