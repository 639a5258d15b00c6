"""Auto decides from public facts, says which, and steps down where its choice can't be run."""

import json
from fractions import Fraction

import pytest

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.price import AMOUNT_UNIT, Coordinate
from dpsynth.auto import AUTO, choose_synthesizer, schema_of_run
from dpsynth.domain import Domain
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError
from dpsynth.fitting import fit
from dpsynth.mechanisms import AdaptiveConfig
from dpsynth.plan import make_plan
from dpsynth.schema import parse_schema
from tests.dpsynth import lines

DOMAIN = Domain.of({"a": 7, "b": 20, "c": 12})


def chosen(rows, *, epsilon=1.0, delta=1e-9, coordinate=Coordinate.GDP, unit=None, domain=DOMAIN):
    budget = Budget(epsilon=epsilon, delta=delta, coordinate=coordinate)
    return choose_synthesizer(
        domain,
        amount=budget.cap.amount,
        coordinate=coordinate,
        unit=unit or PrivacyUnit(),
        rows_magnitude=rows,
    )


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_more_rows_or_more_budget_pay_for_rounds(coordinate):
    assert chosen(1_000, coordinate=coordinate).name == "tree"
    assert chosen(50_000, coordinate=coordinate).name == "adaptive"
    assert chosen(1_000, epsilon=10.0, coordinate=coordinate).name == "adaptive"
    assert chosen(10_000, epsilon=0.1, coordinate=coordinate).name == "tree"


def test_where_nothing_stands_above_the_noise_columns_stay_independent():
    made = chosen(1_000, epsilon=0.1)
    assert made.name == "independent"
    assert "a tree needs 60" in made.why
    assert "doesn't fit" not in made.why


def test_few_columns_may_have_a_larger_model():
    assert chosen(50_000).config.model_cells == 2_000_000
    wide = Domain.of({f"c{i}": 3 for i in range(21)})
    assert chosen(50_000, domain=wide).config == AdaptiveConfig()


def test_rows_of_one_person_count_as_one_signal():
    assert chosen(50_000, unit=PrivacyUnit(column="id", max_rows=100)).name == "tree"


def test_the_reason_names_the_public_facts():
    why = chosen(50_000).why
    assert why.startswith("auto chose adaptive: 50,000 declared rows")
    assert "assumed" in chosen(None).why


def test_a_domain_too_large_for_pairs_gets_independent_columns():
    wide = Domain.of({"a": 50_000, "b": 40_000})
    made = chosen(50_000, domain=wide)
    assert made.name == "independent"
    assert "adaptive doesn't fit" in made.why


def test_a_budget_too_small_for_rounds_gets_something_simpler():
    made = choose_synthesizer(
        DOMAIN, amount=AMOUNT_UNIT // 10**8, coordinate=Coordinate.GDP, unit=PrivacyUnit(), rows_magnitude=10**9
    )
    assert made.name == "tree"
    assert "adaptive doesn't fit" in made.why


def test_auto_is_the_default_and_the_plan_and_its_hash_say_why():
    plan = make_plan(lines.schema(), epsilon=1.0, delta=1e-6)
    assert plan.why.startswith(f"auto chose {plan.synthesizer_name}: ")
    assert plan.to_json()["synthesizer"]["settings"]["chosen"] == plan.why
    assert make_plan(lines.schema(), epsilon=1.0, delta=1e-6, synthesizer="mst").why == ""


def test_a_declared_magnitude_is_a_public_fact_of_the_schema():
    declared = lines.schema()
    table = declared.table.model_copy(update={"rows_magnitude": 1_000_000})
    more = declared.model_copy(update={"tables": (table,)})
    assert "1,000,000 declared rows" in make_plan(more, epsilon=1.0, delta=1e-6).why
    assert more.sha256 != declared.sha256
    assert "rows_magnitude" not in declared.table.canonical()


CODES, LABELS = [f"c{i}" for i in range(40)], [f"n{i}" for i in range(50)]
WITH_LABELS = f"""
name: hierarchies
rows_magnitude: 20000
columns:
  code: {{kind: categorical, categories: {json.dumps(CODES)}}}
  group:
    kind: categorical
    categories: [low, high]
    derived_from: {{column: code, values: {json.dumps({c: ("low", "high")[i // 20] for i, c in enumerate(CODES)})}}}
  name: {{kind: categorical, categories: {json.dumps(LABELS)}}}
  few: {{kind: integer, bounds: [0, 9]}}
  wage: {{kind: integer, bounds: [0, 90000]}}
"""


def of_run(schema, synthesizer=AUTO, epsilon=1.0):
    return schema_of_run(schema, synthesizer, epsilon=epsilon, delta=1e-6)


def test_auto_learns_the_encoding_of_numbers_and_of_labels_whose_groups_are_declared():
    schema = parse_schema(WITH_LABELS)
    found = of_run(schema)
    assert Encoder.of(found.table).learned == ("code", "wage")
    assert found.table.encoding.share == 0.05
    assert found.table.encoding.provenance == "chosen by dpsynth, because the schema declares none"
    assert found.sha256 != schema.sha256
    assert parse_schema(json.dumps(found.canonical())) == found
    plan = make_plan(found, epsilon=1.0, delta=1e-6)
    assert plan.encoding_amount == int(plan.gate.training_amount * Fraction(1, 20))


def test_what_is_declared_or_named_stays_as_it_is():
    schema = parse_schema(WITH_LABELS)
    assert of_run(schema, "adaptive") is schema
    assert of_run(schema, epsilon=0.01) is schema
    own = parse_schema(WITH_LABELS + "encoding: {share: 0.2, keep: [wage]}")
    assert of_run(own) is own
    plain = parse_schema("name: plain\nrows_magnitude: 20000\ncolumns: {few: {kind: integer, bounds: [0, 9]}}")
    assert of_run(plain) is plain
    public = parse_schema(WITH_LABELS + "privacy_unit: {adjacency: replace-private-part, public: [few]}")
    assert of_run(public) is public


def test_a_schemas_file_is_read_and_a_bad_budget_refused(tmp_path):
    path = tmp_path / "schema.yaml"
    path.write_text(WITH_LABELS)
    assert of_run(path).table.encoding is not None
    with pytest.raises(ParameterError, match="epsilon"):
        of_run(path, epsilon=-1.0)


def test_a_run_of_auto_publishes_what_it_learned_by(tmp_path):
    schema = lines.schema()
    model = fit(lines.table(), schema, epsilon=1.0, delta=1e-6, ledger=lines.ledger(tmp_path))
    assert model.schema == of_run(schema)
    assert model.schema.table.encoding is not None
    assert set(model.merges) == set(model.encoder.learned) == {"age"}


def test_columns_in_which_a_persons_rows_differ_keep_their_codes():
    unit = "privacy_unit: {column: id, max_rows: 3, distinct: [month]}\ncolumns:\n  id: {kind: identifier}"
    month = "\n  month: {kind: integer, bounds: [1, 48]}"
    schema = parse_schema(WITH_LABELS.replace("columns:", unit + month, 1))
    found = of_run(schema)
    assert Encoder.of(found.table).learned == ("code", "wage")
    assert make_plan(found, epsilon=1.0, delta=1e-6).moves
