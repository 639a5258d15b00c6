"""The same plans on a CPU and on a GPU: errors, seconds, and one DP-SGD step against an ordinary one. Self-contained.

    python3 benchmarks/deep_gpu.py --write-data deep_gpu.npz          # where ../shared is: Adult's codes, 39,073 rows
    OUT=results python3 benchmarks/deep_gpu.py --data deep_gpu.npz    # anywhere; writes $OUT/deep_gpu.json

Without data it makes rows of Adult's shape. Needs torch, numpy, scipy, numba and cryptography. Everything is done in
test mode, with a seed; the number of rows is public in this benchmark only.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from numpy.typing import NDArray

from accountant.price import Coordinate
from accountant.spend import Step
from dpsynth.deep import plan_for_target
from dpsynth.deep.config import CriticConfig, TrainedConfig
from dpsynth.deep.device import computing_on
from dpsynth.deep.planning import train_model
from dpsynth.domain import Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.noise.seeds import draw_seed
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import find_synthesizer

SIZES = (16, 32, 9, 32, 16, 7, 15, 6, 5, 2, 32, 32, 32, 42, 2)
ROWS, PERMUTATION, DELTA, SEED = 39_073, 7, 1e-6, 0
NAMES, EPSILONS, BATCHES, REPEATS = ("gan", "ar-gan"), (1.0, 3.0), (256, 1024, 4096), 20
ANY_AMOUNT = 2**60

Codes = NDArray[np.int64]


class Unpaid:
    """A spend that refuses nothing: the benchmark's data are public."""

    def charge(self, steps: Sequence[Step]) -> None:
        """Nothing to do."""


def main() -> None:
    """Write the data, or measure on every device that is there; a line of JSON for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="codes by --write-data; made rows where there are none")
    parser.add_argument("--write-data", type=Path, help="write the codes and end")
    parser.add_argument("--device", action="append", help="cpu, cuda; all that are there by default")
    parser.add_argument("--tiny", action="store_true", help="few rows and steps: does it run?")
    given = parser.parse_args()
    if given.write_data:
        np.savez_compressed(given.write_data, codes=_adult())
        return
    codes, sizes = _codes(given.data, tiny=given.tiny)
    devices = given.device or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    torch.set_num_threads(1)
    found = [_machine()]
    for device in devices:
        for figure in _figures(device, codes, sizes, tiny=given.tiny):
            found.append(figure)
            print(json.dumps(figure), flush=True)
    out = Path(os.environ.get("OUT", ".")) / "deep_gpu.json"
    out.write_text(json.dumps(found, indent=1))


def _figures(device: str, codes: Codes, sizes: Sequence[int], *, tiny: bool) -> Iterator[dict[str, Any]]:
    for batch in (64,) if tiny else BATCHES:
        ours, ordinary = _speed(device, codes, sizes, batch)
        speed = round(ordinary / ours, 3)
        yield {"device": device, "batch": batch, "dp_sgd_ms": ours, "ordinary_ms": ordinary, "speed": speed}
    for name in NAMES:
        for epsilon in (1.0,) if tiny else EPSILONS:
            yield {"device": device, "synthesizer": name, "epsilon": epsilon} | _trained(
                _config(name, device, tiny=tiny), epsilon, codes, sizes
            )


def _config(name: str, device: str, *, tiny: bool) -> TrainedConfig:
    config: TrainedConfig = replace(find_synthesizer(name).config, device=device)
    if not tiny:
        return config
    few: dict[str, Any] = {"batch": 200, "fewest_rows": 2_000, "critic": CriticConfig(steps=3)}
    steps: dict[str, dict[str, Any]] = {"gan": {"game_steps": 5, "parts": 50}, "ar-gan": {"row_steps": 5}}
    return replace(config, **few, **steps[name])


def _trained(config: TrainedConfig, epsilon: float, codes: Codes, sizes: Sequence[int]) -> dict[str, Any]:
    domain, rows = Domain.of({f"c{j}": size for j, size in enumerate(sizes)}), codes.shape[1]
    config = config.for_epsilon(epsilon)
    plan = plan_for_target(config.phases(domain, people=rows), people=rows, epsilon=epsilon, delta=DELTA)
    planned = replace(config, people=rows, noise_multiplier=plan.noise_multiplier, delta=0.1 * DELTA)
    random, source = SeededRandom(SEED), MemorySource(domain, codes.astype(np.uint8))
    began, began_cpu = time.perf_counter(), time.process_time()
    model = train_model(
        source, planned, amount=ANY_AMOUNT, coordinate=Coordinate.GDP, spend=Unpaid(), random=random
    )
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    made = sample_codes(model, rows, rng=generator(draw_seed(random))).astype(np.int64)
    steps = sum(phase.steps for phase in plan.phases)
    return {"2way_tv": _error(codes, made, sizes), "train_wall_s": wall, "train_cpu_s": cpu, "steps": steps}


def _speed(device: str, codes: Codes, sizes: Sequence[int], batch: int) -> tuple[float, float]:
    """Least milliseconds of wall, in turns, of our step and an ordinary one of ar-gan's network."""
    from benchmarks.deep_speed import steps_of

    with computing_on(device):
        steps = steps_of(codes[:, :batch], sizes, most=6 * REPEATS)
        best = [np.inf, np.inf]
        for _ in range(5):
            for i, step in enumerate(steps):
                best[i] = min(best[i], _milliseconds(step, device))
    return float(best[0]), float(best[1])


def _milliseconds(step: Callable[[], None], device: str) -> float:
    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    step()
    wait()
    began = time.perf_counter()
    for _ in range(REPEATS - 1):
        step()
    wait()
    return (time.perf_counter() - began) / (REPEATS - 1) * 1e3


def _error(real: Codes, made: Codes, sizes: Sequence[int]) -> float:
    """Mean total variation over all pairs of columns."""
    found = []
    for j, k in combinations(range(len(sizes)), 2):
        tables = [
            np.bincount(codes[j] * sizes[k] + codes[k], minlength=sizes[j] * sizes[k]) / codes.shape[1]
            for codes in (real, made)
        ]
        found.append(0.5 * np.abs(tables[0] - tables[1]).sum())
    return float(np.mean(found))


def _codes(path: Path | None, *, tiny: bool) -> tuple[Codes, tuple[int, ...]]:
    rows = 1_000 if tiny else ROWS
    if path is not None:
        with np.load(path, allow_pickle=False) as arrays:
            codes = arrays["codes"].astype(np.int64)
    else:  # columns follow a hidden number, each in its own way
        rng = np.random.default_rng(0)
        hidden = rng.beta(0.6, 1.2, ROWS)
        spread = [hidden * rng.choice([-1.0, 1.0]) + 0.3 * rng.normal(size=ROWS) for _ in SIZES]
        codes = np.array([np.clip((v + 1) / 2 * size, 0, size - 1) for v, size in zip(spread, SIZES, strict=True)])
        codes = codes.astype(np.int64)
    return codes[:, :rows], SIZES


def _adult() -> NDArray[np.uint8]:
    """Training rows of a permutation that settings were chosen on, the target last."""
    from benchmarks.deep_runs import split

    training, _ = split(PERMUTATION)
    return training.to_numpy().T.astype(np.uint8)


def _machine() -> dict[str, Any]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch": torch.__version__, "gpu": name, "cores": os.cpu_count(), "threads": 1, "seed": SEED}


if __name__ == "__main__":
    main()
