"""Rules on ordered labels, dates and columns made on output: they hold, and rows are the model's given them."""

import datetime
import itertools

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from accountant.canonical import dumps
from dpsynth.drawing import draw_table, keeps
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError, SchemaError, TableError
from dpsynth.fitting import fit
from dpsynth.plan import make_plan
from dpsynth.sampling import generator
from dpsynth.schema import parse_schema
from tests.dpsynth import lines
from tests.dpsynth.encode.every_kind import learned
from tests.dpsynth.test_rules import model_of

DEGREES = ["none", "school", "degree"]
LATE = """
name: t
columns:
  own: {kind: ordinal, categories: [none, school, degree], nullable: true}
  parent: {kind: ordinal, categories: [none, school, degree], nullable: true}
  town: {kind: categorical, categories: [a, b, c]}
  size: {kind: integer, bounds: [0, 9], derived_from: {column: town, values: {a: 1, b: 5, c: 9}}}
  rank: {kind: ordinal, categories: [none, school, degree],
         derived_from: {column: town, values: {a: none, b: school, c: degree}}}
  wage: {kind: integer, bounds: [0, 5]}
  rent: {kind: integer, bounds: [0, 5], nullable: true}
  total: {kind: integer, bounds: [0, 9], nullable: true, computed: {sum: [wage, rent]}}
  coin: {kind: integer, bounds: [1, 4], drawn_from: {uniform: true}}
rules:
  - {at_most: [own, parent]}
  - {when: {own: {from: school}}, then: {wage: {above: 0}}}
  - {forbid: {total: {up_to: 3}, parent: {above: none}}}
  - {when: {size: {from: 5}}, then: {rent: {not: null}}}
  - {at_most: [size, total]}
  - {at_most: [rank, parent]}
  - {forbid: {coin: {below: 3}, town: b}}
  - {at_most: [coin, wage]}
"""


def keeps_late(row):
    """The rules of LATE over values, written out."""
    own, parent, rank = (None if row[n] is None else DEGREES.index(row[n]) for n in ("own", "parent", "rank"))
    total = None if row["rent"] is None else row["wage"] + row["rent"]
    return (
        row["total"] == total
        and (total is None or total <= 9)
        and not (own is not None and parent is not None and own > parent)
        and not (own is not None and own >= 1 and not row["wage"] > 0)
        and not (total is not None and total <= 3 and parent is not None and parent > 0)
        and not (row["size"] >= 5 and row["rent"] is None)
        and not (total is not None and row["size"] > total)
        and not (parent is not None and rank > parent)
        and not (row["coin"] < 3 and row["town"] == "b")
        and row["coin"] <= row["wage"]
    )


def every_row(encoder):
    """Every combination of codes with each value of the drawn column, as rows, and the codes."""
    codes = np.array(list(itertools.product(*map(range, encoder.domain.sizes)))).T
    rows = encoder.decode(codes, np.random.default_rng(0)).to_pylist()
    return codes, [[row | {"coin": coin} for coin in range(1, 5)] for row in rows]


def test_rows_are_the_models_given_rules_on_order_and_on_columns_made_on_output():
    """A chi-square test against the exact conditional law, the drawn column's included; all bins hold one value."""
    encoder = Encoder.of(parse_schema(LATE))
    encoder.check_rules()
    model = model_of(encoder, [("own", "parent"), ("parent", "town"), ("town", "wage"), ("wage", "rent")])
    drawn = draw_table(model, 40_000, encoder=encoder, rng=generator(5))
    rows = drawn.table.to_pylist()
    assert all(keeps_late(row) for row in rows)
    codes, every = every_row(encoder)
    plain = [[keeps_late(row | {"total": None if row["rent"] is None else row["wage"] + row["rent"]}) for row in four]
             for four in every]
    good = np.array(plain)
    law = model.marginal(encoder.domain.names)[tuple(codes)]
    expected = np.where(good, law[:, None] / 4, 0.0)
    assert 0.001 < expected.sum() < 0.5
    expected *= 40_000 / expected.sum()
    seen = np.zeros_like(expected)
    at = np.ravel_multi_index(drawn.codes, encoder.domain.sizes)
    np.add.at(seen, (at, drawn.table["coin"].to_numpy() - 1), 1)
    assert seen[~good].sum() == 0
    likely = expected > 5
    assert likely.sum() > 100
    statistic = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
    assert stats.chi2.sf(statistic, likely.sum() - 1) > 1e-5


