"""Normal noise of DP-SGD: the law, its strips, the fresh key of every call, words that run out."""

import math

import numpy as np
import pytest
from scipy.special import chdtrc, ndtr

from dpsynth.noise import kernel, normal
from dpsynth.noise.kernel import BASE, STRIPS, strips
from dpsynth.noise.normal import LARGEST_NORMAL, draw_normal, draw_uniform
from dpsynth.noise.random import SeededRandom, SystemRandom

THRESHOLD = 1e-6
DRAWS = 400_000
MANY = 8_000_000


def chi_square(draws, law, cells=200):
    """p-value of draws against a distribution function, over cells of equal probability."""
    counts = np.bincount(np.minimum((law(draws) * cells).astype(int), cells - 1), minlength=cells)
    return chdtrc(cells - 1, ((counts - len(draws) / cells) ** 2 / (len(draws) / cells)).sum())


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


def test_the_law_is_normal_in_every_strip_and_beyond_them():
    noise = draw_normal(MANY, random=SeededRandom(23))
    assert chi_square(noise, ndtr, cells=20_000) > THRESHOLD
    edges = np.unique(strips()[0][1:])
    inside = np.histogram(np.abs(noise), bins=edges)[0]
    law = 2.0 * np.diff(ndtr(edges)) * MANY
    assert chdtrc(len(law), ((inside - law) ** 2 / law).sum()) > THRESHOLD
    beyond = np.abs(noise[np.abs(noise) > BASE])
    tail = 2.0 * ndtr(-BASE)
    assert abs(len(beyond) - tail * MANY) < 4.9 * math.sqrt(tail * MANY)
    assert chi_square(beyond, lambda x: (ndtr(x) - ndtr(BASE)) / ndtr(-BASE), cells=20) > THRESHOLD


def test_signs_are_fair_and_independent_of_the_strip():
    noise = draw_normal(MANY, random=SeededRandom(24))
    strip = np.searchsorted(-strips()[0][1:], -np.abs(noise))
    for part in range(8):
        mine = noise[strip % 8 == part]
        assert abs((mine > 0).mean() - 0.5) < 4.9 * 0.5 / math.sqrt(len(mine))


def test_the_strips_have_equal_areas_and_close_at_the_top():
    edges, heights = strips()
    assert len(edges) == STRIPS + 1
    assert (edges[1], edges[-1], heights[-1]) == (BASE, 0.0, 1.0)
    areas = edges[1:-1] * np.diff(heights[1:])
    tail = math.sqrt(2.0 * math.pi) * ndtr(-BASE)
    base = BASE * heights[1] + tail
    np.testing.assert_allclose([*areas, edges[0] * heights[1]], base, rtol=1e-11)
    assert base * STRIPS == pytest.approx(math.sqrt(math.pi / 2.0), rel=0.02)  # the rest lies above the density


def word_of(strip, share, *, negative=False):
    """A word of this strip, place and sign."""
    return (int(share * 2**53) << 11) | (256 if negative else 0) | strip


def filled(words, size):
    """What these words give, and how many of them were used."""
    out = np.full(size, np.nan)
    count, used = kernel.fill()(np.array(words, dtype=np.uint64), *strips(), out, 0)
    return out[:count].tolist(), used


def test_a_place_within_its_strip_takes_one_word():
    edges, _ = strips()
    words = [word_of(7, 0.5), word_of(200, 0.25, negative=True)]
    assert filled(words, 2) == ([0.5 * edges[7], -0.25 * edges[200]], 2)


def test_a_place_beyond_the_next_strip_is_weighed_against_the_density():
    edges, heights = strips()
    share = 0.5 * (edges[11] / edges[10] + 1.0)
    place = int(share * 2**53) * 2.0**-53 * edges[10]
    chance = (math.exp(-0.5 * place * place) - heights[10]) / (heights[11] - heights[10])
    assert 0.1 < chance < 0.9
    below, above = int((chance - 1e-6) * 2**64), int((chance + 1e-6) * 2**64)
    assert filled([word_of(10, share), below], 1) == ([place], 2)
    assert filled([word_of(10, share), above, word_of(7, 0.5)], 1) == ([0.5 * edges[7]], 3)


def test_the_tail_is_exponential_places_that_a_second_word_keeps():
    far = word_of(0, 0.999)
    one = 2**64 - 1 - int(0.5 * 2**64)
    kept, used = filled([far, one, 1], 1)
    assert (kept, used) == ([pytest.approx(BASE + math.log(2.0) / BASE)], 3)
    assert filled([far, 1, 2**64 - 1, one, 1], 1) == (kept, 5)  # the first place is too far for its second word
    assert filled([far | 256, one, 1], 1)[0] == [-kept[0]]


def test_the_largest_normal_is_that_of_the_smallest_words():
    limit = LARGEST_NORMAL - BASE
    word = 2 * int(math.exp(-limit * BASE) * 2.0**63 * (1.0 + 1e-4))
    (largest,), _ = filled([word_of(0, 0.999), word, 0], 1)
    assert largest == pytest.approx(LARGEST_NORMAL, rel=1e-5)
    assert filled([word_of(0, 0.999), word * 99 // 100, 0], 1)[0] == []  # further out nothing is kept
    assert 2.0 * ndtr(-LARGEST_NORMAL) < 2.0**-125


@pytest.mark.parametrize("words", [[], [word_of(0, 0.999)], [word_of(0, 0.999), 5], [word_of(10, 0.99999)]])
def test_a_number_whose_words_run_out_is_not_begun(words):
    whole = [word_of(7, 0.5), *words]
    assert filled(whole, 2) == ([pytest.approx(0.5 * strips()[0][7])], 1)


@pytest.mark.parametrize("block", [5, 40, 1000])
def test_blocks_of_words_make_no_difference(monkeypatch, block):
    """Numbers that need many words stand at the ends of blocks as often as elsewhere."""
    size = 30_000
    whole = draw_normal(size, random=SeededRandom(25))
    monkeypatch.setattr(normal, "_BLOCK", block)
    np.testing.assert_array_equal(draw_normal(size, random=SeededRandom(25)), whole)
