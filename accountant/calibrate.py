"""Calibration: the least noise, or the most steps, within a target; what it returns never exceeds the target.

One application within units of a coordinate is inverted in closed form and then checked at its exact price. A whole
plan within (epsilon, delta) is searched on the coarse grid of losses and certified on the fine one.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from accountant.compose import price
from accountant.errors import ParameterError, Refusal, UnsupportedEvent
from accountant.events import BoundedRange, DiscreteGaussian, Event
from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.report import epsilon_of
from accountant.rules.mu import SAFETY, discrete_gaussian_mu

_LARGE_MU = 25.0
"""Above it the normal tails come near the smallest floats, and noise is found by bisection."""
_BAND = 1e-3
"""A certified epsilon comes within this relative distance below its target where the plan allows it."""
_MOST_DOUBLINGS = 60
_SCALES = tuple(16.0**k for k in range(7))
"""Multiples of a guess at which a coordinate is asked whether it knows a plan at all."""

Plan = Callable[[float], Event]
"""A fixed plan as a function of one noise scale; more noise must not cost more."""


def discrete_gaussian_sigma(*, amount: int, coordinate: Coordinate, sensitivity: float = 1.0) -> float:
    """The smallest sigma (relative 1e-9) of a discrete Gaussian that costs at most ``amount`` units.

    Args:
      amount: Most units of 2^-40 of mu^2 or rho.
      coordinate: The coordinate of ``amount``.
      sensitivity: L2 sensitivity of the integer vector, in counts.

    Returns:
      sigma in counts; its own price never exceeds ``amount``.
    """
    root = math.sqrt(_plain(amount))

    def event(sigma: float) -> Event:
        return DiscreteGaussian(sigma=sigma, sensitivity=sensitivity)

    if coordinate is Coordinate.ZCDP:
        return _nudged(event, sensitivity / (root * math.sqrt(2.0)), amount=amount, coordinate=coordinate)
    if root / sensitivity > _LARGE_MU:
        return _least(event, sensitivity / root, amount=amount, coordinate=coordinate)
    return _nudged(event, _sigma_of_mu(root / sensitivity), amount=amount, coordinate=coordinate)


def bounded_range_eta(*, amount: int, coordinate: Coordinate) -> float:
    """The largest eta (relative 1e-9) of a bounded-range selection that costs at most ``amount`` units."""
    root = math.sqrt(_plain(amount))

    def event(noise: float) -> Event:
        return BoundedRange(eta=1.0 / noise)

    if coordinate is Coordinate.ZCDP:
        return 1.0 / _nudged(event, 1.0 / (root * math.sqrt(8.0)), amount=amount, coordinate=coordinate)
    if root > _LARGE_MU:
        return 1.0 / _least(event, 1.0 / root, amount=amount, coordinate=coordinate)
    x = root / math.sqrt(8.0)  # mu = 2 probit(1 / (1 + exp(-eta / 2))), solved for eta
    eta = 4.0 * math.atanh(math.erf(x)) if x < 1.0 else 2.0 * math.log(math.erfc(-x) / math.erfc(x))
    return 1.0 / _nudged(event, (1.0 + 2.0 * SAFETY) / eta, amount=amount, coordinate=coordinate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A calibrated plan.

    Attributes:
      scale: The noise scale, or the number of steps.
      epsilon: What the plan costs at ``delta``, certified; never above the target.
      delta: As asked.
      accountant: Which bound stated it: ``pld``, ``gdp`` or ``zcdp``.
    """

    scale: float
    epsilon: float
    delta: float
    accountant: str


def epsilon_of_plan(event: Event, delta: float, *, grid: float | None = None) -> tuple[float, str]:
    """The epsilon (rounded up) of a FIXED plan at ``delta``: the smallest of its bounds, and which one it is.

    Args:
      event: The whole plan. No parameter, count or choice of it depends on an output.
      delta: In (0, 1).
      grid: Spacing of the privacy losses; the certifying one by default.

    Returns:
      epsilon, infinite where every bound is above 20 or the additive deltas use up ``delta``; and ``pld``, ``gdp`` or
      ``zcdp``.

    Raises:
      UnsupportedEvent: Some event has no privacy loss distribution, or adjacencies are mixed.
    """
    from accountant.pld import CERTIFY_GRID, profile

    found = [(profile([event], grid=CERTIFY_GRID if grid is None else grid).epsilon(delta), "pld")]
    return min([*found, *_in_coordinates(event, delta)])


