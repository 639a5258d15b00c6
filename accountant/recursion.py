"""Experimental: the exact backward recursion over Gaussian steps and bounded-range selections, on a pessimistic grid.

Write x for what is left of epsilon, V(x) for the largest hockey-stick divergence that the steps to come can still make.
At the end V(x) = max(0, 1 - e^x). One step earlier

  Gaussian of mu:        V(x) <- E[V(x - L)],  L normal with mean mu^2/2 and variance mu^2
  bounded range of eta:  V(x) <- max over 0 <= t <= eta of p_t V(x - t) + (1 - p_t) V(x - t + eta)

with p_t = (1 - e^(t - eta)) / (1 - e^(-eta)). This holds for adaptive outcomes, and, where the strategy may choose the
next step from a table of moves, for the maximum over moves. V is convex in e^x, so between two points of a grid it lies
below its chord: each loss is split between its two neighbours, which keeps both probabilities and errs upwards alone.

The theorem, its proof and the error bounds are in docs/backward-recursion.md. Nothing that states a claim uses this.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import BoundedRange, Composed, DiscreteGaussian, Event, Gaussian, Repeat
from accountant.rules.mu import SAFETY, discrete_gaussian_mu
from accountant.rules.slack import LARGEST_EPSILON, sampler_slack

Values = NDArray[np.float64]

_CELLS_A_SELECTION, _CELLS_A_GAUSSIAN = 16, 20
_REACH = 10.0
"""Standard deviations of a Gaussian's loss that the grid follows; what is beyond counts as a whole failure."""
_LARGEST_GRID = 2**20
_INFLATION, _FLOOR = 1e-11, 1e-300
"""Added to every step, relative and absolute: far above what its float operations, all on positive terms, can lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianStep:
    """Any mu-GDP step."""

    mu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionStep:
    """Any eta-bounded-range step."""

    eta: float


RecursionStep = GaussianStep | SelectionStep
Move = tuple[Sequence[RecursionStep], Hashable]
"""Steps to take now, and the state afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """An upper bound on delta at each epsilon.

    Attributes:
      epsilons: Rising, from 0, evenly spaced.
      deltas: Upper bounds there, additive deltas not included.
      additive: Delta of the samplers, to be added.
    """

    epsilons: Values
    deltas: Values
    additive: float

    def delta(self, epsilon: float) -> float:
        """delta (rounded up) at ``epsilon``: on the chord, in e^epsilon, of its neighbours on the grid."""
        if not epsilon >= 0.0:
            raise ParameterError(
                f"A delta was asked for at epsilon {epsilon}.", "Epsilon is at least 0.", "Give another epsilon."
            )
        below = int(np.searchsorted(self.epsilons, epsilon, side="right")) - 1
        found = float(self.deltas[below])
        if below + 1 < self.epsilons.size:
            start, end = float(self.epsilons[below]), float(self.epsilons[below + 1])
            fall = max(0.0, found - float(self.deltas[below + 1]))
            found -= fall * math.expm1(epsilon - start) / math.expm1(end - start) * (1.0 - 1e-9)
        return min(1.0, found + self.additive)

    def epsilon(self, delta: float) -> float:
        """An epsilon (rounded up) whose delta is at most ``delta``: where the chord reaches it.

        Raises:
          ParameterError: No epsilon of the grid reaches it.
        """
        reached = np.flatnonzero(self.deltas + self.additive <= delta)
        if not reached.size:
            raise ParameterError(
                f"No epsilon up to {self.epsilons[-1]:.3g} has a delta of {delta}.",
                "The grid of the recursion ends there.",
                "Ask at a larger delta, or follow a larger epsilon.",
            )
        first = int(reached[0])
        if first == 0:
            return 0.0
        low, high = self.deltas[first - 1] + self.additive, self.deltas[first] + self.additive
        start, end = float(self.epsilons[first - 1]), float(self.epsilons[first])
        part = min(1.0, float((low - delta) / (low - high)) * (1.0 + 1e-9))
        return min(end, (start + math.log1p(part * math.expm1(end - start))) * (1.0 + 1e-12))


