"""The attempts of a release among its charged steps: each ends with one draw of the gate, which two sides pay."""

from collections.abc import Sequence

from accountant.spend import Side, Step

GATE_TEST = "gate: noisy threshold test, {side} people"
"""Label of the gate's test."""
_TESTS = frozenset(GATE_TEST.format(side=side) for side in (Side.TRAINING, Side.HOLDOUT))


def is_test(step: Step) -> bool:
    """Whether a step is one side's charge for a draw of the gate."""
    return step.label in _TESTS


def each_attempt(steps: Sequence[Step]) -> tuple[tuple[Step, ...], ...]:
    """The steps of each attempt, in order; what was done once, before the first, is in the first.

    A release that ended without a draw has no attempts: all its steps are together.
    """
    tests = [*map(is_test, steps), False]
    ends = [i + 1 for i in range(len(steps)) if tests[i] and not tests[i + 1]]
    starts = [0, *ends[:-1]]
    return tuple(tuple(steps[a:b]) for a, b in zip(starts, [*starts[1:], len(steps)], strict=True))


def last_attempt(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of the last attempt, of a release of one attempt all of them: those after the draw before the last."""
    return each_attempt(steps)[-1]
