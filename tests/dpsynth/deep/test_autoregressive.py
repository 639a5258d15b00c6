"""The network draws rows with exactly the probabilities that its likelihood gives them."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.noise.random import SeededRandom
from tests.dpsynth.deep.references import autoregressive, centred, likelihood, shares_of, uncentred

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


def test_a_centre_changes_no_probability():
    """The network around shares computes and draws what one without a centre does whose biases were moved."""
    sizes = (3, 2, 4)
    network, parameters, loss = centred(sizes=sizes)
    cells = torch.tensor(list(itertools.product(*map(range, sizes))))
    law = torch.stack([loss(parameters, cell) for cell in cells]).neg().double().exp().numpy()
    assert law.sum() == pytest.approx(1.0, abs=1e-5)
    drawn = network.sample(parameters, DRAWS, random=SeededRandom(2))
    seen = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=len(cells))
    large = law * DRAWS > 5
    assert chisquare(seen[large], law[large] / law[large].sum() * seen[large].sum()).pvalue > 1e-6


def test_a_start_with_shares_is_independent_columns_with_these():
    shares = shares_of((3, 2))
    start = Autoregressive.of((3, 2), hidden=4, shares=shares)
    parameters = start.initial(random=SeededRandom(1))
    for cell in itertools.product(range(3), range(2)):
        expected = -math.log(shares[cell[0]] * shares[3 + cell[1]])
        assert likelihood(uncentred(parameters, start), torch.tensor(cell), (3, 2)).item() == pytest.approx(expected)


def test_no_rows_are_none():
    network, parameters, _ = autoregressive()
    assert network.sample(parameters, 0, random=SeededRandom(2)).shape == (0, 3)


def test_a_start_knows_nothing():
    network, _, _ = autoregressive(sizes=(3, 2), hidden=4)
    start = network.initial(random=SeededRandom(1))
    for cell in itertools.product(range(3), range(2)):
        assert likelihood(start, torch.tensor(cell), (3, 2)).item() == pytest.approx(np.log(6))
