"""Cumulative tables: exact probabilities, the guided and the short lookup, and ties."""

import math
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.rules.slack import sampler_slack
from dpsynth.errors import ParameterError
from dpsynth.noise.gaussian import discrete_gaussian_table
from dpsynth.noise.tables import PRECISION, SLACK_PER_DRAW, CumulativeTable, symmetric_table

FULL = 1 << PRECISION
WEIGHTS = st.lists(st.integers(0, 1 << 80), min_size=1, max_size=12).filter(any)
GUIDED = 4096
"""From this size on lookup goes through the guide."""

PAD = (1 << 255) + (1 << 200)


class StubbedWords:
    """Hands out the words of given 256-bit uniforms, as a source would: the top words first, then each tie's rest."""

    def __init__(self, uniforms):
        self.uniforms, self.rest, self.calls = uniforms, None, []

    def __call__(self, count):
        self.calls.append(count)
        if self.rest is None:
            assert count == len(self.uniforms)
            self.rest = [self.words(u)[1:] for u in self.uniforms]
            return np.array([self.words(u)[0] for u in self.uniforms], dtype=np.uint64)
        assert count == 3
        return np.array(self.tied.pop(0), dtype=np.uint64)

    @staticmethod
    def words(uniform):
        return [uniform >> shift & (1 << 64) - 1 for shift in (192, 128, 64, 0)]

    def expect(self, table):
        tops = {t >> 192 for t in table.thresholds}
        self.tied = [self.words(u)[1:] for u in self.uniforms if u >> 192 in tops]
        return [bisect_right(table.thresholds, u) for u in self.uniforms]


@given(WEIGHTS)
@settings(max_examples=60, deadline=None)
def test_probabilities_are_the_weights_rounded_once(weights):
    table = CumulativeTable.from_weights(weights)
    total, numerators = sum(weights), table.numerators
    assert len(table) == len(numerators) == len(weights)
    assert sum(numerators) == FULL
    assert all(
        abs(Fraction(n, FULL) - Fraction(w, total)) < Fraction(1, FULL)
        for n, w in zip(numerators, weights, strict=True)
    )
    assert np.allclose(table.probabilities, [w / total for w in weights], rtol=1e-15, atol=2.0**-250)


@given(st.lists(st.integers(0, 255), min_size=2, max_size=6).filter(any))
@settings(max_examples=30, deadline=None)
def test_weights_that_sum_to_a_power_of_two_are_exact(weights):
    weights = [*weights, (1 << 200) - sum(weights)]
    assert [n >> 56 for n in CumulativeTable.from_weights(weights).numerators] == weights


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [3, -1]])
def test_weights_that_are_no_law_are_refused(weights):
    with pytest.raises(ParameterError):
        CumulativeTable.from_weights(weights)


@pytest.mark.parametrize("padding", [0, GUIDED], ids=["plain", "guided"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_lookup_is_the_full_comparison_even_on_ties(padding, data):
    """Uniforms at, just below and just above thresholds: most share a threshold's top word, so its ties decide."""
    table = data.draw(st.sampled_from(TABLES))
    near = st.builds(
        lambda t, offset: min(max(t + offset, 0), FULL - 1),
        st.sampled_from([0, FULL - 1, *table.thresholds]),
        st.sampled_from([0, -1, 1, -(1 << 100), 1 << 100, 1 << 195, -(1 << 195)]),
    )
    uniforms = data.draw(st.lists(near, min_size=1, max_size=8)) + [PAD] * padding
    words = StubbedWords(uniforms)
    expected = words.expect(table)
    assert table.lookup(words, len(uniforms)).tolist() == expected
    assert words.tied == [], "every tie, and nothing else, took further words"


TABLES = [
    CumulativeTable.from_weights([1, 1]),
    CumulativeTable.from_weights([1, 0, 0, 2, 0]),
    CumulativeTable.from_weights([1, 1 << 70, 1, 1]),
    CumulativeTable.from_weights([1, 1, (1 << 250) - 4, 1, 1]),
    discrete_gaussian_table(0.5),
    discrete_gaussian_table(2.0),
]


def test_a_tie_takes_three_more_words():
    table = CumulativeTable.from_weights([1, 2])
    (threshold,) = table.thresholds
    for offset, index in ((0, 1), (-1, 0), (1, 1)):
        words = StubbedWords([threshold + offset])
        words.expect(table)
        assert table.lookup(words, 1).tolist() == [index]
        assert words.calls == [1, 3]


def test_a_law_of_one_outcome_needs_no_bits():
    assert CumulativeTable.from_weights([5]).lookup(StubbedWords([]), 3).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 1 << 70), max_size=6), st.integers(1, 1 << 70))
@settings(max_examples=40, deadline=None)
def test_a_symmetric_table_is_symmetric_bit_for_bit(half, centre):
    table = symmetric_table(half, centre)
    numerators = table.numerators
    assert numerators == numerators[::-1]
    assert sum(numerators) == FULL
    assert table.thresholds == CumulativeTable.from_weights(numerators).thresholds


def test_the_slack_of_a_draw_is_what_the_accountant_charges():
    """A draw within t of its law turns (epsilon, delta) into (epsilon, delta + t (1 + e^epsilon)), epsilon up to 20."""
    charged = sampler_slack(1) / SLACK_PER_DRAW
    assert Fraction(1, 2**127) == SLACK_PER_DRAW
    assert charged.denominator == 1
    assert charged - 1 < 1 + Fraction(math.exp(20.0)) <= charged


def test_a_table_is_as_long_as_its_weights_and_ends_with_zeros():
    table = CumulativeTable.from_weights([3, 0, 1, 0, 0])
    assert table.numerators == [3 * FULL // 4, 0, FULL // 4, 0, 0]
    assert table.probabilities.tolist() == [0.75, 0.0, 0.25, 0.0, 0.0]
    assert table.lookup(StubbedWords([FULL - 1]), 1).tolist() == [2]


@pytest.mark.parametrize("size", [GUIDED - 1, GUIDED, GUIDED + 1])
def test_the_guide_changes_nothing(size):
    table = discrete_gaussian_table(7.0)
    uniforms = [(i * 0x9E3779B97F4A7C15 % 2**64) << 192 for i in range(1, size + 1)]
    found = table.lookup(StubbedWords(uniforms), size)
    assert found.tolist() == [bisect_right(table.thresholds, u) for u in uniforms]
