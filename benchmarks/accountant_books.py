"""The ledger's figures on each store: races, kills, times of a charge, and what tampering `verify` finds."""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.harness import CACHE, Figure, at_most, holds, run

PROCESSES, TRIES = 8, 10_000
KILLS = 200
STORES = ("SQLite", "PostgreSQL")
Place = Callable[[], Any]
"""Where a new ledger keeps its entries: nothing for SQLite, a database for PostgreSQL."""

RACER = """\
import sys
from accountant.errors import BudgetExceeded
from tests.accountant.ledgers import UNIT, Ledger, Price, Side

ledger, won, refused = Ledger.open(sys.argv[1], busy_seconds=600.0), 0, 0
caps = {Side.TRAINING: Price(int(sys.argv[3]), 1)}
for _ in range(int(sys.argv[2])):
    try:
        ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={}, caps=caps)
        won += 1
    except BudgetExceeded:
        refused += 1
print(won, refused)
"""


@contextmanager
def _places(store: str) -> Iterator[Place]:
    """Where this store's ledgers go; raises RuntimeError where the store can't be had."""
    if store == "SQLite":
        yield lambda: None
        return
    try:
        from tests.accountant import servers
    except ImportError as error:
        raise RuntimeError("there is no PostgreSQL store") from error
    lacking = servers.missing()
    if lacking is not None:
        raise RuntimeError(f"no PostgreSQL: {lacking}")
    with servers.server() as running:
        yield running.place


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder on the working disk, so that durability costs what it costs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ledger-", dir=CACHE) as folder:
        yield Path(folder)


def _on_each(measure: Callable[[str, Place], Iterator[Figure]], what: str) -> Iterator[Figure]:
    for store in STORES:
        try:
            with _places(store) as place:
                yield from measure(store, place)
        except RuntimeError as error:
            yield holds(f"{what} on {store}", False, f"not measured: {error}", "measured")


def races(*, processes: int = PROCESSES, tries: int = TRIES) -> Iterator[Figure]:
    """Processes that reserve at once against a cap that lets half of them through."""
    yield from _on_each(lambda store, place: _race(store, place, processes, tries), "race")


def _race(store: str, place: Place, processes: int, tries: int) -> Iterator[Figure]:
    from accountant.ledger.verify import verify
    from accountant.price import Price
    from tests.accountant import ledgers

    fit = processes * tries // 2
    amount = ledgers.BUDGET.cap.amount // fit
    with _folder() as folder:
        path = _new(folder, place)
        began = time.monotonic()
        command = [sys.executable, "-c", RACER, str(path), str(tries), str(amount)]
        racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(processes)]
        said = [racer.communicate() for racer in racers]
        seconds = time.monotonic() - began
        counts = [tuple(map(int, out.split())) for out, _ in said if out.split()]
        won, refused = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        state = verify(path)
    exact = won == fit == len(state.releases) and state.reserved == Price(amount * fit, fit)
    yield holds(
        f"{processes} processes x {tries:,} charges of a scope on {store}, against a cap that lets half through",
        exact and won + refused == processes * tries,
        f"{won:,} let through, {refused:,} refused, {state.seq:,} entries verify",
        f"exactly {fit:,}",
        seconds=seconds,
        errors=[errors.decode()[-300:] for _, errors in said if errors],
    )


def _new(folder: Path, place: Place) -> Path:
    from accountant.ledger import Ledger
    from tests.accountant import ledgers

    found = place()
    more = {} if found is None else {"store": found}
    path = folder / "ledger"
    Ledger.create(path, dataset="people", budget=ledgers.BUDGET, unit=ledgers.UNIT, **more).close()
    return path


def times() -> Iterator[Figure]:
    """A charge with full durability on the working disk: of one step, and of a whole round at once."""
    yield from _on_each(_times, "a charge")


def _times(store: str, place: Place) -> Iterator[Figure]:
    from accountant.ledger import Ledger
    from tests.accountant import ledgers

    with _folder() as folder, Ledger.open(_new(folder, place)) as ledger:
        reservation = ledgers.touched(ledger, share=0.9)
        one = [_timed(lambda i=i: reservation.charge([ledgers.step(f"{i}", sigma=5e3)])) for i in range(200)]
        steps = [ledgers.step(f"pair {i}", sigma=5e3) for i in range(12)]
        many = [_timed(lambda: reservation.charge(steps)) for _ in range(100)]
    for what, found in (("one charge", one), ("a round of 12 charges at once", many)):
        middle, most = statistics.median(found), max(found)
        yield at_most(f"{what} on {store}, durable (median of {len(found)})", middle, 10.0, "ms", slowest=most)


def _timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000.0


def kills(*, count: int = KILLS) -> Iterator[Figure]:
    """kill -9 at named fault points, again and again: no lost charge, and the chain verifies."""
    yield from _on_each(lambda store, place: _kills(store, place, count), "kills")


def _kills(store: str, place: Place, count: int) -> Iterator[Figure]:
    from itertools import cycle, islice
    from unittest.mock import patch

    from tests.accountant import ledgers
    from tests.accountant import test_ledger_crash as crash

    at = nullcontext() if store == "SQLite" else patch.object(ledgers, "place", place)
    wrong: list[str] = []
    with _folder() as folder, at:
        for i, point in enumerate(islice(cycle(crash.POINTS), count)):
            own = folder / str(i)
            own.mkdir()
            try:
                crash.test_a_kill_leaves_a_ledger_that_verifies_and_never_under_counts(own, *point)
            except Exception as error:  # noqa: BLE001 - a broken promise is a violation, whatever its kind
                wrong.append(f"{point}: {type(error).__name__} {error}"[:300])
    named = len({name for name, *_ in crash.POINTS})
    what = f"{count} kill -9 at {named} named fault points on {store}: no lost charge, the ledger verifies"
    yield holds(what, not wrong, f"{len(wrong)} violations", "0 violations", kills=count, violations=wrong)


def tampering() -> Iterator[Figure]:
    """A flipped byte, a dropped tail, a swapped or replayed file, a rewritten chain: `verify` says what and where."""
    paths = ("tests/accountant/test_ledger_tamper.py", "tests/accountant/test_ledger_durability.py")
    done = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", *paths], timeout_seconds=900)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.output)}
    yield holds(
        "tampering is found, and told where (flip, cut, swap, replay, rewrite)",
        done.code == 0 and set(counts) == {"passed"},
        ", ".join(f"{n} {word}" for word, n in counts.items()) or f"exit code {done.code}",
        "all passed, none skipped",
        tail=done.output[-1500:] if done.code else "",
    )
