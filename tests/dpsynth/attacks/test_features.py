"""Each feature against its definition, row by row, and of people who were copied."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import ONE, Family, Feature, Layout, make_target, nearness, prepare
from dpsynth.attacks.features import RARE, look, look_at_itself, values
from dpsynth.attacks.mixed import mixed_distance, prepare_mixed

LAYOUT = Layout(sizes=(3, 4, 2, 3), ordered=(0, 3, 0, 3), known=((0, 2), (1,)), secrets=(3, 0))
GUESSES = [Feature(family=Family.GUESSED, which=w) for w in range(2)]
KNOWN = [Feature(family=Family.KNOWN, distance=t, which=w) for w in range(2) for t in range(2 - w)]
RARES = [Feature(family=Family.RARE, distance=t) for t in range(3)]
MIXED = [Feature(family=Family.MIXED, distance=t) for t in (0, 32, 64, 200)]
GRADED = Feature(family=Family.GRADED)
ALL = [*GUESSES, *KNOWN, *RARES, *MIXED, GRADED]


def table(rng, rows):
    return np.stack([rng.integers(0, s, rows) for s in LAYOUT.sizes]).astype(np.uint8)


def surprises(rows, synthetic):
    """How rare rows are by the shares of a table, in whole 2**-16 bits."""
    total = []
    for row in rows.T:
        parts = []
        for column, value, size in zip(synthetic, row, LAYOUT.sizes, strict=True):
            parts.append(round(ONE * math.log2((column.size + size) / (1 + int((column == value).sum())))))
        total.append(sum(parts))
    return np.array(total, dtype=np.int64)


def guess(row, synthetic, secret, skip=None):
    """Whether a row closest on the other columns has the row's own value."""
    rest = np.delete(synthetic, secret, axis=0)
    apart = (np.delete(row, secret) != rest.T).sum(axis=1)
    allowed = np.array([j != skip for j in range(synthetic.shape[1])], dtype=bool)
    if not allowed.any():
        return False
    closest = allowed & (apart == apart[allowed].min())
    return bool((synthetic[secret][closest] == row[secret]).any())


@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 14))
def test_every_feature_is_its_definition(seed, rows, synthetic_rows):
    rng = np.random.default_rng(seed)
    records, synthetic = table(rng, rows), table(rng, synthetic_rows)
    target = make_target(synthetic, LAYOUT, ALL)
    sight = look(records, target)
    assert repr(sight) == "Sight(<private>)"
    near = nearness(records, prepare(synthetic, LAYOUT.sizes))
    for feature in GUESSES:
        expected = [guess(row, synthetic, LAYOUT.secrets[feature.which]) for row in records.T]
        assert values(feature, sight).tolist() == [ONE * hit for hit in expected]
    for feature in KNOWN:
        columns = list(LAYOUT.known[feature.which])
        apart = [min(((row[columns] != synthetic[columns].T).sum(axis=1)), default=9) for row in records.T]
        assert values(feature, sight).tolist() == [ONE * (a <= feature.distance) for a in apart]
    scores = sorted(surprises(synthetic, synthetic).tolist())
    limit = scores[math.floor((1 - RARE) * len(scores))] if scores else 0
    for feature in RARES:
        expected = (surprises(records, synthetic) >= limit) & (near.distance <= feature.distance)
        assert values(feature, sight).tolist() == [ONE * hit for hit in expected]
    apart = mixed_distance(records, prepare_mixed(prepare(synthetic, LAYOUT.sizes), LAYOUT))
    for feature in MIXED:
        assert values(feature, sight).tolist() == [ONE * hit for hit in apart <= feature.distance]
    grades = [
        0 if d else {1: ONE // 8, 2: 5 * ONE // 8}.get(k, ONE)
        for d, k in zip(near.distance.tolist(), near.isolation.tolist(), strict=True)
    ]
    assert values(GRADED, sight).tolist() == grades


@given(st.integers(0, 2**32 - 1), st.integers(0, 14))
def test_the_tables_own_rows_are_seen_against_the_others_and_as_copies(seed, rows):
    synthetic = table(np.random.default_rng(seed), rows)
    others, copied = look_at_itself(make_target(synthetic, LAYOUT, ALL))
    for i in range(rows):
        rest = make_target(np.delete(synthetic, i, axis=1), LAYOUT, ALL)
        alone = look(synthetic[:, i : i + 1], rest)
        for feature in (*KNOWN, *MIXED, GRADED):
            assert values(feature, others)[i] == values(feature, alone)[0]
        for feature in GUESSES:
            assert values(feature, others)[i] == ONE * guess(
                synthetic[:, i], synthetic, LAYOUT.secrets[feature.which], skip=i
            )
    for feature in (*GUESSES, *KNOWN, *MIXED):
        assert values(feature, copied).tolist() == [ONE] * rows


def test_only_what_was_asked_for_is_computed():
    synthetic = table(np.random.default_rng(0), 5)
    target = make_target(synthetic, LAYOUT, [GUESSES[1], KNOWN[0]])
    sight = look(synthetic, target)
    assert (target.mixed, sight.mixed.size) == (None, 0)
    assert (set(sight.guessed), set(sight.known)) == ({1}, {0})
