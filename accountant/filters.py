"""Filters: refuse before the draw. Sums of mu^2 and of rho hold for fully adaptive parameters.

Sources: Feldman, Zrnic 2021 (arXiv:2008.11193), Theorem 3.1 (zCDP); Smith, Thakurta 2022 (arXiv:2202.09453) and
Koskela, Tobaben, Honkela 2023 (arXiv:2210.17520), Theorem 8 (GDP).
"""

from collections.abc import Mapping, Sequence

from accountant.adjacency import Adjacency
from accountant.compose import larger_side, require_adjacency, totals
from accountant.errors import BudgetExceeded, ParameterError
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.spend import BOTH_SIDES, Side, Step

NO_PRICE = Price()


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
    new = totals(steps, coordinate)
    after = {side: spent.get(side, NO_PRICE) + new[side] for side in BOTH_SIDES}
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


class FilterSpend:
    """A filter in memory: a Spend for tests, tuning on public data, and runs inside an enclosing reservation."""

    def __init__(
        self,
        *,
        coordinate: Coordinate,
        caps: Mapping[Side, Price],
        adjacency: Adjacency = Adjacency.ADD_REMOVE,
    ) -> None:
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
        self._spent = admit(
            steps, spent=self._spent, caps=self._caps, coordinate=self._coordinate, adjacency=self._adjacency
        )
        self._steps.extend(steps)
