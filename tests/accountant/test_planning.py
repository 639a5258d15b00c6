"""Budget plans: both sides within the budget, exact round trips, refusals that a person can act on."""

import math
from fractions import Fraction
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accountant.budget import Budget
from accountant.compose import larger_side
from accountant.errors import ParameterError
from accountant.planning import BudgetPlan, PlanLine, Purpose, default_plan, plan_from_dict
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side

BUDGET = Budget(epsilon=1.0, delta=1e-6)
FIFTH = Fraction(1, 5)
SHARES = st.fractions(min_value=Fraction(1, 10**6), max_value=Fraction(1, 3))
BUDGETS = st.builds(
    Budget,
    epsilon=st.floats(0.05, 10.0),
    delta=st.floats(-12.0, -3.0).map(lambda e: 10.0**e),
    coordinate=st.sampled_from(Coordinate),
)


def line(purpose: Purpose, side: Side, share: str | Fraction) -> PlanLine:
    return PlanLine(purpose=purpose, side=side, share=Fraction(share))


@st.composite
def plans(draw: st.DrawFn) -> BudgetPlan:
    """Plans without a gate, with up to three shares a side."""
    held = draw(st.none() | st.fractions(min_value=Fraction(1, 100), max_value=Fraction(99, 100)))
    purposes = [p for p in Purpose if p is not Purpose.GATE]
    sides = BOTH_SIDES if held is not None else (Side.TRAINING,)
    lines = [
        line(purpose, side, draw(SHARES))
        for side in sides
        for purpose in draw(st.lists(st.sampled_from(purposes), unique=True, max_size=3))
    ]
    return BudgetPlan(budget=draw(BUDGETS), lines=tuple(lines), holdout_share=held)


@given(plan=plans())
def test_whatever_a_plan_allows_is_within_its_epsilon(plan: BudgetPlan) -> None:
    caps = plan.caps()
    whole = {side: sum((x.share for x in plan.lines if x.side is side), Fraction(0)) for side in BOTH_SIDES}
    for side in BOTH_SIDES:
        assert caps[side].fits(plan.budget.cap)
        paid = whole[Side.TRAINING] if plan.holdout_share is None else whole[side]
        assert caps[side].amount <= paid * plan.budget.cap.amount
    assert epsilon_of(larger_side(caps), plan.budget.delta, plan.budget.coordinate) <= plan.budget.epsilon * (1 + 1e-9)


@given(plan=plans())
def test_plans_survive_yaml_exactly(plan: BudgetPlan) -> None:
    again = plan_from_dict(yaml.safe_load(yaml.safe_dump(plan.to_dict(), sort_keys=False)))
    assert again.budget == plan.budget
    assert again.holdout_share == plan.holdout_share
    assert {(x.purpose, x.side): x.share for x in again.lines} == {(x.purpose, x.side): x.share for x in plan.lines}


@given(
    budget=BUDGETS,
    held=st.none() | st.fractions(min_value=Fraction(1, 20), max_value=Fraction(4, 5)),
    encoding=st.sampled_from([Fraction(0), Fraction(1, 20)]),
)
def test_the_plan_to_start_from_is_a_plan(budget: Budget, held: Fraction | None, encoding: Fraction) -> None:
    plan = default_plan(budget, holdout_share=held, encoding=encoding)
    assert plan_from_dict(plan.to_dict()) == plan
    assert sum(x.share for x in plan.lines if x.side is Side.TRAINING) == 1
    assert plan.share(Purpose.ENCODING, Side.TRAINING) == encoding
    if held is not None:
        ratio = (1 - held) / held
        gate = [plan.amount(Purpose.GATE, side) for side in BOTH_SIDES]
        assert gate[1] + 1 >= gate[0] * ratio**2 * Fraction(105, 100) ** 2


def test_a_person_can_read_and_edit_it() -> None:
    text = """
epsilon: 1
delta: 1e-6
holdout_share: 20 %
shares:
  training: {totals: 1 %, measurement: 0.85, selection: 47/500, gate: 4.5 %}
  holdout: {totals: 15 %, gate: 84.5%}
"""
    plan = plan_from_dict(yaml.safe_load(text))
    assert plan.budget == BUDGET
    rows = plan.rows()
    assert [(r.purpose, r.side, r.share) for r in rows] == [
        ("totals", "training", "1.00%"),
        ("measurement", "training", "85.00%"),
        ("selection", "training", "9.40%"),
        ("gate", "training", "4.50%"),
        ("totals", "holdout", "15.00%"),
        ("gate", "holdout", "84.50%"),
        ("unspent", "training", "0.10%"),
        ("unspent", "holdout", "0.50%"),
    ]
    mu = math.sqrt(BUDGET.cap.amount * 0.045 / AMOUNT_UNIT)
    assert rows[3].cost == f"mu {mu:.4f}"
    assert rows[3].buys == "one noisy threshold test of the synthetic table"
    assert plan.amount(Purpose.SELECTION, Side.TRAINING) == math.floor(Fraction(47, 500) * BUDGET.cap.amount)
    rho = plan_from_dict(yaml.safe_load(text) | {"coordinate": "zcdp"})
    assert rho.rows()[3].cost.startswith("rho ")
    assert rho.caps()[Side.TRAINING].amount <= rho.budget.cap.amount


