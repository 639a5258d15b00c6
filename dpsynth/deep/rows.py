"""ar: an autoregressive network trained by DP-SGD steps makes rows, and the rows are the model.

After its first steps the network's inputs are centred on the shares of rows that it makes by then: that leaves its
distribution as it is, and makes gradients of common codes smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.config import ArConfig, RowsConfig
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.plan import Phase
from dpsynth.deep.sgd import Parameters, PeopleSource
from dpsynth.deep.training import Terms, Training, begin_training, pool_of
from dpsynth.estimation.pool import PoolModel

CENTRING_ROWS = 4096
"""Made rows whose shares the inputs are centred on."""


def fit_ar(source: PeopleSource, config: ArConfig, terms: Terms) -> PoolModel:
    """Charge the plan, train the network, and return its rows; arguments as in :func:`begin_training`.

    Returns:
      A pool of ``config.pool_rows`` rows of equal weight.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_trained.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(source, config, terms)
    (phase,) = terms.plan.phases
    rows = made_rows(training, config, phase)
    return pool_of(training, rows, np.ones(len(rows)))


def made_rows(training: Training, config: RowsConfig, phase: Phase) -> NDArray[np.int64]:
    """Train the network, and make a pool of its rows in the networks' order of columns."""
    network, parameters = _train(training, config, phase)
    rows = config.pool_rows(training.charged.plan.people)
    return network.sample(parameters, rows, random=training.random)


@dataclass(slots=True, kw_only=True, eq=False)
class _Held:
    """The network, which changes once; its centre is what is kept of it."""

    network: Autoregressive

    def arrays(self) -> Mapping[str, Tensor]:
        centre = self.network.centre
        return {} if centre is None else {"shares": centre.shares}

    def restore(self, arrays: Mapping[str, Tensor]) -> None:
        if "shares" in arrays:
            self.network = self.network.around(arrays["shares"])


def _train(training: Training, config: RowsConfig, phase: Phase) -> tuple[Autoregressive, Parameters]:
    held, random = _Held(network=Autoregressive.of(training.sizes, hidden=config.hidden)), training.random
    parameters, adam = held.network.initial(random=random), Adam()
    centre_at = round(config.centred_after * phase.steps)
    for step in training.steps(phase, {"held": held, "parameters": parameters, "adam": adam}):
        if step >= centre_at > 0 and held.network.centre is None:
            rows = held.network.sample(parameters, CENTRING_ROWS, random=random)
            held.network = held.network.centred(parameters, rows)
        gradient = training.gradient(held.network, parameters, phase)
        adam.step(parameters, gradient, rate=config.row_rate * cosine(step, phase.steps))
    return held.network, parameters
