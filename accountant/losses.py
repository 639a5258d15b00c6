"""Privacy losses on a grid: one step's curves as a law, and the law of a sum of many steps, never optimistic.

A step. With x = e^epsilon, a hockey-stick curve is convex in x, and the broken line through its values at grid points
lies above it: it is the curve of a law of losses on those points (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi
2022, arXiv:2207.04380). Write delta(epsilon) = (1 - e^epsilon)_+ + r(epsilon): the first part is the curve of the unit
mass at loss 0, and r is small at both ends, so the law is that unit mass plus a second difference of r, and no tail
loses digits. r is taken 1e-10 larger than it is, far above what rounding can take off the curves and their differences.
What is negative after rounding becomes zero, what lies above the last point becomes an additive delta, what lies below
the first point is put on it: all of that only raises the curve, and composition is monotone in the curves.

A sum. The law is tilted, p(l) e^(theta l) / M(theta), so that the losses that decide a question are in its middle;
tilted laws are convolved by one FFT and tilted back, which makes errors relative to the answer instead of to one. Added
to every answer: the mass above the FFT's window (Chernoff's bound; what lies below the window appears at its upper end,
which only adds), and a bound on all roundings of the FFT (Higham 2002, Theorem 24.2, in l2, times sqrt(length)).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.rules.pld import Curve, Floats

CUSHION = 1e-10
"""Relative amount by which a step's curve is raised before it is put on the grid."""
_CONCAVE = -1e-9
"""A second difference below this isn't rounding."""
_TOP, _BOTTOM = 1e-30, 1e-18
"""Where a curve is cut: the rest above is an additive delta, the rest below is moved up."""
_MOST_POINTS = 2**21
_UNIT = 2.0**-53
_WINDOW = 42.0
"""Outside the FFT's window a tilted law has at most e^-42 on each side."""


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """A law of losses: ``mass[i]`` at ``(first + i) * grid``, an additive delta ``lost``, ``count`` copies."""

    grid: float
    first: int
    mass: Floats
    lost: float
    count: int = 1

    @property
    def values(self) -> Floats:
        """The losses that have mass."""
        return (self.first + np.arange(len(self.mass), dtype=np.float64)) * self.grid


def discretise(upper: Curve, lower: Curve, *, grid: float, count: int = 1) -> Losses:
    """The law of one step: ``upper`` is its curve at epsilon >= 0, ``lower`` that of the exchanged pair."""
    high, low = math.ceil(_reach(upper, _TOP) / grid), math.ceil(_reach(lower, _BOTTOM) / grid)
    above, below = np.arange(high + 1.0) * grid, np.arange(low, 0.0, -1.0) * grid
    return on_grid(np.exp(-below) * lower(below), upper(above), grid=grid, count=count)


def on_grid(below: Floats, above: Floats, *, grid: float, count: int = 1) -> Losses:
    """The law whose curve exceeds (1 - e^epsilon)_+ by ``below`` at negative grid points and by ``above`` from 0 on."""
    r = np.concatenate((below, above)) * (1.0 + CUSHION)
    mass = _second_difference(r, len(below), grid)
    if mass.min() < _CONCAVE:  # a bound on curves that isn't one: every convex curve below it is below its hull
        mass = _second_difference(_hull(r, len(below), grid), len(below), grid)
    return Losses(grid, -len(below), np.maximum(mass, 0.0), float(r[-1]), count)


def _second_difference(r: Floats, zero: int, grid: float) -> Floats:
    steps = np.diff(np.concatenate(([r[0] * math.exp(-grid)], r, r[-1:])))
    mass: Floats = (steps[1:] - math.exp(grid) * steps[:-1]) / math.expm1(grid)
    mass[zero] += 1.0
    return mass


def _hull(r: Floats, zero: int, grid: float) -> Floats:
    """r of the largest convex curve below the points, in e^epsilon; where r is small it is left as it is."""
    inner = np.flatnonzero(r > 1e-6)
    x = np.exp((inner - zero) * grid)
    straight = np.maximum(1.0 - x, 0.0)
    result = r.copy()
    result[inner] = np.minimum(r[inner], np.maximum(_lower_hull(x, straight + r[inner]) - straight, 0.0) * (1.0 + 1e-9))
    return result


