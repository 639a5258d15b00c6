"""Laws of the encoding over random declarations of every kind, hostile names and hostile values."""

import datetime
import itertools
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dpsynth.drawing import draw_table
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError, SchemaError, TableError
from dpsynth.sampling import generator
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table, write_table
from tests.dpsynth.encode.every_kind import (
    PYTHON,
    declarations,
    in_domain,
    learned,
    made_right,
    python_values,
    raw,
    schema_of,
    with_made,
)
from tests.dpsynth.test_rules import model_of

ROWS = 6
SEEDS = st.integers(0, 2**32 - 1)


def structure_of(types, encoder):
    """The structure of an empty table of these types."""
    return open_table(pa.schema(list(types.items())).empty_table(), encoder.declared).structure


def normal(kind):
    """A stored type as it comes out: a dictionary's indices are int32 always."""
    if not pa.types.is_dictionary(kind):
        return kind
    return pa.dictionary(pa.int32(), kind.value_type, ordered=kind.ordered)


@settings(max_examples=80)
@given(declarations(), st.data())
def test_any_record_has_codes_and_their_values_lie_in_the_declared_domain(declared, data):
    columns, types = declared
    encoder = Encoder.of(schema_of(columns))
    records = pa.table({name: data.draw(raw(kind, ROWS)) for name, kind in types.items()})
    (block,) = open_table(records, encoder.declared).blocks()
    codes = encoder.encode(block)
    assert codes.shape == (len(columns), ROWS)
    assert (codes < np.array(encoder.domain.sizes)[:, None]).all()
    made = encoder.decode(codes, np.random.default_rng(0), structure_of(types, encoder))
    assert made.schema.types == [normal(kind) for kind in types.values()]
    for name, column in columns.items():
        assert all(in_domain(column, value) for value in made[name].to_pylist()), name


@settings(max_examples=100)
@given(with_made(), SEEDS)
def test_values_of_codes_have_these_codes_in_every_type_and_all_else_is_as_declared(declared, seed):
    columns, types = declared
    encoder, rng = Encoder.of(schema_of(columns)), np.random.default_rng(seed)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (len(encoder.domain.sizes), 30))
    structure = structure_of(types, encoder)
    assert structure.arrow == pa.schema([(name, normal(kind)) for name, kind in types.items()])
    try:
        drawn = draw_table(Fixed(encoder, codes), 30, encoder=encoder, rng=rng, structure=structure, draw=codes_of)
    except ParameterError:
        assert encoder.redraws
        return
    drawn.table.validate(full=True)
    assert drawn.table.schema == structure.arrow
    assert (encoder.encode_arrow(drawn.table) == drawn.codes).all()
    for row in drawn.table.to_pylist():
        assert made_right(columns, row)
        assert all(in_domain(columns[name], row[name]) for name in encoder.domain.names)


@settings(max_examples=80)
@given(declarations(1), st.data())
def test_one_more_record_in_a_frame_changes_nobody_elses_code(declared, data):
    """Whatever Python objects stand for values: pandas infers a dtype from all, and a record means the same in each.

    But for narrow floats that pandas widens: their digits aren't the same afterwards, and no reader can tell.
    """
    (name, column), = declared[0].items()
    encoder, values = Encoder.of(schema_of({name: column})), python_values(column)
    first = data.draw(st.lists(values, min_size=1, max_size=3))

    def codes(records):
        (block,) = open_table(pd.DataFrame({name: pd.Series(records)}), encoder.declared).blocks()
        return encoder.encode(block)[0].tolist()

    try:
        found = codes(first)
    except TableError as refused:
        assume("spell one value" not in str(refused))
        raise
    except (OverflowError, ValueError):  # of pandas: it makes no column of these
        assume(False)
    for others in ([data.draw(values)], [data.draw(PYTHON)]):
        try:
            narrow = any(isinstance(value, np.float16 | np.float32) for value in first)
            more = pd.Series([*first, *others], dtype=object if narrow else None)
        except (OverflowError, ValueError, TypeError):
            continue
        assert codes(more)[: len(first)] == found, (first, others)