def _in_coordinates(event: Event, delta: float) -> list[tuple[float, str]]:
    """What the coordinates say of a plan, where they have a price for all of it."""
    found = []
    for coordinate in Coordinate:
        try:
            found.append((epsilon_of(price(event, coordinate), delta, coordinate), str(coordinate)))
        except Refusal:  # no price here, or none that is stated
            continue
    return found


def least_noise(plan: Plan, *, epsilon: float, delta: float, start: float = 1.0) -> Calibrated:
    """The smallest noise of a fixed plan within (epsilon, delta).

    Args:
      plan: The plan as a function of one noise scale, such as the noise multiplier of a DP-SGD run, or the sigma of
        the measurements of which selections take a tenth. More noise must not cost more.
      epsilon: The target, above 0 and at most 20.
      delta: The target's delta, in (0, 1).
      start: A guess.

    Returns:
      A scale whose certified epsilon is at most the target, and within 1e-3 of it where the plan's cost moves smoothly.

    Raises:
      ParameterError: A target is out of range, or no noise reaches it, or any does.
      UnsupportedEvent: The plan has an event without a rule.
    """
    from accountant.pld import CALIBRATE_GRID

    _require_target(epsilon, delta)

    def priced(scale: float) -> float:
        return min(_in_coordinates(plan(scale), delta), default=(math.inf, ""))[0]

    def coarse(scale: float) -> float:
        return epsilon_of_plan(plan(scale), delta, grid=CALIBRATE_GRID)[0]

    guess, step = start, 2.0
    if any(priced(start * factor) < math.inf for factor in _SCALES):  # a coordinate knows the plan
        with suppress(ParameterError):  # and reaches the target, so that its noise is nearly the least
            guess, step = _between(priced, *_around(priced, start, epsilon, 2.0), epsilon), 1.1
    enough = _between(coarse, *_around(coarse, guess, epsilon, step), epsilon)
    return _certified(plan, enough, epsilon=epsilon, delta=delta)


def largest_count(plan: Callable[[int], Event], *, epsilon: float, delta: float) -> Calibrated:
    """The largest number of steps of a fixed plan within (epsilon, delta).

    Args:
      plan: The plan as a function of its number of steps, from 1. More steps must not cost less.
      epsilon: The target, above 0 and at most 20.
      delta: The target's delta, in (0, 1).

    Returns:
      The number, as ``scale``; the plan of one step more is above the target on the certifying grid.

    Raises:
      ParameterError: A target is out of range, not even one step fits, or any number does.
    """
    _require_target(epsilon, delta)

    def fits(count: int) -> bool:
        return epsilon_of_plan(plan(count), delta)[0] <= epsilon

    good, bad = 0, 1
    while fits(bad):
        good, bad = bad, 2 * bad
        if bad > 2**40:
            raise _unreachable("Any number of steps stays within it.")
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    if good == 0:
        raise _unreachable("Not even one step stays within it.")
    found, name = epsilon_of_plan(plan(good), delta)
    return Calibrated(scale=good, epsilon=found, delta=delta, accountant=name)


def _certified(plan: Plan, scale: float, *, epsilon: float, delta: float) -> Calibrated:
    """Move to just within the target on the fine grid; whatever is returned was certified there."""
    best: Calibrated | None = None
    power, last = 1.0, (0.0, 0.0)
    for _ in range(12):
        found, name = epsilon_of_plan(plan(scale), delta)
        if found <= epsilon and (best is None or scale < best.scale):
            best = Calibrated(scale=scale, epsilon=found, delta=delta, accountant=name)
        if best is not None and best.epsilon >= epsilon * (1.0 - 0.8 * _BAND):
            return best
        if not 0.0 < found < math.inf:
            scale *= 2.0 if found else 0.5
            continue
        here = (math.log(scale), math.log(found))
        if last != (0.0, 0.0) and here[0] != last[0]:
            power = min(5.0, max(0.3, (last[1] - here[1]) / (here[0] - last[0])))
        last = here
        scale *= (found / (epsilon * (1.0 - 0.4 * _BAND))) ** (1.0 / power)
    if best is None:
        raise _unreachable("No noise that was tried stays within it on the certifying grid.")
    return best


