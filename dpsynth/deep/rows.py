"""ar: an autoregressive network trained by DP-SGD steps makes rows, and the rows are the model.

What the synthesizers with such a network share stands here: a run is begun (refusals, then the charge, then the
records), the network is trained, and a pool of its rows is made. After its first steps the network's inputs are centred
on the shares of rows that it makes by then: that leaves its distribution as it is, and makes gradients of common codes
smaller. The network touches people through nothing but noisy gradients.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accountant.spend import Side, Spend
from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.config import ArConfig, RowsConfig
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.plan import ChargedSteps, Phase, SgdPlan, charge_plan, require_one_row
from dpsynth.deep.sgd import Parameters, People, PeopleSource, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.progress import SilentStage, Stage

CENTRING_ROWS = 4096
"""Made rows whose shares the inputs are centred on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """A run that was charged and has its records.

    Attributes:
      domain: The public domain.
      order: Positions of the columns in the order of the networks.
      charged: The steps that were charged.
      people: The records, in that order. Private.
      random: Source of batches, noise, and what is drawn after it.
      stage: Told of each step.
    """

    domain: Domain
    order: tuple[int, ...]
    charged: ChargedSteps
    people: People = field(repr=False)
    random: RandomSource
    stage: Stage

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column, in the order of the networks."""
        return tuple(self.domain.sizes[i] for i in self.order)

    def tell(self, phase: Phase, step: int) -> None:
        """Tell of a step that begins: public facts only."""
        left = sum(self.charged.left(phase) for phase in self.charged.plan.phases)
        whole = sum(phase.steps for phase in self.charged.plan.phases)
        self.stage.tell(f"{phase.label}, step {step + 1}", 1.0 - left / whole)


def begin_training(
    source: PeopleSource,
    config: RowsConfig,
    *,
    plan: SgdPlan,
    delta: float,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...],
    told: Stage | None,
) -> Training:
    """Refuse what can't be run, charge the whole plan, and only then take the records.

    Args:
      source: Coded records, one per person.
      config: Public settings.
      plan: A plan of ``config.phases``, made for its budget from public facts.
      delta: Additive delta of the plan's event.
      spend: Charged once.
      random: Source of batches and noise.
      sides: Whose records ``source`` holds.
      told: Told of each step.

    Privacy:
      Spends the ``FixedPlan`` of ``plan``; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_ar_gan.py::test_the_plan_is_charged_once_before_a_record_is_read

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows; nothing was charged.
    """
    if plan.phases != config.phases(source.domain, people=plan.people):
        raise ParameterError(
            "The plan isn't one of these settings.",
            "Its phases differ from those that the settings give for its number of people.",
            "Make the plan from config.phases().",
        )
    require_one_row(source.max_rows)
    order = config.order(source.domain)
    charged = charge_plan(plan, delta=delta, spend=spend, label=f"training of {config.name}", sides=sides)
    people = People(source, order=order)
    return Training(
        domain=source.domain,
        order=order,
        charged=charged,
        people=people,
        random=random,
        stage=told or SilentStage(),
    )


def fit_ar(
    source: PeopleSource,
    config: ArConfig,
    *,
    plan: SgdPlan,
    delta: float,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    told: Stage | None = None,
) -> PoolModel:
    """Charge the plan, train the network, and return its rows; arguments as in :func:`begin_training`.

    Returns:
      A pool of ``config.pool_rows`` rows of equal weight.

    Privacy:
      Spends the ``FixedPlan`` of ``plan``; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_ar_gan.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_ar_gan.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read or drawn.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows.
    """
    training = begin_training(
        source, config, plan=plan, delta=delta, spend=spend, random=random, sides=sides, told=told
    )
    (phase,) = plan.phases
    rows = made_rows(training, config, phase)
    return pool_of(training, rows, np.ones(len(rows)))


def made_rows(training: Training, config: RowsConfig, phase: Phase) -> NDArray[np.int64]:
    """Train the network, and make a pool of its rows in the networks' order of columns."""
    network, parameters = _train(training, config, phase)
    rows = config.pool_rows(training.charged.plan.people)
    return network.sample(parameters, rows, random=training.random)


def pool_of(training: Training, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> PoolModel:
    """Rows with weights as a model, columns back in the domain's order."""
    codes = np.empty((rows.shape[1], len(rows)), dtype=np.min_scalar_type(max(training.sizes) - 1))
    codes[list(training.order)] = rows.T
    return PoolModel(domain=training.domain, codes=codes, weights=weights, total=training.charged.plan.people)


def _train(training: Training, config: RowsConfig, phase: Phase) -> tuple[Autoregressive, Parameters]:
    network = Autoregressive.of(training.sizes, hidden=config.hidden)
    parameters, adam = network.initial(random=training.random), Adam()
    centre_at = round(config.centred_after * phase.steps)
    for step in range(phase.steps):
        training.tell(phase, step)
        if step == centre_at > 0:
            rows = network.sample(parameters, CENTRING_ROWS, random=training.random)
            network = network.centred(parameters, rows)
        gradient = noisy_gradient(
            network, parameters, training.people, phase, charged=training.charged, random=training.random
        )
        adam.step(parameters, gradient, rate=config.row_rate * cosine(step, phase.steps))
    return network, parameters
