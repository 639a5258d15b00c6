"""The gate's one draw of noise: its grid, its sensitivities by side, its scale, and its exact law."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from accountant.adjacency import Adjacency
from accountant.calibrate import discrete_gaussian_sigma
from accountant.events import DiscreteGaussian
from accountant.price import Coordinate
from accountant.spend import Side, Step
from dpsynth.gate.plan import GatePlan
from dpsynth.gate.policy import Policy
from dpsynth.gate.totals import Totals
from dpsynth.noise.gaussian import discrete_gaussian_table, gaussian_cut
from dpsynth.noise.tables import PRECISION

_STEPS_OF_NOISE = 4_000
"""The grid is made coarser so that the noise's standard deviation stays near this many steps: a table of 108,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateNoise:
    """Noise of the threshold test, in steps of 1/(grid N_tr); public.

    Attributes:
      grid: Steps of one training record.
      training_steps: Most that one training person moves the floored statistic.
      holdout_steps: Most that one holdout person moves it.
      sigma: Scale of the discrete Gaussian, in steps.
      adjacency: What the sensitivities are stated under.
    """

    grid: int
    training_steps: int
    holdout_steps: int
    sigma: float
    adjacency: Adjacency = Adjacency.ADD_REMOVE

    @property
    def records(self) -> float:
        """Scale of the noise in records, in units of 1/N_tr."""
        return self.sigma / self.grid

    @property
    def steps(self) -> tuple[Step, Step]:
        """What each side pays for the one draw.

        Every person is on one side only, so each side's people see the same noise against their own sensitivity.
        """
        return (
            self._step(Side.TRAINING, self.training_steps),
            self._step(Side.HOLDOUT, self.holdout_steps),
        )

    def _step(self, side: Side, steps: int) -> Step:
        event = DiscreteGaussian(sigma=self.sigma, sensitivity=float(steps), adjacency=self.adjacency)
        return Step(label=f"gate: noisy threshold test, {side} people", event=event, sides=(side,))


def gate_noise(policy: Policy, *, plan: GatePlan, totals: Totals) -> GateNoise:
    """The least noise with which both sides stay within their caps.

    In steps of 1/(g N_tr) one training person moves the statistic by at most 1/N_tr, g steps; one holdout person by
    1/N_ho, at most ceil(g N_tr / N_ho) steps. The floor keeps both bounds, because they are whole numbers. A person who
    comes or goes moves it by their own f - c, one whose private part is replaced by the difference of two f: at most 1
    either way, and on one side either way.
    """
    rough = max(_sigma(plan, plan.training_gate, 1), _sigma(plan, plan.holdout_gate, totals.training / totals.holdout))
    grid = max(1, min(policy.grid, int(_STEPS_OF_NOISE / rough)))
    holdout_steps = -(-grid * totals.training // totals.holdout)
    return GateNoise(
        grid=grid,
        training_steps=grid,
        holdout_steps=holdout_steps,
        sigma=max(_sigma(plan, plan.training_gate, grid), _sigma(plan, plan.holdout_gate, holdout_steps)),
        adjacency=plan.adjacency,
    )


def margin(policy: Policy, noise: GateNoise) -> int:
    """The least number of steps that the noise alone exceeds with probability at most ``policy.noise_alpha``."""
    return noise_reach(noise.sigma, alpha=policy.noise_alpha)


def noise_reach(sigma: float, *, alpha: Fraction) -> int:
    """The least whole number that a discrete Gaussian of this sigma exceeds with probability at most ``alpha``."""
    left, steps = alpha.numerator << PRECISION, gaussian_cut(sigma)
    for numerator in reversed(discrete_gaussian_table(sigma).numerators):
        left -= numerator * alpha.denominator
        if left < 0:
            break
        steps -= 1
    return steps


def probability_at_most(steps: int, noise: GateNoise) -> Fraction:
    """Exact P[noise <= steps], a multiple of 2^-256."""
    numerators = discrete_gaussian_table(noise.sigma).numerators
    return Fraction(sum(numerators[: max(0, steps + gaussian_cut(noise.sigma) + 1)]), 1 << PRECISION)


def _sigma(plan: GatePlan, amount: int, sensitivity: float) -> float:
    return _least_sigma(amount, plan.coordinate, sensitivity)


@lru_cache(maxsize=64)
def _least_sigma(amount: int, coordinate: Coordinate, sensitivity: float) -> float:
    return discrete_gaussian_sigma(amount=amount, coordinate=coordinate, sensitivity=sensitivity)
