"""Charge, count, draw: the order of every primitive, what a refusal leaves, and what is handed back."""

import numpy as np
import pytest

from accountant import faults
from accountant.errors import BudgetExceeded
from accountant.events import BoundedRange, DiscreteGaussian, DiscreteLaplace
from accountant.spend import BOTH_SIDES, Side, Step
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.gaussian import gaussian_cut
from dpsynth.noise.laplace import laplace_cut
from dpsynth.noise.measure import measure_count, measure_counted, measure_gaussian, measure_laplace, measure_marginals
from dpsynth.noise.random import SeededRandom
from dpsynth.noise.selection import select_exponential

DOMAIN = Domain.of({"a": 2, "b": 3})
EXACT = np.arange(6, dtype=np.int64).reshape(2, 3)


class Line:
    """A spend, a source and a random source that write down what was done, in order."""

    domain, max_rows, distinct, private = DOMAIN, 3, (), False

    def __init__(self, refuse=False):
        self.done, self.steps, self.refuse, self.random = [], [], refuse, SeededRandom(5)

    def charge(self, steps):
        if self.refuse:
            raise BudgetExceeded("No.", "It is spent.", "Stop.")
        self.done.append("charge")
        self.steps += steps

    def counts(self, cliques):
        for clique in cliques:
            self.done.append("count")
            yield clique, np.zeros(self.domain.shape(clique), dtype=np.int64)

    def draw(self, table, size):
        self.done.append("draw")
        return self.random.draw(table, size)


def marginals(line, **changes):
    arguments = {"sigmas": [2.0, 3.0], "spend": line, "random": line, "label": "measure"} | changes
    return measure_marginals(line, [("a",), ("a", "b")], **arguments)


def gaussian(line, **changes):
    arguments = {"sigma": 2.0, "sensitivity": 1.5, "spend": line, "random": line, "label": "vector"} | changes
    return measure_gaussian(EXACT, **arguments)


def laplace(line, **changes):
    arguments = {"scale": 2.0, "sensitivity": 4, "spend": line, "random": line, "label": "vector"} | changes
    return measure_laplace(EXACT, **arguments)


def count(line, **changes):
    arguments = {"sigma": 2.0, "sensitivity": 3, "spend": line, "random": line, "label": "count"} | changes
    return measure_count(41, **arguments)


def select(line, **changes):
    arguments = {"sensitivity": 2, "eta": 0.5, "spend": line, "random": line, "label": "select"} | changes
    return select_exponential([3, 1, 2], **arguments)


EVENTS = {
    marginals: [
        ("measure (a)", DiscreteGaussian(sigma=2.0, sensitivity=3.0, draws=2)),
        ("measure (a, b)", DiscreteGaussian(sigma=3.0, sensitivity=3.0, draws=6)),
    ],
    gaussian: [("vector", DiscreteGaussian(sigma=2.0, sensitivity=1.5, draws=6))],
    laplace: [("vector", DiscreteLaplace(scale=2.0, sensitivity=4.0, draws=6))],
    count: [("count", DiscreteGaussian(sigma=2.0, sensitivity=3.0, draws=1))],
    select: [("select", BoundedRange(eta=0.5))],
}
PRIMITIVES = pytest.mark.parametrize("primitive", EVENTS, ids=lambda p: p.__name__)


@PRIMITIVES
def test_one_charge_comes_first_and_names_what_was_done(primitive):
    line = Line()
    primitive(line)
    assert line.done[0] == "charge"
    assert line.done.count("charge") == 1
    assert line.done.count("draw") == len(EVENTS[primitive])
    assert line.steps == [Step(label=label, event=event, sides=(Side.TRAINING,)) for label, event in EVENTS[primitive]]


@PRIMITIVES
def test_every_side_that_was_read_is_charged(primitive):
    line = Line()
    primitive(line, sides=BOTH_SIDES)
    assert {step.sides for step in line.steps} == {BOTH_SIDES}


@PRIMITIVES
def test_a_refusal_counts_nothing_and_draws_nothing(primitive):
    line = Line(refuse=True)
    with pytest.raises(BudgetExceeded):
        primitive(line)
    assert line.done == []


@PRIMITIVES
def test_fault_points_stand_between_charge_and_draw(primitive, monkeypatch):
    line = Line()
    monkeypatch.setattr(faults, "hook", line.done.append)
    primitive(line)
    draws = [event for event in line.done if event != "count"]
    assert draws == ["charge"] + ["draw.before", "draw", "draw.after"] * len(EVENTS[primitive])


