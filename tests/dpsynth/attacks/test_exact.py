"""Exact tests against enumeration: coverage of the binomial interval, tails, permutations."""

import itertools
import math
from fractions import Fraction

import pytest

from dpsynth.attacks.exact import binomial_tail, bonferroni, clopper_pearson, hypergeometric_tail, permutation_p_value
from dpsynth.errors import ParameterError


@pytest.mark.parametrize("trials", [1, 2, 7, 20])
@pytest.mark.parametrize("error", [0.005, 0.05])
def test_each_end_of_the_interval_fails_with_at_most_its_error(trials, error):
    ends = [clopper_pearson(h, trials, error=error) for h in range(trials + 1)]
    for step in range(201):
        p = step / 200
        law = [math.comb(trials, h) * p**h * (1 - p) ** (trials - h) for h in range(trials + 1)]
        assert math.fsum(q for q, (low, _) in zip(law, ends, strict=True) if low > p) <= error + 1e-9
        assert math.fsum(q for q, (_, high) in zip(law, ends, strict=True) if high < p) <= error + 1e-9


def test_the_interval_is_not_wider_than_it_must_be():
    low, high = clopper_pearson(9, 20, error=0.025)
    assert (low, high) == pytest.approx((0.2306, 0.6847), abs=1e-4)
    assert clopper_pearson(0, 0, error=0.1) == (0.0, 1.0)
    assert clopper_pearson(0, 10, error=0.05)[1] == pytest.approx(1 - 0.05 ** (1 / 10))


@pytest.mark.parametrize("wrong", [(3, 2, 0.1), (-1, 2, 0.1), (1, 2, 0.0), (1, 2, 0.5)])
def test_impossible_counts_are_refused(wrong):
    with pytest.raises(ParameterError):
        clopper_pearson(*wrong[:2], error=wrong[2])


def test_a_binomial_tail_is_the_sum_of_its_terms():
    for trials, p in itertools.product((1, 5, 30), (0.2, 0.8)):
        for least in range(-1, trials + 2):
            exact = sum(
                math.comb(trials, h) * Fraction(p) ** h * (1 - Fraction(p)) ** (trials - h)
                for h in range(max(0, least), trials + 1)
            )
            assert float(exact) <= binomial_tail(least, trials, p) <= min(1.0, float(exact) * (1 + 1e-7))


def test_a_hypergeometric_tail_counts_every_choice():
    total, marked = 9, 4
    for drawn in range(total + 1):
        chosen = [sum(i < marked for i in c) for c in itertools.combinations(range(total), drawn)]
        for hits in range(drawn + 2):
            exact = sum(c >= hits for c in chosen) / len(chosen)
            assert exact <= hypergeometric_tail(hits, drawn=drawn, marked=marked, total=total) <= exact * (1 + 1e-7)
    with pytest.raises(ParameterError):
        hypergeometric_tail(1, drawn=10, marked=4, total=9)


def test_a_permutation_p_value_is_uniform_or_larger():
    """Over all orders of the observed value among 19 shuffled ones, p <= t happens at most with probability t."""
    values = list(range(20))
    found = [permutation_p_value(v, lambda i, v=v: [x for x in values if x != v][i], rounds=19) for v in values]
    for t in (0.05, 0.1, 0.5, 1.0):
        assert sum(p <= t for p in found) / 20 <= t + 1e-12
    assert min(found) == 1 / 20
    assert permutation_p_value(1.0, lambda _: 1.0, rounds=9) == 1.0
    with pytest.raises(ParameterError):
        permutation_p_value(0.0, lambda _: 0.0, rounds=0)


def test_several_tests_cost_their_number():
    assert bonferroni([0.01, 0.2]) == 0.02
    assert bonferroni([0.6, 0.7]) == 1.0
