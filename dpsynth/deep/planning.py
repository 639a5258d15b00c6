"""From a release's plan to the plan of a training run: everything from public facts, before the data is opened."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.compose import price
from accountant.events import Gaussian
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate
from accountant.spend import Side, Spend, Step
from dpsynth.deep.checkpoints import Checkpoints
from dpsynth.deep.config import FEW, ArConfig, ArGanConfig, GanConfig, TrainedConfig, VaeConfig
from dpsynth.deep.extra import require_torch
from dpsynth.deep.plan import SgdPlan, plan_event, plan_for_amount, require_one_row
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.progress import Stage

STARTING = (
    f"how often each code is (of fewer than {FEW:,} people, pairs with a target, too), by one noisy step over everybody"
)
"""What the first step of a training buys."""
SHARE_OF_DELTA = 99
"""Percent of the delta for claims that a plan takes: all of it would leave nothing for the conversion's rounding."""


def plan_training(
    config: TrainedConfig,
    domain: Domain,
    *,
    amount: int,
    budget: Budget,
    unit: PrivacyUnit,
    rows_magnitude: int | None,
    share: Fraction,
    slack: int,
) -> TrainedConfig:
    """Settings with their number of people, noise and delta: the plan of the run, as the ledger will hash it.

    Args:
      config: Settings as they were asked for.
      domain: The public domain.
      amount: Budget of the training, in units of the budget's coordinate.
      budget: The release's budget.
      unit: The privacy unit.
      rows_magnitude: Declared magnitude of the table; what is trained on is ``share`` of it.
      share: Share of the people that are trained on.
      slack: Delta kept for the samplers, in units of 2^-62.

    Raises:
      MissingExtra: torch isn't installed.
      ParameterError: The schema declares no magnitude, a unit may have several rows, the ledger leaves no delta for
        the plan, or no noise keeps the steps within the budget.
    """
    require_torch()
    config.order(domain)
    require_one_row(unit.max_rows)
    if rows_magnitude is None:
        raise ParameterError(
            "A synthesizer trained by DP-SGD needs a declared number of rows.",
            "Its batches and divisors come from a public magnitude, never from the data, and the schema declares none.",
            "Declare rows_magnitude (about how many rows there are), or choose another synthesizer.",
        )
    left = (budget.cap.delta - slack) * SHARE_OF_DELTA // 100
    if left < 1:
        raise ParameterError(
            "A synthesizer trained by DP-SGD finds no delta for its plan.",
            f"The ledger keeps {budget.claim_share:.3g} of delta for additive ones, and the samplers' slack uses that.",
            "Use a larger delta, or a ledger with a larger claim share.",
        )
    config, people = config.for_epsilon(budget.epsilon), max(1, round(rows_magnitude * share))
    delta = math.nextafter(float(Fraction(left, DELTA_UNIT)), 0.0)
    phases = config.phases(domain, people=people)
    found = plan_for_amount(phases, people=people, amount=amount, coordinate=budget.coordinate, delta=delta)
    return replace(config, people=people, noise_multiplier=found.noise_multiplier, delta=delta)


def additive_delta(config: Any) -> int:
    """Units of 2^-62 of additive delta that a planned training run claims; 0 for other settings."""
    return math.ceil(Fraction(config.delta) * DELTA_UNIT) if isinstance(config, TrainedConfig) and config.delta else 0


def start_amount(config: TrainedConfig, domain: Domain, *, coordinate: Coordinate) -> int:
    """Units of the coordinate that a planned training's first step takes by itself: the shares of codes.

    Args:
      config: Settings that :func:`plan_training` completed.
      domain: The public domain.
      coordinate: The ledger's.
    """
    first = config.phases(domain, people=config.people or 1)[0]
    noise = (config.noise_multiplier or math.inf) * first.noise_factor
    return price(Gaussian(noise_multiplier=noise), coordinate).amount


def train_model(
    source: Any,
    config: TrainedConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    told: Stage | None = None,
    checkpoints: Checkpoints | None = None,
    paid: tuple[Step, ...] = (),
) -> PoolModel:
    """Run the plan that the settings hold.

    Args:
      source: Coded records, one per person.
      config: Settings that :func:`plan_training` completed.
      amount: Budget of the training; the plan was made for it, and more is refused.
      coordinate: The ledger's coordinate.
      spend: Charged once, before a record is read.
      random: Source of batches, noise and rows.
      sides: Whose records ``source`` holds.
      told: Told of each step.
      checkpoints: Where the run is written down, so that it can go on.
      paid: What the ledger has charged this run before, where it goes on.

    Privacy:
      Spends the ``FixedPlan`` of the settings' steps, at most ``amount``; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_release.py::test_a_release_charges_its_training_once_within_its_plan

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The settings hold no plan, or one that costs more.
      MissingExtra: torch isn't installed.
    """
    require_torch()
    if config.people is None or config.noise_multiplier is None or config.delta is None:
        raise ParameterError(
            f"These settings of {config.name} hold no plan.",
            "Its number of people, noise and delta are fixed before the data is opened.",
            "Complete them with plan_training().",
        )
    from dpsynth.deep.ar_gan import fit_ar_gan  # these load torch
    from dpsynth.deep.device import computing_on
    from dpsynth.deep.gan import fit_gan
    from dpsynth.deep.rows import fit_ar
    from dpsynth.deep.training import Terms
    from dpsynth.deep.vae import fit_vae

    fitters: dict[type, Callable[..., PoolModel]] = {
        ArConfig: fit_ar,
        ArGanConfig: fit_ar_gan,
        GanConfig: fit_gan,
        VaeConfig: fit_vae,
    }
    phases = config.phases(source.domain, people=config.people)
    plan = SgdPlan(phases=phases, noise_multiplier=config.noise_multiplier, people=config.people)
    if price(plan_event(plan, delta=config.delta), coordinate).amount > amount:
        raise ParameterError(
            f"The plan of {config.name} costs more than its {amount / AMOUNT_UNIT:.3g} of {coordinate.symbol}.",
            "Its noise was fixed for another budget.",
            "Complete the settings with plan_training() for this one.",
        )
    terms = Terms(
        plan=plan,
        delta=config.delta,
        spend=spend,
        random=random,
        sides=sides,
        told=told,
        checkpoints=checkpoints,
        paid=paid,
    )
    with computing_on(config.device):
        return fitters[type(config)](source, config, terms)
