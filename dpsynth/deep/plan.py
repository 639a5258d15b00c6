"""The fixed plan of a DP-SGD run: how many steps, with which batches, bounds and noise; priced before anything is read.

Nothing here depends on a record. The number of people is a declared magnitude or an output that was charged; a wrong
one makes the model worse and never the privacy: sampling probability, bound and noise are what they say.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from accountant.calibrate import least_noise
from accountant.compose import price
from accountant.errors import UnsupportedEvent
from accountant.events import Composed, Event, FixedPlan, Gaussian, PoissonSampledGaussian, Repeat
from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.spend import Side, Spend, Step
from dpsynth.deep.checkpoints import Checkpoints
from dpsynth.errors import ParameterError

LARGEST_CLIP = 2.0**60
"""Clip bounds lie below it and above its inverse: weights of gradients are float32."""

SMALLEST_NOISE, LARGEST_NOISE = 0.3, 1e4
"""Noise multipliers that a plan may have; below, the price says nothing and float sums would show through the noise."""

_CLOSE = 5e-4
"""Relative width at which the search for a noise multiplier within an amount ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A run of equal DP-SGD steps on one network.

    Attributes:
      label: What it trains, in public words.
      steps: Steps, each charged, whatever is in its batch.
      sampling_probability: With which each person joins each batch, independently; above 0, at most 1.
      clip: Public bound on the L2 norm of one person's gradient, from 2^-60 to 2^60.
      noise_factor: Its noise multiplier over the plan's.
    """

    label: str
    steps: int
    sampling_probability: float
    clip: float
    noise_factor: float = 1.0

    def __post_init__(self) -> None:
        fits = self.steps >= 1 and 0.0 < self.sampling_probability <= 1.0
        scales = 1.0 / LARGEST_CLIP <= self.clip <= LARGEST_CLIP and 0.0 < self.noise_factor < math.inf
        if type(self.steps) is not int or not (fits and scales):
            raise ParameterError(
                f"A phase has {self.steps} steps, the sampling probability {self.sampling_probability}, the bound "
                f"{self.clip} and {self.noise_factor} times the plan's noise.",
                "It takes a whole number of steps, a probability above 0 and at most 1, a finite factor above 0, and a "
                "bound within 2^60 and 2^-60, where float32 keeps all its places.",
                "Mend the settings of the synthesizer.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SgdPlan:
    """Phases with one noise multiplier, or declared multiples of it.

    Attributes:
      phases: In the order in which they are run.
      noise_multiplier: Standard deviation of the noise of a step over its phase's bound, where the phase has no factor
        of its own.
      people: Declared magnitude (or charged count) of the people that are trained on; with the sampling probability it
        gives the divisor of every step.
    """

    phases: tuple[Phase, ...]
    noise_multiplier: float
    people: float

    def __post_init__(self) -> None:
        labels = {phase.label for phase in self.phases}
        least = min([self.noise_multiplier, *map(self.noise_of, self.phases)])
        sound = least >= SMALLEST_NOISE and self.noise_multiplier <= LARGEST_NOISE and 1.0 <= self.people < math.inf
        if not (sound and 0 < len(labels) == len(self.phases)):
            raise ParameterError(
                f"A plan has {len(self.phases)} phases, the noise multiplier {self.noise_multiplier:.4g} and "
                f"{self.people:g} people.",
                f"Phases have names of their own, noise multipliers lie between {SMALLEST_NOISE} and "
                f"{LARGEST_NOISE:g}, and there is at least one person.",
                "Raise or lower the budget, or mend the settings of the synthesizer.",
            )

    def events(self) -> tuple[Event, ...]:
        """What is done to the records, phase by phase."""
        return tuple(
            Repeat(
                event=PoissonSampledGaussian(
                    noise_multiplier=self.noise_of(phase), sampling_probability=phase.sampling_probability
                ),
                count=phase.steps,
            )
            for phase in self.phases
        )

    def noise_of(self, phase: Phase) -> float:
        """Standard deviation of the noise of a phase's steps over its bound."""
        return self.noise_multiplier * phase.noise_factor

    def expected_batch(self, phase: Phase) -> float:
        """The public divisor of a phase's sums."""
        return phase.sampling_probability * self.people


