"""The exact neighbour oracle and the mutants, run afresh; a skipped test counts as short."""

import re
import sys
from collections.abc import Iterator

from benchmarks.harness import Figure, holds, run

ORACLES = ("tests/oracles", "tests/statistical", "tests/dpsynth/gate", "tests/accountant")


def oracles() -> Iterator[Figure]:
    """Every noise, selection, gate and accounting primitive against exact enumeration, laws and golden figures."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-rs", *ORACLES]
    done = run(command, timeout_seconds=1_200)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.output)}
    clean = done.code == 0 and set(counts) == {"passed"}
    yield holds(
        "exact neighbour oracle, laws and golden figures of every primitive used by the line",
        clean,
        ", ".join(f"{n} {word}" for word, n in counts.items()) or f"exit code {done.code}",
        "all passed, none skipped",
        cpu_seconds=done.cpu_seconds,
        tail=done.output[-1500:] if not clean else "",
    )


def faults() -> Iterator[Figure]:
    """kill -9 at every named fault point of one release."""
    from benchmarks.line_faults import measure

    found = measure()
    broken = found["violations"]
    yield holds(
        f"kill -9 at each of {found['kills']} fault points: the ledger verifies and never under-counts",
        not broken and found["kills"] >= 20,
        f"{len(broken)} violations",
        "0 violations",
        **found,
    )


def mutants() -> Iterator[Figure]:
    """Named mutants of shipped files, each of which the suite must kill."""
    from benchmarks.line_mutants import measure

    found = measure()
    killed, total, survived = found["killed"], found["total"], found["survived"]
    yield holds("named mutants killed by the suite", not survived, f"{killed} of {total}", f"{total}", **found)
