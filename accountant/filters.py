"""Filters: refuse before the draw. Sums of mu^2 and of rho hold for fully adaptive parameters.

Only caps committed in advance convert to epsilon: a filter's claim is that of its caps, whatever the run spent.

Sources: Feldman, Zrnic 2021 (arXiv:2008.11193), Theorem 3.1 (zCDP); Smith, Thakurta 2022 (arXiv:2202.09453) and
Koskela, Tobaben, Honkela 2023 (arXiv:2210.17520), Theorem 8 (GDP).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

from accountant.adjacency import Adjacency
from accountant.compose import larger_side, price, require_adjacency
from accountant.errors import BudgetExceeded, ParameterError
from accountant.events import Event
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side, Step

NO_PRICE = Price()


@lru_cache(maxsize=4096)
def _priced(event: Event, coordinate: Coordinate) -> Price:
    """The exact price of an event, remembered: equal events have equal prices, and a run repeats few different ones."""
    return price(event, coordinate)


def admit(
    steps: Sequence[Step],
    *,
    spent: Mapping[Side, Price],
    caps: Mapping[Side, Price],
    coordinate: Coordinate,
    adjacency: Adjacency,
) -> dict[Side, Price]:
    """What each side will have paid after ``steps``; a side without a cap may pay nothing.

    Raises:
      BudgetExceeded: A side can't afford the steps.
      UnsupportedEvent: A step has no price here, or another adjacency.
    """
    _require_sides(steps)
    require_adjacency([step.event for step in steps], adjacency)
    new = dict.fromkeys((*BOTH_SIDES, *spent), NO_PRICE)
    for step in steps:
        cost = _priced(step.event, coordinate)
        for side in set(step.sides):
            new[side] = new.get(side, NO_PRICE) + cost
    after = {side: spent.get(side, NO_PRICE) + cost for side, cost in new.items()}
    for side, amount in after.items():
        if not amount.fits(caps.get(side, NO_PRICE)):
            raise _refusal(steps, side, new[side], spent.get(side, NO_PRICE), caps.get(side, NO_PRICE), coordinate)
    return after


def _require_sides(steps: Sequence[Step]) -> None:
    for step in steps:
        if not step.sides:
            raise ParameterError(
                f"The step {step.label!r} names no side.",
                "Whoever was read has to pay.",
                "Name the sides whose records the step reads.",
            )


def _refusal(
    steps: Sequence[Step], side: Side, new: Price, spent: Price, cap: Price, coordinate: Coordinate
) -> BudgetExceeded:
    labels = f"{steps[0].label!r}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else "")
    if spent.amount + new.amount > cap.amount:
        symbol, figures = coordinate.symbol, [p.amount / AMOUNT_UNIT for p in (new, spent, cap)]
    else:
        symbol, figures = "delta", [p.delta / DELTA_UNIT for p in (new, spent, cap)]
    return BudgetExceeded(
        f"Can't spend {symbol} = {figures[0]:.6g} on {labels}.",
        f"On the {side} side {figures[1]:.6g} of {figures[2]:.6g} is already spent.",
        "Use more noise, or plan a larger budget before anything is spent.",
    )


class _Exclusive:
    """Its charges one after the other: between the check and the record no other thread's charge may come."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())


