"""The tight accountant: epsilon and delta of a FIXED plan from its privacy loss distributions, never optimistic.

Both directions are composed, remove and add; every answer is the larger. A plan is fixed where no parameter, count or
choice of event depends on an output; an adaptive run is priced from its caps instead (``accountant.report``).

Loads SciPy's special functions; ``import accountant`` doesn't load this module.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from accountant.compose import leaves
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import Event
from accountant.losses import Losses, discretise, find_tilt, fitting_grid, tilted_sum
from accountant.rules.pld import PLD_RULES, Pair, Single, gaussian_curve, zcdp_curve
from accountant.rules.slack import LARGEST_EPSILON

CALIBRATE_GRID = 1e-3
"""Grid of losses for searches; pessimistic, a little loose."""
CERTIFY_GRID = 1e-4
"""Grid of losses for statements."""

Parts = tuple[Losses, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The (epsilon, delta) profile of a fixed plan, never below the truth.

    Attributes:
      directions: Losses of every step, by direction; one entry where both are the same.
      additive: Deltas outside the losses: claims, samplers' slack, selection of partitions, losses beyond the grid.
    """

    directions: tuple[Parts, ...]
    additive: float

    def delta(self, epsilon: float) -> float:
        """The smallest delta found (rounded up) at ``epsilon``, between 0 and 20; at most 1.

        Raises:
          ParameterError: ``epsilon`` is outside [0, 20]: the samplers' slack is proved up to there.
        """
        _require(0.0 <= epsilon <= LARGEST_EPSILON, f"epsilon = {epsilon}", "Epsilon lies between 0 and 20.")
        return min(1.0, max((self._delta(parts, epsilon) for parts in self.directions), default=self.additive))

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon found (rounded up) at ``delta``; infinite where it would be above 20 or doesn't exist.

        Raises:
          ParameterError: ``delta`` isn't strictly between 0 and 1.
        """
        _require(0.0 < delta < 1.0, f"delta = {delta}", "Delta lies strictly between 0 and 1.")
        rest = delta - self.additive
        if rest <= 0.0:
            return math.inf
        return max((_epsilon(parts, rest) for parts in self.directions), default=0.0)

    def _delta(self, parts: Parts, epsilon: float) -> float:
        theta = find_tilt(parts, lambda _, mean: mean < epsilon)
        return self.additive + tilted_sum(parts, theta).delta(epsilon)


def _epsilon(parts: Parts, delta: float) -> float:
    theta = find_tilt(parts, lambda exponent, _: exponent > math.log(delta))
    return tilted_sum(parts, theta).epsilon(delta)


def _require(holds: bool, given: str, why: str) -> None:
    if not holds:
        raise ParameterError(f"A profile was asked at {given}.", why, "Ask at another point.")


def profile(events: Iterable[Event], *, grid: float = CERTIFY_GRID) -> Profile:
    """The profile of a fixed plan: all ``events``, one after the other.

    Args:
      events: Under one adjacency; :class:`Repeat` and :class:`Composed` included.
      grid: Distance of the losses' grid points; any grid is pessimistic, a finer one is tighter.

    Raises:
      UnsupportedEvent: Adjacencies are mixed, or an event has no rule.
    """
    priced = [(_rule(event), count) for event, count in leaves(events)]
    additive = sum((one.delta * count for one, count in priced), start=Fraction(0))
    pairs = [(one.pair, count) for one, count in priced if one.pair is not None]
    pairs += [(pair, 1) for pair in _merged(priced)]
    grid = fitting_grid([curve for pair, _ in pairs for curve in (pair.forward, pair.backward)], grid)
    remove = tuple(discretise(pair.forward, pair.backward, grid=grid, count=count) for pair, count in pairs)
    add = tuple(discretise(pair.backward, pair.forward, grid=grid, count=count) for pair, count in pairs)
    directions = (remove,) if all(pair.forward is pair.backward for pair, _ in pairs) else (remove, add)
    beyond = max(math.fsum(part.lost * part.count for part in parts) for parts in directions)
    return Profile(directions if pairs else (), float(additive) * (1.0 + 2.0**-50) + beyond * (1.0 + 1e-12))


def _rule(event: Event) -> Single:
    rule = PLD_RULES.get(type(event))
    if rule is None:
        raise UnsupportedEvent(
            f"A {type(event).__name__} has no privacy loss distribution.",
            "The accountant prices a closed list of events.",
            "Use an event from accountant.events, or enter the mechanism as an ApproxDP claim.",
        )
    return rule(event)


def _merged(priced: Sequence[tuple[Single, int]]) -> list[Pair]:
    """All Gaussian parts as one, all zCDP parts as one."""
    mu_square = sum((one.mu_square * count for one, count in priced), start=Fraction(0))
    rho = sum((one.rho * count for one, count in priced), start=Fraction(0))
    curves = []
    if mu_square:
        curves.append(gaussian_curve(math.sqrt(mu_square) * (1.0 + 2.0**-50)))
    if rho:
        curves.append(zcdp_curve(float(rho) * (1.0 + 2.0**-50)))
    return [Pair(forward=curve, backward=curve) for curve in curves]
