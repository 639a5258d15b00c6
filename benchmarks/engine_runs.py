"""Fits of coded tables, each in a process of its own, scored by the independent scorer; what was fitted is kept."""

import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.harness import CACHE, ROOT, SHARED, kept, run, state
from benchmarks.line_utility import scorer

SEEDS = (0, 1, 2, 3, 4)
MAGNITUDES = {
    "adult_aim": 50_000,
    "adult_pgm": 50_000,
    "adult_privmrf": 50_000,
    "acs_income_us_exca": 200_000,
    "nist_taxi": 200_000,
    "salary_aim": 100_000,
    "titanic_aim": 1_000,
}
"""Public magnitudes of the tables, which ``auto`` decides by."""
ELSEWHERE = (
    *("accountant/ledger", "dpsynth/deep", "dpsynth/cli", "dpsynth/gate", "dpsynth/attacks", "dpsynth/certificate"),
    *("dpsynth/report", "dpsynth/external", "dpsynth/line.py", "dpsynth/statement.py", "dpsynth/plan.py"),
    *("dpsynth/fitting.py", "dpsynth/storing.py", "dpsynth/publishing.py", "dpsynth/noise/normal.py"),
)
"""What a fit of a coded table neither imports nor is decided by."""
DECIDES = (
    *("accountant", "dpsynth", "benchmarks/engine*.py", "benchmarks/fit_coded.py", "benchmarks/harness.py"),
    *("benchmarks/line_utility.py", "constraints.txt", *(f":!{path}" for path in ELSEWHERE)),
)
"""The paths that decide a fit and its figures."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A coded table and its public domain.

    Attributes:
      name: How it is called.
      records: Parquet file of codes.
      domain: JSON file of sizes by name.
    """

    name: str
    records: Path
    domain: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """The same fit with several seeds.

    Attributes:
      scores: What the scorer said of each.
      cpu_seconds: CPU of each whole process, imports included.
      peak_mb: Its peak memory.
      chosen: What ``auto`` chose, or the synthesizer's name.
    """

    scores: list[dict[str, float]]
    cpu_seconds: list[float]
    peak_mb: list[float]
    chosen: list[str]

    def mean(self, score: str) -> float:
        """Mean of a score over the seeds."""
        return statistics.mean(s[score] for s in self.scores)

    def detail(self) -> dict[str, object]:
        """Everything behind a mean."""
        return asdict(self)


def shared_table(name: str) -> Table:
    """One of the shared coded tables."""
    folder = SHARED / "data"
    return Table(name=name, records=folder / f"{name}.parquet", domain=folder / f"{name}-domain.json")


def fits(
    table: Table,
    synthesizer: str,
    *,
    epsilon: float,
    delta: float,
    seeds: Sequence[int] = SEEDS,
    ways: tuple[int, ...] = (3,),
    limit: int = 0,
) -> Fits:
    """Fit all rows without a gate, in test mode, sample as many, and score; seeds fitted on this code are kept."""
    done = [
        _kept(table, synthesizer, {"epsilon": epsilon, "delta": delta, "seed": seed, "ways": ways, "limit": limit})
        for seed in seeds
    ]
    return Fits(
        scores=[d["score"] for d in done],
        cpu_seconds=[d["cpu_seconds"] for d in done],
        peak_mb=[d["peak_mb"] for d in done],
        chosen=[d["chosen"] for d in done],
    )


def house() -> str:
    """What people get by default: ``auto`` where this version has it, else ``adaptive``."""
    return "auto" if find_spec("dpsynth.auto") else "adaptive"


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers."""
    return math.exp(statistics.mean(math.log(v) for v in values))


def _kept(table: Table, synthesizer: str, how: dict[str, Any]) -> dict[str, Any]:
    name = "-".join(str(v) for v in (table.name, synthesizer, *how.values())).replace(" ", "")
    path = CACHE / "engine" / state(DECIDES) / "fits" / f"{name}.json"
    return kept(path, DECIDES, lambda: _fit(table, synthesizer, how))


def _compiled() -> set[Path]:
    """The machine code that is kept by now."""
    return set((ROOT / "dpsynth").rglob("__pycache__/*.nbc"))


def _fit(table: Table, synthesizer: str, how: dict[str, Any]) -> dict[str, Any]:
    marginals, sizes = scorer("marginals"), json.loads(table.domain.read_text())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "made.parquet"
        command = ["-m", "benchmarks.fit_coded", str(table.records), str(table.domain), str(out)]
        budget = [f"--{name}={how[name]}" for name in ("epsilon", "delta", "seed")]
        named = ["--synthesizer", synthesizer, "--rows-magnitude", str(MAGNITUDES[table.name])]
        before = _compiled()
        done = run([sys.executable, *command, *budget, *named], environment=ONE_THREAD)
        if _compiled() != before:  # compilation has a figure of its own
            done = run([sys.executable, *command, *budget, *named], environment=ONE_THREAD)
        if done.code != 0:
            raise RuntimeError(done.output[-500:])
        real, made = (marginals.read(path, list(sizes)) for path in (table.records, out))
    score = marginals.score(real, made, sizes, ways=how["ways"], limit=how["limit"])
    chosen = done.output.strip().splitlines()[-1:] or [synthesizer]
    return {"score": score, "cpu_seconds": done.cpu_seconds, "peak_mb": done.peak_mb, "chosen": chosen[0]}
