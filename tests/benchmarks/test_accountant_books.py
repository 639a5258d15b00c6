"""The ledger's figures: what broke a promise or couldn't be measured falls short."""

from typing import Any

import pytest

from benchmarks import accountant_books as books
from benchmarks import accountant_ledger as measure
from benchmarks.harness import Run, outcome


def test_a_store_that_cannot_be_had_is_a_figure_that_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> Any:
        raise measure.Unavailable("nothing is installed")

    monkeypatch.setattr(measure, "places", absent)
    for section in (books.races(), books.times(), books.kills()):
        found = list(section)
        assert [f.met for f in found] == [False, False]
        assert all("not measured" in f.measured for f in found)


def test_a_race_that_stops_at_the_cap_is_met_and_one_that_does_not_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "STORES", ("sqlite",))
    assert [f.met for f in books.races(processes=2, tries=4)] == [True]
    for lie in (("won += 1", "won += 2"), ("run.charge([STEP])", "pass")):
        monkeypatch.setattr(measure, "_RACER", measure._RACER.replace(*lie))
        assert [f.met for f in books.races(processes=2, tries=4)] == [False]


def test_a_kill_that_breaks_a_promise_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "STORES", ("sqlite",))
    monkeypatch.setattr(measure, "POINTS", ("no.such.point",))
    (figure,) = books.kills(count=2)
    assert not figure.met
    assert figure.measured.startswith("2 violations")


@pytest.mark.parametrize(
    ("code", "output", "met"),
    [
        (0, "== 5 passed in 1.00s ==", True),
        (0, "== 5 passed, 1 skipped in 1.00s ==", False),
        (1, "== 1 failed, 5 passed in 1.00s ==", False),
        (0, "..... [100%]", False),
    ],
)
def test_tests_count_only_where_all_passed_and_none_was_skipped(code: int, output: str, met: bool) -> None:
    assert outcome(Run(code=code, wall_seconds=1.0, cpu_seconds=1.0, peak_mb=1.0, output=output))[0] is met
