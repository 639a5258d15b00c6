"""Another project's trainings beside ours: one that serves several epsilons, its noise, its time, what is told."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import deep_peers
from benchmarks.deep_peers import EPSILONS, own_settings, told
from benchmarks.peers.dpctgan import least_noise, within


def training(**changed: Any) -> dict[str, Any]:
    scores = {"2way_tv": 0.4, "auc_below_real": 0.3, "cpu_seconds": 210.0}
    return {"ended": False, "epochs_begun": 4, "epsilon_seen": 0.31, "epsilon_spent": 0.335, **scores, **changed}


def test_an_interrupted_training_serves_every_epsilon_that_it_had_not_seen_passed() -> None:
    asked: list[float] = []

    def measure(epsilon: float) -> dict[str, Any]:
        asked.append(epsilon)
        return training(epsilon_seen=2.0, asked=epsilon)

    assert [own_settings(epsilon, measure)["asked"] for epsilon in EPSILONS] == [1.0, 10.0, 10.0]
    assert asked == [10.0, 1.0, 10.0, 10.0]


def test_a_training_that_was_stopped_unscored_serves_all() -> None:
    assert own_settings(1.0, lambda epsilon: {"unscored": "stopped", "asked": epsilon})["asked"] == 10.0


def test_what_did_not_finish_is_told_as_such() -> None:
    assert told({"unscored": "stopped at 260 CPU s"}) == "did not finish: stopped at 260 CPU s"
    assert told(training()) == (
        "did not finish in 200 CPU s (epoch 4, epsilon 0.335 by its count), as it was 0.4000, 0.3000, 210.0 CPU s"
    )
    assert told(training(ended=True)) == "(epsilon 0.335 by its count) 0.4000, 0.3000, 210.0 CPU s"


def test_without_its_environment_every_line_falls_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deep_peers, "PYTHON", tmp_path / "python")
    figures = list(deep_peers.beside())
    assert [figure.met for figure in figures] == [False] * len(EPSILONS)
    assert all("run make .venv-peer-smartnoise" in figure.measured for figure in figures)


def test_the_noise_is_the_least_within_epsilon() -> None:
    noise = least_noise(lambda noise: 6.0 / noise, 1.5)
    assert 4.0 <= noise <= 4.001
    with pytest.raises(ValueError, match="no noise"):
        least_noise(lambda noise: 2.0, 1.5)


def test_work_is_interrupted_at_its_time_and_no_later() -> None:
    done: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            yield 1

    def count() -> None:
        try:
            for step in endless():
                done.append(step)
                if len(done) % 1000 == 0:
                    done.clear()
        except Exception:  # noqa: BLE001 - what a careless peer would do
            count()

    began = time.process_time()
    assert not within(0.1, count)
    assert time.process_time() - began < 0.5
    assert within(5.0, lambda: None)
