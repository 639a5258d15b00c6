"""One-run audits: their bounds hold for every guesser against exact mechanisms, and private counts stay private."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from accountant.convert import delta_from_mu
from accountant.events import DiscreteGaussian
from accountant.spend import Side
from dpsynth.attacks.guessing import CanaryGuesses, SideGuesses, guess_members
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import prepare
from dpsynth.errors import ParameterError
from dpsynth.gate.noise import noise_reach
from dpsynth.gate.one_run import (
    audit_canaries,
    audit_split,
    bound_from_guesses,
    bound_from_pair,
    chance,
    confidential_json,
    measure_pair,
)
from dpsynth.noise.random import SeededRandom
from tests.oracles.enumerator import RecordingSpend

HALF, MOST = Fraction(1, 2), Fraction(4, 5)


def bound(correct, guessed, *, units=1000, inclusion=HALF, delta=0.0, **more):
    return bound_from_guesses(
        correct=correct, guessed=guessed, units=units, inclusion=inclusion, delta=delta, **more
    )  # fmt: skip


def most_right(inclusion, epsilon, delta, units, least):
    """P[at least so many right] for the best guesser against the worst (epsilon, delta) mechanism, by enumeration.

    Every unit is answered by itself: with probability delta its coin is told in clear, else by the pair of
    randomised response that attains epsilon. All units are guessed to be in where the answer says so.
    """
    p, e = float(inclusion), math.exp(epsilon)
    total = 0.0
    for answers in itertools.product((0, 1, 2, 3), repeat=units):  # (coin, answer) pairs that a guess can meet
        weight, right, guessed = 1.0, 0, 0
        for answer in answers:
            if answer == 0:  # the coin in clear, in: a right guess
                weight, right, guessed = weight * p * delta, right + 1, guessed + 1
            elif answer == 1:  # answered "in", and is in
                weight, right, guessed = weight * p * (1 - delta) * e / (1 + e), right + 1, guessed + 1
            elif answer == 2:  # answered "in", and is out
                weight, guessed = weight * (1 - p) * (1 - delta) / (1 + e), guessed + 1
            else:  # not guessed
                weight *= 1.0 - p * delta - (1 - delta) * (p * e + 1 - p) / (1 + e)
        critical = least(guessed)
        total += weight if critical is not None and right >= critical else 0.0
    return total


@pytest.mark.parametrize(("inclusion", "epsilon", "delta"), [(HALF, 0.0, 0.0), (HALF, 1.0, 0.01), (MOST, 0.5, 0.004)])
def test_the_worst_mechanism_is_refuted_no_more_often_than_stated(inclusion, epsilon, delta):
    units, confidence = 6, 0.7

    def critical(guessed):
        """The fewest right guesses that exclude (epsilon, delta)."""
        how = {"units": units, "inclusion": inclusion, "delta": delta, "confidence": confidence}
        return next((v for v in range(guessed + 1) if bound(v, guessed, **how).epsilon_low > epsilon), None)

    criticals = {guessed: critical(guessed) for guessed in range(units + 1)}
    wrongly = most_right(inclusion, epsilon, delta, units, criticals.get)
    assert wrongly <= 1 - confidence
    if delta == 0.01:
        assert wrongly > 0.01


def test_a_guess_is_right_with_the_posterior_of_its_coin():
    assert chance(0.0, 1, 1, MOST) == pytest.approx(0.8)
    assert chance(math.log(3), 1, 1, HALF) == pytest.approx(0.75)
    assert chance(1.0, 1, 1, MOST) == pytest.approx(0.8 * math.e / (0.8 * math.e + 0.2))


def test_guesses_of_chance_exclude_nothing():
    for p in (HALF, MOST):
        found = bound(round(200 * p), 200, inclusion=p, delta=1e-6)
        assert (found.epsilon_low, found.mu_low, found.epsilon_low_gdp) == (0.0, 0.0, 0.0)
    assert bound(0, 0).epsilon_low == 0.0


def test_right_guesses_exclude_epsilon_as_a_binomial_does():
    """13 of 13 right at p = 1/2: q^13 = 5 % at q = .794, epsilon 1.35."""
    found = bound(13, 13)
    assert found.epsilon_low == pytest.approx(math.log(0.05 ** (1 / 13) / (1 - 0.05 ** (1 / 13))), abs=1e-6)
    assert bound(13, 13, inclusion=MOST).epsilon_low == 0.0
    assert bound(6, 6).epsilon_low == pytest.approx(math.log(0.05 ** (1 / 6) / (1 - 0.05 ** (1 / 6))), abs=1e-6)
    assert bound(40, 40, inclusion=MOST).epsilon_low == pytest.approx(
        math.log(0.05 ** (1 / 40) / (1 - 0.05 ** (1 / 40)) / 4), abs=1e-6
    )


def test_more_units_delta_and_confidence_exclude_less():
    best = bound(30, 30, delta=1e-6).epsilon_low
    assert bound(30, 30, delta=1e-5).epsilon_low < best
    assert bound(30, 30, delta=1e-6, units=20_000).epsilon_low < best
    assert bound(30, 30, delta=1e-6, confidence=0.99).epsilon_low < best
    assert bound(29, 30, delta=1e-6).epsilon_low < best
    assert bound(30, 30, delta=1e-6, both_ways=True).epsilon_low < best
    assert bound(30, 30, delta=1e-3).epsilon_low == 0.0


def test_both_directions_need_fair_coins():
    with pytest.raises(ParameterError, match="fair coins"):
        bound(3, 4, inclusion=MOST, both_ways=True)


@pytest.mark.parametrize("wrong", [{"correct": 5}, {"guessed": 2000}, {"inclusion": Fraction(1)}, {"delta": -1.0}])
def test_impossible_guesses_are_refused(wrong):
    with pytest.raises(ParameterError):
        bound_from_guesses(**({"correct": 3, "guessed": 4, "units": 9, "inclusion": HALF, "delta": 0.0} | wrong))


def test_mu_is_excluded_where_one_of_its_pairs_is():
    """mu-GDP implies (epsilon, delta_mu(epsilon)); a fifth of the error is for the delta, the guesses have the rest."""
    found = bound(200, 200, units=30_000, delta=1e-9)
    error, reach = 0.01, 15_000
    epsilon = math.log(0.04 ** (1 / 200) / (1 - 0.04 ** (1 / 200)))
    assert delta_from_mu(found.mu_low, epsilon) == pytest.approx(error / reach, rel=1e-4)
    assert delta_from_mu(found.mu_low, found.epsilon_low_gdp) == pytest.approx(1e-9, rel=1e-4)
    assert found.epsilon_low_gdp > found.epsilon_low + 0.5


def test_the_split_is_audited_with_everybody_who_had_a_coin():
    sides = SideGuesses(people=800, guessed=60), SideGuesses(people=200, guessed=1)
    found = audit_split(*sides, holdout_share=Fraction(1, 5), delta=1e-7)
    same = bound(60, 61, units=1000, inclusion=MOST, delta=1e-7)
    assert found == same
    assert found.epsilon_low > 0
    told = confidential_json(found, epsilon=0.1, training=sides[0], holdout=sides[1], one_key=True)
    assert told["contradicts_the_claim"]
    assert told["speaks_of"] == "all releases under the split's key"
    assert told["CONFIDENTIAL"]
    assert 0 < float(told["by_chance"]) < 1e-3
    assert not confidential_json(found, epsilon=5.0, training=sides[0], holdout=sides[1], one_key=False)[
        "contradicts_the_claim"
    ]
    assert "60" not in repr(found)


def test_canaries_speak_without_a_person():
    assert audit_canaries(CanaryGuesses(canaries=200, guessed=100, correct=50), delta=1e-6).epsilon_low == 0.0
    found = audit_canaries(CanaryGuesses(canaries=200, guessed=100, correct=98), delta=1e-6)
    assert found.epsilon_low > 2.0
    assert found.epsilon_low == bound(98, 100, units=200, delta=1e-6, both_ways=True).epsilon_low


def test_a_person_moves_the_guesses_of_their_side_by_at_most_one():
    """Tables of one to three of eight rows, every side of at most one person, every further person of 1 or 2 rows."""
    rows = list(itertools.product((0, 1), repeat=3))
    people = [*((r,) for r in rows), *itertools.combinations_with_replacement(rows[:5], 2)]

    def guessed(side, table):
        codes = np.array([r for person in side for r in person], dtype=np.uint8).reshape(-1, 3).T.copy()
        units = np.array([i for i, person in enumerate(side) for _ in person], dtype=np.int64)
        return guess_members([(codes, units)], table, by_chance(table), improbable=2).guessed

    moved = set()
    for made in [(0,), (0, 7), (1, 2, 6)]:
        table = prepare(np.array([rows[i] for i in made], dtype=np.uint8).T.copy(), (2, 2, 2))
        for side in ((), *((p,) for p in people)):
            before = guessed(side, table)
            moved |= {guessed((*side, person), table) - before for person in people}
    assert moved == {0, 1}


class _Twos:
    """A source that always draws the middle."""

    private = False

    def draw(self, table, size):
        return np.full(size, len(table) // 2, dtype=np.int64)


def test_each_side_pays_its_own_count():
    spend = RecordingSpend()
    sides = SideGuesses(people=800, guessed=60), SideGuesses(people=200, guessed=1)
    assert measure_pair(*sides, sigmas=(3.0, 5.0), spend=spend, random=_Twos()) == (60, 1)
    assert [(step.sides, step.event) for step in spend.steps] == [
        ((Side.TRAINING,), DiscreteGaussian(sigma=3.0, sensitivity=1.0, draws=1)),
        ((Side.HOLDOUT,), DiscreteGaussian(sigma=5.0, sensitivity=1.0, draws=1)),
    ]


def test_a_noisy_pair_excludes_what_its_noise_leaves():
    how = {"units": 1000, "holdout_share": HALF, "delta": 1e-7}
    exact = audit_split(
        SideGuesses(people=500, guessed=80), SideGuesses(people=500, guessed=2), holdout_share=HALF, delta=1e-7
    )
    found = bound_from_pair((80, 2), sigmas=(2.0, 2.0), **how)
    assert 0.5 < found.epsilon_low < exact.epsilon_low
    assert bound_from_pair((-5, -3), sigmas=(2.0, 2.0), **how).epsilon_low == 0.0
    reach = noise_reach(2.0, alpha=Fraction(1, 80))
    left = bound(80 - reach, 80 - reach + 2 + reach, delta=1e-7, confidence=0.975)
    assert (found.correct, found.guessed) == (left.correct, left.guessed)
    assert found.epsilon_low == pytest.approx(left.epsilon_low)


def test_a_noisy_pair_is_wrong_no_more_often_than_stated():
    """Guesses of chance, 400 noisy pairs: more than 36 refutations at 5 % have probability below 1e-3."""
    random, rng = SeededRandom(4), np.random.default_rng(4)
    wrong = 0
    for _ in range(400):
        members = int(rng.binomial(60, 0.5))
        sides = SideGuesses(people=500, guessed=members), SideGuesses(people=500, guessed=60 - members)
        pair = measure_pair(*sides, sigmas=(2.0, 2.0), spend=RecordingSpend(), random=random)
        found = bound_from_pair(pair, sigmas=(2.0, 2.0), units=1000, holdout_share=HALF, delta=0.0)
        wrong += found.epsilon_low > 0
    assert wrong <= 36
