"""Exact tests for counts: no normal approximation, every bound rounded to the cautious side.

Sources: Clopper, Pearson 1934 (the binomial interval); Fisher 1935 (the hypergeometric test); Phipson, Smyth 2010
(arXiv:1603.05766: a permutation p-value counts the observed arrangement too).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dpsynth.errors import ParameterError

_SLACK = 1e-8
"""Far above the error of the special functions, far below what a reader would see."""


def clopper_pearson(hits: int, trials: int, *, error: float) -> tuple[float, float]:
    """Bounds on the probability of a hit; each end fails with probability at most ``error``.

    Args:
      hits: Hits seen.
      trials: Independent trials of one probability; none bounds nothing.
      error: Probability of failing of each end, strictly between 0 and 1/2.

    Raises:
      ParameterError: Counts or error out of range.
    """
    _require(0 <= hits <= trials and 0.0 < error < 0.5, f"{hits} hits in {trials} trials at an error of {error:g}")
    from scipy.special import betaincinv

    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, error)) - _SLACK
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 1.0 - error)) + _SLACK
    return max(0.0, low), min(1.0, high)


def binomial_tail(least: int, trials: int, probability: float) -> float:
    """The probability of at least ``least`` hits in so many trials, rounded up."""
    from scipy.special import bdtrc

    if least <= 0:
        return 1.0
    if least > trials:
        return 0.0
    return min(1.0, float(bdtrc(least - 1, trials, probability)) * (1.0 + _SLACK))


def hypergeometric_tail(hits: int, *, drawn: int, marked: int, total: int) -> float:
    """The probability that ``drawn`` of ``total`` hold at least ``hits`` of the ``marked`` ones, rounded up.

    The exact p-value of a guess of ``drawn`` people of whom ``hits`` were members, where ``marked`` of ``total`` are
    members and the guess knows nothing: it holds for a split of fixed size and for independent coins, given their sum.
    """
    _require(0 <= max(drawn, marked) <= total and hits >= 0, f"{hits} of {drawn} drawn, {marked} of {total} marked")
    from scipy.special import gammaln

    found = np.arange(max(hits, drawn + marked - total, 0), min(drawn, marked) + 1, dtype=np.float64)

    def choices(of: Any, some: Any) -> Any:
        return gammaln(of + 1.0) - gammaln(some + 1.0) - gammaln(of - some + 1.0)

    logs = choices(marked, found) + choices(total - marked, drawn - found) - choices(total, drawn)
    return min(1.0, float(np.exp(logs).sum()) * (1.0 + _SLACK))


def permutation_p_value(observed: float, shuffled: Callable[[int], float], *, rounds: int) -> float:
    """The p-value of a statistic under shuffled labels: exact at any number of rounds, the observed one included.

    Args:
      observed: The statistic with the true labels; large values speak against chance.
      shuffled: The statistic with the labels of one round, shuffled independently of everything.
      rounds: How many shuffles, at least 1.
    """
    _require(rounds >= 1, f"{rounds} rounds of shuffling")
    return (1 + sum(shuffled(i) >= observed for i in range(rounds))) / (1 + rounds)


def bonferroni(p_values: Sequence[float]) -> float:
    """One p-value for the smallest of several, whatever their dependence."""
    return min(1.0, min(p_values) * len(p_values))


def _require(sound: bool, given: str) -> None:
    if not sound:
        raise ParameterError(
            f"An exact test was asked about {given}.",
            "Counts are whole, at least zero and within their totals, and errors lie strictly between 0 and 1/2.",
            "Check what was counted.",
        )
