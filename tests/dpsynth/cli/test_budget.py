"""`dpsynth budget`: a plan that is drafted, edited and read again, and what is wrong with one in three sentences."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpsynth.cli import main


def told(capsys: pytest.CaptureFixture[str], *argv: object, code: int = main.DONE) -> dict[str, Any]:
    assert main.run(["budget", *map(str, argv), "--json"]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_a_new_plan_is_written_edited_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    drafted = told(capsys, "-e", 1, "-d", 1e-6, "--out", file)
    assert yaml.safe_load(file.read_text()) == drafted["plan"]
    assert told(capsys, file) == drafted
    edited = yaml.safe_load(file.read_text())
    training = edited["shares"]["training"]
    measured, selected = (Fraction(training[name].removesuffix("%").strip()) for name in ("measurement", "selection"))
    training |= {"measurement": str((measured - 1) / 100), "selection": f"{float(selected + 1):g} %"}
    file.write_text(yaml.safe_dump(edited))
    read = told(capsys, file)
    assert read["plan"]["shares"]["training"] != drafted["plan"]["shares"]["training"]
    shares = [row["share"] for row in read["rows"] if row["side"] == "training"]
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100.0, abs=0.05)
    told(capsys, "--out", file, code=main.REFUSED)


def test_people_see_a_table_and_the_file_to_edit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.run(["budget", "-e", "2", "-d", "1e-6", "--holdout", "30%"]) == main.DONE
    out = capsys.readouterr().out
    assert "noisy marginals" in out
    assert max(map(len, out.splitlines())) <= 80
    assert yaml.safe_load(out[out.index("epsilon:") :])["holdout_share"] == "30 %"


def test_without_a_holdout_there_is_no_gate(capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, "--holdout", 0)["rows"]
    assert {row["purpose"] for row in rows} >= {"measurement", "selection"}
    assert not any(row["purpose"] == "gate" or row["side"] == "holdout" for row in rows)


@pytest.mark.parametrize(
    "argv",
    [
        ("-e", "0"),
        ("-d", "1"),
        ("--coordinate", "renyi"),
        ("--holdout", "1"),
        ("--holdout", "half"),
        ("--encoding", "-0.1"),
        ("--encoding", "0.999"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    assert told(capsys, *argv, code=main.REFUSED)["error"]["kind"] == "ParameterError"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "epsilon: 1",
        "{epsilon: 1, delta: 1e-6, shares: {training: {measurement: 120 %}}}",
        "{epsilon: 1, delta: 1e-6, shares: {training: {measurement: 0.1, wages: 0.1}}}",
        "{epsilon: 1, delta: 1e-6, shares: {training: 7}}",
        "{epsilon: .nan, delta: 1e-6, shares: {training: {measurement: 0.5}}}",
        "!!python/object/apply:os.system [true]",
        "{epsilon: 1, delta: 1e-6, shares: {training: {measurement: 1/0}}}",
        "\x00",
        "a: &a [*a]",
    ],
)
def test_a_hostile_file_is_refused_in_three_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    assert main.run(["budget", str(file)]) == main.REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 3


def test_a_missing_or_huge_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("a" * (1 << 21))
    for path in (tmp_path / "none.yaml", tmp_path, huge):
        assert told(capsys, path, code=main.REFUSED)["error"]["kind"] == "ParameterError"
