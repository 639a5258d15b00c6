"""Statistical tests of the samplers: fixed seeds, so a run is repeatable; each fails a right sampler once in 10**6."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import chdtrc, ndtri

from dpsynth.noise.coins import row_coins
from dpsynth.noise.gaussian import discrete_gaussian_table, draw_discrete_gaussian, gaussian_cut
from dpsynth.noise.laplace import discrete_laplace_table, draw_discrete_laplace, laplace_cut
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.noise.selection import selection_table

THRESHOLD = 1e-6
DRAWS = 400_000
SIGMAS = 4.9
"""|z| beyond it has probability below THRESHOLD."""


def chi_square(draws, probabilities):
    """p-value of the counts of indices against their law; neighbours are merged until 20 are expected in each."""
    counts = np.bincount(draws, minlength=len(probabilities))
    groups = np.minimum((np.cumsum(probabilities) * len(draws) / 20).astype(int), int(len(draws) / 20) - 1)
    _, groups = np.unique(groups, return_inverse=True)
    seen, expected = np.bincount(groups, counts), np.bincount(groups, probabilities) * len(draws)
    return chdtrc(len(seen) - 1, ((seen - expected) ** 2 / expected).sum())


def test_the_threshold_of_z():
    assert 2 * ndtri(1 - THRESHOLD / 2) / 2 < SIGMAS


@pytest.mark.parametrize("size", [DRAWS, 1000], ids=["guided", "plain"])
@pytest.mark.parametrize("sigma", [0.6, 1.0, 7.3, 100.0])
def test_discrete_gaussian_fits_its_exact_law(sigma, size):
    random = SeededRandom(11)
    noise = np.concatenate([draw_discrete_gaussian(sigma, size, random=random) for _ in range(DRAWS // size)])
    assert chi_square(noise + gaussian_cut(sigma), discrete_gaussian_table(sigma).probabilities) > THRESHOLD
    law = discrete_gaussian_table(sigma).probabilities
    support = np.arange(-gaussian_cut(sigma), gaussian_cut(sigma) + 1)
    variance, fourth = (law * support**2).sum(), (law * support.astype(float) ** 4).sum()
    assert abs(noise.mean()) < SIGMAS * math.sqrt(variance / DRAWS)
    assert abs((noise**2).mean() - variance) < SIGMAS * math.sqrt((fourth - variance**2) / DRAWS)


@pytest.mark.parametrize("scale", [0.5, 3.0, 40.0])
def test_discrete_laplace_fits_its_exact_law(scale):
    noise = draw_discrete_laplace(scale, DRAWS, random=SeededRandom(12))
    assert chi_square(noise + laplace_cut(scale), discrete_laplace_table(scale).probabilities) > THRESHOLD


def test_selection_fits_its_law():
    table = selection_table([30, 20, 0, 29, -100], sensitivity=3, eta=1.1)
    assert chi_square(SeededRandom(13).draw(table, DRAWS), table.probabilities) > THRESHOLD


def test_the_system_source_fits_too():
    """Not seeded: fails once in 10**6 runs."""
    noise = draw_discrete_gaussian(5.0, DRAWS, random=SystemRandom())
    assert chi_square(noise + gaussian_cut(5.0), discrete_gaussian_table(5.0).probabilities) > THRESHOLD


def test_a_wrong_law_is_noticed():
    """The power of the test: a sigma off by 2 % fails it."""
    noise = draw_discrete_gaussian(5.1, DRAWS, random=SeededRandom(14))
    cut = gaussian_cut(5.0)
    assert chi_square(np.clip(noise, -cut, cut) + cut, discrete_gaussian_table(5.0).probabilities) < THRESHOLD


def test_row_coins_have_their_share():
    for share in (Fraction(1, 5), Fraction(1, 2), Fraction(1, 1000)):
        coins = row_coins(DRAWS, share=share, random=SeededRandom(15))
        spread = math.sqrt(float(share * (1 - share)) / DRAWS)
        assert abs(coins.mean() - float(share)) < SIGMAS * spread


@pytest.mark.parametrize("lag", [1, 2, 7, 1 << 15])
def test_draws_are_uncorrelated_within_and_across_blocks(lag):
    noise = draw_discrete_gaussian(3.0, DRAWS, random=SeededRandom(16)).astype(float)
    products = noise[lag:] * noise[:-lag] / 9.0
    assert abs(products.mean()) < SIGMAS / math.sqrt(len(products))


def test_buffered_blocks_are_independent_of_the_seed_next_to_them():
    streams = [draw_discrete_gaussian(3.0, DRAWS, random=SeededRandom(seed)) / 3.0 for seed in (17, 18)]
    assert abs((streams[0] * streams[1]).mean()) < SIGMAS / math.sqrt(DRAWS)
