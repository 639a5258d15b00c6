"""The ledger's figures on each store: races, kills, times of a charge, and what tampering `verify` finds."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import accountant_ledger as measure
from benchmarks.harness import Figure, at_most, holds, outcome, run

PROCESSES, TRIES = 8, 10_000
KILLS = 200
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


def _on_each(section: Callable[[str], Iterator[Figure]], what: str) -> Iterator[Figure]:
    for store in measure.STORES:
        try:
            yield from section(store)
        except measure.Unavailable as error:
            yield holds(f"{what} on {NAMES[store]}", False, f"not measured: no server: {error}", "measured")


def races(*, processes: int = PROCESSES, tries: int = TRIES) -> Iterator[Figure]:
    """Processes that charge at once against a cap that lets half of their charges through."""
    yield from _on_each(lambda store: _race(store, processes, tries), "race")


def _race(store: str, processes: int, tries: int) -> Iterator[Figure]:
    found = measure.race(store, processes, tries)
    let = sum(found["won"])
    what = f"{processes} processes x {tries:,} charges on {NAMES[store]}, against a cap that lets half through"
    told = f"{let:,} let through, {found['recorded']:,} recorded, {'exact' if found['exact'] else 'not exact'}"
    yield holds(what, found["exact"], told, f"exactly {found['fit']:,}, and the ledger verifies", **found)


def times() -> Iterator[Figure]:
    """A charge with full durability on the working disk: of one step, and of a whole round at once."""
    yield from _on_each(_times, "a charge")


def _times(store: str) -> Iterator[Figure]:
    for what, steps, charges in (("one charge", 1, 200), ("a round of 12 charges at once", 12, 100)):
        found = measure.charge_milliseconds(store, charges=charges, steps=steps)
        name = f"{what} on {NAMES[store]}, durable (median of {charges})"
        yield at_most(name, found["median_ms"], 10.0, "ms", **found)


def kills(*, count: int = KILLS) -> Iterator[Figure]:
    """kill -9 at named fault points, again and again: no lost charge, and the chain verifies."""
    yield from _on_each(lambda store: _kills(store, count), "kills")


def _kills(store: str, count: int) -> Iterator[Figure]:
    found: dict[str, Any] = measure.kills(store, count)
    what = f"{count} kill -9 at {found['points']} named fault points on {NAMES[store]}: no lost charge, all verify"
    told = f"{len(found['wrong'])} violations, {found['drawn']} draws, {found['charged']} charges"
    yield holds(what, not found["wrong"] and found["drawn"] > 0, told, "0 violations", **found)


def tampering() -> Iterator[Figure]:
    """A flipped byte, a dropped tail, a swapped or replayed file, a rewritten chain: `verify` says what and where."""
    for name, said in measure.tampering().items():
        where = said.startswith("The ledger doesn't verify at ")
        yield holds(f"verify after {name}", where, said, "says what and where")
    paths = ("tests/accountant/test_ledger_tamper.py", "tests/accountant/test_ledger_durability.py")
    done = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *paths], timeout_seconds=900)
    met, told = outcome(done)
    what = "tampering is found, and told where (flip, cut, swap, replay, rewrite)"
    yield holds(what, met, told, "all passed, none skipped", tail="" if met else done.output[-1500:])
