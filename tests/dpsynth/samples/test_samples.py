"""Samples that people ask for: each row's law is the model's, given what was asked; what is known stays as it is."""

import datetime
import itertools
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.special import gammaincc

from dpsynth.encode import Encoder
from dpsynth.encode.merge import Merge
from dpsynth.errors import ParameterError, TableError
from dpsynth.estimation import Oracle, TreeModel, junction_tree
from dpsynth.fitted import MADE, FittedModel
from dpsynth.samples import completing, read_target
from dpsynth.schema import parse_schema

SECRET = "Zzyzx-4711"

PEOPLE = """
dpsynth: 1
dataset: people
tables:
  - name: people
    columns:
      id: {kind: identifier}
      sex: {kind: categorical, categories: [f, m]}
      age: {kind: integer, bounds: [0, 9], edges: [3, 6]}
      income: {kind: real, bounds: [0, 100], bins: 4, nullable: true, resolution: 1}
      job: {kind: categorical, categories: [a, b, c], nullable: true}
    rules:
      - {when: {age: {below: 3}}, then: {income: null, job: null}}
"""
CLIQUES = [("sex", "age"), ("age", "income"), ("income", "job")]


def fitted(text=PEOPLE, cliques=CLIQUES, merges=None, seed=0, spread=0.8):
    schema = parse_schema(text)
    encoder = Encoder.of(schema.table).merged(merges or {})
    rng, tree = np.random.default_rng(seed), junction_tree(encoder.domain, cliques)
    theta = [rng.normal(0, spread, encoder.domain.shape(c)) for c in cliques]
    model = TreeModel(tree=tree, beliefs=tuple(Oracle.of(tree, cliques).beliefs(theta)), total=500.0)
    made = {"release_id": "ab12", "epsilon": 1.0, "delta": 1e-6, "report": None}
    return FittedModel(schema=schema, model=model, merges=merges or {}, **made)


def facts(table):
    return json.loads(table.schema.metadata[MADE])


def law_under_rules(model):
    """The model's joint over codes, and the same without the cells that the rule forbids."""
    joint = model.model.marginal(model.model.domain.names)
    ruled = joint.copy()
    ruled[:, 0, :-1, :] = 0.0
    ruled[:, 0, :, :-1] = 0.0
    return joint, ruled


def chi_square(seen, expected):
    assert seen[expected == 0].sum() == 0
    likely = expected > 5
    return gammaincc((likely.sum() - 1) / 2, ((seen - expected)[likely] ** 2 / expected[likely]).sum() / 2)


def counts(model, table):
    codes = model.encoder.encode_arrow(table)
    sizes = model.model.domain.sizes
    cells = np.ravel_multi_index(tuple(codes.astype(np.int64)), sizes)
    return np.bincount(cells, minlength=int(np.prod(sizes))).reshape(sizes)


def test_rebalanced_rows_have_the_targets_shares_and_the_models_law_given_them():
    """A rule that keeps one group's rows back far oftener than the other's moves neither share."""
    model, n = fitted(), 40_000
    _, ruled = law_under_rules(model)
    table = model.sample(n, seed=1, target={"sex": {"f": 0.9}})
    seen = counts(model, table)
    assert seen.sum(axis=(1, 2, 3)).tolist() == [36_000, 4_000]
    for sex in range(2):
        law = ruled[sex] / ruled[sex].sum()
        assert chi_square(seen[sex].ravel(), law.ravel() * seen[sex].sum()) > 1e-5
    assert table["id"].to_pylist() == [f"S{i}" for i in range(1, n + 1)]
    assert table.equals(model.sample(n, seed=1, target={"sex": {"f": 0.9}}))
    assert table["sex"].to_pylist()[:20] != sorted(table["sex"].to_pylist())[:20]


