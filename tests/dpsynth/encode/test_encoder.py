"""The encoder is total, a function of each record alone, and decoding gives back the codes."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.encode import Encoder, draft_schema, lint_table
from dpsynth.encode.binning import cuts_of
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.schema import Integer, Real, Schema, parse_schema
from dpsynth.schema.models import TableSchema
from dpsynth.tables import Structure, open_table

HOSTILE = [
    "", " ", "a b", "'; DROP TABLE t; --", '"', "<script>alert(1)</script>", "🦄", "new\nline", "a,b", "\\N", "NaN",
    "null", "1", "1.0", "01", "-0", "1e5", "=1+1", "é", "\u202e", "true", "No",
]
NAMES = st.one_of(st.sampled_from(HOSTILE[1:]), st.text(min_size=1, max_size=5).filter(str.isprintable))
LABELS = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6, unique=True)
FINITE = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: float(f"{x:.6g}") if abs(x) > 1e-25 else 0.0)


@st.composite
def columns(draw):
    common = {"nullable": draw(st.booleans())}
    kind = draw(st.sampled_from(["categorical", "integer", "real", "boolean"]))
    if kind == "categorical":
        labels = draw(LABELS)
        return common | {"kind": kind, "categories": labels, "otherwise": draw(st.sampled_from([None, labels[-1]]))}
    if kind == "boolean":
        return common | {"kind": kind}
    numbers = st.integers(-(10**6), 10**6) if kind == "integer" else FINITE
    pairs = st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)
    lower, upper = draw(pairs.filter(lambda pair: pair[1] - pair[0] > 1e-8 * max(map(abs, pair))))
    scale = {"scale": draw(st.sampled_from([None, "linear", "log"])), "bins": draw(st.sampled_from([None, 1, 2, 7]))}
    return common | scale | {"kind": kind, "bounds": [lower, upper]}


@st.composite
def arrays(draw, rows):
    texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=4))
    kind, values = draw(
        st.sampled_from(
            [
                (pa.string(), texts), (pa.large_string(), texts), (pa.string_view(), texts),
                (pa.large_binary(), st.binary(max_size=6)), (pa.int8(), st.integers(-128, 127)),
                (pa.uint64(), st.integers(0, 2**64 - 1)), (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
                (pa.float64(), st.floats()), (pa.float32(), st.floats(width=32)), (pa.float16(), st.floats(width=16)),
                (pa.bool_(), st.booleans()), (pa.null(), st.none()), (pa.decimal128(9, 2), st.integers(-999, 999)),
                (pa.date32(), st.integers(-(2**31), 2**31 - 1)), (pa.timestamp("s"), st.integers(-(2**63), 2**63 - 1)),
                (pa.timestamp("ns", tz="No/Where"), st.integers(-(2**63), 2**63 - 1)),
                (pa.time64("us"), st.integers(0, 86_399_999_999)), (pa.duration("ms"), st.integers(-(2**63), 0)),
            ]
        )
    )
    cells = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
    array = pa.array(cells, kind)
    if kind in (pa.string(), pa.int64(), pa.float64()) and draw(st.booleans()):
        return array.dictionary_encode()
    return array


def declared(columns) -> TableSchema:
    return TableSchema.model_validate({"name": "t", "columns": columns})


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 5))
def test_total_on_any_table_and_decoding_gives_the_codes_back(data, rows):
    schema = declared(data.draw(st.dictionaries(NAMES, columns(), min_size=1, max_size=3)))
    encoder = Encoder.of(schema)
    block = {name: data.draw(arrays(rows)) for name in schema.columns}
    codes = encoder.encode(block)
    assert codes.shape == (len(schema.columns), rows)
    assert (codes < np.array(encoder.domain.sizes)[:, None]).all()
    alone = [encoder.encode({name: array.slice(i, 1) for name, array in block.items()}) for i in range(rows)]
    assert (np.concatenate(alone, axis=1) == codes).all()
    table = encoder.decode(codes, np.random.default_rng(data.draw(st.integers(0, 9))))
    assert table.schema == Structure.declared(schema).arrow
    assert (encoder.encode_arrow(table) == codes).all()


@settings(max_examples=100, deadline=None)
@given(columns().filter(lambda column: "bounds" in column), st.integers(0, 2**32))
def test_every_code_decodes_into_its_own_bin_within_bounds(column, seed):
    encoder = Encoder.of(declared({"x": column}))
    codes = np.arange(encoder.domain.sizes[0])[None, :].repeat(3, axis=1)
    table = encoder.decode(codes, np.random.default_rng(seed))
    assert (encoder.encode_arrow(table) == codes).all()
    values = [value for value in table.column("x").to_pylist() if value is not None]
    assert all(column["bounds"][0] <= value <= column["bounds"][1] for value in values)


def schema_of(text: str) -> Schema:
    return parse_schema("dpsynth: 1\ndataset: d\ntables:\n  - name: t\n    columns:\n      x: {" + text + "}\n")


def encoded(text: str, values: object, kind: pa.DataType | None = None) -> list[int]:
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return Encoder.of(schema_of(text)).encode({"x": array})[0].tolist()


@pytest.mark.parametrize(
    ("text", "values", "kind", "expected"),
    [
        ("kind: categorical, categories: [a, b]", ["b", "z", None, " a", ""], pa.string(), [1, 0, 0, 0, 0]),
        ("kind: categorical, categories: [a, b], nullable: true", ["b", "z", None], pa.string(), [1, 2, 2]),
        ("kind: categorical, categories: [a, b], otherwise: b", ["a", "z", None], pa.string(), [0, 1, 1]),
        ("kind: categorical, categories: [a, b], otherwise: b, nullable: true", ["z", None], pa.string(), [1, 2]),
        ("kind: categorical, categories: [a, ''], nullable: true", ["", None], pa.string(), [1, 2]),
        ("kind: categorical, categories: [1, 3], nullable: true", ["3", "3.0", "03"], pa.string(), [1, 1, 2]),
        ("kind: categorical, categories: [3, 3.0]", ["3", "3.0"], pa.string(), [0, 1]),
        ("kind: categorical, categories: [1, 3], nullable: true", [3, 1, 2, None], pa.int8(), [1, 0, 2, 2]),
        ("kind: categorical, categories: [1, 0.1], nullable: true", [1, 0.1, 0.2], pa.float32(), [0, 1, 2]),
        ("kind: categorical, categories: ['True', 'False'], nullable: true", [True, False, None], None, [0, 1, 2]),
        ("kind: integer, bounds: [1, 5]", [-9, 1, 3, 5, 2**60, None], pa.int64(), [0, 0, 2, 4, 4, 0]),
        ("kind: integer, bounds: [1, 5], nullable: true", ["4", " 4 ", "4.9", "x", "", "1_0", "inf", "-9"],
         pa.string(), [3, 3, 3, 5, 5, 5, 5, 0]),
        ("kind: integer, bounds: [1, 5], nullable: true", [math.nan, math.inf, 2.5, 1e300], pa.float64(), [5, 5, 1, 4]),
        ("kind: integer, bounds: [0, 9], edges: [1, 9]", [0, 1, 8, 9, 10], pa.int64(), [0, 1, 1, 2, 2]),
        ("kind: real, bounds: [0, 1], bins: 2", [-1.0, 0.0, 0.5, 1.0, 2.0], pa.float64(), [0, 0, 1, 1, 1]),
        ("kind: real, bounds: [0, 1], bins: 2", [Decimal("0.49"), Decimal("0.50")], pa.decimal128(9, 2), [0, 1]),
        ("kind: integer, bounds: [0, 5], nullable: true", [True, False, None], None, [1, 0, 6]),
        ("kind: integer, bounds: [0, 5], nullable: true", ["True", "false", "yes"], None, [1, 0, 6]),
        ("kind: integer, bounds: [0, 5], nullable: true", [1, None], pa.timestamp("s"), [6, 6]),
        ("kind: categorical, categories: ['0', 'True'], nullable: true", ["true", "False", "TRUE"], None, [1, 0, 1]),
        ("kind: categorical, categories: ['1', 'true'], nullable: true", [True, False], None, [1, 2]),
        ("kind: categorical, categories: ['007', '7.50']", ["7", "007", "7.5"], None, [0, 0, 1]),
        ("kind: categorical, categories: ['007', '7.50']", [7, 7.5], None, [0, 1]),
        ("kind: categorical, categories: ['2020-01-02', b]", [18263, 18262, None], pa.date32(), [0, 0, 0]),
        ("kind: categorical, categories: [b, '2020-01-02']", [1577923200, 1577923201], pa.timestamp("s"), [1, 0]),
        ("kind: categorical, categories: [b, '2020-01-02 00:00:00']", [1577923200], pa.timestamp("s"), [1]),
        ("kind: categorical, categories: [b, '1.5']", [Decimal("1.50"), Decimal("1")], pa.decimal128(9, 2), [1, 0]),
        ("kind: boolean", [b"true", b"Yes", b"0", b"maybe", None], pa.binary(), [1, 1, 0, 0, 0]),
        ("kind: boolean, nullable: true", [1, 0, 2, None], pa.int64(), [1, 0, 2, 2]),
    ],
)
def test_where_values_go(text, values, kind, expected):
    assert encoded(text, values, kind) == expected


@pytest.mark.parametrize(
    "text",
    ["kind: integer, bounds: [0, 9], nullable: true", "kind: real, bounds: [0, 9]", "kind: boolean, nullable: true"]
    + [f"kind: categorical, categories: {c}, nullable: true" for c in ("[a, b]", "['1', '2', '0']", "['01', '2.50']",
       "['True', 'False']", "['1', 'false']")],
)
@pytest.mark.parametrize("cells", [[1, 0, 2], [1.0, 2.5, 0.0], [True, False], [1.0, math.nan], [math.nan], [1e16, 0.1]])
def test_another_record_decides_no_other_records_code(text, cells):
    """A value has one code, whichever type pandas infers from all values of its column."""
    schema, found = schema_of(text), set()
    series = pd.Series(cells)
    forms = [series, series.astype(object), pd.concat([series.astype(object), pd.Series(["odd"])]),
             series.astype(str).where(series.notna(), None), series.convert_dtypes()]
    forms += [] if series.dtype == bool else [series.astype(float), series.astype(float).astype(object)]
    for form in forms:
        (block,) = open_table(pd.DataFrame({"x": form}), schema).blocks()
        found.add(tuple(Encoder.of(schema).encode(block)[0].tolist()[: len(cells)]))
    assert len(found) == 1


def test_invalid_utf8_in_a_text_column_is_an_undeclared_label():
    array = pa.array([b"\xff\xfe", b"a"], pa.binary()).view(pa.string())
    assert encoded("kind: categorical, categories: [a], nullable: true", array) == [1, 0]
    assert encoded("kind: integer, bounds: [0, 3], nullable: true", array) == [4, 4]


def test_a_dictionary_that_holds_nulls_and_repeats():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.uint8()), pa.array(["a", None, "a"]))
    assert encoded("kind: categorical, categories: [b, a], nullable: true", array) == [1, 2, 1, 2]


def test_python_objects_of_any_type_are_read(tmp_path):
    class Hostile:
        def __str__(self):
            raise RuntimeError("secret")

    values = ["a", b"a", 1, 1.0, True, None, float("nan"), pd.NA, Hostile(), ["a"], 10**400, "\ud800", np.int8(1),
              Decimal("NaN")]
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    schema = schema_of("kind: categorical, categories: [a, 1, 'true'], nullable: true")
    (block,) = open_table(frame, schema).blocks()
    assert Encoder.of(schema).encode(block)[0].tolist() == [0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 1, 3]


@pytest.mark.parametrize(
    ("column", "size", "first", "zero_alone"),
    [
        (Integer(bounds=(0, 99)), 100, 1, True),
        (Integer(bounds=(0, 100)), 34, 1, True),
        (Integer(bounds=(0, 100), bins=32), 32, 3, False),
        (Integer(bounds=(1, 300), bins="each"), 300, 2, False),
        (Integer(bounds=(0, 99_999)), 32, 1, True),
        (Integer(bounds=(-5_000, 0)), 32, None, True),
        (Integer(bounds=(-5_000, 100_000)), 32, None, True),
        (Real(bounds=(-19_998, 4_209_995)), 32, None, True),
        (Real(bounds=(0, 1)), 32, 1 / 32, False),
        (Real(bounds=(10, 2_000)), 32, None, False),
    ],
)
def test_default_bins(column, size, first, zero_alone):
    cuts = cuts_of(column)
    assert abs(len(cuts) + 1 - size) <= (0 if size == 100 or size == 300 else 2)
    if isinstance(column, Integer) and column.bins is None:
        assert {column.bounds[0] + 1, column.bounds[1]} <= set(cuts), "the bounds are alone in their bins"
    assert (np.diff(cuts) > 0).all()
    assert first is None or cuts[0] == first
    encoder = Encoder.of(declared({"x": column.model_dump()}))
    step = 1 if isinstance(column, Integer) else 1e-300
    near = [x for x in (-step, 0.0, step) if column.bounds[0] <= x <= column.bounds[1]]
    codes = encoder.encode({"x": pa.array(near, pa.float64())})[0].tolist()
    assert not zero_alone or len(set(codes)) == len(near)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("kind: integer, bounds: [0, 99999]", pa.int32()), ("kind: integer, bounds: [0, 9]", pa.float32()),
        ("kind: integer, bounds: [0, 9]", pa.string()), ("kind: integer, bounds: [-9, 9]", pa.decimal128(9, 2)),
        ("kind: integer, bounds: [0, 9]", pa.dictionary(pa.int32(), pa.int64())),
        ("kind: real, bounds: [0.1, 0.7]", pa.float32()), ("kind: real, bounds: [0.1, 0.7]", pa.large_string()),
        ("kind: real, bounds: [-19998, 4209995]", pa.int64()), ("kind: real, bounds: [0.5, 9.5]", pa.int8()),
        ("kind: boolean", pa.bool_()), ("kind: boolean", pa.int8()), ("kind: boolean", pa.string()),
        ("kind: categorical, categories: [1, 2]", pa.int8()), ("kind: categorical, categories: [1, 2]", pa.float64()),
        ("kind: categorical, categories: [a, b, c]", pa.dictionary(pa.int32(), pa.large_string(), ordered=True)),
        ("kind: categorical, categories: ['true', 'false']", pa.bool_()),
    ],
)
def test_decoded_columns_have_the_tables_type(text, kind):
    schema = schema_of(text + ", nullable: true")
    encoder = Encoder.of(schema)
    handle = open_table(pa.table({"x": pa.array([None], kind)}), schema)
    codes = np.arange(encoder.domain.sizes[0])[None, :]
    table = encoder.decode(codes, np.random.default_rng(1), handle.structure)
    assert table.schema.field("x").type == kind
    table.validate(full=True)
    again = encoder.encode_arrow(table)
    assert again[0, -1] == codes[0, -1]
    lower, upper = (0, 1) if "bounds" not in text else schema.table.columns["x"].bounds
    values = table.column("x").to_pylist()[:-1]
    if "bounds" in text:
        assert all(lower <= float(value) <= upper for value in values)
    if "19998" not in text and "0.5, 9.5" not in text:
        assert (again == codes).all()


def test_dictionaries_hold_the_declared_labels_and_widen_where_they_must():
    labels = ", ".join(f"l{i}" for i in range(300))
    schema = schema_of(f"kind: categorical, categories: [{labels}]")
    narrow = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(["l7"]))
    handle = open_table(pa.table({"x": narrow}), schema)
    assert handle.structure.arrow.field("x").type == pa.dictionary(pa.int32(), pa.string())
    table = Encoder.of(schema).decode(np.array([[299]], np.uint16), np.random.default_rng(0), handle.structure)
    assert len(table.column("x").chunk(0).dictionary) == 300


def test_reals_are_multiples_of_the_declared_resolution():
    encoder = Encoder.of(schema_of("kind: real, bounds: [0.1, 0.9], bins: 3, resolution: 0.1"))
    table = encoder.decode(np.arange(3)[None, :].repeat(99, axis=1), np.random.default_rng(0))
    assert set(table.column("x").to_pylist()) == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}


def test_numbers_fill_their_bin_evenly():
    encoder = Encoder.of(schema_of("kind: integer, bounds: [0, 9], edges: [5]"))
    values = encoder.decode(np.ones((1, 50_000), np.uint8), np.random.default_rng(0)).column("x").to_numpy()
    counts = np.bincount(values, minlength=10)
    assert counts[:5].sum() == 0
    assert ((counts[5:] - 10_000) ** 2 / 10_000).sum() < 23.5  # chi-squared, 4 degrees of freedom, p = 1e-4


def test_codes_outside_the_domain_are_refused():
    encoder = Encoder.of(schema_of("kind: boolean"))
    for codes in (np.array([[2]]), np.array([[-1]]), np.array([0]), np.zeros((2, 1), int)):
        with pytest.raises(ParameterError):
            encoder.decode(codes, np.random.default_rng(0))


PEOPLE = parse_schema(
    "dpsynth: 1\ndataset: d\ntables:\n  - name: t\n    privacy_unit: {column: id, max_rows: 2}\n"
    "    columns: {id: {kind: identifier}, x: {kind: boolean}}\n"
)


def test_unit_ids_do_not_depend_on_the_type_of_the_column():
    encoder = Encoder.of(PEOPLE)
    assert encoder.domain.names == ("x",)
    arrays = [
        pa.array([7, None, 7, 8]), pa.array([7.0, None, 7.0, 8.0]), pa.array(["7", None, "7", "8"]),
        pa.array(["7.0", "", "7.00", "8"]), pa.array([7, math.nan, 7, 8], pa.float32()),
        pa.array([7, None, 7, 8], pa.decimal128(9, 2)), pa.array([b"7", b"", b"7", b"8"]),
        pa.array(["7", None, "7", "8"]).dictionary_encode(),
    ]
    for array in arrays:
        assert encoder.unit_ids({"id": array}) == [b"\x017", None, b"\x017", b"\x018"]
    with pytest.raises(ParameterError):
        Encoder.of(schema_of("kind: boolean")).unit_ids({"x": arrays[0]})


def test_equal_ids_of_mixed_types_are_one_key_and_others_are_not():
    def ids(*values: object) -> list[bytes | None]:
        (block,) = open_table(pd.DataFrame({"id": pd.Series(values, dtype=object), "x": True}), PEOPLE).blocks()
        return Encoder.of(PEOPLE).unit_ids(block)

    twelve = (12, 12.0, "12", "12.0", b"12", np.int8(12), np.float32(12), Decimal("12.00"), "12.000")
    assert set(ids(*twelve)) == {b"\x0112"}
    large = ids(10**17, 1e17, "100000000000000000", Decimal("1E+17"), 12345678901234567168, 1.2345678901234567e19)
    assert len(set(large[:4])) == 1
    assert large[4] == large[5]
    assert ids(0, -0.0, "0", "-0.0") == [b"\x010"] * 4
    apart = ("12", "012", " 12", "12.5", "12.", "-12", "12.0x", "1e5", "100000", "1e+999", "12.05", "-0", "0")
    assert len(set(ids(*apart))) == len(apart)
    assert ids(None, "", b"", math.nan, pd.NA, np.float64("nan")) == [None] * 6


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.int8(), pa.string(), pa.float64(), pa.binary(), pa.binary(16), pa.binary(2)]
)
def test_identifiers_become_surrogates_of_their_type(kind):
    handle = open_table(pa.table({"x": pa.array([True]), "id": pa.array([None], kind)}), PEOPLE)
    table = Encoder.of(PEOPLE).decode(np.zeros((1, 100), np.uint8), np.random.default_rng(0), handle.structure)
    assert table.schema == handle.structure.arrow
    assert len(set(table.column("id").to_pylist())) == 100


def test_opaque_kinds_have_no_encoder():
    with pytest.raises(SchemaError):
        Encoder.of(schema_of("kind: datetime"))


def test_smallest_unsigned_type():
    sizes = {255: np.uint8, 256: np.uint8, 257: np.uint16, 65_535: np.uint16}
    for size, dtype in sizes.items():
        assert Encoder.of(schema_of(f"kind: integer, bounds: [1, {size}], bins: each")).dtype == dtype


def test_lint_counts_and_names_no_value():
    schema = schema_of("kind: integer, bounds: [0, 5]")
    table = pa.table({"x": ["1", "9", "-1", "secret", None, "nan"]})
    lines = lint_table(open_table(table, schema))
    assert lines[0].startswith("CONFIDENTIAL - operator only")
    assert "'x': 1 of 6 values: not a finite number" in lines
    assert "'x': 2 of 6 values: undeclared null" in lines
    assert not any("secret" in line for line in lines)


def test_lint_counts_lines_that_are_no_records(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'x\n1\n"2\n3"\n4,5\n\n')
    lines = lint_table(open_table(path, schema_of("kind: integer, bounds: [0, 5]")))
    assert lines[1:] == [
        "1 records were read.",
        "3 lines are no records: their quotes don't balance, or they have another number of fields",
    ]


def test_lint_counts_records_without_an_id():
    table = pa.table({"id": ["a", None, "", "b"], "x": [True] * 4})
    lines = lint_table(open_table(table, PEOPLE))
    assert lines[2:] == ["2 of 4 records have no id in 'id', and are left out of every release"]


def test_drafts(tmp_path):
    table = pa.table({"a b: c": [1, 2], "🦄\n": ["x", "secret"], "when": pa.array([0, 1], pa.timestamp("s"))})
    draft = draft_schema(table)
    assert "secret" not in draft
    assert "no value of the table was looked at" in draft
    with pytest.raises(SchemaError, match="fill"):
        parse_schema(draft)
    public = draft_schema(table, public=True)
    assert "CAME FROM THE VALUES" in public
    schema = parse_schema(public)
    assert list(schema.table.columns) == ["a b: c", "🦄\n", "when"]
    assert lint_table(open_table(table, schema))[2:] == ["Every value fits its declaration."]
    path = tmp_path / "my file.csv"
    path.write_bytes(b"n,f,s,e\n1,0.5,x,\n2,1e3,,\n3,1,lost\n")
    drafted = parse_schema(draft_schema(path, public=True)).table
    assert [(c.kind, c.nullable) for c in drafted.columns.values()] == [
        ("integer", False), ("real", False), ("categorical", True), ("text", False),
    ]
    assert drafted.omit == ("e",)
