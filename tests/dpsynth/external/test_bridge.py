"""The bridge to outside synthesizers: charged first, training rows only, private words, total reading, clean folder."""

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.errors import BudgetExceeded, Refusal, UnsupportedEvent
from accountant.events import ApproxDP
from accountant.spend import Side, Step
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig, ExternalFailed, load_external_config, run_external

FAKE = Path(__file__).with_name("fake_synthesizer.py")
DOMAIN = Domain.of({"a": 4, "b": 300, 'c "quoted", ☃': 2})
RECORDS = np.vstack([np.arange(50) % 4, np.arange(50) * 5 % 300, np.arange(50) % 2]).astype(np.uint16)
UNIT = PrivacyUnit()


class Recorder:
    """A spend that remembers its steps and what the private folder held when it was asked."""

    def __init__(self, root: Path, *, refuse: bool = False) -> None:
        self.steps: list[Step] = []
        self.seen: list[list[str]] = []
        self._root, self._refuse = root, refuse

    def charge(self, steps: Sequence[Step]) -> None:
        self.seen.append(sorted(p.name for p in self._root.rglob("*")))
        if self._refuse:
            raise BudgetExceeded("No.", "Spent.", "Stop.")
        self.steps.extend(steps)


def config(mode: str = "", **changes: object) -> ExternalConfig:
    arguments = ("{train}", "{domain}", "{out}", "{epsilon}", "{rows}", *([mode] if mode else []))
    command = (sys.executable, "-I", str(FAKE), *arguments)
    made = ExternalConfig(command=command, claim_epsilon=2.0, claim_delta=1e-7, timeout_seconds=30)
    return replace(made, **changes)  # type: ignore[arg-type]


def run(chosen: ExternalConfig, root: Path, spend: Recorder | None = None, **more: object) -> np.ndarray:
    return run_external(  # type: ignore[arg-type]
        chosen, records=RECORDS, domain=DOMAIN, rows=40, unit=UNIT, spend=spend or Recorder(root), workdir=root, **more
    )


def test_honest_run_returns_codes_and_leaves_nothing(tmp_path: Path) -> None:
    spend = Recorder(tmp_path)
    codes = run(config(), tmp_path, spend)
    assert codes.shape == (3, 40)
    assert codes.dtype.kind == "u"
    assert all(codes[i].max() < size for i, size in enumerate(DOMAIN.sizes))
    assert len(np.unique(codes[1])) > 5
    assert list(tmp_path.iterdir()) == []
    assert spend.steps == [
        Step(label="outside synthesizer", event=ApproxDP(epsilon=2.0, delta=1e-7), sides=(Side.TRAINING,))
    ]


def test_charged_before_the_command_sees_a_record(tmp_path: Path) -> None:
    spend = Recorder(tmp_path)
    run(config(), tmp_path, spend)
    assert spend.seen == [[]]


def test_refused_charge_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = (sys.executable, "-c", f"open({str(marker)!r}, 'w')", "{train}", "{out}")
    with pytest.raises(BudgetExceeded):
        run(config(command=command), tmp_path, Recorder(tmp_path, refuse=True))
    assert not marker.exists()


@pytest.mark.parametrize(
    "claim",
    [
        {"unit": PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)},
        {"unit": PrivacyUnit(column="id", max_rows=3)},
        {"row_count_private": False},
    ],
)
def test_a_claim_about_others_is_refused_uncharged(tmp_path: Path, claim: dict[str, object]) -> None:
    spend = Recorder(tmp_path)
    with pytest.raises(UnsupportedEvent):
        run(config(**claim), tmp_path, spend)
    assert spend.seen == []


def test_a_missing_program_is_refused_uncharged(tmp_path: Path) -> None:
    spend = Recorder(tmp_path)
    with pytest.raises(ParameterError, match="no-such-program-here") as refusal:
        run(config(command=("no-such-program-here", "{train}", "{out}")), tmp_path, spend)
    assert "charged" not in str(refusal.value)  # a run that calls this has charged its totals
    assert spend.seen == []


