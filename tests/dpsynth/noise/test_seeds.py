"""Seeds of post-processing come from the random source and differ each time."""

import numpy as np

from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.noise.seeds import draw_seed


def test_a_seed_has_256_bits_of_the_source():
    source = SystemRandom()
    seeds = {draw_seed(source) for _ in range(50)}
    assert len(seeds) == 50
    assert max(s.bit_length() for s in seeds) > 245
    assert draw_seed(SeededRandom(1)) == draw_seed(SeededRandom(1))


def test_a_seed_is_32_bytes_of_the_source_in_order():
    class Counting:
        private = False

        def draw(self, table, size):
            assert table.numerators == [2**248] * 256
            return np.arange(size, dtype=np.int64)

    assert draw_seed(Counting()) == int.from_bytes(bytes(range(32)), "big")
