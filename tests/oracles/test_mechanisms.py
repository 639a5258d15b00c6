"""The exact neighbour oracle on whole mechanisms: what they give away against what they charged, and their budget.

Domains are as small as the enumeration needs; calibration is cached between runs, which changes no value.
"""

import functools
import itertools

import numpy as np
import pytest

from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import (
    IndependentConfig,
    MixtureConfig,
    MstConfig,
    MwemConfig,
    TreeConfig,
    measure_independent,
    measure_mixture,
    measure_mst,
    measure_mwem,
    measure_tree,
    mixture,
    mst,
    mwem,
    shares,
)
from dpsynth.mechanisms.errors import measure_errors
from dpsynth.mechanisms.mst import select_tree
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources.memory import MemorySource
from tests.oracles.enumerator import price_holds
from tests.oracles.neighbours import PAIRS, row_source


@pytest.fixture(autouse=True)
def _cached_calibration(monkeypatch):
    for module, name in ((shares, "discrete_gaussian_sigma"), (mst, "bounded_range_eta")):
        monkeypatch.setattr(module, name, functools.cache(getattr(module, name)))


def arguments(mu_squared, spend, random):
    return {"amount": int(mu_squared * AMOUNT_UNIT), "coordinate": Coordinate.GDP, "spend": spend, "random": random}


def values(measurements):
    return tuple(int(v) for m in measurements for v in m.values.ravel())


def test_independent():
    def mechanism(records, spend, random):
        return values(measure_independent(row_source(records), IndependentConfig(), **arguments(4.0, spend, random)))

    mu, real = price_holds(mechanism, [pair for pair in PAIRS if len(pair[1]) < 3], floor=1e-6)
    assert 3.999 < mu**2 <= 4.0
    assert 0.85 < real < 1.01


CUBE = Domain.of({"a": 2, "b": 2, "c": 2})
CUBE_RECORDS = tuple(itertools.product((0, 1), repeat=3))
CUBE_PAIRS = [
    (data, tuple(sorted((*data, record)))) for data in ((), *((r,) for r in CUBE_RECORDS)) for record in CUBE_RECORDS
]
TARGETS = {("a", "b"): (2, 0, 0, 2), ("a", "c"): (0, 1, 1, 0), ("b", "c"): (1, 0, 3, 0)}


@pytest.mark.parametrize("mu_squared", [0.1, 2.0])
def test_select_tree(mu_squared):
    """Scores are L1 errors of pairs against fixed tables: one record moves each by 1, up or down."""

    def mechanism(records, spend, random):
        source = MemorySource(CUBE, np.array(records, dtype=np.uint8).reshape(-1, 3).T.copy())
        scores = {c: int(np.abs(n.ravel() - TARGETS[c]).sum()) for c, n in source.counts(list(TARGETS))}
        tree = select_tree(CUBE, scores, sensitivity=1, sides=("training",), **arguments(mu_squared, spend, random))
        return tuple(tree)

    mu, real = price_holds(mechanism, CUBE_PAIRS, floor=0.0)
    assert mu_squared * (1 - 1e-6) < mu**2 <= mu_squared
    assert 0.5 < real <= 1.0 + 1e-9


LINE = Domain.of({"a": 2, "b": 1})
LINE_PAIRS = [((), (0,)), ((0,), (0, 1))]


def normalise(measurement, total, domain):
    """A share of the cells from one noisy marginal: stands in for the solver, which takes 0.1 s a table here."""
    cells = np.maximum(measurement.values, 0.0) + 1e-3
    return cells / cells.sum()


def test_mst(monkeypatch):
    """All of the mechanism but the solver inside a score, which sees a noisy marginal only."""
    monkeypatch.setattr(mst, "_share", normalise)
    config = MstConfig(one_way_share=0.4, selection_share=0.1, pair_share=0.5)

    def mechanism(records, spend, random):
        codes = np.array([records, [0] * len(records)], dtype=np.uint8)
        return values(measure_mst(MemorySource(LINE, codes), config, **arguments(7.0, spend, random)))

    mu, real = price_holds(mechanism, LINE_PAIRS, floor=2e-5)
    assert 6.99 < mu**2 <= 7.0
    assert real > 0.8


