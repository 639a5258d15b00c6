"""How the mutants of one room end: a baseline with coverage, then mutants in forked children, each found out once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.mutation.coverage_map import CoverageMap
from benchmarks.mutation.mutants import Mutant
from benchmarks.mutation.rooms import Room

Key = tuple[str, str, str]
"""File, source line and change of a mutant."""

LOG = "pytest.log"
"""What pytest printed last, in each copy of the repository."""

BASELINE_SECONDS = 1_800.0
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONHASHSEED": "0",
}


def baseline(room: Room, cache: Path, place: Path, *, workers: int, fresh: bool) -> CoverageMap:
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


def tried(
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
