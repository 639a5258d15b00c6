"""Every shared table that has supported kinds loads, opens, encodes, decodes and fits its declaration."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dpsynth.encode import Encoder, lint_table
from dpsynth.errors import SchemaError
from dpsynth.schema import Opaque, load_schema
from dpsynth.tables import open_table, write_table

pytestmark = pytest.mark.data
NAMES = (
    "acs_income_ny", "acs_national2018", "acs_national2019", "adult_aim", "adult_pgm", "adult_privmrf", "adult_raw",
    "german_credit", "nhanes_2017", "nist_taxi", "nyc_flights", "salary_aim", "titanic_aim",
)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, shared_data: Path, tmp_path: Path):
    schema = load_schema(shared_data / f"{name}.schema.yaml").table
    opaque = tuple(column for column, declared in schema.columns.items() if isinstance(declared, Opaque))
    source = next(path for path in shared_data.glob(f"{name}.*") if path.name.endswith((".parquet", ".csv.gz")))
    if opaque:
        with pytest.raises(SchemaError):
            open_table(source, schema)
        schema = schema.model_copy(update={"omit": opaque})
    handle, encoder = open_table(source, schema), Encoder.of(schema)
    codes = np.concatenate([encoder.encode(block) for block in handle.blocks()], axis=1)
    assert lint_table(handle)[2:] == ["Every value fits its declaration."]
    table = encoder.decode(codes, np.random.default_rng(0), handle.structure)
    assert table.schema == handle.structure.arrow
    assert (encoder.encode_arrow(table) == codes).all()
    if source.suffix == ".parquet":
        written = write_table(table, tmp_path / "SYNTHETIC.parquet")
        kept = [field for field in pq.read_schema(source) if field.name not in opaque]
        assert [(f.name, f.type) for f in pq.read_schema(written.path)] == [(f.name, f.type) for f in kept]


def test_csv_and_parquet_of_one_table_have_the_same_codes(shared_data: Path, tmp_path: Path):
    schema = load_schema(shared_data / "acs_national2019.schema.yaml")
    table, encoder = pq.read_table(shared_data / "acs_national2019.parquet"), Encoder.of(schema)
    write_table(table, tmp_path / "t.csv")
    codes = [encoder.encode(block) for block in open_table(tmp_path / "t.csv", schema).blocks()]
    assert (np.concatenate(codes, axis=1) == encoder.encode_arrow(table)).all()
