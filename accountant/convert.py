"""Conversions between a coordinate (mu or rho) and (epsilon, delta), tight and always in the pessimistic direction.

Sources: Dong, Roth, Su 2022 (arXiv:1905.02383), Corollary 2.13; Canonne, Kamath, Steinke 2020 (arXiv:2004.00010),
Proposition 12 with the order optimised.
"""

import math
from collections.abc import Callable

from accountant.errors import ParameterError
from accountant.normal import log_blow_up

_ABSOLUTE = 1e-14
"""Slack on the sum of an order's terms, per unit of their size: sixteen and more roundings, and their cancellation."""
_ROUND = 1e-10
"""Slack on log delta: far above the error of its evaluation, far below anything a reader would see."""


def _check(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0.0 and (name != "delta" or 0.0 < value < 1.0)):
            raise ParameterError(
                f"A conversion was asked for {name} = {value}.",
                "Epsilon, mu and rho are finite and at least 0; delta lies strictly between 0 and 1.",
                f"Give another {name}.",
            )


def delta_from_mu(mu: float, epsilon: float) -> float:
    """The smallest delta (rounded up) such that mu-GDP implies (epsilon, delta); at least the smallest float."""
    _check(mu=mu, epsilon=epsilon)
    return max(math.exp(_log_delta(mu, epsilon)), math.ulp(0.0)) if mu > 0.0 else 0.0


def _log_delta(mu: float, epsilon: float) -> float:
    return min(0.0, log_blow_up(mu, epsilon) + _ROUND)


def epsilon_from_mu(mu: float, delta: float) -> float:
    """The smallest epsilon (rounded up, relative 1e-9) such that mu-GDP implies (epsilon, delta)."""
    _check(mu=mu, delta=delta)
    target = math.log(delta)
    if mu == 0.0 or _log_delta(mu, 0.0) <= target:
        return 0.0
    above = mu * (mu / 2.0 + math.sqrt(-2.0 * target))
    return _boundary(lambda epsilon: _log_delta(mu, epsilon) <= target, good=above, bad=0.0)


def mu_from_budget(epsilon: float, delta: float) -> float:
    """The largest mu (rounded down, relative 1e-9) that implies (epsilon, delta)."""
    _check(epsilon=epsilon, delta=delta)
    target = math.log(delta)
    good, bad = _bracket(lambda mu: _log_delta(mu, epsilon) <= target)
    return _boundary(lambda mu: _log_delta(mu, epsilon) <= target, good=good, bad=bad)


def epsilon_from_rho(rho: float, delta: float) -> float:
    """An epsilon such that rho-zCDP implies (epsilon, delta): Canonne-Kamath-Steinke at the best order found.

    Every order gives a valid epsilon, so an inexact minimum is only a slightly larger answer. The terms of an order may
    cancel, so what rounding can take off is added in proportion to them, not to their sum.
    """
    _check(rho=rho, delta=delta)
    if rho == 0.0:
        return 0.0
    width = (math.sqrt(5.0) - 1.0) / 2.0
    start = math.log(math.sqrt(-math.log(delta) / rho))
    low, high = start - 12.0, start + 12.0
    for _ in range(90):
        inner = high - width * (high - low), low + width * (high - low)
        if _order_epsilon(rho, delta, inner[0]) <= _order_epsilon(rho, delta, inner[1]):
            high = inner[1]
        else:
            low = inner[0]
    return max(0.0, _order_epsilon(rho, delta, (low + high) / 2.0))


def _order_epsilon(rho: float, delta: float, log_excess: float) -> float:
    """Epsilon at the Renyi order 1 + exp(log_excess), rounded up."""
    excess = math.exp(log_excess)
    order = 1.0 + excess
    terms = (order * rho, log_excess, -math.log1p(excess), -math.log(delta) / excess, -math.log1p(excess) / excess)
    return math.fsum(terms) + _ABSOLUTE * (1.0 + sum(abs(term) for term in terms))


def rho_from_budget(epsilon: float, delta: float) -> float:
    """The largest rho (rounded down, relative 1e-9) that implies (epsilon, delta)."""
    _check(epsilon=epsilon, delta=delta)
    good, bad = _bracket(lambda rho: epsilon_from_rho(rho, delta) <= epsilon)
    return _boundary(lambda rho: epsilon_from_rho(rho, delta) <= epsilon, good=good, bad=bad)


def _bracket(holds: Callable[[float], bool]) -> tuple[float, float]:
    value = 1.0
    if holds(value):
        while holds(value * 4.0):
            value *= 4.0
        return value, value * 4.0
    while not holds(value / 4.0):
        value /= 4.0
        if value < 1e-150:
            raise ParameterError(
                "No positive amount of noise-limited learning fits this epsilon and delta.",
                "The pair is smaller than the accountant resolves.",
                "Give a larger epsilon or delta.",
            )
    return value / 4.0, value


def _boundary(holds: Callable[[float], bool], *, good: float, bad: float) -> float:
    """The last value that holds on the way from ``good`` to ``bad``."""
    while abs(good - bad) > 1e-11 * max(good, bad):
        middle = (good + bad) / 2.0
        if holds(middle):
            good = middle
        else:
            bad = middle
    return good
