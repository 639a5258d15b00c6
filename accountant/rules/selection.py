"""Partition selection by thresholded noisy counts: its mu and its delta, for every coordinate.

Each label's count of units gets discrete Gaussian noise; labels at or above the threshold T are released (with their
noisy counts or without). A unit holds at most k labels and adds 1 to each.

Add-remove. On labels that others hold too, its shift has the L2 norm sqrt(k): mu = sqrt(k) mu_1(sigma). A label that it
alone holds is a possible output of one data set only; any such label is released with probability at most
delta = 1 - (1 - p)^k, p = P[1 + noise >= T]. With the unit against without: outside that event the laws are those of
the shared labels, so H <= delta + H(mu) at every epsilon. Without against with: the law with the unit, kept to "none of
its own labels", is (1 - delta) times that of the shared labels, so with x = e^epsilon the curve is at most G(x'),
x' = x (1 - delta), G the curve of mu. That is at most delta + G(x) for every x > 0, where delta <= 1/2: G is convex and
decreasing, its slope s(x) = Phi(-mu/2 - epsilon/mu) (without sign) is at most 1, from x = 1 on at most 1/2, and there
x s(x) is at most 1/2, too (phi(.) times a Mills ratio). So G(x') - G(x) is at most x delta <= delta where x <= 1; at
most (x delta) s(x') = delta x' s(x')/(1 - delta) <= delta where x' >= 1; and at most (1 - x') + (x - 1)/2 =
delta + (x - 1)(delta - 1/2) <= delta between.

Replace-one. Two units' labels: at most 2k counts move by 1 and each unit may have k labels of its own, so mu uses
sqrt(2k) and delta is twice as large (each data set's own labels, one after the other, as above).
"""

import math
from fractions import Fraction

from accountant.errors import UnsupportedEvent
from accountant.events import PartitionSelection
from accountant.rules.mu import discrete_gaussian_mu, mass_beside_zero
from accountant.rules.slack import sampler_slack

_UP = 1.0 + 1e-12
_SUMMED = 50.0
"""Up to this sigma the tail is summed term by term."""


def _units(event: PartitionSelection) -> int:
    return 2 if event.adjacency.replaces else 1


def selection_mu_square(event: PartitionSelection) -> Fraction:
    """mu^2 of the counts that others hold too, rounded up."""
    return _units(event) * event.labels_per_unit * Fraction(discrete_gaussian_mu(event.sigma)) ** 2


def released_alone(event: PartitionSelection) -> Fraction:
    """The chance that any label held by one unit alone is released, rounded up, with the slack of its draws."""
    lone = _tail(event.threshold - 1, event.sigma)
    any_of_them = -math.expm1(event.labels_per_unit * math.log1p(-lone)) * _UP if lone < 1.0 else 1.0
    if any_of_them > 0.5:
        raise UnsupportedEvent(
            f"A partition selection with threshold {event.threshold} at sigma {event.sigma:g} has no price.",
            "A label that one unit alone holds would be released more often than not.",
            "Raise the threshold; several sigma above 1 are usual.",
        )
    return _units(event) * (Fraction(any_of_them) + sampler_slack(event.labels_per_unit))


def _tail(first: int, sigma: float) -> float:
    """P[noise >= first], rounded up.

    Above sigma + 1/2 the density is convex, so a term is at most the integral over its cell, and the sum over all
    integers is at least sigma sqrt(2 pi) (Poisson summation): the tail is at most that of the normal law at
    first - 1/2.
    """
    if first - 0.5 < sigma:
        return 1.0 if first <= 0 or sigma > _SUMMED else _summed(first, sigma)
    return _summed(first, sigma) if sigma <= _SUMMED else math.erfc((first - 0.5) / sigma / math.sqrt(2.0)) / 2.0 * _UP


def _summed(first: int, sigma: float) -> float:
    terms = (math.exp(-(k * k) / (2.0 * sigma * sigma)) for k in range(first, first + math.ceil(40.0 * sigma) + 1))
    return (math.fsum(terms) * _UP + 1e-300) / (1.0 + mass_beside_zero(sigma))
