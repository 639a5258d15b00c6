"""What the engine must be beside accurate: fast to count and to start, right, and better than its peers."""

import json
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks.engine_runs import ONE_THREAD, SEEDS, fits, shared_table
from benchmarks.harness import RESULTS, Figure, Section, at_least, at_most, holds, run, tests_pass
from benchmarks.line_utility import scorer
from benchmarks.peers.compare import PEERS

ROWS_COUNTED = 4_000_000
LIMITED, LIMIT_MB = ("adaptive", "aim", "tree"), 8
"""Synthesizers that are held to so many megabytes, well below what they take on their own."""
CORRECTNESS = (
    ("oracle and solver against brute force", ("tests/dpsynth/estimation",)),
    ("sampler against its model's marginals, chi-square", ("tests/dpsynth/sampling", "tests/statistical")),
    ("exact neighbours of whole mechanisms against the charged price", ("tests/oracles",)),
    ("mechanisms: full-joint mwem against brute force, spends, sensitivities", ("tests/dpsynth/mechanisms",)),
    ("estimates and reports never use un-noised counts (taint)", ("tests/dpsynth/test_fit_report.py",)),
    ("counting is naive counting, on every source", ("tests/dpsynth/sources",)),
    ("workloads and their weights", ("tests/dpsynth/test_workload.py",)),
)
MUTATED = ("dpsynth/mechanisms", "dpsynth/estimation", "dpsynth/sources", "dpsynth/fit_report", "dpsynth/sampling")


def counting() -> Iterator[Figure]:
    """All pairs of 15 columns, in rows a second of one core, and the same with two threads."""
    table = shared_table("adult_aim")
    for threads in (1, 2):
        command = [sys.executable, "-m", "benchmarks.count_speed", str(table.records), str(table.domain)]
        done = run([*command, "--rows", str(ROWS_COUNTED), "--threads", str(threads)], environment=ONE_THREAD)
        found: dict[str, Any] = json.loads(done.output)
        speed = found["rows"] / found["cpu_seconds"] / 1e6
        detail = {**found, "peak_mb": done.peak_mb}
        what = f"counting all {found['pairs']} pairs of 15 columns, threads {threads}, wall {found['seconds']:.3g} s"
        yield at_least(what, speed, 10.0, "million rows a CPU second", **detail)


def cold_start() -> Iterator[Figure]:
    """What a user's first run pays for compilation: the same fit with an empty cache of machine code, and again."""
    table = shared_table("titanic_aim")
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "benchmarks.fit_coded", str(table.records), str(table.domain)]
        budget = ["--epsilon=1", "--delta=1e-9", "--seed=0", "--synthesizer=adaptive"]
        environment = ONE_THREAD | {"NUMBA_CACHE_DIR": cache}
        first, second = (
            run([*command, f"{out}/{i}.parquet", *budget], environment=environment) for i in range(2)
        )
    if first.code or second.code:
        raise RuntimeError((first.output + second.output)[-500:])
    yield at_most(
        "adaptive on titanic_aim, first run with nothing compiled: CPU more than a second run",
        first.cpu_seconds - second.cpu_seconds,
        10.0,
        "CPU s",
        first_cpu_seconds=first.cpu_seconds,
        second_cpu_seconds=second.cpu_seconds,
        first_peak_mb=first.peak_mb,
        second_peak_mb=second.peak_mb,
    )


def limits() -> Iterator[Figure]:
    """The largest fit of a limited run, and what the limit costs in error."""
    table, sizes = shared_table("adult_aim"), json.loads(shared_table("adult_aim").domain.read_text())
    marginals = scorer("marginals")
    real = marginals.read(table.records, list(sizes))
    for synthesizer in LIMITED:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/made.parquet"
            command = [sys.executable, "-m", "benchmarks.fit_coded", str(table.records), str(table.domain), out]
            budget = ["--epsilon=10", "--delta=1e-9", "--seed=0", f"--model-mb={LIMIT_MB}"]
            done = run([*command, *budget, f"--synthesizer={synthesizer}"], environment=ONE_THREAD)
            if done.code:
                raise RuntimeError(done.output[-500:])
            error = marginals.score(real, marginals.read(out, list(sizes)), sizes, ways=(3,), limit=0)["3way_l1"]
        taken = json.loads(done.output.strip().splitlines()[-2])["fit_mb"]
        yield at_most(
            f"{synthesizer} on adult_aim, epsilon 10, limited to {LIMIT_MB} MB: what the released model's fit takes",
            taken,
            LIMIT_MB,
            "MB",
            error_3way_l1=error,
            cpu_seconds=done.cpu_seconds,
            peak_mb_of_the_process=done.peak_mb,
        )


def correctness() -> Iterator[Figure]:
    """The engine's proofs by test, run afresh; a skipped one counts as short."""
    for what, paths in CORRECTNESS:
        yield tests_pass(what, paths, timeout_seconds=1_200)


def mutants() -> Iterator[Figure]:
    """Named faults of the engine's files, each of which the suite must notice."""
    from benchmarks.line_mutants import measure

    found = measure(rooms=MUTATED)
    killed, total, survived = found["killed"], found["total"], found["survived"]
    yield holds("named mutants of the engine killed", not survived, f"{killed} of {total}", f"{total}", **found)


def peers() -> Iterator[Figure]:
    """The committed comparison with other projects, against our own runs of today in the same scorer."""
    stored = json.loads((RESULTS / "peers.json").read_text())
    found: dict[str, dict[str, Any]] = stored["peers"]
    ours = fits(
        shared_table(stored["table"]), "adaptive", epsilon=stored["epsilon"], delta=stored["delta"], seeds=SEEDS
    )
    error, cpu = ours.mean("3way_l1"), max(ours.cpu_seconds)
    for name in sorted({peer.name for peer in PEERS} - set(found)):
        yield holds(f"peer {name} on adult_aim, epsilon 1", False, "not run", "ran to its end or to its limit")
    for name, peer in sorted(found.items()):
        told = f"{peer['outcome']}; 3-way L1 {peer['error']}, {peer['cpu_seconds']} CPU s, {peer['peak_mb']} MB"
        limit = f"ran to its end or to {peer['cpu_limit_seconds']} CPU s, or asks for more memory than there is"
        stopped = peer["outcome"] == "finished" or "stopped at" in peer["outcome"] or "llocate" in peer["outcome"]
        yield holds(f"peer {name} on adult_aim, epsilon 1", stopped, told, limit, **peer)
    whole = {n: p for n, p in found.items() if p["error"] is not None and "our measurements" not in n}
    fastest, best = min(p["cpu_seconds"] for p in whole.values()), min(p["error"] for p in whole.values())
    yield at_least(
        f"CPU of the fastest peer that finishes ({fastest:g} s) over our adaptive's largest of 5 ({cpu:.3g} s)",
        fastest / cpu,
        10.0,
        "times",
    )
    yield at_most(f"3-way L1 of our adaptive ({error:.4g}) over the best peer's ({best:g})", error / best, 1.0, "")
    for name, peer in found.items():
        if "our measurements" in name and peer["error"] is not None:
            yield at_most(f"3-way L1 of our adaptive over {name} ({peer['error']:g})", error / peer["error"], 1.05, "")


SECTIONS: tuple[Section, ...] = (
    ("counting", counting),
    ("cold-start", cold_start),
    ("limits", limits),
    ("peers", peers),
    ("correctness", correctness),
    ("mutants", mutants),
)
