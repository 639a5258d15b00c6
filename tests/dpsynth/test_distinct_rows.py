"""Rows of a person that differ in declared columns: schema, plan, reading, mechanisms, release and certificate."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accountant.adjacency import Adjacency, moved_by
from accountant.events import DiscreteGaussian
from accountant.ledger.entries import unit_to_json
from accountant.spend import Side, Step
from dpsynth.certificate.dossier import Marginal
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.people import check_people
from dpsynth.certificate.verify import verify_release
from dpsynth.encode import Encoder
from dpsynth.errors import SchemaError
from dpsynth.fitting import fit
from dpsynth.line import release
from dpsynth.plan import make_plan
from dpsynth.records import read_records
from dpsynth.schema import parse_schema
from dpsynth.sources.bounding import marginal_sensitivity
from dpsynth.tables import open_table
from tests.dpsynth import lines

KEY = bytes(range(32))
BOUND = "{column: person, max_rows: 3, distinct: [ward]}"
TEXT = lines.PERSON_SCHEMA.replace("{column: person, max_rows: 3}", BOUND)
OPENED = "{kind: open, otherwise: elsewhere,"
ROOT = 3**0.5
ADD_REMOVE = Adjacency.ADD_REMOVE


def read(data, text=TEXT, key=KEY):
    declared = lines.schema(text)
    return read_records(open_table(data, declared), Encoder.of(declared), unit=declared.table.unit, key=key)


def people(records):
    """The kept rows of each person, sorted."""
    found = {}
    for codes, units in records.source.blocks():
        for unit, row in zip(units.tolist(), codes.T.tolist(), strict=True):
            found.setdefault(records.unit_ids[unit], []).append(tuple(row))
    return {name: sorted(rows) for name, rows in found.items()}


def odd_table():
    """People whose wards are null, unknown, empty, or the same in other rows."""
    wards = ["north", None, "no such ward", "", "another one", "north", "south", None, "west", "NORTH"]
    rng = np.random.default_rng(5)
    picked = rng.integers(0, len(wards), 600)
    plain = lines.table(600, people=80, seed=5)
    return plain.set_column(1, "ward", pa.array([wards[i] for i in picked], pa.string()))


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("data", [lines.table(600, people=60), odd_table()], ids=["plain", "odd"])
def test_no_two_rows_of_a_person_are_alike_whatever_was_in_the_table(data, nullable):
    """Alike in codes: null and undeclared labels are codes like any others."""
    text = TEXT.replace("categories: [north, south, east, west]", f"categories: [north, south], nullable: {nullable}")
    text = text.replace("[north, south], nullable: False", "[north, south, east, west]")
    found = people(read(data, text))
    assert len(found) == len(set(data["person"].to_pylist()))
    for rows in found.values():
        wards = [row[0] for row in rows]
        assert 1 <= len(wards) == len(set(wards)) <= 3


def test_nobody_else_and_no_place_in_the_file_matters(tmp_path):
    """Nor in which block: a file of many row groups gives the same rows as a table."""
    data = odd_table()
    found = people(read(data))
    shuffled = data.take(np.random.default_rng(1).permutation(600))
    assert people(read(shuffled)) == found
    pq.write_table(shuffled, tmp_path / "t.parquet", row_group_size=7)
    assert people(read(tmp_path / "t.parquet")) == found
    without = data.filter(np.array([name != "p7" for name in data["person"].to_pylist()]))
    assert people(read(without)) == {name: rows for name, rows in found.items() if not name.endswith(b"p7")}
    assert people(read(data, key=bytes(32))) != found


def test_without_the_declaration_rows_are_bounded_as_before():
    data = lines.table(600, people=60)
    records = read(data, lines.PERSON_SCHEMA)
    assert records.source.distinct == ()
    assert marginal_sensitivity(records.source, ("ward",)) == 3.0
    assert any(len({row[0] for row in rows}) < len(rows) for rows in people(records).values())


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        ("{column: person, distinct: [ward]}", "'max_rows' is above 1"),
        ("{column: person, max_rows: 3, distinct: [ward, ward]}", "each once"),
        ("{column: person, max_rows: 3, distinct: [person]}", "none of them an identifier"),
        ("{column: person, max_rows: 3, distinct: [nothing]}", "names of released columns"),
        ("{rows: 1, distinct: [ward]}", "'max_rows' is above 1"),
        ("{column: person, max_rows: 3, distinct: [ward, age, smoker, score, person]}", "at most 4"),
    ],
)
def test_wrong_declarations_are_refused(bound, expected):
    with pytest.raises(SchemaError, match=expected):
        lines.schema(TEXT.replace(BOUND, bound))


def test_columns_whose_codes_are_found_out_later_are_refused():
    with pytest.raises(SchemaError, match="open or derived"):
        lines.schema(TEXT.replace("{kind: categorical, categories: [north, south, east, west],", OPENED))
    learned = TEXT.replace("[ward]", "[ward, age]") + "    encoding: {share: 0.1}\n"
    with pytest.raises(SchemaError, match="whose encoding is learned"):
        make_plan(lines.schema(learned), epsilon=2.0, delta=1e-6)
    make_plan(lines.schema(learned.replace("0.1}", "0.1, keep: [age]}")), epsilon=2.0, delta=1e-6)


def test_more_rows_than_can_differ_are_refused():
    few = lines.schema(TEXT.replace("max_rows: 3", "max_rows: 5"))
    with pytest.raises(SchemaError, match="Declare 'max_rows: 4'"):
        make_plan(few, epsilon=2.0, delta=1e-6)
    make_plan(lines.schema(TEXT.replace("max_rows: 3", "max_rows: 4")), epsilon=2.0, delta=1e-6)


def test_the_declaration_is_part_of_the_hash_and_not_of_the_ledgers_unit():
    plain, apart = lines.schema(lines.PERSON_SCHEMA), lines.schema(TEXT)
    assert plain.sha256 != apart.sha256
    assert plain.table.unit == apart.table.unit
    assert parse_schema(json.dumps(apart.canonical())).table.privacy_unit == apart.table.privacy_unit


def test_a_plan_says_how_far_a_person_moves_which_marginals():
    moves = make_plan(lines.schema(TEXT), epsilon=2.0, delta=1e-6).moves
    assert [(m.holding, m.sensitivity) for m in moves] == [(("ward",), pytest.approx(ROOT)), ((), 3.0)]
    assert [m.in_words() for m in moves] == ["with ward: 1.73205", "others: 3"]
    assert make_plan(lines.schema(lines.PERSON_SCHEMA), epsilon=2.0, delta=1e-6).moves == ()
    two = make_plan(lines.schema(TEXT.replace("[ward]", "[smoker, ward]")), epsilon=2.0, delta=1e-6).moves
    assert [m.holding for m in two] == [("ward", "smoker"), ()]  # three smoking codes: three rows may lie in one ward
    boolean = TEXT.replace("[ward]", "[smoker, ward]").replace("boolean, nullable: true", "boolean")
    three = make_plan(lines.schema(boolean), epsilon=2.0, delta=1e-6).moves
    assert [m.in_words() for m in three] == ["with ward and smoker: 1.73205", "with ward: 2.23607", "others: 3"]


@pytest.mark.parametrize("name", ["independent", "adaptive"])
def test_a_release_is_charged_for_what_the_source_enforces(tmp_path, name):
    """Marginals with the distinct column at a root of three, all others at three; and the certificate says so."""
    declared = lines.schema(TEXT)
    book = lines.ledger(tmp_path, declared=declared)
    result = release(
        lines.table(4_000, people=1_800), declared, epsilon=2.0, delta=1e-6, ledger=book, out=tmp_path / "out",
        synthesizer=name, policy=lines.lenient(),
    )  # fmt: skip
    assert result.verdict == "PASS"
    dossier = verify_release(result.out, result.public_key.read_bytes()).dossier
    charged = {}
    for step in dossier.steps:
        if isinstance(step.event, DiscreteGaussian) and step.label.endswith(")"):
            held = step.label.rpartition("(")[2][:-1].split(", ")
            charged.setdefault("ward" in held, set()).add(step.event.sensitivity)
    assert {k: [pytest.approx(v) for v in values] for k, values in charged.items()} == {True: [ROOT], False: [3.0]}
    assert min(charged[True]) ** 2 >= 3
    said = dossier.data.unit_bound
    assert "keeps at most 3 rows of each id" in said
    assert "with the same codes of ward it keeps one" in said
    assert said.count("with ward: 1.73205; others: 3") == 1
    kept = book.release(result.release_id)
    assert all(kept.totals[side].fits(kept.caps[side]) for side in kept.totals)


TWO = TEXT.replace("[ward]", "[ward, smoker, age]").replace("max_rows: 3", "max_rows: 8")
SIDES = (Side.TRAINING,)


def checked(labels, text=TWO, cells=100):
    """What a verifier says of these marginals, charged with these sensitivities."""
    steps = tuple(
        Step(label=label, event=DiscreteGaussian(sigma=9.0, sensitivity=s, draws=4), sides=SIDES)
        for label, s in labels.items()
    )
    alone = (Marginal(attributes=("age",), cells=cells, sigma=9.0),) if cells else ()
    made = SimpleNamespace(steps=steps, synthesis=SimpleNamespace(marginals=alone))
    declared = lines.schema(text)
    return check_people(made, [{"unit": unit_to_json(declared.table.unit)}], declared.canonical())


def test_verification_asks_of_each_marginal_what_a_person_can_do_to_it():
    """Rows that differ in ward, smoker and age: two of a ward and an age may differ in smoker alone."""
    honest = {
        "x (ward, age, smoker)": moved_by(8, ADD_REMOVE, in_one_cell=1),
        "x (ward, age)": moved_by(8, ADD_REMOVE, in_one_cell=3),
        "x (age, smoker)": moved_by(8, ADD_REMOVE, in_one_cell=4),
        "x (age)": 8.0, "x (ward, smoker)": 8.0, "x (score)": 8.0, "encoding: histogram of score, cells": 8.0,
    }  # fmt: skip
    assert "up to 8 rows, distinct in" in checked(honest)
    for label, moved in honest.items():
        with pytest.raises(VerificationFailed, match="below what one person can do"):
            checked(honest | {label: math.nextafter(moved, 0.0)})
    assert checked({"x (ward, smoker)": 8**0.5 + 1e-9}, cells=0)  # how many ages there are isn't told: no refusal
    with pytest.raises(VerificationFailed):
        checked({"x (ward)": ROOT}, lines.PERSON_SCHEMA)
    assert checked({"x (ward)": 3.0}, lines.PERSON_SCHEMA)


def test_a_fit_has_less_noise_where_rows_differ(tmp_path):
    """At the same price, on the same table: the noise of a marginal with the distinct column is smaller."""
    sigma, book = {}, lines.ledger(tmp_path, declared=lines.schema(TEXT))
    for text in (lines.PERSON_SCHEMA, TEXT):
        declared = lines.schema(text)
        model = fit(
            lines.table(2_000, people=900), declared, epsilon=1.0, delta=1e-6, synthesizer="independent",
            ledger=book,
        )  # fmt: skip
        sigma[text] = {m.clique: m.sigma for m in model.report.measured}
    plain, apart = sigma[lines.PERSON_SCHEMA], sigma[TEXT]
    assert apart[("ward",)] == pytest.approx(3 ** (-1 / 3) * plain[("ward",)], rel=0.02)
    assert all(apart[q] < plain[q] for q in plain)  # what it doesn't need, the others have
