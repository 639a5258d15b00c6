"""Counting through joints is counting each clique alone, for any table and any cliques; memory doesn't follow rows."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.sources import MemorySource, counting, streaming
from dpsynth.sources.cover import MOST_COLUMNS, joint_cover
from dpsynth.sources.streaming import StreamingSource


@st.composite
def tables(draw):
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 7, 40, 300]), min_size=1, max_size=6))
    domain = Domain(names=tuple(f"x{i}" for i in range(len(sizes))), sizes=tuple(sizes))
    rows = draw(st.sampled_from([0, 1, 2, 50, 3_000]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    codes = np.array([(rng.random(rows) ** 3 * s).astype(np.uint16) for s in sizes]).reshape(len(sizes), rows)
    every = [c for k in range(1, 4) for c in itertools.combinations(domain.names, k) if domain.cells(c) <= 100_000]
    return domain, codes, draw(st.lists(st.sampled_from(every), max_size=12))


def naive(domain, codes, clique):
    table = np.zeros(domain.shape(clique), dtype=np.int64)
    np.add.at(table, tuple(codes[domain.names.index(n)] for n in clique), 1)
    return table


@settings(deadline=None, max_examples=60)
@given(tables())
def test_counts_are_the_bits_of_naive_counting(table):
    domain, codes, cliques = table
    cut = codes.shape[1] // 3
    streamed = StreamingSource(domain, lambda: iter([(codes[:, :cut], None), (codes[:, cut:], None)]))
    for source in (MemorySource(domain, codes), streamed):
        found = list(source.counts(cliques))
        assert [q for q, _ in found] == cliques
        for clique, counted in found:
            expected = naive(domain, codes, clique)
            assert (counted.dtype, counted.shape) == (expected.dtype, expected.shape)
            assert counted.flags.c_contiguous
            assert counted.tobytes() == expected.tobytes()


@settings(deadline=None, max_examples=60)
@given(tables(), st.sampled_from([1, 64, 5_000, 65_536]))
def test_a_cover_holds_every_clique_once_within_its_limit(table, limit):
    domain, _, cliques = table
    joints = joint_cover(domain, cliques, limit=limit)
    assert sorted(q for j in joints for q in j.asked) == sorted(set(cliques))
    for joint in joints:
        assert joint.cells == domain.cells(joint.clique)
        assert joint.clique == domain.clique(joint.clique)
        assert all(set(q) <= set(joint.clique) for q in joint.asked)
        assert joint.cells <= limit or joint.clique in joint.asked


def test_fewer_joints_than_pairs():
    domain = Domain(names=tuple("abcdefghij"), sizes=(4,) * 10)
    assert len(joint_cover(domain, list(itertools.combinations(domain.names, 2)))) <= 4


def test_a_clique_wider_than_any_grown_joint_is_a_joint_of_its_own():
    domain = Domain(names=tuple(f"x{i:02}" for i in range(24)), sizes=(1, 2) * 12)
    wide = domain.names[:18]
    cliques = [*itertools.combinations(domain.names, 2), wide]
    joints = joint_cover(domain, cliques)
    assert wide in [j.clique for j in joints]
    assert all(set(q) <= set(j.clique) for j in joints for q in j.asked)
    assert sorted(q for j in joints for q in j.asked) == sorted(cliques)
    assert max(len(j.clique) for j in joints if j.clique != wide) == MOST_COLUMNS
    codes = (np.random.default_rng(0).random((24, 200)) * np.array(domain.sizes)[:, None]).astype(np.uint8)
    for clique, table in MemorySource(domain, codes).counts(cliques):
        np.testing.assert_array_equal(table, naive(domain, codes, clique))


def test_fewer_joints_than_triples():
    domain = Domain(names=tuple(f"x{i:02}" for i in range(16)), sizes=(10,) * 16)
    triples = list(itertools.combinations(domain.names, 3))
    assert len(joint_cover(domain, triples)) < len(triples) / 3


def test_large_marginals_are_counted_in_wide_codes():
    domain = Domain(names=("a", "b"), sizes=(400, 500))
    codes = np.array([[399, 0, 399], [499, 0, 499]], dtype=np.uint16)
    ((_, table),) = MemorySource(domain, codes).counts([("a", "b")])
    assert (table[399, 499], table[0, 0], table.sum()) == (2, 1, 3)


@pytest.mark.parametrize("rows", [262_143, 262_144])
@pytest.mark.parametrize("sizes", [(1, 65_536), (65_536, 1), (256, 256)])
def test_65536_codes_are_counted_whatever_the_number_of_rows(sizes, rows):
    domain = Domain(names=("a", "b"), sizes=sizes)
    codes = np.zeros((2, rows), dtype=np.uint16)
    codes[:, 1:] = (np.array(sizes) - 1).astype(np.uint16)[:, None]
    for clique, table in MemorySource(domain, codes).counts([("a",), ("b",), ("a", "b")]):
        assert table.sum() == rows
        assert table.ravel()[-1] == rows - (domain.cells(clique) > 1)


def test_the_joints_of_a_table_in_memory_are_public(monkeypatch):
    asked = []

    def cover(domain, cliques, **limit):
        asked.append(limit)
        return joint_cover(domain, cliques, **limit)

    monkeypatch.setattr(counting, "joint_cover", cover)
    domain = Domain(names=("a", "b", "c"), sizes=(9, 9, 9))
    for rows in (0, 1, 5_000):
        list(MemorySource(domain, np.zeros((3, rows), dtype=np.uint8)).counts([("a", "b"), ("b", "c")]))
    assert asked == [{}] * 3


def test_many_cells_take_several_passes(monkeypatch):
    monkeypatch.setattr(streaming, "PASS_CELLS", 70_000)
    domain = Domain(names=("a", "b", "c", "d"), sizes=(250, 250, 250, 250))
    codes = np.random.default_rng(0).integers(0, 250, (4, 500)).astype(np.uint8)
    passes = []

    def blocks():
        passes.append(1)
        yield codes, None

    pairs = list(itertools.combinations(domain.names, 2))
    for clique, table in StreamingSource(domain, blocks).counts(pairs):
        np.testing.assert_array_equal(table, naive(domain, codes, clique))
    assert len(passes) == 6


def test_a_marginal_that_was_counted_takes_no_other_pass(monkeypatch):
    domain = Domain(names=("a", "b"), sizes=(3, 4))
    codes = np.random.default_rng(0).integers(0, 3, (2, 90)).astype(np.uint8)
    passes = []

    def blocks():
        passes.append(1)
        yield codes, None

    source = StreamingSource(domain, blocks)
    ((_, first),) = source.counts([("a",)])
    first += 99
    asked = [("a",), ("a", "b"), ("a",)]
    for clique, table in source.counts(asked):
        np.testing.assert_array_equal(table, naive(domain, codes, clique))
    assert len(list(source.counts(asked))) == 3
    assert len(passes) == 2
    monkeypatch.setattr(streaming, "REMEMBERED_CELLS", 12)
    little = StreamingSource(domain, blocks)
    for _ in range(2):
        list(little.counts([("a", "b"), ("a",)]))
    assert len(passes) == 4


@pytest.mark.parametrize("units", [None, np.zeros(3, dtype=np.int64)])
def test_blocks_must_agree_on_who_is_a_unit(units):
    domain = Domain(names=("a",), sizes=(2,))
    codes = np.zeros((1, 3), dtype=np.uint8)
    other = np.arange(3) if units is None else None
    source = StreamingSource(domain, lambda: iter([(codes, units), (codes, other)]), max_rows=9)
    with pytest.raises(ValueError, match="unit"):
        list(source.counts([("a",)]))


def test_a_stream_counts_units_over_blocks():
    domain = Domain(names=("a",), sizes=(2,))
    block = (np.zeros((1, 2), dtype=np.uint8), np.array([0, 1]))
    assert len(list(StreamingSource(domain, lambda: iter([block, block]), max_rows=2).blocks())) == 2
    with pytest.raises(ValueError, match="max_rows"):
        list(StreamingSource(domain, lambda: iter([block, block]), max_rows=1).blocks())


def test_units_of_a_stream_take_no_array_of_their_largest_identifier():
    domain = Domain(names=("a",), sizes=(2,))
    block = (np.zeros((1, 2), dtype=np.uint8), np.array([2**60, -1]))
    source = StreamingSource(domain, lambda: iter([block, block]), max_rows=2)
    ((_, table),) = source.counts([("a",)])
    assert table.tolist() == [4, 0]


def test_finished_tables_wait_for_their_reader_a_few_at_a_time():
    """Pairs of different sizes, asked smallest first: what was counted ahead of its turn is no more than a few."""
    domain = Domain(names=tuple("abcdefgh"), sizes=tuple(range(300, 380, 10)))
    source = MemorySource(domain, np.zeros((8, 150_000), dtype=np.uint16))
    pairs = list(itertools.combinations(domain.names, 2))
    tracemalloc.start()
    seen = sum(int(table.sum()) for _, table in source.counts(pairs))
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 150_000 * len(pairs)
    assert highest < sum(map(domain.cells, pairs)) * 8 / 2


def test_memory_of_a_stream_does_not_follow_its_rows():
    domain = Domain(names=("a", "b", "c"), sizes=(9, 9, 9))
    codes = np.random.default_rng(0).integers(0, 9, (3, 10_000)).astype(np.uint8)
    pairs = list(itertools.combinations(domain.names, 2))

    def peak(blocks):
        tracemalloc.start()
        list(StreamingSource(domain, lambda: ((codes, None) for _ in range(blocks)), threads=1).counts(pairs))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1)
    assert peak(100) <= 1.2 * peak(4)
