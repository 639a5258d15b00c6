"""ar: an autoregressive network trained by DP-SGD steps makes rows, and the rows are the model.

The network starts at independent columns, with the shares of codes that the plan's first step measured, and its inputs
are centred on them: that makes gradients of common codes smaller. Of few people it learns the last column alone,
which starts at what the measured pairs with it say. The rows weigh so that they keep the shares.
"""

import numpy as np
from numpy.typing import NDArray

from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.config import FEW, ArConfig, RowsConfig
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.plan import Phase
from dpsynth.deep.sgd import Parameters, PeopleSource
from dpsynth.deep.start import Start, measured_start, quieted, raked
from dpsynth.deep.training import Terms, Training, begin_training, pool_of
from dpsynth.estimation.pool import PoolModel

LOUD = 4e-3
"""Deviation of the noise in the mean of the gradients from which on the network moves less."""


def fit_ar(source: PeopleSource, config: ArConfig, terms: Terms) -> PoolModel:
    """Charge the plan, train the network, and return its rows; arguments as in :func:`begin_training`.

    Returns:
      A pool of ``config.pool_rows`` rows.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(source, config, terms)
    first, phase = terms.plan.phases
    start = measured_start(training, first, pairs=config.pairs(training.domain, people=terms.plan.people))
    rows = made_rows(training, config, phase, start)
    return pool_of(training, rows, raked(np.ones(len(rows)), rows, start.shares.split(list(training.sizes))))


def made_rows(training: Training, config: RowsConfig, phase: Phase, start: Start) -> NDArray[np.int64]:
    """Train the network from the start on, and make a pool of its rows in the networks' order of columns."""
    network, parameters = _train(training, config, phase, start)
    rows = config.pool_rows(training.charged.plan.people)
    return network.sample(parameters, rows, random=training.random)


def _train(
    training: Training, config: RowsConfig, phase: Phase, start: Start
) -> tuple[Autoregressive, Parameters]:
    plan = training.charged.plan
    network = Autoregressive.of(
        training.sizes,
        hidden=config.hidden,
        shares=start.shares,
        last_weight=config.target_weight,
        last_alone=plan.people < FEW,
    )
    parameters, adam = network.initial(random=training.random), Adam()
    if start.joint:
        network.begin_at(parameters, start.joint)
    highest = config.row_rate * quieted(plan, phase, loud=LOUD)
    for step in training.steps(phase, {"parameters": parameters, "adam": adam}):
        gradient = training.gradient(network, parameters, phase)
        adam.step(parameters, gradient, rate=highest * cosine(step, phase.steps))
    return network, parameters
