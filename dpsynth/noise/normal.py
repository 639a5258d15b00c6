"""Continuous normal noise and uniforms for DP-SGD, in float64, from bits that the operating system keyed.

Unlike every other law of this room these can't be exact: a float has 53 bits, and sums of floats round. What is done
about it: each call has a fresh 256-bit key, places in the tail have 63 bits and not 53, so that the tail is there, and
whoever adds the noise rounds the sum to a public grid afterwards (``deep.kernel``): no low bit of a float leaves.
"""

import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from dpsynth.noise.base import RandomSource
from dpsynth.noise.kernel import BASE, fill, strips
from dpsynth.noise.tables import CumulativeTable

Floats = NDArray[np.float64]

LARGEST_NORMAL = BASE + math.sqrt(2.0 * 63.0 * math.log(2.0))
"""Nothing larger is drawn, 13.0: the tail beyond it has a probability below 2^-125."""

_BYTE = CumulativeTable.from_weights([1] * 256)
_BLOCK = 8192
"""Words that are asked for at a time, at most: what stays in a processor's cache."""
_ZEROS = memoryview(bytes(8 * _BLOCK))
_SPARE = 2
"""Words of room that a cipher wants behind what it writes."""


def draw_normal(size: int, *, random: RandomSource) -> Floats:
    """Independent standard normals by the ziggurat (Marsaglia, Tsang 2000; strips and bits as Doornik 2005 has them).

    One word gives the strip, the sign and 53 bits of the place in it, none of them from the same bits.

    Args:
      size: Number of draws.
      random: Where the key comes from; 256 bits of it are taken, whatever the size.

    Returns:
      float64, shape (size,), each within +-``LARGEST_NORMAL``.

    Privacy:
      None by itself: it reads no record. Whoever adds it to a sum of records charges first.
      Checked by: tests/dpsynth/noise/test_normal.py::test_the_law_is_normal_to_its_tails
    """
    edges, heights = strips()
    stream, out, filled, left = _stream(random), np.empty(size), 0, 0
    words = np.empty(_BLOCK + _SPARE, dtype=np.uint64)
    while filled < size:
        count = min(_BLOCK, left + size - filled + 16)
        stream.update_into(_ZEROS[: 8 * (count - left)], words[left:].data.cast("B"))
        filled, used = fill()(words[:count], edges, heights, out, filled)
        left = count - used
        words[:left] = words[used:count]
    return out


def draw_uniform(size: int, *, random: RandomSource) -> Floats:
    """Independent uniforms in [0, 1), multiples of 2^-53; for what follows the noise.

    Args:
      size: Number of draws.
      random: Where the key comes from.

    Privacy:
      None; post-processing: it reads no record, and no noise can be told from it.
    """
    words = np.frombuffer(_stream(random).update(bytes(8 * size)), dtype="<u8")
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _stream(random: RandomSource) -> CipherContext:
    """Words under a fresh key, AES-256 in counter mode: nothing is kept between calls, so neither a fork nor a copy can
    repeat any."""
    key = bytes(random.draw(_BYTE, 32).tolist())
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

