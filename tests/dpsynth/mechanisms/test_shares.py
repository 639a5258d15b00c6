"""Shares of a budget: parts never exceed the whole, graded weights stay near their own."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from accountant.calibrate import discrete_gaussian_sigma
from accountant.price import AMOUNT_UNIT, Coordinate
from dpsynth.mechanisms.shares import graded, sigmas, split, vector_sensitivity


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=30), st.integers(1_000, 2**50))
def test_parts_never_exceed_the_whole(weights, amount):
    assert sum(split(amount, weights)) <= amount + len(weights)
    assert min(split(amount, weights)) >= 1


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=30))
def test_graded_weights_are_few_and_near(weights):
    made = graded(weights)
    assert all(2**-0.26 < new / old < 2**0.26 for new, old in zip(made, weights, strict=True))
    assert graded(made) == made


def test_remembered_sigmas_are_those_of_the_accountant():
    for coordinate in Coordinate:
        for k in (1, 3):
            amounts = [AMOUNT_UNIT // 7, AMOUNT_UNIT, AMOUNT_UNIT // 7]
            asked = [discrete_gaussian_sigma(amount=a, coordinate=coordinate, sensitivity=k) for a in amounts]
            assert sigmas(amounts, coordinate=coordinate, sensitivity=k) == asked


@given(st.integers(1, 10**6), st.integers(1, 10**7))
def test_the_sensitivity_of_a_vector_is_never_below_the_true_root(rows, entries):
    found = Fraction(vector_sensitivity(rows, entries))
    assert found**2 >= rows**2 * entries
    assert found**2 <= rows**2 * entries * (1 + Fraction(1, 2**50))


def test_the_sensitivity_of_three_rounds_up():
    assert Fraction(vector_sensitivity(1, 2)) ** 2 >= 2
    assert any(Fraction(math.sqrt(n)) ** 2 < n < Fraction(vector_sensitivity(1, n)) ** 2 for n in range(2, 20))
    assert vector_sensitivity(3, 4) == 6.0
