"""Declared rules and conditions: they hold in every row, and the rows are the model's, conditioned."""

import datetime
import itertools
import json
import operator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaincc

from dpsynth.drawing import draw_table
from dpsynth.encode import Encoder
from dpsynth.encode.histograms import Histogram
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.estimation import Oracle, TreeModel, junction_tree
from dpsynth.external import ExternalConfig
from dpsynth.fitting import fit
from dpsynth.line import release
from dpsynth.plan import make_plan
from dpsynth.sampling import generator
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table
from tests.dpsynth import lines

RULED = """
name: t
columns:
  age: {kind: integer, bounds: [0, 9]}
  income: {kind: real, bounds: [0, 100], bins: 4, nullable: true, resolution: 1}
  status: {kind: categorical, categories: ["1", "no"], nullable: true}
  works: {kind: boolean}
rules:
  - {when: {age: {below: 3}}, then: {income: null, works: false}, otherwise: {income: {not: null}}}
  - {forbid: {status: ["no", null], income: {from: 30, up_to: 61.5}}}
  - {when: {status: 1, works: true}, then: {age: {not: [7, 9]}}}
"""


def keeps_rules(row):
    """The rules of RULED over values, written out."""
    age, income, status, works = (row[name] for name in ("age", "income", "status", "works"))
    first = (income is None and works is False) if age < 3 else income is not None
    second = not (status in ("no", None) and income is not None and 30 <= income <= 61.5)
    third = not (status == "1" and works) or age not in (7, 9)
    return first and second and third


def model_of(encoder, cliques, seed=0):
    rng, tree = np.random.default_rng(seed), junction_tree(encoder.domain, cliques)
    theta = [rng.normal(0, 0.5, encoder.domain.shape(c)) for c in cliques]
    return TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=1000.0)


def test_codes_decide_what_values_decide():
    """Every combination of codes, decoded: allowed if and only if its values keep the rules."""
    encoder = Encoder.of(parse_schema(RULED))
    codes = np.array(list(itertools.product(*map(range, encoder.domain.sizes)))).T
    for seed in range(3):
        table, good = encoder.decode_allowed(codes, np.random.default_rng(seed))
        every = encoder.decode(codes, np.random.default_rng(seed + 10)).to_pylist()
        assert good.tolist() == [keeps_rules(row) for row in every]
        assert all(keeps_rules(row) for row in table.to_pylist())
    assert 0.1 < good.mean() < 0.9


def test_rows_are_the_models_given_the_rules():
    """A chi-square test against the exact conditional distribution: rejection, never clamping."""
    encoder = Encoder.of(parse_schema(RULED))
    model = model_of(encoder, [("age", "income"), ("income", "status"), ("status", "works")])
    drawn = draw_table(model, 40_000, encoder=encoder, rng=generator(5))
    codes = np.array(list(itertools.product(*map(range, encoder.domain.sizes)))).T
    _, good = encoder.decode_allowed(codes, np.random.default_rng(0))
    expected = np.where(good, model.marginal(encoder.domain.names).ravel(), 0.0)
    expected *= 40_000 / expected.sum()
    seen = np.bincount(np.ravel_multi_index(drawn.codes, encoder.domain.sizes), minlength=len(expected))
    assert seen[~good].sum() == 0
    likely = expected > 5
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    assert gammaincc((likely.sum() - 1) / 2, statistic / 2) > 1e-5
    assert (encoder.encode_arrow(drawn.table) == drawn.codes).all()


ORDERED = """
name: t
columns:
  id: {kind: identifier}
  start: {kind: integer, bounds: [0, 9], edges: [5]}
  end: {kind: integer, bounds: [0, 9], edges: [2, 4, 6, 8], nullable: true}
rules: [{at_most: [start, end]}]
"""


