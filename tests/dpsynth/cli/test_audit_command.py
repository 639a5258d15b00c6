"""`dpsynth audit`: exit codes, one JSON object, words for a person."""

import json

import pytest

from dpsynth.cli.main import run
from dpsynth.progress import SilentStage
from dpsynth.synthesizers import REGISTRY
from tests.dpsynth.audit import broken

ASKED = ["--runs", "200", "--seed", "5"]


def test_0_nothing_above_the_claim(capsys):
    assert run(["audit", "independent", *ASKED]) == 0
    told = capsys.readouterr().out
    assert "independent is not above its claim, at 99 %" in told
    assert told.count("within its claim") == 2


def test_1_above_the_claim(capsys, monkeypatch):
    monkeypatch.setitem(REGISTRY, "independent", broken.NO_NOISE)
    assert run(["audit", "independent", *ASKED, "--adjacency", "add-remove", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (case,) = told["cases"]
    assert told["above"]
    assert case["above"]
    assert case["adjacency"] == "add-remove"
    assert case["found"]["low"] > case["claimed_mu"] == pytest.approx(1.0, abs=1e-6)
    assert case["epsilon_low"] > 4.8


@pytest.mark.parametrize(
    "wrong", [["nobody"], ["independent", "--adjacency", "both ways"], ["independent", "--mu", "0"], []]
)
def test_2_bad_input(capsys, wrong):
    assert run(["audit", *wrong]) == 2
    assert capsys.readouterr().err


def test_ctrl_c_keeps_the_runs_and_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    def stop(self, n=1):
        raise KeyboardInterrupt

    asked = ["audit", "independent", *ASKED, "--keep", str(tmp_path / "runs.jsonl"), "--json"]
    with monkeypatch.context() as patched:
        patched.setattr(SilentStage, "advance", stop)
        assert run(asked) == 2
    assert "same command" in json.loads(capsys.readouterr().out)["error"]["next_step"]
    assert run(asked) == 0