def line_source(records):
    return MemorySource(LINE, np.array([records, [0] * len(records)], dtype=np.uint8))


def test_errors_of_many_marginals():
    """One record moves each of the four errors by 1, up or down: L2 sensitivity 2."""
    expected = {q: np.array(t, dtype=float) * 0.9 for q, t in TARGETS.items()} | {("a",): np.array([1.2, 0.7])}

    def mechanism(records, spend, random):
        source = MemorySource(CUBE, np.array(records, dtype=np.uint8).reshape(-1, 3).T.copy())
        given = arguments(3.0, spend, random)
        errors, sigma = measure_errors(source, expected, **given, label="errors", sides=(Side.TRAINING,))
        assert sigma == spend.steps[0].event.sigma
        return tuple(errors.values())

    mu, real = price_holds(mechanism, CUBE_PAIRS[:6], floor=1e-4)
    assert 2.999 < mu**2 <= 3.0
    assert 0.7 < real < 1.05


def test_tree():
    """All of the mechanism: what it measures follows the noisy error, and the dearest of its charges holds."""
    config = TreeConfig(one_way_share=0.3, error_share=0.3, doubt=0.0, penalty=0.1)
    measured = set()

    def mechanism(records, spend, random):
        found = measure_tree(line_source(records), config, **arguments(16.0, spend, random))
        measured.add(tuple(m.clique for m in found[2:]))
        return values(found)

    mu, real = price_holds(mechanism, LINE_PAIRS[:1], floor=2e-4, adaptive=True)
    assert measured == {(("a", "b"),), (("a",), ("b",))}
    assert 15.99 < mu**2 <= 16.0
    assert real > 0.5


def test_mwem(monkeypatch):
    """All of the mechanism but the seed of a post-processing sample, which the enumeration couldn't walk through."""
    monkeypatch.setattr(mwem, "scoring_sample", lambda model, _: sample_codes(model, 50, rng=generator(0)))
    config = MwemConfig(rounds_per_attribute=1, one_way_share=0.4, selection_share=0.1)

    def mechanism(records, spend, random):
        return values(measure_mwem(line_source(records), config, **arguments(24.0, spend, random)))

    mu, real = price_holds(mechanism, LINE_PAIRS[:1], floor=1e-3)
    assert 23.99 < mu**2 <= 24.0
    assert real > 0.5


def test_mixture():
    """All of the mechanism on two columns, where it measures every one-way and pair."""

    def mechanism(records, spend, random):
        return values(measure_mixture(line_source(records), MixtureConfig(), **arguments(9.0, spend, random)))

    mu, real = price_holds(mechanism, LINE_PAIRS[:1], floor=2e-4)
    assert 8.99 < mu**2 <= 9.0
    assert real > 0.5


THIN = Domain.of({"a": 2, "b": 1, "c": 1})


def test_mixture_chooses_from_noisy_errors_alone(monkeypatch):
    """Three columns of which two say nothing: pairs fixed, so that the errors and the triple are what is enumerated."""
    fixed = [Measurement(clique=q, values=np.full(THIN.shape(q), 2), sigma=1.0) for q in mixture.ones_and_pairs(THIN)]
    shipped = mixture.measure_marginals

    def only_triples(source, cliques, **given):
        return shipped(source, cliques, **given) if len(cliques[0]) == 3 else fixed

    monkeypatch.setattr(mixture, "measure_marginals", only_triples)
    monkeypatch.setattr(mixture, "fit_mixture", lambda *_, **__: _Even())

    def mechanism(records, spend, random):
        source = MemorySource(THIN, np.array([records, *[[0] * len(records)] * 2], dtype=np.uint8))
        config = MixtureConfig(pair_share=0.01, error_share=0.4)
        return values(measure_mixture(source, config, **arguments(9.0, spend, random))[len(fixed) :])

    mu, real = price_holds(mechanism, LINE_PAIRS, floor=1e-5)
    assert 8.9 < mu**2 <= 8.91
    assert real > 0.5


class _Even:
    """A model that is the same in every data set."""

    total = 4.0

    def marginal(self, clique):
        return np.full(THIN.shape(clique), 0.5)
