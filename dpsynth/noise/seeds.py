"""Seeds for post-processing, from the one room that owns random bits."""

from dpsynth.noise.base import RandomSource
from dpsynth.noise.tables import CumulativeTable

_BYTE = CumulativeTable.from_weights([1] * 256)


def draw_seed(random: RandomSource) -> int:
    """A 256-bit seed for a generator of post-processing randomness; never stored or published.

    Privacy:
      None; post-processing: it reads no record, and no secret noise can be told from it.
      Checked by: tests/dpsynth/noise/test_seeds.py::test_a_seed_has_256_bits_of_the_source
    """
    return int.from_bytes(bytes(random.draw(_BYTE, 32).tolist()), "big")
