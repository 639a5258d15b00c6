"""Learned encodings: fine cells, merges and their way back, derived columns."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.encode import Encoder
from dpsynth.encode.fine import fine_cuts
from dpsynth.encode.histograms import (
    FEWEST_BINS,
    MOST_BINS,
    Histogram,
    bins_for,
    block_starts,
    merge_cells,
    merge_labels,
    smooth,
)
from dpsynth.encode.merge import Merge
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.schema import Integer, Real, parse_schema
from dpsynth.tables import open_table


@pytest.mark.parametrize(
    "column",
    [
        Integer(bounds=(0, 99)),
        Integer(bounds=(-7, 9_999)),
        Integer(bounds=(-(2**53), 2**53)),
        Integer(bounds=(1, 50), scale="log"),
        Real(bounds=(0, 5)),
        Real(bounds=(70, 220), resolution=0.1),
        Real(bounds=(-19_998, 4_209_995)),
        Real(bounds=(1e-9, 3e-9)),
        Real(bounds=(-5e-3, -1e-3), scale="log"),
    ],
)
def test_fine_cells_lie_within_the_bounds_and_are_many_but_not_too_many(column):
    cuts = fine_cuts(column)
    assert (np.diff(cuts) > 0).all()
    assert column.bounds[0] < cuts[0]
    assert cuts[-1] <= column.bounds[1]
    assert 40 <= len(cuts) + 1 <= 6_000


def test_round_numbers_and_both_bounds_have_cells_of_their_own():
    cuts = fine_cuts(Integer(bounds=(-9_000, 1_327_000))).tolist()
    for value in (-9_000, 0, 7, 30_000, 65_000, -1_200, 1_300_000):
        assert value == -9_000 or value in cuts
        assert value + 1 in cuts
    assert 1_327_000 in cuts


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 10)), min_size=1, max_size=30),
    st.integers(0, 200),
    st.integers(0, 2**32 - 1),
)
def test_splitting_gives_each_code_its_own_cells_in_their_shares(cells, rows, seed):
    _, groups = np.unique([g for g, _ in cells], return_inverse=True)
    merge = Merge(groups=groups.astype(np.int64), weights=np.array([w for _, w in cells]))
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, merge.size, rows)
    fine = merge.split(codes, rng)
    assert (merge.groups[fine] == codes).all()
    whole = np.bincount(groups, merge.weights)
    weights = np.where(whole[groups] > 0, merge.weights, 1.0)
    expected = np.bincount(codes, minlength=merge.size)[groups] * weights / np.bincount(groups, weights)[groups]
    assert (np.abs(np.bincount(fine, minlength=len(groups)) - expected) < 2.0 + 1e-6).all()


def test_what_is_split_is_independent_of_the_order_of_the_rows():
    """Within a code, which row gets which cell is a fresh random order: neighbours in the table aren't alike."""
    merge = Merge(groups=np.zeros(2, np.int64), weights=np.ones(2))
    fine = merge.split(np.zeros(20_000, np.int64), np.random.default_rng(0))
    assert abs(float(np.mean(fine[:-1] == fine[1:])) - 0.5) < 0.02
    assert fine.sum() == 10_000


@pytest.mark.parametrize(
    ("groups", "weights"), [([0, 2], [1, 1]), ([], []), ([0, 1], [1, -1]), ([0, 1], [1, np.nan]), ([0], [1, 1])]
)
def test_a_merge_that_makes_no_sense_is_refused(groups, weights):
    with pytest.raises(ParameterError):
        Merge(groups=np.array(groups, np.int64), weights=np.array(weights, np.float64))


def histogram(counts, sigma=2.0, seed=0):
    """A histogram with real noise of ``sigma``, drawn here for the test."""
    rng, starts = np.random.default_rng(seed), block_starts(len(counts))
    noisy = np.rint(counts + rng.normal(0, sigma, len(counts))).astype(np.int64)
    blocks = np.rint(np.add.reduceat(counts, starts) + rng.normal(0, sigma, len(starts))).astype(np.int64)
    return Histogram(cells=noisy, sigma=sigma, blocks=blocks, block_sigma=sigma, starts=starts)


def test_a_spike_is_alone_and_the_rest_has_bins_of_equal_mass():
    counts = np.full(100, 10)
    counts[40] = 3_000
    merge = merge_cells(histogram(counts), np.ones(100), bins=12, apart=1)
    assert (merge.groups == merge.groups[40]).sum() == 1
    assert merge.size == 13
    assert merge.groups[100] == 12
    masses = np.bincount(merge.groups[:100], counts)
    rest = np.delete(masses, merge.groups[40])
    assert rest.max() < 2.2 * rest.min()


