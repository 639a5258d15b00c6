"""Shrinkage takes out noise, keeps what is known well, and never moves a total."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpsynth.domain import Domain
from dpsynth.estimation import StructuralZeros, estimate_tree, fit_tree
from dpsynth.estimation.shrinkage import shrunk
from dpsynth.estimation.solver import _drawn_in, merge
from dpsynth.measurement import Measurement


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_totals_stay_and_less_noise_moves_less(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    table = data.draw(arrays(np.float64, shape, elements=st.floats(0, 1_000))) + 0.01
    moved = [np.abs(shrunk(table, lambda kept, s=s: s) - table).sum() for s in (1e-9, 1.0, 100.0)]
    assert shrunk(table, lambda kept: 30.0).sum() == pytest.approx(table.sum())
    assert moved[0] == pytest.approx(0, abs=1e-6 * table.sum())
    assert np.all(np.isfinite(moved))


def test_without_any_knowledge_nothing_but_lower_marginals_is_left():
    rng = np.random.default_rng(1)
    pair = rng.poisson(50, (4, 5)).astype(float)
    independent = np.outer(pair.sum(axis=1), pair.sum(axis=0)) / pair.sum()
    assert np.allclose(shrunk(pair, lambda kept: 1e9), independent, rtol=1e-6)
    triple = np.einsum("i,j,k->ijk", *(rng.dirichlet(np.full(n, 2.0)) for n in (3, 4, 5))) * 1e5
    assert np.allclose(shrunk(triple, lambda kept: 1e9), triple, rtol=1e-6)  # it has no interaction to lose


def test_a_triple_whose_pairs_are_well_known_keeps_them():
    rng = np.random.default_rng(2)
    triple = rng.gamma(0.5, 400, (4, 5, 6))
    drawn = shrunk(triple, lambda kept: 1e-6 if len(kept) == 2 else 1e9)
    for kept in itertools.combinations(range(3), 2):
        gone = next(i for i in range(3) if i not in kept)
        assert np.allclose(drawn.sum(axis=gone), triple.sum(axis=gone), rtol=0.02)
    assert np.abs(drawn - triple).sum() > 0.1 * triple.sum()  # the interaction of three is gone


def truth_and_measured(seed, sigma):
    """Weakly dependent columns and noisy marginals of them: pairs, a triple, and repeats."""
    rng = np.random.default_rng(seed)
    domain = Domain.of({"a": 12, "b": 10, "c": 8, "d": 5})
    joint = np.einsum(
        "h,ha,hb,hc,hd->abcd", [0.5, 0.3, 0.2], *(rng.dirichlet(np.full(s, 1.5), 3) for s in domain.sizes)
    )
    cliques = [("a",), ("b",), ("c",), ("d",), ("a", "b"), ("b", "c"), ("a", "b", "c"), ("c", "d"), ("b", "c")]
    counts = [
        20_000 * joint.sum(axis=tuple(i for i, n in enumerate(domain.names) if n not in q)) for q in cliques
    ]
    noisy = [np.rint(c + rng.normal(0, sigma, c.shape)).astype(np.int64) for c in counts]
    return domain, joint, [Measurement(clique=q, values=v, sigma=sigma) for q, v in zip(cliques, noisy, strict=True)]


@pytest.mark.parametrize("sigma", [20.0, 100.0])
def test_estimates_come_nearer_to_the_truth(sigma):
    gains = []
    for seed in range(6):
        domain, joint, measured = truth_and_measured(seed, sigma)
        errors = []
        for model in (fit_tree(domain, measured).model, estimate_tree(domain, measured)):
            found = model.marginal(("a", "b", "c"))
            errors.append(np.abs(found - joint.sum(axis=3)).sum())
        gains.append(errors[1] / errors[0])
    assert np.mean(gains) < 0.95
    assert max(gains) < 1.02


def test_what_is_measured_without_noise_is_kept():
    domain, joint, measured = truth_and_measured(0, 0.01)
    found = estimate_tree(domain, measured).marginal(("a", "b"))
    assert np.abs(found - joint.sum(axis=(2, 3))).sum() < 2e-3


def test_declared_zeros_stay_zero():
    domain, _, measured = truth_and_measured(3, 100.0)
    forbidden = np.zeros((12, 10), dtype=bool)
    forbidden[:4, 5:] = True
    zeros = [StructuralZeros(clique=("a", "b"), forbidden=forbidden)]
    assert estimate_tree(domain, measured, zeros=zeros).marginal(("a", "b"))[forbidden].sum() == 0.0


def test_a_pair_that_is_known_well_is_kept_in_what_a_noisy_triple_becomes():
    domain, joint, _ = truth_and_measured(4, 1.0)
    rng = np.random.default_rng(4)
    triple, pair = 20_000 * joint.sum(axis=3), 20_000 * joint.sum(axis=(2, 3))
    measured = [
        Measurement(clique=("a", "b"), values=np.rint(pair).astype(np.int64), sigma=1.0),
        Measurement(clique=("a", "b", "c"), values=np.rint(triple + rng.normal(0, 400, triple.shape)), sigma=400.0),
    ]
    model = fit_tree(domain, measured).model
    drawn = _drawn_in(domain, merge(measured, 20_000.0), model)
    became = next(t for t in drawn if len(t.clique) == 3).values.sum(axis=2)
    fitted = 20_000 * model.marginal(("a", "b"))
    assert np.abs(became - fitted).sum() < 0.02 * 20_000
