"""The embedded table is what its schema declares, and its schema can be defended."""

import pyarrow.parquet as pq

from dpsynth.data import embedded_adult
from dpsynth.encode import Encoder, lint_table
from dpsynth.schema import Integer, load_schema
from dpsynth.tables import open_table


def test_embedded_table():
    table, schema = embedded_adult()
    adult = pq.read_table(table)
    assert (adult.num_rows, adult.num_columns) == (48_842, 14)
    assert table.stat().st_size < 300_000
    assert adult.schema.names == list(load_schema(schema).table.columns)
    assert lint_table(open_table(table, load_schema(schema)))[2:] == ["Every value fits its declaration."]


def test_every_declaration_says_where_it_comes_from():
    schema = load_schema(embedded_adult()[1])
    assert all(column.provenance for column in schema.table.columns.values())
    assert "CC BY 4.0" in schema.table.licence
    assert "10.24432/C5XW20" in (embedded_adult()[0].parent / "ADULT-LICENCE.txt").read_text()


def test_no_bound_or_edge_was_read_from_the_records():
    """Where the records end short of a bound, it can't have come from them; those that reach a top code are named."""
    table, path = embedded_adult()
    adult = pq.read_table(table)
    touching = set()
    for name, column in load_schema(path).table.columns.items():
        if isinstance(column, Integer) and column.bounds[1] == max(adult.column(name).to_pylist()):
            touching.add(name)
    assert touching == {"age", "education-num", "capital-gain", "hours-per-week"}


def test_zero_and_forty_are_visible():
    encoder = Encoder.of(load_schema(embedded_adult()[1]))
    described = encoder.describe()
    assert described["capital-gain"]["cuts"][0] == described["capital-loss"]["cuts"][0] == "1.0"
    assert {"40.0", "41.0"} <= set(described["hours-per-week"]["cuts"])
