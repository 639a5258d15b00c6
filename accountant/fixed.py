"""The report of a FIXED plan: the smallest of four accountants' answers, and which of them gave it.

Every accountant's answer is valid, so the smallest is. A plan is fixed where no parameter, count or choice of event
depends on an output; an adaptive run is priced from its caps alone (``accountant.report.epsilon_of``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accountant.compose import price
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import Composed, Event
from accountant.pld import CERTIFY_GRID, Profile, profile
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.renyi import epsilon_by_renyi
from accountant.report import PlainReading, epsilon_of, plain_reading

CURVE = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-12)
"""The deltas of a report's curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedReport:
    """What a fixed plan costs.

    Attributes:
      delta: At which epsilon is stated.
      epsilon: The smallest of ``answers``.
      accountant: Which of them gave it: ``pld``, ``gdp``, ``zcdp`` or ``rdp``.
      answers: Epsilon by accountant; those without an answer are missing.
      curve: Pairs of delta and epsilon, each the smallest; deltas without an answer are missing.
      mu: Of the plan in the coordinate gdp, or None.
      rho: Of the plan in the coordinate zcdp, or None.
      reading: What epsilon and delta mean for people.
    """

    delta: float
    epsilon: float
    accountant: str
    answers: dict[str, float]
    curve: tuple[tuple[float, float], ...]
    mu: float | None
    rho: float | None
    reading: PlainReading


def report_fixed_plan(events: Sequence[Event], *, delta: float, grid: float = CERTIFY_GRID) -> FixedReport:
    """The report of ``events``, done one after the other.

    Args:
      events: A fixed plan, under one adjacency.
      delta: At which epsilon is stated.
      grid: Distance of the grid points of the privacy losses.

    Raises:
      ParameterError: No accountant states an epsilon up to 20 at ``delta``.
      UnsupportedEvent: Adjacencies are mixed.
    """
    plan = profile(events, grid=grid)
    prices = {coordinate: _price(events, coordinate) for coordinate in Coordinate}
    answers = _answers(events, plan, prices, delta)
    if not answers:
        raise ParameterError(
            f"No epsilon can be stated at delta {delta}.",
            "It would be above 20, or the additive deltas of the plan use all of it.",
            "Use more noise, or ask at a larger delta.",
        )
    accountant = min(answers, key=lambda name: answers[name])
    by_delta = [(each, _answers(events, plan, prices, each)) for each in CURVE]
    gdp, zcdp = prices[Coordinate.GDP], prices[Coordinate.ZCDP]
    return FixedReport(
        delta=delta,
        epsilon=answers[accountant],
        accountant=accountant,
        answers=answers,
        curve=tuple((each, min(found.values())) for each, found in by_delta if found),
        mu=None if gdp is None else math.sqrt(gdp.amount / AMOUNT_UNIT),
        rho=None if zcdp is None else zcdp.amount / AMOUNT_UNIT,
        reading=plain_reading(epsilon=answers[accountant], delta=delta),
    )


def _price(events: Sequence[Event], coordinate: Coordinate) -> Price | None:
    """None where an event has no price in the coordinate."""
    if not events:
        return Price()
    try:
        return price(Composed(events=tuple(events), adjacency=events[0].adjacency), coordinate)
    except UnsupportedEvent:
        return None


def _answers(
    events: Sequence[Event], plan: Profile, prices: dict[Coordinate, Price | None], delta: float
) -> dict[str, float]:
    found = {"pld": plan.epsilon(delta)}
    for coordinate, cost in prices.items():
        if cost is not None:
            found[str(coordinate)] = _epsilon(cost, delta, coordinate)
    found["rdp"] = epsilon_by_renyi(events, delta)
    return {name: epsilon for name, epsilon in found.items() if epsilon <= 20.0}


def _epsilon(cost: Price, delta: float, coordinate: Coordinate) -> float:
    try:
        return epsilon_of(cost, delta, coordinate)
    except ParameterError:
        return math.inf