def test_a_histogram_is_smoothed_where_noise_hides_it_and_kept_where_not():
    counts = np.concatenate([np.full(50, 20), np.full(50, 5)])
    counts[70] = 400
    found = smooth(histogram(counts, sigma=15.0), np.ones(100))
    assert (found >= 0).all()
    assert found[70] == pytest.approx(400, abs=60)
    assert np.abs(np.delete(found - counts, 70)).mean() < 5.0  # the noise itself would be 12
    exact = smooth(histogram(counts, sigma=0.2), np.ones(100))
    assert np.abs(exact - counts).max() < 2.0


def test_cuts_of_rules_begin_bins():
    merge = merge_cells(histogram(np.full(100, 10)), np.ones(100), bins=4, cuts=(15, 16, 90), apart=0)
    for cut in (15, 16, 90):
        assert not set(merge.groups[:cut]) & set(merge.groups[cut:])
    assert merge.size <= 7


def test_cuts_where_nobody_is_leave_no_bins_over_to_others():
    """Sixteen spikes, runs of equal cells, and twenty cuts in an empty tail: no more codes than the plan foresaw."""
    counts = np.concatenate([np.full(16, 1_000), np.full(23, 100), np.zeros(41)]).astype(np.int64)
    found, cuts = Histogram(cells=counts, sigma=1.0), tuple(range(45, 65))
    assert merge_cells(found, np.ones(80), bins=MOST_BINS, cuts=cuts, apart=1).size <= MOST_BINS + 20 + 1


@given(
    st.lists(st.sampled_from([0, 0, 1, 5, 40, 1_000]), min_size=2, max_size=120),
    st.integers(FEWEST_BINS, MOST_BINS),
    st.data(),
    st.booleans(),
)
def test_no_histogram_makes_more_codes_than_bins_and_cuts(counts, bins, data, nullable):
    cuts = data.draw(st.sets(st.integers(1, len(counts) - 1)))
    found = Histogram(cells=np.array(counts, np.int64), sigma=1.0)
    merge = merge_cells(found, np.ones(len(counts)), bins=bins, cuts=sorted(cuts), apart=int(nullable))
    assert merge.size <= bins + len(cuts) + nullable
    for cut in cuts:
        assert not set(merge.groups[:cut]) & set(merge.groups[cut : len(counts)])


def test_rare_labels_share_a_code_within_their_declared_group():
    counts = np.array([500, 3, 1, 2, 400, 0])
    found = Histogram(cells=counts, sigma=10.0)
    merge = merge_labels(found, np.array([0, 0, 0, 1, 1, 1]), apart=1)
    assert merge.groups.tolist() == [0, 1, 1, 2, 3, 2, 4]
    assert merge_labels(found, None, apart=0).groups.tolist() == [0, 1, 1, 1, 2, 1]
    assert (merge.weights > 0).all()


def test_more_rows_or_less_noise_make_more_bins():
    assert bins_for(100, 1_000) == FEWEST_BINS
    assert bins_for(1e9, 1) == MOST_BINS
    assert FEWEST_BINS < bins_for(27_000, 4.2) < MOST_BINS


LEARNED = """
name: t
encoding: {share: 0.1, keep: [kept]}
columns:
  hours: {kind: integer, bounds: [0, 99]}
  income: {kind: real, bounds: [-9000, 1327000], nullable: true, resolution: 1}
  kept: {kind: integer, bounds: [0, 99]}
  binned: {kind: integer, bounds: [0, 99], bins: 5}
  few: {kind: integer, bounds: [0, 9]}
  yes: {kind: boolean}
"""


def test_what_is_learned_is_what_isnt_declared_and_has_many_values():
    encoder = Encoder.of(parse_schema(LEARNED))
    assert encoder.learned == ("hours", "income")
    assert encoder.largest_domain.sizes == (32, 33, 100, 5, 10, 2)
    assert Encoder.of(parse_schema(LEARNED.replace("encoding:", "title: a, b\n# "))).learned == ()


def test_spikes_and_round_numbers_keep_their_shape():
    """Noise of the size that this table would get at epsilon 1; decoding never spreads the spike."""
    rng, n = np.random.default_rng(1), 30_000
    hours = np.where(rng.random(n) < 0.47, 40, rng.integers(0, 99, n))
    income = np.where(rng.random(n) < 0.2, 50_000.0, rng.lognormal(10, 1, n).round())
    income[rng.random(n) < 0.2] = 0.0
    declared = parse_schema(LEARNED)
    encoder = Encoder.of(declared)
    table = pa.table({"hours": hours, "income": income, **dict.fromkeys(("kept", "binned", "few"), hours % 10),
                      "yes": hours > 40})
    codes = encoder.encode_arrow(table)
    found = {}
    for name in encoder.learned:
        at = encoder.domain.names.index(name)
        cells = encoder.domain.sizes[at] - (name == "income")
        found[name] = histogram(np.bincount(codes[at], minlength=cells)[:cells], sigma=40.0)
    made = encoder.merge(found, bins=20)
    back = made.decode(made.encode_arrow(table), np.random.default_rng(2))
    assert np.mean(back["hours"].to_numpy() == 40) == pytest.approx(0.475, abs=0.01)
    assert np.mean(back["income"].to_numpy() == 0) == pytest.approx(0.2, abs=0.01)
    assert np.mean(back["income"].to_numpy() == 50_000) == pytest.approx(0.16, abs=0.01)
    assert np.median(back["income"].to_numpy()) == pytest.approx(np.median(income), rel=0.1)
    assert (made.encode_arrow(back) == made.encode_arrow(table)).all()