class ChargedSteps:
    """The steps of a plan that were charged and not taken yet: each is taken once, in order, and none uncharged.

    Made by :func:`charge_plan`.

    Args:
      plan: The plan.
      event: What was charged.
      taken: Steps that were taken before, by a process that is gone; the first of the plan's.
      note: Told of each step before it is taken; what it raises stops the step.

    Raises:
      ParameterError: Another plan was charged.
    """

    __slots__ = ("_left", "_note", "_plan")

    def __init__(
        self, plan: SgdPlan, event: FixedPlan, *, taken: int = 0, note: Callable[[], None] | None = None
    ) -> None:
        if event.events != plan.events():
            raise ParameterError(
                "Another plan was charged than the one to be run.",
                "The steps that are taken are those whose price was recorded.",
                "Charge the plan with charge_plan().",
            )
        self._plan, self._note, self._left = plan, note, dict[str, int]()
        for phase in plan.phases:
            behind = min(taken, phase.steps)
            self._left[phase.label], taken = phase.steps - behind, taken - behind

    @property
    def plan(self) -> SgdPlan:
        """What was charged."""
        return self._plan

    def left(self, phase: Phase) -> int:
        """Steps of a phase that can still be taken."""
        return self._left[phase.label] if phase in self._plan.phases else 0

    def take(self, phase: Phase) -> None:
        """Take one step of a phase.

        Privacy:
          None by itself; whoever draws a batch takes its step first.
          Checked by: tests/dpsynth/deep/test_plan.py::test_no_step_is_taken_twice_or_uncharged

        Raises:
          ParameterError: All charged steps of the phase are taken, it isn't of the plan, or an earlier phase has steps
            left.
        """
        begun = next((p for p in self._plan.phases if self._left[p.label]), None)
        if phase != begun:
            whole = phase.steps if phase in self._plan.phases else 0
            raise ParameterError(
                f"No charged step of {phase.label!r} can be taken.",
                f"Of its {whole} steps in the plan {self.left(phase)} are left, and phases are run in order.",
                "Run an earlier phase to its end first, or charge another plan.",
            )
        if self._note is not None:
            self._note()
        self._left[phase.label] -= 1


def require_one_row(max_rows: int) -> None:
    """Refuse units of several rows.

    Raises:
      ParameterError: A unit may have several rows: their summed gradient would have to be clipped.
    """
    if max_rows != 1:
        raise ParameterError(
            f"A synthesizer trained by DP-SGD can't take units of up to {max_rows:,} rows.",
            "It clips the gradient of one record, and a unit's records together would move a step by more.",
            "Declare one row per unit, or choose a synthesizer that measures marginals.",
        )


def charge_plan(
    plan: SgdPlan,
    *,
    delta: float,
    spend: Spend,
    label: str,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    checkpoints: Checkpoints | None = None,
    paid: Sequence[Step] = (),
) -> ChargedSteps:
    """Charge a whole plan at once, before any record is read for it; or go on with one that was charged.

    Args:
      plan: What will be run.
      delta: Additive delta of the pair (mu, delta) that dominates the plan's curve.
      spend: Charged once.
      label: Public words for the ledger.
      sides: Whose records will be read.
      checkpoints: Where steps are written down before they are taken; None for a run that can't go on.
      paid: What the ledger has charged this run before: a plan that is among it isn't charged again.

    Returns:
      The charged steps that no process has taken.

    Privacy:
      Spends ``FixedPlan`` of the plan's events on each of ``sides``, once over all processes of the run; add-remove of
      one person.
      Checked by: tests/dpsynth/deep/test_plan.py::test_a_plan_is_charged_whole_and_once,
        tests/dpsynth/deep/test_checkpoints.py::test_killed_anywhere_no_step_is_taken_twice_or_uncharged

    Raises:
      BudgetExceeded: The charge was refused; nothing was recorded.
      ParameterError: Steps were taken that the ledger doesn't know of, or it knows of a plan whose steps nobody wrote
        down.
      UnsupportedEvent: No pair dominates the plan at ``delta``.
    """
    event = plan_event(plan, delta=delta)
    step = Step(label=label, event=event, sides=sides)
    charged, taken = step in paid, 0 if checkpoints is None else checkpoints.taken
    if (charged and checkpoints is None) or (taken and not charged):
        raise ParameterError(
            "This run can't go on: its ledger and its checkpoints don't tell of the same run.",
            "Steps were taken that the ledger hasn't charged, or were charged and nobody wrote down which were taken.",
            "Begin a new run, which is charged anew.",
        )
    if not charged:
        spend.charge([step])
    return ChargedSteps(plan, event, taken=taken, note=None if checkpoints is None else checkpoints.note)


