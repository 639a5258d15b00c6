"""Guesses of membership: isolated copies, one a person; canaries by their distance."""

import numpy as np
import pytest

from dpsynth.attacks.guessing import ISOLATION, guess_canaries, guess_members
from dpsynth.attacks.nearest import prepare

SIZES = (4, 4, 4, 4)


def codes(*rows):
    return np.array(rows, dtype=np.uint8).reshape(-1, 4).T.copy()


def counted(rows, units, table, **how):
    found = guess_members([(codes(*rows), np.array(units, dtype=np.int64))], prepare(codes(*table), SIZES), **how)
    return found.people, found.guessed


def test_a_copy_that_stands_alone_is_guessed_and_nothing_else_is():
    table = [(0, 0, 0, 0), (0, 0, 0, 1), (3, 3, 3, 3), (3, 3, 3, 3)]
    assert ISOLATION == 3
    assert counted([(3, 3, 3, 3)], [0], table) == (1, 1)
    assert counted([(0, 0, 0, 0), (1, 1, 1, 1)], [0, 1], table) == (2, 0)
    assert counted([(0, 0, 0, 0)], [0], table, isolation=1) == (1, 1)
    assert counted([], [], table) == (0, 0)


def test_a_person_is_guessed_once_whatever_their_rows_and_blocks():
    table = prepare(codes((3, 3, 3, 3), (0, 1, 2, 0)), SIZES)
    rows = codes((3, 3, 3, 3), (0, 1, 2, 0), (1, 1, 1, 1))
    blocks = [(rows, np.array([0, 0, 1])), (rows, np.array([0, 1, 2]))]
    found = guess_members(blocks, table)
    assert (found.people, found.guessed) == (3, 2)
    assert "3" not in repr(found)
    alone = guess_members([(rows[:, [0, 1, 0]], np.array([7, 7, 7]))], table)
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