def fitting_grid(curves: Sequence[Curve], grid: float) -> float:
    """``grid``, doubled until every curve has at most 2^21 points on a side: coarser is still pessimistic."""
    reach = max((_reach(curve, _TOP) for curve in curves), default=0.0)
    while reach / grid > _MOST_POINTS:
        grid *= 2.0
    return grid


def _reach(curve: Curve, least: float) -> float:
    """An epsilon at which the curve is at most ``least``, within 1 %; 0 where it always is."""

    def at(epsilon: float) -> float:
        return float(curve(np.array([epsilon]))[0])

    if at(0.0) <= least:
        return 0.0
    high = 1e-3
    while at(high) > least and high < 600.0:
        high *= 2.0
    low = high / 2.0
    for _ in range(8):
        middle = (low + high) / 2.0
        low, high = (low, middle) if at(middle) <= least else (middle, high)
    return high


def _lower_hull(x: Floats, y: Floats) -> Floats:
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    hull: Floats = np.interp(x, x[kept], y[kept])
    return hull


def log_moment(losses: Losses, theta: float) -> float:
    """log of the mean of e^(theta loss) of one copy."""
    with np.errstate(divide="ignore"):
        exponents = np.log(losses.mass) + theta * losses.values
    largest = float(exponents.max())
    return largest + math.log(float(np.exp(exponents - largest).sum()))


def find_tilt(parts: Sequence[Losses], low_enough: Callable[[float, float], bool]) -> float:
    """The least tilt at which ``low_enough(exponent, mean)`` stops to hold; never an answer itself.

    Any tilt gives a valid bound; a good one gives a sharp bound. Blocks of grid points stand for each law here.
    """
    blocks = [_blocks(part) for part in parts]
    low, high = math.log(1e-6), math.log(1e4)
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if low_enough(*_exponent(blocks, math.exp(middle))) else (low, middle)
    return math.exp(low)


