"""One contract suite for every MarginalSource and RowSource."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpsynth.domain import Domain
from dpsynth.sources import MemorySource
from dpsynth.sources.streaming import StreamingSource, stream_parquet

DOMAIN = Domain(names=("a", "b", "c"), sizes=(3, 2, 300))


def records(rows, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, s, rows) for s in DOMAIN.sizes]).astype(np.uint16)


def memory(folder, codes, **kw):
    return MemorySource(DOMAIN, codes, **kw)


def memory_of_one_thread(folder, codes, **kw):
    return MemorySource(DOMAIN, codes, threads=1, **kw)


def streaming(folder, codes, *, units=None, block=777, **kw):
    def blocks():
        for start in range(0, codes.shape[1], block):
            owners = None if units is None else units[start : start + block]
            yield codes[:, start : start + block], owners

    return StreamingSource(DOMAIN, blocks, **kw)


def streaming_of_large_blocks(folder, codes, **kw):
    return streaming(folder, codes, block=2**20, **kw)


def parquet(folder, codes, *, units=None, **kw):
    columns = dict(zip(DOMAIN.names, codes, strict=True)) | ({} if units is None else {"unit": units})
    path = folder / f"{codes.shape[1]}.parquet"
    pq.write_table(pa.table(columns), path)
    return stream_parquet(path, DOMAIN, units=None if units is None else "unit", block_rows=1_000, **kw)


SOURCES = (memory, memory_of_one_thread, streaming, streaming_of_large_blocks, parquet)
ALL = [c for k in (1, 2, 3) for c in itertools.combinations(DOMAIN.names, k)]


@pytest.fixture(params=SOURCES, ids=lambda source: source.__name__)
def make(request, tmp_path):
    return lambda codes, **kw: request.param(tmp_path, codes, **kw)


@pytest.mark.parametrize("rows", [0, 1, 5, 300_000])
def test_counts_in_the_order_asked_int64_c_order_and_right(make, rows):
    codes = records(rows)
    order = [("c",), ("a", "b"), ("a",), ("a", "b", "c"), ("a",)]
    got = list(make(codes).counts(order))
    assert [c for c, _ in got] == order
    for clique, table in got:
        naive = np.zeros(DOMAIN.shape(clique), dtype=np.int64)
        np.add.at(naive, tuple(codes[DOMAIN.names.index(n)] for n in clique), 1)
        assert table.dtype == np.int64
        assert table.flags.c_contiguous
        np.testing.assert_array_equal(table, naive)


def test_one_more_record_changes_exactly_one_cell_of_each_by_one(make):
    codes = records(50)
    for (_, more), (_, less) in zip(make(codes).counts(ALL), make(codes[:, :-1]).counts(ALL), strict=True):
        change = more - less
        assert np.abs(change).sum() == 1
        assert change.max() == 1


def test_blocks_hold_every_row_once_with_its_unit(make):
    codes = records(1_000)
    units = np.arange(1_000) // 2
    blocks = list(make(codes, units=units, max_rows=2).blocks(rows=300))
    np.testing.assert_array_equal(np.concatenate([b for b, _ in blocks], axis=1), codes)
    np.testing.assert_array_equal(np.concatenate([u for _, u in blocks]), units)
    assert max(b.shape[1] for b, _ in blocks) <= 300


def test_restrict_keeps_rows_and_numbers_units_from_zero():
    source = MemorySource(DOMAIN, records(6), units=np.array([0, 0, 1, 2, 2, 3]), max_rows=2)
    kept = source.restrict(np.array([True, True, False, False, False, True]))
    ((codes, units),) = kept.blocks()
    np.testing.assert_array_equal(units, [0, 0, 1])
    np.testing.assert_array_equal(codes, records(6)[:, [0, 1, 5]])


def test_bounds_are_enforced_not_assumed(make):
    with pytest.raises(ValueError, match="max_rows"):
        list(make(records(3), units=np.array([0, 0, 1]), max_rows=1).counts([("a",)]))
    bad = records(3)
    bad[1, 0] = 2
    with pytest.raises(ValueError, match="outside"):
        list(make(bad).counts([("a",)]))


def test_a_table_asked_for_twice_is_two_tables(make):
    (_, first), (_, second) = make(records(40)).counts([("a",), ("a",)])
    first += 1
    assert (first != second).all()


def test_the_repr_holds_no_count(make):
    assert "437" not in repr(make(records(437)))