def test_merges_that_dont_fit_are_refused():
    encoder = Encoder.of(parse_schema(LEARNED))
    with pytest.raises(ParameterError):
        encoder.merged({})
    with pytest.raises(ParameterError):
        encoder.merged({n: Merge(groups=np.zeros(3, np.int64), weights=np.ones(3)) for n in encoder.learned})


DERIVED = """
name: t
columns:
  density: {kind: real, bounds: [0, 60000], nullable: true, derived_from: {column: area, values: {01: 16.3, no: ~}}}
  area: {kind: categorical, categories: [01, no], nullable: true}
  group: {kind: categorical, categories: [no, B], nullable: true, derived_from: {column: area, values: {01: B, no: no}}}
  level: {kind: integer, bounds: [0, 9], nullable: true, derived_from: {column: area, values: {01: 3, no: 4}}}
"""


def test_derived_columns_are_computed_and_never_read():
    encoder = Encoder.of(parse_schema(DERIVED))
    assert encoder.domain.names == ("area",)
    made = encoder.decode(np.array([[0, 1, 2]], np.uint8), np.random.default_rng(0))
    assert made.to_pydict() == {
        "density": [16.3, None, None], "area": ["01", "no", None], "group": ["B", "no", None], "level": [3, 4, None]
    }
    assert encoder.encode({"area": pa.array(["no"])}).tolist() == [[1]]


@pytest.mark.parametrize(
    ("stored", "values", "kept"),
    [
        (pa.int64(), "{01: 16.3, no: ~}", False),
        (pa.decimal128(9, 0), "{01: 16.3, no: ~}", False),
        (pa.decimal128(9, 1), "{01: 16.3, no: ~}", True),
        (pa.float32(), "{01: 16.5, no: ~}", True),
        (pa.int64(), "{01: 16, no: ~}", True),
    ],
)
def test_a_derived_number_is_never_rounded_to_a_stored_type(stored, values, kept):
    """A type that can't hold the function's values isn't the column's, and no other one is cut off."""
    declared = parse_schema(DERIVED.replace("{01: 16.3, no: ~}", values))
    fields = [(name, stored if name == "density" else pa.string()) for name in declared.table.columns]
    structure = open_table(pa.schema(fields).empty_table(), declared).structure
    assert structure.arrow.field("density").type == (stored if kept else pa.float64())
    made = Encoder.of(declared).decode(np.array([[0, 1]], np.uint8), np.random.default_rng(0), structure)
    number = float(values[5:].partition(",")[0])
    assert [None if v is None else float(v) for v in made["density"].to_pylist()] == [number, None]


def test_the_canonical_form_of_a_derivation_loads_again():
    declared = parse_schema(DERIVED)
    from accountant.canonical import dumps

    again = parse_schema(dumps(declared.canonical()).decode())
    assert again.sha256 == declared.sha256
    codes = np.array([[0, 1, 2]], np.uint8)
    made = [Encoder.of(s).decode(codes, np.random.default_rng(0)) for s in (declared, again)]
    assert made[0].equals(made[1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("column: area, values: {01: 16.3, no: ~}", "column: group, values: {no: 1, B: 2}"),
        ("column: area, values: {01: 16.3, no: ~}", "column: nowhere, values: {01: 1, no: 2}"),
        ("column: area, values: {01: 16.3, no: ~}", "column: area, values: {01: 16.3}"),
        ("column: area, values: {01: 16.3, no: ~}", "column: area, values: {01: 16.3, no: 60001}"),
        ("column: area, values: {01: 16.3, no: ~}", "column: area, values: {01: 16.3, no: x}"),
        ("values: {01: B, no: no}", "values: {01: C, no: no}"),
        ("values: {01: 3, no: 4}", "values: {01: 3.5, no: 4}"),
        ("[0, 9], nullable: true,", "[0, 9],"),
        ("categories: [01, no], nullable: true}", "categories: [01, no], nullable: true}\nomit: [area]\n#"),
    ],
)
def test_a_derivation_that_doesnt_cover_its_cause_is_refused(old, new):
    assert old in DERIVED
    with pytest.raises(SchemaError):
        parse_schema(DERIVED.replace(old, new))
