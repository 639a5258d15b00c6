"""Attack tools of other projects and ours on the same honest and leaky tables: what each says, CPU seconds, memory.

Run with ``python -m benchmarks.attack_peers.compare [--only NAME] [--again]`` after ``make bench-attacks`` has made the
environments. Coded Adult, 80 % of the people for training, 20 % held out by independent coins; one table of ``mst`` at
epsilon 1, and the same with a share of the training rows verbatim in place of its own. Results go to
``benchmarks/results/attack_peers.json`` one by one: what was measured before is kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.spend import Side
from benchmarks.harness import RESULTS, ROOT, SHARED, Run, commit, machine
from benchmarks.limits import CPU_LIMIT, MEMORY_LIMIT, run_limited, why_unfinished
from dpsynth.domain import Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.sampling import generator, sample_apart
from dpsynth.sources import Codes, MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model

TABLE, EPSILON, DELTA, SEED, HELD_OUT = "adult_aim", 1.0, 1e-6, 0, 0.2
LEAKS = {"honest": 0.0, "1 % verbatim": 0.01, "5 % verbatim": 0.05}
WALL_LIMIT = 3600
ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "NUMBA", "POLARS")},
    "POLARS_MAX_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",
}
FILE = RESULTS / "attack_peers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool.

    Attributes:
      name: How the table calls it.
      environment: Folder of its environment; empty for ours.
      package: The package whose version is recorded.
      script: The module of this folder that runs it.
    """

    name: str
    environment: str
    package: str
    script: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return ROOT / self.environment / "bin" / "python" if self.environment else Path(sys.executable)


TOOLS = (
    Tool(name="our gate and one-run audit", environment="", package="dpsynth", script="ours"),
    Tool(
        name="SDMetrics, DCR metrics",
        environment=".venv-peer-sdmetrics",
        package="sdmetrics",
        script="sdmetrics_dcr",
    ),
    Tool(
        name="anonymeter, three attacks",
        environment=".venv-peer-anonymeter",
        package="anonymeter",
        script="anonymeter_risks",
    ),
    Tool(
        name="mostlyai-qa, distances of the report",
        environment=".venv-peer-mostlyai",
        package="mostlyai-qa",
        script="mostlyai_report",
    ),
)


def main() -> int:
    """Make the tables, run what isn't measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="tools whose name holds this")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tables = make_tables(Path(place))
        for tool in TOOLS:
            known = _stored()["tools"].get(tool.name, {}).get("tables", {})
            if given.only not in tool.name or (set(known) == set(LEAKS) and not given.again):
                continue
            if not tool.python.exists():
                print(f"{tool.name} | not run: {tool.environment} is absent; run make bench-attacks")
                continue
            found = {name: measure(tool, Path(place), table) for name, table in tables.items()}
            _store(tool, found)
            for name, told in found.items():
                print(
                    f"{tool.name} | {name} | {told['outcome']} | {json.dumps(told['says'])} | "
                    f"{told['cpu_seconds']:.1f} CPU s | {told['peak_mb']:.0f} MB",
                    flush=True,
                )
    return 0


def make_tables(place: Path) -> dict[str, Path]:
    """Both sides, the honest table, rows like strangers, and the leaky tables, as Parquet; seeded, public data."""
    sizes = json.loads((SHARED / "data" / f"{TABLE}-domain.json").read_text())
    domain = Domain.of(sizes)
    read = pq.ParquetFile(SHARED / "data" / f"{TABLE}.parquet").read(columns=list(sizes))
    codes = np.array([np.from_dlpack(c.combine_chunks()) for c in read.columns]).astype(np.uint16)
    rng = np.random.default_rng(SEED)
    held = rng.random(codes.shape[1]) < HELD_OUT
    training, budget, random = codes[:, ~held], Budget(epsilon=EPSILON, delta=DELTA), SeededRandom(SEED)
    fitted = fit_model(
        MemorySource(domain, training),
        find_synthesizer("mst"),
        amount=budget.cap.amount,
        coordinate=budget.coordinate,
        spend=FilterSpend(coordinate=budget.coordinate, caps={Side.TRAINING: budget.cap}),
        random=random,
    )
    synthetic, strangers = sample_apart(fitted.model, codes.shape[1], 5_000, rng=generator(SEED))
    for name, part in {"training": training, "holdout": codes[:, held], "strangers": strangers}.items():
        _write(place / f"{name}.parquet", part, domain)
    (place / "domain.json").write_text(json.dumps(sizes))
    made = {}
    for number, (name, share) in enumerate(LEAKS.items()):
        made[name] = place / f"synthetic-{number}.parquet"
        _write(made[name], with_copies(synthetic, training, share, rng), domain)
    return made


def with_copies(synthetic: Codes, training: Codes, share: float, rng: np.random.Generator) -> Codes:
    """The table with a share of the training rows in place of some of its own."""
    out = synthetic.astype(training.dtype)
    chosen = rng.choice(training.shape[1], round(share * training.shape[1]), replace=False)
    out[:, rng.choice(out.shape[1], len(chosen), replace=False)] = training[:, chosen]
    return out


def measure(tool: Tool, place: Path, table: Path) -> dict[str, Any]:
    """Run one tool on one table within its limits."""
    if tool.environment:
        script = [str(tool.python), str(Path(__file__).parent / f"{tool.script}.py")]
    else:
        script = [str(tool.python), "-m", f"benchmarks.attack_peers.{tool.script}"]
    where = place if tool.environment else ROOT
    done = run_limited(
        [*script, str(place), str(table)], cwd=where, environment=ONE_THREAD, wall_seconds=WALL_LIMIT
    )
    says = _said(done)
    return {
        "outcome": "finished" if says is not None else f"did not finish: {why_unfinished(done)}",
        "says": says,
        "cpu_seconds": round(done.cpu_seconds, 2),
        "peak_mb": round(done.peak_mb, 1),
    }


def _said(done: Run) -> dict[str, Any] | None:
    last = [line for line in done.output.splitlines() if line.startswith("{")]
    if done.code != 0 or not last:
        return None
    said: dict[str, Any] = json.loads(last[-1])
    return said


def _write(path: Path, codes: Codes, domain: Domain) -> None:
    pq.write_table(pa.table(dict(zip(domain.names, map(pa.array, codes.astype(np.int64)), strict=True))), path)


def _version(tool: Tool) -> str:
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    command = [str(tool.python), "-c", code, tool.package]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _stored() -> dict[str, Any]:
    if not FILE.exists():
        return {"table": TABLE, "epsilon": EPSILON, "delta": DELTA, "seed": SEED, "tools": {}}
    stored: dict[str, Any] = json.loads(FILE.read_text())
    return stored


def _store(tool: Tool, found: dict[str, Any]) -> None:
    body = _stored()
    body["tools"][tool.name] = {
        "tables": found,
        "version": _version(tool),
        "cpu_limit_seconds": CPU_LIMIT,
        "memory_limit_gib": MEMORY_LIMIT / 2**30,
        "commit": commit(),
        "machine": {k: v for k, v in machine().items() if k != "packages"},
    }
    FILE.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
