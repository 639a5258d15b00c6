"""A filter in Renyi differential privacy, for adaptive runs with sampled steps that neither mu nor rho prices.

At ONE order alpha: where the divergences of the steps, each the largest that its mechanism can have after what came
before, add up to at most a cap B whatever comes out, the whole run has a divergence of at most B at that order
(Feldman, Zrnic 2021, arXiv:2008.11193, Theorem 3.1). The orders and their caps are committed before the first charge,
and the run stops at the first cap that would be exceeded, so that the theorem holds at each of the orders by itself;
the smallest of the epsilons that the caps convert to may be stated. (A run that went on while some order still had room
would satisfy the theorem at an order that the outcomes chose, which it doesn't cover.)

Loads SciPy's special functions; ``import accountant`` doesn't load this module.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from accountant.adjacency import Adjacency
from accountant.compose import require_adjacency
from accountant.errors import BudgetExceeded, ParameterError
from accountant.events import Event
from accountant.price import AMOUNT_UNIT, DELTA_UNIT
from accountant.renyi import divergences
from accountant.rules.rdp import ORDERS
from accountant.rules.slack import LARGEST_EPSILON
from accountant.spend import BOTH_SIDES, Side, Step

_ROUND = 1e-10
"""Added to every converted epsilon: far above the roundings of its four terms, up to an epsilon of 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenyiCaps:
    """What a side may pay, committed in advance.

    Attributes:
      units: Cap of the divergence at each committed order, in units of 2^-40.
      delta: Cap of the additive deltas, in units of 2^-62.
    """

    units: Mapping[float, int]
    delta: int = 0

    def __post_init__(self) -> None:
        if not self.units or not set(self.units) <= set(ORDERS) or min(*self.units.values(), self.delta, 0) < 0:
            raise ParameterError(
                f"A Renyi filter was given caps at {len(self.units)} orders.",
                "It needs one at least, orders of accountant.rules.rdp.ORDERS, and whole units of zero or more.",
                "Commit to such orders and caps.",
            )

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon (rounded up) that a cap implies at ``delta``; infinite where that is above 20.

        At each order: B + log(1 - 1/alpha) - log(alpha delta)/(alpha - 1).
        Source: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Proposition 12.
        """
        rest = Fraction(delta) - Fraction(self.delta, DELTA_UNIT)
        if not 0 < rest < 1:
            raise ParameterError(
                f"No epsilon can be stated at delta {delta}.",
                "It lies in (0, 1), above the cap of the additive deltas.",
                "Ask at a larger delta.",
            )
        found = max(0.0, min(_order_epsilon(alpha, units, float(rest)) for alpha, units in self.units.items()))
        return found if found <= LARGEST_EPSILON else math.inf


def renyi_caps(
    epsilon: float, delta: float, *, orders: Sequence[float], additive: float = 0.0
) -> RenyiCaps:
    """The largest caps at each of ``orders`` that imply (epsilon, delta) by themselves.

    Args:
      epsilon: Above 0 and at most 20.
      delta: In (0, 1).
      orders: Committed orders. The run stops at the first cap, so one order that suits the plan is the usual choice.
      additive: Part of ``delta`` kept for additive deltas.

    Raises:
      ParameterError: Some order can't imply (epsilon, delta) with any divergence.
    """
    kept = math.floor(Fraction(additive) * DELTA_UNIT)
    if not (0.0 < epsilon <= LARGEST_EPSILON and 0.0 <= additive < delta < 1.0 and set(orders) <= set(ORDERS)):
        raise ParameterError(
            f"Renyi caps were asked for epsilon {epsilon} and delta {delta}, {additive} of it additive.",
            "Epsilon is above 0 and at most 20, delta in (0, 1) and above its additive part, orders are on the grid.",
            "Give other numbers.",
        )
    rest = float(Fraction(delta) - Fraction(kept, DELTA_UNIT)) * (1.0 - 2.0**-52)
    room = {alpha: epsilon - _order_epsilon(alpha, 0, rest) for alpha in orders}
    if any(each <= 2.0 / AMOUNT_UNIT for each in room.values()):
        raise ParameterError(
            f"An order of {list(orders)} has no room within epsilon {epsilon} and delta {delta}.",
            "A small order converts to epsilon at a price of about log(1/delta)/(order - 1).",
            "Commit to larger orders.",
        )
    return RenyiCaps(units={a: math.floor(each * AMOUNT_UNIT) - 1 for a, each in room.items()}, delta=kept)


def _order_epsilon(alpha: float, units: int, delta: float) -> float:
    tail = (math.log(delta) + math.log(alpha)) / (alpha - 1.0)
    return units / AMOUNT_UNIT * (1.0 + 2.0**-50) + math.log1p(-1.0 / alpha) - tail + _ROUND


@lru_cache(maxsize=4096)
def _priced(event: Event) -> tuple[tuple[int, ...], int]:
    """Divergence at each of ORDERS and additive delta of an event, in whole units, rounded up."""
    found, aside = divergences([event])
    return tuple(math.ceil(Fraction(float(d)) * AMOUNT_UNIT) for d in found), math.ceil(aside * DELTA_UNIT)


class RenyiFilter:
    """A filter at committed orders: a Spend for adaptive runs in memory.

    Args:
      caps: What each side may pay; a side without caps may pay nothing.
      adjacency: That of every event.
    """

    def __init__(self, *, caps: Mapping[Side, RenyiCaps], adjacency: Adjacency = Adjacency.ADD_REMOVE) -> None:
        self._caps, self._adjacency = dict(caps), adjacency
        self._steps: list[Step] = []
        self._spent = {side: ([0] * len(ORDERS), 0) for side in BOTH_SIDES}

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything charged so far, in order."""
        return tuple(self._steps)

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps before their noise is drawn.

        Privacy:
          Records the events of ``steps`` at every order; draws nothing.
          Checked by: tests/accountant/test_renyi_filter.py::test_the_run_stops_at_the_first_order

        Raises:
          BudgetExceeded: The steps don't fit at some committed order; nothing was recorded.
          UnsupportedEvent: A step is stated under another adjacency; nothing was recorded.
        """
        require_adjacency([step.event for step in steps], self._adjacency)
        after = {side: (list(units), delta) for side, (units, delta) in self._spent.items()}
        for step in steps:
            if not step.sides:
                raise ParameterError(
                    f"The step {step.label!r} names no side.", "Whoever was read has to pay.", "Name the sides."
                )
            units, delta = _priced(step.event)
            for side in set(step.sides):
                paid = after.get(side, ([0] * len(ORDERS), 0))
                after[side] = ([a + b for a, b in zip(paid[0], units, strict=True)], paid[1] + delta)
        for side, (units_paid, delta_paid) in after.items():
            self._require_within(side, units_paid, delta_paid)
        self._spent = after
        self._steps.extend(steps)

    def _require_within(self, side: Side, units: Sequence[int], delta: int) -> None:
        caps = self._caps.get(side)
        if caps is None:
            over = "a step" if any(units) or delta else ""
        else:
            paid = dict(zip(ORDERS, units, strict=True))
            over = next((f"order {a:g}" for a, cap in caps.units.items() if paid[a] > cap), "")
            over = over or ("delta" if delta > caps.delta else "")
        if over:
            raise BudgetExceeded(
                f"A Renyi filter can't afford these steps on the {side} side.",
                f"They would exceed its cap at {over}." if caps else "That side has no caps, and may pay nothing.",
                "Use more noise, or commit to larger caps before anything is spent.",
            )

    def epsilon(self, delta: float, side: Side) -> float:
        """The epsilon (rounded up) of a side at ``delta``: from its caps, not from what was spent."""
        return self._caps[side].epsilon(delta) if side in self._caps else 0.0
