"""Who pays what, in whole units: both sides within the cap, for every cap."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.price import Coordinate
from dpsynth.errors import GateRefused
from dpsynth.gate import load_policy, plan_gate
from tests.dpsynth.gate.helpers import plan, policy

COORDINATES = list(Coordinate)


@given(
    st.integers(2**26, 2**46),
    st.sampled_from(COORDINATES),
    st.fractions(Fraction(1, 20), Fraction(1, 2), max_denominator=40),
)
def test_both_sides_add_up_to_at_most_the_cap(amount, coordinate, share):
    found = plan_gate(policy(holdout_share=share), amount=amount, coordinate=coordinate, unit=PrivacyUnit())
    assert found.training_count + found.training_amount + found.training_gate == amount
    assert found.holdout_count + found.holdout_gate == amount
    assert min(found.training_count, found.training_amount, found.training_gate, found.holdout_count) > 0
    ratio = (1 - share) / share
    assert found.holdout_gate >= (ratio * Fraction(105, 100)) ** 2 * found.training_gate
    assert found.training_count <= Fraction(amount, 100)


@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize(
    ("mu", "expected"), [("0.237", 0.05), ("0.182", 0.85 * 0.182 / 4), ("0.0275", 0.85 * 0.0275 / 4)]
)
def test_gate_mu_is_the_smaller_of_policy_and_what_the_holdout_affords(coordinate, mu, expected):
    assert plan(load_policy(), Fraction(mu), coordinate=coordinate).gate_mu == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("coordinate", COORDINATES)
def test_a_gate_mu_that_was_asked_for_is_granted_or_refused(coordinate):
    total = Fraction("0.237")
    granted = plan(load_policy(), total, coordinate=coordinate, gate_mu="0.0561")
    assert granted.gate_mu == pytest.approx(0.0561, rel=1e-6)
    with pytest.raises(GateRefused, match="holdout person pays 4 times"):
        plan(load_policy(), total, coordinate=coordinate, gate_mu="0.0565")


def test_tiny_budgets_and_replace_one_are_refused():
    with pytest.raises(GateRefused, match="raise the release's epsilon"):
        plan(load_policy(), Fraction("0.0005"))
    for text in ("0", "-0.05", "nan", "many", "1/0"):
        with pytest.raises(GateRefused):
            plan(load_policy(), Fraction("0.237"), gate_mu=text)
    with pytest.raises(GateRefused, match="change sides"):
        plan_gate(
            load_policy(), amount=2**36, coordinate=Coordinate.GDP, unit=PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)
        )


def test_the_gate_never_takes_more_than_a_tenth_of_training():
    found = plan(policy(holdout_share=Fraction(1, 2), gate_mu=Fraction(1)), Fraction("0.1"))
    assert found.training_gate == math.floor(Fraction(found.amount, 10))
