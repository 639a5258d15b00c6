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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.errors import UnsupportedEvent
from accountant.rules.pld import Curve, Floats

CUSHION = 1e-10
"""Relative amount by which a step's curve is raised before it is put on the grid."""
_CONCAVE = -1e-9
"""A second difference below this isn't rounding."""
_TOP, _BOTTOM = 1e-30, 1e-18
"""Where a curve is cut: the rest above is an additive delta, the rest below is moved up."""
_PROBES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Where a curve that starts at nothing is looked at again."""
_MOST_POINTS = 2**21
_UNIT = 2.0**-53
_FAR = 42.0
"""A loss weighs e^-42 or less where it is this far above a question, in units of one over the tilt."""
_LARGEST = 20.0
_FINITE = 300.0
"""Up to this loss a hull is looked for: e^300 squared is a number still."""
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
    inner = np.flatnonzero((r > 1e-6) & (np.arange(len(r)) - zero < _FINITE / grid))
    if inner.size < 3:
        return r  # as it is: negative masses become zero, which only raises the curve
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

    if not at(0.0) > least:
        _require_falling(curve)
        return 0.0
    high = 1e-3
    while at(high) > least and high < 600.0:
        high *= 2.0
    low = high / 2.0
    for _ in range(8):
        middle = (low + high) / 2.0
        low, high = (low, middle) if at(middle) <= least else (middle, high)
    return high


def _require_falling(curve: Curve) -> None:
    """Refuse a curve that starts at nothing and isn't one: a hockey stick is in [0, 1] and falls."""
    values = np.asarray(curve(np.array(_PROBES)), dtype=np.float64)
    if np.isfinite(values).all() and values.min() > _CONCAVE and np.diff(values).max() <= -_CONCAVE:
        return
    raise UnsupportedEvent(
        "The privacy curve of an event starts at 0 and isn't that of any mechanism.",
        "A curve falls, from at most 1 to 0; this one rises, is negative or isn't a number, so rounding has spoilt it.",
        "Use more noise, or enter the step as a claim that is proved elsewhere.",
    )


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


def exponent_above(least: float) -> Callable[[float, float], bool]:
    """For :func:`find_tilt`: the tilt at which Chernoff's bound on the curve falls to e^``least``."""
    return lambda exponent, _: exponent > least


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
      error: Bound on the l1 error of ``mass``, and on what losses far above a question still add.
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
        stop = int(np.searchsorted(self.losses, epsilon + _FAR / self.theta))
        over = self.losses[start:stop] - epsilon
        inside = float(np.dot(self.mass[start:stop], -np.expm1(-over) * np.exp(-self.theta * over)))
        if self._log_factor(epsilon) > 600.0:
            return 1.0
        return (math.exp(self._log_factor(epsilon)) * (inside + self.error) + self.lost) * (1.0 + 1e-9)

    def curve(self, epsilons: Floats) -> Floats:
        """:meth:`delta` at many points at once, a little (1e-9 of the mass above each) larger; at most 1."""
        with np.errstate(over="ignore", invalid="ignore"):
            mass = self.mass * np.exp(np.minimum(self.log_scale - self.theta * self.losses, 600.0))
            upper = np.append(np.cumsum(mass[::-1])[::-1], 0.0)
            lower = np.append(np.cumsum((mass * np.exp(-self.losses))[::-1])[::-1], 0.0)
            at = np.searchsorted(self.losses, epsilons, side="right")
            value = upper[at] * (1.0 + 1e-9) - np.exp(epsilons) * lower[at]
            value += np.exp(np.minimum(self.log_scale - self.theta * epsilons, 600.0)) * self.error + self.lost
        return np.where(np.isfinite(value), np.clip(value, 0.0, 1.0), 1.0)

    def blur(self, epsilon: float) -> float:
        """The part of :meth:`delta` that bounds errors."""
        return math.exp(min(600.0, self._log_factor(epsilon))) * self.error + self.lost

    def _log_factor(self, epsilon: float) -> float:
        return self.log_scale - self.theta * epsilon

    def epsilon(self, delta: float) -> float:
        """An epsilon >= 0 whose :meth:`delta` is at most ``delta``; infinite above 20."""
        if self.delta(0.0) <= delta:
            return 0.0
        if not self.delta(_LARGEST) <= delta:
            return math.inf
        guess, step = self._guess(delta), 1e-9
        while guess + step < _LARGEST:
            if self.delta(guess + step) <= delta:
                return guess + step
            step *= 8.0
        return _LARGEST

    def _guess(self, delta: float) -> float:
        """Where the curve, without errors, meets ``delta``: by sums from the top down."""
        start = int(np.searchsorted(self.losses, 0.0))
        losses, mass = self.losses[start:], self.mass[start:]
        scaled = mass * np.exp(np.minimum(self.log_scale - self.theta * losses - math.log(delta), 600.0))
        upper = np.cumsum(scaled[::-1])[::-1]
        lower = np.cumsum((scaled * np.exp(-losses))[::-1])[::-1]
        cell = int(np.argmax(upper - np.exp(losses) * lower <= 1.0))
        if lower[cell] <= 0.0 or upper[cell] <= 1.0:
            return float(losses[max(cell - 1, 0)])
        return max(0.0, math.log((upper[cell] - 1.0) / lower[cell]))


