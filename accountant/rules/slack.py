"""What a sampler that isn't perfectly exact costs: an additive delta.

A draw is within total variation t = 2^-127 of its exact law. Over a run these add up, and a mechanism within t of an
(epsilon, delta) one satisfies (epsilon, delta + t (1 + e^epsilon)). Charged with e^20, the slack is valid for every
epsilon up to 20; the conversions refuse to state a larger epsilon.
"""

from fractions import Fraction

LARGEST_EPSILON = 20.0
"""No epsilon above this is stated or budgeted: the charged slack is proved up to here."""

_PER_DRAW = Fraction(485_165_197, 2**127)  # (1 + e^20) rounded up to a whole number, times 2^-127


def sampler_slack(draws: int) -> Fraction:
    """The additive delta of ``draws`` draws from cumulative tables."""
    return Fraction(draws) * _PER_DRAW
