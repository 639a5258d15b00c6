"""Group privacy: what an event costs a unit of k rows, when it is stated for one row.

Walking from one data set to the other row by row, shifts add up: a unit of k rows moves a vector of L2 sensitivity s by
at most k s, so that mu is multiplied by k and rho by k^2, and every log ratio of probabilities by k. Where the source
enforces at most one row of a unit in each cell of a histogram, k rows change k cells by 1 each: sqrt(k) s.

Sources: Dong, Roth, Su 2022 (arXiv:1905.02383), Theorem 2.14; Bun, Steinke 2016 (arXiv:1605.02065), Proposition 1.9.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from accountant.adjacency import Adjacency, moved_by
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import (
    ZCDP,
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


def for_group(event: Event, rows: int) -> Event:
    """The event as it is for units of at most ``rows`` rows, when ``event`` is stated for one row.

    Args:
      event: Stated for one row added or removed (or replaced).
      rows: Most rows of one unit.

    Returns:
      An event of the same kind, priced like any other; parameters are rounded to the dearer side.

    Raises:
      UnsupportedEvent: Nothing is known for this kind of event, or a claim's delta would reach 1.
    """
    _require_rows(rows)
    if rows == 1:
        return event
    rule = GROUP_RULES.get(type(event))
    if rule is None:
        raise UnsupportedEvent(
            f"A {type(event).__name__} isn't known for units of {rows} rows.",
            "Where rows are sampled, several rows of a unit may be drawn together, and no factor on the price of one "
            "covers that; where labels are selected, each of a unit's labels has its own delta.",
            "Sample, clip and count people instead of rows, and state the event for people.",
        )
    return rule(event, rows)


def histogram_sensitivity(rows: int, *, one_row_per_cell: bool) -> float:
    """L2 sensitivity of one histogram for units of at most ``rows`` rows that are added or removed, in counts.

    Args:
      rows: Most rows of one unit.
      one_row_per_cell: Whether the source enforces at most one row of a unit in each cell of this histogram.

    Returns:
      ``rows``, as all rows of a unit may lie in one cell; with one row per cell its square root, rounded up.
    """
    _require_rows(rows)
    return moved_by(rows, Adjacency.ADD_REMOVE, in_one_cell=1 if one_row_per_cell else rows)


def _require_rows(rows: int) -> None:
    if type(rows) is not int or rows < 1:
        raise ParameterError(
            f"A unit of {rows!r} rows was given.", "A unit has a whole number of rows, at least 1.", "Give that number."
        )


def _up(value: float, rows: int) -> float:
    """``value`` times ``rows``, rounded up."""
    exact = Fraction(value) * rows
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


def _down(value: float, rows: int) -> float:
    """``value`` divided by ``rows``, rounded down."""
    exact = Fraction(value) / rows
    near = float(exact)
    return near if Fraction(near) <= exact else math.nextafter(near, 0.0)


def _noise_multiplier(event: Gaussian, rows: int) -> Event:
    return replace(event, noise_multiplier=_down(event.noise_multiplier, rows))


def _sensitivity(event: Any, rows: int) -> Event:
    grouped: Event = replace(event, sensitivity=_up(event.sensitivity, rows))
    return grouped


def _range(event: BoundedRange, rows: int) -> Event:
    return replace(event, eta=_up(event.eta, rows))


def _pure(event: PureDP, rows: int) -> Event:
    return replace(event, epsilon=_up(event.epsilon, rows))


def _zcdp(event: ZCDP, rows: int) -> Event:
    return replace(event, rho=_up(event.rho, rows * rows))


def _claim(event: ApproxDP, rows: int) -> Event:
    """delta (1 + e^epsilon + ... + e^((rows - 1) epsilon)), rounded up."""
    delta = 0.0
    if event.delta:
        far = (rows - 1) * event.epsilon > 700.0
        growth = math.inf if far else math.fsum(math.exp(j * event.epsilon) for j in range(rows))
        delta = event.delta * growth * (1.0 + 1e-12)
    if delta >= 1.0:
        raise UnsupportedEvent(
            f"A claim of epsilon {event.epsilon:g} and delta {event.delta:g} says nothing for units of {rows} rows.",
            "Its delta is multiplied by e^epsilon with every row, and reaches 1.",
            "Ask the tool for a claim that is stated for people.",
        )
    return replace(event, epsilon=_up(event.epsilon, rows), delta=delta)


GROUP_RULES: dict[type[Event], Callable[[Any, int], Event]] = {
    Gaussian: _noise_multiplier,
    DiscreteGaussian: _sensitivity,
    Laplace: _sensitivity,
    DiscreteLaplace: _sensitivity,
    BoundedRange: _range,
    PureDP: _pure,
    ApproxDP: _claim,
    ZCDP: _zcdp,
    Repeat: lambda event, rows: replace(event, event=for_group(event.event, rows)),
    Composed: lambda event, rows: replace(event, events=tuple(for_group(e, rows) for e in event.events)),
}
"""One rule for each event whose price for several rows is known."""
