"""Where a training run computes: on the CPU, or on a GPU for those parts of it that see no randomness being made.

Coins, noise and draws come from the random source on the CPU wherever the run computes: the exact clipped sum of a step
comes to its noise, and the noisy gradient goes back. On a GPU sums over records are made in no fixed order, in float64,
which the rounding's bound in ``sgd`` allows; products of float32 matrices keep their full precision there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.errors import ParameterError


@contextmanager
def computing_on(device: str) -> Iterator[None]:
    """Make tensors on a device while the context lasts; ``cpu`` changes nothing.

    Args:
      device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
      ParameterError: There is no such device here.
    """
    if device == "cpu":
        yield
        return
    kind, _, number = device.partition(":")
    if kind != "cuda" or int(number or 0) >= torch.cuda.device_count():
        raise ParameterError(
            f"Nothing can be trained on {device!r} here.",
            f"torch sees {torch.cuda.device_count()} CUDA devices.",
            "Use cpu, or a machine with such a device and a torch that was built for it.",
        )
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # norms and signals of fewer bits would pass the engine's margin
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def to_tensor(values: NDArray[Any]) -> Tensor:
    """An array as a tensor where the run computes; it shares memory on the CPU."""
    return torch.as_tensor(values, device=torch.get_default_device())


def to_array(values: Tensor) -> NDArray[Any]:
    """A tensor as an array; it shares memory where the tensor is on the CPU."""
    found: NDArray[Any] = values.cpu().numpy()
    return found
