"""Per-record norms and DP-SGD steps of a two-layer network by opacus: the oracle of ``benchmarks/deep_oracle.py``.

    python dp_sgd.py CASE.npz BATCHES REPEATS

Run by the interpreter of ``.venv-oracles`` (``make oracles``), never by the project's own. CASE holds codes (records,
columns), the columns' sizes and the network's weights. Prints JSON: the norm of every record's gradient, and by batch
the CPU milliseconds of an ordinary step, a step with hooks and one with ghost clipping, the least of some rounds.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

warnings.simplefilter("ignore")
ROUNDS = 6
BOUND, NOISE, RATE = 1.0, 1.0, 1e-6


class ColumnLoss(nn.Module):
    """The sum over columns of the cross-entropy of a record's code."""

    def __init__(self, sizes: list[int], reduction: str) -> None:
        super().__init__()
        self.sizes, self.reduction = sizes, reduction

    def forward(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        parts = zip(logits.split(self.sizes, dim=1), codes.T, strict=True)
        each = sum(nn.functional.cross_entropy(part, code, reduction="none") for part, code in parts)
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()


def network(case: dict[str, np.ndarray]) -> nn.Module:
    """The network of the case, on one-hot inputs."""
    first, second = nn.Linear(*case["in"].shape), nn.Linear(*case["out"].shape)
    with torch.no_grad():
        for layer, weight, bias in ((first, "in", "in bias"), (second, "out", "bias")):
            layer.weight.copy_(torch.from_numpy(case[weight].T))
            layer.bias.copy_(torch.from_numpy(case[bias]))
    return nn.Sequential(first, nn.ReLU(), second)


def norms(case: dict[str, np.ndarray], inputs: torch.Tensor, codes: torch.Tensor, sizes: list[int]) -> list[float]:
    """The norm of each record's gradient, from the gradients themselves."""
    module = GradSampleModule(network(case), loss_reduction="sum")
    ColumnLoss(sizes, "sum")(module(inputs), codes).backward()
    squares = sum(p.grad_sample.flatten(1).square().sum(dim=1) for p in module.parameters())
    return squares.sqrt().tolist()


def steps(
    case: dict[str, np.ndarray], inputs: torch.Tensor, codes: torch.Tensor, sizes: list[int]
) -> dict[str, Callable[[], None]]:
    """One step of each kind, on the whole batch."""
    loss = ColumnLoss(sizes, "mean")
    bounds = {"noise_multiplier": NOISE, "max_grad_norm": BOUND, "expected_batch_size": len(codes)}
    plain, hooked = network(case), GradSampleModule(network(case))
    ghostly = GradSampleModuleFastGradientClipping(network(case), max_grad_norm=BOUND, use_ghost_clipping=True)
    ordinary = torch.optim.SGD(plain.parameters(), lr=RATE)
    hooking = DPOptimizer(torch.optim.SGD(hooked.parameters(), lr=RATE), **bounds)
    ghosting = DPOptimizerFastGradientClipping(torch.optim.SGD(ghostly.parameters(), lr=RATE), **bounds)
    ghost_loss = DPLossFastGradientClipping(ghostly, ghosting, ColumnLoss(sizes, "mean"), loss_reduction="mean")

    def step(module: nn.Module, optimiser: torch.optim.Optimizer, measure: Callable[..., object]) -> None:
        optimiser.zero_grad()
        measure(module(inputs), codes).backward()  # type: ignore[attr-defined]
        optimiser.step()

    return {
        "ordinary": lambda: step(plain, ordinary, loss),
        "hooks": lambda: step(hooked, hooking, loss),
        "ghost": lambda: step(ghostly, ghosting, ghost_loss),
    }


def milliseconds(step: Callable[[], None], repeats: int) -> float:
    """CPU milliseconds of a step after a first one."""
    step()
    began = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - began) / repeats * 1e3


def main() -> None:
    """Answer for one case."""
    torch.set_num_threads(1)
    path, batches, repeats = sys.argv[1], [int(b) for b in sys.argv[2].split(",")], int(sys.argv[3])
    with np.load(path, allow_pickle=False) as arrays:
        case = dict(arrays)
    sizes, codes = case["sizes"].tolist(), torch.from_numpy(case["codes"])
    starts = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
    inputs = torch.zeros(len(codes), sum(sizes)).scatter_(1, codes + starts, 1.0)
    found: dict[str, object] = {"norms": norms(case, inputs[:256], codes[:256], sizes)}
    times: dict[str, dict[str, float]] = {}
    for batch in batches:
        kinds = steps(case, inputs[:batch], codes[:batch], sizes)
        rounds = [{name: milliseconds(step, repeats) for name, step in kinds.items()} for _ in range(ROUNDS)]
        times[str(batch)] = {name: min(r[name] for r in rounds) for name in kinds}
    print(json.dumps(found | {"milliseconds": times}))


if __name__ == "__main__":
    main()
