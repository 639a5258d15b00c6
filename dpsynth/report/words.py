"""Numbers and events in words, for people."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from accountant.events import (
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Gaussian,
    Laplace,
    PureDP,
    Repeat,
)
from accountant.spend import Side, Step

VERDICT_WORDS = {
    "PASS": "The attacks found no leak above the margin. The table was released.",
    "FAIL": "The attacks found more than the margin allows. The table was destroyed; its budget stays spent.",
    "UNDECIDABLE": "The gate couldn't have seen a leak of the size its policy asks for. No table was released.",
    "REFUTED": "A planted or paid-for audit contradicts the claim. The table was destroyed; its budget stays spent.",
}
SIDES = {Side.TRAINING: "training", Side.HOLDOUT: "holdout"}


def number(value: float | None) -> str:
    """A number for reading: three significant digits, ``10^`` for very small and very large ones, a dash for None."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        return f"{value:,.{max(0, 2 - exponent)}f}"
    mantissa = f"{value / 10.0**exponent:.3g}"
    return f"10^{exponent}" if mantissa == "1" else f"{mantissa} × 10^{exponent}"


def percent(value: float) -> str:
    """A share as a percentage with three significant digits at most."""
    return f"{value * 100:.3g} %"


def grouped(steps: Iterable[Step]) -> list[tuple[str, Event, tuple[Side, ...], int]]:
    """Equal steps that follow each other as one line: label, event, sides, how often."""
    lines: list[tuple[str, Event, tuple[Side, ...], int]] = []
    for step in steps:
        if lines and lines[-1][:3] == (step.label, step.event, step.sides):
            lines[-1] = (*lines[-1][:3], lines[-1][3] + 1)
        else:
            lines.append((step.label, step.event, step.sides, 1))
    return lines


def wrapped(digest: str) -> str:
    """A hash in groups of eight digits, so that a line can break between them."""
    return " ".join(digest[i : i + 8] for i in range(0, len(digest), 8))


def event_words(event: Event) -> str:
    """What was done, in one line."""
    return _EVENT_WORDS[type(event)](event)


_EVENT_WORDS: dict[type[Event], Callable[[Any], str]] = {
    Gaussian: lambda e: f"Gaussian noise, multiplier {number(e.noise_multiplier)}",
    DiscreteGaussian: lambda e: f"discrete Gaussian noise, σ {number(e.sigma)}, sensitivity {number(e.sensitivity)}",
    Laplace: lambda e: f"Laplace noise, scale {number(e.scale)}, sensitivity {number(e.sensitivity)}",
    DiscreteLaplace: lambda e: f"discrete Laplace noise, scale {number(e.scale)}, sensitivity {number(e.sensitivity)}",
    BoundedRange: lambda e: f"exponential mechanism, η {number(e.eta)}",
    PureDP: lambda e: f"pure mechanism, ε {number(e.epsilon)}",
    ApproxDP: lambda e: f"claim of an outside tool, ε {number(e.epsilon)}, δ {number(e.delta)}",
    Repeat: lambda e: f"{e.count} times: {event_words(e.event)}",
    Composed: lambda e: "; ".join(event_words(part) for part in e.events),
}