class Fixed:
    """Stands for a model whose rows are these; of which there are as many more as are asked for."""

    def __init__(self, encoder, codes):
        self.domain, self.codes = encoder.domain, codes


def codes_of(model, rows, *, rng, rounded):
    return model.codes[:, rng.integers(0, model.codes.shape[1], rows)]


@settings(max_examples=40)
@given(declarations(2), SEEDS)
def test_learned_codes_come_back_whatever_was_learned(declared, seed):
    columns, types = declared
    columns = {n: {k: v for k, v in c.items() if k not in ("bins", "edges")} for n, c in columns.items()}
    rng = np.random.default_rng(seed)
    encoder = learned(Encoder.of(schema_of(columns, encoding={})), rng)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (len(columns), 40))
    made = encoder.decode(codes, rng, structure_of(types, encoder))
    assert made.schema.types == [normal(kind) for kind in types.values()]
    for name, column in columns.items():
        assert all(in_domain(column, value) for value in made[name].to_pylist()), name
    if not any(pa.types.is_float16(kind) or pa.types.is_float32(kind) for kind in types.values()):
        assert (encoder.encode_arrow(made) == codes).all()


LINE_ENDS = ("\n", "\r", "\0")


def fits_csv(columns):
    """CSV has no line breaks in fields, an empty field is null unless it is a label, and one name has no delimiter."""
    texts = [t for n, c in columns.items() for t in (n, *c.get("categories", ()))]
    if len(columns) == 1 and any(delimiter in name for name in columns for delimiter in ";|\t"):
        return False
    return not any(end in text for text in texts for end in LINE_ENDS) and not any(
        c["nullable"] and "" in c.get("categories", ()) for c in columns.values()
    )


@settings(max_examples=25)
@given(declarations(3), SEEDS, st.sampled_from(["t.csv", "t.parquet", "t.csv.gz"]))
def test_files_give_the_same_codes_back(tmp_path_factory, declared, seed, name):
    columns, types = declared
    if ".csv" in name and not fits_csv(columns):
        return
    encoder, rng = Encoder.of(schema_of(columns)), np.random.default_rng(seed)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (len(columns), 20))
    made = encoder.decode(codes, rng, structure_of(types, encoder))
    path = tmp_path_factory.mktemp("t") / name
    write_table(made, path)
    (block,) = open_table(path, encoder.declared).blocks()
    assert (encoder.encode(block) == codes).all()


RULED = {
    "label": {"kind": "categorical", "categories": ["=1+1", "nul\0", "nul", "", "7"], "nullable": True},
    "order": {"kind": "ordinal", "categories": ["z", "a\nb", "\u202e", "3"], "nullable": True},
    "truth": {"kind": "boolean", "nullable": True},
    "count": {"kind": "integer", "bounds": [-3, 4], "special": [99], "nullable": True},
    "real": {"kind": "real", "bounds": [0, 2], "resolution": 0.25, "bins": 3, "nullable": True},
    "day": {"kind": "date", "bounds": ["2020-01-01", "2020-01-09"], "bins": 2, "nullable": True},
    "total": {"kind": "integer", "bounds": [-4, 6], "nullable": True, "computed": {"sum": ["count", "count"]}},
    "die": {"kind": "integer", "bounds": [1, 3], "drawn_from": {"uniform": True}},
    "size": {"kind": "real", "bounds": [0, 9], "nullable": True,
             "derived_from": {"column": "label", "values": {"=1+1": 2, "nul\0": 4, "nul": None, "": 0.5, "7": 9}}},
}  # fmt: skip
VALUES = {
    "label": RULED["label"]["categories"], "order": RULED["order"]["categories"], "truth": [False, True],
    "count": [-3, 0, 4, 99], "real": [0.0, 0.5, 2.0], "day": ["2020-01-01", "2020-01-06"], "total": [-4, 0, 6],
    "die": [1, 2], "size": [0.5, 2, 9],
}  # fmt: skip
ORDERED = ("order", "count", "real", "day", "total", "die", "size")


