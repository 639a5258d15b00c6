"""The compiled nearest neighbour against the plain definition, and its edges."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import kernel as kernel_module
from dpsynth.attacks import leave_one_out, nearness, prepare
from dpsynth.attacks.kernel import BLOCK
from dpsynth.attacks.nearest import sample_of


def plain(records, synthetic, skip_self=False):
    """Distance and isolation by the definition."""
    columns = records.shape[0]
    distance, isolation = [], []
    for i, row in enumerate(records.T):
        others = synthetic.T[[j for j in range(synthetic.shape[1]) if not (skip_self and j == i)]]
        apart = (others != row).sum(axis=1)
        nearest = min(apart, default=columns + 1)
        different = min(apart[apart > 0], default=columns + 1)
        distance.append(nearest)
        isolation.append(different if nearest == 0 or skip_self else 0)
    return np.array(distance, dtype=np.int64), np.array(isolation, dtype=np.int64)


@st.composite
def two_tables(draw):
    sizes = draw(st.lists(st.integers(1, 4) | st.just(300), min_size=1, max_size=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(0, 25)), draw(st.integers(0, 25))
    return sizes, *(np.stack([rng.integers(0, s, n) for s in sizes]).astype(np.uint16) for n in rows)


@given(two_tables())
def test_nearness_is_the_definition(tables):
    sizes, records, synthetic = tables
    found = nearness(records, prepare(synthetic, sizes))
    distance, isolation = plain(records, synthetic)
    assert (found.distance == distance).all()
    assert (found.isolation == isolation).all()


@given(two_tables())
def test_leave_one_out_is_the_definition(tables):
    sizes, _, synthetic = tables
    found = leave_one_out(prepare(synthetic, sizes))
    distance, isolation = plain(synthetic, synthetic, skip_self=True)
    assert (found.distance == distance).all()
    assert (found.isolation == isolation).all()


@pytest.mark.parametrize(("columns", "size"), [(3, 255), (3, 256), (3, 70_000), (40, 1000), (300, 2), (1, 1)])
@pytest.mark.parametrize("rows", [BLOCK - 1, BLOCK, BLOCK + 1])
def test_dtypes_blocks_and_long_keys(columns, size, rows):
    """Counters of every width, tables at a block's edge, keys that pass 64 bits."""
    rng = np.random.default_rng(columns * size + rows)
    synthetic = rng.integers(0, size, (columns, rows)).astype(np.uint32)
    records = np.concatenate([rng.integers(0, size, (columns, 8)), synthetic[:, -8:]], axis=1).astype(np.uint32)
    found = nearness(records, prepare(synthetic, [size] * columns))
    distance, isolation = plain(records, synthetic)
    assert (found.distance == distance).all()
    assert (found.isolation == isolation).all()


def test_tables_equal_to_themselves_constant_and_empty():
    same = np.array([[0, 1, 1], [2, 0, 0]], dtype=np.uint8)
    assert nearness(same, prepare(same, (2, 3))).distance.tolist() == [0, 0, 0]
    constant = np.zeros((4, 10), dtype=np.uint8)
    assert nearness(constant, prepare(constant, (1, 1, 1, 1))).isolation.tolist() == [5] * 10
    empty = np.zeros((4, 0), dtype=np.uint8)
    assert nearness(constant, prepare(empty, (1, 1, 1, 1))).distance.tolist() == [5] * 10
    assert nearness(empty, prepare(constant, (1, 1, 1, 1))).distance.size == 0
    assert leave_one_out(prepare(empty, (1, 1, 1, 1))).distance.size == 0


def test_leave_one_out_samples_evenly():
    synthetic = np.arange(9000, dtype=np.uint16)[None, :]
    assert leave_one_out(prepare(synthetic, (9000,))).distance.tolist() == [1] * 5000
    assert sample_of(9000, 3).tolist() == [0, 3000, 6000]
    assert sample_of(2, 3).tolist() == [0, 1]
    assert sample_of(0).size == 0


def test_leave_one_out_of_chosen_rows():
    synthetic = np.array([[0, 0, 1, 2], [0, 0, 1, 2]], dtype=np.uint8)
    found = leave_one_out(prepare(synthetic, (3, 3)), np.array([3, 0, 1]))
    assert (found.distance.tolist(), found.isolation.tolist()) == ([2, 0, 0], [2, 2, 2])


@pytest.mark.parametrize("failure", [RuntimeError("no locator"), OSError(28, "No space left"), EOFError()])
def test_a_cache_that_cannot_be_used_costs_only_time(monkeypatch, failure):
    asked = []

    def njit(signature, **options):
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise failure
        return lambda function: function

    monkeypatch.setattr(kernel_module.numba, "njit", njit)
    assert kernel_module.kernel.__wrapped__("uint8") is kernel_module._scan
    assert asked == [True, False]


def test_importing_the_package_loads_no_compiler():
    code = "import sys, dpsynth, dpsynth.attacks, dpsynth.gate; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_repr_shows_no_number():
    assert repr(nearness(np.zeros((1, 3), np.uint8), prepare(np.zeros((1, 1), np.uint8), (1,)))) == (
        "Nearness(<private>)"
    )
