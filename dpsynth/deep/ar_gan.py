"""ar-gan: an autoregressive network makes rows, and a critic, trained against them, weighs them.

  1. DP-SGD steps train the network on people (``ROWS``); after the first of them its inputs are centred on the shares
     of rows that it makes, which leaves it as it is and makes gradients of common codes smaller
  2. the network makes a pool of rows, several times the declared number of people
  3. DP-SGD steps train the critic to tell people from the pool (``CRITIC``); only the gradient of people is private
  4. the model is the pool, each row with the weight exp(D), where the critic's score D is clamped

Both kinds of steps are one fixed plan with one noise multiplier. The generator touches people through nothing but the
noisy gradients. Rates fall as the noise rises, by the formulas of the settings.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accountant.spend import Side, Spend
from dpsynth.deep.autoregressive import SAMPLED_AT_ONCE, Autoregressive
from dpsynth.deep.config import CRITIC, ROWS, ArGanConfig
from dpsynth.deep.critic import PAIRS, Critic
from dpsynth.deep.layers import Tape
from dpsynth.deep.optimise import Adam, Momentum, cosine, moving_mean
from dpsynth.deep.plan import ChargedSteps, Phase, SgdPlan, charge_plan
from dpsynth.deep.sgd import Parameters, People, PeopleSource, add_clipped, noisy_gradient
from dpsynth.errors import ParameterError
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.progress import SilentStage, Stage

CENTRING_ROWS = 4096
"""Made rows whose shares the inputs are centred on."""


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
    domain, stage = source.domain, told or SilentStage()
    rows_phase, critic_phase = phases = config.phases(domain, people=plan.people)
    if plan.phases != phases:
        raise ParameterError(
            "The plan isn't one of these settings.",
            "Its phases differ from those that the settings give for its number of people.",
            "Make the plan from config.phases().",
        )
    order = config.order(domain)
    sizes = tuple(domain.sizes[i] for i in order)
    charged = charge_plan(plan, delta=delta, spend=spend, label="training of ar-gan", sides=sides)
    people = People(source, order=order)
    network = Autoregressive.of(sizes, hidden=config.hidden)
    network, parameters = _train_rows(
        network, people, rows_phase, config, charged=charged, random=random, stage=stage
    )
    pool = network.sample(parameters, config.pool_rows(plan.people), random=random)
    critic = Critic.of(
        sizes, hidden=config.critic_hidden, pair_scale=config.pair_scale, code_scale=config.code_scale
    )
    trained = _train_critic(critic, people, pool, critic_phase, config, charged=charged, random=random, stage=stage)
    codes = np.empty((len(sizes), len(pool)), dtype=np.min_scalar_type(max(sizes) - 1))
    codes[list(order)] = pool.T
    weights = _weights(critic, trained, pool, config.largest_score)
    return PoolModel(domain=domain, codes=codes, weights=weights, total=plan.people)


def _train_rows(
    network: Autoregressive,
    people: People,
    phase: Phase,
    config: ArGanConfig,
    *,
    charged: ChargedSteps,
    random: RandomSource,
    stage: Stage,
) -> tuple[Autoregressive, Parameters]:
    """The network and its parameters; after its first steps its inputs are centred on rows that it makes by then."""
    parameters, adam = network.initial(random=random), Adam()
    centre_at = round(config.centred_after * phase.steps)
    for step in range(phase.steps):
        _tell(stage, ROWS, step, charged)
        if step == centre_at > 0:
            network = network.centred(parameters, network.sample(parameters, CENTRING_ROWS, random=random))
        gradient = noisy_gradient(network, parameters, people, phase, charged=charged, random=random)
        adam.step(parameters, gradient, rate=config.row_rate * cosine(step, phase.steps))
    return network, parameters


def _train_critic(
    critic: Critic,
    people: People,
    pool: NDArray[np.int64],
    phase: Phase,
    config: ArGanConfig,
    *,
    charged: ChargedSteps,
    random: RandomSource,
    stage: Stage,
) -> Parameters:
    """The gradient of people is noisy; that of made rows, a function of outputs, is exact and of equal weight."""
    parameters, adam, momentum = critic.initial(random=random), Adam(), Momentum()
    made, made_rows = replace(critic, real=0.0), torch.from_numpy(pool)
    batch = max(1, round(charged.plan.expected_batch(phase)))
    begin, mean = round(phase.steps * (1.0 - config.averaged)), None
    for step in range(phase.steps):
        _tell(stage, CRITIC, step, charged)
        gradient = noisy_gradient(critic, parameters, people, phase, charged=charged, random=random)
        rows = made_rows[torch.arange(step * batch, (step + 1) * batch) % len(pool)]
        other = {name: torch.zeros_like(value) for name, value in parameters.items()}
        add_clipped(made, parameters, rows, clip=phase.clip, into=other)
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
    scores = [_score(critic, parameters, part) for part in torch.from_numpy(pool).split(SAMPLED_AT_ONCE)]
    clamped: Tensor = torch.cat(scores).double().clamp(-largest, largest)
    found: NDArray[Any] = np.exp(clamped.numpy())
    return found


def _score(critic: Critic, parameters: Parameters, codes: Tensor) -> Tensor:
    return critic.score(Tape(parameters), codes).detach()


def _tell(stage: Stage, label: str, step: int, charged: ChargedSteps) -> None:
    left = sum(charged.left(phase) for phase in charged.plan.phases)
    whole = sum(phase.steps for phase in charged.plan.phases)
    stage.tell(f"{label}, step {step + 1}", 1.0 - left / whole)
