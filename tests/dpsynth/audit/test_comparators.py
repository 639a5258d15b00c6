"""Metrics of other tools against their definitions, and on tables that copy and tables that don't."""

import itertools

import numpy as np
import pytest

from dpsynth.audit.comparators import auc, compare, domias, nndr
from dpsynth.audit.risks import all_risks, inferred, linked, risk, single_out, singling_predicates
from dpsynth.domain import Domain

DOMAIN = Domain.of({f"c{i}": 5 for i in range(8)})


def table(rows, seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, (4, rows))
    return np.concatenate([first, (first + rng.integers(0, 2, (4, rows))) % 5]).astype(np.uint8)


TRAINING, HOLDOUT, FRESH = table(600, 1), table(300, 2), table(600, 3)


def test_auc_is_the_share_of_ordered_pairs():
    positive, negative = np.array([1.0, 2.0, 2.0]), np.array([0.0, 2.0])
    pairs = [(p > n) + (p == n) / 2 for p, n in itertools.product(positive, negative)]
    assert auc(positive, negative) == pytest.approx(sum(pairs) / 6)
    assert auc(negative, positive) == pytest.approx(1 - sum(pairs) / 6)


def test_nndr_is_the_mean_ratio_of_the_two_nearest():
    real = np.array([[0, 0], [0, 1], [3, 3]], dtype=np.uint8).T
    assert nndr(np.array([[0, 0], [3, 3], [4, 4]], dtype=np.uint8).T, real) == pytest.approx((0 + 0 + 1) / 3)
    assert nndr(real[:, :1], np.repeat(real[:, :1], 2, axis=1)) == 1.0


def test_a_density_ratio_is_larger_where_the_synthetic_table_is_denser():
    domain, ones, zeros = Domain.of({"a": 2}), np.array([[1] * 8]), np.array([[0] * 8])
    found = domias(np.array([[0, 1]]), ones, zeros, domain=domain)
    assert found.tolist() == pytest.approx([np.log(1 / 9), np.log(9)])


def test_copies_show_in_every_metric_and_an_honest_table_in_none():
    honest, copies = (
        compare(TRAINING, HOLDOUT, made, domain=DOMAIN, seed=4).confidential_json() for made in (FRESH, TRAINING)
    )
    assert honest["distance_auc"] == pytest.approx(0.5, abs=0.06)
    assert honest["dcr_share"] == pytest.approx(0.5, abs=0.05)
    assert honest["domias_auc"] == pytest.approx(0.5, abs=0.08)
    assert honest["identical_share"] < 0.05
    assert copies["distance_auc"] > 0.9
    assert copies["dcr_share"] > 0.6
    assert copies["identical_share"] > 0.45
    assert copies["identical_share_holdout"] < 0.05
    assert copies["nndr_training"] < copies["nndr_holdout"] - 0.2
    assert copies["domias_auc"] > honest["domias_auc"]
    assert repr(compare(TRAINING, HOLDOUT, FRESH, domain=DOMAIN, seed=4)) == "Comparison(<private>)"


def test_risks_are_what_the_control_does_not_explain():
    half = np.array([True] * 50 + [False] * 50)
    found = risk(half, half)
    assert (found.attack, found.control, found.risk, found.low) == (0.5, 0.5, 0.0, 0.0)
    assert 0 < found.high < 0.5
    all_right = risk(np.ones(100, dtype=bool), half)
    assert all_right.risk == 1.0
    assert 0.8 < all_right.low < 1.0
    assert risk(np.zeros(0, dtype=bool), half).risk == 0.0
    assert repr(found) == "Risk(<private>)"


def test_copies_are_risks_and_an_honest_table_is_not():
    honest, copies = (
        all_risks(TRAINING, HOLDOUT, made, domain=DOMAIN, secret="c7", seed=4) for made in (FRESH, TRAINING)
    )
    assert set(honest) == {"singling out", "linkability", "inference"}
    assert all(found.low == 0.0 for found in honest.values())
    assert copies["singling out"].low > 0.5
    assert copies["linkability"].low > 0.1
    assert copies["inference"].low > 0.3


def test_a_predicate_holds_for_one_synthetic_row():
    predicates = singling_predicates(TRAINING, seed=0)
    assert single_out(TRAINING, predicates).all()
    assert len(predicates) > 100
    assert singling_predicates(TRAINING[:, :0], seed=0) == []


def test_a_copy_is_linked_and_inferred_and_needs_all_of_its_columns():
    rows = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], dtype=np.uint8).T
    assert linked(rows, rows).tolist() == [True, True]
    assert linked(np.array([[0, 0, 1, 1]], dtype=np.uint8).T, rows).tolist() == [False]
    assert inferred(np.array([[0, 0, 0, 1], [1, 1, 1, 1]], dtype=np.uint8).T, rows, 3).tolist() == [False, True]
