"""Bins of numeric columns, from declared facts alone."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dpsynth.schema import Integer, Real

DEFAULT_BINS = 32
EACH_UP_TO = 100
"""An integer column with at most this many values gets one code for each."""
LOG_ABOVE = 1_000
"""A range wider than this is binned on a logarithmic scale, if nothing else is declared."""
_DECADES = 1e4
"""Magnitudes below the largest bound divided by this share one bin on each side of 0."""


def cuts_of(column: Integer | Real) -> NDArray[np.float64]:
    """First values of the second, third, ... bin, in increasing order; shape (bins - 1,).

    Bin i holds the values from cut i - 1 (the lower bound, for the first) up to, but without, cut i; the last one also
    holds the upper bound. Declared ``edges`` are used as they are. Else there are ``bins`` bins (32) on the declared
    scale, or on a signed logarithmic one, with 0 alone in its bin, where the range exceeds 1,000. An integer column of
    at most 100 values has a bin for each; a wider one without declared ``bins`` has its two bounds alone in theirs,
    because bounds are often codes (none, "or more") at which values pile up.
    """
    lower, upper = column.bounds
    if column.edges is not None:
        return np.array(column.edges, np.float64)
    whole = isinstance(column, Integer)
    if column.bins == "each" or (whole and _small(column)):
        return np.arange(lower + 1, upper + 1, dtype=np.float64)
    bins = int(column.bins or DEFAULT_BINS)
    scale = column.scale or ("log" if upper - lower > LOG_ABOVE else "linear")
    raw = _log(lower, upper, bins, whole) if scale == "log" else _linear(lower, upper, bins)
    ends = [lower + 1, upper] if whole and column.bins is None else []
    cuts = np.unique([*(np.round(raw) if whole else _rounded(raw)), *ends])
    return cuts[(cuts > lower) & ((cuts <= upper) if whole or upper == 0 else (cuts < upper))]


def _small(column: Integer | Real) -> bool:
    values = column.bounds[1] - column.bounds[0] + 1
    return values <= EACH_UP_TO and column.bins is None and column.scale != "log"


def _linear(lower: float, upper: float, bins: int) -> NDArray[np.float64]:
    return lower + (upper - lower) * (np.arange(1, bins) / bins)


def _log(lower: float, upper: float, bins: int, whole: bool) -> NDArray[np.float64]:
    if lower > 0:
        return np.geomspace(lower, upper, bins + 1)[1:-1]
    if upper < 0:
        return -np.geomspace(-upper, -lower, bins + 1)[1:-1][::-1]
    unit = max(max(-lower, upper) / _DECADES, 1.0 if whole else 0.0)
    sides = [_decades(-lower, unit), _decades(upper, unit)]
    share = (bins - 1) / (sum(sides) or 1.0)
    below, above = (max(1, round(side * share)) if side else 0 for side in sides)
    zero = [0.0] if lower < 0 else []
    after = [1.0 if whole else math.nextafter(0.0, 1.0)] if upper > 0 else []
    return np.array([*(-_side(-lower, unit, below)[::-1]), *zero, *after, *_side(upper, unit, above)])


def _decades(bound: float, unit: float) -> float:
    return 0.0 if bound == 0 else 1.0 + max(0.0, math.log10(bound / unit))


def _side(bound: float, unit: float, bins: int) -> NDArray[np.float64]:
    """Cuts between 0 and ``bound``: one bin up to ``unit``, then geometric steps."""
    return np.geomspace(unit, bound, bins)[:-1] if bins > 1 and bound > unit else np.empty(0)


def _rounded(cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cuts in ten digits, the same on every machine; the smallest positive number marks the end of 0's bin."""
    return np.array([float(f"{cut:.10g}") for cut in cuts], np.float64)


def default_resolution(lower: float, upper: float) -> Fraction:
    """A power of ten, at most 1, of which the range holds at least 10,000."""
    return min(Fraction(1), Fraction(10) ** math.floor(math.log10((upper - lower) / 1e4)))
