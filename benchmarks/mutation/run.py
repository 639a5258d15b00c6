"""The run: a baseline with coverage, mutants tried in forked children, survivors held against their explanations."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.harness import CACHE, RESULTS, ROOT, commit, machine
from benchmarks.mutation.coverage_map import CoverageMap
from benchmarks.mutation.mutants import Mutant, all_mutants, sampled
from benchmarks.mutation.survivors import explanations, stale

Key = tuple[str, str, str]
"""File, source line and change of a mutant."""

LOG = "pytest.log"
"""What pytest printed last, in each copy of the repository."""

SAMPLE, SEED, MINUTES, WORKERS = 420, 0, 12.0, 2
SURVIVORS = ROOT / "benchmarks" / "mutation_survivors.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Files, and the tests that have to notice what is wrong with them.

    Attributes:
      name: Of the room.
      files: Patterns of its files.
      tests: Patterns of its test files.
      others: Patterns of those among them that are another room's.
    """

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """The test files."""
        return sorted(_found(self.tests) - _found(self.others))


def _found(patterns: Sequence[str]) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}


_CURVES = tuple(f"tests/accountant/test_{name}*.py" for name in ("pld", "fixed_plan", "renyi", "recursion"))
_LEDGER = ("tests/accountant/test_ledger*.py",)

ROOMS = (
    Room(
        name="noise",
        files=("dpsynth/noise/*.py",),
        tests=("tests/dpsynth/noise/test_*.py", "tests/statistical/test_samplers.py"),
    ),
    Room(name="gate", files=("dpsynth/gate/*.py",), tests=("tests/dpsynth/gate/test_*.py",)),
    Room(
        name="ledger",
        files=("accountant/ledger/*.py",),
        tests=(*_LEDGER, "tests/accountant/test_spend_contract.py", "tests/accountant/test_edges.py"),
    ),
    Room(
        name="curves",
        files=(
            *(f"accountant/{name}.py" for name in ("losses", "pld", "renyi", "fixed", "recursion")),
            *(f"accountant/rules/{name}.py" for name in ("pld", "rdp", "plans", "selection")),
        ),
        tests=(*_CURVES, "tests/accountant/test_edges.py", "tests/oracles/test_recursion.py"),
    ),
    Room(
        name="prices",
        files=("accountant/*.py", "accountant/rules/*.py"),
        tests=("tests/accountant/test_*.py",),
        others=(*_LEDGER, *_CURVES),
    ),
)
"""A file belongs to the first that names it. A room's own tests have to do: oracles of whole mechanisms take longer
than a mutant is given, and what only another room's tests would see is seen too late."""

BASELINE_SECONDS = 1_800.0
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONHASHSEED": "0",
}