@pytest.mark.parametrize("mode", ["fail", "silent", "link", "header"])
def test_failure_keeps_the_charge_and_hides_the_words(tmp_path: Path, mode: str) -> None:
    spend, words = Recorder(tmp_path), io.BytesIO()
    with pytest.raises(ExternalFailed) as refusal:
        run(config(mode), tmp_path, spend, transcript=words)
    assert len(spend.steps) == 1
    assert "1,5,1" not in str(refusal.value)
    assert (b"1,5,1" in words.getvalue()) == (mode == "fail")
    assert list(tmp_path.iterdir()) == []


def test_a_slow_command_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ExternalFailed, match=r"0\.5 seconds"):
        run(config("sleep", timeout_seconds=0.5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_cleans_up_and_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    started: list[subprocess.Popen[bytes]] = []

    def interrupted(self: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if timeout is not None:
            started.append(self)
            raise KeyboardInterrupt
        return self._wait(timeout=None)  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(config("sleep"), tmp_path)
    assert [p.returncode for p in started] == [-9]
    assert list(tmp_path.iterdir()) == []


def test_wild_output_is_clipped_by_the_documented_rule(tmp_path: Path) -> None:
    codes = run(config("wild"), tmp_path)
    assert codes.T.tolist() == [[0, 0, 0], [3, 299, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_more_rows_than_asked_are_cut(tmp_path: Path) -> None:
    command = (*config().command[:-1], "90")
    assert run(config(command=command), tmp_path).shape == (3, 40)


def test_the_command_sees_the_allowed_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "x")
    words = io.BytesIO()
    run(config("environment", environment=("PATH",)), tmp_path, transcript=words)
    assert set(json.loads(words.getvalue().splitlines()[0])) <= {"PATH", "HOME", "TMPDIR", "LC_CTYPE"}


def test_the_private_folder_is_private(tmp_path: Path) -> None:
    show = "import os,sys; print(oct(os.stat(os.path.dirname(sys.argv[1])).st_mode & 0o777), os.getcwd())"
    words = io.BytesIO()
    with pytest.raises(ExternalFailed):
        run(config(command=(sys.executable, "-c", show, "{train}", "{out}")), tmp_path, transcript=words)
    mode, cwd = words.getvalue().decode().split()
    assert mode == "0o700"
    assert Path(cwd).parent == Path(os.path.realpath(tmp_path))


GOOD = """
command: [tool, '{train}', '{out}', '--epsilon', '{epsilon}']
claim: {epsilon: 1.5, delta: 1e-7, adjacency: add-remove, unit: row, row_count_private: true}
environment: [PATH]
timeout_seconds: 60
"""


def test_a_claims_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(GOOD)
    loaded = load_external_config(path)
    assert loaded.event() == ApproxDP(epsilon=1.5, delta=1e-7)
    assert loaded.unit == UNIT
    assert loaded.row_count_private
    assert loaded.to_json()["command"][0] == "tool"


def test_row_count_privacy_is_never_assumed(tmp_path: Path) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(GOOD.replace(", row_count_private: true", ""))
    assert not load_external_config(path).row_count_private


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "command: [tool]",
        GOOD.replace("[tool, '{train}', '{out}', '--epsilon', '{epsilon}']", "tool {train}"),
        GOOD.replace("'{out}', ", ""),
        GOOD.replace("epsilon: 1.5", "epsilon: -1"),
        GOOD.replace("epsilon: 1.5", "epsilon: many"),
        GOOD.replace("delta: 1e-7", "delta: 1"),
        GOOD.replace("add-remove", "sideways"),
        GOOD + "shell: true\n",
    ],
)
def test_a_bad_claims_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(text)
    with pytest.raises(Refusal):
        load_external_config(path)


def test_a_missing_claims_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError):
        load_external_config(tmp_path / "none.yaml")
