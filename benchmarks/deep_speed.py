"""One DP-SGD step of ar-gan's network against one ordinary SGD step of the same network: milliseconds of CPU, by batch.

Both have the same forward pass and rows at hand. The DP-SGD step finds norms, clips, sums and adds noise; the ordinary
one has autograd make the gradient of the mean.
"""

import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import SHARED
from dpsynth.deep import ChargedSteps, Phase, SgdPlan
from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.device import to_tensor
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import People, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.noise.random import SystemRandom
from dpsynth.sources import MemorySource

BATCHES, HIDDEN, REPEATS = (256, 1024, 4096), 128, 5
ROUNDS, RECORDS = 16, 30_000
"""Rounds of each batch at least, and records that a small one's rounds have in all: clocks change within a second."""


def main() -> None:
    """Measure in turns, so that what else the machine does meets both; print batch, ours, ordinary."""
    sizes = json.loads((SHARED / "data" / "adult_aim-domain.json").read_text())
    torch.set_num_threads(1)
    for batch in BATCHES:
        rng = np.random.default_rng(0)
        codes = np.stack([rng.integers(0, size, batch) for size in sizes.values()])
        rounds = max(ROUNDS, RECORDS // batch)
        ours, ordinary = steps_of(codes, tuple(sizes.values()), most=REPEATS * (rounds + 1))
        times = [(_milliseconds(ours), _milliseconds(ordinary)) for _ in range(rounds)]
        best = [min(column) for column in zip(*times, strict=True)]
        print(batch, *(f"{t:.4f}" for t in best))


def steps_of(
    codes: NDArray[np.int64], sizes: Sequence[int], *, most: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Our step and an ordinary one over all these rows, shape (columns, rows), where torch computes now; each at most
    ``most`` times.
    """
    random, batch = SystemRandom(), codes.shape[1]
    domain = Domain.of({f"c{j}": size for j, size in enumerate(sizes)})
    people = People(MemorySource(domain, codes.astype(np.uint8)))
    network = Autoregressive.of(sizes, hidden=HIDDEN)
    parameters = network.initial(random=random)
    phase = Phase(label="speed", steps=most, sampling_probability=1.0, clip=10.0)
    plan = SgdPlan(phases=(phase,), noise_multiplier=100.0, people=batch)
    charged = ChargedSteps(plan, plan_event(plan, delta=1e-9))
    free = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    rows = to_tensor(codes.T.astype(np.int64))

    def ours() -> None:
        gradient = noisy_gradient(network, parameters, people, phase, charged=charged, random=random)
        for name, value in gradient.items():
            parameters[name].add_(value, alpha=-1e-6)

    def ordinary() -> None:
        loss = _loss(network, free, rows).mean()
        gradient = torch.autograd.grad(loss, list(free.values()))
        with torch.no_grad():
            for value, slope in zip(free.values(), gradient, strict=True):
                value.add_(slope, alpha=-1e-6)

    return ours, ordinary


def _loss(network: Autoregressive, parameters: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """Minus the log-likelihood, as anybody would write it in torch: lookups, products, masks that hold already."""
    bag = torch.nn.functional.embedding_bag
    starts = torch.tensor([0, *np.cumsum(network.sizes)[:-1].tolist()])
    inner = torch.relu(bag(rows + starts, parameters["in"], mode="sum") + parameters["in bias"])
    logits = inner @ parameters["out"] + bag(rows + starts, parameters["skip"], mode="sum") + parameters["bias"]
    shares = torch.cat([torch.log_softmax(part, dim=1) for part in logits.split(list(network.sizes), dim=1)], dim=1)
    return -shares.gather(1, rows + starts).sum(dim=1)


def _milliseconds(step: Callable[[], None]) -> float:
    step()
    began = time.process_time()
    for _ in range(REPEATS - 1):
        step()
    return (time.process_time() - began) / (REPEATS - 1) * 1e3


if __name__ == "__main__":
    main()