def steps_of(event: Event) -> tuple[list[RecursionStep], Fraction]:
    """The steps of a fixed schedule in their order, and the additive delta of their samplers.

    Raises:
      UnsupportedEvent: The recursion knows Gaussians, discrete Gaussians and bounded-range selections only.
    """
    rule = _EVENTS.get(type(event))
    if rule is None:
        raise UnsupportedEvent(
            f"The backward recursion doesn't know a {type(event).__name__}.",
            "It is proved for Gaussian steps and bounded-range selections.",
            "Price the run in a coordinate, or by its privacy loss distribution.",
        )
    return rule(event)


def interleaved_curve(
    event: Event, *, experimental: bool, largest_epsilon: float = LARGEST_EPSILON, width: float | None = None
) -> Curve:
    """Bound a fixed schedule whose steps may adapt to everything before them.

    Args:
      event: The schedule, in order; its parameters are fixed in advance, what is measured and selected isn't.
      experimental: Must be True: the bound is proved and tested, and not yet relied on for a claim.
      largest_epsilon: Where the curve ends; a smaller one takes less time.
      width: Spacing of the grid; chosen by the smallest step where it isn't given.

    Returns:
      Upper bounds on delta; both directions of the adjacency that the events are stated under are covered.

    Raises:
      ParameterError: ``experimental`` isn't True, or the grid would be too large.
      UnsupportedEvent: An event isn't known here.
    """
    steps, delta = steps_of(event)
    return adaptive_curve(
        len(steps),
        lambda left: [((steps[len(steps) - left],), left - 1)] if left else [],
        additive=delta,
        experimental=experimental,
        largest_epsilon=largest_epsilon,
        width=width,
    )


def adaptive_curve(
    start: Hashable,
    moves: Callable[[Any], Sequence[Move]],
    *,
    additive: Fraction,
    experimental: bool,
    largest_epsilon: float = LARGEST_EPSILON,
    width: float | None = None,
) -> Curve:
    """Bound a run that chooses its next steps from a table of moves, by whatever came out so far.

    Args:
      start: The first state.
      moves: For a state, every move: the steps taken and the state after them. An end has none; a run may also stop
        anywhere. States are finite in number and never come back.
      additive: Delta of all samplers on the dearest path.
      experimental: Must be True; see :func:`interleaved_curve`.
      largest_epsilon: Where the curve ends.
      width: Spacing of the grid.

    Returns:
      Upper bounds on delta over every strategy.
    """
    if experimental is not True:
        raise ParameterError(
            "The backward recursion was asked for without its flag.",
            "It is an experimental bound, and no claim rests on it.",
            "Pass experimental=True to explore with it.",
        )
    order = _ordered(start, moves)
    grid = _Grid.of({step for state in order for steps, _ in moves(state) for step in steps}, width, largest_epsilon)
    kernels: dict[RecursionStep, Any] = {}
    values: dict[Hashable, Values] = {}
    waiting = _uses(order, moves)
    for state in order:
        value = grid.end()
        for steps, after in moves(state):
            ahead = values[after]
            for step in reversed(steps):
                ahead = _BACKWARD[type(step)](grid, ahead, step, kernels)
            value = np.maximum(value, ahead)
            waiting[after] -= 1
            if not waiting[after]:
                del values[after]
        values[state] = value
    stated = slice(grid.left, grid.left + math.ceil(largest_epsilon / grid.width) + 1)
    deltas = np.minimum(1.0, values[start][stated])
    epsilons = np.arange(deltas.size, dtype=np.float64) * np.float64(grid.width)
    return Curve(epsilons=epsilons, deltas=deltas, additive=float(additive) * (1 + 1e-12))


def _ordered(start: Hashable, moves: Callable[[Any], Sequence[Move]]) -> list[Hashable]:
    """Every state, each after all states that its moves lead to."""
    done: dict[Hashable, None] = {}
    open_states: set[Hashable] = set()
    stack: list[tuple[Hashable, bool]] = [(start, False)]
    while stack:
        state, explored = stack.pop()
        if explored:
            open_states.discard(state)
            done[state] = None
        elif state not in done:
            if state in open_states:
                raise ParameterError(
                    "A table of moves leads back to a state it came from.",
                    "A run that may go round for ever has no bound.",
                    "Count the budget that is left in the state.",
                )
            open_states.add(state)
            stack.append((state, True))
            stack.extend((after, False) for _, after in moves(state) if after not in done)
    return list(done)


