"""Reference people: a third side with a price of its own, whose noisy marginals are all that is ever asked of them."""

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from accountant.adjacency import PrivacyUnit
from accountant.compose import totals as side_totals
from accountant.errors import BudgetExceeded
from accountant.events import DiscreteGaussian
from accountant.filters import FilterSpend
from accountant.price import Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.errors import GateRefused, ParameterError
from dpsynth.gate import load_policy, plan_gate
from dpsynth.gate.noise import gate_noise
from dpsynth.gate.reference import MOST_CLIQUES, measure_reference, reference_cliques, require_reference
from dpsynth.gate.totals import Totals
from dpsynth.gate.verdict import run_gate
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from tests.dpsynth.gate.helpers import DOMAIN, LAYOUT, Chosen, plan, source, table

LIKELIHOOD = load_policy("research-likelihood")


def budget(of_plan):
    return FilterSpend(coordinate=of_plan.coordinate, caps=dict.fromkeys(Side, Price(of_plan.amount, 2**20)))


@pytest.mark.parametrize("coordinate", list(Coordinate))
@pytest.mark.parametrize("max_rows", [1, 3])
def test_reference_people_pay_for_their_marginals_and_nothing_else(coordinate, max_rows):
    of_plan = plan(LIKELIHOOD, 1, coordinate=coordinate)
    spend = budget(of_plan)
    people = source(table(np.random.default_rng(0), 30), np.arange(30) // max_rows, max_rows=max_rows)
    found = measure_reference(
        people, [("a",), ("a", "b"), ("c",)], plan=of_plan, spend=spend, random=SeededRandom(1)
    )
    assert [one.clique for one in found] == [("a", "b"), ("c",)]
    assert {step.sides for step in spend.steps} == {(Side.REFERENCE,)}
    assert [step.event for step in spend.steps] == [
        DiscreteGaussian(sigma=one.sigma, sensitivity=float(max_rows), draws=one.values.size) for one in found
    ]
    paid = side_totals(spend.steps, coordinate)
    assert paid[Side.TRAINING] == paid[Side.HOLDOUT] == Price()
    assert 0.999 * of_plan.reference_amount < paid[Side.REFERENCE].amount <= of_plan.reference_amount
    assert of_plan.reference_amount == of_plan.amount


def test_where_rows_differ_the_reference_has_less_noise_for_the_same_price():
    of_plan, spend = plan(LIKELIHOOD, 1), budget(plan(LIKELIHOOD, 1))
    codes = table(np.random.default_rng(0), 30)
    people = MemorySource(DOMAIN, codes, units=np.arange(30), max_rows=3, distinct=("b",))
    with_b, without = measure_reference(people, [("a", "b"), ("c",)], plan=of_plan, spend=spend, random=SeededRandom(1))
    assert with_b.sigma == pytest.approx(without.sigma / 3**0.5, rel=0.01)
    paid = side_totals(spend.steps, of_plan.coordinate)[Side.REFERENCE].amount
    assert 0.999 * of_plan.reference_amount < paid <= of_plan.reference_amount


def test_a_person_moves_a_marginal_by_at_most_their_rows():
    """All people of one to three rows: the charged sensitivity covers the L2 norm, and is reached."""
    rows, most = list(itertools.product(*(range(s) for s in DOMAIN.sizes))), 0.0
    for many in (1, 2, 3):
        for person in itertools.combinations_with_replacement(rows[::3], many):
            codes = np.array(person, dtype=np.uint8).T
            for _, counts in source(codes, [0] * many, max_rows=3).counts([("a", "b"), ("c",)]):
                norm = math.sqrt(float((counts**2).sum()))
                assert norm <= 3
                most = max(most, norm)
    assert most == 3


def test_a_refused_charge_draws_nothing():
    of_plan, random = plan(LIKELIHOOD, 1), Chosen()
    spend = FilterSpend(coordinate=of_plan.coordinate, caps={Side.HOLDOUT: Price(of_plan.amount, 2**20)})
    with pytest.raises(BudgetExceeded, match="reference side"):
        measure_reference(source([]), [("a",)], plan=of_plan, spend=spend, random=random)
    assert random.lengths == []
    assert spend.steps == ()


def test_the_cliques_are_the_largest_measured_ones_or_single_columns():
    measured = [("a",), ("b", "c"), ("b",), ("b", "c"), ("a", "b"), ()]
    assert reference_cliques(DOMAIN, measured) == [("b", "c"), ("a", "b")]
    assert reference_cliques(DOMAIN, []) == reference_cliques(DOMAIN, [()]) == [("a",), ("b",), ("c",)]
    wide = Domain(names=tuple(f"c{i:03}" for i in range(300)), sizes=(2,) * 300)
    assert reference_cliques(wide, []) == [(f"c{i:03}",) for i in range(MOST_CLIQUES)]


def test_no_more_marginals_than_noise_can_be_drawn_for():
    """Which and how many cliques there are only the run knows: too many are fewer, never a refusal."""
    of_plan = dataclasses.replace(plan(LIKELIHOOD, 1), reference_amount=2 * round(2**40 / LARGEST_SIGMA**2) + 40)
    found = measure_reference(
        source(table(np.random.default_rng(0), 9)), [], plan=of_plan, spend=budget(of_plan), random=SeededRandom(1)
    )
    assert [one.clique for one in found] == [("a",), ("b",)]


def test_the_plan_refuses_what_the_run_would():
    of_plan = dataclasses.replace(plan(LIKELIHOOD, 1), reference_amount=round(2**40 / LARGEST_SIGMA**2) // 2)
    with pytest.raises(GateRefused, match="A reference would need noise of sigma"):
        require_reference(of_plan, PrivacyUnit())
    fine = plan(LIKELIHOOD, "0.01")
    require_reference(fine, PrivacyUnit(column="p", max_rows=900))
    with pytest.raises(GateRefused):
        require_reference(fine, PrivacyUnit(column="p", max_rows=1_100))
    require_reference(plan(load_policy(), "0.01"), PrivacyUnit(column="p", max_rows=10**6))


@pytest.mark.parametrize("share", [Fraction(1, 5), Fraction(2, 5), Fraction(1, 2)])
def test_the_price_of_the_test_rises_with_the_half_that_is_tested(share):
    """N_ho is the other half's: a holdout person weighs twice as much as without a reference."""
    both = [dataclasses.replace(of, holdout_share=share) for of in (LIKELIHOOD, load_policy("research"))]
    with_reference, without = (plan(of, 1, gate_mu="0.02") for of in both)
    assert with_reference.training_gate == without.training_gate
    ratio = (1 - share) / (share / 2) * Fraction(105, 100)
    assert with_reference.holdout_gate == math.ceil(with_reference.training_gate * ratio**2)
    assert with_reference.holdout_gate == pytest.approx(4 * without.holdout_gate, rel=1e-6)
    for found in (with_reference, without):
        assert found.holdout_count + found.holdout_gate == found.amount
    assert (with_reference.reference_amount, without.reference_amount) == (found.amount, 0)
    totals = Totals(training=6_000, holdout=2_000, training_sigma=1.0, holdout_sigma=1.0)
    noise = gate_noise(both[0], plan=with_reference, totals=totals)
    assert noise.holdout_steps == 3 * noise.training_steps
    paid = side_totals(noise.steps, with_reference.coordinate)
    assert paid[Side.HOLDOUT].amount <= with_reference.holdout_gate
    assert Side.REFERENCE not in paid


def test_a_gate_mu_that_the_tested_half_cannot_pay_is_refused():
    of = dataclasses.replace(LIKELIHOOD, holdout_share=Fraction(1, 5))
    plan(load_policy("research"), "0.237", gate_mu="0.05")
    with pytest.raises(GateRefused, match="A holdout person pays 8 times"):
        plan(of, "0.237", gate_mu="0.05")
    assert plan(of, "0.237").gate_mu == pytest.approx(0.85 * 0.237 / 8, rel=1e-6)
    unit = PrivacyUnit()
    assert plan_gate(of, amount=2**36, coordinate=Coordinate.GDP, unit=unit).reference_amount == 2**36


def test_the_test_needs_its_reference_and_is_charged_nothing_without():
    totals, of_plan = Totals(training=8, holdout=3, training_sigma=1.0, holdout_sigma=1.0), plan(LIKELIHOOD, 1)
    spend = budget(of_plan)
    with pytest.raises(ParameterError, match="without a reference"):
        run_gate(
            source([]), source([]), table(np.random.default_rng(1), 4), layout=LAYOUT, totals=totals, plan=of_plan,
            policy=LIKELIHOOD, spend=spend, random=Chosen(),
        )  # fmt: skip
    assert spend.steps == ()