def _blocks(part: Losses) -> tuple[int, Floats, Floats]:
    """Count, mean losses and log masses of at most 8,192 blocks."""
    size = -(-len(part.mass) // 8192)
    short = -len(part.mass) % size
    mass = np.pad(part.mass, (0, short)).reshape(-1, size)
    values = np.pad(part.values, (0, short)).reshape(-1, size)
    total = mass.sum(axis=1)
    kept = total > 0.0
    return part.count, (mass * values).sum(axis=1)[kept] / total[kept], np.log(total[kept])


def _exponent(blocks: Sequence[tuple[int, Floats, Floats]], theta: float) -> tuple[float, float]:
    """Chernoff's exponent at the tilted mean, and that mean."""
    log = mean = 0.0
    for count, values, logs in blocks:
        exponents = logs + theta * values
        largest = float(exponents.max())
        weights = np.exp(exponents - largest)
        total = float(weights.sum())
        log += count * (largest + math.log(total))
        mean += count * float(np.dot(weights, values)) / total
    return log - theta * mean, mean


@dataclass(frozen=True, slots=True, eq=False)
class Tilted:
    """The tilted law of a sum: what an upper bound on the curve is read from.

    Attributes:
      theta: The tilt.
      log_scale: log of the mean of e^(theta sum).
      losses: Values of the window, ascending.
      mass: Tilted mass at each, not negative.
      error: Bound on the l1 error of ``mass``.
      lost: Bound on the original mass above the window.
      top: The largest loss there is.
    """

    theta: float
    log_scale: float
    losses: Floats
    mass: Floats
    error: float
    lost: float
    top: float

    def delta(self, epsilon: float) -> float:
        """An upper bound on the curve at ``epsilon``; sharp where the tilt was chosen for it."""
        if epsilon >= self.top:
            return 0.0
        start = int(np.searchsorted(self.losses, epsilon, side="right"))
        over = self.losses[start:] - epsilon
        inside = float(np.dot(self.mass[start:], -np.expm1(-over) * np.exp(-self.theta * over)))
        log_factor = self.log_scale - self.theta * epsilon
        if log_factor > 600.0:
            return 1.0
        return (math.exp(log_factor) * (inside + self.error) + self.lost) * (1.0 + 1e-9)

    def epsilon(self, delta: float) -> float:
        """An epsilon >= 0 whose :meth:`delta` is at most ``delta``, the least within 1e-9; infinite above 20."""
        low, high = 0.0, 20.0
        if self.delta(low) <= delta:
            return low
        if self.delta(high) > delta:
            return math.inf
        at_low, at_high = math.log(self.delta(low)), math.log(max(self.delta(high), 1e-300))
        target = math.log(delta)
        for turn in range(80):
            share = (at_low - target) / (at_low - at_high) if turn % 3 else 0.5
            middle = low + (high - low) * min(max(share, 0.02), 0.98)
            value = math.log(max(self.delta(middle), 1e-300))
            if value <= target:
                high, at_high = middle, value
            else:
                low, at_low = middle, value
            if high - low <= 1e-9 * max(1.0, high):
                break
        return high


def tilted_sum(parts: Sequence[Losses], theta: float) -> Tilted:
    """The law of the sum of all copies of all ``parts`` (one grid), tilted by ``theta``."""
    grid = parts[0].grid
    logs = [log_moment(part, theta) for part in parts]
    log_scale = math.fsum(part.count * log for part, log in zip(parts, logs, strict=True))
    weights = [_weights(part, theta, log) for part, log in zip(parts, logs, strict=True)]
    first, last, lost = _window(parts, weights, theta, log_scale)
    length = _fast_length(last - first + 1)
    product, least, spread = np.ones(length // 2 + 1, dtype=np.complex128), math.inf, 0.0
    unit = 8.0 * _UNIT * math.log2(length)
    for part, weight in zip(parts, weights, strict=True):
        folded = np.pad(weight, (0, -len(weight) % length)).reshape(-1, length).sum(axis=0)
        norm = float(np.linalg.norm(folded))
        least, spread = min(least, norm), spread + part.count * (unit * norm + 4.0 * _UNIT * norm)
        product *= _power(np.fft.rfft(folded), part.count)
    mass = np.fft.irfft(product, length)
    error = math.sqrt(length) * (spread + unit * least) * 1.01
    offset = (first - sum(part.count * part.first for part in parts)) % length
    window = (first + np.arange(length, dtype=np.float64)) * grid
    top = sum(part.count * (part.first + int(np.flatnonzero(part.mass)[-1])) for part in parts) * grid
    return Tilted(theta, log_scale, window, np.maximum(np.roll(mass, -offset), 0.0), error, lost, top)


def _weights(part: Losses, theta: float, log: float) -> Floats:
    weights: Floats = part.mass * np.exp(theta * part.values - log)
    return weights


def _power(base: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    result = np.ones_like(base)
    while count:
        if count & 1:
            result = result * base
        count >>= 1
        if count:
            base = base * base
    return result


def _window(
    parts: Sequence[Losses], weights: Sequence[Floats], theta: float, log_scale: float
) -> tuple[int, int, float]:
    """First and last grid point that matter, and a bound on the original mass above the last."""
    grid = parts[0].grid
    first = sum(part.count * part.first for part in parts)
    last = sum(part.count * (part.first + len(part.mass) - 1) for part in parts)
    mean = variance = 0.0
    for part, weight in zip(parts, weights, strict=True):
        centre = float(np.dot(weight, part.values))
        mean += part.count * centre
        variance += part.count * float(np.dot(weight, (part.values - centre) ** 2))
    spread = max(math.sqrt(variance), grid)
    best, lost = last, 0.0
    for sign in (1, -1):
        for rate in (9.0, 5.0, 3.0, 1.5, 0.7, 0.3):
            s = sign * rate / spread
            log = math.fsum(
                part.count * _log_mean(weight, s * part.values) for part, weight in zip(parts, weights, strict=True)
            )
            bound = (log + _WINDOW) / s / grid
            if sign > 0 and math.ceil(bound) < best:
                best = math.ceil(bound)
                # sum of p over losses >= b is at most e^(log_scale - theta b) times the tilted mass there, theta >= 0
                lost = math.exp(min(0.0, log_scale - theta * best * grid - _WINDOW)) * 1.01
            elif sign < 0:
                first = max(first, math.floor(bound))
    return first, max(best, first), lost


def _log_mean(weight: Floats, exponents: Floats) -> float:
    largest = float(exponents.max())
    total = float(np.dot(weight, np.exp(exponents - largest)))
    return largest + math.log(total) if total > 0.0 else -math.inf


def _fast_length(least: int) -> int:
    """The smallest even product of 2, 3 and 5 of the forms 2^k, 3 2^k, 5 2^k, 9 2^k that isn't below ``least``."""
    return min(m << max(1, math.ceil(math.log2(max(least, 2) / m))) for m in (1, 3, 5, 9))
