"""Codes of absent values, special numbers, ordinal and constant columns: read as declared, written back as declared."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.canonical import dumps
from dpsynth.drawing import keeps
from dpsynth.encode import Encoder, lint_table
from dpsynth.encode.absent import without_null_codes
from dpsynth.encode.histograms import Histogram, block_starts
from dpsynth.errors import SchemaError
from dpsynth.gate.layout import layout_of
from dpsynth.schema import Integer, parse_schema
from dpsynth.tables import open_table
from tests.dpsynth import lines

CODED = """
name: t
columns:
  size: {kind: integer, bounds: [0, 9], nullable: true, nulls: [-9, NA, ""], special: [-8, 77]}
  share: {kind: real, bounds: [0, 1], bins: 4, resolution: 0.01, nullable: true, nulls: [-1], special: [-2.5]}
  group: {kind: categorical, categories: [a, b, "-8"], nullable: true, nulls: [-9, NA]}
  degree: {kind: ordinal, categories: [low, mid, high], nullable: true, nulls: [unknown]}
  well: {kind: boolean, nullable: true, nulls: [9]}
  day: {kind: date, bounds: [2020-01-01, 2020-12-31], nullable: true, nulls: [1900-01-01]}
  wave: {kind: constant, value: 7}
rules:
  - {when: {size: -8}, then: {well: null}}
"""
RAW = {
    "size": ["3", "-9", "NA", "", "-8", "77", "-9.0", "-5"],
    "share": ["0.5", "-1", "-2.5", "x", "-1.0", "1", "", "0"],
    "group": ["a", "-9", "NA", "-8", "b", "", "-9.0", "a"],
    "degree": ["mid", "unknown", "low", "high", "", "low", "low", "low"],
    "well": ["true", "9", "false", "", "true", "0", "9.0", "1"],
    "day": ["2020-02-01", "1900-01-01", "", "2020-12-31", "1900-01-01", "2020-01-01", "2020-01-01", "2020-01-01"],
    "wave": ["nobody", "reads", "this", "", "", "", "", ""],
}
MEANT = {
    "size": [3, None, None, None, -8, 77, None, 0],
    "group": ["a", None, None, "-8", "b", None, None, "a"],
    "degree": ["mid", None, "low", "high", None, "low", "low", "low"],
    "well": [True, None, False, None, True, False, None, True],
    "wave": [7] * 8,
}


def decoded(table, encoder, structure=None):
    codes = encoder.encode_arrow(table)
    return encoder.decode(codes, np.random.default_rng(0), structure)


def test_each_code_of_an_absent_value_is_null_and_special_numbers_come_back():
    encoder = Encoder.of(parse_schema(CODED))
    made = decoded(pa.table(RAW), encoder)
    found = made.to_pydict()
    assert {name: found[name] for name in MEANT} == MEANT
    assert [v is None for v in found["share"]] == [False, True, False, True, True, False, True, False]
    assert found["share"][2] == -2.5
    assert [v is None for v in found["day"]] == [False, True, True, False, True, False, False, False]
    assert made.schema.field("size").type == pa.int64()
    assert made.schema.field("wave").type == pa.int64()
    assert "wave" not in encoder.domain.names


@pytest.mark.parametrize(
    "stored", [pa.int32(), pa.float32(), pa.decimal128(25, 1), pa.string(), pa.large_string(), None]
)
def test_codes_mean_the_same_in_every_stored_type(stored):
    declared = parse_schema("""
