"""The exact neighbour oracle and the mutants, run afresh; a skipped test counts as short."""

from collections.abc import Iterator

from benchmarks.harness import Figure, holds, tests_pass

ORACLES = ("tests/oracles", "tests/statistical", "tests/dpsynth/gate", "tests/accountant")


def oracles() -> Iterator[Figure]:
    """Every noise, selection, gate and accounting primitive against exact enumeration, laws and golden figures."""
    what = "exact neighbour oracle, laws and golden figures of every primitive used by the line"
    yield tests_pass(what, ORACLES, timeout_seconds=1_200)


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
