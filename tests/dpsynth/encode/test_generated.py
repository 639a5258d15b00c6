"""Columns that are computed from others or drawn from a public distribution: made on output, never read."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accountant.canonical import dumps
from dpsynth.drawing import draw_table
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.estimation import Oracle, TreeModel, junction_tree
from dpsynth.external import ExternalConfig
from dpsynth.fitting import fit, load_model
from dpsynth.plan import make_plan
from dpsynth.sampling import generator
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table
from tests.dpsynth import lines

COMPUTED = """
name: t
columns:
  total: {kind: integer, bounds: [3, 12], computed: {sum: [a, b]}}
  a: {kind: integer, bounds: [0, 9]}
  b: {kind: integer, bounds: [0, 9], edges: [5]}
  c: {kind: integer, bounds: [0, 9], nullable: true, special: [99]}
  gap: {kind: integer, bounds: [-9, 9], nullable: true, computed: {difference: [c, a]}}
  area: {kind: integer, bounds: [0, 250], computed: {product: [total, b], times: 2, plus: 1}}
  ratio: {kind: real, bounds: [0, 9], resolution: 0.01, nullable: true, computed: {quotient: [a, b]}}
  low: {kind: integer, bounds: [0, 9], computed: {least: [a, b]}}
  high: {kind: real, bounds: [0, 9], computed: {greatest: [a, b]}}
"""


def right(row):
    """What COMPUTED says, written out over values."""
    a, b, c = row["a"], row["b"], row["c"]
    expected = {
        "total": a + b,
        "gap": None if c is None or c == 99 else c - a,
        "area": 2 * (a + b) * b + 1,
        "ratio": None if b == 0 else a / b,
        "low": min(a, b),
        "high": max(a, b),
    }
    same = all((row[n] is None) == (v is None) and (v is None or abs(row[n] - v) < 0.0051) for n, v in expected.items())
    return same and 3 <= row["total"] <= 12 and row["area"] <= 250


def model_of(encoder, cliques, seed=0):
    rng, tree = np.random.default_rng(seed), junction_tree(encoder.domain, cliques)
    theta = [rng.normal(0, 0.5, encoder.domain.shape(c)) for c in cliques]
    return TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=1000.0)


def test_computed_columns_are_right_in_every_row_and_rows_are_the_models_given_their_bounds():
    """A chi-square test against the exact conditional law: rows out of bounds are drawn again, never clamped."""
    encoder = Encoder.of(parse_schema(COMPUTED))
    assert encoder.domain.names == ("a", "b", "c")
    model = model_of(encoder, [("a", "b"), ("b", "c")])
    table = draw_table(model, 40_000, encoder=encoder, rng=generator(3)).table
    assert all(right(row) for row in table.to_pylist())
    assert table.schema.field("total").type == pa.int64()
    joint = model.marginal(("a", "b"))
    expected = np.zeros((10, 10))
    for a in range(10):
        for b in range(10):
            if 3 <= a + b <= 12 and 2 * (a + b) * b + 1 <= 250:
                expected[a, b] = joint[a, b // 5] / 5
    expected *= 40_000 / expected.sum()
    seen = np.zeros((10, 10))
    np.add.at(seen, (table["a"].to_numpy(), table["b"].to_numpy()), 1)
    assert seen[expected == 0].sum() == 0
    likely = expected > 5
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    assert stats.chi2.sf(statistic, likely.sum() - 1) > 1e-5


SUMS = """
name: t
columns:
  part: {kind: real, bounds: [0, 100], resolution: 0.01, bins: 5}
  other: {kind: real, bounds: [-50, 50], resolution: 0.01, bins: 5}
  whole: {kind: real, bounds: [-50, 150], resolution: 0.01, computed: {sum: [part, other]}}
