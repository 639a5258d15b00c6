"""Trained models on the split of issue 7, each in a process of its own, scored by the independent scorers; kept."""

import json
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import CACHE, SHARED, kept, run, state
from benchmarks.line_utility import scorer

TABLE, TARGET, DELTA = "adult_aim", "income>50K", 1e-6
TRAINING_ROWS, PERMUTATION = 39_073, 0
SEEDS = (0, 1, 2, 3, 4)
DECIDES = (
    *("accountant", "dpsynth/deep", "dpsynth/noise", "dpsynth/estimation/pool.py", "dpsynth/sampling/sampler.py"),
    *("benchmarks/deep*.py", "benchmarks/oracles/dp_sgd.py", "benchmarks/harness.py", "constraints.txt"),
    *(":!accountant/ledger", ":!accountant/report.py"),
)
"""The paths that decide a trained model and its figures."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The same training with several seeds of the noise.

    Attributes:
      runs: What was scored of each, and what it took.
    """

    runs: list[dict[str, Any]]

    def mean(self, name: str) -> float:
        """Mean over the seeds."""
        return statistics.mean(run[name] for run in self.runs)

    def touching(self, name: str, bar: float) -> float:
        """The mean, or the bar where the mean less one standard error reaches it."""
        values = [run[name] for run in self.runs]
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        mean = statistics.mean(values)
        return bar if bar < mean <= bar + error else mean


def trained(
    name: str, epsilon: float, *, permutation: int = PERMUTATION, seeds: tuple[int, ...] = SEEDS
) -> Trained:
    """Train on the first rows of a permutation, score against them and by what a learner makes of it on the rest."""
    return Trained(runs=[_kept(name, epsilon, permutation, seed) for seed in seeds])


def _kept(name: str, epsilon: float, permutation: int, seed: int) -> dict[str, Any]:
    path = CACHE / "deep" / state(DECIDES) / f"{name}-{epsilon:g}-{permutation}-{seed}.json"
    return kept(path, DECIDES, lambda: _train(name, epsilon, permutation, seed))


def _train(name: str, epsilon: float, permutation: int, seed: int) -> dict[str, Any]:
    domain = SHARED / "data" / f"{TABLE}-domain.json"
    training, _ = split(permutation)
    with tempfile.TemporaryDirectory() as folder:
        real, out = Path(folder) / "training.parquet", Path(folder) / "made.parquet"
        training.to_parquet(real, index=False)
        asked = [f"--epsilon={epsilon}", f"--delta={DELTA}", f"--seed={seed}", f"--target={TARGET}"]
        command = [sys.executable, "-m", "benchmarks.deep_fit", str(real), str(domain), str(out), *asked]
        command.append(f"--synthesizer={name}")
        done = run(command, environment=ONE_THREAD)
        if done.code != 0:
            raise RuntimeError(done.output[-800:])
        found = scored(out, real, permutation)
    said = json.loads(done.output.strip().splitlines()[-1])
    return {**said, **found, "process_cpu_seconds": done.cpu_seconds, "peak_mb": done.peak_mb}


def scored(out: Path, real: Path, permutation: int) -> dict[str, float]:
    """Errors of made codes against training codes, both Parquet, and AUC on test rows, by the independent scorers."""
    sizes = json.loads((SHARED / "data" / f"{TABLE}-domain.json").read_text())
    marginals, (training, test) = scorer("marginals"), split(permutation)
    made = pd.read_parquet(out)[list(sizes)].astype(training.dtypes.to_dict())
    found = marginals.score(*(marginals.read(path, list(sizes)) for path in (real, out)), sizes, limit=150)
    best = _real_auc(permutation)
    got = scorer("learn").evaluate(made, test, training, TARGET)["auc"]
    errors = {name: found[name] for name in ("1way_tv", "2way_tv", "3way_tv")}
    return {**errors, "auc_real": best, "auc": got, "auc_below_real": best - got}


@cache
def _real_auc(permutation: int) -> float:
    training, test = split(permutation)
    return float(scorer("learn").evaluate(training, test, training, TARGET)["auc"])


def split(permutation: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows."""
    sizes = json.loads((SHARED / "data" / f"{TABLE}-domain.json").read_text())
    table = pd.read_parquet(SHARED / "data" / f"{TABLE}.parquet")[list(sizes)]
    order = np.random.default_rng(permutation).permutation(len(table))
    parts = np.split(order, [TRAINING_ROWS])
    training, test = (table.iloc[part].reset_index(drop=True) for part in parts)
    return training, test