def test_an_order_of_labels_is_a_structural_zero_and_the_search_sees_it():
    encoder = Encoder.of(parse_schema(LATE))
    forbidden = dict(encoder.forbidden())
    labels = [[a > b for b in range(3)] + [False] for a in range(3)]
    assert forbidden["own", "parent"].tolist() == [*labels, [False] * 4]
    assert forbidden["parent", "town"].tolist() == [[r > p for r in range(3)] for p in range(3)] + [[False] * 3]
    assert forbidden["own", "wage"][1:3, 0].all()
    assert forbidden["town", "rent"].sum() == 2


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ("[{at_most: [own, parent]}, {forbid: {own: [none, null]}}, {forbid: {parent: [degree, null]}}, "
         "{when: {own: school}, then: {parent: none}}, {forbid: {own: degree, parent: {below: degree}}}]",
         "rules 1, 2, 3, 4,"),
        ("[{forbid: {total: {from: 0}}}, {forbid: {rent: null}}]", "rules 1, 2,"),
        ("[{forbid: {total: null}}, {forbid: {rent: {from: 0}}}]", "rules 1, 2,"),
        ("[{forbid: {size: {from: 5}}}, {forbid: {town: a}}]", "rules 1, 2,"),
        ("[{at_most: [size, wage]}, {forbid: {size: {below: 9}}}]", "rules 1, 2,"),
        ("[{at_most: [size, total]}, {forbid: {town: [a, b]}}, {forbid: {rent: [null, 5]}}, {forbid: {wage: 5}}]",
         "rules 1, 2, 3, 4,"),
        ("[{forbid: {coin: {from: 1}}}]", "rule 1,"),
        ("[{at_most: [coin, wage]}, {forbid: {wage: {from: 1}}}]", "rules 1, 2,"),
        ("[{when: {wage: {from: 0}}, then: {total: {above: 9}}}, {forbid: {rent: null}}]", "rule 1,"),
        ("[{forbid: {coin: {up_to: 3}}}, {at_most: [coin, wage]}]", None),
        ("[{forbid: {total: {not: null}}}]", None),
        ("[{forbid: {total: {not: 7}}}]", None),
        ("[{forbid: {total: {from: 2}}}, {at_most: [rank, own]}]", None),
    ],
)
def test_contradictions_are_found_as_for_other_rules(rules, named):
    declared = parse_schema(LATE.partition("rules:")[0] + f"rules: {rules}")
    if named is None:
        Encoder.of(declared).check_rules()
        return
    with pytest.raises(SchemaError, match=named):
        make_plan(declared, epsilon=1.0, delta=1e-6)


