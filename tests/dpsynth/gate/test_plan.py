"""Who pays what, in whole units: both sides within the cap, for every cap."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.compose import price
from accountant.events import DiscreteGaussian
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


@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize("amount", [2**36 + 77, 10**9 + 7, 2**44 - 1])
def test_a_plan_is_recomputed_unit_by_unit(coordinate, amount):
    """One hundredth for each count; the gate: the policy's mu, 85 % of what holdout people afford, or a tenth."""
    share, mu = Fraction(1, 5), Fraction(1, 20)
    found = plan_gate(policy(holdout_share=share, gate_mu=mu), amount=amount, coordinate=coordinate, unit=PrivacyUnit())
    per_square = {Coordinate.GDP: 2**40, Coordinate.ZCDP: 2**39}[coordinate]
    gate = min(mu**2 * per_square, (Fraction(17, 20) / 4) ** 2 * amount, Fraction(amount, 10)) // 1
    assert found.training_gate == gate
    assert found.training_count == amount // 100
    assert found.training_amount == amount - amount // 100 - gate
    assert found.holdout_gate == -(-gate * Fraction(42, 10) ** 2 // 1)
    assert found.holdout_count == amount - found.holdout_gate
    assert (found.holdout_share, found.amount, found.coordinate) == (share, amount, coordinate)
    assert found.delta == 2 * price(DiscreteGaussian(sigma=1.0), coordinate).delta > 0
    assert found.gate_mu == pytest.approx(math.sqrt(gate / per_square), rel=1e-12)


def halves(amount, gate_mu=None, coordinate=Coordinate.GDP):
    of = policy(holdout_share=Fraction(1, 2), gate_mu=Fraction(1))
    return plan_gate(of, amount=amount, coordinate=coordinate, unit=PrivacyUnit(), gate_mu=gate_mu)


def test_the_last_unit_of_room_is_usable_and_no_more():
    """gate_mu = 1000/2^20 is a million units; holdout people pay 1.1025 million, and a count that is no less."""
    found = halves(1_113_636, gate_mu=Fraction(1000, 2**20))
    assert found.holdout_count == found.training_count == 11_136
    with pytest.raises(GateRefused, match="can't be paid within a total mu"):
        halves(1_113_635, gate_mu=Fraction(1000, 2**20))


@pytest.mark.parametrize(("coordinate", "least"), [(Coordinate.GDP, 10_996), (Coordinate.ZCDP, 5_498)])
def test_a_total_needs_a_mu_of_one_ten_thousandth(coordinate, least):
    assert halves(100 * least, coordinate=coordinate).training_count == least
    with pytest.raises(GateRefused, match=r"mu of 0\.0001 at least"):
        halves(100 * least - 1, coordinate=coordinate)


def test_the_gate_itself_needs_that_mu_too():
    assert halves(2**36, gate_mu=Fraction(105, 2**20)).training_gate == 11_025
    with pytest.raises(GateRefused, match=r"mu of 0\.0001 at least"):
        halves(2**36, gate_mu=Fraction(104, 2**20))


def test_the_refusal_says_what_was_asked_and_what_there_is():
    with pytest.raises(GateRefused) as refusal:
        plan(load_policy(), Fraction("0.237"), gate_mu="0.0565")
    assert "A gate_mu of 0.0565 can't be paid within a total mu of 0.237." in str(refusal.value)
    with pytest.raises(GateRefused, match="no number above zero"):
        plan(load_policy(), Fraction("0.237"), gate_mu="0")
