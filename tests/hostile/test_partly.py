"""A secret in a private column appears nowhere, where the other columns of the same rows are kept as they are."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accountant.errors import Refusal
from accountant.ledger.verify import verify
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from dpsynth.encode import Encoder
from dpsynth.line import release
from dpsynth.samples.kept import read_public
from tests.dpsynth import partly
from tests.hostile.secrets import Heard, Secrets, files_leak, listening

ROWS = 1_200
SECRETS = Secrets(tokens=("zqx-", "8675309124", "0.72345678917"))


def marked(every: int) -> pa.Table:
    """Secrets in every private column and in the identifiers, beside public parts that are in order."""
    table = partly.table(ROWS)
    texts = {"id": "zqx-person", "note": "zqx-undeclared", "level": "zqx-high"}
    for name, token in texts.items():
        values = [token if i % every == 0 else v for i, v in enumerate(table[name].to_pylist())]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    numbers = (8675309124.0, 0.72345678917)
    cost = [numbers[i % 2] if i % every == 0 else v for i, v in enumerate(table["cost"].to_pylist())]
    table = table.set_column(table.schema.get_field_index("cost"), "cost", pa.array(cost))
    return table.replace_schema_metadata({"zqx-key": "zqx-metadata"})


def given_as(table: pa.Table, form: str, folder: Path) -> Any:
    """The table in memory, with labels that hold its secrets as categories, or as a file with dictionaries of them."""
    if form == "pandas":
        frame = table.to_pandas()
        return frame.assign(note=pd.Categorical(frame["note"]), level=frame["level"].astype("category"))
    path = folder / "clinic.parquet"
    place = table.schema.get_field_index("note")
    pq.write_table(table.set_column(place, "note", table["note"].combine_chunks().dictionary_encode()), path)
    return path


@pytest.mark.parametrize("form", ["parquet", "pandas"])
@pytest.mark.parametrize("every", [1, 5])
def test_a_secret_in_a_private_column_leaves_by_no_way(tmp_path: Path, form: str, every: int) -> None:
    folder, inputs = tmp_path / "made", tmp_path / "inputs"
    folder.mkdir()
    inputs.mkdir()
    table = given_as(marked(every), form, inputs)
    with listening() as heard:
        book = partly.ledger(folder)
        result = release(
            table, partly.schema(), epsilon=2.0, delta=1e-6, ledger=book, out=folder / "out", progress=heard
        )
        part = read_public(table, Encoder.of(partly.schema()))
        heard.add_repr(result, part, book, verify(book.path), *book.releases())
        verified = verify_release(result.out, result.public_key.read_bytes())
        heard.add_repr(verified)
        heard.add("ledger", json.dumps(book.all_entries()))
        assert heard.leaks(SECRETS) == []
    assert files_leak([folder], SECRETS, but=["out.CONFIDENTIAL-annex"]) == []
    if verified.table is not None:
        made = pq.read_table(result.out / verified.table)
        assert sorted(made["age"].to_pylist()) == sorted(partly.table(ROWS)["age"].to_pylist())


@pytest.mark.parametrize("name", ["ward", "age"])
def test_a_refusal_for_a_public_value_tells_no_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Public values are public; messages hold none all the same, and nothing of the private ones beside them."""
    value = {"ward": "zqx-ward", "age": 8675309124}[name]
    table = marked(2)
    values = [value, *table[name].to_pylist()[1:]]
    table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, tmp_path / "clinic.parquet")
    (tmp_path / "clinic.yaml").write_text(partly.SCHEMA)
    book, heard = partly.ledger(tmp_path), Heard()
    with pytest.raises(Refusal) as caught:
        release(table, partly.schema(), epsilon=2.0, delta=1e-6, ledger=book, out=tmp_path / "out", progress=heard)
    heard.add_exception(caught.value)
    book.close()
    argv = ["-s", tmp_path / "clinic.yaml", "-e", "2", "-d", "1e-6", "-l", tmp_path / "ledger", "-o", tmp_path / "out"]
    assert main.run(["release", *map(str, [tmp_path / "clinic.parquet", *argv])]) == main.REFUSED
    captured = capfd.readouterr()
    heard.add("screen", captured.out + captured.err)
    assert heard.leaks(SECRETS) == []
    assert {run.charged.amount for run in verify(tmp_path / "ledger").releases} == {0}
    assert files_leak([tmp_path / "ledger"], SECRETS) == []