name: t
columns: {x: {kind: integer, bounds: [0, 9], nullable: true, nulls: [-9, -7], special: [-8]}}
""")
    values = pa.array([3, -9, -8, -7, None], pa.int64())
    array = values.cast(pa.string()).dictionary_encode() if stored is None else values.cast(stored)
    structure = open_table(pa.table({"x": array}), declared).structure
    made = decoded(pa.table({"x": array}), Encoder.of(declared), structure)["x"]
    assert made.type == (array.type if stored is not None else pa.dictionary(pa.int32(), pa.string()))
    assert [None if v is None else int(float(v)) for v in made.to_pylist()] == [3, None, -8, None, None]


def test_a_type_too_small_for_a_special_number_isnt_kept():
    declared = parse_schema("{name: t, columns: {x: {kind: integer, bounds: [0, 9], special: [999]}}}")
    assert open_table(pa.table({"x": pa.array([1], pa.int8())}), declared).structure.arrow.field("x").type == pa.int64()
    real = parse_schema("{name: t, columns: {x: {kind: real, bounds: [0, 9], special: [-0.5]}}}")
    assert open_table(pa.table({"x": pa.array([1])}), real).structure.arrow.field("x").type == pa.float64()


def test_a_false_is_no_code_of_zero_and_a_frame_is_read_alike():
    column = parse_schema("{name: t, columns: {x: {kind: boolean, nullable: true, nulls: [0]}}}").table.columns["x"]
    assert without_null_codes(pa.array([False, True]), column).null_count == 0
    assert without_null_codes(pa.array(["false", "0"]), column).to_pylist() == ["false", None]
    declared = parse_schema(CODED)
    frame = pd.DataFrame(RAW)
    table = pa.table(RAW)
    (block,) = open_table(frame, declared).blocks()
    encoder = Encoder.of(declared)
    assert (encoder.encode(block) == encoder.encode_arrow(table)).all()


def test_special_numbers_stand_on_no_scale_and_ordinals_do():
    encoder = Encoder.of(parse_schema(CODED))
    scales = dict(zip(encoder.domain.names, layout_of(encoder).ordered, strict=True))
    sizes = dict(zip(encoder.domain.names, encoder.domain.sizes, strict=True))
    assert (scales["size"], sizes["size"]) == (10, 13)
    assert (scales["share"], sizes["share"]) == (4, 6)
    assert (scales["degree"], sizes["degree"]) == (3, 4)
    assert scales["group"] == 0


def test_rules_and_conditions_tell_special_numbers_apart():
    declared = parse_schema(CODED)
    encoder = Encoder.of(declared)
    table = pa.table({**RAW, "well": ["", "", "", "", "", "true", "true", "true"]})
    _, good = encoder.decode_allowed(encoder.encode_arrow(table), np.random.default_rng(0))
    assert good.all()
    broken = pa.table({**RAW, "well": ["true"] * 8})
    _, good = encoder.decode_allowed(encoder.encode_arrow(broken), np.random.default_rng(0))
    assert good.tolist() == [size != -8 for size in MEANT["size"]]
    made = decoded(pa.table(RAW), encoder)
    assert keeps(declared.table, {"size": {"up_to": 5}})(made).tolist() == [True, *[False] * 6, True]
    assert keeps(declared.table, {"size": [-8, None]})(made).tolist() == [s in (-8, None) for s in MEANT["size"]]


def test_an_order_of_columns_leaves_special_numbers_alone():
    declared = parse_schema("""
name: t
columns:
  a: {kind: integer, bounds: [0, 9], special: [99]}
  b: {kind: integer, bounds: [0, 9], special: [-9]}
rules: [{at_most: [a, b]}, {forbid: {b: {from: 0}}}]
""")
    encoder = Encoder.of(declared)
    encoder.check_rules()
    table = pa.table({"a": [99, 3, 5], "b": [-9, -9, -9]})
    assert encoder.decode_allowed(encoder.encode_arrow(table), np.random.default_rng(0))[1].all()


def test_special_numbers_are_left_out_of_what_is_learned():
    declared = parse_schema("""
