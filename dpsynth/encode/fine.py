"""Fine cells of numeric columns, from declared facts alone: what noisy histograms count, before bins are learned."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dpsynth.encode.binning import LOG_ABOVE, default_resolution
from dpsynth.schema import Integer, Real

MOST_EACH = 2_048
"""An integer column of at most so many values has a cell for each."""
CELLS = 1_000
"""About so many cells of equal width, where the scale is linear."""


def fine_cuts(column: Integer | Real) -> NDArray[np.float64]:
    """First values of the second, third, ... fine cell, in increasing order; shape (cells - 1,).

    An integer column of few values has a cell for each. On a linear scale (a range up to 1,000, if none is declared)
    cells have one round width. On a logarithmic one each number of two significant digits has a cell of its own, as
    wide as the resolution, because values pile up at round numbers; between two of them is one cell.
    """
    lower, upper = column.bounds
    whole = isinstance(column, Integer)
    if whole and upper - lower < MOST_EACH and column.scale != "log":
        return np.arange(lower + 1, upper + 1, dtype=np.float64)
    step = resolution_of(column)
    scale = column.scale or ("log" if upper - lower > LOG_ABOVE else "linear")
    starts = _round_numbers(column, step) if scale == "log" else _equal(lower, upper, step)
    cuts = np.array(sorted({float(s) for s in starts}), np.float64)
    return cuts[(cuts > lower) & (cuts <= upper)]


def resolution_of(column: Integer | Real) -> Fraction:
    """What synthetic values of a numeric column are multiples of."""
    if isinstance(column, Integer):
        return Fraction(1)
    return default_resolution(*column.bounds) if column.resolution is None else Fraction(repr(column.resolution))


def _equal(lower: float, upper: float, step: Fraction) -> list[Fraction]:
    width = max(step, _round_up(Fraction(upper - lower) / CELLS))
    first, last = math.floor(Fraction(lower) / width) + 1, math.floor(Fraction(upper) / width)
    return [i * width for i in range(first, last + 1)]


def _round_up(width: Fraction) -> Fraction:
    """The smallest 1, 2 or 5 times a power of ten that isn't below ``width``."""
    power = Fraction(10) ** math.floor(math.log10(width))
    return next(m * power for m in (1, 2, 5, 10, 20) if m * power >= width)


def _round_numbers(column: Integer | Real, step: Fraction) -> list[Fraction]:
    lower, upper = (Fraction(repr(b)) for b in column.bounds)
    found = [Fraction(0), step, lower + step]
    for side, bound in ((1, upper), (-1, -lower)):
        power = Fraction(10) ** math.floor(math.log10(step))
        while bound > 0 and 10 * power <= bound:
            for digits in range(10, 100):
                value = digits * power
                if value <= bound and value % step == 0:
                    found += [side * value, side * value + step]
            power *= 10
        found += [side * d * step for d in range(1, 11) if bound > 0 and d * step <= bound]
        found += [side * d * step + step for d in range(1, 11) if bound > 0 and d * step <= bound]
    return [f for f in found if lower < f <= upper] + [upper]