def _around(at: Callable[[float], float], start: float, target: float, step: float) -> tuple[float, float]:
    """Scales within and above the target, near each other; steps grow as they go."""
    scale, within = start, at(start) <= target
    for _ in range(_MOST_DOUBLINGS):
        before, scale = scale, scale / step if within else scale * step
        if (at(scale) <= target) is not within:
            return (before, scale) if within else (scale, before)
        step = min(2.0, step * step)
    raise _unreachable("Any noise stays within it." if within else "No noise stays within it.")


def _between(at: Callable[[float], float], good: float, bad: float, target: float) -> float:
    """The smallest scale within the target (relative 1e-4), by a secant on logarithms that keeps both ends."""
    low, high = _excess(at(bad), target), _excess(at(good), target)
    while good > bad * (1.0 + 1e-4):
        part = 0.5 if math.isinf(low) or math.isinf(high) else min(0.9, max(0.1, low / (low - high)))
        middle = bad * (good / bad) ** part
        value = _excess(at(middle), target)
        if value <= 0.0:
            good, high, low = middle, value, low / 2.0  # the end that stays counts less: the Illinois rule
        else:
            bad, low, high = middle, value, high / 2.0
    return good


def _excess(epsilon: float, target: float) -> float:
    return math.log(epsilon / target) if epsilon > 0.0 else -math.inf


def _require_target(epsilon: float, delta: float) -> None:
    if not (0.0 < epsilon <= 20.0 and 0.0 < delta < 1.0):
        raise ParameterError(
            f"A plan was calibrated to epsilon {epsilon} and delta {delta}.",
            "Epsilon is above 0 and at most 20, delta lies strictly between 0 and 1.",
            "Give another target.",
        )


def _unreachable(why: str) -> ParameterError:
    return ParameterError(
        "A plan can't be calibrated to its target.", why, "Change the target, the plan, or the guess to start from."
    )


def _plain(amount: int) -> float:
    if amount < 1:
        raise ParameterError(
            f"Noise was asked for within {amount} units of 2^-40.",
            "No finite noise costs nothing.",
            "Give this step a share of at least one unit.",
        )
    return amount / AMOUNT_UNIT


def _sigma_of_mu(mu: float) -> float:
    """The sigma whose discrete Gaussian has this mu, by a secant on logarithms: mu sigma is nearly constant."""
    last = math.log(1.0 / mu)
    before = math.log(discrete_gaussian_mu(1.0 / mu) / mu)
    here = last + before
    for _ in range(30):
        excess = math.log(discrete_gaussian_mu(math.exp(here)) / mu)
        if abs(excess) < 4e-16 or excess == before:
            break
        here, last, before = here + excess * (here - last) / (before - excess), here, excess
    return math.exp(here)


def _fits(event: Callable[[float], Event], noise: float, amount: int, coordinate: Coordinate) -> bool:
    try:
        return price(event(noise), coordinate).amount <= amount
    except UnsupportedEvent:  # so little noise that it has no price
        return False


def _nudged(event: Callable[[float], Event], noise: float, *, amount: int, coordinate: Coordinate) -> float:
    """The first noise from ``noise`` upwards, in steps that start at a rounding, whose exact price fits."""
    step = 2.0**-51
    while not _fits(event, noise, amount, coordinate):
        noise, step = noise * (1.0 + step), step * 2.0
    return noise


def _least(event: Callable[[float], Event], start: float, *, amount: int, coordinate: Coordinate) -> float:
    """The smallest noise level, by bisection, whose event fits; ``start`` is a guess within a factor of 2^10."""
    good = start
    while not _fits(event, good, amount, coordinate):
        good *= 1.5
    bad = good / 1.5
    while _fits(event, bad, amount, coordinate):
        good, bad = bad, bad / 1.5
    while good - bad > 1e-11 * good:
        middle = (good + bad) / 2.0
        good, bad = (middle, bad) if _fits(event, middle, amount, coordinate) else (good, middle)
    return good
