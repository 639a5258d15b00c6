"""The bound of docs/audit.md, for coins of any p: every rule of guessing, against mechanisms given by their tables.

Three units have coins; a mechanism is a table of the probabilities of its outputs for each of the eight vectors of
coins. Its exact delta at an epsilon is computed from all neighbouring pairs. For each output the best set of guesses is
taken, so that the probability of enough right ones is the largest of any rule.
"""

import itertools
import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from accountant.convert import epsilon_from_mu
from dpsynth.gate.one_run import bound_from_guesses, chance

UNITS = 3
COINS = list(itertools.product((0, 1), repeat=UNITS))


def delta_of(table, epsilon):
    """The smallest delta at which neighbours (one unit comes or goes) are (epsilon, delta)-close."""
    worst = 0.0
    for i, one in enumerate(COINS):
        for j, other in enumerate(COINS):
            if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
                worst = max(worst, float(np.maximum(table[i] - math.exp(epsilon) * table[j], 0.0).sum()))
    return worst


def weights(p):
    """The probability of each vector of coins."""
    return np.array([math.prod(float(p if c else 1 - p) for c in coins) for coins in COINS])


def most(table, p, enough, *, out=False):
    """The largest probability, over all rules, of so many right guesses that ``enough(right, guessed)``."""
    rules = list(itertools.product((None, 0, 1) if out else (None, 1), repeat=UNITS))
    hits = np.array(
        [
            [
                enough(sum(g == c for g, c in zip(rule, coins, strict=True)), UNITS - rule.count(None))
                for coins in COINS
            ]
            for rule in rules
        ]
    )
    return float((hits @ (weights(p)[:, None] * table)).max(axis=0).sum())


def beyond(epsilon, p, error):
    """Whether the probability of so many right guesses under (epsilon, 0) is at most ``error``."""
    said = {(v, r): chance(epsilon, v, r, p) <= error for r in range(UNITS + 1) for v in range(r + 1)}
    return lambda right, guessed: said[right, guessed]


def randomised_response(epsilon, delta):
    """Each coin by itself: told in clear with probability delta, else by the pair that attains epsilon."""
    e = math.exp(epsilon)
    single = np.array([[delta, 0, (1 - delta) * e / (1 + e), (1 - delta) / (1 + e)],
                       [0, delta, (1 - delta) / (1 + e), (1 - delta) * e / (1 + e)]])
    rows = []
    for coins in COINS:
        row = np.ones(1)
        for coin in coins:
            row = np.outer(row, single[coin]).ravel()
        rows.append(row)
    return np.array(rows)


def everything_or_noise(epsilon, delta):
    """With probability delta all coins at once, else one answer on their sum."""
    clear = delta * np.eye(len(COINS))
    sums = np.array([sum(coins) for coins in COINS])
    noisy = np.exp(-epsilon * np.abs(sums[:, None] - np.arange(UNITS + 1)[None, :]) / 2)
    return np.hstack([clear, (1 - delta) * noisy / noisy.sum(axis=1, keepdims=True)])


def parity(epsilon, delta):
    """An answer that says nothing of one coin without the others."""
    e = math.exp(epsilon)
    odd = np.array([sum(coins) % 2 for coins in COINS])
    pair = np.where(odd[:, None] == np.arange(2)[None, :], e, 1.0) / (1 + e)
    return np.hstack([delta * np.eye(len(COINS)), (1 - delta) * pair])


def drawn(seed):
    """A table of no structure."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(5, 0.4), size=len(COINS))


MECHANISMS = [
    *(make(e, d) for make in (randomised_response, everything_or_noise, parity) for e in (0.4, 1.2) for d in (0, 0.03)),
    *(drawn(seed) for seed in range(12)),
]


@pytest.mark.parametrize("p", [Fraction(1, 5), Fraction(1, 2), Fraction(4, 5)])
def test_no_rule_is_right_more_often_than_the_bound_says(p):
    nearest = 0.0
    for table in MECHANISMS:
        for epsilon in (0.4, 1.2, 2.0):
            delta = delta_of(table, epsilon)
            for error in (0.1, *(chance(epsilon, v, r, p) for r, v in ((1, 1), (2, 2), (3, 2), (3, 3)))):
                reached = most(table, p, beyond(epsilon, p, error))
                assert reached <= error + float(p) * UNITS * delta + 1e-12
                nearest = max(nearest, (reached - error) / delta if delta > 1e-9 else 0.0)
    assert nearest > 0.1  # delta is used: a bound without it would be wrong


def test_guesses_in_both_directions_of_fair_coins_cost_all_of_delta():
    p = Fraction(1, 2)
    for table in MECHANISMS:
        for epsilon in (0.2, 1.0):
            delta = delta_of(table, epsilon)
            for error in (0.1, 0.3, 0.6):
                assert most(table, p, beyond(epsilon, p, error), out=True) <= error + UNITS * delta + 1e-12


@pytest.mark.parametrize("p", [Fraction(1, 2), Fraction(4, 5)])
def test_no_rule_makes_the_reported_epsilon_too_large(p):
    """The shipped function itself, at its confidence, for every output and rule at once."""
    confidence = 0.8
    for table in MECHANISMS[::2]:
        epsilon = 0.7
        delta = delta_of(table, epsilon)
        how = {"units": UNITS, "inclusion": p, "delta": delta, "confidence": confidence}
        if delta >= 1:
            continue
        said = {
            (v, r): bound_from_guesses(correct=v, guessed=r, **how).epsilon_low > epsilon
            for r in range(UNITS + 1)
            for v in range(r + 1)
        }
        wrong = most(table, p, lambda right, guessed, said=said: said[right, guessed])
        assert wrong <= 1 - confidence + 1e-12


@pytest.mark.parametrize(("p", "mu", "least"), [(Fraction(1, 2), 0.1, -1.0), (Fraction(4, 5), 0.3, -1.0)])
def test_a_true_mu_is_excluded_no_more_often_than_stated(p, mu, least):
    """Every unit's coin shifts a normal number of its own by mu; those above a threshold are guessed to be in."""
    units, cdf = 18, NormalDist().cdf
    inside, outside = float(p) * cdf(mu - least), float(1 - p) * cdf(-least)
    wrong = {"mu": 0.0, "epsilon": 0.0}
    for guessed in range(units + 1):
        for right in range(guessed + 1):
            weight = math.comb(units, guessed) * math.comb(guessed, right) * inside**right
            weight *= outside ** (guessed - right) * (1 - inside - outside) ** (units - guessed)
            if weight < 1e-5:  # taken for wrong
                wrong = {name: mass + weight for name, mass in wrong.items()}
                continue
            found = bound_from_guesses(
                correct=right, guessed=guessed, units=units, inclusion=p, delta=1e-3, confidence=0.8
            )
            wrong["mu"] += weight * (found.mu_low > mu)
            wrong["epsilon"] += weight * (found.epsilon_low_gdp > epsilon_from_mu(mu, 1e-3))
    assert wrong["epsilon"] <= wrong["mu"] <= 0.2
    assert wrong["mu"] > 1e-3
