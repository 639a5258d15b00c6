"""Partial synthesis: public columns are kept, private ones are drawn given them, under an adjacency of its own."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import price
from accountant.errors import LedgerError, ParameterError, UnsupportedEvent
from accountant.events import DiscreteGaussian, PartitionSelection, PoissonSampledGaussian
from accountant.ledger import Ledger
from accountant.ledger.entries import unit_from_json, unit_to_json
from accountant.ledger.replay import owed
from accountant.pld import profile
from accountant.price import Coordinate, Price
from accountant.rules.rdp import RDP_RULES
from accountant.sides import scope_total
from accountant.spend import BOTH_SIDES, Side
from dpsynth.cli import main
from dpsynth.errors import SchemaError, TableError
from dpsynth.fitted import MADE
from dpsynth.fitting import fit, load_model
from dpsynth.plan import make_plan
from dpsynth.schema import parse_schema
from tests.dpsynth import lines

SCHEMA = """
dpsynth: 1
dataset: clinic
tables:
  - name: clinic
    privacy_unit: {rows: 1, adjacency: replace-private-part, public: [ward, age]}
    columns:
      id: {kind: identifier}
      ward: {kind: categorical, categories: [north, south, east], nullable: true}
      age: {kind: integer, bounds: [0, 99], bins: 5}
      ill: {kind: boolean}
      cost: {kind: real, bounds: [0, 100], bins: 4}
