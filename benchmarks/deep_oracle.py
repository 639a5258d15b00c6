"""Ours beside opacus on one two-layer network, Adult's domain: the same norms, and how long a DP-SGD step takes.

Prints JSON: the largest relative difference of the norms, and by batch the milliseconds of our step and of opacus'.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import ROOT, SHARED
from dpsynth.deep import ChargedSteps, Phase, SgdPlan
from dpsynth.deep.gradients import squared_norms
from dpsynth.deep.layers import Tape, code_columns, code_starts, column_shares, total_along
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import People, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.noise.normal import draw_normal
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.sources import MemorySource

BATCHES, HIDDEN, REPEATS, ROUNDS, TURNS = (256, 1024, 4096), 128, 2, 6, 3
ORACLE = ROOT / ".venv-oracles" / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class TwoLayers:
    """Codes to hidden units to logits of every column; nothing is masked."""

    sizes: tuple[int, ...]
    masks: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def columns(self) -> Tensor:
        """Which logits are of which column, one-hot."""
        return code_columns(self.sizes)

    @cached_property
    def starts(self) -> Tensor:
        """First logit of each column."""
        return code_starts(self.sizes)

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """Of which the gradient alone is worked out: that of the sum of cross-entropies."""
        inner = torch.relu(tape.lookup(codes, self.starts, "in", "in bias"))
        logits = tape.dense(inner, "out", "bias")
        with torch.no_grad():
            slope = column_shares(logits, self.columns)
            slope.scatter_add_(1, codes + self.starts, torch.full(codes.shape, -1.0))
        return total_along(logits, slope)


def main() -> None:
    """Measure ours, ask the oracle, print both."""
    torch.set_num_threads(1)
    sizes = json.loads((SHARED / "data" / "adult_aim-domain.json").read_text())
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, size, max(BATCHES)) for size in sizes.values()])
    parameters = _parameters(sum(sizes.values()))
    turns = [_turn(sizes, codes, parameters) for _ in range(TURNS)]
    norms = turns[0]["norms"]
    own = _norms(TwoLayers(sizes=tuple(sizes.values())), parameters, torch.from_numpy(codes.T[:256].copy()))
    apart = np.abs(own / np.array(norms) - 1.0).max()
    kinds = turns[0]["milliseconds"]
    times = {
        batch: {name: min(turn["milliseconds"][batch][name] for turn in turns) for name in of_batch}
        for batch, of_batch in kinds.items()
    }
    print(json.dumps({"norms_apart": float(apart), "milliseconds": times}))


def _turn(sizes: dict[str, int], codes: np.ndarray, parameters: dict[str, Tensor]) -> dict[str, Any]:
    """What the oracle says, and the milliseconds of our steps beside its own: what else the machine does meets both."""
    found = _ask(codes, list(sizes.values()), parameters)
    for batch in BATCHES:
        found["milliseconds"][str(batch)]["ours"] = _step(sizes, codes, batch)
    return found


def _parameters(codes: int) -> dict[str, Tensor]:
    shapes = {"in": (codes, HIDDEN), "in bias": (HIDDEN,), "out": (HIDDEN, codes), "bias": (codes,)}
    random = SeededRandom(1)
    drawn = {name: draw_normal(int(np.prod(shape)), random=random).reshape(shape) for name, shape in shapes.items()}
    return {name: torch.from_numpy((0.3 * values).astype(np.float32)) for name, values in drawn.items()}


def _norms(network: TwoLayers, parameters: dict[str, Tensor], codes: Tensor) -> np.ndarray:
    tape = Tape(parameters)
    objective = network.objective(tape, codes)
    signals = torch.autograd.grad(objective.sum(), [layer.outputs for layer in tape.layers])
    square = sum(squared_norms(layer, signal) for layer, signal in zip(tape.layers, signals, strict=True))
    return square.sqrt().numpy()


def _step(sizes: dict[str, int], codes: np.ndarray, batch: int) -> float:
    """CPU milliseconds of one whole step: coins, gradients, clipping, sum, noise, and the move."""
    random, parameters = SystemRandom(), _parameters(sum(sizes.values()))
    people = People(MemorySource(Domain.of(sizes), codes[:, :batch].astype(np.uint8)))
    network = TwoLayers(sizes=tuple(sizes.values()))
    phase = Phase(label="speed", steps=(REPEATS + 1) * ROUNDS, sampling_probability=1.0, clip=1.0)
    plan = SgdPlan(phases=(phase,), noise_multiplier=100.0, people=batch)
    charged, best = ChargedSteps(plan, plan_event(plan, delta=1e-9)), np.inf

    def step() -> None:
        gradient = noisy_gradient(network, parameters, people, phase, charged=charged, random=random)
        for name, value in gradient.items():
            parameters[name].add_(value, alpha=-1e-6)

    for _ in range(ROUNDS):
        step()
        began = time.process_time()
        for _ in range(REPEATS):
            step()
        best = min(best, (time.process_time() - began) / REPEATS * 1e3)
    return float(best)


def _ask(codes: np.ndarray, sizes: list[int], parameters: dict[str, Tensor]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case.npz"
        arrays = {name: value.numpy() for name, value in parameters.items()}
        np.savez(case, allow_pickle=False, codes=codes.T.astype(np.int64), sizes=np.array(sizes), **arrays)
        script = ROOT / "benchmarks" / "oracles" / "dp_sgd.py"
        asked = [str(ORACLE), str(script), str(case), ",".join(map(str, BATCHES)), str(REPEATS)]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the oracle can't answer (make oracles): {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
