"""The exact neighbour oracle on partial synthesis: neighbours differ in the private columns of one row, nothing else.

Data sets are sequences of up to three rows; column a is public, b (and c) private. The second assertion of each test
keeps the charge honest the other way.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from accountant.adjacency import Adjacency, PrivacyUnit, moved_by
from accountant.price import AMOUNT_UNIT, Coordinate
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import partial, shares
from dpsynth.mechanisms.partial import EXACT, PartialConfig, choose_pairs, count_public, measure_partial
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.memory import MemorySource
from tests.oracles.enumerator import RecordingSpend, price_holds

DOMAIN = Domain.of({"a": 2, "b": 2})
NARROW = Domain.of({"a": 1, "b": 2})
THREE = Domain.of({"a": 2, "b": 2, "c": 2})
KNOWN = [
    Measurement(clique=(name,), values=np.array(counts), sigma=1.0)
    for name, counts in {"a": (2, 0), "b": (0, 2), "c": (1, 1)}.items()
]
"""What is known of each column, for the scores of pairs."""


@pytest.fixture(autouse=True)
def _cached_calibration(monkeypatch):
    for module, name in ((shares, "discrete_gaussian_sigma"), (partial, "bounded_range_eta")):
        monkeypatch.setattr(module, name, functools.cache(getattr(module, name)))


def neighbours(rows, private):
    """Every pair of data sets with the same public column that differ in the private columns of the first row."""
    found = []
    codes = list(itertools.product((0, 1), repeat=private))
    for public in itertools.product((0, 1), repeat=rows):
        for rest in itertools.product(codes, repeat=rows - 1):
            for one, other in itertools.combinations(codes, 2):
                tails = [(a, *b) for a, b in zip(public[1:], rest, strict=True)]
                found.append((((public[0], *one), *tails), ((public[0], *other), *tails)))
    return found


def source_of(records, domain):
    width = len(domain.names)
    return MemorySource(domain, np.array(records, dtype=np.uint8).reshape(-1, width).T.copy())


def values(measurements):
    return tuple(int(v) for m in measurements for v in m.values.ravel())


def arguments(mu_squared, spend, random):
    return {"amount": int(mu_squared * AMOUNT_UNIT), "coordinate": Coordinate.GDP, "spend": spend, "random": random}


@pytest.mark.parametrize(("rows", "clique", "floor"), [(1, ("b",), 1e-8), (3, ("b",), 1e-6), (1, ("a", "b"), 3e-5)])
def test_marginals(rows, clique, floor):
    """One cell loses what another gains: the root of 2, and a price of a row that comes or goes wouldn't hold."""

    def mechanism(records, spend, random):
        return values(
            measure_marginals(
                source_of(records, DOMAIN), [clique], sigmas=[1.1], spend=spend, random=random, label="measure",
                adjacency=Adjacency.REPLACE_PRIVATE,
            )
        )  # fmt: skip

    mu, real = price_holds(mechanism, neighbours(rows, 1), floor=floor)
    assert mu > math.sqrt(2) / 1.1
    assert 0.93 < real <= 1.0 + 1e-3


def test_partial_synthesis():
    """The whole mechanism: the private column, the choice of its pair, the pair, and what is public as it is."""
    config = PartialConfig(public=("a",), one_way_share=0.4, selection_share=0.1, pair_share=0.5, edges=1)

    def mechanism(records, spend, random):
        return values(measure_partial(source_of(records, NARROW), config, **arguments(9.0, spend, random)))

    mu, real = price_holds(mechanism, [(((0, 0),), ((0, 1),))], floor=2e-5)
    assert 8.99 < mu**2 <= 9.0
    assert real > 0.6


@pytest.mark.parametrize("mu_squared", [0.3, 3.0])
def test_choices(mu_squared):
    """Two private columns and the choices alone: scores are L1 errors of pairs, and one row moves each by up to 2."""
    config = PartialConfig(public=("a",), edges=1)

    def mechanism(records, spend, random):
        return tuple(
            choose_pairs(
                source_of(records, THREE), config, KNOWN, choices=2, penalty=0.0, sides=("training",),
                **arguments(mu_squared, spend, random),
            )
        )  # fmt: skip

    mu, real = price_holds(mechanism, neighbours(2, 2), floor=0.0)
    assert mu_squared * (1 - 1e-6) < mu**2 <= mu_squared
    assert 0.4 < real <= 1.0 + 1e-9


def test_an_error_moves_by_two_at_most_and_does():
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    moves = set()
    for one, other in neighbours(2, 2):
        first, second = (partial._scores(source_of(r, THREE), pairs, KNOWN, penalty=0.7) for r in (one, other))
        moves |= {abs(first[p] - second[p]) for p in pairs}
    assert max(moves) == 2


def test_public_marginals_are_the_same_for_neighbours_and_cost_nothing():
    config = PartialConfig(public=("a", "c"), edges=2)
    for one, other in itertools.islice(neighbours(3, 2), 0, None, 7):
        same = [tuple((row[0], row[1], row[0]) for row in rows) for rows in (one, other)]
        found = []
        for records in same:
            spend = RecordingSpend()
            measured = measure_partial(
                source_of(records, THREE), config, **arguments(4.0, spend, SeededOnce())
            )
            exact = [m for m in measured if m.sigma == EXACT]
            assert {m.clique for m in exact} == {("a",), ("c",), ("a", "c")}
            assert len(spend.steps) == len(measured) - len(exact) + 2
            assert {step.event.adjacency for step in spend.steps} == {Adjacency.REPLACE_PRIVATE}
            found.append(values(exact))
        assert found[0] == found[1]


class SeededOnce:
    """A source of bits that is the same for both neighbours."""

    private = False

    def draw(self, table, size):
        return np.zeros(size, np.int64) + len(table.probabilities) // 2


def test_a_marginal_with_a_private_column_is_never_counted_exactly():
    source = source_of([(0, 1), (1, 1)], DOMAIN)
    assert values(count_public(source, [("a",)], public=("a",))) == (1, 1)
    for clique in (("b",), ("a", "b")):
        with pytest.raises(ParameterError, match="private column can't be counted exactly"):
            count_public(source, [clique], public=("a",))


def test_units_of_several_rows_and_nothing_private_are_refused():
    with pytest.raises(ParameterError, match="of which a column at least is private"):
        measure_partial(source_of([(0, 1)], DOMAIN), PartialConfig(public=("a", "b")), **arguments(1.0, None, None))
    two = MemorySource(DOMAIN, np.zeros((2, 2), np.uint8), units=np.zeros(2, np.int64), max_rows=2)
    with pytest.raises(ParameterError, match="units of 2 rows"):
        measure_partial(two, PartialConfig(public=("a",)), **arguments(1.0, None, None))


def test_how_far_a_unit_moves_a_marginal():
    assert moved_by(3, Adjacency.ADD_REMOVE) == 3.0
    assert moved_by(1, Adjacency.REPLACE_ONE) == moved_by(1, Adjacency.REPLACE_PRIVATE)
    for rows in range(1, 50):
        assert rows * math.sqrt(2) <= moved_by(rows, Adjacency.REPLACE_PRIVATE) <= rows * math.sqrt(2) * (1 + 1e-15)
    assert PrivacyUnit(adjacency=Adjacency.REPLACE_PRIVATE, public=("a",)).marginal_sensitivity == moved_by(
        1, Adjacency.REPLACE_PRIVATE
    )
