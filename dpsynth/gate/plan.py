"""Who pays what for the gate: integer caps per side and purpose, fixed before data is touched.

A training person pays for the training total, the synthesizer and the gate; a holdout person for the holdout total
and the gate. The gate's noise is shared but a holdout person weighs N_tr/N_ho times as much in it, so that side's cap
is what limits it: gate_mu <= 0.85 mu_total share/(1 - share), with 5 % kept for the noise of the totals' ratio.

Where an attack compares with reference people, these are half of those held out and pay for their noisy marginals
alone; the other half is the holdout of every attack, so that ``share`` above is that half's. Where retries are
declared, every attempt has the same gate, all attempts are within the cap together, and each makes do with its part of
what is left to the synthesizer and to the reference.

Where only the private part of a row is protected (replace-private-part), the numbers of people are public facts: the
coins aren't the data's, and a row whose private part changes keeps its coin. So nobody pays for a count; the gate costs
what it does under add-remove, because f of one row on one side changes by at most 1.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.compose import price
from accountant.events import DiscreteGaussian
from accountant.price import AMOUNT_UNIT, Coordinate
from dpsynth.errors import GateRefused
from dpsynth.gate.policy import Policy

_PER_MU_SQUARED = {Coordinate.GDP: Fraction(AMOUNT_UNIT), Coordinate.ZCDP: Fraction(AMOUNT_UNIT, 2)}
"""Units of each coordinate in a mu^2 of 1 (a Gaussian of that mu has rho = mu^2 / 2)."""

_COUNT_SHARE = Fraction(1, 100)
_HOLDOUT_USE = Fraction(85, 100)
_RATIO_SLACK = Fraction(105, 100)
_TRAINING_MOST = Fraction(1, 10)
_LEAST_MU = Fraction(1, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """Caps of a release, in units of 2^-40 of the coordinate; exact, and both sides within ``amount``.

    Attributes:
      coordinate: What the amounts are.
      amount: Cap of each side.
      holdout_share: Chance of a person's coin to be held out.
      training_count: For the noisy number of training people.
      training_gate: For the gate, of a training person, in each attempt.
      training_amount: What is left to the synthesizer, in all attempts.
      holdout_count: For the noisy number of holdout people.
      holdout_gate: For the gate, of a holdout person, in each attempt.
      delta: Sampler slack of a side's count and of its tests, in units of 2^-62.
      reference_amount: For the noisy marginals of a reference person, in each attempt; 0 where there are none.
      attempts: Tables that may be made and tested.
      adjacency: What the charges are stated under; it decides whether numbers of people are public.
    """

    coordinate: Coordinate
    amount: int
    holdout_share: Fraction
    training_count: int
    training_gate: int
    training_amount: int
    holdout_count: int
    holdout_gate: int
    delta: int
    reference_amount: int = 0
    attempts: int = 1
    adjacency: Adjacency = Adjacency.ADD_REMOVE

    @property
    def counted(self) -> bool:
        """Whether numbers of people are private, and so measured with noise."""
        return self.adjacency is not Adjacency.REPLACE_PRIVATE

    @property
    def gate_mu(self) -> float:
        """mu that a training person pays for the gate of one attempt, at most."""
        return math.sqrt(self.training_gate / _PER_MU_SQUARED[self.coordinate])


def plan_gate(
    policy: Policy, *, amount: int, coordinate: Coordinate, unit: PrivacyUnit, gate_mu: Fraction | str | None = None
) -> GatePlan:
    """Divide a release's cap between totals, synthesizer and gate.

    Args:
      policy: Says the holdout share and the largest gate_mu.
      amount: The release's cap, in units of 2^-40 of ``coordinate``.
      coordinate: What the scope adds up.
      unit: The privacy unit, which never changes sides: added or removed, or replaced in its private part.
      gate_mu: Asked for by a person, as exact text or fraction: granted or refused, never lowered.

    Raises:
      GateRefused: ``gate_mu`` costs holdout people more than the cap, the cap is too small for any gate or for a
        reference, or the adjacency is replace-one.
    """
    if unit.adjacency.changes_sides:
        raise GateRefused(
            f"A gate was planned under {unit.adjacency}.",
            "A replaced person may change sides, and the gate is priced for people who stay on theirs.",
            "Use add-remove, or make an ungated fit.",
        )
    ratio, attempts = (1 - policy.holdout_share) / policy.tested_share, policy.attempts
    held = (ratio * _RATIO_SLACK) ** 2
    asked = policy.gate_mu if gate_mu is None else _asked(gate_mu)
    gate = math.floor(asked**2 * _PER_MU_SQUARED[coordinate])
    if gate_mu is None:
        most = min((_HOLDOUT_USE / ratio) ** 2, _TRAINING_MOST) * amount / attempts
        gate = min(gate, math.floor(most))
    count, holdout_gate = math.floor(_COUNT_SHARE * amount), math.ceil(gate * held)
    left = held_out = amount - attempts * holdout_gate
    if unit.adjacency is Adjacency.REPLACE_PRIVATE:
        count = held_out = 0  # numbers of people are public
    plan = GatePlan(
        coordinate=coordinate,
        amount=amount,
        holdout_share=policy.holdout_share,
        training_count=count,
        training_gate=gate,
        training_amount=amount - count - attempts * gate,
        holdout_count=held_out,
        holdout_gate=holdout_gate,
        delta=(1 + attempts) * price(DiscreteGaussian(sigma=1.0), coordinate).delta,
        reference_amount=amount // attempts if policy.reference_share else 0,
        attempts=attempts,
        adjacency=unit.adjacency,
    )
    _require_room(plan, ratio, left)
    return plan


def _asked(gate_mu: Fraction | str) -> Fraction:
    try:
        asked = Fraction(gate_mu)
    except (ValueError, ZeroDivisionError, OverflowError):
        asked = Fraction(0)
    if asked <= 0:
        raise GateRefused(
            "The gate_mu that was asked for is no number above zero.",
            "It is the mu that a training person pays for the gate.",
            "Give a decimal such as 0.05, or leave it out for the policy's own.",
        )
    return asked


def _require_room(plan: GatePlan, ratio: Fraction, left: int) -> None:
    least = _LEAST_MU**2 * _PER_MU_SQUARED[plan.coordinate]
    room = min(plan.training_amount, left - plan.training_count)
    counts = (plan.training_count, plan.holdout_count) if plan.counted else ()
    if room < 0 or min((plan.training_gate, *counts)) < least:
        total = math.sqrt(plan.amount / _PER_MU_SQUARED[plan.coordinate])
        raise GateRefused(
            f"A gate_mu of {plan.gate_mu:.4g} can't be paid within a total mu of {total:.4g}.",
            f"A holdout person pays {float(ratio):.3g} times as much as a training person, 5 % more in reserve, and "
            f"each total and the gate need a mu of 0.0001 at least{_each(plan.attempts)}.",
            "Ask for a smaller gate_mu, hold out a larger share, or raise the release's epsilon.",
        )


def _each(attempts: int) -> str:
    return f", the gate in each of {attempts} attempts" if attempts > 1 else ""
