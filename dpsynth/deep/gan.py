"""gan: purely adversarial. A mixture of products plays against a critic of pairs, and a second critic weighs its rows.

  1. one step over everybody finds the shares of codes, and of few people pairs with the target, under noise of its own
  2. the game, step by step: the critic of pairs moves towards people, by a DP-SGD step, and away from the mixture,
     whose moments are known exactly; then the mixture moves along the exact gradient of its mean score, its shares of
     codes kept. The critic forgets, so that the two don't circle around each other; all rates fall along a cosine
  3. the mixture makes a pool of rows, and a second critic, trained against them, weighs them (``weighing``); raking
     brings the weights back to the shares of codes

All of it is one fixed plan. The mixture touches people through the critic and the shares of codes alone.
"""

import math

from torch import Tensor

from dpsynth.deep.config import GanConfig
from dpsynth.deep.critic import PairCritic
from dpsynth.deep.mixture import Mixture
from dpsynth.deep.optimise import Adam, Mean, Momentum, cosine
from dpsynth.deep.plan import Phase
from dpsynth.deep.sgd import PeopleSource
from dpsynth.deep.start import measured_start, quieted, raked
from dpsynth.deep.training import Parts, Terms, Training, begin_training, pool_of
from dpsynth.deep.weighing import weighed_rows
from dpsynth.estimation.pool import PoolModel

LOUD = 1e-4
"""Deviation of the noise in the mean of a game's gradients from which on the mixture moves less: it'd learn noise."""


def fit_gan(source: PeopleSource, config: GanConfig, terms: Terms) -> PoolModel:
    """Charge the plan, find the shares of codes, play, and return the weighted pool; as in :func:`begin_training`.

    Returns:
      A pool of ``config.pool_rows`` rows.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person. What is done beside the noisy gradients
      reads public settings and earlier outputs.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(source, config, terms)
    first, *game, last = terms.plan.phases
    mixture = Mixture.of(training.sizes, parts=config.parts)
    start = measured_start(training, first, pairs=config.pairs(training.domain, people=terms.plan.people))
    shares = start.shares
    logits = mixture.initial(shares, spread=config.spread, random=training.random, joint=start.joint)
    for phase in game:
        logits = _play(training, mixture, logits, shares, config, phase)
    rows = mixture.sample(
        mixture.probabilities(logits), config.pool_rows(terms.plan.people), random=training.random
    )
    weights = weighed_rows(training, config.critic, last, rows)
    return pool_of(training, rows, raked(weights, rows, shares.split(list(training.sizes))))


def _play(
    training: Training, mixture: Mixture, logits: Tensor, shares: Tensor, config: GanConfig, phase: Phase
) -> Tensor:
    """The game; returns the mean of the mixture's last logits."""
    weight = config.weight(training.domain, people=training.charged.plan.people)
    critic = PairCritic.of(training.sizes, target_weight=weight)
    parameters, moved = critic.initial(), {"logits": logits}
    momentum, adam, mean = Momentum(decay=1.0), Adam(), Mean()
    parts: Parts = {"parameters": parameters, "moved": moved, "momentum": momentum, "adam": adam, "mean": mean}
    plan = training.charged.plan
    forgotten = config.forgotten / plan.noise_multiplier
    rate = config.mixture_rate / math.sqrt(max(1.0, plan.noise_multiplier)) * quieted(plan, phase, loud=LOUD)
    for step in training.steps(phase, parts):
        cooled = cosine(step, phase.steps)
        gradient = training.gradient(critic, parameters, phase)
        critic.add_made(gradient, mixture.probabilities(moved["logits"]))
        momentum.step(parameters, gradient, rate=forgotten * cooled)
        matrix = critic.matrix(parameters)
        for _ in range(config.moves):
            probabilities = mixture.probabilities(moved["logits"])
            slope = -mixture.gradient(probabilities, probabilities @ matrix)
            adam.step(moved, {"logits": slope}, rate=rate * cooled)
            moved["logits"] = mixture.kept(moved["logits"], shares)
        if step >= phase.steps * (1.0 - config.averaged):
            mean.show(moved)
    return mean.of(moved)["logits"]