@lru_cache(maxsize=64)
def plan_event(plan: SgdPlan, *, delta: float) -> FixedPlan:
    """The plan as one event with a price in every coordinate; found once for each plan.

    Raises:
      UnsupportedEvent: No pair dominates the plan at ``delta``.
    """
    from accountant.pld import fixed_plan  # loads SciPy

    return fixed_plan(plan.events(), delta)


def plan_for_target(phases: Sequence[Phase], *, people: float, epsilon: float, delta: float) -> SgdPlan:
    """The plan with the least noise within (epsilon, delta), certified on the fine grid.

    Raises:
      ParameterError: No noise in range reaches the target.
    """

    def composed(noise: float) -> Event:
        return Composed(events=_with_noise(phases, noise, people).events())

    least = 1.001 * _least_noise(phases)
    found = least_noise(lambda noise: composed(min(max(noise, least), LARGEST_NOISE)), epsilon=epsilon, delta=delta)
    return _with_noise(phases, min(max(found.scale, least), LARGEST_NOISE), people)


def plan_for_amount(
    phases: Sequence[Phase], *, people: float, amount: int, coordinate: Coordinate, delta: float
) -> SgdPlan:
    """The plan with the least noise whose event costs at most ``amount`` units and ``delta``.

    Args:
      phases: What is run.
      people: Declared magnitude of the people trained on.
      amount: Units of 2^-40 of ``coordinate``.
      coordinate: The ledger's coordinate.
      delta: Additive delta of the event.

    Raises:
      ParameterError: No noise in range fits.
    """
    least = 1.001 * _least_noise(phases)
    high = max(1.0, least)

    def fits(noise: float, *, certified: bool = False) -> bool:
        return _fits(_with_noise(phases, noise, people), amount, coordinate, delta, certified=certified)

    def require_larger(noise: float) -> None:
        if noise >= LARGEST_NOISE:
            raise ParameterError(
                f"No noise keeps these steps within {amount / AMOUNT_UNIT:.3g} of {coordinate.symbol}.",
                f"Noise multipliers up to {LARGEST_NOISE:g} were tried.",
                "Raise the budget, or take fewer steps.",
            )

    while not fits(high):
        require_larger(high)
        least, high = high, min(2.0 * high, LARGEST_NOISE)
    while high > least * (1.0 + _CLOSE):
        middle = math.sqrt(least * high)
        least, high = (least, middle) if fits(middle) else (middle, high)
    while not fits(high, certified=True):
        require_larger(high)
        high = min(high * (1.0 + _CLOSE), LARGEST_NOISE)
    return _with_noise(phases, high, people)


def _fits(plan: SgdPlan, amount: int, coordinate: Coordinate, delta: float, *, certified: bool) -> bool:
    """Whether a plan's event costs at most ``amount``: as it is priced, or by the mu of the coarse grid."""
    from accountant.pld import CALIBRATE_GRID, dominating_gdp

    try:
        if certified:
            return price(plan_event(plan, delta=delta), coordinate).amount <= amount
        mu = dominating_gdp(plan.events(), delta, grid=CALIBRATE_GRID)
        return price(Gaussian(noise_multiplier=1.0 / max(mu, 1e-6)), coordinate).amount <= amount
    except UnsupportedEvent:  # no pair, so little noise is it
        return False


def _least_noise(phases: Sequence[Phase]) -> float:
    """The least noise multiplier of a plan: no phase has less than the smallest."""
    return SMALLEST_NOISE / min([1.0, *(phase.noise_factor for phase in phases)])


def _with_noise(phases: Sequence[Phase], noise: float, people: float) -> SgdPlan:
    return SgdPlan(phases=tuple(phases), noise_multiplier=noise, people=people)
