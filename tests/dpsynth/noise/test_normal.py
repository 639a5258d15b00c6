"""Normal noise of DP-SGD: the law, the fresh key of every call, the words of small uniforms, the grid."""

import math

import numpy as np
import pytest
from scipy.special import chdtrc, ndtr

from dpsynth.noise.normal import LARGEST_NORMAL, _in_disc, draw_normal, draw_uniform, round_to_grid
from dpsynth.noise.random import SeededRandom, SystemRandom

THRESHOLD = 1e-6
DRAWS = 400_000


def chi_square(draws, law):
    """p-value of draws against a distribution function, over 200 cells of equal probability."""
    counts = np.bincount(np.minimum((law(draws) * 200).astype(int), 199), minlength=200)
    return chdtrc(199, ((counts - len(draws) / 200) ** 2 / (len(draws) / 200)).sum())


@pytest.mark.parametrize("random", [SeededRandom(21), SystemRandom()], ids=["seeded", "system"])
def test_the_law_is_normal_to_its_tails(random):
    noise = draw_normal(DRAWS, random=random)
    assert chi_square(noise, ndtr) > THRESHOLD
    assert chi_square(np.sort(noise.reshape(2, -1), axis=0)[1], lambda x: ndtr(x) ** 2) > THRESHOLD
    assert abs((noise**2).mean() - 1.0) < 4.9 * math.sqrt(2.0 / DRAWS)
    for cut in (3.0, 4.0):
        expected = 2.0 * ndtr(-cut) * DRAWS
        assert abs((np.abs(noise) > cut).sum() - expected) < 4.9 * math.sqrt(expected) + 4.9


def test_uniforms_are_uniform():
    drawn = draw_uniform(DRAWS, random=SeededRandom(22))
    assert chi_square(drawn, lambda x: x) > THRESHOLD
    assert ((drawn >= 0.0) & (drawn < 1.0)).all()


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_as_many_as_asked_for(size):
    assert draw_normal(size, random=SeededRandom(1)).shape == (size,)
    assert draw_uniform(size, random=SeededRandom(1)).shape == (size,)


def test_each_call_has_a_key_of_its_own_from_the_source():
    taken = []

    class Counting:
        private = False

        def draw(self, table, size):
            assert table.numerators == [2**248] * 256
            taken.append(size)
            return np.full(size, len(taken), dtype=np.int64)

    source = Counting()
    one, two = draw_normal(10, random=source), draw_normal(10, random=source)
    assert taken == [32, 32]
    assert not np.intersect1d(one, two).size


def stubbed(*words):
    """A stream of these words."""
    left = list(words)

    def take(count):
        found, left[:count] = left[:count], []
        return np.array(found, dtype=np.uint64)

    return take


def words_of(*coordinates):
    """Words of these coordinates, each in [-1, 1)."""
    return [int(c * 2**63) % 2**64 for c in coordinates]


def points(one, other, most=5):
    """What is left of these points of the square; the other tries lie in its corner."""
    corner = [0.99] * (int(most * 1.28) + 64 - len(one))
    return _in_disc(stubbed(*words_of(*one, *corner), *words_of(*other, *corner)), most)


def test_points_outside_the_disc_and_its_centre_are_left_out():
    one, other, square = points([0.8, 0.0, -0.5, 0.6], [0.8, 0.0, 0.0, -0.6])
    assert one.tolist() == pytest.approx([-0.5, 0.6])
    assert other.tolist() == pytest.approx([0.0, -0.6])
    assert square.tolist() == pytest.approx([0.25, 0.72])
    assert len(points([0.1] * 9, [0.1] * 9, most=5)[0]) == 5


def test_the_smallest_radius_gives_the_largest_normal():
    one, _, square = points([2.0**-63], [0.0])
    assert (one[0], square[0]) == (2.0**-63, 2.0**-126)
    largest = one[0] * math.sqrt(-2.0 * math.log(square[0]) / square[0])
    assert largest == pytest.approx(LARGEST_NORMAL, rel=1e-12)
    assert 2.0 * ndtr(-LARGEST_NORMAL) < 2.0**-125


def test_sums_are_multiples_of_the_grid():
    values = np.array([0.1, -0.3, 5.0, 1e-9])
    rounded = round_to_grid(values, step=2.0**-10)
    assert (rounded * 2**10 == np.rint(values * 2**10)).all()
    assert np.abs(rounded - values).max() <= 2.0**-11