def test_what_a_target_leaves_goes_to_the_others_in_the_models_proportions():
    model, n = fitted(), 30_000
    joint, _ = law_under_rules(model)
    table = model.sample(n, seed=2, target={("job", "sex"): {("b", "f"): 0.5, (None, "m"): 0.1}})
    seen = counts(model, table).sum(axis=(1, 2))
    pair = joint.sum(axis=(1, 2))
    wanted = pair.copy()
    wanted[0, 1] = wanted[1, 3] = 0.0
    wanted *= 0.4 / wanted.sum()
    wanted[0, 1], wanted[1, 3] = 0.5, 0.1
    assert np.abs(seen - wanted * n).max() <= 1
    told = facts(table)["done"][0]["target"]
    assert told["columns"] == ["sex", "job"]
    assert [c["values"] for c in told["cells"]] == [["f", "b"], ["m", None]]
    assert float(told["cells"][0]["model's share"]) == pytest.approx(pair[0, 1])
    assert float(told["cells"][0]["target share"]) == 0.5
    assert told["cells"][0]["rows"] == seen[0, 1]


def test_conditions_values_and_targets_hold_at_once():
    model = fitted()
    _, ruled = law_under_rules(model)
    table = model.sample(
        20_000, seed=3, target={"sex": {"m": 0.25}}, given={"age": 7}, where={"job": {"not": None}}
    )
    seen = counts(model, table)
    assert seen.sum(axis=(1, 2, 3)).tolist() == [15_000, 5_000]
    for sex in range(2):
        law = ruled[sex] * 1.0
        law[:2], law[:, :, -1] = 0.0, 0.0
        assert chi_square(seen[sex].ravel(), (law / law.sum()).ravel() * seen[sex].sum()) > 1e-5


def test_rare_values_can_be_any_share():
    model = fitted(spread=4.0, seed=5)
    joint, _ = law_under_rules(model)
    rare = int(np.argmin(joint.sum(axis=(0, 1, 2))[:3]))
    assert joint.sum(axis=(0, 1, 2))[rare] < 0.02
    table = model.sample(1_000, seed=1, target={"job": {"abc"[rare]: 1}})
    assert set(table["job"].to_pylist()) == {"abc"[rare]}


LABELLED = """
dpsynth: 1
dataset: labels
tables:
  - name: t
    encoding: {share: 0.1}
    columns:
      town: {kind: categorical, categories: [TOWNS]}
      x: {kind: boolean}
""".replace("TOWNS", ", ".join(f"t{i}" for i in range(40)))


def test_labels_that_share_a_code_are_told_apart():
    """40 labels in 3 codes with uneven shares: a target about one of them, and one known cell, mean that label."""
    groups = np.array([0] * 10 + [1] * 10 + [2] * 20)
    weights = np.random.default_rng(1).random(40) + 0.05
    merges = {"town": Merge(groups=groups, weights=weights)}
    model = fitted(LABELLED, [("town", "x")], merges, seed=2)
    joint = model.model.marginal(("town", "x"))
    own = weights[12] / weights[10:20].sum() * joint.sum(axis=1)[1]
    table = model.sample(20_000, seed=1, target={"town": {"t12": 0.5}})
    told = facts(table)["done"][0]["target"]["cells"][0]
    assert float(told["model's share"]) == pytest.approx(own)
    town, x = np.array(table["town"].to_pylist()), np.array(table["x"].to_pylist())
    assert (town == "t12").sum() == 10_000
    fine = joint.sum(axis=1)[groups] * weights / np.bincount(groups, weights)[groups]
    fine[12] = 0.0
    expected = fine / fine.sum() * 10_000
    seen = np.array([(town == f"t{i}").sum() for i in range(40)])
    seen[12] = 0
    assert np.abs(seen - expected).max() <= 1
    assert x[town == "t12"].mean() == pytest.approx(joint[1, 1] / joint[1].sum(), abs=0.02)
    known = model.impute(pa.table({"town": ["t12", None, "t3"] * 500}), dataset="others", seed=1)
    assert known["town"].to_pylist()[::3] == ["t12"] * 500
    assert known["town"].to_pylist()[2::3] == ["t3"] * 500
    assert len(set(known["town"].to_pylist()[1::3])) > 20


