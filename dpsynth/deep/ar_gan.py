"""ar-gan: an autoregressive network makes rows, and a critic, trained against them, weighs them.

  1. one step over everybody finds the shares of codes (``start``), and of few people pairs with the target; the
     network starts there
  2. DP-SGD steps train the network on people, and it makes a pool of rows, several times the declared number of people
     (``rows``)
  3. DP-SGD steps train the critic to tell people from the pool (``weighing``)
  4. the model is the pool, each row with its weight, brought back to the shares of codes

All steps are one fixed plan.
"""

from dpsynth.deep.config import ArGanConfig
from dpsynth.deep.rows import made_rows
from dpsynth.deep.sgd import PeopleSource
from dpsynth.deep.start import measured_start, raked
from dpsynth.deep.training import Terms, begin_training, pool_of
from dpsynth.deep.weighing import weighed_rows
from dpsynth.estimation.pool import PoolModel


def fit_ar_gan(source: PeopleSource, config: ArGanConfig, terms: Terms) -> PoolModel:
    """Charge the plan, train, and return the weighted pool; arguments as in :func:`begin_training`.

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
    first, rows_phase, critic_phase = terms.plan.phases
    start = measured_start(training, first, pairs=config.pairs(training.domain, people=terms.plan.people))
    rows = made_rows(training, config, rows_phase, start)
    weights = weighed_rows(training, config.critic, critic_phase, rows)
    return pool_of(training, rows, raked(weights, rows, start.shares.split(list(training.sizes))))
