"""Sums over people: each person's part is a whole number from 0 to 2**16, however many rows and blocks they have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import (
    ONE,
    Family,
    Feature,
    Layout,
    battery,
    leave_one_out,
    make_target,
    nearness,
    prepare,
    side_sums,
    statistic,
    table_facts,
)

SIZES = (3, 2, 3)


def table(rng, rows):
    return np.stack([rng.integers(0, s, rows) for s in SIZES]).astype(np.uint8)


FEATURES = [Feature(family=family, distance=t) for family in (Family.NEAR, Family.ISOLATED) for t in range(3)]


def target_of(synthetic):
    return make_target(synthetic, Layout.plain(SIZES), FEATURES)


def hits(near, feature):
    if feature.family is Family.NEAR:
        return near.distance <= feature.distance
    return (near.distance == 0) & (near.isolation >= feature.distance)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12), st.integers(1, 5))
def test_a_person_counts_as_the_floored_mean_of_their_rows(seed, rows, synthetic_rows, block):
    rng = np.random.default_rng(seed)
    records, synthetic = table(rng, rows), table(rng, synthetic_rows)
    units = np.unique(rng.integers(0, 4, rows), return_inverse=True)[1].astype(np.int64)
    blocks = [(records[:, i : i + block], units[i : i + block]) for i in range(0, rows, block)]
    found = side_sums(blocks, target_of(synthetic), FEATURES)
    assert found.people == np.unique(units).size
    near = nearness(records, prepare(synthetic, SIZES))
    for feature in FEATURES:
        hit = hits(near, feature)
        parts = [int(hit[units == u].sum()) * ONE // int((units == u).sum()) for u in np.unique(units)]
        assert all(0 <= part <= ONE for part in parts)
        assert found.sums[feature] == sum(parts)


def test_unit_numbers_with_gaps_and_repeats_count_people():
    rows = np.zeros((3, 3), dtype=np.uint8)
    found = side_sums([(rows, np.array([0, 0, 2]))], target_of(rows), FEATURES)
    assert (found.people, found.sums[FEATURES[0]]) == (2, 2 * ONE)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_constants_are_leave_one_out_rates_of_the_table_alone(seed, rows):
    synthetic = table(np.random.default_rng(seed), rows)
    facts, own = table_facts(target_of(synthetic), FEATURES), leave_one_out(prepare(synthetic, SIZES))
    for feature in FEATURES:
        rate = int(hits(own, feature).sum()) * ONE // max(1, rows)
        assert (facts[feature].constant, facts[feature].square) == (rate, rate)
        copied = own.isolation >= feature.distance if feature.family is Family.ISOLATED else own.distance >= 0
        assert facts[feature].copied == int(copied.sum()) * ONE // max(1, rows)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 9))
def test_constants_are_rates_of_strangers_where_there_are_some(seed, rows, strangers):
    rng = np.random.default_rng(seed)
    synthetic, others = table(rng, rows), table(rng, strangers)
    target = target_of(synthetic)
    facts, near = table_facts(target, FEATURES, others), nearness(others, prepare(synthetic, SIZES))
    for feature in FEATURES:
        hit = int(hits(near, feature).sum())
        assert facts[feature].constant == facts[feature].square == hit * ONE // strangers
        assert facts[feature].opposite == (strangers - hit) * ONE // strangers
        assert facts[feature].copied == table_facts(target, FEATURES)[feature].copied


def test_statistics_subtract_the_constant_per_person_and_hide_numbers():
    target, exact = target_of(np.zeros((3, 4), dtype=np.uint8)), FEATURES[0]
    near = np.zeros((3, 5), dtype=np.uint8)
    training, holdout = (side_sums([(near[:, :n], np.arange(n))], target, FEATURES) for n in (5, 2))
    one = statistic("exact match", exact, table_facts(target, FEATURES), training=training, holdout=holdout)
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