name: t
encoding: {share: 0.1}
columns: {x: {kind: integer, bounds: [0, 99], nullable: true, special: [-8, -9]}}
""")
    encoder = Encoder.of(declared)
    assert encoder.apart == {"x": 3}
    counts = np.full(100, 10)
    starts = block_starts(100)
    found = Histogram(
        cells=counts, sigma=1.0, blocks=np.add.reduceat(counts, starts), block_sigma=1.0, starts=encoder.blocks()["x"]
    )
    made = encoder.merge({"x": found}, bins=10)
    assert made.domain.sizes[0] == made.merges["x"].size <= encoder.largest_domain.sizes[0]
    assert made.scales == (made.domain.sizes[0] - 3,)
    back = decoded(pa.table({"x": [-8, -9, None, 5]}), made)["x"].to_pylist()
    assert back[:3] == [-8, -9, None]
    assert 0 <= back[3] <= 99


def test_the_operators_check_counts_codes_as_declared():
    declared = parse_schema(CODED)
    lines_ = lint_table(open_table(pa.table(RAW), declared))
    assert [line for line in lines_ if "'size'" in line] == ["'size': 1 of 8 values: below the lower bound"]
    assert not any("'group'" in line or "'degree'" in line for line in lines_)


def test_the_canonical_form_loads_again():
    declared = parse_schema(CODED.replace("value: 7", "value: 7.25"))
    again = parse_schema(dumps(declared.canonical()).decode())
    assert again.sha256 == declared.sha256
    assert again.table.columns["wave"].value == 7.25
    assert again.table.columns["size"].nulls == ("-9", "NA", "")


@pytest.mark.parametrize(
    ("value", "stored", "kept", "out"),
    [
        ("7", pa.int8(), True, 7),
        ("7", pa.string(), True, "7"),
        ('"seven"', pa.int8(), False, "seven"),
        ("true", pa.bool_(), True, True),
        ("7.5", pa.int64(), False, 7.5),
        ("7.5", pa.float32(), True, 7.5),
        ('"x"', pa.dictionary(pa.int8(), pa.string()), True, "x"),
        ("~, nullable: true", pa.int64(), True, None),
    ],
)
def test_a_constant_is_written_in_the_tables_type_where_that_holds_it(value, stored, kept, out):
    declared = parse_schema(f"{{name: t, columns: {{x: {{kind: constant, value: {value}}}, y: {{kind: boolean}}}}}}")
    structure = open_table(pa.schema([("x", stored), ("y", pa.bool_())]).empty_table(), declared).structure
    made = Encoder.of(declared).decode(np.array([[0, 1, 1]], np.uint8), np.random.default_rng(0), structure)
    assert made["x"].to_pylist() == [out] * 3
    assert (pa.types.is_dictionary(stored) or made["x"].type == stored) == kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('nulls: [-9, NA, ""], special', "nulls: [-8], special"),
        ("bounds: [0, 9], nullable: true, nulls", "bounds: [0, 9], nulls"),
        ("special: [-8, 77]", "special: [-8, 7]"),
        ("special: [-8, 77]", "special: [-8, -8]"),
        ("nulls: [-9, NA]", "nulls: [a]"),
        ("categories: [low, mid, high]", "categories: [low, mid, high], ordered: false"),
        ("value: 7", "value: ~"),
        ("value: 7", "value: [7]"),
        ("kind: constant, value: 7", "kind: identifier, nullable: true, nulls: [x]"),
        ("value: 7", "value: 7, nulls: [x], nullable: true"),
    ],
)
def test_declarations_that_mean_nothing_are_refused(old, new):
    assert old in CODED
    with pytest.raises(SchemaError):
        parse_schema(CODED.replace(old, new))


@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["-9", "-8", "77", "9", "1e999", "nan", "-9.00"])),
        min_size=1, max_size=20,
    ),
    st.sampled_from(sorted(RAW)),
)
@settings(max_examples=150)
def test_whatever_a_table_holds_comes_back_within_its_declaration(values, name):
    declared = parse_schema(CODED)
    table = pa.table({n: values if n == name else [RAW[n][0]] * len(values) for n in RAW})
    made = decoded(table, Encoder.of(declared))
    column = declared.table.columns[name]
    for value in made[name].to_pylist():
        if isinstance(column, Integer) or column.kind == "real":
            assert value is None or 0 <= value <= 9 or value in column.special
        elif column.kind in ("categorical", "ordinal"):
            assert value is None or value in column.categories
    back = decoded(made, Encoder.of(declared))
    assert back[name].null_count == made[name].null_count


def test_declared_columns_reach_a_release(tmp_path):
    """The model never sees a constant; its table of a fit has it, with the types of the declaration."""
    from dpsynth.fitting import fit

    text = lines.SCHEMA.replace(
        "    columns:\n", "    columns:\n      wave: {kind: constant, value: first}\n"
    ).replace("age: {kind: integer, bounds: [0, 99]}",
              "age: {kind: integer, bounds: [0, 99], nullable: true, nulls: [-9], special: [-8]}")
    table = lines.table(2_000).add_column(0, "wave", pa.array(["zqx"] * 2_000))
    ages = table["age"].to_numpy().copy()
    ages[:600], ages[600:1_000] = -8, -9
    table = table.set_column(table.column_names.index("age"), "age", pa.array(ages, pa.int32()))
    model = fit(table, lines.schema(text), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), synthesizer="mst")
    made = model.sample(2_000, seed=0)
    assert set(made["wave"].to_pylist()) == {"first"}
    ages = made["age"].to_pylist()
    assert 0.2 < ages.count(-8) / 2_000 < 0.4
    assert 0.1 < ages.count(None) / 2_000 < 0.3
    assert all(age is None or age == -8 or 0 <= age <= 99 for age in ages)
