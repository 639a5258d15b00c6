"""A critic, trained by DP-SGD against a fixed pool of made rows, weighs them: rows that look like people weigh more.

Only the gradient of people is private; that of made rows, a function of outputs, is exact and of equal weight. A row's
weight is exp(D), where the critic's score D is clamped. Rates fall as the noise rises.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.autoregressive import SAMPLED_AT_ONCE
from dpsynth.deep.config import CriticConfig
from dpsynth.deep.critic import PAIRS, Critic
from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.layers import Tape
from dpsynth.deep.optimise import Adam, Mean, Momentum, cosine
from dpsynth.deep.plan import Phase
from dpsynth.deep.sgd import Parameters, add_clipped
from dpsynth.deep.start import quieted
from dpsynth.deep.training import Parts, Training

LOUD = 1e-3
"""Deviation of the noise in the mean of the gradients from which on the critic moves less."""


def weighed_rows(
    training: Training, config: CriticConfig, phase: Phase, pool: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weights of the rows of a pool, which stand in the networks' order of columns; shape (rows,)."""
    critic = Critic.of(
        training.sizes, hidden=config.hidden, pair_scale=config.pair_scale, code_scale=config.code_scale
    )
    parameters = _train(training, critic, pool, config, phase)
    scores = [_score(critic, parameters, part) for part in to_tensor(pool).split(SAMPLED_AT_ONCE)]
    # a score that isn't a number, of parameters that noise drove away, weighs as 0 does
    most = config.largest_score
    clamped: Tensor = torch.nan_to_num(torch.cat(scores).double()).clamp(-most, most)
    found: NDArray[Any] = np.exp(to_array(clamped))
    return found


def _train(
    training: Training, critic: Critic, pool: NDArray[np.int64], config: CriticConfig, phase: Phase
) -> Parameters:
    plan = training.charged.plan
    parameters, adam, momentum, mean = critic.initial(random=training.random), Adam(), Momentum(), Mean()
    parts: Parts = {"parameters": parameters, "adam": adam, "momentum": momentum, "mean": mean}
    made, table = replace(critic, real=0.0), to_tensor(pool)
    batch = max(1, round(plan.expected_batch(phase)))
    begin = round(phase.steps * (1.0 - config.averaged))
    calm = quieted(plan, phase, loud=LOUD)
    for step in training.steps(phase, parts):
        gradient = training.gradient(critic, parameters, phase)
        chosen = table[torch.arange(step * batch, (step + 1) * batch) % len(pool)]
        other = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        add_clipped(made, parameters, chosen, clip=phase.clip, into=other)
        for name, value in gradient.items():
            value.add_(other[name], alpha=1.0 / batch)
        cooled = calm * cosine(step, phase.steps) / plan.noise_multiplier
        if PAIRS in gradient:
            momentum.step(parameters, {PAIRS: gradient.pop(PAIRS)}, rate=config.pair_rate * cooled)
        adam.step(parameters, gradient, rate=config.rate * cooled)
        if step >= begin:
            mean.show(parameters)
    return mean.of(parameters)


def _score(critic: Critic, parameters: Parameters, codes: Tensor) -> Tensor:
    return critic.score(Tape(parameters), codes).detach()
