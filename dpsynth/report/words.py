"""Numbers and events in words, for people."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any

from accountant.events import (
    ApproxDP,
    BoundedRange,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    FixedPlan,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
    Repeat,
)
from accountant.spend import Side, Step
from dpsynth.certificate.dossier import Marginal
from dpsynth.fit_report import ExpectedError, expected_error, merge_sigmas

VERDICT_WORDS = {
    "pass": "The attacks found no leak above the margin. The table was released.",
    "fail": "The attacks found more than the margin allows. The table was destroyed; its budget stays spent.",
    "undecidable": "Too few people, by noisy or public totals, for the gate to decide anything. No table was drawn.",
    "refuted": "A planted or paid-for audit contradicts the claim. The table was destroyed; its budget stays spent.",
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SIDES = {Side.TRAINING: "training", Side.HOLDOUT: "holdout", Side.REFERENCE: "reference"}


def number(value: float | None) -> str:
    """A number for reading: three significant digits, a power of ten where it is far from 1, a dash for None."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    if -4 <= int(exponent) < 6:
        return f"{float(f'{value:.2e}') if abs(value) < 100 else value:,.{max(0, 2 - int(exponent))}f}"
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    short = f"{float(mantissa):g}"
    return power if short == "1" else f"{short} × {power}"


def ceiling(value: float | None) -> str:
    """The same, rounded up: for an epsilon, which mustn't look smaller than it is (by more than one part in 10^9)."""
    if value is None or value <= 0 or not math.isfinite(value):
        return number(value)
    with localcontext(prec=3, rounding=ROUND_CEILING):
        return number(float(+Decimal(value * (1.0 - 1e-9))))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preserved:
    """A measured marginal with its repeats merged, and the error of its noise, in records."""

    attributes: tuple[str, ...]
    cells: int
    sigma: float
    times: int
    expected: ExpectedError


def preserved(marginals: Sequence[Marginal]) -> list[Preserved]:
    """What was measured, one line a marginal."""
    cells = {m.attributes: m.cells for m in marginals}
    return [
        Preserved(
            attributes=names,
            cells=cells[names],
            sigma=sigma,
            times=times,
            expected=expected_error(cells[names], sigma, rows=1.0),
        )
        for names, sigma, times in merge_sigmas((m.attributes, m.sigma) for m in marginals)
    ]


def sentence(text: str) -> str:
    """A text with a capital first and a full stop last."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text


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
    PartitionSelection: lambda e: (
        f"labels whose number of people, with discrete Gaussian noise, σ {number(e.sigma)}, reaches {e.threshold}; "
        f"at most {e.labels_per_unit} of one person"
    ),
    Repeat: lambda e: f"{e.count} times: {event_words(e.event)}",
    Composed: lambda e: "; ".join(event_words(part) for part in e.events),
    PoissonSampledGaussian: lambda e: (
        f"a batch that each person joins with probability {number(e.sampling_probability)}, gradients clipped, normal "
        f"noise, multiplier {number(e.noise_multiplier)}"
    ),
    FixedPlan: lambda e: (
        f"a fixed plan, entered as μ {number(e.mu)} and δ {number(e.delta)}: "
        + "; ".join(event_words(part) for part in e.events)
    ),
}
