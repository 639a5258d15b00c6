"""Guesses of membership: improbable copies, one a person; canaries by their distance."""

import numpy as np
import pytest

from dpsynth.attacks.guessing import IMPROBABLE, guess_canaries, guess_members
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import prepare

SIZES = (4, 4, 4, 4)


def codes(*rows):
    return np.array(rows, dtype=np.uint8).reshape(-1, 4).T.copy()


COMMON = [(i % 2,) * 4 for i in range(400)]
WIDE = (4,) * 12


def wide(*rows):
    return np.array(rows, dtype=np.uint8).reshape(-1, 12).T.copy()


def test_a_copy_that_chance_hardly_explains_is_guessed_and_nothing_else_is():
    """Rows of independent codes beside many equal ones."""
    rows = np.random.default_rng(0).integers(0, 4, (300, 12))
    table = wide(*rows, *np.zeros((300, 12), dtype=int))
    made, other, common = prepare(table, WIDE), (rows[0] + 1) % 4, np.zeros(12, dtype=int)
    chance = by_chance(made)
    assert IMPROBABLE == 2_000
    assert chance.expected(wide(rows[0], other)).max() <= 1 / 2_000
    assert chance.expected(wide(common))[0] > 50
    found = guess_members([(wide(rows[0], other, common, common), np.arange(4))], made, chance)
    assert (found.people, found.guessed) == (4, 1)
    empty = prepare(wide(), WIDE)
    assert guess_members([(wide(rows[0]), np.zeros(1, dtype=int))], empty, by_chance(empty)).guessed == 0
    assert guess_members([(wide(), np.zeros(0, dtype=int))], made, chance).people == 0


def test_a_row_is_guessed_by_up_to_the_number_of_tables_that_hold_it_once():
    made = prepare(codes(*COMMON, (3, 2, 1, 3)), SIZES)
    chance = by_chance(made)
    expected = chance.expected(codes((3, 2, 1, 3)))[0]
    assert 0.0 < expected < 1.0
    person = [(codes((3, 2, 1, 3)), np.zeros(1, dtype=int))]
    for improbable, guessed in ((int(1 / expected), 1), (int(1 / expected) + 1, 0)):
        assert guess_members(person, made, chance, improbable=improbable).guessed == guessed


def test_a_person_is_guessed_once_whatever_their_rows_and_blocks():
    table = prepare(codes((3, 3, 3, 3), (0, 1, 2, 0), *COMMON), SIZES)
    chance = by_chance(table)
    rows = codes((3, 3, 3, 3), (0, 1, 2, 0), (0, 0, 0, 0))
    blocks = [(rows, np.array([0, 0, 1])), (rows, np.array([0, 1, 2]))]
    found = guess_members(blocks, table, chance, improbable=1)
    assert (found.people, found.guessed) == (3, 2)
    assert "3" not in repr(found)
    alone = guess_members([(rows[:, [0, 1, 0]], np.array([7, 7, 7]))], table, chance, improbable=1)
    assert (alone.people, alone.guessed) == (1, 1)


def test_near_canaries_are_guessed_in_and_far_ones_out():
    table = prepare(codes((0, 0, 0, 0)), SIZES)
    canaries = codes(*[(0, 0, 0, 0)] * 2, *[(0, 0, 1, 1)] * 4, *[(3, 3, 3, 3)] * 2)
    included = np.array([True, True, False, True, False, True, False, True])
    found = guess_canaries(canaries, included, table)
    assert (found.canaries, found.guessed, found.correct) == (8, 4, 3)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_few_canaries_are_guessed_in_both_directions_or_not_at_all(count):
    table = prepare(codes((0, 0, 0, 0)), SIZES)
    found = guess_canaries(codes(*[(1, 1, 1, 1)] * count), np.ones(count, dtype=bool), table)
    assert found.guessed == 2 * (count // 4)
    assert found.correct == count // 4