@pytest.mark.parametrize(
    "target",
    [
        {"sex": {"f": 0.7, "m": 0.7}}, {"sex": {"f": -0.1}}, {"sex": {"f": float("nan")}}, {"sex": {"f": True}},
        {"sex": {"f": 0.2, "m": 0.2}}, {"id": {"x": 1}}, {"none": {"x": 1}}, {"sex": {}}, {}, {"age": {1: 0.2, 2: 0.2}},
        {"sex": {"f": 1}, "job": {"a": 1}}, {("sex", "sex"): {("f", "f"): 1}}, {("sex", "job"): {"f": 1}},
        {"sex": {"x": 0.5}}, {"sex": {None: 0.5}}, {"age": {12: 0.5}}, {"sex": {"f": "half"}},
    ],
)
def test_what_is_no_target_is_refused(target):
    with pytest.raises(ParameterError):
        fitted().sample(10, target=target)


def test_a_target_beside_a_given_value_or_what_nothing_can_meet_is_refused(monkeypatch):
    monkeypatch.setattr(completing, "_AT_ONCE", 64)
    monkeypatch.setattr(completing, "LEAST_SHARE", 1e-2)
    with pytest.raises(ParameterError, match="both a given value and a target"):
        fitted().sample(10, target={"sex": {"f": 1}}, given={"sex": "f"})
    with pytest.raises(ParameterError, match="can't be completed"):
        fitted().sample(10, target={"sex": {"f": 1}}, where={"sex": "m"})


def test_targets_are_read_as_they_are_written():
    assert read_target({"sex": {"f": 0.5}}) == {"sex": {"f": 0.5}}
    joint = {"columns": ["sex", "job"], "shares": [["f", "a", 0.25], ["m", None, 0.5]]}
    assert read_target(joint) == {("sex", "job"): {("f", "a"): 0.25, ("m", None): 0.5}}
    for wrong in ({"sex": 0.5}, {"columns": ["sex"], "shares": [["f", "a", 0.5]]}, [1], {"columns": 1, "shares": 2},
                  {"columns": ["sex"], "shares": [["f", 0.5], ["f", 0.5]]}):
        with pytest.raises(ParameterError, match="isn't written"):
            read_target(wrong)


def partly(model, n, seed):
    """Rows of the model of which a third of the cells is gone, and which."""
    whole = model.sample(n, seed=seed).drop_columns(["id"])
    gone = np.random.default_rng(seed).random((whole.num_columns, n)) < 0.35
    kept = {
        name: pc.if_else(pa.array(lost), pa.scalar(None, whole[name].type), whole[name].combine_chunks())
        for name, lost in zip(whole.column_names, gone, strict=True)
    }
    return pa.table(kept), gone


@pytest.mark.parametrize("null_is_value", [(), ("income", "job")])
def test_imputed_cells_have_the_models_law_given_the_known_cells_and_the_rules(null_is_value):
    """For each pattern of known columns: the known cells' own counts times the exact conditional, a chi-square each."""
    model, n = fitted(), 40_000
    _, ruled = law_under_rules(model)
    part, gone = partly(model, n, 7)
    made = model.impute(part, dataset="others", null_is_value=null_is_value, seed=9).select(part.column_names)
    unknown = np.array([
        np.zeros(n, bool) if name in null_is_value else np.asarray(part[name].is_null()) for name in part.column_names
    ])
    assert (unknown[:2] == gone[:2]).all()
    tested = 0
    for name, free in zip(part.column_names, unknown, strict=True):
        assert made[name].filter(pa.array(~free)).equals(part[name].filter(pa.array(~free)))
    for pattern in itertools.product([False, True], repeat=4):
        rows = (unknown == np.array(pattern)[:, None]).all(axis=0)
        free = tuple(i for i, is_free in enumerate(pattern) if is_free)
        if not free or rows.sum() < 500:
            continue
        below = ruled.sum(axis=free, keepdims=True)
        law = np.divide(ruled, below, out=np.zeros_like(ruled), where=below > 0)
        seen = counts(model, made.filter(pa.array(rows)))
        assert chi_square(seen.ravel(), (law * seen.sum(axis=free, keepdims=True)).ravel()) > 1e-6, pattern
        tested += 1
    assert tested == (3 if null_is_value else 15)