"""


@pytest.mark.parametrize("stored", [pa.float64(), pa.float32(), pa.decimal128(20, 2), pa.string(), pa.int32(), None])
def test_a_column_sum_holds_in_the_tables_types(stored):
    """A real column that is computed is never cut to whole numbers, nor to fewer places than its parts have."""
    declared = parse_schema(SUMS)
    fields = [(name, stored or pa.dictionary(pa.int32(), pa.string())) for name in declared.table.columns]
    structure = open_table(pa.schema(fields).empty_table(), declared).structure
    encoder = Encoder.of(declared)
    assert not encoder.redraws
    codes = np.random.default_rng(0).integers(0, 5, (2, 500)).astype(np.uint8)
    made = encoder.decode(codes, np.random.default_rng(1), structure)
    part, other, whole = (
        np.array([float(v) for v in made[name].cast(pa.string()).to_pylist()]) for name in ("part", "other", "whole")
    )
    assert np.abs(part + other - whole).max() < (1e-4 if stored == pa.float32() else 1e-9)
    if stored is not None:
        assert made.schema.field("whole").type == (stored if stored != pa.int32() else pa.float64())


def test_sums_of_numbers_near_the_largest_are_exact_and_products_that_are_too_large_are_out():
    declared = parse_schema(f"""
name: t
columns:
  a: {{kind: integer, bounds: [{2**53 - 10**8}, {2**53}], bins: 5}}
  b: {{kind: integer, bounds: [{-(2**53)}, {10**8 - 2**53}], bins: 5}}
  s: {{kind: integer, bounds: [{-(10**9)}, {10**9}], computed: {{sum: [a, a, b, b], plus: 1}}}}
""")
    encoder = Encoder.of(declared)
    assert not encoder.redraws
    made = encoder.decode(np.array([[0, 4, 3] * 50, [0, 0, 1] * 50], np.uint8), np.random.default_rng(0))
    exact = [2 * a + 2 * b + 1 for a, b in zip(made["a"].to_pylist(), made["b"].to_pylist(), strict=True)]
    assert made["s"].to_pylist() == exact
    far = parse_schema(f"""
name: t
columns:
  a: {{kind: integer, bounds: [1, {2**53}], bins: 2}}
  p: {{kind: integer, bounds: [-9, 9], computed: {{product: [a, a, a, a]}}}}
""")
    table, good = Encoder.of(far).decode_allowed(np.array([[0, 1] * 20], np.uint8), np.random.default_rng(0))
    assert (table.num_rows, good.sum()) == (0, 0)


DRAWN = """
name: t
columns:
  x: {kind: boolean}
  coin: {kind: boolean, drawn_from: {shares: {false: 0.25, true: 0.75}}}
  arm: {kind: categorical, categories: [a, b, c], nullable: true, drawn_from: {shares: {a: 0.5, c: 0.3}, absent: 0.2}}
  even: {kind: categorical, categories: [p, q, r], drawn_from: {uniform: true}}
  die: {kind: integer, bounds: [1, 6], drawn_from: {uniform: true}}
  spot: {kind: real, bounds: [0, 1], resolution: 0.5, nullable: true, drawn_from: {uniform: true, absent: 0.1}}
  noise: {kind: real, bounds: [-1, 3], resolution: 0.001, drawn_from: {normal: {mean: 0, spread: 1}}}
  tail: {kind: real, bounds: [3, 9], resolution: 0.0001, drawn_from: {normal: {mean: 0, spread: 1}}}
  day: {kind: date, bounds: [2020-01-01, 2020-01-04], drawn_from: {uniform: true}}
  twice: {kind: integer, bounds: [2, 12], computed: {sum: [die, die]}}
