"""The ledger's figures: a race is judged by what the ledger holds, and a store that can't be had falls short."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import accountant_books as books


@contextmanager
def absent(store: str) -> Iterator[books.Place]:
    raise RuntimeError(f"no {store}")
    yield lambda: None


def test_a_store_that_cannot_be_had_is_a_figure_that_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "_places", absent)
    for section in (books.races(), books.times(), books.kills()):
        found = list(section)
        assert [f.met for f in found] == [False, False]
        assert all("not measured" in f.measured for f in found)


def test_a_race_that_stops_at_the_cap_is_met_and_one_that_does_not_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "STORES", ("SQLite",))
    assert [f.met for f in books.races(processes=2, tries=4)] == [True]
    monkeypatch.setattr(books, "RACER", books.RACER.replace("won += 1", "won += 2"))
    assert [f.met for f in books.races(processes=2, tries=4)] == [False]
    monkeypatch.setattr(books, "RACER", "print(4, 0)")
    assert [f.met for f in books.races(processes=2, tries=4)] == [False]


def test_a_kill_that_breaks_a_promise_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.accountant import test_ledger_crash as crash

    monkeypatch.setattr(books, "STORES", ("SQLite",))
    monkeypatch.setattr(crash, "POINTS", [("no.such.point", 1, "commit")])
    (figure,) = books.kills(count=2)
    assert not figure.met
    assert figure.measured == "2 violations"