def test_nulls_are_unknown_unless_they_are_said_to_be_values():
    model = fitted()
    part = pa.table({"sex": ["f"] * 900, "age": pa.array([8] * 900, pa.int16()), "job": pa.nulls(900, pa.string())})
    filled = model.impute(part, dataset="others", seed=1)
    assert set(filled["job"].to_pylist()) == {"a", "b", "c", None}
    kept = model.impute(part, dataset="others", null_is_value=["job"], seed=1)
    assert set(kept["job"].to_pylist()) == {None}
    assert filled.schema.field("age").type == pa.int16()
    assert set(filled["age"].to_pylist()) == {8}
    assert filled.column_names == ["sex", "age", "job", "id", "income"]
    assert len(set(filled["id"].to_pylist())) == 900
    for wrong in ("sex", "id", "none"):
        with pytest.raises(ParameterError, match="can't be values"):
            model.impute(part, dataset="others", null_is_value=[wrong])


def test_the_private_table_is_refused_by_its_declared_id():
    model, part = fitted(), pa.table({"sex": ["f"]})
    for wrong in ("people", " People ", "", "  "):
        with pytest.raises(ParameterError, match="can't be used here"):
            model.impute(part, dataset=wrong)
        with pytest.raises(ParameterError, match="can't be used here"):
            model.join_public(model.sample(3), model.sample(3), dataset=wrong)
    with pytest.raises(TypeError):
        model.impute(part)
    assert "others" in facts(model.impute(part, dataset="others"))["done"][0]["data set"]


@pytest.mark.parametrize(
    "column",
    [
        {"sex": [SECRET, "f"]}, {"age": [4711, 3]}, {"age": [SECRET, "3"]}, {"income": [4711.5, 2.0]},
        {"job": [SECRET]}, {SECRET: ["f"]}, {"age": [3.5]},
    ],
    ids=str,
)
def test_values_outside_the_domain_are_refused_and_never_told(column):
    model = fitted()
    with pytest.raises(TableError) as refused:
        model.impute(pa.table(column), dataset="others")
    assert SECRET not in str(refused.value)
    assert "4711" not in str(refused.value)
    row = model.sample(1, seed=1)
    bad = row.drop_columns(list(column)) if set(column) <= set(row.column_names) else row
    bad = pa.table(dict(zip(bad.column_names, bad.columns, strict=True)) | {n: v[:1] for n, v in column.items()})
    with pytest.raises(TableError) as refused:
        model.join_public(row, bad, dataset="others")
    assert SECRET not in str(refused.value)
    assert "4711" not in str(refused.value)


def test_rows_that_break_a_rule_are_refused():
    model = fitted()
    broken = pa.table({"age": [1, 5], "job": ["a", "b"], "id": ["x", SECRET]})
    with pytest.raises(TableError, match="break a declared rule") as refused:
        model.impute(broken, dataset="others")
    assert SECRET not in str(refused.value)


