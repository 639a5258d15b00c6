"""Whole trainings audited by canaries: what guesses from the released pool show of epsilon, against the claim.

Each run trains on small data to which every canary was added by a fair coin. From the pool and the canaries alone each
gets a score: the weight of the pool's rows that share most of its codes. The highest are guessed to be in, the lowest
to be out, as many as was fixed before. Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846) bound what the number of right
guesses can be under (epsilon, delta); the least epsilon that allows it at 95 % is the lower bound. Prints JSON.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from accountant.price import Coordinate
from accountant.spend import Step
from dpsynth.deep import SgdPlan, plan_for_target
from dpsynth.deep.config import ArGanConfig, CriticConfig, GanConfig, TrainedConfig
from dpsynth.deep.planning import train_model
from dpsynth.domain import Domain
from dpsynth.estimation import PoolModel
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource

RUNS = 25
EPSILON, DELTA = 4.0, 1e-5
PEOPLE, CANARIES, GUESSES = 400, 100, 15
"""People beside the canaries, canaries, and how many of these are guessed in, and out."""
COLUMNS, COMMON, RARE, ALIKE = 6, 6, 6, 4
"""Columns; codes that people have, codes that canaries have, and shared codes that make a row alike."""
CONFIDENCE = 0.95
ANY_AMOUNT = 2**60
CRITIC = CriticConfig(steps=30, hidden=8)
CONFIGS: tuple[TrainedConfig, ...] = (
    ArGanConfig(row_steps=60, fewest_rows=2_000, batch=128, hidden=24, row_rate=0.05, critic=CRITIC),
    GanConfig(game_steps=60, fewest_rows=2_000, batch=128, parts=100, critic=CRITIC),
)


class Unpaid:
    """A spend that refuses nothing: the data are made up."""

    def charge(self, steps: Sequence[Step]) -> None:
        """Nothing to do."""


def main() -> None:
    """Audit each synthesizer, in test mode; print the bounds."""
    import torch

    torch.set_num_threads(1)
    print(json.dumps({config.name: [_bound(config, seed) for seed in range(RUNS)] for config in CONFIGS}))


def _bound(config: TrainedConfig, seed: int) -> float:
    rng, domain = np.random.default_rng(seed), Domain.of({f"c{j}": COMMON + RARE for j in range(COLUMNS)})
    people = rng.integers(0, COMMON, (COLUMNS, PEOPLE))
    canaries = rng.integers(COMMON, COMMON + RARE, (COLUMNS, CANARIES))
    coins = rng.random(CANARIES) < 0.5
    records = np.concatenate([people, canaries[:, coins]], axis=1).astype(np.uint8)
    whole = PEOPLE + CANARIES // 2
    plan = plan_for_target(config.phases(domain, people=whole), people=whole, epsilon=EPSILON, delta=DELTA)
    order = np.argsort(_scores(_trained(config, plan, MemorySource(domain, records), seed), canaries))
    right = int(coins[order[-GUESSES:]].sum() + (~coins[order[:GUESSES]]).sum())
    return lower_bound(right, guesses=2 * GUESSES, canaries=CANARIES, delta=DELTA)


def _trained(config: TrainedConfig, plan: SgdPlan, source: MemorySource, seed: int) -> PoolModel:
    planned = replace(
        config, people=round(plan.people), noise_multiplier=plan.noise_multiplier, delta=0.1 * DELTA
    )
    return train_model(
        source,
        planned,
        amount=ANY_AMOUNT,
        coordinate=Coordinate.GDP,
        spend=Unpaid(),
        random=SeededRandom(seed),
    )


def _scores(model: PoolModel, canaries: NDArray[np.int64]) -> NDArray[np.float64]:
    alike = np.zeros((canaries.shape[1], len(model.weights)), dtype=np.int64)
    for own, made in zip(canaries, model.codes, strict=True):
        alike += own[:, None] == made
    return np.asarray((np.maximum(alike - ALIKE + 1, 0) * model.weights).sum(axis=1))


def lower_bound(right: int, *, guesses: int, canaries: int, delta: float) -> float:
    """The least epsilon under which so many right guesses aren't rarer than the confidence allows; 0 where 0 does."""
    low, high = 0.0, 20.0
    if _chance(right, 0.0, guesses, canaries, delta) > 1.0 - CONFIDENCE:
        return 0.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        rare = _chance(right, middle, guesses, canaries, delta) <= 1.0 - CONFIDENCE
        low, high = (middle, high) if rare else (low, middle)
    return low


def _chance(right: int, epsilon: float, guesses: int, canaries: int, delta: float) -> float:
    """Most that the chance of so many right guesses can be: Theorem 5.2, with its additive term of delta."""
    each = 1.0 / (1.0 + math.exp(-epsilon))
    below = binom.cdf(np.arange(-1, right), guesses, each)
    worst = max(((below[-1] - below[-1 - i]) / i for i in range(1, right + 1)), default=0.0)
    return float(min(1.0, binom.sf(right - 1, guesses, each) + 2.0 * canaries * delta * worst))


if __name__ == "__main__":
    main()