class FilterSpend(_Exclusive):
    """A filter in memory: a Spend for tests, tuning on public data, and runs inside an enclosing reservation."""

    def __init__(
        self,
        *,
        coordinate: Coordinate,
        caps: Mapping[Side, Price],
        adjacency: Adjacency = Adjacency.ADD_REMOVE,
    ) -> None:
        super().__init__()
        self._coordinate, self._caps, self._adjacency = coordinate, dict(caps), adjacency
        self._steps: list[Step] = []
        self._spent = dict.fromkeys(BOTH_SIDES, NO_PRICE)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything charged so far, in order."""
        return tuple(self._steps)

    @property
    def spent(self) -> dict[Side, Price]:
        """What each side has paid: the odometer."""
        return dict(self._spent)

    @property
    def price(self) -> Price:
        """What an enclosing scope pays: the larger side, per component."""
        return larger_side(self._spent)

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps before their noise is drawn.

        Privacy:
          Records the events of ``steps``; draws nothing.
          Checked by: tests/accountant/test_spend_contract.py::test_refusal_leaves_no_entry

        Raises:
          BudgetExceeded: The steps don't fit; nothing was recorded.
        """
        with self._lock:
            self._spent = admit(
                steps, spent=self._spent, caps=self._caps, coordinate=self._coordinate, adjacency=self._adjacency
            )
            self._steps.extend(steps)


class SeveralCaps(_Exclusive):
    """A filter under caps in several coordinates at once; the run stops at the first that would be exceeded.

    Every cap is committed before the first charge. A run within all of them is within each, so that each filter's
    theorem holds by itself, the curves of all caps hold together, and the smallest of their epsilons may be stated.

    Args:
      caps: For each coordinate, what each side may pay; a side without a cap may pay nothing.
      adjacency: That of every event.

    Raises:
      ParameterError: There is no coordinate.
    """

    def __init__(
        self, *, caps: Mapping[Coordinate, Mapping[Side, Price]], adjacency: Adjacency = Adjacency.ADD_REMOVE
    ) -> None:
        if not caps:
            raise _no_caps()
        super().__init__()
        self._caps = {coordinate: dict(sides) for coordinate, sides in caps.items()}
        self._adjacency = adjacency
        self._steps: list[Step] = []
        self._spent = {coordinate: dict.fromkeys(BOTH_SIDES, NO_PRICE) for coordinate in self._caps}

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything charged so far, in order."""
        return tuple(self._steps)

    @property
    def spent(self) -> dict[Coordinate, dict[Side, Price]]:
        """What each side has paid in each coordinate. No epsilon follows from it: see :meth:`epsilon`."""
        return {coordinate: dict(sides) for coordinate, sides in self._spent.items()}

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps before their noise is drawn.

        Privacy:
          Records the events of ``steps`` in every coordinate; draws nothing.
          Checked by: tests/accountant/test_filters.py::test_the_run_stops_at_the_first_cap

        Raises:
          BudgetExceeded: The steps don't fit in some coordinate; nothing was recorded in any.
          UnsupportedEvent: A step has no price in some coordinate; nothing was recorded in any.
        """
        with self._lock:
            self._spent = {
                coordinate: admit(
                    steps, spent=self._spent[coordinate], caps=sides, coordinate=coordinate, adjacency=self._adjacency
                )
                for coordinate, sides in self._caps.items()
            }
            self._steps.extend(steps)

    def epsilon(self, delta: float, side: Side) -> float:
        """The epsilon (rounded up) of a side at ``delta``: from the caps, not from what was spent."""
        return epsilon_of_caps({c: sides.get(side, NO_PRICE) for c, sides in self._caps.items()}, delta)


def epsilon_of_caps(caps: Mapping[Coordinate, Price], delta: float) -> float:
    """The smallest epsilon (rounded up) that caps held together imply at ``delta``.

    Args:
      caps: A cap for each coordinate, committed in advance and kept throughout.
      delta: In (0, 1).

    Raises:
      ParameterError: No cap converts at this delta, or there is none.
    """
    stated, refused = [], _no_caps()
    for coordinate, cap in caps.items():
        try:
            stated.append(epsilon_of(cap, delta, coordinate))
        except ParameterError as refusal:  # another cap may still say something
            refused = refusal
    if not stated:
        raise refused
    return min(stated)


def _no_caps() -> ParameterError:
    return ParameterError(
        "A filter was asked for without a cap.",
        "Only caps committed in advance stop a run and convert to epsilon.",
        "Give at least one coordinate its cap.",
    )