def test_an_order_of_columns_holds_with_known_values_as_they_are():
    text = """
dpsynth: 1
dataset: spans
tables:
  - name: t
    columns:
      start: {kind: integer, bounds: [0, 9], edges: [5]}
      end: {kind: integer, bounds: [0, 9], edges: [2, 4, 6, 8], nullable: true}
    rules: [{at_most: [start, end]}]
"""
    model = fitted(text, [("start", "end")])
    joint = model.model.marginal(("start", "end"))
    part = pa.table({"start": [7] * 20_000, "end": pa.nulls(20_000, pa.int64())})
    end = np.array(model.impute(part, dataset="others", seed=4)["end"].to_pandas(), float)
    law = np.array([joint[1, e // 2] / 2 * (e >= 7) for e in range(10)] + [joint[1, 5]])
    seen = np.bincount(np.where(np.isnan(end), 10, end).astype(int), minlength=11)
    assert chi_square(seen, law / law.sum() * 20_000) > 1e-5
    with pytest.raises(TableError, match="break a declared rule"):
        model.impute(pa.table({"start": [7], "end": [6]}), dataset="others")


EVERYTHING = """
dpsynth: 1
dataset: everything
tables:
  - name: t
    omit: [note]
    columns:
      id: {kind: identifier}
      note: {kind: text}
      kind: {kind: categorical, categories: ["1", "2"]}
      factor: {kind: real, bounds: [0, 9], derived_from: {column: kind, values: {"1": 1.5, "2": 8}}}
      flag: {kind: boolean, nullable: true}
      size: {kind: real, bounds: [0, 1], bins: 5}
      day: {kind: date, bounds: [2020-01-01, 2020-12-31]}
      at: {kind: datetime, bounds: ["2020-01-01", "2020-01-03"], resolution: second}
"""


@pytest.fixture
def everything():
    return fitted(EVERYTHING, [("kind", "flag"), ("size", "day"), ("at",)])


FORMS = {
    "arrow": lambda table, _: table,
    "pandas": lambda table, _: table.to_pandas(),
    "parquet": lambda table, folder: pq.write_table(table, folder / "t.parquet") or folder / "t.parquet",
    "csv": lambda table, folder: table.to_pandas().to_csv(folder / "t.csv", index=False) or folder / "t.csv",
}
ROWS = {
    "id": ["x", None, "y"],
    "note": ["free", "text", None],
    "kind": ["2", None, "1"],
    "factor": [1.5, 3.0, None],
    "flag": [True, None, False],
    "size": [0.12345, None, 0.9999],
    "day": [datetime.date(2020, 5, 17), None, datetime.date(2020, 12, 31)],
    "at": [datetime.datetime(2020, 1, 2, 3, 4, 5), None, datetime.datetime(2020, 1, 1)],
}


@pytest.mark.parametrize("form", FORMS)
def test_known_cells_stay_as_they_are_in_every_form(everything, form, tmp_path):
    made = everything.impute(FORMS[form](pa.table(ROWS), tmp_path), dataset="others", seed=1)
    assert made.column_names == [name for name in ROWS if name != "note"]
    rows = made.to_pylist()
    assert [row["id"] for row in rows] == ["x", None, "y"]
    for name in ("kind", "flag", "size", "day", "at"):
        for i in (0, 2):
            value = rows[i][name]
            assert (str(value) if name == "kind" else value) == ROWS[name][i], (name, i)
    assert [row["factor"] for row in rows] == [{"1": 1.5, "2": 8}[str(row["kind"])] for row in rows]
    assert all(value is not None for name, value in rows[1].items() if name not in ("id", "flag"))


@pytest.mark.parametrize("form", FORMS)
def test_joined_rows_are_the_public_ones_in_the_synthetic_types(everything, form, tmp_path):
    synthetic = everything.sample(5, seed=1, target={"flag": {True: 1}})
    whole = pa.table(ROWS | {"kind": ["2", "2", "1"], "size": [0.12345, 0.5, 0.9999]} | {
        name: [ROWS[name][0], ROWS[name][2], ROWS[name][2]] for name in ("day", "at")
    })
    made = everything.join_public(synthetic, FORMS[form](whole, tmp_path), dataset="census", origin="from")
    assert made.schema.remove_metadata() == synthetic.schema.remove_metadata().append(pa.field("from", pa.string()))
    assert made["from"].to_pylist() == ["synthetic"] * 5 + ["public"] * 3
    assert made.slice(0, 5).drop_columns(["from"]).equals(synthetic)
    rows = made.slice(5).to_pylist()
    assert [row["kind"] for row in rows] == ["2", "2", "1"]
    assert [row["flag"] for row in rows] == [True, None, False]
    assert [row["day"] for row in rows] == whole["day"].to_pylist()
    assert [row["at"] for row in rows] == whole["at"].to_pylist()
    assert [row["size"] for row in rows] == whole["size"].to_pylist()
    assert [row["factor"] for row in rows] == [8, 8, 1.5]
    assert [step["made"] for step in facts(made)["done"]] == ["rebalanced", "joined"]
    assert b"JOINED" in made.schema.metadata[b"dpsynth"]
    assert b"NOT RELEASED" in made.schema.metadata[b"dpsynth"]


def test_a_join_that_would_not_fit_is_refused(everything):
    synthetic = everything.sample(2, seed=1)
    for origin in ("kind", "note", "", " "):
        with pytest.raises(ParameterError, match="column of origins"):
            everything.join_public(synthetic, synthetic, dataset="census", origin=origin)
    with pytest.raises(TableError, match="lacks 1 columns"):
        everything.join_public(synthetic, synthetic.drop_columns(["size"]), dataset="census")
    with pytest.raises(TableError, match="outside its declared domain"):
        everything.join_public(synthetic, synthetic.set_column(
            synthetic.schema.get_field_index("size"), "size", pa.nulls(2, pa.float64())), dataset="census")
    with pytest.raises(TableError, match="is stored as"):
        everything.join_public(synthetic, synthetic.set_column(
            synthetic.schema.get_field_index("size"), "size", pa.array([[1.0], [2.0]])), dataset="census")


def test_only_samples_of_the_model_are_joined():
    """Private rows, other models' samples and rows of people never get the origin of synthetic ones."""
    model, others = fitted(), fitted().sample(2, seed=1)
    whole = model.sample(3, seed=2)
    filled = model.impute(whole, dataset="others")
    joined = model.join_public(whole, others, dataset="others").drop_columns(["origin"])
    balanced = model.sample(4, target={"sex": {"f": 0.5}})
    second = replace(model, release_id="cd34")
    seeded = replace(model, private=False)
    for wrong in (
        whole.replace_schema_metadata(None), whole.replace_schema_metadata({"dpsynth": "synthetic"}), filled, joined,
        seeded.sample(2), seeded.sample(2, target={"sex": {"f": 0.5}}), second.sample(2, target={"sex": {"f": 0.5}}),
        whole.replace_schema_metadata({b"dpsynth": model.label, MADE: b"{"}), whole.to_pandas(),
    ):
        with pytest.raises(ParameterError, match="don't say that they are a sample"):
            model.join_public(wrong, others, dataset="others")
    assert model.join_public(whole.slice(1), others, dataset="others")["origin"].to_pylist().count("synthetic") == 2
    assert [done["made"] for done in facts(model.join_public(balanced, others, dataset="others"))["done"]] == [
        "rebalanced", "joined",
    ]


def test_plain_samples_say_nothing_more():
    model = fitted()
    assert set(model.sample(3).schema.metadata) == {b"dpsynth"}
    assert set(model.sample(3, given={"sex": "f"}, where={"age": {"from": 5}}).schema.metadata) == {b"dpsynth"}
    told = facts(model.sample(3, target={"sex": {"f": 0.5}}))
    assert told["release"] == "ab12"
    assert told["privacy"].startswith("nothing beyond the fit")
    assert (told["epsilon"], told["delta"]) == ("1.0", "1e-06")
