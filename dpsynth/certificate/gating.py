"""The gate's facts, against its policy and its charged steps; its margin is worked out again from the noise's law."""

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from accountant.adjacency import Adjacency
from accountant.compose import price
from accountant.events import DiscreteGaussian
from accountant.spend import BOTH_SIDES, Side, Step
from dpsynth.certificate.arithmetic import TOLERANCE, require
from dpsynth.certificate.attempts import GATE_TEST as GATE_TEST
from dpsynth.certificate.attempts import each_attempt, is_test
from dpsynth.certificate.dossier import FAIL, PASS, UNDECIDABLE, Dossier
from dpsynth.certificate.planned import LIKELIHOOD, REFERENCE, REFERENCE_SPLIT, attempts_in_words

GATE_COUNT = "gate: number of {side} people"
"""Label of the gate's counts."""
GATE_REFERENCE = "gate: reference ("
"""How the labels of the marginals of reference people begin."""
_LARGEST_SIGMA = 1e5
_WIDTHS = 13.5
_FRACTION = re.compile(r"[0-9]{1,40}(/[0-9]{1,40})?")


def check_gate_facts(dossier: Dossier, policy: Mapping[str, Any]) -> str:
    """What is stated of the gate is what its policy says and what was charged; returns what was found, in words.

    Args:
      dossier: The signed facts; the steps are those of the ledger.
      policy: Content of ``policy.json``.

    Raises:
      VerificationFailed: They disagree.
    """
    gate = dossier.gate
    pairs: dict[str, tuple[object, object]] = {
        "name": (gate.policy, policy["name"]),
        "attacks": (gate.attacks, tuple(a["name"] for a in policy["attacks"] if a["name"] in gate.attacks)),
        "holdout share": (gate.holdout_share, float(_fraction(policy["holdout_share"]))),
        "probability of detection": (gate.detection, float(_fraction(policy["detection"]))),
    }
    for name, (stated, declared) in pairs.items():
        require(stated == declared, f"The {name} of the gate isn't that of its policy.")
    require(1 <= gate.grid <= policy["grid"], "The grid of the gate is finer than its policy allows.")
    _check_counts(dossier)
    _check_reference(dossier, policy)
    told = attempts_in_words(1 + policy["retries"]) in dossier.synthesis.post_processing
    require(told == (policy["retries"] > 0), "Retries are declared and not stated, or stated and not declared.")
    if gate.noisy_steps is None:
        return _untested(dossier)
    _tested(dossier, policy)
    tests = sum(map(is_test, dossier.steps)) // 2
    many = "one test" if tests == 1 else f"{tests} tests of {1 + policy['retries']} declared"
    return f"{gate.policy}: {many} on each side, charged; margin {gate.margin_steps} worked out from its noise"


def _untested(dossier: Dossier) -> str:
    gate = dossier.gate
    require(gate.verdict not in (PASS, FAIL), "The gate decided without a statistic.")
    none = not any(map(is_test, dossier.steps))
    free = (gate.training_amount, gate.holdout_amount, gate.margin_steps) == (0, 0, 0)
    require(none and free, "A test was charged or priced, and none is stated.")
    return f"{gate.policy}: no test, and none charged"