@pytest.mark.parametrize(
    ("primitive", "changes"),
    [
        (marginals, {"sigmas": [2.0, 0.0]}),
        (marginals, {"sigmas": [2.0]}),
        (gaussian, {"sigma": 1e9}),
        (gaussian, {"sensitivity": 0.0}),
        (laplace, {"scale": -1.0}),
        (laplace, {"sensitivity": 0}),
        (count, {"sigma": float("nan")}),
        (select, {"eta": 0.0}),
        (select, {"sensitivity": 0}),
    ],
)
def test_bad_parameters_are_refused_before_the_charge(primitive, changes):
    line = Line()
    with pytest.raises(ParameterError):
        primitive(line, **changes)
    assert line.done == []


def test_cliques_stand_in_domain_order():
    line = Line()
    with pytest.raises(ParameterError):
        measure_marginals(line, [("b", "a")], sigmas=[1.0], spend=line, random=line, label="measure")
    assert line.done == []


def test_measurements_are_integers_of_the_asked_shape():
    found = marginals(Line())
    assert [(m.clique, m.values.dtype, m.values.shape, m.sigma) for m in found] == [
        (("a",), np.int64, (2,), 2.0),
        (("a", "b"), np.int64, (2, 3), 3.0),
    ]
    assert gaussian(Line()).shape == laplace(Line()).shape == (2, 3)
    assert type(count(Line())) is int
    assert type(select(Line())) is int


@pytest.mark.parametrize("exact", [EXACT.astype(float), EXACT.astype(np.int32), EXACT[:0]])
def test_only_int64_is_measured(exact):
    line = Line()
    for refused in (
        lambda: measure_gaussian(exact, sigma=1.0, sensitivity=1, spend=line, random=line, label="x"),
        lambda: measure_laplace(exact, scale=1.0, sensitivity=1, spend=line, random=line, label="x"),
    ):
        with pytest.raises(ParameterError):
            refused()
    assert line.done == []


def test_the_noise_is_added_to_the_exact_values():
    quiet = measure_gaussian(EXACT, sigma=0.01, sensitivity=1, spend=Line(), random=Line(), label="x")
    assert quiet.tolist() == EXACT.tolist()
    assert measure_laplace(EXACT, scale=0.01, sensitivity=1, spend=Line(), random=Line(), label="x").tolist() == (
        EXACT.tolist()
    )


class Lowest(Line):
    """Draws the first index of every table: the lowest noise there is."""

    def draw(self, table, size):
        return np.zeros(size, dtype=np.int64)


def test_the_sign_and_the_middle_of_the_noise_are_those_of_the_table():
    line = Lowest()
    arguments = {"sensitivity": 1, "spend": line, "random": line, "label": "x"}
    assert (EXACT - measure_gaussian(EXACT, sigma=2.0, **arguments)).tolist() == [[gaussian_cut(2.0)] * 3] * 2
    assert (EXACT - measure_laplace(EXACT, scale=2.0, **arguments)).tolist() == [[laplace_cut(2.0)] * 3] * 2
    assert 41 - count(line) == gaussian_cut(2.0)


def test_a_measurement_of_one_cell_is_allowed():
    one, line = EXACT[:1, :1], Line()
    arguments = {"sensitivity": 1, "spend": line, "random": line, "label": "x"}
    assert measure_gaussian(one, sigma=0.01, **arguments).tolist() == [[0]]
    assert measure_laplace(one, scale=0.01, **arguments).tolist() == [[0]]


def counted(line, parts):
    """Two vectors of three entries, counted by ``line``."""

    def count():
        line.done.append("count")
        return parts

    return measure_counted(
        count, sizes=[3, 3], labels=["one", "other"], sigma=2.0, sensitivity=1.0, spend=line, random=line
    )  # fmt: skip


def test_vectors_are_charged_together_then_counted_then_drawn():
    line = Line()
    found = counted(line, [np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.int64)])
    assert line.done == ["charge", "count", "draw", "draw"]
    assert [(s.label, s.event) for s in line.steps] == [
        (label, DiscreteGaussian(sigma=2.0, sensitivity=1.0, draws=3)) for label in ("one", "other")
    ]
    assert [part.dtype for part in found] == [np.int64, np.int64]


def test_vectors_that_were_refused_are_not_counted():
    line = Line(refuse=True)
    with pytest.raises(BudgetExceeded):
        counted(line, [np.zeros(3, dtype=np.int64)] * 2)
    assert line.done == []


def test_counted_floats_get_no_noise():
    line = Line()
    with pytest.raises(ParameterError, match="float64"):
        counted(line, [np.zeros(3), np.zeros(3)])
    assert line.done == ["charge", "count"]
