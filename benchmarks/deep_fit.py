"""One process, one trained model: coded training rows, no gate, test mode; writes synthetic codes, says what it took.

The number of training rows is public in this benchmark only.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accountant.compose import price
from accountant.filters import FilterSpend
from accountant.price import Coordinate
from accountant.spend import Side
from benchmarks.harness import cpu_seconds
from dpsynth.deep import plan_for_target
from dpsynth.deep.plan import plan_event
from dpsynth.deep.planning import train_model
from dpsynth.domain import Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.noise.seeds import draw_seed
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import find_synthesizer

SHARE_OF_DELTA = 0.1
"""Share of delta that the charged pair (mu, delta) takes; it only says how the plan is entered, not what it costs."""


def main() -> None:
    """Plan for the whole (epsilon, delta), train, sample as many rows as there were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="coded training rows")
    parser.add_argument("domain", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--target")
    parser.add_argument("--synthesizer", default="ar-gan")
    given = parser.parse_args()
    import torch  # its import isn't training

    torch.set_num_threads(1)
    began = cpu_seconds()
    domain = Domain.of(json.loads(given.domain.read_text()))
    table = pq.ParquetFile(given.table).read(columns=list(domain.names))
    codes = np.array([column.to_numpy() for column in table.columns]).astype(np.uint16)
    people = codes.shape[1]
    config = find_synthesizer(given.synthesizer).config
    config = replace(config, target=given.target, people=people).for_epsilon(given.epsilon)
    phases = config.phases(domain, people=people)
    plan = plan_for_target(phases, people=people, epsilon=given.epsilon, delta=given.delta)
    config = replace(config, noise_multiplier=plan.noise_multiplier, delta=SHARE_OF_DELTA * given.delta)
    whole = price(plan_event(plan, delta=config.delta), Coordinate.GDP)
    random = SeededRandom(given.seed)
    model = train_model(
        MemorySource(domain, codes),
        config,
        amount=whole.amount,
        coordinate=Coordinate.GDP,
        spend=FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: whole}),
        random=random,
    )
    made = sample_codes(model, people, rng=generator(draw_seed(random)))
    took = cpu_seconds() - began
    pq.write_table(pa.table(dict(zip(domain.names, made, strict=True))), given.out)
    effective = model.weights.sum() ** 2 / np.square(model.weights).sum() / len(model.weights)
    print(
        json.dumps(
            {
                "cpu_seconds": took,
                "noise_multiplier": plan.noise_multiplier,
                "steps": [phase.steps for phase in phases],
                "sampling_probability": phases[0].sampling_probability,
                "clips": [round(phase.clip, 4) for phase in phases],
                "effective_pool": round(float(effective), 4),
                "largest_log_weight": round(math.log(float(model.weights.max())), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