def _tested(dossier: Dossier, policy: Mapping[str, Any]) -> None:
    gate = dossier.gate
    require(gate.verdict != UNDECIDABLE, "The gate tested and says that it couldn't.")
    require(bool(gate.attacks), "The gate tested without an attack.")
    training, holdout = (_tests(dossier, side, 1 + policy["retries"]) for side in BOTH_SIDES)
    drawn = [[step.label for step in steps if is_test(step)] for steps in each_attempt(dossier.steps)]
    once = all(len(labels) == len(set(labels)) == len(BOTH_SIDES) for labels in drawn)
    require(once, "An attempt has another number of tests than one of each side.")
    for event, stated in ((training, gate.training_amount), (holdout, gate.holdout_amount)):
        due = price(event, dossier.plan.coordinate).amount
        require(abs(due - stated) <= 1 + (due >> 36), "The stated amount of the gate isn't that of its step.")
    require(training.sigma == holdout.sigma, "The two sides of the gate's one draw have different noise.")
    require(training.sensitivity == gate.grid, "The grid of the gate isn't that of its step.")
    near = math.isclose(gate.sigma_records, training.sigma / gate.grid, rel_tol=TOLERANCE)
    require(near, "The noise of the gate isn't that of its step.")
    weighed = -(-gate.grid * gate.training_people // gate.holdout_people)
    require(holdout.sensitivity == weighed, "The numbers of people aren't those that the gate's step was weighed by.")
    enough = min(gate.training_people, gate.holdout_people) >= policy["smallest_side"]
    require(enough, "The gate decided with fewer people than its policy asks for.")
    check_margin(gate.margin_steps, training.sigma, float(_fraction(policy["noise_alpha"])))


def _check_counts(dossier: Dossier) -> None:
    """Each side paid for its number of people, but where these numbers are public."""
    if dossier.data.adjacency == Adjacency.REPLACE_PRIVATE:
        labels = {GATE_COUNT.format(side=side) for side in Side}
        require(not any(step.label in labels for step in dossier.steps), "A public number of people was charged.")
        return
    for side in BOTH_SIDES:
        _step(dossier, GATE_COUNT, side)


def _step(dossier: Dossier, label: str, side: Side) -> DiscreteGaussian:
    """The event of the one step with this label, which only ``side`` pays."""
    found = [step for step in dossier.steps if step.label == label.format(side=side)]
    require(
        len(found) == 1 and found[0].sides == (side,), f"The {side} side has {len(found)} steps of the gate, not 1."
    )
    return _draw(found[0])


def _tests(dossier: Dossier, side: Side, attempts: int) -> DiscreteGaussian:
    """The event of the last test of a side: one for each attempt, with equal noise; a failure used them all."""
    found = [step for step in dossier.steps if step.label == GATE_TEST.format(side=side)]
    many, most = len(found), f"at most {attempts}" if attempts > 1 else "1"
    within = 1 <= many <= attempts and all(step.sides == (side,) for step in found)
    require(within, f"The {side} side has {many} steps of the gate, not {most}.")
    require(dossier.gate.verdict != FAIL or many == attempts, "A release failed before its last declared attempt.")
    require(len({step.event for step in found}) == 1, "The tests of several attempts have different noise.")
    return _draw(found[-1])


def _check_reference(dossier: Dossier, policy: Mapping[str, Any]) -> None:
    """Reference people are planned and stated where the policy needs them, and pay for their marginals alone."""
    needed = any(attack["kind"] == LIKELIHOOD for attack in policy["attacks"])
    planned = any(share.purpose == REFERENCE for share in dossier.plan.shares)
    stated = REFERENCE_SPLIT in dossier.synthesis.preprocessing
    require(needed == planned == stated, "Reference people are needed, planned or stated, and not all of these.")
    paying = [step for step in dossier.steps if Side.REFERENCE in step.sides]
    named = [step for step in dossier.steps if _is_of_a_reference(step)]
    alone = paying == named and all(step.sides == (Side.REFERENCE,) for step in named)
    require(alone, "Reference people pay for something else, or others pay for their marginals.")
    due = needed and dossier.gate.noisy_steps is not None
    compared = [any(map(_is_of_a_reference, steps)) for steps in each_attempt(dossier.steps)]
    same = all(one == due for one in compared)
    require(same, "A reference was compared with and not charged, or was charged and not compared with.")


def _is_of_a_reference(step: Step) -> bool:
    return step.label.startswith(GATE_REFERENCE)


def _draw(step: Step) -> DiscreteGaussian:
    event = step.event
    if not isinstance(event, DiscreteGaussian) or event.draws != 1:
        raise ValueError("a step of the gate is one discrete Gaussian draw")
    return event


def check_margin(margin: int, sigma: float, alpha: float) -> None:
    """The margin is the least number of steps that the noise exceeds with probability at most ``alpha``."""
    require(0.0 < sigma <= _LARGEST_SIGMA, "The gate's noise is wider than any that can be drawn.")
    cut = math.ceil(_WIDTHS * sigma) + 1
    require(abs(margin) <= cut, "The margin is beyond the noise.")
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(cut + 1)]
    whole = 2.0 * math.fsum(weights) - 1.0
    beyond = math.fsum(weights[abs(k)] for k in range(margin + 1, cut + 1)) / whole
    at = weights[abs(margin)] / whole
    least = beyond <= alpha * (1.0 + TOLERANCE) and beyond + at >= alpha * (1.0 - TOLERANCE)
    require(least, "The margin isn't the one that the noise and the policy give.")


def _fraction(text: object) -> Fraction:
    if not isinstance(text, str) or not _FRACTION.fullmatch(text):
        raise ValueError("a number of a policy is exact text")
    return Fraction(text)