"""
PUBLIC = ("age", "ward")
UNIT = PrivacyUnit(adjacency=Adjacency.REPLACE_PRIVATE, public=PUBLIC)
BUDGET = {"epsilon": 1.0, "delta": 1e-6}


def table(rows=4_000, seed=0):
    rng = np.random.default_rng(seed)
    ward, age = rng.integers(0, 4, rows), rng.integers(0, 100, rows)
    ill = rng.random(rows) < 0.1 + 0.25 * (ward % 2) + 0.5 * (age >= 60)
    return pa.table({
        "id": [f"p{i}" for i in range(rows)],
        "ward": pa.array([["north", "south", "east", None][w] for w in ward]),
        "age": pa.array(age, pa.int64()),
        "ill": pa.array(ill),
        "cost": pa.array(np.clip(rng.normal(25 + 50 * ill, 10), 0, 100)),
    })


def ledger(folder, text=SCHEMA, epsilon=5.0):
    declared = parse_schema(text)
    budget = Budget(epsilon=epsilon, delta=1e-5, claim_share=0.1)
    return Ledger.create(folder / "books", dataset=declared.dataset, budget=budget, unit=declared.table.unit)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    book = ledger(tmp_path_factory.mktemp("partial"))
    return book, fit(table(), parse_schema(SCHEMA), ledger=book, **BUDGET)


def test_a_fit_is_charged_under_its_own_adjacency(run):
    book, model = run
    (kept,) = book.releases()
    assert kept.unit == UNIT
    assert {step.event.adjacency for step in kept.steps} == {Adjacency.REPLACE_PRIVATE}
    assert kept.totals[Side.TRAINING] == kept.totals[Side.HOLDOUT] == kept.charged
    cap = Budget(**BUDGET, claim_share=0.1).cap.amount
    assert cap * 0.99 < kept.charged.amount <= cap
    assert {step.sides for step in kept.steps} == {BOTH_SIDES}
    noise = [step.event for step in kept.steps if isinstance(step.event, DiscreteGaussian)]
    assert all(2.0 <= event.sensitivity**2 < 2.0 + 1e-12 for event in noise)
    measured = {tuple(step.label.partition(" (")[2].rstrip(")").split(", ")) for step in kept.steps
                if isinstance(step.event, DiscreteGaussian)}
    assert all(set(names) - set(PUBLIC) for names in measured)
    assert sum(price(step.event, Coordinate.GDP).amount for step in kept.steps) == kept.charged.amount
    assert "NOT PROTECTED" in model.label


def test_public_columns_stay_and_private_ones_follow_them(run, tmp_path):
    _, model = run
    real = table()
    made = model.synthesize(real, seed=1)
    assert made["ward"].equals(real["ward"])
    assert made["age"].equals(real["age"])
    assert made["id"].to_pylist()[:3] == ["S1", "S2", "S3"]
    assert (made["ill"].to_numpy() != real["ill"].to_numpy()).mean() > 0.2
    ward, old = np.array(real["ward"].to_pylist(), object), real["age"].to_numpy() >= 60
    for place, age in product(("north", "south", "east", None), (False, True)):
        rows = (ward == place) & (old == age)
        found, true = (t["ill"].to_numpy()[rows].mean() for t in (made, real))
        assert found == pytest.approx(true, abs=0.1)
    told = json.loads(made.schema.metadata[MADE])
    assert told["done"][0]["not protected"] == list(PUBLIC)
    again = load_model(model.save(tmp_path / "clinic.model"))
    assert again.synthesize(real, seed=1).equals(made)
    assert b"NOT PROTECTED" in made.schema.metadata[b"dpsynth"]


def test_nothing_but_public_columns_is_read(run):
    """A table whose private columns hold something else, or that has none, gives the same rows."""
    _, model = run
    real, other = table(300), table(300, seed=9)
    mixed = real.set_column(3, "ill", other["ill"]).set_column(4, "cost", pa.array(["x"] * 300))
    made = model.synthesize(real, seed=2)
    assert model.synthesize(mixed, seed=2).select(["ward", "age", "ill"]).equals(made.select(["ward", "age", "ill"]))
    assert model.synthesize(real.select(["age", "ward"]), seed=2)["age"].equals(made["age"])


@pytest.mark.parametrize("value", [None, "x", 1j, 2.5, True, ["y"]])
@pytest.mark.parametrize("name", ["ill", "cost", "id"])
def test_no_private_value_decides_a_type_of_what_is_made(run, name, value):
    """One of them makes pandas infer another dtype for its column; and so do all, in an Arrow table."""
    _, model = run
    frame = table(40).to_pandas()
    made = model.synthesize(frame, seed=3)
    assert made.schema.field("ward").type == pa.large_string()
    changed = frame.assign(**{name: pd.Series([value, *frame[name].tolist()[1:]])})
    same = model.synthesize(changed, seed=3)
    assert same.schema == made.schema
    assert same.equals(made)
    whole = model.synthesize(table(40), seed=3)
    stored = pa.nulls(40) if isinstance(value, complex) else pa.array([value] * 40)
    other = table(40).set_column(table().schema.get_field_index(name), name, stored)
    assert model.synthesize(other, seed=3).equals(whole)


def test_what_cannot_be_kept_is_refused(run, tmp_path):
    _, model = run
    with pytest.raises(TableError, match="lacks 1 of 2 public columns"):
        model.synthesize(table(5).select(["age"]))
    with pytest.raises(TableError, match="outside its declared domain"):
        model.synthesize(pa.table({"age": [200], "ward": ["north"]}))
    with pytest.raises(TableError, match="outside its declared domain"):
        model.synthesize(pa.table({"age": pa.array([None], pa.int64()), "ward": ["north"]}))
    path = tmp_path / "clinic.csv"
    table(50).to_pandas().to_csv(path, index=False)
    with pytest.raises(TableError, match="is a CSV file"):
        model.synthesize(path)
    with pytest.raises(TableError, match="is a CSV file"):
        fit(path, parse_schema(SCHEMA), ledger=ledger(tmp_path), **BUDGET)


def test_whole_rows_are_never_kept(tmp_path):
    model = fit(lines.table(400), lines.schema(), ledger=lines.ledger(tmp_path), **BUDGET, synthesizer="independent")
    with pytest.raises(ParameterError, match="no public columns"):
        model.synthesize(lines.table(10))


def test_adjacencies_and_public_columns_are_never_mixed_in_a_scope(tmp_path):
    book = ledger(tmp_path)
    plain = SCHEMA.replace(", adjacency: replace-private-part, public: [ward, age]", "")
    fewer = SCHEMA.replace("[ward, age]", "[ward]")
    for text in (plain, fewer):
        with pytest.raises(LedgerError, match="The ledger protects"):
            fit(table(50), parse_schema(text), ledger=book, **BUDGET, synthesizer="auto")
    assert not book.releases()
    with pytest.raises(LedgerError):
        fit(table(50), parse_schema(SCHEMA), ledger=ledger(tmp_path / "other", plain), **BUDGET)


def test_other_synthesizers_and_units_replaced_as_a_whole_are_refused_before_the_data(tmp_path):
    declared = parse_schema(SCHEMA)
    moving = SCHEMA.replace("replace-private-part, public: [ward, age]", "replace-one")
    for gated in (True, False):
        with pytest.raises(UnsupportedEvent, match="may change sides"):
            make_plan(parse_schema(moving), **BUDGET, gated=gated)
    for synthesizer in ("mst", "independent", "adaptive"):
        with pytest.raises(ParameterError, match="a part of each row is public"):
            make_plan(declared, **BUDGET, gated=False, synthesizer=synthesizer)
    learned = SCHEMA.replace("    columns:", "    encoding: {share: 0.1}\n    columns:").replace(", bins: 5", "")
    with pytest.raises(ParameterError, match="a part of each row is public"):
        make_plan(parse_schema(learned), **BUDGET, gated=False)


@pytest.mark.parametrize(
    "unit",
    [
        "{rows: 1, adjacency: replace-private-part}", "{rows: 1, public: [ward]}",
        "{column: id, max_rows: 2, adjacency: replace-private-part, public: [ward]}",
        "{rows: 1, adjacency: replace-private-part, public: [ward, ward]}",
        "{rows: 1, adjacency: replace-private-part, public: [id]}",
        "{rows: 1, adjacency: replace-private-part, public: [ward, age, ill, cost]}",
        "{rows: 1, adjacency: replace-private-part, public: [nothing]}",
    ],
)
def test_what_is_no_partly_public_unit_is_refused(unit):
    old = "{rows: 1, adjacency: replace-private-part, public: [ward, age]}"
    with pytest.raises(SchemaError):
        parse_schema(SCHEMA.replace(old, unit))


def test_units_have_one_form():
    assert unit_from_json(unit_to_json(UNIT)) == UNIT
    assert set(unit_to_json(PrivacyUnit())) == {"column", "max_rows", "adjacency"}
    assert "not protected: age, ward" in UNIT.describe()
    for wrong in (
        {"public": ("a",)}, {"adjacency": Adjacency.REPLACE_PRIVATE},
        {"adjacency": Adjacency.REPLACE_PRIVATE, "public": ("b", "a")},
        {"adjacency": Adjacency.REPLACE_PRIVATE, "public": ("a",), "column": "id"},
        {"adjacency": Adjacency.REPLACE_ONE, "public": ("a",)},
    ):
        with pytest.raises(ParameterError):
            PrivacyUnit(**wrong)


def test_a_row_that_keeps_its_coin_pays_one_side():
    """Replaced whole, a unit may change sides and pays both; with its public part kept it stays where it was."""
    sides = {Side.TRAINING: Price(900, 3), Side.HOLDOUT: Price(400, 5)}
    assert owed(sides, UNIT, 2) == Price(900, 5)
    plain, moving = {Side.TRAINING: Price(900), Side.HOLDOUT: Price(400)}, PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)
    assert owed(plain, moving, 2) == Price(2500)
    assert [a.replaces for a in Adjacency] == [False, True, True]
    assert [a.changes_sides for a in Adjacency] == [False, True, False]
    assert scope_total([], adjacency=Adjacency.REPLACE_PRIVATE) == Price()


@pytest.mark.parametrize(
    "event",
    [
        PartitionSelection(sigma=2.0, threshold=12, labels_per_unit=2, adjacency=Adjacency.REPLACE_PRIVATE),
        PoissonSampledGaussian(noise_multiplier=1.0, sampling_probability=0.1, adjacency=Adjacency.REPLACE_PRIVATE),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_turns_into_something_else_is_priced_like_a_replaced_unit(event):
    whole, row = (replace(event, adjacency=a) for a in (Adjacency.REPLACE_ONE, Adjacency.ADD_REMOVE))
    mine, same, less = (profile((e,) * 3).epsilon(1e-2) for e in (event, whole, row))
    assert mine == same > less
    mine, same, less = (np.asarray(RDP_RULES[type(e)](e)[0]) for e in (event, whole, row))
    assert (mine == same).all()
    assert (mine > less).all()


def test_the_command_line_plans_it_and_keeps_public_columns(run, tmp_path, capsys):
    _, model = run
    schema, saved, out = tmp_path / "clinic.yaml", tmp_path / "clinic.model", tmp_path / "made.parquet"
    schema.write_text(SCHEMA)
    assert main.run(["plan", "-s", str(schema), "-e", "1", "-d", "1e-6"]) == main.DONE
    told = capsys.readouterr().out
    assert "not protected: age, ward" in told
    assert "partial" in told
    pq.write_table(table(40), tmp_path / "clinic.parquet")
    model.save(saved)
    sample = ["sample", str(saved), "-o", str(out), "--synthesize", str(tmp_path / "clinic.parquet")]
    assert main.run([*sample, "--json"]) == main.DONE
    made = pq.read_table(json.loads(capsys.readouterr().out)["out"])
    assert made["age"].equals(table(40)["age"])
    for wrong in (["-n", "3"], ["--dataset", "x"], ["--impute", "x.csv", "--dataset", "x"], ["--given", "{age: 3}"]):
        assert main.run([*sample, *wrong, "--json"]) == main.REFUSED