def _uses(order: Sequence[Hashable], moves: Callable[[Any], Sequence[Move]]) -> dict[Hashable, int]:
    uses = dict.fromkeys(order, 0)
    for state in order:
        for _, after in moves(state):
            uses[after] += 1
    return uses


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Points x = width (i - left), i = 0 .. size - 1. Left of them V counts as 1, right of them as at the last."""

    width: float
    left: int
    size: int

    @classmethod
    def of(cls, steps: set[RecursionStep], width: float | None, largest_epsilon: float) -> "_Grid":
        chosen = width if width is not None else min((_fine(step) for step in steps), default=0.01)
        cells = math.ceil(largest_epsilon / chosen) if 0.0 < chosen < math.inf else _LARGEST_GRID
        left = math.ceil(4.0 / chosen) if cells < _LARGEST_GRID else _LARGEST_GRID
        size = left + math.ceil(1.5 * cells) + left // 4
        if not (0.0 < largest_epsilon <= LARGEST_EPSILON and size <= _LARGEST_GRID):
            raise ParameterError(
                f"A grid of spacing {chosen:.3g} up to epsilon {largest_epsilon:.3g} was asked for.",
                f"It would have more than {_LARGEST_GRID} points, or its numbers are out of range.",
                "Use a smaller epsilon or a wider grid.",
            )
        return cls(width=chosen, left=left, size=size)

    def end(self) -> Values:
        """V after the last step: max(0, 1 - e^x), rounded up."""
        x = (np.arange(self.size) - self.left) * self.width
        return _inflated(np.maximum(0.0, -np.expm1(x)))

    def padded(self, values: Values, below: int, above: int) -> Values:
        """``values`` with ``below`` points more on the left and ``above`` on the right."""
        return np.concatenate([np.ones(below), values, np.full(above, values[-1])])


def _fine(step: RecursionStep) -> float:
    return step.eta / _CELLS_A_SELECTION if isinstance(step, SelectionStep) else step.mu / _CELLS_A_GAUSSIAN


def _inflated(values: Values) -> Values:
    return np.asarray(values * (1.0 + _INFLATION) + _FLOOR)


def _gaussian(grid: _Grid, values: Values, step: RecursionStep, kernels: dict[RecursionStep, Any]) -> Values:
    assert isinstance(step, GaussianStep)
    if step not in kernels:
        kernels[step] = _gaussian_kernel(step.mu, grid.width)
    first, weights, beyond = kernels[step]
    last = first + weights.size - 1
    return _inflated(np.convolve(grid.padded(values, last, -first), weights, mode="valid") + beyond)


def _gaussian_kernel(mu: float, width: float) -> tuple[int, Values, float]:
    """Law on the grid of the loss of a Gaussian pair under its first member, split between neighbours.

    Returns:
      The first grid point's number (at most 0), the probability of each, and that of a loss beyond the last.
    """
    mean = mu * mu / 2.0
    first = min(0, math.floor((mean - _REACH * mu) / width))
    last = max(1, math.ceil((mean + _REACH * mu) / width))
    nodes, parts = np.polynomial.legendre.leggauss(12)
    pieces = max(1, math.ceil(width / mu))  # so that the rule stays exact where the grid is wider than the law
    inside = np.concatenate([(nodes + 1.0 + 2.0 * k) / (2.0 * pieces) for k in range(pieces)])
    mass = np.tile(parts / (2.0 * pieces), pieces)
    loss = (np.arange(first, last)[:, None] + inside[None, :]) * width
    density = np.exp(-0.5 * ((loss - mean) / mu) ** 2) * (width / (mu * math.sqrt(2.0 * math.pi))) * mass
    upper = np.expm1(-inside * width) / math.expm1(-width)
    weights = np.zeros(last - first + 1)
    weights[1:] += (density * upper).sum(axis=1)
    weights[:-1] += (density * (1.0 - upper)).sum(axis=1)
    weights[0] += math.erfc((mean - first * width) / (mu * math.sqrt(2.0))) / 2.0
    beyond = math.erfc((last * width - mean) / (mu * math.sqrt(2.0))) / 2.0
    return first, weights * (1.0 + _INFLATION), beyond * (1.0 + _INFLATION)


def _selection(grid: _Grid, values: Values, step: RecursionStep, kernels: dict[RecursionStep, Any]) -> Values:
    """The maximum over t, piece by piece: on each, both losses stay in their cells and the value is A u + B + C/u."""
    assert isinstance(step, SelectionStep)
    eta, width = step.eta, grid.width
    reach = math.ceil(eta / width) + 2
    padded = grid.padded(values, reach, reach)

    def near(cell: int) -> Values:
        return padded[reach - cell : reach - cell + grid.size]

    def at(loss: float) -> Values:
        cell = math.floor(loss / width)
        part = min(1.0, max(0.0, math.expm1(cell * width - loss) / math.expm1(-width)))
        return near(cell) * (1.0 - part) + near(cell + 1) * part

    whole = -math.expm1(-eta)
    turns = _turns(eta, width)
    ends = [
        -math.expm1(t - eta) / whole * at(t) + math.exp(-eta) * math.expm1(t) / whole * at(t - eta) for t in turns
    ]
    best = np.maximum(ends[0], ends[-1])
    slope, span = 1.0 / math.expm1(eta), -math.expm1(-width)
    for (t, end), (next_t, next_end) in pairwise(zip(turns, ends, strict=True)):
        middle = (t + next_t) / 2.0
        up, down = math.floor(middle / width), math.floor((middle - eta) / width)
        rise, fall = near(up + 1) - near(up), near(down + 1) - near(down)
        linear = slope * (near(down) - near(up) + (fall - rise) / span)
        inverse = (slope * math.exp(down * width + eta) * fall - math.exp(up * width) / whole * rise) / span
        low, high = math.exp(t), math.exp(next_t)
        bend = np.maximum(0.0, np.maximum(-linear * low - inverse / low, -linear * high - inverse / high))
        best = np.maximum(best, np.maximum(end, next_end) + (next_t - t) ** 2 / 8.0 * bend)
    return _inflated(best)


def _turns(eta: float, width: float) -> list[float]:
    """Where t or t - eta meets the grid, from 0 to eta."""
    cells = range(math.ceil(eta / width) + 1)
    found = sorted({0.0, eta, *(k * width for k in cells), *(eta - k * width for k in cells)})
    inside = [t for t in found if 0.0 <= t <= eta]
    kept = [t for t, after in pairwise(inside) if after - t > 1e-9 * width]
    return [*kept, eta]


_BACKWARD: dict[type[RecursionStep], Callable[[_Grid, Values, RecursionStep, dict[RecursionStep, Any]], Values]] = {
    GaussianStep: _gaussian,
    SelectionStep: _selection,
}


def _up(exact: Fraction) -> float:
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


def _from_gaussian(event: Gaussian) -> tuple[list[RecursionStep], Fraction]:
    return [GaussianStep(mu=_up(1 / Fraction(event.noise_multiplier)))], Fraction(0)


def _from_discrete(event: DiscreteGaussian) -> tuple[list[RecursionStep], Fraction]:
    mu = discrete_gaussian_mu(event.sigma) * event.sensitivity * (1.0 + SAFETY)
    return [GaussianStep(mu=mu)], sampler_slack(event.draws)


def _from_selection(event: BoundedRange) -> tuple[list[RecursionStep], Fraction]:
    return [SelectionStep(eta=event.eta)], sampler_slack(1)


def _from_repeat(event: Repeat) -> tuple[list[RecursionStep], Fraction]:
    steps, delta = steps_of(event.event)
    return steps * event.count, delta * event.count


def _from_composed(event: Composed) -> tuple[list[RecursionStep], Fraction]:
    parts = [steps_of(part) for part in event.events]
    return [step for steps, _ in parts for step in steps], sum((delta for _, delta in parts), Fraction(0))


_EVENTS: dict[type[Event], Callable[[Any], tuple[list[RecursionStep], Fraction]]] = {
    Gaussian: _from_gaussian,
    DiscreteGaussian: _from_discrete,
    BoundedRange: _from_selection,
    Repeat: _from_repeat,
    Composed: _from_composed,
}
