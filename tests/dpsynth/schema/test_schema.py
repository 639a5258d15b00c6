"""A schema is read once, wrongly declared facts are named, and one declaration has one hash."""

import json

import pytest

from accountant.adjacency import Adjacency
from dpsynth.errors import SchemaError
from dpsynth.schema import Categorical, Integer, Schema, json_schema, load_schema, parse_schema

HEAD = "dpsynth: 1\ndataset: d\ntables:\n  - name: t\n"


def declared(columns: str, table: str = "") -> Schema:
    return parse_schema(HEAD + table + "    columns:\n" + columns, file="my.yaml")


def one(text: str) -> str:
    return f"      age: {{{text}}}\n"


GOOD = declared(
    "      age: {kind: integer, bounds: [0, 99], nullable: true, provenance: law}\n"
    "      no: {kind: categorical, categories: [no, 01, 3.0, Ünï, '']}\n"
    "      pay: {kind: real, bounds: [-1.5, 1e6], scale: log}\n"
    "      id: {kind: identifier}\n",
    "    privacy_unit: {column: id, max_rows: 3}\n",
)


def test_labels_and_names_are_the_text_that_was_written():
    column = GOOD.table.columns["no"]
    assert isinstance(column, Categorical)
    assert column.categories == ("no", "01", "3.0", "Ünï", "")


def test_unit_is_the_accountants():
    unit = GOOD.table.unit
    assert (unit.column, unit.max_rows, unit.adjacency) == ("id", 3, Adjacency.ADD_REMOVE)


def test_canonical_form_has_no_floats_and_loads_again():
    text = json.dumps(GOOD.canonical(), allow_nan=False)
    assert '"1000000.0"' in text
    assert parse_schema(text) == GOOD
    assert parse_schema(text).sha256 == GOOD.sha256