def test_a_set_of_rules_is_refused_only_if_no_row_keeps_it():
    """Random rules over columns of every origin: what is refused has no row, by enumeration."""
    rng = np.random.default_rng(0)
    table = parse_schema(LATE)
    codes, _ = every_row(Encoder.of(table))
    parts = ["own: {from: school}", "parent: [none, null]", "total: {up_to: 6}", "total: {above: 2}", "total: null",
             "total: {not: null}", "size: {below: 9}", "rank: {above: none}", "coin: {below: 4}", "coin: [3, 4]",
             "rent: null", "wage: {from: 1}", "town: [a, b]", "size: 9"]
    orders = ["[own, parent]", "[total, size]", "[wage, total]", "[coin, wage]", "[rank, own]"]
    found = [0, 0]
    for _ in range(60):
        rules = []
        for _ in range(rng.integers(2, 6)):
            two = [str(p) for p in rng.choice(parts, rng.integers(1, 3), replace=False)]
            if len({t.split(":")[0] for t in two}) == len(two):
                rules.append(f"{{forbid: {{{', '.join(two)}}}}}")
        rules += [f"{{at_most: {orders[i]}}}" for i in rng.choice(len(orders), rng.integers(0, 3), replace=False)]
        encoder = Encoder.of(parse_schema(LATE.partition("rules:")[0] + f"rules: [{', '.join(rules)}]"))
        try:
            encoder.check_rules()
            refused = False
        except SchemaError:
            refused = True
        possible = any(
            encoder.decode_allowed(codes, np.random.default_rng(seed))[1].any() for seed in range(1 if refused else 3)
        )
        assert not (refused and possible), rules
        found[refused] += 1
        if not possible and "coin" not in str(rules):  # of what is drawn, each rule alone is held against its bounds
            assert refused, rules
    assert min(found) > 5


TIMES = """
name: t
columns:
  begin: {kind: date, bounds: [2020-01-01, 2020-03-31], nullable: true}
  end: {kind: date, bounds: [2020-01-01, 2020-03-31]}
  clock: {kind: time, bounds: ['00:00:00', '23:59:59'], resolution: minute}
  coarse: {kind: datetime, bounds: ['2020-01-01', '2020-01-03'], resolution: hour, nullable: true}
  exact: {kind: datetime, bounds: ['2020-01-01', '2020-01-03'], resolution: second, bins: 5}
rules:
  - {at_most: [begin, end]}
  - {when: {begin: {from: 2020-02-01}}, then: {clock: {below: '12:30:00'}}}
  - {forbid: {end: [2020-03-01, 2020-03-02]}}
  - {at_most: [exact, coarse]}
"""


def keeps_times(row):
    late = row["begin"] is not None and row["begin"] >= datetime.date(2020, 2, 1)
    return (
        not (row["begin"] is not None and row["begin"] > row["end"])
        and not (late and row["clock"] >= datetime.time(12, 30))
        and row["end"] not in (datetime.date(2020, 3, 1), datetime.date(2020, 3, 2))
        and not (row["coarse"] is not None and row["exact"] > row["coarse"])
    )


def test_rules_on_dates_and_times_hold_and_bins_begin_where_they_speak():
    encoder = Encoder.of(parse_schema(TIMES))
    encoder.check_rules()
    rng = np.random.default_rng(0)
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (5, 4_000))
    table, good = encoder.decode_allowed(codes, np.random.default_rng(1))
    every = encoder.decode(codes, np.random.default_rng(1)).to_pylist()
    assert all(keeps_times(row) for row in table.to_pylist())
    decided = [i for i, row in enumerate(every) if row["coarse"] is None and row["begin"] is None]
    assert [keeps_times(every[i]) for i in decided] == good[decided].tolist()
    assert 0.05 < good.mean() < 0.9


def test_orders_of_times_of_different_resolutions_are_compared_as_times():
    text = TIMES.replace("resolution: hour, nullable: true", "resolution: hour")
    Encoder.of(parse_schema(text)).check_rules()
    more = """  - {forbid: {coarse: {from: '2020-01-01 06:00'}}}
  - {forbid: {exact: {below: '2020-01-01 MINUTE'}}}
"""
    Encoder.of(parse_schema(text + more.replace("MINUTE", "05:00:00"))).check_rules()
    with pytest.raises(SchemaError, match="rules 4, 5, 6,"):
        Encoder.of(parse_schema(text + more.replace("MINUTE", "05:00:01"))).check_rules()