def tilted_sum(parts: Sequence[Losses], theta: float) -> Tilted:
    """The law of the sum of all copies of all ``parts`` (one grid), tilted by ``theta``."""
    with np.errstate(divide="ignore"):
        masses = [np.log(part.mass) for part in parts]
    logs = [_log_moment(part, mass, theta) for part, mass in zip(parts, masses, strict=True)]
    log_scale = math.fsum(part.count * log for part, log in zip(parts, logs, strict=True))
    each = zip(parts, masses, logs, strict=True)
    weights = [np.exp(mass + (theta * part.values - log)) for part, mass, log in each]
    first, last, lost = _window(parts, masses, weights, theta, log_scale)
    length = _fast_length(last - first + 1)
    product, error = _convolved(parts, weights, length)
    offset = (first - sum(part.count * part.first for part in parts)) % length
    window = (first + np.arange(length, dtype=np.float64)) * parts[0].grid
    top = sum(part.count * (part.first + int(np.flatnonzero(part.mass)[-1])) for part in parts) * parts[0].grid
    return Tilted(theta, log_scale, window, np.maximum(np.roll(product, -offset), 0.0), error, lost, top)


def _log_moment(part: Losses, log_mass: Floats, theta: float) -> float:
    """log of the mean of e^(theta loss) of one copy."""
    exponents = log_mass + theta * part.values
    largest = float(exponents.max())
    return largest + math.log(float(np.exp(exponents - largest).sum()))


def _convolved(parts: Sequence[Losses], weights: Sequence[Floats], length: int) -> tuple[Floats, float]:
    """The circular convolution of all copies, and a bound on the l1 norm of its error."""
    product, least, spread = np.ones(length // 2 + 1, dtype=np.complex128), math.inf, 0.0
    unit = 8.0 * _UNIT * math.log2(length)
    for part, weight in zip(parts, weights, strict=True):
        folded = np.pad(weight, (0, -len(weight) % length)).reshape(-1, length).sum(axis=0)
        norm = float(np.linalg.norm(folded))
        least, spread = min(least, norm), spread + part.count * (unit + 4.0 * _UNIT) * norm
        product = product * _power(np.fft.rfft(folded), part.count)
    return np.fft.irfft(product, length), math.sqrt(length) * (spread + unit * least) * 1.01 + math.exp(-_FAR)


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
    parts: Sequence[Losses], masses: Sequence[Floats], weights: Sequence[Floats], theta: float, log_scale: float
) -> tuple[int, int, float]:
    """First and last grid point that matter, and a bound on the original mass above the last."""
    grid = parts[0].grid
    first = sum(part.count * part.first for part in parts)
    last = sum(part.count * (part.first + len(part.mass) - 1) for part in parts)
    variance = 0.0
    for part, weight in zip(parts, weights, strict=True):
        centre = float(np.dot(weight, part.values))
        variance += part.count * float(np.dot(weight, (part.values - centre) ** 2))

    def bound(s: float) -> float:
        each = zip(parts, masses, strict=True)
        log = math.fsum(part.count * _log_moment(part, mass, theta + s) for part, mass in each) - log_scale
        return (log + _WINDOW) / s / grid

    rates = [rate / max(math.sqrt(variance), grid) for rate in (9.0, 5.0, 3.0, 1.5, 0.7, 0.3)]
    above = _until_worse(bound(rate) for rate in rates)
    below = -_until_worse(-bound(-rate) for rate in rates)
    first = max(first, math.floor(below))
    if above >= last:
        return first, last, 0.0
    last = max(math.ceil(above), first)
    # the mass of losses above b is at most e^(log_scale - theta b) times the tilted mass there, as theta >= 0
    return first, last, math.exp(min(0.0, log_scale - theta * last * grid - _WINDOW)) * 1.01


def _until_worse(bounds: Iterable[float]) -> float:
    """The smallest bound up to the first that is larger: they fall, then rise, and each is valid."""
    best = math.inf
    for each in bounds:
        if each > best:
            break
        best = each
    return best


def _fast_length(least: int) -> int:
    """The smallest even product of 2, 3 and 5 of the forms 2^k, 3 2^k, 5 2^k, 9 2^k that isn't below ``least``."""
    return min(m << max(1, math.ceil(math.log2(max(least, 2) / m))) for m in (1, 3, 5, 9))
