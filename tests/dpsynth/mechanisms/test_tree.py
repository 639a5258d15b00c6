"""The one-shot tree: what is grown from given errors, what its noise is told, where it leaves everything alone."""

import math

import numpy as np
import pytest

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import TreeConfig, measure_tree
from dpsynth.mechanisms.errors import independent_counts
from dpsynth.mechanisms.tree import candidate_weights, grow
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.workload import Workload

DOMAIN = Domain.of({"a": 4, "b": 4, "c": 4})
PAIRS = [("a", "b"), ("a", "c"), ("b", "c")]
ABC = ("a", "b", "c")


def grown(errors, *, noise=1.0, model_cells=1_000, weight=1.0):
    return grow(
        DOMAIN,
        errors,
        {q: weight if len(q) == 3 else 1.0 for q in errors},
        {q: float(DOMAIN.cells(q)) for q in errors},
        noise=noise,
        model_cells=model_cells,
    )


def test_what_pairs_explain_is_no_reason_for_their_triple():
    errors = dict(zip(PAIRS, (900.0, 800.0, 10.0), strict=True))
    assert grown(errors | {ABC: 900.0}) == [("a", "b"), ("a", "c")]
    assert grown(errors | {ABC: 5_000.0}) == [ABC]


def test_the_tree_stays_within_its_cells():
    errors = dict.fromkeys(PAIRS, 900.0)
    assert len(grown(errors)) == 3
    assert len(grown(errors, model_cells=32)) == 2


def test_nothing_is_chosen_where_noise_would_be_larger():
    errors = dict.fromkeys([*PAIRS, ABC], 100.0)
    assert grown(errors, noise=30.0) == []


def test_each_choice_makes_the_others_noisier():
    """A pair brings 16 cells: alone 16 of noise, the second one 29 more."""
    assert len(grown({("a", "b"): 20.0, ("a", "c"): 20.0})) == 1
    assert len(grown({("a", "b"): 30.0, ("a", "c"): 30.0})) == 2


def run(codes, *, amount=AMOUNT_UNIT, max_rows=1, config=None):
    spend = FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(amount, 2**20)})
    measured = measure_tree(
        MemorySource(DOMAIN, codes, max_rows=max_rows),
        config or TreeConfig(),
        amount=amount,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(3),
    )
    return measured, spend.steps


@pytest.mark.parametrize("max_rows", [1, 3])
def test_errors_pay_for_the_rows_of_a_person(max_rows):
    _, steps = run(np.zeros((3, 50), dtype=np.uint8), max_rows=max_rows)
    (errors,) = (s.event for s in steps if "errors" in s.label)
    assert errors.sensitivity == pytest.approx(max_rows * math.sqrt(4))


def test_independent_columns_get_everything_where_nothing_else_is_worth_it():
    codes = np.random.default_rng(0).integers(0, 4, (3, 300)).astype(np.uint8)
    measured, _ = run(codes, amount=AMOUNT_UNIT // 1_000)
    assert [m.clique for m in measured[3:]] == [("a",), ("b",), ("c",)]


def test_related_columns_are_found():
    a = np.random.default_rng(0).integers(0, 4, 3_000)
    measured, _ = run(np.array([a, (a + 1) % 4, np.random.default_rng(1).integers(0, 4, 3_000)]).astype(np.uint8))
    assert ("a", "b") in [m.clique for m in measured]


def test_weights_are_those_of_the_workload():
    weights = candidate_weights(DOMAIN, TreeConfig(workload=Workload(target="a", target_weight=5)))
    assert weights[("a", "b")] == 5
    assert weights[("b", "c")] == 1
    assert weights[ABC] == pytest.approx(3.5)


def test_expected_counts_are_products_of_noisy_shares():
    one_ways = [Measurement(clique=(n,), values=np.array([3, 1, 0, -2]), sigma=1.0) for n in "ab"]
    share = np.array([3, 1, 0.5, 0.5]) / 5
    table = independent_counts(one_ways, [("a", "b")], 10.0)[("a", "b")]
    np.testing.assert_allclose(table, 10 * np.outer(share, share))


@pytest.mark.parametrize("bad", [{"one_way_share": 0.0}, {"error_share": 0.95}, {"model_cells": 0}, {"penalty": -1.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ParameterError, match="settings of tree"):
        TreeConfig(**bad)
