"""An odometer: what a run has spent so far, in every coordinate, and what may be said of it.

It refuses nothing and claims nothing. A total read at a moment that the outcomes themselves chose isn't a guarantee:
only a cap committed in advance converts to epsilon (``accountant.filters``). What the totals are good for is planning,
the refund within an enclosing filter of the same coordinate, and pricing a run whose steps were all fixed beforehand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accountant.adjacency import Adjacency
from accountant.compose import require_adjacency, totals
from accountant.errors import UnsupportedEvent
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.spend import Side, Step

MEANING = (
    "Totals of what was charged so far. They add up within a filter of the same coordinate, and state no epsilon: "
    "only a cap committed before the first charge does, as the moment of reading may depend on what came out."
)
"""What a reading may claim, for whoever prints one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Totals at one moment.

    Attributes:
      steps: Number of charges.
      totals: What each side has paid, by coordinate; a coordinate that can't price every step isn't there.
      unpriced: The coordinates that can't.
    """

    steps: int
    totals: tuple[tuple[Coordinate, tuple[tuple[Side, Price], ...]], ...]
    unpriced: tuple[Coordinate, ...]

    def of(self, coordinate: Coordinate, side: Side) -> Price:
        """The total of a side.

        Raises:
          UnsupportedEvent: Some step has no price in this coordinate, or it wasn't read.
        """
        found = dict(self.totals).get(coordinate)
        if found is None:
            raise UnsupportedEvent(
                f"There is no total in the coordinate {coordinate}.",
                "Some step charged so far has no price there, and a total that leaves it out would be too low.",
                "Read another coordinate.",
            )
        return dict(found)[side]

    def lines(self) -> list[str]:
        """One line for each coordinate and side, then what the totals may claim."""
        found = [
            f"{side}: {coordinate.symbol} {paid.amount / AMOUNT_UNIT:.6g}, delta {paid.delta / DELTA_UNIT:.3g}"
            for coordinate, sides in self.totals
            for side, paid in sides
        ]
        missing = [f"{coordinate}: no total, a step has no price there" for coordinate in self.unpriced]
        return [*found, *missing, MEANING]


def read(
    steps: Iterable[Step],
    *,
    coordinates: Sequence[Coordinate] = tuple(Coordinate),
    adjacency: Adjacency = Adjacency.ADD_REMOVE,
) -> Reading:
    """Add up what was charged, in each coordinate that prices all of it.

    Args:
      steps: The charges, such as ``FilterSpend.steps`` or those of a ledger's release.
      coordinates: Where to add up.
      adjacency: That of every event.

    Raises:
      UnsupportedEvent: The steps mix adjacencies.
    """
    charged = tuple(steps)
    require_adjacency([step.event for step in charged], adjacency)
    found, unpriced = [], []
    for coordinate in coordinates:
        try:
            paid = totals(charged, coordinate)
        except UnsupportedEvent:
            unpriced.append(coordinate)
        else:
            found.append((coordinate, tuple(paid.items())))
    return Reading(steps=len(charged), totals=tuple(found), unpriced=tuple(unpriced))