def test_an_order_of_columns_is_kept_within_bins_too():
    encoder = Encoder.of(parse_schema(ORDERED))
    model = model_of(encoder, [("start", "end")])
    table = draw_table(model, 50_000, encoder=encoder, rng=generator(6)).table
    start, end = (table[name].to_pandas().to_numpy(float, na_value=np.nan) for name in ("start", "end"))
    assert not (start > end).any()
    joint = model.marginal(("start", "end"))
    expected = np.zeros((10, 11))
    for s, e in itertools.product(range(10), range(10)):
        expected[s, e] = joint[s // 5, e // 2] / 10 * (s <= e)
    expected[:, 10] = np.repeat(joint[:, 5], 5) / 5
    expected *= 50_000 / expected.sum()
    seen = np.zeros((10, 11))
    np.add.at(seen, (start.astype(int), np.where(np.isnan(end), 10, end).astype(int)), 1)
    likely = expected > 5
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    assert gammaincc((likely.sum() - 1) / 2, statistic / 2) > 1e-5
    assert table["id"].to_pylist() == [f"S{i}" for i in range(1, 50_001)]


STORED = {
    "datetime": ("bounds: ['2013-01-01', '2013-01-03'], resolution: second",
                 [pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms", "Europe/Paris"),
                  pa.string(), pa.dictionary(pa.int32(), pa.timestamp("s"))]),
    "date": ("bounds: [2013-01-01, 2013-03-01]", [pa.date32(), pa.date64(), pa.timestamp("ns"), pa.large_string()]),
    "time": ("bounds: ['00:00:00', '23:59:59'], bins: 24", [pa.time32("s"), pa.time64("ns"), pa.string()]),
    "duration": ("bounds: [0, 600]", [pa.duration("s"), pa.duration("ns"), pa.string()]),
    "integer": ("bounds: [0, 9000], bins: 9", [pa.int16(), pa.float32(), pa.string(), pa.decimal128(9, 2)]),
}
"""Columns of each kind that an order may be declared of, and types that they may be stored in."""


def comparable(kind, value):
    """What a stored value means, read by other means than the engine's."""
    if value is None:
        return None
    if kind in ("integer", "duration"):
        return value.total_seconds() if hasattr(value, "total_seconds") else float(value)
    if kind == "time":
        return value if isinstance(value, datetime.time) else datetime.time.fromisoformat(value)
    return pd.Timestamp(value).tz_convert(None) if getattr(value, "tzinfo", None) else pd.Timestamp(value)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [(kind, *pair) for kind, (_, types) in STORED.items() for pair in itertools.product(types, types)],
    ids=str,
)
def test_an_order_holds_whatever_types_its_columns_are_stored_in(kind, first, second):
    column = f"{{kind: {kind}, {STORED[kind][0]}, nullable: true}}"
    declared = parse_schema(f"name: t\ncolumns:\n  a: {column}\n  b: {column}\nrules: [{{at_most: [a, b]}}]\n")
    structure = open_table(pa.schema([("a", first), ("b", second)]).empty_table(), declared).structure
    assert structure.arrow.types == [first, second]
    encoder, rng = Encoder.of(declared), np.random.default_rng(8)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (2, 300))
    table, good = encoder.decode_allowed(codes, rng, structure)
    rows = [[comparable(kind, row[name]) for name in "ab"] for row in table.to_pylist()]
    assert all(a is None or b is None or a <= b for a, b in rows)
    assert table.num_rows == good.sum() > 100


CONDITIONS = st.sampled_from([None, ["1", None], "no", {"not": None}, {"not": "no"}])
NUMBERS = st.one_of(
    st.sampled_from([None, 7, [0, 100], {"not": 12.5}]),
    st.dictionaries(st.sampled_from(["below", "above", "from", "up_to"]), st.integers(1, 99), min_size=1, max_size=2),
)
COMPARED = {"below": operator.lt, "above": operator.gt, "from": operator.ge, "up_to": operator.le}


def holds(written, value):
    """A condition over one value, written out."""
    if isinstance(written, dict) and "not" in written:
        return not holds(written["not"], value)
    if isinstance(written, dict):
        return value is not None and all(COMPARED[word](value, number) for word, number in written.items())
    return value in (written if isinstance(written, list) else [written])


