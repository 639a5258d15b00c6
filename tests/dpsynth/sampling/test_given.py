"""Sampling under a condition: every row meets it, and the others' law is the model's own under it."""

import numpy as np
import pytest

from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import PoolModel, TreeModel, estimate_tree, junction_tree
from dpsynth.measurement import Measurement
from dpsynth.sampling import generator, sample_given

DOMAIN = Domain.of({"a": 3, "b": 2, "c": 4})


def pool():
    rng = np.random.default_rng(1)
    codes = np.array([rng.integers(0, size, 400) for size in DOMAIN.sizes], dtype=np.uint8)
    return PoolModel(domain=DOMAIN, codes=codes, weights=rng.random(400) + 0.1, total=100.0)


def tree():
    pair = np.array([[30, 5], [2, 40], [8, 15]])
    noted = [Measurement(clique=("a", "b"), values=pair, sigma=1.0)]
    return estimate_tree(DOMAIN, noted)


@pytest.mark.parametrize("made", [pool, tree])
def test_rows_meet_the_condition_and_keep_the_models_law(made):
    model = made()
    rows = sample_given(model, {"b": 1}, 20_000, rng=generator(2))
    assert rows.shape == (3, 20_000)
    assert (rows[1] == 1).all()
    law = model.marginal(("a", "b"))[:, 1]
    seen = np.bincount(rows[0], minlength=3) / 20_000
    assert np.abs(seen - law / law.sum()).max() < 0.02


@pytest.mark.parametrize("made", [pool, tree])
def test_two_conditions_hold_at_once_and_no_row_is_asked_for(made):
    rows = sample_given(made(), {"a": 0, "c": 3}, 50, rng=generator(1))
    assert (rows[0] == 0).all()
    assert (rows[2] == 3).all()
    assert sample_given(made(), {"a": 0}, 0, rng=generator(1)).shape == (3, 0)


@pytest.mark.parametrize("given", [{"z": 0}, {"a": 3}, {"a": -1}])
def test_what_is_not_of_the_domain_is_refused(given):
    with pytest.raises(ParameterError, match="isn't of the model's domain"):
        sample_given(pool(), given, 5, rng=generator(1))


def test_what_no_row_has_is_refused():
    only = PoolModel(domain=DOMAIN, codes=np.zeros((3, 4), dtype=np.uint8), weights=np.ones(4), total=4.0)
    with pytest.raises(ParameterError, match="No row of the pool"):
        sample_given(only, {"a": 2}, 5, rng=generator(1))


def test_a_condition_may_be_as_rare_as_it_is_and_an_impossible_one_is_refused():
    """A millionth of a millionth of the model's rows: nothing is rejected, so nothing takes long."""
    table = np.array([[1.0 - 1e-12, 0.0], [3e-13, 7e-13], [0.0, 0.0]])
    noted = junction_tree(DOMAIN, [("a", "b"), ("c",)])
    beliefs = {("a", "b"): table, ("c",): np.full(4, 0.25)}
    model = TreeModel(tree=noted, beliefs=tuple(beliefs[c] for c in noted.cliques), total=100.0)
    rows = sample_given(model, {"a": 1}, 1_000, rng=generator(1))
    assert (rows[0] == 1).all()
    assert rows[1].mean() == pytest.approx(0.7, abs=0.002)
    with pytest.raises(ParameterError, match="no row with what is given for a, b"):
        sample_given(model, {"a": 0, "b": 1}, 5, rng=generator(1))
    with pytest.raises(ParameterError, match="no probability"):
        sample_given(model, {"a": 2}, 0, rng=generator(1))
