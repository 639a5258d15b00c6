"""Coins: fresh per row, keyed per person, and the bound on rows."""

import hmac
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import ParameterError
from dpsynth.noise.coins import keep_at_most, keyed_coins, row_coins
from dpsynth.noise.random import SeededRandom

KEY = bytes(range(32))
PINNED_ROWS = "011010010110011001011010"
FIFTH = Fraction(1, 5)
IDS = st.lists(st.binary(max_size=6), unique=True, min_size=1, max_size=8)


@given(IDS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_a_keyed_coin_depends_on_its_own_id_only(ids, shuffler):
    coins = dict(zip(ids, keyed_coins(ids, key=KEY, share=Fraction(1, 2)).tolist(), strict=True))
    others = [*ids, b"somebody else"]
    shuffler.shuffle(others)
    again = dict(zip(others, keyed_coins(others, key=KEY, share=Fraction(1, 2)).tolist(), strict=True))
    assert coins == {i: again[i] for i in ids}


def test_keyed_coins_have_their_share_and_grow_with_it():
    ids = [str(i).encode() for i in range(20_000)]
    fifth, half = (keyed_coins(ids, key=KEY, share=share) for share in (FIFTH, Fraction(1, 2)))
    assert abs(fifth.mean() - 0.2) < 5 * (0.16 / 20_000) ** 0.5
    assert not (fifth & ~half).any()
    assert keyed_coins(ids, key=KEY, share=Fraction(1)).all()
    assert not keyed_coins(ids, key=KEY, share=Fraction(0)).any()


def test_keys_and_purposes_give_independent_coins():
    ids = [str(i).encode() for i in range(20_000)]
    half = Fraction(1, 2)
    base = keyed_coins(ids, key=KEY, share=half)
    for other in (
        keyed_coins(ids, key=bytes(32), share=half),
        keyed_coins(ids, key=KEY, share=half, purpose="reference"),
    ):
        assert abs((base ^ other).mean() - 0.5) < 5 * (0.25 / 20_000) ** 0.5


def test_keyed_coins_are_pinned():
    """A ledger's key keeps people on their side for ever: this pattern can't change within a version of the format."""
    coins = keyed_coins([str(i).encode() for i in range(24)], key=KEY, share=Fraction(1, 2))
    assert "".join("01"[int(c)] for c in coins) == "101111111010100011100110"


def test_row_coins_ends_of_the_range():
    random = SeededRandom(1)
    assert row_coins(5, share=Fraction(1), random=random).all()
    assert not row_coins(5, share=Fraction(0), random=random).any()
    assert row_coins(0, share=FIFTH, random=random).shape == (0,)


TABLES = st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6), min_size=1, max_size=5)


def table(people, order=None):
    """Rows of the people, in file order or in ``order``: units and codes."""
    rows = [(unit, row) for unit, rows in enumerate(people) for row in rows]
    rows = rows if order is None else [rows[i] for i in order]
    units = np.array([unit for unit, _ in rows], dtype=np.int64)
    return units, np.array([row for _, row in rows], dtype=np.uint8).reshape(-1, 2).T


def kept_rows(people, ids, max_rows, order=None, contents=True):
    """The kept rows of each person."""
    units, codes = table(people, order)
    keep = keep_at_most(units, ids, max_rows=max_rows, key=KEY, contents=codes if contents else None)
    return {i: sorted(map(tuple, codes[:, keep & (units == u)].T.tolist())) for u, i in enumerate(ids)}


