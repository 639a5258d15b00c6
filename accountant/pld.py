"""The tight accountant: epsilon and delta of a FIXED plan from its privacy loss distributions, never optimistic.

Both directions are composed, remove and add; every answer is the larger. A plan is fixed where no parameter, count or
choice of event depends on an output; an adaptive run is priced from its caps instead (``accountant.report``).

Loads SciPy's special functions; ``import accountant`` doesn't load this module.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.special import ndtr

from accountant.compose import leaves
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import Event, FixedPlan
from accountant.losses import Losses, discretise, exponent_above, find_tilt, fitting_grid, tilted_sum
from accountant.rules.pld import PLD_RULES, Floats, Pair, Single, gaussian_curve, zcdp_curve
from accountant.rules.slack import LARGEST_EPSILON

CALIBRATE_GRID = 1e-3
"""Grid of losses for searches; pessimistic, a little loose."""
CERTIFY_GRID = 1e-4
"""Grid of losses for statements."""

_VERTICES = 2000
_DULL = 1e-4
"""Share of delta that may be lost to the errors' bound before a question is asked again."""

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
    """Every tilt's answer is valid; where one isn't sharp (few, large losses) a smaller tilt is."""
    theta = find_tilt(parts, exponent_above(math.log(delta)))
    best = math.inf
    for _ in range(8):
        tilted = tilted_sum(parts, theta)
        best = min(best, tilted.epsilon(delta))
        sharp = tilted.blur(best) < _DULL * delta and tilted.delta(best) > (1.0 - _DULL) * delta
        if sharp or best in (0.0, math.inf):
            break
        theta /= 4.0
    return best


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


def dominates(events: Iterable[Event], *, mu: float, delta: float, grid: float = CERTIFY_GRID) -> bool:
    """Whether the curve of ``mu``-GDP plus ``delta`` is above the plan's, in both directions, at every epsilon.

    Only epsilon >= 0 has to be looked at: below, a curve is 1 - e^epsilon + e^epsilon times the other direction's at
    -epsilon, on both sides of the comparison.
    """
    points = _vertices(profile(events, grid=grid), delta)
    return points is not None and _above(points, mu, delta)


def dominating_gdp(events: Iterable[Event], delta: float, *, grid: float = CERTIFY_GRID) -> float:
    """The smallest mu (relative 1e-6) such that mu-GDP plus ``delta`` dominates the plan; 0 where delta alone does.

    Args:
      events: A fixed plan, under one adjacency.
      delta: Additive delta that the plan may use; larger than the additive deltas of its events.
      grid: Distance of the losses' grid points.

    Raises:
      UnsupportedEvent: No mu does: the additive deltas of the events use up ``delta``, or its epsilon is above 20.
    """
    points = _vertices(profile(events, grid=grid), delta)
    if points is None:
        raise UnsupportedEvent(
            f"A fixed plan has no mu at the additive delta {delta:.3g}.",
            "Its events' own additive deltas use it up, or its epsilon there is above 20.",
            "Give it a larger delta, or use more noise.",
        )
    if not points[1].size or points[1][0] <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while not _above(points, high, delta):
        low, high = high, 2.0 * high
    while high - low > 1e-7 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if _above(points, middle, delta) else (middle, high)
    return high * (1.0 + 5e-7)


def fixed_plan(events: Sequence[Event], delta: float, *, grid: float = CERTIFY_GRID) -> FixedPlan:
    """``events`` as one event with a price in every coordinate, at the additive delta given.

    Every pricing of it checks the pair on the certifying grid, where what was found on a coarser one holds, too.

    Raises:
      UnsupportedEvent: No mu dominates the plan at ``delta``, or adjacencies are mixed.
    """
    mu = max(dominating_gdp(events, delta, grid=grid), 1e-6)
    return FixedPlan(events=tuple(events), mu=mu, delta=delta, adjacency=events[0].adjacency)


def _vertices(plan: Profile, delta: float) -> tuple[Floats, Floats] | None:
    """Points (epsilon, delta) of a broken line in e^epsilon above the plan's curve, down to ``delta``; None if endless.

    Each is the best of several tilts, the larger of both directions. A curve is convex, so it's below its chords.
    """
    end = plan.epsilon(delta)
    if end == math.inf:
        return None
    epsilons = np.linspace(0.0, end, _VERTICES)
    worst = np.zeros_like(epsilons)
    for parts in plan.directions:
        tilts = _ladder(parts, delta)
        worst = np.maximum(worst, np.min([tilted_sum(parts, tilt).curve(epsilons) for tilt in tilts], axis=0))
    return epsilons, worst + plan.additive


def _ladder(parts: Parts, delta: float) -> list[float]:
    """Tilts that are sharp from one end of the curve to the other; few, large losses need all sizes."""
    found = [find_tilt(parts, exponent_above(share * math.log(delta))) for share in (0.2, 0.5, 1.0)]
    return [1e-6, *found, *(found[-1] / size for size in (10.0, 100.0, 1000.0) if found[-1] > 1e3)]


def _above(points: tuple[Floats, Floats], mu: float, delta: float) -> bool:
    """Whether the Gaussian's curve plus ``delta`` is above the broken line, between its vertices, too.

    Between two points a convex curve is at most (distance) x (difference of slopes) / 4 below its chord.
    """
    epsilons, deltas = points
    margin = gaussian_curve(mu)(epsilons) * (1.0 - 1e-9 / min(mu, 1.0) * 1e-2) + delta - deltas
    slopes = ndtr(-mu / 2.0 - epsilons / mu)
    sag = np.diff(np.exp(epsilons)) * -np.diff(slopes) / 4.0
    return bool(np.all(np.minimum(margin[1:], margin[:-1]) >= sag * (1.0 + 1e-9)))


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