def measure(
    sample: int | None = SAMPLE,
    seed: int = SEED,
    minutes: float = MINUTES,
    *,
    workers: int = WORKERS,
    only: str = "",
    room: str = "",
    keys: frozenset[Key] | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Try a sample of mutants, or all of them.

    What a room was found to do before, with these files and these tests, is taken from the cache, so a run that was out
    of time resumes.

    Args:
      sample: About how many mutants, in proportion to each file's; None for all.
      seed: Of the sample.
      minutes: Most time to take, the baseline included; what is left then is told as ``not_run``.
      workers: Processes that try mutants; one core each.
      only: Mutants of files whose path holds this text.
      room: Mutants of this room only.
      keys: Mutants with these keys only.
      fresh: Whether to ignore what was found before.

    Returns:
      ``total`` mutants chosen, of which ``killed``, ``timed_out`` (killed, too: told apart), ``explained``,
      ``unexplained`` (a list of what survived without a reason) and ``not_run``; ``stale`` explanations, ``of`` all
      mutants, ``seconds``, ``tests``, ``by_file``, and a row for each mutant in ``mutants``.

    Raises:
      RuntimeError: A test fails without a mutant, or the workers broke.
    """
    began = time.monotonic()
    until = time.time() + minutes * 60.0
    every = all_mutants(ROOT)
    chosen = every if sample is None else sampled(every, sample, seed)
    chosen = [m for m in chosen if only in m.file and (keys is None or m.key in keys)]
    chosen = [m for m in chosen if room in ("", _room_of(m).name)]
    ends: dict[Key, dict[str, Any]] = {}
    tests = 0
    for each in ROOMS:
        inside = [m for m in chosen if _room_of(m) is each]
        if inside and time.time() < until:
            with tempfile.TemporaryDirectory(prefix="mutation-") as place:
                cache = CACHE / "mutation" / _digest(each)
                cache.mkdir(parents=True, exist_ok=True)
                seen = _baseline(each, cache, Path(place) / "baseline", workers=workers, fresh=fresh)
                tests += len(seen.tests)
                ends |= _tried(each, inside, seen, cache, Path(place), until=until, workers=workers, fresh=fresh)
    return _summary(every, chosen, ends) | {"tests": tests, "seconds": round(time.monotonic() - began, 1)}


def _room_of(mutant: Mutant) -> Room:
    named = (room for room in ROOMS if any(PurePosixPath(mutant.file).match(pattern) for pattern in room.files))
    return next(named, ROOMS[-1])


def _digest(room: Room) -> str:
    """A hash of the room's files, its tests and what they share: what was found holds for them alone."""
    helpers = {path for target in room.targets for path in (ROOT / target).parent.glob("*.py")}
    helpers = {path for path in helpers if not path.name.startswith("test_")}
    paths = {*helpers, *(ROOT / name for name in (*_found(room.files), *room.targets))}
    found = hashlib.sha256()
    for path in sorted([*paths, ROOT / "tests" / "conftest.py", ROOT / "constraints.txt"]):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _baseline(room: Room, cache: Path, place: Path, *, workers: int, fresh: bool) -> CoverageMap:
    """What each test of the room executes: measured by ``workers`` processes, each with its share of the files."""
    kept = cache / "baseline.json"
    if fresh or not kept.exists():
        shares = [share for n in range(workers) if (share := room.targets[n::workers])]
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(lambda n: _measured(shares[n], place.with_name(f"baseline{n}")), range(len(shares))))
        kept.write_text(json.dumps(_merged(parts)))
    body = json.loads(kept.read_text())
    seen = CoverageMap(root=ROOT, tests=body["tests"], lines=body["lines"])
    if seen.failed:
        kept.unlink()
        raise RuntimeError(f"These tests fail without a mutant: {', '.join(seen.failed[:5])} ({len(seen.failed)}).")
    return seen


def _measured(targets: Sequence[str], place: Path) -> dict[str, Any]:
    out = place.with_suffix(".out.json")
    job = {"root": str(ROOT), "copies": [str(place)], "targets": targets, "out": str(out)}
    _workshop(job, place.with_suffix(".json"), seconds=BASELINE_SECONDS)
    body: dict[str, Any] = json.loads(out.read_text())
    return body


def _merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    lines: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        for file, found in part["lines"].items():
            for number, tests in found.items():
                known = lines.setdefault(file, {}).setdefault(number, [])
                known += [test for test in tests if test not in known]
    return {"tests": [test for part in parts for test in part["tests"]], "lines": lines}


def _tried(
    room: Room,
    chosen: Sequence[Mutant],
    seen: CoverageMap,
    cache: Path,
    place: Path,
    *,
    until: float,
    workers: int,
    fresh: bool,
) -> dict[Key, dict[str, Any]]:
    """How each mutant ended, by key; those that nobody executes survive without being tried."""
    kept = cache / "ends.jsonl"
    if fresh:
        kept.unlink(missing_ok=True)
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    ends = {tuple(row["key"]): row for row in rows}
    todo, tasks = [], []
    for mutant in chosen:
        tests = seen.tests_of(mutant)
        if mutant.key in ends or not tests:
            ends.setdefault(mutant.key, {"end": "not executed", "by": "", "seconds": 0.0})
            continue
        content = (ROOT / mutant.file).read_bytes()
        todo.append(mutant)
        tasks.append(
            {
                "file": mutant.file,
                "before": content.decode(),
                "content": mutant.applied(content).decode(),
                "warm": not seen.at_import(mutant),
                "tests": [{"id": t["id"], "seconds": t["seconds"]} for t in tests],
            }
        )
    if tasks:
        out = place / "ends.jsonl"
        out.touch()
        copies = [str(place / f"copy{n}") for n in range(workers)]
        job = {"root": str(ROOT), "copies": copies, "targets": room.targets, "out": str(out), "until": until}
        try:
            _workshop(job | {"tasks": tasks}, place / "job.json", seconds=until - time.time() + 600.0)
        finally:
            with kept.open("a") as file:
                for line in out.read_text().splitlines():
                    row = json.loads(line)
                    mutant = todo[row.pop("number")]
                    ends[mutant.key] = row
                    file.write(json.dumps({"key": mutant.key, **row}) + "\n")
    return ends


