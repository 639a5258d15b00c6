"""The discrete Gaussian on the integers, by table.

P(k) is proportional to exp(-k**2 / (2 sigma**2)). Source: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010).
"""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError
from dpsynth.noise.base import RandomSource
from dpsynth.noise.fixed_point import WEIGHT_BITS, exp_neg
from dpsynth.noise.tables import CumulativeTable, symmetric_table

SMALLEST_SIGMA = 0.01
LARGEST_SIGMA = 1e5
"""Range of sigma, in counts: above it a table would pass 2.7 million entries."""


def gaussian_cut(sigma: float) -> int:
    """The largest value drawn: ceil(13.5 sigma) + 1.

    The discrete Gaussian is sub-Gaussian with its own sigma (Canonne et al., Proposition 25), so the tail beyond it
    has at most 2 exp(-13.5**2 / 2) = 2 exp(-91.125) < 2**-130.
    """
    return math.ceil(13.5 * sigma) + 1


@lru_cache(maxsize=32)
def discrete_gaussian_table(sigma: float) -> CumulativeTable:
    """The table of the discrete Gaussian; index i stands for the value i - gaussian_cut(sigma).

    Args:
      sigma: Scale in counts, taken as the exact binary fraction that the float is; 0.01 to 100,000.

    Returns:
      A symmetric table. Total variation from the untruncated law: the tail (2**-130.4), plus weights that are off by
      at most cut**2 units of 2**-384 (the recurrence adds at most k units at step k), plus rounding of 2 cut units of
      2**-256: together below 2**-130.

    Raises:
      ParameterError: ``sigma`` is outside its range.
    """
    if not SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA:
        raise ParameterError(
            f"A discrete Gaussian of sigma {sigma} can't be drawn.",
            f"Its exact table covers sigma from {SMALLEST_SIGMA} to {LARGEST_SIGMA:.0f} counts.",
            "Choose a budget, or a coarser grid, whose noise lies in that range.",
        )
    variance = Fraction(sigma) ** 2
    ratio, shrink = exp_neg(1 / (2 * variance)), exp_neg(1 / variance)
    weight = 1 << WEIGHT_BITS
    half = []
    for _ in range(gaussian_cut(sigma)):  # w_(k+1) = w_k r_k with r_k = exp(-(2k + 1) / (2 sigma^2)), r_(k+1) = r_k r
        weight = weight * ratio >> WEIGHT_BITS
        ratio = ratio * shrink >> WEIGHT_BITS
        half.append(weight)
    return symmetric_table(half, 1 << WEIGHT_BITS)


def draw_discrete_gaussian(sigma: float, size: int, *, random: RandomSource) -> NDArray[np.int64]:
    """Independent discrete Gaussian noise.

    Args:
      sigma: Scale, in counts.
      size: Number of draws.
      random: Where the bits come from.

    Returns:
      int64, shape (size,), each within +-gaussian_cut(sigma).

    Privacy:
      None by itself: it reads no record. Whoever adds it to counts charges ``DiscreteGaussian`` first.
      Checked by: tests/statistical/test_samplers.py::test_discrete_gaussian_fits_its_exact_law

    Raises:
      ParameterError: ``sigma`` is outside the range of the table.
    """
    return random.draw(discrete_gaussian_table(sigma), size) - gaussian_cut(sigma)
