"""How CPU seconds and memory grow with rows, columns and sizes: ``python -m benchmarks.scale [--only TEXT] [--again]``.

Each cell is one process. Results go to ``benchmarks/results/scale.json`` one by one: what was measured is kept.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.engine_runs import ONE_THREAD
from benchmarks.harness import RESULTS, commit, machine, run

FILE = RESULTS / "scale.json"
SECONDS = 900
"""Longest wall time of one cell; niced runs beside others count more than their CPU."""
TIMED_OUT = 124
ROWS = [(10**k, 15, 16) for k in (4, 5, 6, 7, 8)]
COLUMNS = [(100_000, d, 16) for d in (10, 25, 50, 100)]
SIZES = [(100_000, 15, s) for s in (2, 10, 100, 1_000)]
SIGNAL, CLEAR = 10_000_000, [(10**k, 15, 16) for k in (5, 6)]
"""Cells whose budget is raised so that their noise is to their rows as that of ``SIGNAL`` rows is: rows alone differ.
(The other way round, wider noise would cost more to draw.)"""
SYNTHESIZERS = ("mst", "tree", "adaptive")


def main() -> None:
    """Measure what isn't measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name holds this")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    given = parser.parse_args()
    for synthesizer in SYNTHESIZERS:
        for cell, signal in [*((c, 0) for c in cells_of()), *((c, SIGNAL) for c in CLEAR)]:
            name = cell_name(synthesizer, *cell, signal=signal)
            if given.only not in name or (name in _stored()["cells"] and not given.again):
                continue
            found = measure(*cell, synthesizer, signal=signal)
            _store(name, found)
            print(f"{name} | {line(found)}", flush=True)


def cells_of() -> list[tuple[int, int, int]]:
    """Rows, columns and size of each cell, once each."""
    return list(dict.fromkeys([*ROWS, *COLUMNS, *SIZES]))


def cell_name(synthesizer: str, rows: int, columns: int, size: int, *, signal: int = 0) -> str:
    """A cell's name in the results; where ``signal`` is given, its noise is relatively that of so many rows."""
    cut = f", the noise of {signal:,} rows" if signal else ""
    return f"{synthesizer}: {rows:,} rows, {columns} columns of {size:,} codes{cut}"


def measure(rows: int, columns: int, size: int, synthesizer: str, *, signal: int = 0) -> dict[str, Any]:
    """One cell in a process of its own."""
    limited = ["timeout", str(SECONDS)]
    command = [*limited, sys.executable, "-m", "benchmarks.scale_fit", "--synthesizer", synthesizer]
    numbers = [f"--rows={rows}", f"--columns={columns}", f"--size={size}", f"--signal={signal or rows}"]
    where = {"rows": rows, "columns": columns, "size": size, "synthesizer": synthesizer, "commit": commit()}
    done = run([*command, *numbers], environment=ONE_THREAD, timeout_seconds=2 * SECONDS)
    if done.code == TIMED_OUT:
        used = round(done.cpu_seconds, 2)
        return where | {"outcome": f"did not finish in {SECONDS} s of wall time ({used} CPU s)", "cpu_seconds": used}
    if done.code != 0:
        last = done.output.strip().splitlines()[-1:] or ["no message"]
        return where | {"outcome": f"refused or failed: {last[0][:200]}", "cpu_seconds": round(done.cpu_seconds, 2)}
    told = json.loads(done.output.strip().splitlines()[-1])
    return where | {
        "outcome": "finished",
        "cpu_seconds": round(done.cpu_seconds, 2),
        "counting_cpu_seconds": round(told["counting"], 2),
        "rest_cpu_seconds": round(told["rest"], 2),
        "peak_mb": round(done.peak_mb),
    }


def line(found: Mapping[str, Any]) -> str:
    """A cell in words."""
    if found["outcome"] != "finished":
        return str(found["outcome"])
    return (
        f"{found['cpu_seconds']} CPU s of the whole process: counting {found['counting_cpu_seconds']}, the rest of the "
        f"fit {found['rest_cpu_seconds']}; {found['peak_mb']} MB"
    )


def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"cells": {}}
    return stored


def _store(name: str, found: dict[str, Any]) -> None:
    body = _stored() | {"epsilon": 1.0, "delta": 1e-9, "machine": machine()}
    body["cells"][name] = found
    FILE.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
