"""What the gate publishes is a function of one noisy number and of what everybody knows already."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from dpsynth.attacks import Family, Feature, make_target, side_sums, statistic, table_facts
from dpsynth.gate import Verdict, load_policy
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import run_gate
from dpsynth.noise.gaussian import gaussian_cut
from tests.dpsynth.gate.helpers import LAYOUT, Chosen, budget, plan, policy, source, table

TOTALS = Totals(training=40, holdout=12, training_sigma=1.0, holdout_sigma=1.0)
OF_POLICY = policy(gate_mu=Fraction(2))


def published(training, holdout, synthetic, noise=None):
    """The public result with a chosen index into the table of the noise."""
    of_plan = plan(OF_POLICY, 1)
    return run_gate(
        source(training),
        source(holdout),
        synthetic,
        layout=LAYOUT,
        totals=TOTALS,
        plan=of_plan,
        policy=OF_POLICY,
        spend=budget(of_plan),
        random=Chosen(*([] if noise is None else [noise])),
    )


def tables():
    """Honest and copied tables, for the same totals."""
    rng = np.random.default_rng(4)
    training, holdout = table(rng, 40), table(rng, 12)
    rare = np.array([[1], [2], [1]], dtype=np.uint8)
    yield training, holdout, table(rng, 40)
    yield np.repeat(rare, 40, axis=1), np.zeros((3, 12), dtype=np.uint8), np.repeat(rare, 40, axis=1)
    yield np.zeros((3, 0), dtype=np.uint8), holdout, table(rng, 3)


def test_the_verdict_is_that_of_the_published_number_whatever_the_records():
    """For every table, noise that lifts the number just over the margin fails it, and noise below it passes."""
    exacts = []
    for people in tables():
        result, annex = published(*people)
        exacts.append(annex.exact_steps)
        assert result.noisy_steps == annex.exact_steps
        cut = gaussian_cut(result.sigma_records * result.grid)
        for over, verdict in ((0, Verdict.PASS), (1, Verdict.FAIL)):
            index = result.margin_steps + over - annex.exact_steps + cut
            assert 0 <= index <= 2 * cut, "the noise can't reach the margin"
            moved, _ = published(*people, noise=index)
            assert (moved.noisy_steps, moved.verdict) == (result.margin_steps + over, verdict)
    assert max(exacts) > 0 > min(exacts)


def test_nothing_but_the_noisy_number_depends_on_the_records():
    """One synthetic table, one set of noisy totals, other people: all else that is published stays as it was."""
    rng = np.random.default_rng(6)
    zeros, rare = np.zeros((3, 12), dtype=np.uint8), np.array([[1], [2], [1]], dtype=np.uint8)
    copies, synthetic = np.repeat(rare, 12, axis=1), np.repeat(rare, 40, axis=1)
    sides = ((synthetic, zeros), (table(rng, 40), zeros), (table(rng, 40), copies))
    results = [published(*people, synthetic)[0] for people in sides]
    assert len({result.noisy_steps for result in results}) == 3
    blind = {dataclasses.replace(result, noisy_steps=None, verdict=Verdict.PASS) for result in results}
    assert len(blind) == 1


@pytest.mark.parametrize("steps", [-7, 5])
def test_totals_hold_the_noise_that_was_drawn(steps):
    of_plan, rng = plan(load_policy(), 1), np.random.default_rng(0)
    sides = source(table(rng, 300)), source(table(rng, 120))
    quiet, probe = Chosen(), Chosen()
    before = measure_totals(*sides, plan=of_plan, spend=budget(of_plan), random=quiet)
    middles = [length // 2 for length in quiet.lengths]
    probe.indices = [middle + steps for middle in middles]
    after = measure_totals(*sides, plan=of_plan, spend=budget(of_plan), random=probe)
    assert (after.training - before.training, after.holdout - before.holdout) == (steps, steps)


def test_exact_sums_show_no_number():
    exact = Feature(family=Family.NEAR)
    target = make_target(np.zeros((3, 4), dtype=np.uint8), LAYOUT, [exact])
    sums = side_sums(source(np.zeros((3, 9), dtype=np.uint8)).blocks(), target, [exact])
    one = statistic("exact match", exact, table_facts(target, [exact]), training=sums, holdout=sums)
    assert sums.people == 9
    for shown in (repr(sums), str(sums), f"{sums}", repr(one).replace("distance=0", "")):
        assert not any(character.isdigit() for character in shown)
