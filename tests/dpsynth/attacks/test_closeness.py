"""Sums over people: each person's part is a whole number from 0 to 2**16, however many rows and blocks they have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import ONE, Family, battery, leave_one_out, nearness, prepare, side_sums, statistic, table_facts

SIZES = (3, 2, 3)


def table(rng, rows):
    return np.stack([rng.integers(0, s, rows) for s in SIZES]).astype(np.uint8)


def feature(near, family, t):
    hit = near.distance <= t
    return hit if family is Family.NEAR else (near.distance == 0) & (near.isolation >= t)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12), st.integers(1, 5))
def test_a_person_counts_as_the_floored_mean_of_their_rows(seed, rows, synthetic_rows, block):
    rng = np.random.default_rng(seed)
    records, synthetic = table(rng, rows), prepare(table(rng, synthetic_rows), SIZES)
    units = np.unique(rng.integers(0, 4, rows), return_inverse=True)[1].astype(np.int64)
    blocks = [(records[:, i : i + block], units[i : i + block]) for i in range(0, rows, block)]
    found = side_sums(blocks, synthetic)
    assert found.people == np.unique(units).size
    near = nearness(records, synthetic)
    for family in Family:
        for t in range(len(SIZES)):
            hits = feature(near, family, t)
            parts = [int(hits[units == u].sum()) * ONE // int((units == u).sum()) for u in np.unique(units)]
            assert all(0 <= part <= ONE for part in parts)
            assert found.sums[family][t] == sum(parts)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_constants_are_leave_one_out_rates_of_the_table_alone(seed, rows):
    synthetic = prepare(table(np.random.default_rng(seed), rows), SIZES)
    facts, own = table_facts(synthetic), leave_one_out(synthetic)
    for t in range(len(SIZES)):
        assert facts.constants[Family.NEAR][t] == int((own.distance <= t).sum()) * ONE // max(1, rows)
        isolated = (own.distance == 0) & (own.isolation >= t)
        assert facts.constants[Family.ISOLATED][t] == int(isolated.sum()) * ONE // max(1, rows)
        assert facts.alone[t] == int((own.isolation >= t).sum()) * ONE // max(1, rows)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 9))
def test_constants_are_rates_of_strangers_where_there_are_some(seed, rows, strangers):
    rng = np.random.default_rng(seed)
    synthetic, others = prepare(table(rng, rows), SIZES), table(rng, strangers)
    facts, near = table_facts(synthetic, others), nearness(others, synthetic)
    for family in Family:
        for t in range(len(SIZES)):
            assert facts.constants[family][t] == int(feature(near, family, t).sum()) * ONE // strangers
    assert facts.alone == table_facts(synthetic).alone


def test_statistics_subtract_the_constant_per_person_and_hide_numbers():
    synthetic = prepare(np.zeros((3, 4), dtype=np.uint8), SIZES)
    near = np.zeros((3, 5), dtype=np.uint8)
    training, holdout = (side_sums([(near[:, :n], np.arange(n))], synthetic) for n in (5, 2))
    facts = table_facts(synthetic)
    one = statistic("exact match", Family.NEAR, 0, facts, training=training, holdout=holdout)
    assert (one.constant, one.training, one.holdout) == (ONE, 0, 0)
    assert "5" not in repr(training)
    assert repr(one) == "AttackStatistic(name='exact match', distance=0, <private>)"


def test_battery_reports_rates_and_hides_them():
    rng = np.random.default_rng(1)
    wide = (9,) * 6
    training, holdout = (rng.integers(0, 9, (6, 200)).astype(np.uint8) for _ in range(2))
    found = battery(training, training, sizes=wide, holdout=holdout)
    assert found.exact_match == 1.0
    assert found.advantage is not None
    assert found.advantage > 0.9
    assert battery(training, holdout, sizes=wide).advantage is None
    assert battery(training[:, :0], holdout[:, :0], sizes=wide, holdout=holdout[:, :0]).exact_match == 0.0
    assert repr(found) == "BatteryReport(<private>)"
    assert repr(found.thresholds[0]) == "ThresholdReport(distance=0, <private>)"