@st.composite
def conditions(draw, name):
    values = st.sampled_from([v for v in VALUES[name] if v != 99])
    forms = [st.sampled_from(VALUES[name]), st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3)]
    if RULED[name].get("nullable"):
        forms.append(st.none())
    if name in ORDERED:
        words = st.sampled_from(["below", "from", "up_to", "above"])
        forms.append(st.dictionaries(words, values, min_size=1, max_size=2))
    found = draw(st.one_of(forms))
    return {"not": found} if draw(st.booleans()) else found


@st.composite
def rules(draw):
    if draw(st.integers(0, 2)) == 0:
        orders = [("count", "real"), ("total", "count"), ("die", "size"), ("size", "total")]
        return {"at_most": list(draw(st.sampled_from(orders)))}
    two = draw(st.lists(st.sampled_from(sorted(RULED)), min_size=2, max_size=2, unique=True))
    first, second = ({name: draw(conditions(name))} for name in two)
    return draw(st.sampled_from([{"forbid": first | second}, {"when": first, "then": second},
                                 {"when": first, "then": second, "otherwise": {two[1]: draw(conditions(two[1]))}}]))


def place(name, value):
    """A value on its column's scale, read by other means than the engine's; None where it has no place."""
    if value is None or value == 99:
        return None
    if name == "order":
        return RULED["order"]["categories"].index(value)
    return datetime.date.fromisoformat(value) if isinstance(value, str) else value


def holds(name, written, value):
    if isinstance(written, dict) and "not" in written:
        return not holds(name, written["not"], value)
    if isinstance(written, dict):
        at = place(name, value)
        compared = {"below": lambda a, b: a < b, "from": lambda a, b: a >= b, "up_to": lambda a, b: a <= b,
                    "above": lambda a, b: a > b}
        return at is not None and all(compared[word](at, place(name, limit)) for word, limit in written.items())
    values = written if isinstance(written, list) else [written]
    return value in [place(name, v) if name == "day" and v is not None else v for v in values]


def keeps(rule, row):
    if "at_most" in rule:
        first, second = (place(name, row[name]) for name in rule["at_most"])
        return first is None or second is None or first <= second
    if "forbid" in rule:
        return not all(holds(name, written, row[name]) for name, written in rule["forbid"].items())
    applies = all(holds(name, written, row[name]) for name, written in rule["when"].items())
    then = rule["then"] if applies else rule.get("otherwise", {})
    return all(holds(name, written, row[name]) for name, written in then.items())


@settings(max_examples=60)
@given(st.lists(rules(), min_size=1, max_size=3), SEEDS)
def test_no_rule_of_any_kind_is_ever_broken_in_rows_of_a_model(written, seed):
    """Rows that keep the rules are kept, all others aren't; so what leaves is the model's, given the rules."""
    declared = schema_of(RULED, rules=written)
    encoder = Encoder.of(declared)
    try:
        encoder.check_rules()
    except SchemaError:
        return
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (len(encoder.domain.names), 300))
    table, good = encoder.decode_allowed(codes, np.random.default_rng(seed))
    rows = table.to_pylist()
    assert all(keeps(rule, row) for rule in written for row in rows)
    assert all(row["total"] is None or -4 <= row["total"] <= 6 for row in rows)
    if any("at_most" in rule or "die" in str(rule) for rule in written):
        return  # a draw within a bin, or of a column, decides
    free = Encoder.of(schema_of(RULED, rules=written)).decode(codes, np.random.default_rng(seed)).to_pylist()
    sure = [i for i, row in enumerate(free) if row["count"] in (None, 99) or -4 <= 2 * row["count"] <= 6]
    assert [all(keeps(rule, free[i]) for rule in written) for i in sure] == good[sure].tolist()


