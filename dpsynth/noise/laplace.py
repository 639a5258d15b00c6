"""The discrete Laplace (two-sided geometric) on the integers, by table.

P(k) is proportional to exp(-abs(k) / scale). Source: Ghosh, Roughgarden, Sundararajan 2009 (arXiv:0811.2841).
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

SMALLEST_SCALE = 0.01
LARGEST_SCALE = 1e4
"""Range of the scale, in counts: above it a table would pass 1.9 million entries."""


def laplace_cut(scale: float) -> int:
    """The largest value drawn: ceil(91 scale) + 1; the tail beyond it is below 2 exp(-91) < 2**-130."""
    return math.ceil(91 * scale) + 1


@lru_cache(maxsize=32)
def discrete_laplace_table(scale: float) -> CumulativeTable:
    """The table of the discrete Laplace; index i stands for the value i - laplace_cut(scale).

    Args:
      scale: In counts, taken as the exact binary fraction that the float is; 0.01 to 10,000.

    Returns:
      A symmetric table. Total variation from the untruncated law: the tail (2**-130.2), plus weights that are off by
      at most 2 k units of 2**-384 at k, plus rounding of 2 cut units of 2**-256: together below 2**-130.

    Raises:
      ParameterError: ``scale`` is outside its range.
    """
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ParameterError(
            f"A discrete Laplace of scale {scale} can't be drawn.",
            f"Its exact table covers scales from {SMALLEST_SCALE} to {LARGEST_SCALE:.0f} counts.",
            "Choose a budget, or a coarser grid, whose noise lies in that range.",
        )
    ratio = exp_neg(1 / Fraction(scale))
    weight = 1 << WEIGHT_BITS
    half = []
    for _ in range(laplace_cut(scale)):
        weight = weight * ratio >> WEIGHT_BITS
        half.append(weight)
    return symmetric_table(half, 1 << WEIGHT_BITS)


def draw_discrete_laplace(scale: float, size: int, *, random: RandomSource) -> NDArray[np.int64]:
    """Independent discrete Laplace noise.

    Args:
      scale: In counts.
      size: Number of draws.
      random: Where the bits come from.

    Returns:
      int64, shape (size,), each within +-laplace_cut(scale).

    Privacy:
      None by itself: it reads no record. Whoever adds it to counts charges ``DiscreteLaplace`` first.
      Checked by: tests/statistical/test_samplers.py::test_discrete_laplace_fits_its_exact_law

    Raises:
      ParameterError: ``scale`` is outside the range of the table.
    """
    return random.draw(discrete_laplace_table(scale), size) - laplace_cut(scale)