def test_a_quotient_that_may_be_null_contradicts_nothing():
    text = """
name: t
columns:
  a: {kind: integer, bounds: [0, 1]}
  b: {kind: integer, bounds: [0, 1]}
  r: {kind: real, bounds: [0, 1], nullable: true, computed: {quotient: [a, b]}}
rules: [{forbid: {r: {not: null}}}]
"""
    encoder = Encoder.of(parse_schema(text))
    encoder.check_rules()
    table, good = encoder.decode_allowed(np.array([[0, 1, 0, 1], [0, 0, 1, 1]]), np.random.default_rng(0))
    assert (table["r"].to_pylist(), good.tolist()) == ([None, None], [True, True, False, False])
    with pytest.raises(SchemaError, match="rules 1, 2,"):
        Encoder.of(parse_schema(text.replace("}}}]", "}}}, {forbid: {b: 0}}]"))).check_rules()


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ({"own": {"from": "school"}}, lambda row: row["own"] in ("school", "degree")),
        ({"own": {"not": {"below": "degree"}}}, lambda row: row["own"] not in ("none", "school")),
        ({"total": {"above": 4, "up_to": 7}}, lambda row: row["total"] is not None and 4 < row["total"] <= 7),
        ({"rank": {"below": "degree"}, "size": [1, 9]}, lambda row: row["rank"] != "degree" and row["size"] in (1, 9)),
        ({"coin": 2}, lambda row: row["coin"] == 2),
    ],
)
def test_conditions_of_a_sample_read_the_same(where, holds):
    encoder = Encoder.of(parse_schema(LATE))
    table = encoder.decode(every_row(encoder)[0], np.random.default_rng(3))
    assert keeps(encoder.schema, where)(table).tolist() == [holds(row) for row in table.to_pylist()]


@pytest.mark.parametrize(
    "rule",
    [
        "{at_most: [own, town]}",
        "{at_most: [town, town2]}",
        "{at_most: [own, wage]}",
        "{forbid: {town: {from: b}}}",
        "{forbid: {own: {from: diploma}}}",
        "{forbid: {own: {from: true}}}",
        "{forbid: {wage: {from: ten}}}",
        "{forbid: {wage: {from: true}}}",
        "{forbid: {day: {from: yesterday}}}",
        "{forbid: {day: 2021-01-01}}",
        "{forbid: {when: '2020-01-01 00:30:00'}}",
        "{forbid: {id: null}}",
        "{forbid: {one: 1}}",
        "{forbid: {total: text}}",
    ],
)
def test_rules_that_have_no_meaning_are_refused(rule):
    more = """  town2: {kind: categorical, categories: [a, b, c]}
  other: {kind: ordinal, categories: [none, degree, school]}
  id: {kind: identifier}
  one: {kind: constant, value: 1}
  day: {kind: date, bounds: [2020-01-01, 2020-12-31]}
  when: {kind: datetime, bounds: ['2020-01-01', '2020-12-31'], resolution: hour}
"""
    head = LATE.partition("rules:")[0] + more
    parse_schema(head)
    for one in (rule, "{at_most: [own, other]}"):
        with pytest.raises(SchemaError, match=r"at line \d+ it has"):
            parse_schema(head + f"rules: [{one}]")


def test_the_canonical_form_of_these_rules_loads_again():
    for text in (LATE, TIMES):
        declared = parse_schema(text)
        again = parse_schema(dumps(declared.canonical()).decode())
        assert again.sha256 == declared.sha256
        assert len(Encoder.of(again).boxes) == len(Encoder.of(declared).boxes)


SMALL = lines.SCHEMA.replace(
    "    columns:\n",
    "    columns:\n      double: {kind: integer, bounds: [0, 198], computed: {sum: [age, age]}}\n",
) + """
    rules:
      - {when: {double: {from: 100}}, then: {ward: [east, west]}}
"""


def late_broken(table):
    return [r for r in table.to_pylist() if r["double"] != 2 * r["age"] or (r["age"] >= 50 and r["ward"] < "e")]


