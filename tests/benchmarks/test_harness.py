"""The harness of the figures: what is kept, what is measured again, and what falls short."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(harness, "CACHE", tmp_path / "cache")
    content = {"one": "a", "two": "a"}
    monkeypatch.setattr(harness, "state", lambda covers: "-".join(content[path] for path in covers))
    monkeypatch.setattr(harness, "commit", lambda covers=("one",): "abc")
    return content


def measured(times: dict[str, int], *, minutes: float = 1.0, **how: Any) -> bool:
    def section(name: str) -> harness.Section:
        def measure() -> list[harness.Figure]:
            times[name] = times.get(name, 0) + 1
            return [harness.at_most(name, 1.0, 2.0, "ms")]

        return name, measure

    covers = {"": ("one",), "second": ("two",)}
    sections = [section("first"), section("second")]
    return harness.measure_room("here", sections, minutes=minutes, fresh=False, covers=covers, **how)


def test_a_section_is_measured_again_only_where_what_decides_it_changed(room: dict[str, Any]) -> None:
    times: dict[str, int] = {}
    assert measured(times)
    room["two"] = "b"
    assert measured(times)
    assert times == {"first": 1, "second": 2}


def test_a_changed_tree_is_measured_every_time(room: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "commit", lambda covers=("one",): "abc-changed")
    times: dict[str, int] = {}
    assert measured(times)
    assert measured(times)
    assert times == {"first": 2, "second": 2}


def test_what_was_not_measured_falls_short(room: dict[str, Any]) -> None:
    assert not measured({}, minutes=-1.0)
    times: dict[str, int] = {}
    assert not measured(times, only=("second",))
    assert times == {"second": 1}
    figures = json.loads((harness.RESULTS / "here.json").read_text())["figures"]
    assert [(f["met"], f["commit"]) for f in figures] == [(False, None), (True, "abc")]


def test_the_state_is_that_of_the_committed_content() -> None:
    assert harness.state(("accountant",)) != harness.state(("dpsynth",))
    assert harness.state(("accountant",)) == harness.state(("accountant",))