@settings(max_examples=40, deadline=None)
@given(CONDITIONS, NUMBERS, st.booleans(), st.integers(0, 2**31))
def test_no_rule_is_ever_broken(status, income, learned, seed):
    """Whatever the rule and whatever was learned, codes decide: what is forbidden never leaves, the rest does."""
    rule = json.dumps([{"forbid": {"status": status, "income": income}}])
    text = RULED.replace("bins: 4, ", "").partition("rules:")[0] + f"rules: {rule}"
    encoder, rng = Encoder.of(parse_schema(text + ("\nencoding: {}" if learned else ""))), np.random.default_rng(seed)
    for name in encoder.learned:
        starts = encoder.blocks()[name]
        noisy = rng.integers(-5, 50, encoder.domain.size(name) - 1)
        sums = np.add.reduceat(noisy, starts)
        found = Histogram(cells=noisy, sigma=3.0, blocks=sums, block_sigma=3.0, starts=starts)
        encoder = encoder.merge({name: found}, bins=8)
    assert bool(encoder.merges) == learned
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (4, 400))
    table, good = encoder.decode_allowed(codes, rng)
    assert not any(holds(status, row["status"]) and holds(income, row["income"]) for row in table.to_pylist())
    forbidden = dict(encoder.forbidden()).get(("income", "status"), np.zeros((encoder.domain.sizes[1], 3), bool))
    assert (forbidden[codes[1], codes[2]] == ~good).all()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ("[{forbid: {works: true}}, {when: {age: 1}, then: {works: true}}, {forbid: {works: false}}]", "rules 1, 3"),
        ("[{forbid: {age: {from: 0}}}]", "rule 1"),
        ("[{when: {age: {below: 5}}, then: {works: true}}, {forbid: {works: true}}, {forbid: {age: {from: 5}}}]",
         "rules 1, 2, 3"),
        ("[{at_most: [age, income]}, {forbid: {income: [null]}}, {forbid: {income: {from: 25}}}, "
         "{forbid: {age: {below: 8}}}, {forbid: {income: {below: 25}}}]", "rules 2, 3, 5"),
    ],
)
def test_contradictory_rules_are_refused_with_a_smallest_set(rules, named):
    declared = parse_schema(RULED.partition("rules:")[0] + f"rules: {rules}")
    with pytest.raises(SchemaError, match=f"{named},"):
        make_plan(declared, epsilon=1.0, delta=1e-6)


def test_an_order_that_bounds_contradict_is_refused():
    text = ORDERED.replace("end: {kind: integer, bounds: [0, 9], edges: [2, 4, 6, 8], nullable: true}",
                           "end: {kind: integer, bounds: [-9, -1]}")
    with pytest.raises(SchemaError, match="rule 1"):
        make_plan(parse_schema(text), epsilon=1.0, delta=1e-6)
    make_plan(parse_schema(ORDERED), epsilon=1.0, delta=1e-6)


@pytest.mark.parametrize(
    "rule",
    [
        "{forbid: {nowhere: 1}}",
        "{forbid: {age: 10}}",
        "{forbid: {age: null}}",
        "{forbid: {age: 1.5}}",
        "{forbid: {status: maybe}}",
        "{forbid: {status: {below: 3}}}",
        "{forbid: {works: 1}}",
        "{forbid: {age: {like: 3}}}",
        "{forbid: {}}",
        "{when: {age: 1}}",
        "{then: {age: 1}}",
        "{when: {age: 1}, then: {works: true}, forbid: {age: 2}}",
        "{at_most: [age, status]}",
        "{at_most: [age, age]}",
        "{at_most: [age]}",
        "{}",
    ],
)
def test_rules_that_make_no_sense_are_refused(rule):
    with pytest.raises(SchemaError):
        parse_schema(RULED.partition("rules:")[0] + f"rules: [{rule}]")


def test_the_canonical_form_of_rules_loads_again():
    from accountant.canonical import dumps

    declared = parse_schema(RULED)
    again = parse_schema(dumps(declared.canonical()).decode())
    assert again.sha256 == declared.sha256
    assert [b.rule for b in Encoder.of(again).boxes] == [b.rule for b in Encoder.of(declared).boxes]


