"""A weighted pool of rows as a model: its marginals, its rows, and how often a row may come."""

import numpy as np
import pytest

from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import MODELS, PoolModel
from dpsynth.sampling import generator, sample_codes

DOMAIN = Domain.of({"a": 3, "b": 2})
CODES = np.array([[0, 1, 2, 2], [0, 1, 1, 1]], dtype=np.uint8)
MODEL = PoolModel(domain=DOMAIN, codes=CODES, weights=np.array([1.0, 2.0, 3.0, 4.0]), total=10.0)


def test_marginals_are_weighted_counts():
    assert MODEL.marginal(("a", "b")).tolist() == [[0.1, 0.0], [0.0, 0.2], [0.0, pytest.approx(0.7)]]
    assert MODEL.marginal(("b",)).tolist() == [0.1, pytest.approx(0.9)]
    assert MODEL.marginal(()).item() == pytest.approx(1.0)


def test_densities_are_those_of_the_marginal_of_everything():
    rows = np.array([[0, 2, 0], [0, 1, 1]], dtype=np.uint8)
    assert np.exp(MODEL.log_density(rows)).tolist() == pytest.approx([0.1, 0.7, 0.0])


def test_conditionals_multiply_to_the_model():
    hidden, *columns = MODEL.conditionals()
    joint = np.einsum("h,hi,hj->ij", hidden.table[0], columns[0].table, columns[1].table)
    assert np.allclose(joint, MODEL.marginal(("a", "b")))


@pytest.mark.parametrize("rows", [10, 1000, 7])
def test_a_row_comes_as_often_as_its_share_up_to_one(rows):
    made = sample_codes(MODEL, rows, rng=generator(3))
    assert made.shape == (2, rows)
    seen = np.bincount(np.ravel_multi_index(made.astype(int), (3, 2)), minlength=6)
    assert np.abs(seen - MODEL.marginal(("a", "b")).ravel() * rows).max() <= 2.0


def test_rows_are_rounded_to_the_pools_pairs():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, (3, 4000)).astype(np.uint8)
    wide = Domain.of({"a": 4, "b": 4, "c": 4})
    model = PoolModel(domain=wide, codes=codes, weights=rng.random(4000) + 0.5, total=1.0)

    def error(rounded):
        made = sample_codes(model, 500, rng=generator(7), rounded=rounded)
        truth = [model.marginal(q) for q in (("a", "b"), ("a", "c"), ("b", "c"))]
        seen = [np.histogram2d(*made[list(q)], bins=range(5))[0] / 500 for q in ((0, 1), (0, 2), (1, 2))]
        return sum(np.abs(s - t).sum() for s, t in zip(seen, truth, strict=True))

    assert error(True) < 0.5 * error(False)


def test_no_rows_are_none():
    assert sample_codes(MODEL, 0, rng=generator(3)).shape == (2, 0)


def test_rows_come_in_random_order():
    wide = Domain.of({"a": 200})
    model = PoolModel(domain=wide, codes=np.arange(200, dtype=np.uint8)[None], weights=np.ones(200), total=1.0)
    made = sample_codes(model, 200, rng=generator(3))[0].astype(int)
    assert sorted(made) == list(range(200))
    assert abs(np.corrcoef(made, np.arange(200))[0, 1]) < 0.35


def test_it_is_rebuilt_from_its_parts():
    again = MODELS["pool"].from_parts(DOMAIN, MODEL.structure(), MODEL.arrays())
    assert (again.codes == CODES).all()
    assert (again.weights == MODEL.weights).all()
    assert again.total == 10.0


@pytest.mark.parametrize("weights", [[1.0, 2.0, 3.0], [1.0, 0.0, 1.0, 1.0], [1.0, float("nan"), 1.0, 1.0]])
def test_a_pool_that_does_not_fit_is_refused(weights):
    with pytest.raises(ParameterError, match="pool"):
        PoolModel(domain=DOMAIN, codes=CODES, weights=np.array(weights), total=1.0)
