"""The compiled mixed distance against its definition: scales, categories, nulls, blocks, wide codes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.attacks import Layout, prepare
from dpsynth.attacks.kernel import BLOCK
from dpsynth.attacks.layout import UNIT, places
from dpsynth.attacks.mixed import mixed_distance, mixed_leave_one_out, prepare_mixed


def apart(a, b, size, bins):
    """Steps between two codes of one column, by the definition."""
    if a == b:
        return 0
    if bins <= 1 or a >= bins or b >= bins:
        return UNIT
    on_scale = [int(Fraction(UNIT * code, bins - 1) + Fraction(1, 2)) for code in (a, b)]
    if (bins - 1) % 2 == 0:  # halves are rounded down where the number of steps is even
        on_scale = [-int(-(Fraction(UNIT * code, bins - 1) - Fraction(1, 2)) // 1) for code in (a, b)]
    return abs(on_scale[0] - on_scale[1])


def plain(records, synthetic, layout, skip_self=False):
    found = []
    for i, row in enumerate(records.T.tolist()):
        others = [r for j, r in enumerate(synthetic.T.tolist()) if not (skip_self and i == j)]
        sums = [
            sum(apart(a, b, s, o) for a, b, s, o in zip(row, r, layout.sizes, layout.ordered, strict=True))
            for r in others
        ]
        found.append(min(sums, default=UNIT * layout.columns + 1))
    return found


@st.composite
def layouts(draw):
    sizes = draw(st.lists(st.integers(1, 6) | st.just(90) | st.just(2_000), min_size=1, max_size=5))
    ordered = [draw(st.sampled_from([0, size, max(0, size - 1), min(size, 2)])) for size in sizes]
    return Layout(sizes=tuple(sizes), ordered=tuple(ordered))


@given(layouts(), st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_mixed_distance_is_the_definition(layout, rows, synthetic_rows, seed):
    rng = np.random.default_rng(seed)
    records, synthetic = (
        np.stack([rng.integers(0, s, n) for s in layout.sizes]).astype(np.uint16) for n in (rows, synthetic_rows)
    )
    mixed = prepare_mixed(prepare(synthetic, layout.sizes), layout)
    assert mixed_distance(records, mixed).tolist() == plain(records, synthetic, layout)
    assert mixed_leave_one_out(mixed).tolist() == plain(synthetic, synthetic, layout, skip_self=True)


@pytest.mark.parametrize("rows", [BLOCK - 1, BLOCK + 1])
@pytest.mark.parametrize("wide", [7, 70_000])
def test_blocks_threads_and_wide_codes(rows, wide):
    layout = Layout(sizes=(wide, 90, 4), ordered=(0, 89, 4))
    rng = np.random.default_rng(rows)
    records, synthetic = (
        np.stack([rng.integers(0, s, n) for s in layout.sizes]).astype(np.uint32) for n in (600, rows)
    )
    found = mixed_distance(records, prepare_mixed(prepare(synthetic, layout.sizes), layout))
    some = np.arange(0, 600, 29)
    assert found[some].tolist() == plain(records[:, some], synthetic, layout)


def test_null_is_on_no_scale():
    layout = Layout(sizes=(4,), ordered=(3,))
    assert places(np.array([[0, 1, 2, 3]], dtype=np.uint8), layout).tolist() == [[0, UNIT // 2, UNIT, 2 * UNIT]]
    nulls = np.array([[3]], dtype=np.uint8)
    for code, distance in ((0, UNIT), (1, UNIT), (2, UNIT), (3, 0)):
        other = np.array([[code]], dtype=np.uint8)
        assert mixed_distance(nulls, prepare_mixed(prepare(other, (4,)), layout)).tolist() == [distance]
