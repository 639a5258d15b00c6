"""What a certificate says of the form in which a table came."""

import base64
import json

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from dpsynth.line import release
from tests.dpsynth import lines

NO_ID = "rows without an id are left out"
LINES = "in CSV a record is one physical line; lines with unbalanced quotes or another number of fields are no records"
FILE = {
    "name": "storage types",
    "value": "the columns' types in the file are taken as public",
    "source": "the file's schema",
}


def stated(folder, data, declared):
    release(
        data, declared, epsilon=2.0, delta=1e-6, ledger=lines.ledger(folder, declared=declared), out=folder / "out",
        synthesizer="independent",
    )
    envelope = json.loads((folder / "out" / "certificate.json").read_bytes())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]["data"]


@pytest.mark.parametrize("people", [None, 400])
@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "pandas"])
def test_what_a_form_makes_public_is_stated(tmp_path, form, people):
    table = lines.table(1_000, people=people)
    declared = lines.schema(lines.SCHEMA if people is None else lines.PERSON_SCHEMA)
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    pq.write_table(table, tmp_path / "t.parquet")
    forms = {"arrow": table, "pandas": table.to_pandas()}
    data = stated(tmp_path, forms.get(form, tmp_path / f"t.{form}"), declared)
    assert (LINES in data["unit_bound"]) == (form == "csv")
    assert (NO_ID in data["unit_bound"]) == (people is not None)
    storage = [fact for fact in data["public_inputs"] if fact["name"] == "storage types"]
    assert len(storage) == (form != "csv")
    assert form != "parquet" or storage == [FILE]


RULED = lines.SCHEMA + """
    encoding: {share: 0.1, provenance: nobody knows the bins}
    rules:
      - {when: {ward: north}, then: {smoker: null}, provenance: nobody is asked there}
      - {forbid: {ward: [south, east], age: {from: 60.5}}}
"""
DERIVED = """
      coast: {kind: categorical, categories: [sea, land], provenance: the map,
              derived_from: {column: ward, values: {north: sea, south: land, east: land, west: sea}}}
"""


def test_rules_derived_columns_and_what_is_learned_are_public_inputs_with_their_provenance(tmp_path):
    declared = lines.schema(RULED.replace("    columns:\n", f"    columns:{DERIVED}"))
    data = lines.table(1_000)
    facts = stated(tmp_path, data.append_column("coast", data["ward"]), declared)["public_inputs"]
    found = {fact["name"]: (fact["value"], fact["source"]) for fact in facts}
    assert found["coast"] == ("categorical: a public function of ward, never read", "the map")
    first, second = (found[f"rule {number}"] for number in (1, 2))
    assert json.loads(first[0].partition(": ")[2]) == {"when": {"ward": "north"}, "then": {"smoker": None}}
    assert first[1] == "nobody is asked there"
    assert json.loads(second[0].partition(": ")[2]) == {"forbid": {"ward": ["south", "east"], "age": {"from": 60.5}}}
    assert second[1] == "declared in the schema, provenance not stated"
    assert found["learned encoding"][0].startswith("a share of 0.1 of the synthesizer's budget")
    assert found["learned encoding"][1] == "nobody knows the bins"