def _workshop(job: dict[str, Any], path: Path, *, seconds: float) -> None:
    path.write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mutation.workshop", str(path)],
        cwd=ROOT,
        env=os.environ | _ENVIRONMENT,
        timeout=seconds,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 or not Path(job["out"]).exists():
        logs = [log.read_text()[-2000:] for copy in job["copies"] if (log := Path(copy) / LOG).exists()]
        raise RuntimeError(f"The workshop ended with {done.returncode}: {done.stderr[-2000:]} {' '.join(logs)}")


def _summary(
    every: Sequence[Mutant],
    chosen: Sequence[Mutant],
    ends: dict[Key, dict[str, Any]],
) -> dict[str, Any]:
    known = explanations(SURVIVORS)
    rows = []
    for mutant in sorted(chosen, key=lambda m: (m.file, m.start, m.change)):
        end = ends.get(mutant.key, {"end": "not run", "by": "", "seconds": 0.0})
        row = {"file": mutant.file, "line": mutant.line, "source": mutant.source, "change": mutant.change, **end}
        row["why"] = known.get(mutant.key, "") if end["end"] in {"survived", "not executed"} else ""
        row.pop("key", None)
        rows.append(row)
    counts = Counter(row["end"] for row in rows)
    alive = [row for row in rows if row["end"] in {"survived", "not executed"}]
    dead = [m for m in chosen if ends.get(m.key, {}).get("end") in {"killed", "timed out"}]
    files = sorted({row["file"] for row in rows})
    return {
        "of": len(every),
        "total": len(rows),
        "killed": counts["killed"],
        "timed_out": counts["timed out"],
        "explained": sum(bool(row["why"]) for row in alive),
        "unexplained": [row for row in alive if not row["why"]],
        "not_run": counts["not run"],
        "stale": stale(known, every, dead),
        "by_file": {f: dict(Counter(row["end"] for row in rows if row["file"] == f)) for f in files},
        "mutants": rows,
    }


def main() -> int:
    """Print what survived; non-zero where a survivor isn't explained or a mutant wasn't tried."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"about how many mutants; {SAMPLE} unless told")
    parser.add_argument("--all", action="store_true", help="every mutant; an hour and more")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="most time to take")
    parser.add_argument("--workers", type=int, default=WORKERS, choices=(1, 2))
    parser.add_argument("--only", default="", help="files whose path holds this text")
    parser.add_argument("--room", default="", choices=[room.name for room in ROOMS])
    parser.add_argument("--again", type=Path, help="only what survived in this JSON, or is explained in this YAML")
    parser.add_argument("--fresh", action="store_true", help="ignore what was found before")
    parser.add_argument("--out", type=Path, help="where to write the result, if not to benchmarks/results")
    asked = parser.parse_args()
    keys = None
    if asked.again:
        keys = frozenset(_survivors_in(asked.again))
    found = measure(
        None if asked.all else asked.sample,
        asked.seed,
        asked.minutes,
        workers=asked.workers,
        only=asked.only,
        room=asked.room,
        keys=keys,
        fresh=asked.fresh,
    )
    whole = not (asked.only or asked.room or asked.again)
    out = asked.out or (RESULTS / "mutation.json" if whole else None)
    if out:
        write(found, out)
    for row in found["unexplained"]:
        print(f"UNEXPLAINED ({row['end']}) {row['file']}:{row['line']}\n    {row['source']}\n    {row['change']}")
    for words in found["stale"]:
        print(f"STALE {words}")
    print(
        f"{found['total']} of {found['of']} mutants, {found['tests']} tests: {found['killed']} killed, "
        f"{found['timed_out']} timed out, {found['explained']} survivors explained, "
        f"{len(found['unexplained'])} unexplained, {len(found['stale'])} stale explanations, "
        f"{found['not_run']} not run, {found['seconds']:.0f} s"
    )
    return int(bool(found["unexplained"]) or found["not_run"] > 0)


def write(found: dict[str, Any], path: Path) -> None:
    """The result as JSON, a line for each mutant."""
    head = {name: value for name, value in found.items() if name not in {"mutants", "unexplained"}}
    head |= {"commit": commit(), "machine": machine(), "unexplained": len(found["unexplained"])}
    rows = ",\n".join(json.dumps(row, sort_keys=True) for row in found["mutants"])
    body = json.dumps(head, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{body[:-2]},\n "mutants": [\n{rows}\n]\n}}\n')


def _survivors_in(path: Path) -> list[Key]:
    if path.suffix != ".json":
        return list(explanations(path))
    rows = json.loads(path.read_text())["mutants"]
    return [(r["file"], r["source"], r["change"]) for r in rows if r["end"] not in {"killed", "timed out"}]
