"""MWEM: multiplicative weights against a reference that loops over cells and queries, and the rounds around it."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth import feasible_noise
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import estimate_total
from dpsynth.estimation.multiplicative import SWEEPS, estimate_joint, multiplicative_weights
from dpsynth.mechanisms import MwemConfig, measure_mwem
from dpsynth.mechanisms.mwem import candidate_weights, estimate_mwem, is_small
from dpsynth.mechanisms.shares import by_cells, split
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.workload import Workload

SHARED = Path(__file__).parents[4] / "shared" / "data"
DOMAIN = Domain.of({"a": 3, "b": 4, "c": 2})


def measured(domain, codes, config, *, amount=AMOUNT_UNIT, seed=1):
    return measure_mwem(
        MemorySource(domain, codes),
        config,
        amount=amount,
        coordinate=Coordinate.GDP,
        spend=FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(amount, 2**20)}),
        random=SeededRandom(seed),
    )


def reference(domain, measurements, total, sweeps):
    """MWEM as published: a weight per record of the domain, an update per query, queries one by one."""
    records = list(itertools.product(*map(range, domain.sizes)))
    weights = np.full(len(records), total / len(records))
    rounds = []
    for last in range(1, len(measurements) + 1):
        for _ in range(sweeps):
            for m in measurements[:last]:
                columns = [domain.names.index(n) for n in m.clique]
                cells = np.array([np.ravel_multi_index([r[c] for c in columns], m.values.shape) for r in records])
                answers = np.array([weights[cells == cell].sum() for cell in range(m.values.size)])
                for cell in range(m.values.size):  # disjoint queries: each weight meets exactly one
                    weights[cells == cell] *= np.exp((m.values.flat[cell] - answers[cell]) / (2 * total))
                weights *= total / weights.sum()
        rounds.append(weights / total)
    return rounds[-1].reshape(domain.sizes)


def relation(rows=2_000, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, rows), rng.integers(0, 4, rows)
    return np.array([a, b, (a + b) % 2]).astype(np.uint8)


def test_multiplicative_weights_are_those_of_the_reference():
    found = measured(DOMAIN, relation(), MwemConfig())
    total = estimate_total(found)
    np.testing.assert_allclose(
        estimate_joint(DOMAIN, found).beliefs[0], reference(DOMAIN, found, total, SWEEPS), atol=1e-12
    )


def test_five_columns_of_titanic_are_those_of_the_reference():
    if not SHARED.is_dir():
        pytest.skip("the larger real tables are absent")
    import pyarrow.parquet as pq

    sizes = json.loads((SHARED / "titanic_aim-domain.json").read_text())
    domain = Domain.of(dict(list(sizes.items())[:5]))
    table = pq.read_table(SHARED / "titanic_aim.parquet", columns=list(domain.names))
    codes = np.array([c.to_numpy() for c in table.columns]).astype(np.uint16)
    config = MwemConfig(rounds_per_attribute=1)
    assert is_small(domain, config)
    found = measured(domain, codes, config)[5:]
    total = 1304.0
    rounds = multiplicative_weights(domain, found[:2], total=total, sweeps=2)
    np.testing.assert_allclose(rounds[-1], reference(domain, found[:2], total, 2), atol=1e-12)


def test_rounds_go_on_from_where_they_were():
    found = measured(DOMAIN, relation(), MwemConfig())
    half = multiplicative_weights(DOMAIN, found[:4], total=100.0)
    whole = multiplicative_weights(DOMAIN, found, total=100.0, earlier=half)
    for one, other in zip(whole, multiplicative_weights(DOMAIN, found, total=100.0), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("joint_cells", [1, 24])
def test_both_estimates_find_a_relation_of_three(joint_cells):
    config = MwemConfig(joint_cells=joint_cells)
    assert is_small(DOMAIN, config) == (joint_cells == 24)
    codes = relation()
    model = estimate_mwem(DOMAIN, measured(DOMAIN, codes, config, amount=16 * AMOUNT_UNIT), config)
    ((_, exact),) = MemorySource(DOMAIN, codes).counts([DOMAIN.names])
    assert np.abs(model.marginal(DOMAIN.names) - exact / exact.sum()).sum() < 0.1


def test_there_are_as_many_rounds_as_planned():
    found = measured(DOMAIN, relation(), MwemConfig(rounds_per_attribute=3))
    assert len(found) == 3 + 9
    assert len({m.sigma for m in found[3:]}) == 1


def test_one_column_gets_everything():
    domain = Domain.of({"a": 3})
    (only,) = measured(domain, relation()[:1], MwemConfig())
    assert only.clique == ("a",)
    assert only.sigma == pytest.approx(1.0, rel=0.05)


def test_columns_get_everything_where_no_pair_fits_the_model():
    """One-way marginals alone pass the limit, so that no round would have anything to offer."""
    domain = Domain.of({f"c{i}": 4_000 for i in range(26)} | {"s": 12})
    assert candidate_weights(domain, MwemConfig()) == {}
    codes = np.zeros((27, 50), dtype=np.uint16)
    assert [m.clique for m in measured(domain, codes, MwemConfig())] == [(n,) for n in domain.names]
    sizes = feasible_noise.Sizes(largest=domain, smallest=domain)
    assert feasible_noise._of_mwem(MwemConfig(), sizes, AMOUNT_UNIT) == [
        min(split(AMOUNT_UNIT, by_cells(domain, [(n,) for n in domain.names])))
    ]


@pytest.mark.parametrize(("model_cells", "pairs"), [(24, ["ab", "bc", "ac", "abc"]), (23, ["ab", "bc", "ac"])])
def test_candidates_are_those_whose_model_fits_beside_all_columns(model_cells, pairs):
    config = MwemConfig(joint_cells=1, model_cells=model_cells)
    assert {"".join(q) for q in candidate_weights(DOMAIN, config)} == set(pairs)
    small = MwemConfig(joint_cells=24, model_cells=1)
    assert len(candidate_weights(DOMAIN, small)) == 4


def test_weights_are_those_of_the_workload():
    weights = candidate_weights(DOMAIN, MwemConfig(workload=Workload(target="c", target_weight=4)))
    assert weights == {("a", "b"): 1, ("a", "c"): 4, ("b", "c"): 4, ("a", "b", "c"): 4}


@pytest.mark.parametrize("bad", [{"selection_share": 1.0}, {"rounds_per_attribute": 17}, {"joint_cells": 0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ParameterError, match="settings of mwem"):
        MwemConfig(**bad)
