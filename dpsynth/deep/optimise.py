"""Optimisers and schedules: post-processing of noisy gradients, by public formulas."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True, eq=False)
class Adam:
    """Adam (Kingma, Ba 2015, arXiv:1412.6980) on named parameters.

    Attributes:
      betas: Decays of the means of the gradient and of its square.
      floor: Added to the root of the mean square.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    floor: float = 1e-8
    _means: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _squares: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _steps: int = 0

    def step(self, parameters: Mapping[str, Tensor], gradient: Mapping[str, Tensor], *, rate: float) -> None:
        """Move the parameters that the gradient names, in place."""
        self._steps += 1
        one, two = self.betas
        scale = rate * math.sqrt(1.0 - two**self._steps) / (1.0 - one**self._steps)
        for name, slope in gradient.items():
            mean = self._means.setdefault(name, torch.zeros_like(slope)).mul_(one).add_(slope, alpha=1.0 - one)
            square = self._squares.setdefault(name, torch.zeros_like(slope)).mul_(two)
            square.addcmul_(slope, slope, value=1.0 - two)
            parameters[name].addcdiv_(mean, square.sqrt().add_(self.floor), value=-scale)

    def arrays(self) -> dict[str, Tensor]:
        """Its state by name."""
        steps = {"steps": torch.tensor(self._steps)}
        return steps | _named("means", self._means) | _named("squares", self._squares)

    def restore(self, arrays: Mapping[str, Tensor]) -> None:
        """Take a state that :meth:`arrays` gave."""
        self._steps = int(arrays["steps"])
        self._means, self._squares = _of("means", arrays), _of("squares", arrays)


@dataclass(slots=True, kw_only=True, eq=False)
class Momentum:
    """Gradient descent with momentum and decay.

    Attributes:
      momentum: Share of the last move that is kept.
      decay: Share of a parameter that is lost per unit of rate.
    """

    momentum: float = 0.9
    decay: float = 0.0
    _moves: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def step(self, parameters: Mapping[str, Tensor], gradient: Mapping[str, Tensor], *, rate: float) -> None:
        """Move the parameters that the gradient names, in place."""
        for name, slope in gradient.items():
            move = self._moves.setdefault(name, torch.zeros_like(slope)).mul_(self.momentum)
            move.add_(slope).add_(parameters[name], alpha=self.decay)
            parameters[name].add_(move, alpha=-rate)

    def arrays(self) -> dict[str, Tensor]:
        """Its state by name."""
        return _named("moves", self._moves)

    def restore(self, arrays: Mapping[str, Tensor]) -> None:
        """Take a state that :meth:`arrays` gave."""
        self._moves = _of("moves", arrays)


@dataclass(slots=True, kw_only=True, eq=False)
class Mean:
    """The mean of named parameters over the values that it was shown."""

    _values: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _count: int = 0

    def show(self, parameters: Mapping[str, Tensor]) -> None:
        """Take one more value into the mean."""
        self._count += 1
        for name, value in parameters.items():
            mean = self._values.setdefault(name, torch.zeros_like(value))
            mean.add_(value - mean, alpha=1.0 / self._count)

    def of(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean; the parameters themselves where it was shown none."""
        return dict(self._values or parameters)

    def arrays(self) -> dict[str, Tensor]:
        """Its state by name."""
        return {"count": torch.tensor(self._count)} | _named("values", self._values)

    def restore(self, arrays: Mapping[str, Tensor]) -> None:
        """Take a state that :meth:`arrays` gave."""
        self._count, self._values = int(arrays["count"]), _of("values", arrays)


def cosine(step: int, steps: int) -> float:
    """From 1 down to nearly 0 along half a cosine; ``step`` counts from 0."""
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _named(kind: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{kind}/{name}": value for name, value in values.items()}


def _of(kind: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{kind}/"): value for name, value in arrays.items() if name.startswith(f"{kind}/")}
