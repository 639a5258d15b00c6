"""The ledger under load and under attack, on either store: races to the cap, kill -9, milliseconds a charge, tampering.

Each function measures one thing and returns plain figures. Stores: ``sqlite``, or ``postgres``, which starts a private
server with full durability on the same disk and stops it again; without its programs it raises ``Unavailable``.
"""

import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from accountant.adjacency import PrivacyUnit  # noqa: E402 - found only once the repository is on the path
from accountant.budget import Budget  # noqa: E402
from accountant.compose import larger_side, price  # noqa: E402
from accountant.errors import LedgerError, LedgerTampered  # noqa: E402
from accountant.events import DiscreteGaussian  # noqa: E402
from accountant.ledger import Ledger, Level, Postgres, Reservation, State  # noqa: E402
from accountant.ledger.verify import verify  # noqa: E402
from accountant.price import Coordinate, Price  # noqa: E402
from accountant.spend import BOTH_SIDES, Step  # noqa: E402

STORES = ("sqlite", "postgres")
UNIT = PrivacyUnit()
BUDGET = Budget(epsilon=8.0, delta=1e-6, claim_share=0.5)
EVENT = DiscreteGaussian(sigma=2000.0)
ONE = price(EVENT, Coordinate.GDP)
STEP = Step(label="measure", event=EVENT, sides=BOTH_SIDES)
RACE_SECONDS = 2_400.0


class Unavailable(Exception):  # noqa: N818 - a figure that falls short, not a fault
    """The store can't be measured here; the message says why."""


@contextmanager
def places(store: str, *, within: Path = ROOT) -> Iterator[tuple[Path, Callable[[], Postgres | None]]]:
    """A throw-away folder on the working disk, and where its ledgers' entries go."""
    folder = Path(tempfile.mkdtemp(prefix=".ledger-", dir=within))
    try:
        if store == "sqlite":
            yield folder, lambda: None
            return
        from tests.accountant import servers

        lacking = servers.missing()
        if lacking is not None:
            raise Unavailable(lacking)
        with servers.server(within) as running:
            yield folder, running.place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tree(path: Path, place: Postgres | None, *, budget: Budget = BUDGET) -> Ledger:
    """An organisation with a project and one data set, ``people``; all afford the same."""
    ledger = Ledger.create(path, dataset="acme", budget=budget, unit=UNIT, level=Level.ORGANISATION, store=place)
    ledger.add_scope("census", parent="acme", level=Level.PROJECT, budget=budget)
    ledger.add_scope("people", parent="census", level=Level.DATASET, budget=budget)
    return ledger


def reserve(ledger: Ledger, cap: Price, *, key: str | None = None) -> Reservation:
    """Reserve ``cap`` for each side."""
    caps = dict.fromkeys(BOTH_SIDES, cap)
    found = ledger.reserve(dataset="people", unit=UNIT, idempotency_key=key, plan={}, caps=caps)
    if not isinstance(found, Reservation):
        raise TypeError("the key was used before")
    return found


def charge_milliseconds(store: str, *, charges: int = 200, steps: int = 1) -> dict[str, float]:
    """Wall and CPU milliseconds of a charge of some steps with full durability: median, mean, 95th percentile."""
    paid, round_of = charges * steps, [Step(label=f"pair {i}", event=EVENT, sides=BOTH_SIDES) for i in range(steps)]
    with places(store) as (folder, place), tree(folder / "ledger", place()) as ledger:
        run = reserve(ledger, Price(ONE.amount * paid, ONE.delta * paid))
        run.touch()
        walls, cpu = [], time.process_time()
        for _ in range(charges):
            began = time.perf_counter()
            run.charge(round_of)
            walls.append(1000 * (time.perf_counter() - began))
        cpu = 1000 * (time.process_time() - cpu) / charges
        disk = _flush_milliseconds(folder / "probe")
    ordered = sorted(walls)
    return {
        "median_ms": statistics.median(walls),
        "slowest_ms": ordered[-1],
        "mean_ms": statistics.fmean(walls),
        "p95_ms": ordered[int(0.95 * charges)],
        "cpu_ms": cpu,
        "one_flush_ms": disk,
        "charges": float(charges),
    }


def _flush_milliseconds(path: Path, *, times: int = 50) -> float:
    """What one write of 512 bytes in place with a flush costs on this disk now."""
    path.write_bytes(b"0" * 1024)
    handle = os.open(path, os.O_WRONLY)
    try:
        os.fsync(handle)
        began = time.perf_counter()
        for _ in range(times):
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, os.urandom(512))
            os.fsync(handle)
        return 1000 * (time.perf_counter() - began) / times
    finally:
        os.close(handle)