def test_without_a_holdout_everybody_pays_the_training_lines() -> None:
    plan = default_plan(BUDGET, holdout_share=None)
    assert plan.caps()[Side.HOLDOUT] == plan.caps()[Side.TRAINING] != Price()
    with pytest.raises(ParameterError, match="holds nobody out"):
        BudgetPlan(budget=BUDGET, lines=(line(Purpose.TOTALS, Side.HOLDOUT, "1/2"),))


@pytest.mark.parametrize("side", BOTH_SIDES)
def test_each_side_is_within_the_budget_by_itself(side: Side) -> None:
    half = (line(Purpose.TOTALS, side, "1/2"), line(Purpose.SYNTHESIZER, side, "1/2"))
    other = Side.HOLDOUT if side is Side.TRAINING else Side.TRAINING
    whole = (*half, line(Purpose.TOTALS, other, "1"))
    assert BudgetPlan(budget=BUDGET, lines=whole, holdout_share=FIFTH).caps()[side].amount <= BUDGET.cap.amount
    with pytest.raises(ParameterError, match=f"shares of the {side} side add up to 100.10%"):
        BudgetPlan(budget=BUDGET, lines=(*whole, line(Purpose.ENCODING, side, "1/1000")), holdout_share=FIFTH)


@pytest.mark.parametrize(("training", "holdout"), [("1/20", "88/100"), ("1/20", None), (None, "1/2"), ("1/10", "1")])
def test_a_gate_that_the_holdout_side_cannot_afford_is_refused(training: str | None, holdout: str | None) -> None:
    """At one fifth held out a holdout person pays 16 times as much, 17.64 with the reserve."""
    lines = [line(Purpose.GATE, Side.TRAINING, training)] if training else []
    lines += [line(Purpose.GATE, Side.HOLDOUT, holdout)] if holdout else []
    with pytest.raises(ParameterError, match="costs a holdout person"):
        BudgetPlan(budget=BUDGET, lines=tuple(lines), holdout_share=FIFTH)


def test_a_gate_that_the_holdout_side_can_just_afford() -> None:
    gate = line(Purpose.GATE, Side.TRAINING, "1/20"), line(Purpose.GATE, Side.HOLDOUT, Fraction(1764, 2000))
    assert BudgetPlan(budget=BUDGET, lines=gate, holdout_share=FIFTH).share(Purpose.GATE, Side.HOLDOUT) < 1
    with pytest.raises(ParameterError, match="reads both sides"):
        BudgetPlan(budget=BUDGET, lines=gate[:1])


GOOD: dict[str, Any] = {"epsilon": 1.0, "delta": 1e-6, "shares": {"training": {"synthesizer": "50 %"}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": "many"}, "value of epsilon in a plan isn't a number"),
        ({"epsilon": True}, "value of epsilon in a plan isn't a number"),
        ({"epsilon": 0}, "A budget has epsilon"),
        ({"delta": "1/0"}, "value of delta in a plan isn't a number"),
        ({"coordinate": "renyi"}, "unknown coordinate"),
        ({"holdout_share": "100 %"}, "holds out the share 1"),
        ({"holdout_share": 0}, "holds out the share 0"),
        ({"shares": {"training": {"meassurement": 0.1}}}, "other names"),
        ({"shares": {"trainig": {}}}, "other names"),
        ({"shares": [1]}, "other names"),
        ({"budget": 1}, "other names"),
        ({"shares": {"training": {"totals": 0}}}, "share of totals on the training side is 0"),
        ({"shares": {"training": {"totals": "101 %"}}}, "share of totals on the training side is 101/100"),
        ({"shares": {"training": {"totals": "1/10000000000000000000"}}}, "less than one unit"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], said: str) -> None:
    assert plan_from_dict(GOOD).amount(Purpose.SYNTHESIZER, Side.TRAINING) == BUDGET.cap.amount // 2
    with pytest.raises(ParameterError, match=said):
        plan_from_dict(GOOD | change)


def test_one_purpose_has_one_line() -> None:
    twice = (line(Purpose.TOTALS, Side.TRAINING, "1/10"),) * 2
    with pytest.raises(ParameterError, match="two lines for one purpose"):
        BudgetPlan(budget=BUDGET, lines=twice)
    with pytest.raises(ParameterError, match="exact fraction"):
        PlanLine(purpose=Purpose.TOTALS, side=Side.TRAINING, share=0.5)  # type: ignore[arg-type]


def test_a_plan_to_start_from_holds_out_a_fifth_and_no_share_that_is_none() -> None:
    budget = Budget(epsilon=1.0, delta=1e-6)
    assert default_plan(budget).holdout_share == Fraction(1, 5)
    for share in (Fraction(0), Fraction(1), Fraction(3, 2), Fraction(-1, 5)):
        with pytest.raises(ParameterError, match="share"):
            default_plan(budget, holdout_share=share)
