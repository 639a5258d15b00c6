"""Expected rows by chance: exact on tables that a tree describes, normalised, silent where there is nothing."""

import itertools

import numpy as np
import pytest

from dpsynth.attacks import improbable
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import occurs, prepare

SIZES = (2, 3, 2)
EVERY = np.array(list(itertools.product(*map(range, SIZES))), dtype=np.uint8).T.copy()


def chain(rows, seed):
    """Rows of a chain: the second column depends on the first, the third on the second."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2, rows)
    second = np.where(rng.random(rows) < 0.8, 2 * first, rng.integers(0, 3, rows))
    third = np.where(rng.random(rows) < 0.9, second % 2, rng.integers(0, 2, rows))
    return np.stack([first, second, third]).astype(np.uint8)


def test_the_expected_rows_of_all_cells_sum_to_the_table():
    for rows, seed in ((1, 0), (30, 1), (5_000, 2)):
        made = by_chance(prepare(chain(rows, seed), SIZES))
        assert made.expected(EVERY).sum() == pytest.approx(rows)


def test_many_rows_of_a_tree_are_expected_as_they_are():
    codes = chain(200_000, 3)
    table = prepare(codes, SIZES)
    chance = by_chance(table)
    cells = np.ravel_multi_index(tuple(codes.astype(np.int64)), SIZES)
    counts = np.bincount(cells, minlength=12)
    found = chance.expected(EVERY)
    assert (np.abs(found - counts) < 5.0 * np.sqrt(counts + 1.0)).all()
    links = {frozenset((column, parent)) for column, parent in enumerate(chance.parents) if parent >= 0}
    assert links == {frozenset((0, 1)), frozenset((1, 2))}


def test_repeated_rows_count_as_often_as_they_are_there():
    once, twice = chain(50, 4), np.repeat(chain(50, 4), 2, axis=1)
    found = [by_chance(prepare(codes, SIZES)) for codes in (once, twice)]
    assert found[0].parents == found[1].parents
    assert found[1].expected(EVERY).sum() == pytest.approx(2.0 * found[0].expected(EVERY).sum())


def test_no_row_no_column_of_two_codes_and_pairs_too_large(monkeypatch):
    empty = prepare(np.zeros((3, 0), dtype=np.uint8), SIZES)
    assert np.isfinite(by_chance(empty).expected(EVERY)).all()
    assert not occurs(EVERY, empty).any()
    single = prepare(np.zeros((1, 5), dtype=np.uint8), (1,))
    assert by_chance(single).expected(np.zeros((1, 1), dtype=np.uint8))[0] == pytest.approx(5.0)
    monkeypatch.setattr(improbable, "MOST_CELLS", 3)
    assert by_chance(prepare(chain(100, 5), SIZES)).parents == (-1, -1, -1)


def test_rows_occur_where_an_equal_one_is_there():
    table = prepare(EVERY[:, [0, 5, 5, 7]], SIZES)
    assert np.flatnonzero(occurs(EVERY, table)).tolist() == [0, 5, 7]
