"""Composition: the only place where counts and sequences become sums."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from accountant.adjacency import Adjacency
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import Composed, Event, FixedPlan, Repeat
from accountant.price import Coordinate, Price
from accountant.rules.gdp import GDP_RULES
from accountant.rules.zcdp import ZCDP_RULES
from accountant.spend import BOTH_SIDES, Side, Step

RULES: dict[Coordinate, dict[type[Event], Callable[[Any], Price]]] = {
    Coordinate.GDP: GDP_RULES,
    Coordinate.ZCDP: ZCDP_RULES,
}
"""The price of one application, by coordinate and event."""


def price(event: Event, coordinate: Coordinate) -> Price:
    """The price of ``event``, counts and sequences included.

    Raises:
      UnsupportedEvent: The event has no price in this coordinate, or mixes adjacencies.
    """
    require_adjacency([event], event.adjacency)
    return _price(event, coordinate)


def _price(event: Event, coordinate: Coordinate) -> Price:
    structure = _STRUCTURES.get(type(event))
    if structure is not None:
        return structure(event, coordinate)
    rule = RULES[coordinate].get(type(event))
    if rule is None:
        raise UnsupportedEvent(
            f"A {type(event).__name__} has no price in the coordinate {coordinate}.",
            "Each coordinate prices a closed list of events.",
            "Use an event from accountant.events, or enter the mechanism as an ApproxDP claim.",
        )
    return rule(event)


def _repeat(event: Repeat, coordinate: Coordinate) -> Price:
    count = _whole(event)
    once = _price(event.event, coordinate)
    return Price(once.amount * count, once.delta * count)


def _whole(event: Repeat) -> int:
    if type(event.count) is not int:
        raise ParameterError(
            f"A Repeat has count {event.count!r}.", "An event happens a whole number of times.", "Give an integer."
        )
    return event.count


def _composed(event: Composed, coordinate: Coordinate) -> Price:
    return total(_price(part, coordinate) for part in event.events)


_STRUCTURES: dict[type[Event], Callable[[Any, Coordinate], Price]] = {Repeat: _repeat, Composed: _composed}

_PARTS: dict[type[Event], Callable[[Any], tuple[Event, ...]]] = {
    Repeat: lambda event: (event.event,),
    Composed: lambda event: event.events,
    FixedPlan: lambda event: event.events,
}


def leaves(events: Iterable[Event]) -> list[tuple[Event, int]]:
    """Every event that isn't itself a composition, with how often it happens in all; order doesn't matter.

    Raises:
      UnsupportedEvent: The events mix adjacencies.
    """
    events = list(events)
    if events:
        require_adjacency(events, events[0].adjacency)
    counts: dict[Event, int] = {}
    _count_into(counts, events, 1)
    return list(counts.items())


def _count_into(counts: dict[Event, int], events: Iterable[Event], times: int) -> None:
    for event in events:
        parts = _PARTS.get(type(event))
        if parts is None:
            counts[event] = counts.get(event, 0) + times
        else:
            _count_into(counts, parts(event), times * _times(event))


def _times(event: Event) -> int:
    return _whole(event) if isinstance(event, Repeat) else 1


def total(prices: Iterable[Price]) -> Price:
    """The sum of ``prices``."""
    result = Price()
    for each in prices:
        result = result + each
    return result


def totals(steps: Iterable[Step], coordinate: Coordinate) -> dict[Side, Price]:
    """What each side pays for ``steps``; training and holdout are always present, any other where it pays.

    Raises:
      UnsupportedEvent: A step has no price in this coordinate, or the steps mix adjacencies.
    """
    steps = list(steps)
    if steps:
        require_adjacency([step.event for step in steps], steps[0].event.adjacency)
    result = dict.fromkeys(BOTH_SIDES, Price())
    for step in steps:
        cost = _price(step.event, coordinate)
        for side in set(step.sides):
            result[side] = result.get(side, Price()) + cost
    return result


def larger_side(totals: Mapping[Side, Price]) -> Price:
    """What a scope pays for a release: the larger of its sides, per component."""
    result = Price()
    for each in totals.values():
        result = result.larger(each)
    return result


def require_adjacency(events: Iterable[Event], adjacency: Adjacency) -> None:
    """Refuse any event, however deeply nested, under another adjacency.

    Raises:
      UnsupportedEvent: An event is stated under another adjacency; the message says how to convert.
    """
    for event in events:
        if event.adjacency is not adjacency:
            raise UnsupportedEvent(
                f"A {type(event).__name__} under {event.adjacency} can't be added to events under {adjacency}.",
                "One total speaks of one adjacency.",
                "State the event under the scope's adjacency: replacing a record is removing one and adding one, so "
                "double the sensitivity to go from add-remove to replace-one (sqrt 2 where both change one cell of a "
                "histogram); there is no way back.",
            )
        require_adjacency(_PARTS.get(type(event), lambda _: ())(event), adjacency)