"""


def counted(array, values):
    found = array.to_pylist()
    return [found.count(value) for value in values]


def test_drawn_columns_have_their_declared_law():
    encoder = Encoder.of(parse_schema(DRAWN))
    assert encoder.domain.names == ("x",)
    n = 20_000
    made = encoder.decode(np.zeros((1, n), np.uint8), generator(4))
    laws = {
        "coin": {False: 0.25, True: 0.75},
        "arm": {"a": 0.5, "c": 0.3, None: 0.2},
        "even": dict.fromkeys("pqr", 1 / 3),
        "die": dict.fromkeys(range(1, 7), 1 / 6),
        "spot": {0.0: 0.3, 0.5: 0.3, 1.0: 0.3, None: 0.1},
    }
    for name, law in laws.items():
        seen = counted(made[name], law)
        assert sum(seen) == n, name
        assert stats.chisquare(seen, [p * n for p in law.values()]).pvalue > 1e-5, name
    days = made["day"].to_pylist()
    assert stats.chisquare([days.count(day) for day in sorted(set(days))]).pvalue > 1e-5
    assert len(set(days)) == 4
    for name, (low, high) in {"noise": (-1, 3), "tail": (3, 9)}.items():
        values = made[name].to_numpy()
        assert stats.kstest(values, stats.truncnorm(low, high).cdf).pvalue > 1e-5, name
        assert low <= values.min() <= values.max() <= high
    assert made["twice"].to_pylist() == [2 * v for v in made["die"].to_pylist()]
    joint = np.histogram2d(made["noise"].to_numpy(), made["tail"].to_numpy(), 4)[0]
    assert stats.chi2_contingency(joint[:3, :2]).pvalue > 1e-5


def test_nothing_of_these_columns_is_read_and_a_fit_has_them(tmp_path):
    text = lines.SCHEMA.replace(
        "    columns:\n",
        "    columns:\n      arm: {kind: categorical, categories: [a, b], drawn_from: {shares: {a: 1}}}\n"
        "      double: {kind: integer, bounds: [0, 180], computed: {sum: [age, age]}}\n",
    )
    table = lines.table(1_500)
    for i, name in enumerate(("arm", "double")):
        table = table.add_column(i, name, pa.array(["zqx-secret"] * 1_500))
    model = fit(
        table, lines.schema(text), epsilon=1.0, delta=1e-6, ledger=lines.ledger(tmp_path), synthesizer="independent"
    )
    made = load_model(model.save(tmp_path / "m")).sample(500, seed=1)
    assert set(made["arm"].to_pylist()) == {"a"}
    assert made["double"].to_pylist() == [2 * age for age in made["age"].to_pylist()]
    assert max(made["double"].to_pylist()) <= 180
    assert set(model.sample(50, seed=2, where={"double": {"above": 100}})["double"].to_pylist()) <= set(range(101, 181))


def test_an_outside_command_gets_no_bounds_that_a_row_may_leave():
    outside = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.1, claim_delta=0.0)
    column = "      double: {kind: integer, bounds: [0, HIGH], computed: {sum: [age, age]}}\n"
    text = lines.SCHEMA.replace("    columns:\n", "    columns:\n" + column)
    make_plan(lines.schema(text.replace("HIGH", "198")), epsilon=1.0, delta=1e-6, synthesizer=outside)
    with pytest.raises(ParameterError, match="outside synthesizer"):
        make_plan(lines.schema(text.replace("HIGH", "197")), epsilon=1.0, delta=1e-6, synthesizer=outside)


@pytest.mark.parametrize(
    ("rules", "total", "named"),
    [
        ("[{when: {x: true}, then: {a: {from: 5}}}, {forbid: {x: false}}, {forbid: {b: [0, 1, 2, null]}}]", "[0, 7]",
         "rules 1, 2, 3, counted from 1 and the bounds of the computed column 'total'"),
        ("[{forbid: {x: false}}, {forbid: {b: null}}]", "[30, 40]",
         "rule 2, counted from 1 and the bounds of the computed column 'total'"),
        ("[{at_most: [a, b]}, {forbid: {a: {below: 4}}}, {forbid: {b: null}}]", "[0, 7]",
         "rules 1, 2, 3, counted from 1 and the bounds of the computed column 'total'"),
        ("[{forbid: {a: {below: 4}}}]", "[0, 7]", None),
        ("[{forbid: {a: {below: 8}}}, {forbid: {b: {from: 0}}}]", "[0, 7]", None),
    ],
)
def test_contradictions_with_bounds_of_computed_columns_are_named(rules, total, named):
    declared = parse_schema(f"""
