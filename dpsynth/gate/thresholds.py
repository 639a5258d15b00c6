"""tau: how far a rate may differ between the sides where the table looked at nobody. Public formulas of public numbers.

Rates: for an honest table A_t has mean (p - c)(n_tr/N_tr - n_ho/N_ho), where p is how common closeness is among real
people and n/N is off by the noise of the totals, and variance p(1 - p)(1/N_tr + 1/N_ho). p isn't known; c, the same
rate within the synthetic table, is. We take the least favourable p between c/k and k c, on both scales (closeness and
its opposite), with k = ``KAPPA`` and a floor. KS needs no p: P[KS > x] <= exp(-2 x^2 / (1/N_tr + 1/N_ho)).
The noise of the test belongs to the same sum, so tau is what is left of its quantile after the margin.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from dpsynth.attacks.closeness import ONE, Family, TableFacts
from dpsynth.gate.noise import GateNoise, gate_noise, margin
from dpsynth.gate.plan import GatePlan
from dpsynth.gate.policy import Attack, AttackKind, Policy
from dpsynth.gate.totals import Totals

KAPPA = 3.0
FLOOR = 1e-3
_ROUND = 2**40
_LARGEST_RECORDS = 50_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the thresholds depend on besides the table, all in units of the statistic A.

    Attributes:
      split: 1/N_tr + 1/N_ho.
      totals: Relative standard deviation of N_tr and N_ho taken together.
      training: Relative standard deviation of N_tr.
      noise: Standard deviation of the test's noise.
      margin: The test's margin.
    """

    split: float
    totals: float
    training: float
    noise: float
    margin: float


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


def scale(totals: Totals, noise: GateNoise, *, margin_steps: int) -> Scale:
    """The scale of a test."""
    return Scale(
        split=1.0 / totals.training + 1.0 / totals.holdout,
        totals=math.hypot(totals.training_sigma / totals.training, totals.holdout_sigma / totals.holdout),
        training=totals.training_sigma / totals.training,
        noise=noise.records / totals.training,
        margin=margin_steps / noise.grid / totals.training,
    )


def tau(attack: Attack, constant: float, *, columns: int, scale: Scale) -> Fraction:
    """The threshold of one statistic, rounded up to a multiple of 2^-40.

    Args:
      attack: Its kind, alpha and weight.
      constant: c in [0, 1], from the synthetic table.
      columns: Width of the table.
      scale: Of the test.
    """
    spread = math.hypot(_SPREAD[attack.kind](constant, scale), scale.noise / float(attack.weight))
    reach = _QUANTILE[attack.kind](attack, columns) * spread
    return Fraction(math.ceil(max(0.0, reach - scale.margin / float(attack.weight)) * _ROUND), _ROUND)


def smallest_leak(policy: Policy, facts: TableFacts, *, scale: Scale) -> float:
    """The smallest share of training people whose verbatim copies would be seen with probability ``detection``.

    People who aren't copied are taken to be as near to the table as its own rows are to each other, and a copy to be
    isolated as often as they are. Above 1: none would be seen. One statistic alone has to see it.
    """
    columns, z = len(facts.alone), NormalDist().inv_cdf(float(policy.detection))
    found = [math.inf]
    for attack in policy.attacks:
        weight = float(attack.weight)
        for t in attack.distances_on(columns):
            c = facts.constants[FAMILY[attack.kind]][t] / ONE
            floor = float(tau(attack, c, columns=columns, scale=scale)) + scale.margin / weight
            spread = math.hypot(_rate_spread(c, scale), scale.noise / weight)
            need = _reach(floor, z * spread, z * scale.training)
            gain = _GAIN[attack.kind](c, facts.alone[t] / ONE)
            found.append(need / gain if gain > 0.0 else math.inf)
    return min(found)


def decidable(policy: Policy, totals: Totals, *, plan: GatePlan) -> Decidability:
    """Whether the gate can decide, from public and noisy numbers only, before a synthetic table is drawn.

    Privacy: none; post-processing.
    """
    noise = gate_noise(policy, plan=plan, totals=totals)
    if noise.records > _LARGEST_RECORDS:
        return Decidability(decidable=False, smallest_leak=math.inf)
    measure = scale(totals, noise, margin_steps=margin(policy, noise))
    leak = smallest_leak(policy, _NOBODY_CLOSE, scale=measure)
    enough = min(totals.training, totals.holdout) >= policy.smallest_side
    return Decidability(decidable=enough and leak <= policy.tolerable_leak, smallest_leak=leak)


def _interval(c: float) -> tuple[float, float]:
    """The least and the largest p that a table with constant c is taken to allow."""
    low = max(0.0, c / KAPPA, 1.0 - KAPPA * (1.0 - c)) - FLOOR
    high = min(1.0, KAPPA * c, 1.0 - (1.0 - c) / KAPPA) + FLOOR
    return max(0.0, low), min(1.0, high)


def _rate_spread(c: float, scale: Scale) -> float:
    low, high = _interval(c)
    p = min(max(low, 0.5), high)
    return math.hypot(math.sqrt(p * (1.0 - p) * scale.split), max(high - c, c - low) * scale.totals)


def _advantage_spread(_: float, scale: Scale) -> float:
    return math.hypot(math.sqrt(scale.split / 4.0), scale.totals / 2.0)


def _reach(floor: float, spread: float, relative: float) -> float:
    """The least x with x >= floor + hypot(spread, x relative): x itself is known up to the noise of N_tr."""
    rest = 1.0 - relative**2
    if rest <= 0.0:
        return math.inf
    return (floor + math.sqrt((floor * relative) ** 2 + rest * spread**2)) / rest


def _rate_quantile(attack: Attack, columns: int) -> float:
    return -NormalDist().inv_cdf(float(attack.alpha) / max(1, len(attack.distances_on(columns))))


FAMILY = {
    AttackKind.NEAR: Family.NEAR,
    AttackKind.ISOLATED: Family.ISOLATED,
    AttackKind.ADVANTAGE: Family.NEAR,
}
"""The feature of each kind of attack."""

_NOBODY_CLOSE = TableFacts(constants=dict.fromkeys(Family, (0,)), alone=(ONE,))

_SPREAD: dict[AttackKind, Callable[[float, Scale], float]] = {
    AttackKind.NEAR: _rate_spread,
    AttackKind.ISOLATED: _rate_spread,
    AttackKind.ADVANTAGE: _advantage_spread,
}

_GAIN: dict[AttackKind, Callable[[float, float], float]] = {
    AttackKind.NEAR: lambda c, alone: 1.0 - c,
    AttackKind.ISOLATED: lambda c, alone: alone,
    AttackKind.ADVANTAGE: lambda c, alone: 1.0 - c,
}
"""What copying everybody would add to a rate."""

_QUANTILE: dict[AttackKind, Callable[[Attack, int], float]] = {
    AttackKind.NEAR: _rate_quantile,
    AttackKind.ISOLATED: _rate_quantile,
    AttackKind.ADVANTAGE: lambda attack, columns: math.sqrt(-2.0 * math.log(float(attack.alpha))),
}
"""In units of the spread. Rates share alpha between distances; exp(-x^2 / (2 v)) = alpha at x = sqrt(-2 ln alpha v)."""
