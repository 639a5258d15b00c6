"""The tests of the accountant, of its noise and of the gate, run afresh, and the faults that they must notice."""

from collections.abc import Iterator

from benchmarks.harness import Figure, holds, tests_pass

ORACLES = ("tests/oracles", "tests/statistical", "tests/dpsynth/noise", "tests/dpsynth/gate")
LAWS = ("tests/accountant",)
ROOMS = ("accountant/", "dpsynth/noise/", "dpsynth/gate/")
"""Whose named mutants are this room's."""


def tests() -> Iterator[Figure]:
    """Laws, brute force over whole small mechanisms, samplers, ledger: all passed, and none skipped."""
    for what, paths in (
        ("laws, golden rows, filters and the ledger's own tests", LAWS),
        ("brute force of whole mechanisms over all neighbours, and of every noise and gate primitive", ORACLES),
    ):
        yield tests_pass(f"{what} ({', '.join(paths)})", paths, timeout_seconds=1_500)


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
