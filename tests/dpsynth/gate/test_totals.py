"""Noisy totals: people, not rows; each side pays for its own; decided before a table exists."""

import numpy as np
import pytest

from accountant.errors import BudgetExceeded
from accountant.filters import FilterSpend
from accountant.price import Coordinate, Price
from accountant.spend import Side
from dpsynth.gate import Verdict, load_policy
from dpsynth.gate.thresholds import decidable
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import undecidable
from tests.dpsynth.gate.helpers import Chosen, budget, plan, policy, source, table


def measured(training, holdout, of_plan, spend=None, random=None):
    return measure_totals(training, holdout, plan=of_plan, spend=spend or budget(of_plan), random=random or Chosen())


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_each_side_pays_its_own_count(coordinate):
    of_plan = plan(load_policy(), 1, coordinate=coordinate)
    spend = budget(of_plan)
    rng = np.random.default_rng(0)
    found = measured(source(table(rng, 30)), source(table(rng, 12)), of_plan, spend)
    assert (found.training, found.holdout) == (30, 12)
    assert [step.sides for step in spend.steps] == [(Side.TRAINING,), (Side.HOLDOUT,)]
    assert [step.event.sensitivity for step in spend.steps] == [1.0, 1.0]
    assert [step.event.sigma for step in spend.steps] == [found.training_sigma, found.holdout_sigma]
    assert 0.999 * of_plan.training_count < spend.spent[Side.TRAINING].amount <= of_plan.training_count
    assert 0.999 * of_plan.holdout_count < spend.spent[Side.HOLDOUT].amount <= of_plan.holdout_count


def test_people_are_counted_across_blocks_and_rows():
    many = 70_000
    units = np.arange(many) % 100
    people = source(np.zeros((3, many), dtype=np.uint8), units, max_rows=many)
    found = measured(people, source([]), plan(load_policy(), 1))
    assert (found.training, found.holdout) == (100, 1)


def test_noise_is_added_and_clamped_to_one():
    of_plan = plan(load_policy(), 1)
    found = measured(source([]), source([]), of_plan, random=Chosen(0, 0))
    assert (found.training, found.holdout) == (1, 1)
    quiet = measured(source([]), source([]), of_plan)
    assert (quiet.training, quiet.holdout) == (1, 1)
    lengths = Chosen()
    measured(source([]), source([]), of_plan, random=lengths)
    assert lengths.lengths[0] > 2 * 13 * 9


def test_a_refusal_draws_nothing():
    of_plan, random = plan(load_policy(), 1), Chosen()
    spend = FilterSpend(coordinate=of_plan.coordinate, caps=dict.fromkeys(Side, Price(1, 1)))
    with pytest.raises(BudgetExceeded):
        measured(source([]), source([]), of_plan, spend, random)
    assert random.lengths == []


@pytest.mark.parametrize(
    ("training", "holdout", "name", "expected"),
    [
        (39_000, 9_800, "standard", True),
        (800, 200, "standard", True),
        (800, 200, "strict-health", False),
        (800, 49, "standard", False),
        (150, 60, "standard", False),
        (1, 1, "research", False),
        (10**6, 1, "research", False),
        (1, 10**6, "research", False),
    ],
)
def test_what_is_decidable(training, holdout, name, expected):
    found = load_policy(name)
    totals = Totals(training=training, holdout=holdout, training_sigma=42.0, holdout_sigma=9.0)
    assert decidable(found, totals, plan=plan(found, "0.237")).decidable is expected


def test_an_undecidable_gate_spends_only_the_totals():
    found = policy()
    of_plan = plan(found, 1)
    spend = budget(of_plan)
    totals = measured(source([]), source([]), of_plan, spend)
    assert not decidable(found, totals, plan=of_plan).decidable
    result = undecidable(totals=totals, plan=of_plan, policy=found)
    assert (result.verdict, result.training_amount, result.holdout_amount) == (Verdict.UNDECIDABLE, 0, 0)
    assert result.noisy_steps is None
    assert len(spend.steps) == 2


def test_what_undecidable_publishes():
    found = policy()
    of_plan = plan(found, 1)
    totals = Totals(training=5, holdout=3, training_sigma=2.0, holdout_sigma=2.0)
    result = undecidable(totals=totals, plan=of_plan, policy=found)
    assert (result.margin_steps, result.noisy_steps) == (0, None)
    assert (result.training_people, result.holdout_people) == (5, 3)
    assert result.smallest_leak == decidable(found, totals, plan=of_plan).smallest_leak
    assert (result.policy, result.policy_sha256) == (found.name, found.sha256)
