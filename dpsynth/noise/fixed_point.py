"""Exponentials in integer arithmetic: the weights of every table, without a float and without a library.

A number x in [0, 1] is held as the integer nearest below x * 2**bits, give or take the error each docstring states.
"""

from collections.abc import Callable
from fractions import Fraction

WEIGHT_BITS = 384
"""Bits of every weight. Tables hold 256 (``tables.PRECISION``); the rest absorbs the error of long recurrences."""


def exp_neg(exponent: Fraction, bits: int = WEIGHT_BITS) -> int:
    """2**bits * exp(-exponent), within 1 unit; 0 where the true value is below one unit.

    Args:
      exponent: Exact, at least 0.
      bits: Bits after the binary point.

    Returns:
      An integer in 0 .. 2**bits. The exponent is divided by 2**m to fall below 2**-8, summed as a Taylor series of at
      most ``bits / 8`` terms of one unit of error each, and squared m times, each of which at most doubles the error;
      the m + 16 guard bits leave less than one unit of it.
    """
    if exponent >= bits:
        return 0
    halvings = max(0, int(exponent).bit_length() + 8)
    work = bits + halvings + 16
    argument = (exponent.numerator << work) // (exponent.denominator << halvings)
    term = total = 1 << work
    order = 0
    while term:
        order += 1
        term = (term * argument >> work) // order
        total += -term if order % 2 else term
    for _ in range(halvings):
        total = total * total >> work
    return min(total >> (work - bits), 1 << bits)


def powers_of_exp(rate: Fraction, bits: int = WEIGHT_BITS) -> Callable[[int], int]:
    """A function k -> 2**bits * exp(-rate * k) for integers k >= 0, fast for many k.

    Args:
      rate: Exact, above 0.
      bits: Bits after the binary point.

    Returns:
      A function whose result is within ``2 * k.bit_length()`` units, and 0 where the true value is below one unit:
      k's binary digits pick the factors exp(-rate * 2**j), each within a unit, multiplied with one unit of error each.
    """
    limit = int(bits / rate) + 1
    factors = [exp_neg(rate * (1 << j), bits) for j in range(limit.bit_length())]

    def power(k: int) -> int:
        if k >= limit:
            return 0
        result = 1 << bits
        for j in range(k.bit_length()):
            if k >> j & 1:
                result = result * factors[j] >> bits
        return result

    return power