@given(TABLES, st.integers(1, 3), st.data(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_bound_reads_a_person_alone(people, max_rows, data, contents):
    """Nobody keeps more than the bound or loses without need, and removing a person changes nobody else's rows."""
    ids = [f"p{i}".encode() for i in range(len(people))]
    kept = kept_rows(people, ids, max_rows, contents=contents)
    assert [len(kept[i]) for i in ids] == [min(max_rows, len(rows)) for rows in people]
    gone = data.draw(st.integers(0, len(people) - 1))
    fewer = kept_rows(people[:gone] + people[gone + 1 :], ids[:gone] + ids[gone + 1 :], max_rows, contents=contents)
    assert fewer == {i: rows for i, rows in kept.items() if i != ids[gone]}


DISTINCT = st.sampled_from([[0], [1], [0, 1]])


def apart_rows(people, ids, max_rows, places, order=None):
    """The kept rows of each person, which differ in the codes at these places."""
    units, codes = table(people, order)
    keep = keep_at_most(units, ids, max_rows=max_rows, key=KEY, contents=codes, distinct=codes[places])
    return {i: sorted(map(tuple, codes[:, keep & (units == u)].T.tolist())) for u, i in enumerate(ids)}


@given(TABLES, st.integers(1, 3), DISTINCT, st.data())
@settings(max_examples=100, deadline=None)
def test_no_two_kept_rows_of_a_person_are_alike_where_they_are_distinct(people, max_rows, places, data):
    """As many as can be are kept, whoever else there is and in whatever order the rows come."""
    ids = [f"p{i}".encode() for i in range(len(people))]
    kept = apart_rows(people, ids, max_rows, places)
    for identity, rows in zip(ids, people, strict=True):
        kinds = [tuple(row[i] for i in places) for row in kept[identity]]
        assert len(kinds) == len(set(kinds)) == min(max_rows, len({tuple(row[i] for i in places) for row in rows}))
    order = data.draw(st.permutations(range(sum(map(len, people)))))
    assert apart_rows(people, ids, max_rows, places, order) == kept
    gone = data.draw(st.integers(0, len(people) - 1))
    fewer = apart_rows(people[:gone] + people[gone + 1 :], ids[:gone] + ids[gone + 1 :], max_rows, places)
    assert fewer == {i: rows for i, rows in kept.items() if i != ids[gone]}


@pytest.mark.parametrize("max_rows", [1, 2, 3])
@pytest.mark.parametrize("places", [[0], [1], [0, 1]], ids=str)
def test_as_many_rows_are_kept_as_can_differ(max_rows, places):
    """Every person of up to four rows of two codes each."""
    rows = list(itertools.product((0, 1), repeat=2))
    people = [list(p) for many in range(5) for p in itertools.combinations_with_replacement(rows, many)]
    kept = apart_rows(people, [b"%d" % i for i in range(len(people))], max_rows, places)
    for found, had in zip(kept.values(), people, strict=True):
        kinds = {tuple(row[i] for i in places) for row in found}
        assert len(found) == len(kinds) == min(max_rows, len({tuple(row[i] for i in places) for row in had}))


@given(TABLES, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_rows_that_all_differ_are_chosen_as_without_a_declaration(people, max_rows):
    people = [sorted(set(rows)) for rows in people]
    ids = [f"p{i}".encode() for i in range(len(people))]
    assert apart_rows(people, ids, max_rows, [0, 1]) == kept_rows(people, ids, max_rows)


@given(TABLES, st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_with_contents_the_order_of_the_file_doesnt_matter(people, max_rows, data):
    ids = [f"p{i}".encode() for i in range(len(people))]
    order = data.draw(st.permutations(range(sum(map(len, people)))))
    assert kept_rows(people, ids, max_rows) == kept_rows(people, ids, max_rows, order)


def test_every_rank_is_kept_equally_often():
    """Over ids, each of 5 ranked rows stays with probability 2/5: the choice isn't the first rows of a person."""
    people = 4000
    units = np.repeat(np.arange(people), 5)
    keep = keep_at_most(units, [str(i).encode() for i in range(people)], max_rows=2, key=KEY)
    shares = keep.reshape(people, 5).mean(axis=0)
    assert np.abs(shares - 0.4).max() < 5 * (0.24 / people) ** 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: row_coins(3, share=Fraction(3, 2), random=SeededRandom(1)),
        lambda: keyed_coins([b"a"], key=KEY, share=Fraction(-1, 2)),
        lambda: keyed_coins([b"a"], key=b"short", share=FIFTH),
        lambda: keyed_coins([b"a"], key=KEY, share=FIFTH, purpose="a\0b"),
        lambda: keep_at_most(np.zeros(1, dtype=np.int64), [b"a"], max_rows=0, key=KEY),
        lambda: keep_at_most(np.zeros(1, dtype=np.int64), [b"a"], max_rows=1, key=b""),
    ],
)
def test_parameters_out_of_range_are_refused(call):
    with pytest.raises(ParameterError) as refusal:
        call()
    assert "short" not in str(refusal.value).split("key of")[0]


def test_one_row_of_a_person_can_be_kept():
    units = np.array([0, 0, 1, 0], dtype=np.int64)
    keep = keep_at_most(units, [b"a", b"b"], max_rows=1, key=KEY)
    assert keep[2]
    assert keep[units == 0].sum() == 1


def test_kept_rows_are_pinned():
    """Like the coins: which rows of a person stay can't change within a version of the format."""
    units = np.repeat(np.arange(6), 4)
    keep = keep_at_most(units, [str(i).encode() for i in range(6)], max_rows=2, key=KEY)
    assert "".join("01"[int(k)] for k in keep) == PINNED_ROWS
    expected = []
    for unit in range(6):
        values = [
            hmac.digest(KEY, b"dpsynth coin v1:rows\0" + rank.to_bytes(8, "big") + str(unit).encode(), "sha256")
            for rank in range(4)
        ]
        expected += [value in sorted(values)[:2] for value in values]
    assert keep.tolist() == expected


def test_a_coin_is_a_comparison_of_its_prf_value():
    ids = [str(i).encode() for i in range(200)]
    for share in (FIFTH, Fraction(1, 3), Fraction(1, 2**20)):
        values = [int.from_bytes(hmac.digest(KEY, b"dpsynth coin v1:holdout\0" + i, "sha256"), "big") for i in ids]
        expected = [Fraction(value, 2**256) < share for value in values]
        assert keyed_coins(ids, key=KEY, share=share).tolist() == expected


def test_a_key_of_32_bytes_is_enough_and_31_are_not():
    assert keyed_coins([b"a"], key=bytes(32), share=Fraction(1)).all()
    with pytest.raises(ParameterError, match="a key of 31 bytes"):
        keyed_coins([b"a"], key=bytes(31), share=Fraction(1))
