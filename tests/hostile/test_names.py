"""Names are public and may be anything: they work end to end, and the report shows them without running them."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from dpsynth.schema import parse_schema
from tests.dpsynth import lines
from tests.hostile.stand import Stand

NAMES = (
    "first name",
    'the "quoted" one',
    "it's",
    "\U0001f600\u202e",
    "x'); DROP TABLE entries;--",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a,b;c\td|e",
    "=1+1",
    "{{ 7*7 }}${x}%s",
    "../../etc/passwd",
    "  ",
    "naïve\u0301",
    "select",
    "&amp;",
)
CATEGORIES = ["<b>x</b>", "o'clock", '"', "\U0001f4a3", "-1", "a,b"]


def declared() -> str:
    columns = {name: {"kind": "categorical", "categories": CATEGORIES, "provenance": name} for name in NAMES}
    table = {"name": "t", "title": NAMES[5], "source": NAMES[6], "columns": columns}
    return json.dumps({"dpsynth": 1, "dataset": "plain", "tables": [table]}, ensure_ascii=False)


def table(count: int = 1_500) -> pa.Table:
    columns = {
        name: pa.array([CATEGORIES[(i * (j + 2)) % len(CATEGORIES)] for i in range(count)])
        for j, name in enumerate(NAMES)
    }
    return pa.table(columns)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_hostile_names_are_released_and_the_report_is_inert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    stand = Stand(tmp_path, capsys, schema=declared())
    stand.out = tmp_path / "out <b> 'x' \U0001f600"
    stand.annex = tmp_path / f"{stand.out.name}.CONFIDENTIAL-annex"
    path = tmp_path / f"a 'table' \"of\" <b> \U0001f600.{suffix}"
    (pyarrow.csv.write_csv if suffix == "csv" else pq.write_table)(table(), path)
    for _ in range(4):  # an honest table may be failed by the gate, rarely
        ended = stand.release(path, synthesizer="mst", out=stand.out)
        if ended.code == 0:
            break
        stand.out = stand.out.with_name(stand.out.name + "x")
        stand.annex = stand.out.with_name(f"{stand.out.name}.CONFIDENTIAL-annex")
    stand.released(ended, codes=[0])

    (made,) = stand.out.glob(f"SYNTHETIC-t.{suffix}")
    back = pyarrow.csv.read_csv(made) if suffix == "csv" else pq.read_table(made)
    assert tuple(back.column_names) == NAMES
    for name in NAMES:
        assert set(back[name].to_pylist()) <= set(CATEGORIES)
    report = (stand.out / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in report
    assert not re.search(r"<(script|img)[\s>]", report)
    assert "<b>x</b>" not in report
    assert "onerror=alert" not in re.sub(r"&lt;img src=x onerror=alert\(1\)&gt;", "", report)
    assert stand.run("ledger", "show", stand.ledger).code == 0
    assert stand.run("plan", "-s", stand.schema, "-e", "1", "-d", "1e-6").code == 0
    assert stand.run("verify", stand.out, "-k", stand.ledger / "keys/signing.pub").code == 0


def test_a_drafted_schema_of_hostile_names_loads(stand: Stand) -> None:
    path = stand.folder / "t.parquet"
    pq.write_table(table(3), path)
    ended = stand.run("init", path, "--public", "-o", stand.folder / "draft.yaml")
    assert ended.code == 0
    draft = parse_schema((stand.folder / "draft.yaml").read_text(encoding="utf-8"))
    assert tuple(draft.table.columns) == NAMES


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "nul\0", "x" * 101])
def test_a_table_name_that_could_leave_its_folder_is_refused(stand: Stand, name: str) -> None:
    stand.schema.write_text(lines.SCHEMA.replace("- name: wards", f"- name: {json.dumps(name)}"))
    stand.refused(stand.release(stand.file("t.csv", b"")))
