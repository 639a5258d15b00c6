"""The Renyi accountant of fixed plans: sums of divergences at each order, converted at the best one."""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from accountant.compose import leaves
from accountant.errors import ParameterError
from accountant.events import Event
from accountant.rules.rdp import ORDERS, RDP_RULES, Divergences


def divergences(events: Iterable[Event]) -> Divergences:
    """Divergences of a fixed plan at ``accountant.rules.rdp.ORDERS``, and its additive delta.

    Raises:
      UnsupportedEvent: Adjacencies are mixed.
    """
    total, delta = np.zeros(len(ORDERS)), Fraction(0)
    for event, count in leaves(events):
        once, aside = RDP_RULES[type(event)](event)
        total, delta = total + count * once, delta + count * aside
    return total * (1.0 + 1e-12), delta


def epsilon_by_renyi(events: Iterable[Event], delta: float) -> float:
    """An epsilon (rounded up) that a fixed plan satisfies at ``delta``; infinite where its additive deltas use it up.

    At each order alpha: D + log(1 - 1/alpha) - log(alpha delta)/(alpha - 1).
    Source: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Proposition 12.

    Raises:
      ParameterError: ``delta`` isn't strictly between 0 and 1.
    """
    if not 0.0 < delta < 1.0:
        raise ParameterError(
            f"An epsilon was asked for at delta = {delta}.",
            "Delta lies strictly between 0 and 1.",
            "Give another delta.",
        )
    total, aside = divergences(events)
    rest = float(Fraction(delta) - aside)
    if rest <= 0.0:
        return math.inf
    alpha = np.array(ORDERS)
    log_rest = math.log(rest) - 1e-12
    at_order = total + np.log1p(-1.0 / alpha) - (log_rest + np.log(alpha)) / (alpha - 1.0)
    return max(0.0, float(at_order.min()) + 1e-10) if total.any() else 0.0
