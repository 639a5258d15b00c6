"""The attempts of a release among its charged steps: each ends with one draw of the gate, which two sides pay."""

from collections.abc import Sequence

from accountant.spend import Side, Step

GATE_TEST = "gate: noisy threshold test, {side} people"
"""Label of the gate's test."""
_TESTS = frozenset(GATE_TEST.format(side=side) for side in (Side.TRAINING, Side.HOLDOUT))


def is_test(step: Step) -> bool:
    """Whether a step is one side's charge for a draw of the gate."""
    return step.label in _TESTS


def last_attempt(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of the last attempt, of a release of one attempt all of them: those after the draw before the last.

    A release that ended without a draw has no attempts: these are all its steps.
    """
    tests = [*map(is_test, steps), False]
    ends = [i + 1 for i in range(len(steps)) if tests[i] and not tests[i + 1]]
    return tuple(steps[ends[-2] :] if len(ends) > 1 else steps)