_RACER = """
import sys
sys.path.insert(0, sys.argv[1])
from benchmarks.accountant_ledger import *
from accountant.errors import BudgetExceeded
ledger = Ledger.open(sys.argv[2], busy_seconds=300.0)
run = Reservation(ledger, sys.argv[3], token=1, lease_seconds=1e6) if sys.argv[3] != "-" else None
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
won = 0
for _ in range(int(sys.argv[4])):
    try:
        if run is not None:
            run.charge([STEP])
        else:
            reserve(ledger, ONE)
        won += 1
    except BudgetExceeded:
        pass
sys.stdout.write(f"{won}\\n")
"""


def race(store: str, processes: int, charges: int, *, kind: str = "charge", within: Path = ROOT) -> dict[str, Any]:
    """Processes race to a cap that lets half of what they try through; it must end at exactly the cap.

    Args:
      store: Where the entries are.
      processes: How many at once.
      charges: How many each tries.
      kind: ``charge``: steps of one release against its cap; ``reserve``: releases against the organisation's budget.
      within: The disk to measure on.

    Returns:
      ``fit`` (what the cap affords), ``won`` (what was let through, by process), ``recorded`` (on disk afterwards),
      ``exact`` (all of it agrees to the last unit, and the ledger verifies) and seconds.
    """
    fit = processes * charges // 2
    cap = Price(ONE.amount * fit, ONE.delta * fit)
    with places(store, within=within) as (folder, place):
        ledger = Ledger.create(
            folder / "ledger", dataset="acme", budget=_budget(cap), unit=UNIT, level=Level.ORGANISATION, store=place()
        )
        ledger.add_scope("people", parent="acme", level=Level.DATASET, budget=Budget(epsilon=20.0, delta=0.5))
        release = "-"
        if kind == "charge":
            run = reserve(ledger, cap)
            run.touch()
            release = run.release_id
        ledger.close()
        command = [sys.executable, "-c", _RACER, str(ROOT), str(ledger.path), release, str(charges)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        racers = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(processes)]  # type: ignore[call-overload]
        try:
            for racer in racers:
                racer.stdout.readline()
            began = time.monotonic()
            for racer in racers:
                racer.stdin.write("go\n")
                racer.stdin.flush()
            won = [int(racer.communicate(timeout=RACE_SECONDS)[0] or -1) for racer in racers]
            seconds = time.monotonic() - began
        finally:
            for racer in racers:
                if racer.poll() is None:
                    racer.kill()
                    racer.communicate()
        began = time.monotonic()
        found = verify(ledger.path)
        verified = time.monotonic() - began
    if kind == "charge":
        (held,) = found.releases
        recorded, paid = len(held.steps), larger_side(held.totals)
    else:
        recorded, paid = len(found.releases), found.reserved
    exact = sum(won) == recorded == fit and paid == cap and found.reserved.fits(found.budget.cap)
    return {
        "store": store, "kind": kind, "processes": processes, "tried": processes * charges, "fit": fit, "won": won,
        "recorded": recorded, "exact": exact, "seconds": seconds, "verify_seconds": verified,
        "charges_per_second": processes * charges / seconds,
    }  # fmt: skip


def _budget(cap: Price) -> Budget:
    """A budget whose cap is at least ``cap`` and less than one charge more."""
    low, high = 1e-6, 20.0
    delta, share = 1e-9, 0.5
    for _ in range(200):
        middle = (low + high) / 2
        enough = Budget(epsilon=middle, delta=delta, claim_share=share).cap.amount >= cap.amount
        low, high = (low, middle) if enough else (middle, high)
    return Budget(epsilon=high, delta=delta, claim_share=share)


_VICTIM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from benchmarks.accountant_ledger import *
from accountant import faults
seen = 0
def kill(name):
    global seen
    seen += name == sys.argv[3]
    if name == sys.argv[3] and seen == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
def say(word):
    os.write(1, (word + "\\n").encode())
ledger = Ledger.open(sys.argv[2])
faults.hook = kill
if sys.argv[5] == "-":
    run = reserve(ledger, Price(ONE.amount * 10, ONE.delta * 10))
    run.touch()
else:
    run = ledger.take_over(sys.argv[5])
for _ in range(4):
    run.charge([STEP])
    say("drawn " + run.release_id)
