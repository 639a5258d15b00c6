"""Another project's DP-SGD synthesizer beside ours: DPCTGAN of smartnoise-synth, within a time limit.

Two trainings of it are told at each epsilon: with its own settings, which are interrupted when their time is up, and
with as many epochs as fit and the noise with which its count then is within epsilon. Both are scored as ours are.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.deep_runs import DELTA, ONE_THREAD, PERMUTATION, TABLE, scored, split, trained
from benchmarks.harness import CACHE, ROOT, SHARED, Figure, holds, kept, state
from benchmarks.limits import run_limited, why_unfinished

EPSILONS, SEED, OURS = (1.0, 3.0, 10.0), 0, ("ar-gan", "gan")
ENVIRONMENT = ".venv-peer-smartnoise"
PYTHON = ROOT / ENVIRONMENT / "bin" / "python"
SCRIPT = ROOT / "benchmarks" / "peers" / "dpctgan.py"
TRAINING_SECONDS, CPU_SECONDS, WALL_SECONDS = 200, 260, 1800
"""CPU seconds after which the peer's training is interrupted, and after which its process is stopped."""
EPOCHS = 2
"""Epochs that fit into the limit."""
DECIDES = (
    *("benchmarks/deep_peers.py", "benchmarks/deep_runs.py", "benchmarks/peers/dpctgan.py", "benchmarks/limits.py"),
    *("benchmarks/harness.py", "Makefile"),
)
"""The paths that decide what the peer's trainings give."""
Found = Mapping[str, Any]


def beside() -> Iterator[Figure]:
    """The peer, with its own settings and with those that fit, and ours at the same epsilon."""
    for epsilon in EPSILONS:
        what = f"beside {' and '.join(OURS)} on {TABLE}, epsilon {epsilon:g}: 2-way TV, AUC below real, CPU s"
        if not PYTHON.exists():
            absent = f"not run: {ENVIRONMENT} is absent; run make {ENVIRONMENT}, then figures with --fresh"
            yield holds(f"DPCTGAN (smartnoise-synth) {what}", False, absent, "run to its end or its limit")
            continue
        stock, fitted = own_settings(epsilon, measured), measured(epsilon, epochs=EPOCHS)
        ours = {name: trained(name, epsilon, seeds=(SEED,)).runs[0] for name in OURS}
        yield figure(what, stock, fitted, ours)


def own_settings(epsilon: float, measure: Callable[[float], Found]) -> Found:
    """The peer's training with its own settings.

    Epsilon decides nothing but when it stops, so the training to the largest is that to a smaller one too if its rule
    had seen no more than the smaller when it was interrupted or ended.
    """
    longest = measure(max(EPSILONS))
    return longest if longest.get("epsilon_seen", 0.0) <= epsilon else measure(epsilon)


def figure(what: str, stock: Found, fitted: Found, ours: Mapping[str, Found]) -> Figure:
    """One line for both sides."""
    version = stock.get("version", fitted.get("version", "which didn't say its version"))
    sides = [f"its own settings {told(stock)}", f"{EPOCHS} epochs and the noise for them {told(fitted)}"]
    sides += [f"{name} {scores(found)}" for name, found in ours.items()]
    detail = {"own_settings": stock, "fitted": fitted, "ours": ours}
    what = f"DPCTGAN (smartnoise-synth {version}) {what}"
    return holds(what, True, "; ".join(sides), "run to its end or its limit", **detail)


def told(found: Found) -> str:
    """What became of one training of the peer."""
    if "unscored" in found:
        return f"did not finish: {found['unscored']}"
    counted = f"epsilon {found['epsilon_spent']:.3g} by its count"
    if found["ended"]:
        return f"({counted}) {scores(found)}"
    where = f"epoch {found['epochs_begun']}, {counted}"
    return f"did not finish in {TRAINING_SECONDS} CPU s ({where}), as it was {scores(found)}"


def scores(found: Found) -> str:
    """Error, loss of AUC and cost."""
    return f"{found['2way_tv']:.4f}, {found['auc_below_real']:.4f}, {found['cpu_seconds']:.1f} CPU s"


def measured(epsilon: float, *, epochs: int | None = None) -> Found:
    """One training of the peer, kept."""
    path = CACHE / "deep" / state(DECIDES) / f"dpctgan-{epsilon:g}-{epochs or 'own'}.json"
    return kept(path, DECIDES, partial(_measure, epsilon, epochs))


def _measure(epsilon: float, epochs: int | None) -> dict[str, Any]:
    training, _ = split(PERMUTATION)
    with tempfile.TemporaryDirectory() as folder:
        real, out = Path(folder) / "training.parquet", Path(folder) / "made.parquet"
        training.to_parquet(real, index=False)
        domain = SHARED / "data" / f"{TABLE}-domain.json"
        asked = [f"--epsilon={epsilon}", f"--delta={DELTA}", f"--seed={SEED}", f"--cpu-seconds={TRAINING_SECONDS}"]
        asked += [] if epochs is None else [f"--epochs={epochs}"]
        command = [str(PYTHON), "-W", "ignore", str(SCRIPT), str(real), str(domain), str(out), *asked]
        limits = {"wall_seconds": WALL_SECONDS, "cpu_seconds": CPU_SECONDS}
        done = run_limited(command, cwd=Path(folder), environment=ONE_THREAD, **limits)
        used = {"process_cpu_seconds": done.cpu_seconds, "peak_mb": done.peak_mb, "cpu_limit_seconds": CPU_SECONDS}
        if done.code != 0:
            why = why_unfinished(done, cpu_seconds=CPU_SECONDS)
            if not why.startswith("stopped"):
                raise RuntimeError(f"DPCTGAN broke: {why}")
            return {"unscored": why, **used}
        return {**json.loads(done.output.strip().splitlines()[-1]), **scored(out, real, PERMUTATION), **used}
