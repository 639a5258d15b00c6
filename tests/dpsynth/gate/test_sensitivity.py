"""Brute force: every statistic and the floored T over all add-remove neighbours of small data, on both sides."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest

from dpsynth.attacks import ONE, Family, make_target, side_sums, table_facts
from dpsynth.attacks.likelihood import NoisyMarginal, ratios
from dpsynth.gate import load_policy
from dpsynth.gate.battery import probes_on
from dpsynth.gate.noise import gate_noise
from dpsynth.gate.totals import Totals
from dpsynth.gate.verdict import run_gate
from dpsynth.measurement import Measurement
from tests.dpsynth.gate.helpers import LAYOUT, Chosen, budget, plan, source, table

ROWS = list(itertools.product(*(range(s) for s in LAYOUT.sizes)))
PEOPLE = [(row,) for row in ROWS] + [(ROWS[0], ROWS[-1]), (ROWS[3], ROWS[3], ROWS[5]), tuple(ROWS[1:8])]
"""People of one row, and three with several."""

TOTALS = [
    Totals(training=8, holdout=3, training_sigma=1.0, holdout_sigma=1.0),
    Totals(training=7, holdout=7, training_sigma=1.0, holdout_sigma=1.0),
    Totals(training=5, holdout=9, training_sigma=1.0, holdout_sigma=1.0),
]


WHOLE = load_policy("research-likelihood")
"""Every kind of attack; the noisy marginals of its reference are any integers."""
REFERRED = (
    Measurement(clique=("a", "b"), values=np.array([[3, -1, 4], [1, 5, 9]], dtype=np.int64), sigma=1.5),
    Measurement(clique=("c",), values=np.array([2, 6], dtype=np.int64), sigma=1.5),
)


def people(*persons):
    """A source of these people."""
    rows = [row for person in persons for row in person]
    units = [i for i, person in enumerate(persons) for _ in person]
    return source(np.array(rows, dtype=np.uint8).reshape(-1, 3).T, units, max_rows=7)


def synthetic_tables():
    rng = np.random.default_rng(0)
    yield np.zeros((3, 0), dtype=np.uint8)
    yield np.array(ROWS[:1], dtype=np.uint8).T
    yield np.array(ROWS, dtype=np.uint8).T
    for rows in (2, 3, 5):
        yield table(rng, rows)


def exact_steps(training, holdout, synthetic, totals, grid):
    found = dataclasses.replace(WHOLE, grid=grid, gate_mu=Fraction(1))
    of_plan = plan(found, 5)
    _, annex = run_gate(
        people(*training),
        people(*holdout),
        synthetic,
        layout=LAYOUT,
        totals=totals,
        plan=of_plan,
        policy=found,
        spend=budget(of_plan),
        random=Chosen(),
        referred=REFERRED,
    )
    noise = gate_noise(found, plan=of_plan, totals=totals)
    return annex.exact_steps, noise


@pytest.mark.parametrize("side", ["training", "holdout"])
@pytest.mark.parametrize("totals", TOTALS)
def test_steps_move_by_at_most_what_each_side_pays(side, totals):
    """And the bound is reached somewhere, so that a smaller price would be wrong."""
    rng, most, paid = np.random.default_rng(5), 0, 0
    for synthetic in synthetic_tables():
        for size in (0, 1, 4):
            base = {s: [PEOPLE[i] for i in rng.integers(0, len(PEOPLE), size)] for s in ("training", "holdout")}
            before, noise = exact_steps(**base, synthetic=synthetic, totals=totals, grid=3)
            paid = noise.training_steps if side == "training" else noise.holdout_steps
            for person in PEOPLE:
                after, _ = exact_steps(
                    **base | {side: [*base[side], person]}, synthetic=synthetic, totals=totals, grid=3
                )
                assert abs(after - before) <= paid
                most = max(most, abs(after - before))
    assert most >= paid - 1


@pytest.mark.parametrize("totals", TOTALS)
def test_what_each_side_pays_is_the_grid_and_its_ratio(totals):
    _, noise = exact_steps([], [], table(np.random.default_rng(1), 3), totals, 3)
    assert noise.training_steps == noise.grid
    assert noise.holdout_steps - 1 < Fraction(noise.grid * totals.training, totals.holdout) <= noise.holdout_steps
    assert [step.event.sensitivity for step in noise.steps] == [noise.training_steps, noise.holdout_steps]
    assert [[side.value for side in step.sides] for step in noise.steps] == [["training"], ["holdout"]]
    assert len({step.event.sigma for step in noise.steps}) == 1


FEATURES = tuple(dict.fromkeys(probe.feature for probe in probes_on(WHOLE, LAYOUT)))


def target_of(synthetic):
    marginals = [
        NoisyMarginal(columns=c, values=m.values, sigma=m.sigma) for c, m in zip([(0, 1), (2,)], REFERRED, strict=True)
    ]
    return make_target(synthetic, LAYOUT, FEATURES, ratios(synthetic, LAYOUT.sizes, marginals, None))


def test_the_battery_under_test_has_every_family():
    assert {feature.family for feature in FEATURES} == set(Family)


def test_a_sum_moves_by_at_most_one_whichever_the_table():
    """One person more moves every sum by their own f, whoever else is there: in [0, 1], and by all of it somewhere."""
    most = dict.fromkeys(FEATURES, 0)
    for synthetic in synthetic_tables():
        target = target_of(synthetic)
        facts = table_facts(target, FEATURES)

        def sums(*persons, target=target):
            return side_sums(people(*persons).blocks(rows=2), target, FEATURES).sums

        alone = {person: sums(person) for person in PEOPLE}
        for base in ([], [PEOPLE[0], PEOPLE[-1]], [PEOPLE[5]] * 3):
            before = sums(*base)
            for person in PEOPLE:
                after = sums(*base, person)
                for feature in FEATURES:
                    moved = after[feature] - before[feature]
                    assert moved == alone[person][feature]
                    assert 0 <= moved <= ONE
                    assert abs(moved - facts[feature].constant) <= ONE
                    most[feature] = max(most[feature], moved)
    assert set(most.values()) == {ONE}


def test_facts_read_the_table_and_strangers_alone():
    """c is from 0 to 1 for every table and feature, so that f - c stays within the bound that is charged."""
    for synthetic in synthetic_tables():
        target = target_of(synthetic)
        for reference in (None, np.array(ROWS, dtype=np.uint8).T):
            for facts in table_facts(target, FEATURES, reference).values():
                assert all(0 <= x <= ONE for x in (facts.constant, facts.square, facts.opposite, facts.copied))