run.commit(outcome="released", artefacts={})
say("done")
"""

POINTS = (
    "reserve.before", "transaction.before", "transaction.after", "witness.before", "witness.written", "witness.after",
    "reserve.after", "touch.before", "touch.after", "charge.before", "charge.after", "commit.before", "commit.after",
    "takeover.before", "takeover.after",
)  # fmt: skip
"""Fault points of the ledger at which a run is killed."""


def kills(store: str, count: int, *, within: Path = ROOT) -> dict[str, Any]:
    """``count`` runs on one ledger, each killed with -9 at a named fault point; some are taken over, some reconciled.

    After each kill the ledger must verify, bear all that was drawn in every scope, and have lost no entry.
    """
    wrong: list[str] = []
    with places(store, within=within) as (folder, place), tree(folder / "ledger", place()) as ledger:
        last, drawn = ledger.seq, 0
        dead: str | None = None
        for i in range(count):
            point = POINTS[i % len(POINTS)]
            if point.startswith("takeover") and dead is None:
                point = "charge.before"
            resumed = dead if (point.startswith("takeover") or i % 5 == 4) and dead is not None else None
            if resumed is not None and point.startswith(("reserve", "touch")):
                point = "charge.after"
            nth = 1 if point.split(".")[0] in {"reserve", "touch", "commit", "takeover"} else 1 + i % 4
            argv = [sys.executable, "-c", _VICTIM, str(ROOT), str(ledger.path), point, str(nth), resumed or "-"]
            done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != -signal.SIGKILL:
                wrong.append(f"{point} ({nth}): the point wasn't reached: {done.stderr[-200:]}")
            drawn += done.stdout.count("drawn")
            found = verify(ledger.path)
            charged = sum(len(release.steps) for release in found.releases)
            if found.seq < last:
                wrong.append(f"{point} ({nth}): entries were lost")
            if charged < drawn:
                wrong.append(f"{point} ({nth}): {drawn} draws, {charged} charges")
            for scope in found.scopes:
                if not Price(ONE.amount * drawn, ONE.delta * drawn).fits(scope.held):
                    wrong.append(f"{point} ({nth}): the {scope.describe()} bears less than what was drawn")
            last = found.seq
            dead = _after(ledger, i)
        final = verify(ledger.path)
    return {
        "store": store, "kills": count, "points": len(POINTS), "drawn": drawn, "entries": final.seq,
        "charged": sum(len(r.steps) for r in final.releases), "wrong": wrong,
    }  # fmt: skip


def _after(ledger: Ledger, i: int) -> str | None:
    """Settle what a kill left, now and then, so that the budget lasts; else the run that can be taken over."""
    open_runs = [r for r in ledger.releases() if r.state in (State.RESERVED, State.TOUCHED)]
    for run in open_runs[:-1] if i % 3 else open_runs:
        if run.state is State.TOUCHED:
            ledger.reconcile(run.release_id)
        else:
            ledger.release_stale(run.release_id)
    return open_runs[-1].release_id if open_runs and i % 3 else None


def tampering() -> dict[str, str]:
    """What ``verify`` says to each way of changing a ledger's files; ``NOT FOUND`` where it says nothing."""
    said: dict[str, str] = {}
    with places("sqlite") as (folder, _), tree(folder / "ledger", None) as made:
        older = folder / "older"
        for _ in range(2):
            run = reserve(made, Price(ONE.amount * 10, ONE.delta * 10))
            run.touch()
            run.charge([STEP])
            run.charge([STEP])
            run.commit(outcome="released", artefacts={})
            made.close()
            if not older.exists():
                shutil.copytree(made.path, older)
        for name, change in _CHANGES.items():
            copy = Path(shutil.copytree(made.path, folder / "copy"))
            change(copy, older)
            try:
                verify(copy)
                said[name] = "NOT FOUND"
            except (LedgerTampered, LedgerError) as refused:
                said[name] = refused.what.replace(str(folder), "...")
            shutil.rmtree(copy)
    return said


def _rows(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, again in triggers:
        connection.execute(again)
    connection.close()


def _flip(folder: Path, _: Path) -> None:
    path = folder / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    content[content.index(b'"kind":"charge"') + 3] ^= 1
    path.write_bytes(content)


def _flip_witness(folder: Path, _: Path) -> None:
    path = folder / "witness.json"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


_SWAP = (
    "CREATE TABLE swapped AS SELECT * FROM entries WHERE seq IN (6, 7)",
    "UPDATE entries SET body = (SELECT body FROM swapped s WHERE s.seq = 13 - entries.seq), "
    "hash = (SELECT hash FROM swapped s WHERE s.seq = 13 - entries.seq) WHERE seq IN (6, 7)",
    "DROP TABLE swapped",
)
_CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "a flipped byte of an entry": _flip,
    "a flipped byte of the witness": _flip_witness,
    "the last entry dropped": lambda f, _: _rows(f, "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)"),
    "two entries swapped": lambda f, _: _rows(f, *_SWAP),
    "an older copy of the database": lambda f, older: shutil.copy(older / "ledger.sqlite", f / "ledger.sqlite"),
    "a signature of another entry": lambda f, _: _rows(
        f, "UPDATE checkpoints SET signature = (SELECT signature FROM checkpoints WHERE seq = 4) WHERE seq = 5"
    ),
    "a checkpoint dropped": lambda f, _: _rows(f, "DELETE FROM checkpoints WHERE seq = 5"),
}


def main() -> None:
    """Print every figure, small: ``python benchmarks/accountant_ledger.py [processes charges kills]``."""
    processes, charges, count = (int(a) for a in (sys.argv[1:] or ["4", "100", "15"]))
    print(json.dumps(tampering(), indent=1))
    for store in STORES:
        for measured in (
            charge_milliseconds(store),
            race(store, processes, charges),
            race(store, processes, charges, kind="reserve"),
            kills(store, count),
        ):
            print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
