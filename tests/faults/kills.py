"""Runs that are killed at a fault point, and everything that must hold afterwards."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accountant.compose import larger_side
from accountant.errors import IdempotencyConflict, LedgerError, Refusal
from accountant.ledger import Ledger, State, VerifiedRelease
from accountant.ledger.verify import verify
from accountant.price import Price
from dpsynth.certificate.verify import verify_release
from dpsynth.line import release
from tests.dpsynth import lines
from tests.faults.worker import DELTA, DONE, EPSILON

ROOT = Path(__file__).parents[2]
KEY = "the killed run"
LEDGER_EPSILON = 8.0


class Worker:
    """Orders runs from a warm process; each runs in a child of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *orders: dict[str, Any]) -> list[int]:
        """Run all orders at once; exit codes, negative for a signal."""
        defaults = {
            "out": "out",
            "key": None,
            "at": None,
            "argv": None,
            "synthesizer": "mst",
            "signal": 9,
            "said": "said.txt",
        }
        asked = [defaults | order | {"folder": str(order["folder"])} for order in orders]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: list[int] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def worker() -> Iterator[Worker]:
    """A warm worker; one thread, so that forking it is safe."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.worker"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Worker(process)


def new_ledger(folder: Path) -> Ledger:
    """A ledger with room for several releases."""
    folder.mkdir(parents=True, exist_ok=True)
    return lines.ledger(folder, epsilon=LEDGER_EPSILON)


def points_of(folder: Path) -> list[str]:
    """The fault points that the runs in ``folder`` reached, in order."""
    return (folder / "points.log").read_text().splitlines()


def clean_run(work: Worker, folder: Path, *, synthesizer: str = "mst") -> list[str]:
    """The fault points of one whole release."""
    new_ledger(folder).close()
    (code,) = work.run({"folder": folder, "key": KEY, "synthesizer": synthesizer})
    assert code == DONE, (folder / "said.txt").read_text()
    return points_of(folder)


def sample(points: Sequence[str], size: int) -> list[int]:
    """Positions of ``size`` points, spread over their names; of one name, the first and the last in turn."""
    names = list(dict.fromkeys(points))
    chosen = [names[i * len(names) // size] for i in range(min(size, len(names)))]
    reverse = list(points)[::-1]
    return [points.index(name) if i % 2 else len(points) - 1 - reverse.index(name) for i, name in enumerate(chosen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What a kill left."""

    folder: Path
    reached: tuple[str, ...]

    @property
    def name(self) -> str:
        """The point, and how often it was reached."""
        return f"{self.reached[-1]} ({self.reached.count(self.reached[-1])})"

    @property
    def entries(self) -> int:
        """Entries of the run that were committed to disk."""
        return self.reached.count("transaction.before") - (self.reached[-1] == "transaction.before")


def kill(work: Worker, folder: Path, at: int, *, synthesizer: str = "mst") -> Killed:
    """SIGKILL one release at its ``at``-th fault point."""
    new_ledger(folder).close()
    (code,) = work.run({"folder": folder, "key": KEY, "at": at, "synthesizer": synthesizer})
    assert code == -signal.SIGKILL, (folder / "said.txt").read_text()
    return Killed(folder=folder, reached=tuple(points_of(folder)))


def violations(killed: Killed, *, entries: int, goes_on: bool = True) -> list[str]:
    """Every promise that the kill broke; ``entries`` is how many a whole run adds, ``goes_on`` tries another one."""
    found = [*_ledger(killed, entries=entries), *_public(killed.folder)]
    before = verify(killed.folder / "ledger")
    found += _same_key(killed, before.releases)
    found += _stale(killed)
    if goes_on:
        found += _goes_on(killed)
    return [f"{killed.name}: {text}" for text in found]


