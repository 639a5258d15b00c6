"""An exact oracle: run a shipped randomised function over every outcome of its draws, with their probabilities.

``EnumeratingRandom`` stands in for the random source and nothing else is stubbed. The function is run again and again;
each run follows a path of choices, one per index drawn. Outcomes of a draw are tried from the likeliest to the least
likely; once a path would fall below ``floor``, that outcome and all less likely ones are lumped into an accounted
remainder. So for every output o: law[o] <= P[o], and the sum of all shortfalls is the remainder.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from accountant import compose, convert
from accountant.adjacency import Adjacency
from accountant.events import Composed
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate
from accountant.spend import Side, Step
from dpsynth.noise.tables import CumulativeTable

EPSILONS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


@dataclass
class Law:
    """A distribution over outputs: probabilities from below, and the mass that wasn't followed."""

    probabilities: dict[Hashable, float] = field(default_factory=dict)
    remainder: float = 0.0
    runs: int = 0


@dataclass
class _Node:
    table: CumulativeTable
    order: list[int]
    masses: list[float]
    before: float
    position: int = 0


class EnumeratingRandom:
    """A random source that follows a path of choices, and extends it with the likeliest outcome of each new draw."""

    private = False

    def __init__(self) -> None:
        self.path: list[_Node] = []
        self.depth = 0
        self._options: dict[int, tuple[CumulativeTable, list[int], list[float]]] = {}

    def draw(self, table: CumulativeTable, size: int) -> np.ndarray:
        return np.array([self._choose(table) for _ in range(size)], dtype=np.int64)

    def _choose(self, table: CumulativeTable) -> int:
        if self.depth == len(self.path):
            _, order, masses = self._sorted(table)
            self.path.append(_Node(table, order, masses, self.probability()))
        node = self.path[self.depth]
        assert node.table is table or node.table.numerators == table.numerators, "not a function of its draws"
        self.depth += 1
        return node.order[node.position]

    def _sorted(self, table: CumulativeTable) -> tuple[CumulativeTable, list[int], list[float]]:
        if id(table) not in self._options:
            masses = table.probabilities
            order = np.argsort(-masses, kind="stable")
            self._options[id(table)] = (table, order.tolist(), masses[order].tolist())
        return self._options[id(table)]

    def probability(self) -> float:
        """Probability of the path followed so far."""
        if not self.path:
            return 1.0
        last = self.path[-1]
        return last.before * last.masses[last.position]

    def advance(self, floor: float) -> float:
        """Step to the next path of at least ``floor``; returns the mass given up on the way. Ends with no path."""
        lost = 0.0
        while self.path:
            node = self.path[-1]
            node.position += 1
            if node.position < len(node.order):
                if node.before * node.masses[node.position] >= floor:
                    break
                lost += node.before * math.fsum(node.masses[node.position :])
            self.path.pop()
        return lost


def distribution(function: Callable[[EnumeratingRandom], Hashable], *, floor: float = 1e-9) -> Law:
    """The law of ``function``'s output over every path of at least ``floor``; the rest is in the remainder."""
    random, law = EnumeratingRandom(), Law()
    while True:
        random.depth = 0
        output = function(random)
        assert random.depth == len(random.path), "not a function of its draws"
        law.probabilities[output] = law.probabilities.get(output, 0.0) + random.probability()
        law.runs += 1
        law.remainder += random.advance(floor)
        if not random.path:
            return law


def hockey_stick(p: Law, q: Law, epsilon: float) -> tuple[float, float]:
    """Bounds (low, high) on the largest P[S] - exp(epsilon) Q[S] over all sets of outputs S."""
    scale = math.exp(epsilon)
    excess = math.fsum(max(0.0, mass - scale * q.probabilities.get(o, 0.0)) for o, mass in p.probabilities.items())
    return max(0.0, excess - scale * q.remainder), min(1.0, excess + p.remainder)


class RecordingSpend:
    """A spend that allows everything and remembers it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def charge(self, steps: Sequence[Step]) -> None:
        self.steps.extend(steps)


def price(steps: Sequence[Step], side: Side = Side.TRAINING) -> tuple[float, float]:
    """What ``side`` is charged for ``steps``: mu and delta."""
    events = tuple(s.event for s in steps if side in s.sides)
    adjacency = events[0].adjacency if events else Adjacency.ADD_REMOVE
    cost = compose.price(Composed(events=events, adjacency=adjacency), Coordinate.GDP)
    return math.sqrt(cost.amount / AMOUNT_UNIT), cost.delta / DELTA_UNIT


Mechanism = Callable[[Hashable, RecordingSpend, EnumeratingRandom], Hashable]
"""Runs a shipped function on one data set (in whatever form the pairs hold it) and returns a hashable output."""


def laws_and_charges(
    mechanism: Mechanism, inputs: Iterable[Hashable], *, floor: float
) -> tuple[dict[Hashable, Law], set[tuple[Step, ...]]]:
    """The law of each input's output, and every charge that a run of an input made."""
    charges: set[tuple[Step, ...]] = set()

    def law(data: Hashable) -> Law:
        def run(random: EnumeratingRandom) -> Hashable:
            spend = RecordingSpend()
            output = mechanism(data, spend, random)
            charges.add(tuple(spend.steps))
            return output

        return distribution(run, floor=floor)

    return {data: law(data) for data in inputs}, charges


def laws_and_charge(
    mechanism: Mechanism, inputs: Iterable[Hashable], *, floor: float
) -> tuple[dict[Hashable, Law], tuple[Step, ...]]:
    """The law of each input's output, and the one charge that every run of every input made."""
    laws, charges = laws_and_charges(mechanism, inputs, floor=floor)
    assert len(charges) == 1, "the charge depends on the data, or on the outcome of a draw"
    return laws, charges.pop()


def price_holds(
    mechanism: Mechanism,
    pairs: Sequence[tuple[Hashable, Hashable]],
    *,
    floor: float = 1e-9,
    adaptive: bool = False,
) -> tuple[float, float]:
    """Check every neighbouring pair, in both directions, on a grid of epsilons, against the charged (mu, delta).

    Args:
      mechanism: What is checked.
      pairs: Neighbouring data sets.
      floor: Least probability of a path that is followed.
      adaptive: Whether later charges may follow earlier outcomes; then the dearest charge is what must hold, because
        that is what a filter's cap admits.

    Returns:
      The charged mu, and how much of it is real: the largest total variation found over that of mu-GDP (1 where the
      price is attained).

    Raises:
      AssertionError: Some pair is easier to tell apart than the charge admits, or the charge depends on the data.
    """
    inputs = dict.fromkeys(data for pair in pairs for data in pair)
    if adaptive:
        laws, charges = laws_and_charges(mechanism, inputs, floor=floor)
    else:
        laws, steps = laws_and_charge(mechanism, inputs, floor=floor)
        charges = {steps}
    mu, delta = (max(found) for found in zip(*map(price, charges), strict=True))
    furthest = 0.0
    for first, second in pairs:
        for p, q in ((laws[first], laws[second]), (laws[second], laws[first])):
            for epsilon in EPSILONS:
                low, high = hockey_stick(p, q, epsilon)
                allowed = convert.delta_from_mu(mu, epsilon) + delta
                assert low <= allowed + 1e-12, f"delta({epsilon}) is {low:.6g}, the charge allows {allowed:.6g}"
                furthest = max(furthest, high if epsilon == 0.0 else 0.0)
    return mu, furthest / convert.delta_from_mu(mu, 0.0)
