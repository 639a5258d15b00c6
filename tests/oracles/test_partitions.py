"""The exact neighbour oracle on partition selection: what the labels that are found out give away."""

from itertools import combinations_with_replacement

import numpy as np
import pyarrow as pa
import pytest

from accountant.compose import price
from accountant.events import PartitionSelection
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth.encode import Encoder
from dpsynth.encode.opened import Interned
from dpsynth.errors import ParameterError
from dpsynth.schema import parse_schema
from dpsynth.selecting import Selection, plan_selections, select_labels
from dpsynth.sources.memory import MemorySource
from tests.oracles.enumerator import RecordingSpend, distribution, price_holds

SCHEMA = "{name: t, columns: {x: {kind: open, categories: [known], otherwise: other}}}"
DECLARED = Encoder.of(parse_schema(SCHEMA))


def planned(sigma, threshold, labels=1):
    event = PartitionSelection(sigma=sigma, threshold=threshold, labels_per_unit=labels)
    return Selection(column="x", event=event, price=price(event, Coordinate.GDP))


def selected(people, selection, spend, random, *, sides=(Side.TRAINING,)):
    """The labels that the shipped line finds among people, each a tuple of values."""
    interned, rows = Interned(), [value for person in people for value in person]
    codes = interned.codes(pa.array(rows, pa.string())).astype(np.uint32)[None, :]
    units = np.array([i for i, person in enumerate(people) for _ in person], np.int64)
    source = MemorySource(DECLARED.domain, codes, units=units, max_rows=selection.event.labels_per_unit)
    found = select_labels(
        DECLARED, source, {"x": interned.values}, [selection], spend=spend, random=random, sides=sides
    )
    return found.selected["x"]


ROWS = [((v,),) for v in ("a", "b")]
ONE_LABEL = [(d, tuple(sorted((*d, (v,))))) for d in ((), *ROWS, (("a",), ("a",))) for v in ("a", "b")]
TWO_LABELS = [
    (d, tuple(sorted((*d, p))))
    for d in ((), (("a",),), (("a", "b"),))
    for p in (("a",), *combinations_with_replacement("ab", 2))
]


@pytest.mark.parametrize(
    ("pairs", "labels", "sigma", "threshold"), [(ONE_LABEL, 1, 1.2, 4), (ONE_LABEL, 1, 0.8, 3), (TWO_LABELS, 2, 1.0, 4)]
)
def test_labels_of_neighbours(pairs, labels, sigma, threshold):
    """Labels of everybody, with and without a person of one or two of them, in both directions and at every epsilon."""

    def mechanism(people, spend, random):
        return selected(people, planned(sigma, threshold, labels), spend, random)

    mu, _ = price_holds(mechanism, pairs, floor=1e-7)
    assert 0.98 < mu * sigma / np.sqrt(labels) < 1.2


@pytest.mark.parametrize(("labels", "held"), [(1, ("a",)), (2, ("a", "b"))])
def test_a_label_of_one_person_comes_out_with_at_most_delta(labels, held):
    """The exact chance, and the bound is reached but for rounding: a lower threshold or less noise would break it."""
    selection = planned(1.5, 7, labels)
    law = distribution(lambda random: selected((held,), selection, RecordingSpend(), random), floor=1e-12)
    chance = sum(p for found, p in law.probabilities.items() if found)
    assert chance <= selection.price.delta / DELTA_UNIT <= (chance + law.remainder) * 1.001 + 1e-15
    assert chance > 1e-6


def test_what_is_planned_costs_at_most_its_share_and_its_delta():
    text = "{name: t, columns: {x: {kind: open, otherwise: o, share: 0.1}, y: {kind: open, otherwise: o}}}"
    for coordinate in Coordinate:
        found = plan_selections(
            parse_schema(text).table, amount=AMOUNT_UNIT, delta=int(1e-8 * DELTA_UNIT), coordinate=coordinate
        )
        for selection, share in zip(found, (0.1, 0.02), strict=True):
            assert 0.99 * share * AMOUNT_UNIT < selection.price.amount <= share * AMOUNT_UNIT
            assert selection.price.delta <= 0.5e-8 * DELTA_UNIT
            event = selection.event
            lower = PartitionSelection(sigma=event.sigma, threshold=event.threshold - 1)
            assert price(lower, coordinate).delta > 0.5e-8 * DELTA_UNIT


@pytest.mark.parametrize("sides", [(Side.TRAINING,), BOTH_SIDES])
def test_whoever_is_read_is_charged_before_anything_is_counted(sides):
    spend, order = RecordingSpend(), []

    class Random:
        private = False

        def draw(self, table, size):
            order.append((len(spend.steps), size))
            return np.full(size, 10_000, np.int64)

    class Counted(MemorySource):
        def blocks(self, rows=65_536):
            order.append(len(spend.steps))
            return super().blocks(rows)

    codes = np.array([[1, 2, 2, 0, 3]], np.uint32)
    source = Counted(DECLARED.domain, codes)
    found = select_labels(
        DECLARED, source, {"x": (b"a", b"b", b"known")}, [planned(1.0, 4)], spend=spend, random=Random(), sides=sides
    )
    assert order == [1, (1, 2)]
    assert found.selected["x"] == ("a", "b")
    assert [(step.label, step.sides) for step in spend.steps] == [("selection: labels of x", sides)]


def test_a_plan_for_fewer_labels_than_a_person_has_rows_is_refused():
    source = MemorySource(DECLARED.domain, np.zeros((1, 0), np.uint32), max_rows=2)
    with pytest.raises(ParameterError, match="planned selections"):
        select_labels(DECLARED, source, {"x": ()}, [planned(1.0, 4)], spend=RecordingSpend(), random=None)
