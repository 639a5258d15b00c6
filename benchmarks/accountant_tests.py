"""The tests of the accountant, of its noise and of the gate, run afresh, and the faults that they must notice."""

import re
import sys
from collections.abc import Iterator

from benchmarks.harness import Figure, Run, holds, run

ORACLES = ("tests/oracles", "tests/statistical", "tests/dpsynth/noise", "tests/dpsynth/gate")
LAWS = ("tests/accountant",)
ROOMS = ("accountant/", "dpsynth/noise/", "dpsynth/gate/")
"""Whose named mutants are this room's."""


def tests() -> Iterator[Figure]:
    """Laws, brute force over whole small mechanisms, samplers, ledger: all passed, and none skipped."""
    yield _passed("laws, golden rows, filters and the ledger's own tests", LAWS)
    yield _passed("brute force of whole mechanisms over all neighbours, and of every noise and gate primitive", ORACLES)


def _passed(what: str, paths: tuple[str, ...]) -> Figure:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-rs", *paths]
    done = run(command, timeout_seconds=1_500)
    clean, told = outcome(done)
    return holds(
        f"{what} ({', '.join(paths)})",
        clean,
        told,
        "all passed, none skipped",
        cpu_seconds=done.cpu_seconds,
        tail="" if clean else done.output[-1500:],
    )


def outcome(done: Run) -> tuple[bool, str]:
    """Whether a run of the tests passed with none skipped, and its counts in words."""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.output)}
    told = ", ".join(f"{n} {word}" for word, n in counts.items()) or f"no counts, exit code {done.code}"
    return done.code == 0 and set(counts) == {"passed"}, told


def named_mutants() -> Iterator[Figure]:
    """Every named fault of a shipped file of accountant, noise and gate."""
    from benchmarks.line_mutants import measure

    found = measure(rooms=ROOMS)
    killed, total, survived = found["killed"], found["total"], found["survived"]
    what = f"named mutants of {', '.join(ROOMS)} killed by the suite"
    yield holds(what, not survived and total >= 50, f"{killed} of {total}", f"{total}, at least 50", **found)


def generic_mutants() -> Iterator[Figure]:
    """A fixed sample of every small change to accountant, noise and gate: no survivor is without its explanation."""
    from benchmarks.mutation.run import measure

    found = measure()
    unexplained, stale = found["unexplained"], found["stale"]
    killed = found["killed"] + found["timed_out"]
    yield holds(
        f"generic mutants of {', '.join(ROOMS)}, a sample of {found['total']} of {found['of']}",
        not (unexplained or stale or found["not_run"]) and killed >= 1,
        f"{killed} killed, {found['explained']} explained, {len(unexplained)} unexplained, {found['not_run']} not run",
        "all run, every survivor explained, no explanation out of date",
        **{name: value for name, value in found.items() if name != "mutants"},
    )
