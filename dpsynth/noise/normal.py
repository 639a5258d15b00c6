"""Continuous normal noise and uniforms for DP-SGD, in float64, from bits that the operating system keyed.

Unlike every other law of this room these can't be exact: a float has 53 bits, and sums of floats round. What is done
about it: each call has a fresh 256-bit key, the smallest radius has 63 bits and not 53, so that the tail is there, and
whoever adds the noise rounds the sum to a public grid afterwards (:func:`round_to_grid`): no low bit of a float leaves.
"""

import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from dpsynth.noise.base import RandomSource
from dpsynth.noise.tables import CumulativeTable, Words

Floats = NDArray[np.float64]

LARGEST_NORMAL = math.sqrt(2.0 * 126.0 * math.log(2.0))
"""Nothing larger is drawn, 13.2: the tail beyond it has a probability below 2^-125."""

_BYTE = CumulativeTable.from_weights([1] * 256)
_TO_UNIT = 2.0**-63
_TRIES = 1.28
"""Points of the square that are drawn for each one of the disc that is needed: a little more than 4 / pi."""


def draw_normal(size: int, *, random: RandomSource) -> Floats:
    """Independent standard normals by the polar method (Marsaglia, Bray 1964).

    The squared radius of a uniform point of the unit disc is uniform and independent of its direction.

    Args:
      size: Number of draws.
      random: Where the key comes from; 256 bits of it are taken, whatever the size.

    Returns:
      float64, shape (size,), each within +-``LARGEST_NORMAL``.

    Privacy:
      None by itself: it reads no record. Whoever adds it to a sum of records charges first.
      Checked by: tests/dpsynth/noise/test_normal.py::test_the_law_is_normal_to_its_tails
    """
    words, left, found = _stream(random), (size + 1) // 2, [np.zeros(0)]
    while left:
        one, other, square = _in_disc(words, left)
        stretch = np.sqrt(-2.0 * np.log(square) / square)
        found += [one * stretch, other * stretch]
        left -= len(square)
    return np.concatenate(found)[:size]


def draw_uniform(size: int, *, random: RandomSource) -> Floats:
    """Independent uniforms in [0, 1), multiples of 2^-53; for what follows the noise.

    Args:
      size: Number of draws.
      random: Where the key comes from.

    Privacy:
      None; post-processing: it reads no record, and no noise can be told from it.
    """
    return _unit(_stream(random)(size))


def round_to_grid(values: Floats, *, step: float) -> Floats:
    """The nearest multiples of a public step, as float64.

    Args:
      values: Sums to which noise was added, any shape.
      step: A power of two, so that multiples are exact.

    Privacy:
      None; post-processing.
    """
    out: Floats = np.rint(values / step)
    out *= step
    return out


def _stream(random: RandomSource) -> Words:
    """Words under a fresh key: nothing is kept between calls, so neither a fork nor a copy can repeat any."""
    key = bytes(random.draw(_BYTE, 32).tolist())
    cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return lambda count: np.frombuffer(cipher.update(bytes(8 * count)), dtype="<u8").astype(np.uint64, copy=False)


def _unit(words: NDArray[np.uint64]) -> Floats:
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _in_disc(words: Words, most: int) -> tuple[Floats, Floats, Floats]:
    """At most so many uniform points of the unit disc without its centre: two coordinates and the squared radius."""
    tries = int(most * _TRIES) + 64
    one, other = (words(tries).view(np.int64).astype(np.float64) * _TO_UNIT for _ in range(2))
    square = one * one + other * other
    inside = np.flatnonzero((square > 0.0) & (square < 1.0))[:most]
    return one[inside], other[inside], square[inside]
