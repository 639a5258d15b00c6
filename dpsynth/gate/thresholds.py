"""tau: how far a rate may differ between the sides where the table looked at nobody. Public formulas of public numbers.

For an honest table A has mean (p - c)(n_tr/N_tr - n_ho/N_ho), where p is the mean of f among real people and n/N is off
by the noise of the totals, and variance at most v (1/N_tr + 1/N_ho), where v is the smaller of the means of f squared
and of (1 - f) squared among real people, and 1/4 at most. Those aren't known; the same means among strangers are. Real
people's are taken to be at most ``rate_factor`` times as large, and ``rate_floor`` more. KS needs none of them:
P[KS > x] <= exp(-2 x^2 / (1/N_tr + 1/N_ho)). The noise of the test belongs to the same sum, so tau is what is left of
its quantile after the margin.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from dpsynth.attacks.closeness import FeatureFacts
from dpsynth.attacks.features import ONE, SURE
from dpsynth.attacks.layout import Layout
from dpsynth.gate.battery import Probe, probes_on
from dpsynth.gate.noise import GateNoise, gate_noise, margin
from dpsynth.gate.plan import GatePlan
from dpsynth.gate.policy import AttackKind, Policy
from dpsynth.gate.totals import Totals

_ROUND = 2**40
_LARGEST_RECORDS = 50_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the thresholds depend on besides the table, in units of the statistic A where nothing else is said.

    Attributes:
      split: 1/N_tr + 1/N_ho.
      totals: Relative standard deviation of N_tr and N_ho taken together.
      training: Relative standard deviation of N_tr.
      noise: Standard deviation of the test's noise.
      margin: The test's margin.
      factor: The policy's ``rate_factor``.
      floor: The policy's ``rate_floor``.
      step: One step of the grid on which T is rounded down, in units of the statistic A.
    """

    split: float
    totals: float
    training: float
    noise: float
    margin: float
    factor: float
    floor: float
    step: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decidability:
    """Whether noisy totals suffice for a decision; public.

    Attributes:
      decidable: Whether the synthesizer should be run at all.
      smallest_leak: The smallest share of training people, copied into a table to which nobody else is close, that
        would be seen with the policy's probability; above 1 where nothing would be.
    """

    decidable: bool
    smallest_leak: float


def scale(policy: Policy, totals: Totals, noise: GateNoise) -> Scale:
    """The scale of a test."""
    return Scale(
        split=1.0 / totals.training + 1.0 / totals.holdout,
        totals=math.hypot(totals.training_sigma / totals.training, totals.holdout_sigma / totals.holdout),
        training=totals.training_sigma / totals.training,
        noise=noise.records / totals.training,
        margin=margin(policy, noise) / noise.grid / totals.training,
        factor=float(policy.rate_factor),
        floor=float(policy.rate_floor),
        step=1.0 / noise.grid / totals.training,
    )


def tau(probe: Probe, facts: FeatureFacts, *, scale: Scale) -> Fraction:
    """The threshold of one statistic, rounded up to a multiple of 2^-40.

    Args:
      probe: The attack's alpha and weight, and how many statistics share its alpha.
      facts: Of the synthetic table.
      scale: Of the test.
    """
    weight = float(probe.attack.weight)
    spread, quantile = _SUP.get(probe.attack.kind, _rate)(probe, facts, scale)
    reach = quantile * math.hypot(spread, scale.noise / weight)
    return Fraction(math.ceil(max(0.0, reach - scale.margin / weight) * _ROUND), _ROUND)


def smallest_leak(policy: Policy, found: Iterable[tuple[Probe, FeatureFacts]], *, scale: Scale) -> float:
    """The smallest share of training people whose verbatim copies would be seen with probability ``detection``.

    Only statistics in which every copy counts fully stand for it, whoever was copied; and people who aren't copied are
    taken to be met as often as the policy allows at most, so that a copy adds the least. Above 1: none would be seen.
    One statistic alone has to see it; the others see more where copies are isolated or rare, which can't be promised.
    Where several tables may be tried it has to see all of them, so that each has its part of the chance to miss one.
    """
    z, leaks = NormalDist().inv_cdf(float(1 - (1 - policy.detection) / policy.attempts)), [math.inf]
    for probe, facts in found:
        if probe.feature.family not in SURE:
            continue
        weight, met = float(probe.attack.weight), min(1.0, scale.factor * facts.constant / ONE + scale.floor)
        gain = facts.copied / ONE - met
        floor = float(tau(probe, facts, scale=scale)) + (scale.margin + scale.step) / weight
        spread = math.hypot(_rate(probe, facts, scale)[0], scale.noise / weight)
        need = _reach(floor, z * spread, z * scale.training)
        leaks.append(need / gain if gain > 0.0 else math.inf)
    return min(leaks)


def decidable(policy: Policy, totals: Totals, *, plan: GatePlan) -> Decidability:
    """Whether the gate can decide, from public and noisy numbers only, before a synthetic table is drawn.

    Privacy: none; post-processing.
    """
    noise = gate_noise(policy, plan=plan, totals=totals)
    if noise.records > _LARGEST_RECORDS:
        return Decidability(decidable=False, smallest_leak=math.inf)
    easiest = ((probe, _NOBODY_CLOSE) for probe in probes_on(policy, _ONE_COLUMN))
    leak = smallest_leak(policy, easiest, scale=scale(policy, totals, noise))
    enough = min(totals.training, totals.holdout) >= policy.smallest_side
    return Decidability(decidable=enough and leak <= policy.tolerable_leak, smallest_leak=leak)


def _rate(probe: Probe, facts: FeatureFacts, scale: Scale) -> tuple[float, float]:
    """Spread of one rate, and its quantile in units of that; the statistics of an attack share its alpha."""
    square, opposite = (min(1.0, scale.factor * x / ONE + scale.floor) for x in (facts.square, facts.opposite))
    split = math.sqrt(min(square, opposite, 0.25) * scale.split)
    high, low = (min(1.0, scale.factor * x + scale.floor) for x in (facts.constant / ONE, 1 - facts.constant / ONE))
    off = max(high - facts.constant / ONE, low - (1 - facts.constant / ONE))
    return math.hypot(split, off * scale.totals), -NormalDist().inv_cdf(float(probe.attack.alpha) / probe.sharing)


def _sup(probe: Probe, _: FeatureFacts, scale: Scale) -> tuple[float, float]:
    """The same of the largest difference of two distribution functions: exp(-x^2 / (2 v)) = alpha at v = split/4."""
    return math.hypot(math.sqrt(scale.split / 4.0), scale.totals / 2.0), math.sqrt(
        -2.0 * math.log(float(probe.attack.alpha))
    )


def _reach(floor: float, spread: float, relative: float) -> float:
    """The least x with x >= floor + hypot(spread, x relative): x itself is known up to the noise of N_tr."""
    rest = 1.0 - relative**2
    if rest <= 0.0:
        return math.inf
    return (floor + math.sqrt((floor * relative) ** 2 + rest * spread**2)) / rest


_SUP: dict[AttackKind, Callable[[Probe, FeatureFacts, Scale], tuple[float, float]]] = {
    AttackKind.ADVANTAGE: _sup,
    AttackKind.MIXED_ADVANTAGE: _sup,
}
"""Attacks with one threshold for all their statistics."""

_ONE_COLUMN = Layout.plain((2,))
_NOBODY_CLOSE = FeatureFacts(constant=0, square=0, opposite=ONE, copied=ONE)