name: t
columns:
  x: {{kind: boolean}}
  a: {{kind: integer, bounds: [0, 9]}}
  b: {{kind: integer, bounds: [0, 9], nullable: true}}
  total: {{kind: integer, bounds: {total}, nullable: true, computed: {{sum: [a, b]}}}}
  spare: {{kind: integer, bounds: [0, 81], nullable: true, computed: {{product: [a, b]}}}}
rules: {rules}
""")
    encoder = Encoder.of(declared)
    if named is None:
        encoder.check_rules()
        return
    with pytest.raises(SchemaError) as refused:
        encoder.check_rules()
    assert named in str(refused.value)


def test_the_canonical_form_loads_again():
    for text in (COMPUTED, DRAWN, SUMS):
        declared = parse_schema(text)
        again = parse_schema(dumps(declared.canonical()).decode())
        assert again.sha256 == declared.sha256
        assert again.table == declared.table


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (COMPUTED, "sum: [a, b]", "sum: [a, total]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, area]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, nowhere]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, b], product: [a, b]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, ratio]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, c]"),
        (COMPUTED, "sum: [a, b]", "sum: [a, b], times: 0.5"),
        (COMPUTED, "difference: [c, a]", "difference: [c, a, b]"),
        (COMPUTED, "nullable: true, computed: {quotient", "computed: {quotient"),
        (COMPUTED, "sum: [a, b]}", "sum: [a, b]}, drawn_from: {uniform: true}"),
        (COMPUTED, "bounds: [3, 12], computed", "bounds: [3, 12], special: [99], computed"),
        (COMPUTED, "sum: [a, b]", "eval: a + b"),
        (DRAWN, "a: 0.5, c: 0.3", "a: 0.5, c: 0.4"),
        (DRAWN, "a: 0.5, c: 0.3", "a: 0.5, d: 0.3"),
        (DRAWN, "a: 0.5, c: 0.3", "a: 1.5, c: -0.7"),
        (DRAWN, "uniform: true, absent: 0.1", "uniform: true, absent: 1"),
        (DRAWN, "[1, 6], drawn_from: {uniform: true}", "[1, 6], drawn_from: {uniform: true, absent: 0.1}"),
        (DRAWN, "mean: 0, spread: 1}}}\n  tail", "mean: 0, spread: 0}}}\n  tail"),
        (DRAWN, "bounds: [3, 9]", "bounds: [30, 90]"),
        (DRAWN, "coin: {kind: boolean, drawn_from: {shares: {false: 0.25, true: 0.75}}}",
         "coin: {kind: identifier, drawn_from: {uniform: true}}"),
    ],
)
def test_declarations_that_cant_be_kept_are_refused(text, old, new):
    assert old in text
    with pytest.raises(SchemaError):
        parse_schema(text.replace(old, new, 1))


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=30),
    st.sampled_from(["sum", "difference", "product", "least", "greatest"]),
    st.integers(-3, 3),
    st.integers(-5, 5),
    st.tuples(st.integers(-400, 400), st.integers(1, 300)),
)
@settings(max_examples=60)
def test_any_computation_is_exact_and_within_its_bounds(pairs, operation, times, plus, bounds):
    declared = parse_schema(f"""
name: t
columns:
  a: {{kind: integer, bounds: [-20, 20]}}
  b: {{kind: integer, bounds: [-20, 20]}}
  c: {{kind: integer, bounds: [{bounds[0]}, {sum(bounds)}],
       computed: {{{operation}: [a, b], times: {times}, plus: {plus}}}}}
""")
    encoder = Encoder.of(declared)
    codes = encoder.encode_arrow(pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}))
    table, good = encoder.decode_allowed(codes, np.random.default_rng(0))
    does = {"sum": lambda a, b: a + b, "difference": lambda a, b: a - b, "product": lambda a, b: a * b,
            "least": min, "greatest": max}[operation]
    exact = [does(a, b) * times + plus for a, b in pairs]
    inside = [bounds[0] <= e <= sum(bounds) for e in exact]
    assert good.tolist() == inside
    assert table["c"].to_pylist() == [e for e, fits in zip(exact, inside, strict=True) if fits]
    assert encoder.redraws or all(inside)