@settings(max_examples=15)
@given(st.lists(rules(), min_size=1, max_size=2), SEEDS)
def test_no_rule_of_any_kind_is_ever_broken_in_a_sample(written, seed):
    encoder = Encoder.of(schema_of(RULED, rules=written))
    chain = ["label", "order", "truth", "count", "real", "day"]
    model = model_of(encoder, list(itertools.pairwise(chain)), seed % 1_000)
    try:
        rows = draw_table(model, 300, encoder=encoder, rng=generator(seed)).table.to_pylist()
    except ParameterError:
        return
    assert len(rows) == 300
    assert all(keeps(rule, row) for rule in written for row in rows)


@pytest.mark.parametrize("stored", [pa.float32(), pa.float16()])
def test_a_narrow_float_is_held_against_what_it_stands_for(stored):
    """What is written as 0.1 and 0.7 stands there a little beside it: it's at the edge all the same."""
    declared = parse_schema("""
name: t
columns: {x: {kind: real, bounds: [0.1, 0.9], edges: [0.3, 0.7], special: [-1.1], nullable: true}}
""")
    encoder = Encoder.of(declared)
    array = pa.array(np.array([0.1, 0.3, 0.7, 0.9, -1.1], stored.to_pandas_dtype()))
    assert encoder.encode({"x": array})[0].tolist() == [0, 1, 2, 2, 3]
    assert encoder.columns[0].problems(array) == {}
    structure = structure_of({"x": stored}, encoder)
    codes = np.arange(5).repeat(300)[None, :]
    made = encoder.decode(codes, np.random.default_rng(0), structure)
    assert made["x"].type == stored
    assert (encoder.encode_arrow(made) == codes).all()
    plain = [v for v in made["x"].to_pylist() if v is not None and v > 0]
    assert 0.1 <= min(plain) <= max(plain) <= 0.9


class Last:
    """Draws the last place of everything."""

    def random(self, count):
        return np.full(count, np.nextafter(1.0, 0.0))


@pytest.mark.parametrize("stored", [pa.float32(), pa.float16()])
def test_the_last_number_of_a_bin_isnt_rounded_into_the_next(stored):
    text = "name: t\ncolumns: {x: {kind: real, bounds: [0, 1], edges: [0.3, 0.7], resolution: 1.0e-9}}\n"
    encoder = Encoder.of(parse_schema(text))
    codes = np.array([[0, 1, 2]])
    made = encoder.decode(codes, Last(), structure_of({"x": stored}, encoder))
    assert made["x"].type == stored
    assert (encoder.encode_arrow(made) == codes).all()
    assert made["x"].to_numpy().astype(np.float64) == pytest.approx([0.3, 0.7, 1.0], abs=1e-3)


@pytest.mark.parametrize(
    ("column", "stored", "kept"),
    [
        ("kind: integer, bounds: [0, 2048]", pa.float16(), pa.float16()),
        ("kind: integer, bounds: [0, 2049]", pa.float16(), pa.int64()),
        ("kind: integer, bounds: [0, 16777216]", pa.float32(), pa.float32()),
        ("kind: integer, bounds: [0, 9], special: [16777217]", pa.float32(), pa.int64()),
        ("kind: real, bounds: [0, 1]", pa.float16(), pa.float16()),
        ("kind: real, bounds: [1000, 1001]", pa.float16(), pa.float64()),
        ("kind: real, bounds: [1000000, 1000001]", pa.float32(), pa.float64()),
    ],
)
def test_a_type_of_floats_too_coarse_for_the_domain_isnt_kept(column, stored, kept):
    declared = parse_schema(f"name: t\ncolumns: {{x: {{{column}}}}}\n")
    table = pa.schema([("x", stored)]).empty_table()
    assert open_table(table, declared).structure.arrow.field("x").type == kept
    assert math.isfinite(float(declared.table.columns["x"].bounds[1]))