def test_a_fitted_model_keeps_rules_on_computed_columns_in_every_kind_of_sample(tmp_path):
    records = lines.table(2_000)
    records = records.append_column("double", pa.array(["zqx"] * 2_000))
    model = fit(records, lines.schema(SMALL), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), synthesizer="mst")
    plain = model.sample(2_000, seed=1)
    assert {r["ward"] for r in plain.to_pylist() if r["double"] >= 100} <= {"east", "west"}
    even = model.sample(500, seed=1, target={"ward": {"north": 0.5}})
    assert {r["ward"] for r in even.to_pylist() if r["double"] >= 100} <= {"east", "west"}
    partly = pa.table({"age": [70, 70, 10, None], "smoker": [True, None, None, False]})
    filled = model.impute(partly, dataset="elsewhere", seed=1)
    assert filled["age"].to_pylist()[:3] == [70, 70, 10]
    assert set(filled["ward"].to_pylist()[:2]) <= {"east", "west"}
    unknown = model.impute(pa.table({"age": [70, 10], "ward": [None, "south"]}), dataset="elsewhere")
    assert unknown["ward"].to_pylist()[0] in ("east", "west")
    broken = pa.table({"age": [70], "ward": ["north"]})
    with pytest.raises(TableError, match="break a declared rule"):
        model.impute(broken, dataset="elsewhere")
    public = pa.table({"ward": ["north", "west"], "age": [60, 60], "smoker": [True, None], "score": [0.5, 0.5]})
    with pytest.raises(TableError, match="break a declared rule"):
        model.join_public(plain, public, dataset="elsewhere")
    joined = model.join_public(plain, public.slice(1), dataset="elsewhere")
    assert joined["double"].to_pylist()[-1] == 120


def test_an_outside_command_is_refused_where_a_rule_speaks_of_a_computed_column():
    from dpsynth.external import ExternalConfig

    outside = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.1, claim_delta=0.0)
    with pytest.raises(ParameterError, match="outside synthesizer"):
        make_plan(lines.schema(SMALL), epsilon=1.0, delta=1e-6, synthesizer=outside)


MANY = """
name: t
encoding: {}
columns:
  day: {kind: date, bounds: [2020-01-01, 2023-12-31], nullable: true}
  grade: {kind: ordinal, categories: [LABELS], nullable: true}
  other: {kind: ordinal, categories: [LABELS]}
  group: {kind: ordinal, categories: [low, high], derived_from: {column: other, values: {VALUES}}}
rules:
  - {when: {day: {from: 2021-03-05}}, then: {grade: {above: g07}}}
  - {forbid: {day: [2022-02-02, null], grade: g20}}
  - {at_most: [grade, other]}
  - {when: {group: {from: high}}, then: {day: {not: null}}}
""".replace("LABELS", ", ".join(f"g{i:02}" for i in range(40))).replace(
    "VALUES", ", ".join(f"g{i:02}: {'high' if i > 30 else 'low'}" for i in range(40))
)


@pytest.mark.parametrize("seed", range(4))
def test_merged_codes_decide_rules_on_labels_and_dates_too(seed):
    """Whatever was learned, no merged code is told apart by a rule: what the model forbids is what values forbid."""
    rng = np.random.default_rng(seed)
    encoder = learned(Encoder.of(parse_schema(MANY)), rng)
    assert set(encoder.merges) == {"day", "grade", "other"}
    encoder.check_rules()
    codes = rng.integers(0, np.array(encoder.domain.sizes)[:, None], (3, 3_000))
    table, good = encoder.decode_allowed(codes, rng)
    first = datetime.date(2021, 3, 5)
    for row in table.to_pylist():
        day, grade, other = row["day"], row["grade"], row["other"]
        assert not (day is not None and day >= first and not (grade is not None and grade > "g07"))
        assert not (day in (None, datetime.date(2022, 2, 2)) and grade == "g20")
        assert grade is None or grade <= other
        assert row["group"] == ("high" if other > "g30" else "low")
        assert not (row["group"] == "high" and day is None)
    at = dict(zip(encoder.domain.names, codes, strict=True))
    hit = [cells[tuple(at[name] for name in clique)] for clique, cells in encoder.forbidden()]
    assert (np.logical_or.reduce(hit) == ~good).all()
    assert 0.05 < good.mean() < 0.9
