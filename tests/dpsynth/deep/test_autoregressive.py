"""The network draws rows with exactly the probabilities that its likelihood gives them."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from dpsynth.noise.random import SeededRandom
from tests.dpsynth.deep.references import autoregressive, likelihood, records, uncentred

DRAWS = 40_000


@pytest.mark.parametrize(("sizes", "hidden"), [((3, 2, 4), 7), ((2, 3), 2), ((4,), 2), ((2, 2, 3, 2), 1)])
def test_rows_are_drawn_as_the_likelihood_says(sizes, hidden):
    network, parameters, _ = autoregressive(sizes=sizes, hidden=hidden)
    cells = list(itertools.product(*map(range, sizes)))
    law = np.exp([-likelihood(parameters, torch.tensor(cell), sizes).item() for cell in cells])
    assert law.sum() == pytest.approx(1.0, abs=1e-5)
    drawn = network.sample(parameters, DRAWS, random=SeededRandom(2))
    seen = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=len(cells))
    large = law * DRAWS > 5
    seen, expected = np.append(seen[large], seen[~large].sum()), np.append(law[large], law[~large].sum()) * DRAWS
    keep = expected > 0
    assert chisquare(seen[keep], expected[keep] / expected[keep].sum() * seen[keep].sum()).pvalue > 1e-6


def test_centring_changes_no_probability():
    """Twice, because the second time moves from one centre to another."""
    sizes = (3, 2, 4)
    network, parameters, _ = autoregressive(sizes=sizes)
    cells = torch.tensor(list(itertools.product(*map(range, sizes))))
    before = torch.stack([likelihood(parameters, cell, sizes) for cell in cells])
    for seed in (1, 2):
        network = network.centred(parameters, records(sizes, 60, seed=seed).numpy())
        after = torch.stack([likelihood(uncentred(parameters, network), cell, sizes) for cell in cells])
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    drawn = network.sample(parameters, DRAWS, random=SeededRandom(2))
    seen = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=len(cells))
    law = np.exp(-before.numpy())
    large = law * DRAWS > 5
    assert chisquare(seen[large], law[large] / law[large].sum() * seen[large].sum()).pvalue > 1e-6


def test_no_rows_are_none():
    network, parameters, _ = autoregressive()
    assert network.sample(parameters, 0, random=SeededRandom(2)).shape == (0, 3)


def test_a_start_knows_nothing():
    network, _, _ = autoregressive(sizes=(3, 2), hidden=4)
    start = network.initial(random=SeededRandom(1))
    for cell in itertools.product(range(3), range(2)):
        assert likelihood(start, torch.tensor(cell), (3, 2)).item() == pytest.approx(np.log(6))
