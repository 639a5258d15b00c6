"""ar-gan: an autoregressive network makes rows, and a critic, trained against them, weighs them.

  1. DP-SGD steps train the network on people, and it makes a pool of rows, several times the declared number of people
     (``rows``)
  2. DP-SGD steps train the critic to tell people from the pool; only the gradient of people is private
  3. the model is the pool, each row with the weight exp(D), where the critic's score D is clamped

Both kinds of steps are one fixed plan with one noise multiplier. Rates fall as the noise rises, by the formulas of the
settings.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accountant.spend import Side, Spend
from dpsynth.deep.autoregressive import SAMPLED_AT_ONCE
from dpsynth.deep.config import ArGanConfig
from dpsynth.deep.critic import PAIRS, Critic
from dpsynth.deep.layers import Tape
from dpsynth.deep.optimise import Adam, Momentum, cosine, moving_mean
from dpsynth.deep.plan import Phase, SgdPlan
from dpsynth.deep.rows import Training, begin_training, made_rows, pool_of
from dpsynth.deep.sgd import Parameters, PeopleSource, add_clipped, noisy_gradient
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.progress import Stage


def fit_ar_gan(
    source: PeopleSource,
    config: ArGanConfig,
    *,
    plan: SgdPlan,
    delta: float,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    told: Stage | None = None,
) -> PoolModel:
    """Charge the plan, train, and return the weighted pool.

    Args:
      source: Coded records, one per person.
      config: Public settings.
      plan: A plan of ``config.phases``, made for its budget from public facts.
      delta: Additive delta of the plan's event.
      spend: Charged once, with the whole plan, before a record is read.
      random: Source of batches, noise, and what is drawn after it.
      sides: Whose records ``source`` holds.
      told: Told of the step and of the share of the plan that was run; sees nothing else.

    Returns:
      A pool of ``config.pool_rows`` rows.

    Privacy:
      Spends the ``FixedPlan`` of ``plan``; add-remove of one person. What is done beside the noisy gradients reads
      public settings and earlier outputs.
      Checked by: tests/dpsynth/deep/test_ar_gan.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_ar_gan.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(
        source, config, plan=plan, delta=delta, spend=spend, random=random, sides=sides, told=told
    )
    rows_phase, critic_phase = plan.phases
    rows = made_rows(training, config, rows_phase)
    critic = Critic.of(
        training.sizes, hidden=config.critic_hidden, pair_scale=config.pair_scale, code_scale=config.code_scale
    )
    parameters = _train(training, critic, rows, config, critic_phase)
    return pool_of(training, rows, _weights(critic, parameters, rows, config.largest_score))


def _train(
    training: Training, critic: Critic, pool: NDArray[np.int64], config: ArGanConfig, phase: Phase
) -> Parameters:
    """The gradient of people is noisy; that of made rows, a function of outputs, is exact and of equal weight."""
    charged, random = training.charged, training.random
    parameters, adam, momentum = critic.initial(random=random), Adam(), Momentum()
    made, table = replace(critic, real=0.0), torch.from_numpy(pool)
    batch = max(1, round(charged.plan.expected_batch(phase)))
    begin, mean = round(phase.steps * (1.0 - config.averaged)), None
    for step in range(phase.steps):
        training.tell(phase, step)
        gradient = noisy_gradient(critic, parameters, training.people, phase, charged=charged, random=random)
        chosen = table[torch.arange(step * batch, (step + 1) * batch) % len(pool)]
        other = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        add_clipped(made, parameters, chosen, clip=phase.clip, into=other)
        for name, value in gradient.items():
            value.add_(other[name], alpha=1.0 / batch)
        cooled = cosine(step, phase.steps) / charged.plan.noise_multiplier
        if PAIRS in gradient:
            momentum.step(parameters, {PAIRS: gradient.pop(PAIRS)}, rate=config.pair_rate * cooled)
        adam.step(parameters, gradient, rate=config.critic_rate * cooled)
        if step >= begin:
            mean = moving_mean(mean, parameters, step - begin)
    return mean if mean is not None else parameters


def _weights(critic: Critic, parameters: Parameters, pool: NDArray[np.int64], largest: float) -> NDArray[np.float64]:
    """exp(D), clamped; a score that isn't a number, of parameters that noise drove away, weighs as 0 does."""
    scores = [_score(critic, parameters, part) for part in torch.from_numpy(pool).split(SAMPLED_AT_ONCE)]
    clamped: Tensor = torch.nan_to_num(torch.cat(scores).double()).clamp(-largest, largest)
    found: NDArray[Any] = np.exp(clamped.numpy())
    return found


def _score(critic: Critic, parameters: Parameters, codes: Tensor) -> Tensor:
    return critic.score(Tape(parameters), codes).detach()
