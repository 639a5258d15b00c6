"""Calibration: the least noise whose ONE application costs at most a given number of units."""

import math
from collections.abc import Callable

from accountant.compose import price
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import BoundedRange, DiscreteGaussian, Event
from accountant.price import AMOUNT_UNIT, Coordinate


def discrete_gaussian_sigma(*, amount: int, coordinate: Coordinate, sensitivity: float = 1.0) -> float:
    """The smallest sigma (relative 1e-9) of a discrete Gaussian that costs at most ``amount`` units.

    Args:
      amount: Most units of 2^-40 of mu^2 or rho.
      coordinate: The coordinate of ``amount``.
      sensitivity: L2 sensitivity of the integer vector, in counts.

    Returns:
      sigma in counts; its own price never exceeds ``amount``.
    """
    start = sensitivity / math.sqrt(_plain(amount))

    def event(sigma: float) -> Event:
        return DiscreteGaussian(sigma=sigma, sensitivity=sensitivity)

    return _least(event, start, amount=amount, coordinate=coordinate)


def bounded_range_eta(*, amount: int, coordinate: Coordinate) -> float:
    """The largest eta (relative 1e-9) of a bounded-range selection that costs at most ``amount`` units."""
    start = 1.0 / math.sqrt(_plain(amount))
    return 1.0 / _least(lambda noise: BoundedRange(eta=1.0 / noise), start, amount=amount, coordinate=coordinate)


def _plain(amount: int) -> float:
    if amount < 1:
        raise ParameterError(
            f"Noise was asked for within {amount} units of 2^-40.",
            "No finite noise costs nothing.",
            "Give this step a share of at least one unit.",
        )
    return amount / AMOUNT_UNIT


def _least(event: Callable[[float], Event], start: float, *, amount: int, coordinate: Coordinate) -> float:
    """The smallest noise level, by bisection, whose event fits; ``start`` is a guess within a factor of 2^10."""

    def fits(noise: float) -> bool:
        try:
            return price(event(noise), coordinate).amount <= amount
        except UnsupportedEvent:  # so little noise that it has no price
            return False

    good = start
    while not fits(good):
        good *= 1.5
    bad = good / 1.5
    while fits(bad):
        good, bad = bad, bad / 1.5
    while good - bad > 1e-11 * good:
        middle = (good + bad) / 2.0
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