def test_hash_changes_with_any_fact_and_with_the_order_of_columns():
    a, b = one("kind: boolean"), "      b: {kind: boolean}\n"
    hashes = {declared(text).sha256 for text in (a + b, b + a, a, one("kind: boolean, nullable: true"))}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (one("kind: integer, bounds: []"), "fill them in"),
        (one("kind: categorical, categories: []"), "fill in the list"),
        (one("kind: integer, bounds: [9, 1]"), "lower < upper"),
        (one("kind: integer, bounds: [1, 1]"), "lower < upper"),
        (one("kind: integer, bounds: [0, 1.5]"), "integer"),
        (one("kind: integer, bounds: [0, true]"), "integer"),
        (one("kind: integer, bounds: [0, 9007199254740993]"), "2^53"),
        (one("kind: real, bounds: [.nan, 1]"), "a finite number"),
        (one("kind: real, bounds: [0, .inf]"), "a finite number"),
        (one("kind: real, bounds: [0, 1], resolution: 0"), "resolution"),
        (one("kind: real, bounds: [0, 1], resolution: 1e-30"), "resolution"),
        (one("kind: integer, bounds: [0, 9], edges: [3, 3]"), "strictly increasing"),
        (one("kind: integer, bounds: [0, 9], edges: [0, 3]"), "above the lower bound"),
        (one("kind: integer, bounds: [0, 9], edges: [3], bins: 2"), "not both"),
        (one("kind: integer, bounds: [0, 9], bins: 0"), "greater than or equal to 1"),
        (one("kind: integer, bounds: [0, 999999], bins: each"), "bins: each"),
        (one("kind: categorical, categories: [a, b, a]"), "twice"),
        (one("kind: categorical, categories: [a, ~]"), "nullable: true"),
        (one("kind: categorical, categories: [a], otherwise: b"), "one of the declared categories"),
        (one("kind: categorical, categories: [a], derived_from: b"), "keys with values"),
        (one("kind: number"), "a 'kind', one of"),
        (one("bounds: [0, 1]"), "a 'kind', one of"),
        (one("kind: boolean, nulable: true"), "no such key"),
        ("      age: 5\n", "keys with values"),
    ],
)
def test_wrong_columns_name_file_line_column_and_what_was_expected(columns: str, expected: str):
    with pytest.raises(SchemaError) as caught:
        declared(columns)
    message = str(caught.value)
    assert "my.yaml" in message
    assert "line 6" in message
    assert "'age'" in message
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'dpsynth: 1'"),
        ("secret,words\n1,2\n", "'dpsynth: 1'"),
        ("[1, 2", "one YAML document"),
        ("a: &x 1\nb: *x", "written out"),
        ("a: 1\na: 2", "every key once"),
        ("? [a]\n: 1", "as a key"),
        ("[" * 100_000, "at most"),
        ("a: !!python/object:os.system x", "one YAML document"),
        ("dpsynth: 2\ndataset: d\ntables: []", "1"),
        ("dpsynth: 1\ndataset: ../x\ntables: []", "a name of letters"),
        ("dpsynth: 1\ndataset: d\ntables: []", "exactly one table"),
        ("dpsynth: 1\ndataset: d\ntables:\n  - {name: t, columns: {}}", "at least one column"),
        ("dpsynth: 1\ndataset: d\ntables:\n  - {name: t, rules: [x], columns: {a: {kind: boolean}}}", "keys with"),
        ("dpsynth: 1\ndataset: d\ntables:\n  - {name: t, omit: [b], columns: {a: {kind: boolean}}}", "'omit'"),
        (HEAD + "    privacy_unit: {column: a}\n    columns: {a: {kind: boolean}}", "identifier"),
        (HEAD + "    privacy_unit: {max_rows: 2}\n    columns: {a: {kind: boolean}}", "an id 'column'"),
        (HEAD + "    privacy_unit: {rows: 2}\n    columns: {a: {kind: boolean}}", "1"),
        ("name: d\nspecial: 1\ncolumns: {a: {kind: boolean}}", "one of"),
        ("name: d\ncolumns: {a: {kind: integer, bounds: [0, 3], coded: true, size: 3}}", "size - 1"),
    ],
)
def test_wrong_documents_are_schema_errors(text: str, expected: str):
    with pytest.raises(SchemaError, match=r"my\.yaml") as caught:
        parse_schema(text, file="my.yaml")
    assert expected in str(caught.value)


def test_a_table_given_as_schema_is_not_repeated_in_the_message():
    for text in ("secret,words\n1,2\n", "secret: words\n", "secret: [", "secret: 1\nsecret: 2\n"):
        with pytest.raises(SchemaError) as caught:
            parse_schema(text)
        assert "secret" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SchemaError, match="No such file"):
        load_schema(tmp_path / "none.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Zürich".encode("latin-1"))
    with pytest.raises(SchemaError, match="UTF-8"):
        load_schema(path)


def test_flat_form():
    schema = parse_schema(
        "name: flat\nunit: person\nrows: 1234567\ncolumns:\n"
        "  a: {kind: integer, bounds: [0, 199], nullable: false, note: code, coded: true, size: 200}\n"
        "  b: {kind: text, nullable: true, max_length: 6, note: names}\n"
    )
    column = schema.table.columns["a"]
    assert isinstance(column, Integer)
    assert (column.bins, column.provenance, schema.table.provenance) == ("each", "code", "unit: person")
    assert "1234567" not in json.dumps(schema.canonical())


def test_opaque_kinds_load_but_are_refused_until_omitted():
    schema = declared(one("kind: text") + "      b: {kind: boolean}\n")
    with pytest.raises(SchemaError, match="omit"):
        schema.table.check_releasable()
    declared(one("kind: text") + "      b: {kind: boolean}\n", "    omit: [age]\n").table.check_releasable()
    with pytest.raises(SchemaError, match="no column to release"):
        declared(one("kind: identifier")).table.check_releasable()


def test_json_schema_is_json_and_lists_the_kinds():
    text = json.dumps(json_schema())
    assert all(f'"{kind}"' in text for kind in ("categorical", "integer", "real", "boolean", "identifier", "datetime"))