LINE_RULES = lines.SCHEMA + """
    rules:
      - {when: {ward: [north]}, then: {smoker: null}, otherwise: {smoker: {not: null}}}
      - {forbid: {ward: [south, east], age: {from: 60}}}
"""


def broken(table):
    def breaks(row):
        old = row["ward"] in ("south", "east") and row["age"] >= 60
        return old or (row["ward"] == "north") != (row["smoker"] is None)

    return [row for row in table.to_pylist() if breaks(row)]


def test_a_fit_holds_what_it_can_in_the_model_and_the_rest_in_sampling(tmp_path):
    """The records break these rules freely; no row that leaves does."""
    model = fit(lines.table(), lines.schema(LINE_RULES), epsilon=1.0, delta=1e-6, ledger=lines.ledger(tmp_path))
    for clique, forbidden in model.encoder.forbidden():
        assert model.model.marginal(clique)[forbidden].max() == 0.0
    assert broken(model.sample(4_000, seed=1)) == []
    assert model.sample(4_000, seed=1).equals(model.sample(4_000, seed=1))


def test_a_release_keeps_its_rules(tmp_path):
    book = lines.ledger(tmp_path)
    result = release(lines.table(), lines.schema(LINE_RULES), epsilon=2.0, delta=1e-6, ledger=book,
                     out=tmp_path / "out", policy=lines.lenient(), rows=2_000)
    made = pq.read_table(next(result.out.glob("*.parquet")))
    assert made.num_rows == 2_000
    assert broken(made) == []


def test_conditions_give_exact_conditionals(tmp_path):
    book = lines.ledger(tmp_path)
    model = fit(lines.table(), lines.schema(), epsilon=1.0, delta=1e-6, synthesizer="mst", ledger=book)
    where = {"ward": ["south", "east"], "age": {"from": 20, "below": 40}, "smoker": {"not": None}}
    made = model.sample(20_000, seed=3, where=where)
    assert made.num_rows == 20_000
    assert set(made["ward"].to_pylist()) == {"south", "east"}
    ages = np.array(made["age"])
    assert 20 <= ages.min() <= ages.max() < 40
    assert made["smoker"].null_count == 0
    table = model.model.marginal(("ward", "age", "smoker"))[1:3, 20:40, :2]
    expected = (20_000 * table / table.sum()).ravel()
    codes = model.encoder.encode_arrow(made)
    seen = np.bincount(np.ravel_multi_index((codes[0] - 1, codes[1] - 20, codes[2]), table.shape), minlength=table.size)
    likely = expected > 5
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    assert gammaincc((likely.sum() - 1) / 2, statistic / 2) > 1e-5


@pytest.mark.parametrize("where", [{"nowhere": 1}, {"ward": "moon"}, {"age": {"like": 3}}, {"ward": None}, {"age": []}])
def test_conditions_that_make_no_sense_are_refused(tmp_path, where):
    model = fit(lines.table(500), lines.schema(), epsilon=1.0, delta=1e-6, ledger=lines.ledger(tmp_path))
    with pytest.raises(ParameterError):
        model.sample(5, where=where)


def test_what_the_model_hardly_ever_gives_is_refused():
    encoder = Encoder.of(parse_schema(ORDERED))
    with pytest.raises(ParameterError, match="can't be drawn"):
        draw_table(model_of(encoder, [("start", "end")]), 3, encoder=encoder, rng=generator(0),
                   keep=lambda table: np.zeros(table.num_rows, bool))


def test_rules_and_an_outside_command_are_refused_in_the_plan():
    outside = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.1, claim_delta=0.0)
    with pytest.raises(ParameterError, match="outside synthesizer"):
        make_plan(lines.schema(LINE_RULES), epsilon=1.0, delta=1e-6, synthesizer=outside)


def test_identifiers_are_numbered_over_the_whole_table():
    encoder = Encoder.of(parse_schema(ORDERED))
    assert encoder.with_surrogates(pa.table({"id": ["x", "x"], "start": [1, 2], "end": [3, 4]}))["id"].to_pylist() == [
        "S1", "S2"
    ]
