"""The run: a baseline with coverage, mutants tried in forked children, survivors held against their explanations."""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import CACHE, RESULTS, ROOT, commit, machine
from benchmarks.mutation.mutants import Mutant, all_mutants, sampled
from benchmarks.mutation.rooms import ROOMS, digest, room_of
from benchmarks.mutation.survivors import explanations, stale
from benchmarks.mutation.trials import Key, baseline, tried

SAMPLE, SEED, MINUTES, WORKERS = 420, 0, 12.0, 2
SURVIVORS = ROOT / "benchmarks" / "mutation_survivors.yaml"


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
    chosen = [m for m in chosen if room in ("", room_of(m).name)]
    ends: dict[Key, dict[str, Any]] = {}
    tests = 0
    for each in ROOMS:
        inside = [m for m in chosen if room_of(m) is each]
        if inside and time.time() < until:
            with tempfile.TemporaryDirectory(prefix="mutation-") as place:
                cache = CACHE / "mutation" / digest(each)
                cache.mkdir(parents=True, exist_ok=True)
                seen = baseline(each, cache, Path(place) / "baseline", workers=workers, fresh=fresh)
                tests += len(seen.tests)
                ends |= tried(each, inside, seen, cache, Path(place), until=until, workers=workers, fresh=fresh)
    return _summary(every, chosen, ends) | {"tests": tests, "seconds": round(time.monotonic() - began, 1)}


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
