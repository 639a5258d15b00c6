"""What a source enforces of a person's rows, and what becomes of it where codes or people are taken apart."""

import numpy as np
import pytest

from accountant.adjacency import Adjacency
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.sources import MemorySource
from dpsynth.sources.bounding import combinations_of, marginal_sensitivity, rows_in_one_cell, units_that_repeat
from dpsynth.sources.streaming import StreamingSource

DOMAIN = Domain.of({"month": 12, "ward": 2, "x": 5})
CODES = np.array([[0, 1, 0, 3], [0, 0, 1, 1], [4, 4, 4, 4]], dtype=np.uint8)
UNITS = np.array([0, 0, 1, 1])


def source(**changes):
    return MemorySource(DOMAIN, CODES, **{"units": UNITS, "max_rows": 4, "distinct": ("month",)} | changes)


def test_sensitivities_of_cliques():
    both = source(distinct=("ward", "month"))
    assert both.distinct == ("month", "ward")
    assert marginal_sensitivity(both, ("month", "ward", "x")) == 2.0
    assert marginal_sensitivity(both, ("month", "x")) == pytest.approx(8**0.5)  # two wards: two rows in a cell, twice
    assert marginal_sensitivity(both, ("ward",)) == marginal_sensitivity(both, ("x",)) == 4.0  # of twelve months
    assert marginal_sensitivity(both, ("month",), Adjacency.REPLACE_ONE) == pytest.approx(4.0)
    assert marginal_sensitivity(source(), ("month",)) == 2.0
    assert marginal_sensitivity(source(distinct=()), ("month", "ward", "x")) == 4.0
    assert marginal_sensitivity(source(distinct=("ward",), max_rows=3, units=np.arange(4)), ("x",)) == pytest.approx(
        5**0.5  # two wards: at most two of three rows in one cell
    )


def test_rows_in_one_cell():
    assert rows_in_one_cell(DOMAIN, (), ("x",)) is None
    assert rows_in_one_cell(DOMAIN, ("month",), ("x",)) == 12
    assert rows_in_one_cell(DOMAIN, ("month", "ward"), ("ward", "x")) == 12
    assert rows_in_one_cell(DOMAIN, ("month", "ward"), ("month", "ward")) == 1


def test_a_source_checks_that_rows_differ():
    alike = CODES.copy()
    alike[0, 1] = 0
    for distinct in (("month",), ("month", "ward"), ("month", "ward", "x")):
        with pytest.raises(ValueError, match="distinct"):
            MemorySource(DOMAIN, alike, units=UNITS, max_rows=4, distinct=distinct)
    MemorySource(DOMAIN, alike, units=np.arange(4), distinct=("month",))
    MemorySource(DOMAIN, alike[:, :0], units=UNITS[:0], distinct=("month",))
    with pytest.raises((ParameterError, ValueError)):
        source(distinct=("nothing",))


def test_a_side_keeps_what_was_enforced():
    side = source().restrict(np.array([True, True, False, False]))
    assert (side.distinct, side.max_rows) == (("month",), 4)
    assert marginal_sensitivity(side, ("month", "x")) == 2.0


def test_codes_that_may_fall_together_are_no_longer_distinct():
    """Months become quarters: of two rows in one quarter nothing refuses, and nothing is promised."""
    quarters = Domain.of({"month": 4, "ward": 2, "x": 5})
    merged = source().recode(quarters, {"month": np.arange(12) // 3})
    assert merged.distinct == ()
    assert marginal_sensitivity(merged, ("month",)) == 4.0
    other = Domain.of({"month": 12, "ward": 2, "x": 1})
    kept = source().recode(other, {"x": np.zeros(5, dtype=np.int64)})
    assert kept.distinct == ("month",)
    assert marginal_sensitivity(kept, ("month", "x")) == 2.0


def test_a_stream_enforces_nothing_but_the_number_of_rows():
    stream = StreamingSource(DOMAIN, lambda: iter([(CODES, UNITS)]), max_rows=4)
    assert stream.distinct == ()
    assert marginal_sensitivity(stream, ("month", "ward", "x")) == 4.0


def test_combinations_are_equal_where_all_codes_are():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (3, 200)).astype(np.uint16)
    numbers = combinations_of(codes)
    alike = (codes[:, :, None] == codes[:, None, :]).all(axis=0)
    assert ((numbers[:, None] == numbers[None]) == alike).all()
    assert len(combinations_of(codes[:, :0])) == 0
    wide = np.array([[0, 2**31 - 1, 2**31 - 1, 0]] * 4, dtype=np.uint32)
    assert combinations_of(wide).tolist() == [0, 1, 1, 0]


def test_units_that_repeat_a_combination():
    units, kinds = np.array([0, 1, 1, 2, 2, 2, 3]), np.array([5, 5, 5, 5, 6, 6, 5])
    assert units_that_repeat(units, kinds).tolist() == [1, 2]
    assert units_that_repeat(units[:0], kinds[:0]).tolist() == []
