"""The bound of the audit: what right guesses show, and what they don't."""

import math

import pytest

from benchmarks.deep_audit import lower_bound

GUESSES, CANARIES = 30, 100


def test_guesses_by_chance_show_nothing():
    assert lower_bound(15, guesses=GUESSES, canaries=CANARIES, delta=1e-5) == 0.0


def test_all_guesses_right_show_what_their_number_can():
    """Without delta the chance of 30 right guesses of 30 is p^30, and p the odds of e^epsilon."""
    p = 0.05 ** (1 / GUESSES)
    found = lower_bound(30, guesses=GUESSES, canaries=CANARIES, delta=0.0)
    assert found == pytest.approx(math.log(p / (1 - p)), abs=2e-3)


def test_delta_takes_some_of_it():
    with_delta = lower_bound(30, guesses=GUESSES, canaries=CANARIES, delta=1e-3)
    assert 0.0 < with_delta < lower_bound(30, guesses=GUESSES, canaries=CANARIES, delta=0.0)


def test_more_right_guesses_never_show_less():
    found = [lower_bound(right, guesses=GUESSES, canaries=CANARIES, delta=1e-5) for right in range(31)]
    assert found == sorted(found)