def _ledger(killed: Killed, *, entries: int) -> Iterator[str]:
    """It verifies, it has every entry that was committed, and it bears all that may have been drawn."""
    state = verify(killed.folder / "ledger")
    if state.seq != 1 + killed.entries:
        yield f"{state.seq} entries on disk, {killed.entries} of the run were committed"
    bears = state.spent + state.reserved
    if not killed.entries:
        if state.releases or bears != Price():
            yield "something is charged before anything was reserved"
        return
    (run,) = state.releases
    expected = {1: State.RESERVED, entries: State.COMMITTED}.get(killed.entries, State.TOUCHED)
    due = larger_side(run.totals) if expected is State.COMMITTED else run.price
    if (run.state, bears) != (expected, due):
        yield f"the run is {run.state} and bears {bears}, not {expected} and {due}"
    if not larger_side(run.totals).fits(bears):
        yield "it bears less than the sum of its charges"
    if len(run.steps) < killed.reached.count("draw.before"):
        yield "a draw began that isn't charged"
    if "touch.after" not in killed.reached and killed.reached.count("draw.before"):
        yield "a draw before the touch"


def _public(folder: Path) -> Iterator[str]:
    """Whatever looks like a release is one: complete, signed, verified. The annex is absent or complete."""
    key = (folder / "ledger/keys/signing.pub").read_bytes()
    for certificate in folder.rglob("certificate.json"):
        if any(part.startswith(".") for part in certificate.relative_to(folder).parts):
            continue
        try:
            verify_release(certificate.parent, key)
        except Refusal as refusal:
            yield f"{certificate.parent.name} looks like a release: {refusal}"
    for place in (folder / "out", *(folder / "ledger/releases").iterdir()):
        if place.exists() and not place.name.startswith(".") and not (place / "certificate.json").is_file():
            yield f"{place.name} is half written"
    annex = folder / "out.CONFIDENTIAL-annex"
    if annex.exists() and {p.name for p in annex.iterdir()} != {"CONFIDENTIAL.txt", "annex.json"}:
        yield "the annex is half written"


def _again(folder: Path, out: str, *, key: str | None, synthesizer: str = "mst") -> Any:
    return release(
        lines.table(),
        lines.schema(),
        epsilon=EPSILON,
        delta=DELTA,
        ledger=folder / "ledger",
        out=folder / out,
        synthesizer=synthesizer,
        idempotency_key=key,
        policy=lines.lenient(),
    )


def _same_key(killed: Killed, releases: tuple[VerifiedRelease, ...]) -> Iterator[str]:
    """The key returns what was committed, or refuses and names the run; where nothing was reserved, it runs."""
    spent = verify(killed.folder / "ledger").spent
    try:
        result = _again(killed.folder, "again", key=KEY)
    except IdempotencyConflict as refusal:
        if not releases or releases[0].state is State.COMMITTED or releases[0].release_id not in refusal.what:
            yield f"the same key is refused wrongly: {refusal}"
        return
    if releases and (releases[0].state is not State.COMMITTED or not result.stored):
        yield "the same key ran twice"
    if releases and verify(killed.folder / "ledger").spent != spent:
        yield "a stored release was charged again"


def _stale(killed: Killed) -> Iterator[str]:
    """Only a reservation that never touched the data can be given back, and then whole."""
    with Ledger.open(killed.folder / "ledger") as ledger:
        for run in ledger.releases():
            before = ledger.remaining()
            try:
                returned = ledger.release_stale(run.release_id)
            except LedgerError:
                if run.state is State.RESERVED:
                    yield "an untouched reservation can't be given back"
                continue
            if run.state is not State.RESERVED or before + returned != ledger.remaining() or returned != run.price:
                yield f"a run that is {run.state} was given back"


def _goes_on(killed: Killed) -> Iterator[str]:
    """A release under another key works, and adds up."""
    before = verify(killed.folder / "ledger")
    result = _again(killed.folder, "next", key="another", synthesizer="independent")
    after = verify(killed.folder / "ledger")
    charged = next(r.charged for r in after.releases if r.release_id == result.release_id)
    if after.spent + after.reserved != before.spent + before.reserved + charged:
        yield "the next release doesn't add up"
    yield from _public(killed.folder)
