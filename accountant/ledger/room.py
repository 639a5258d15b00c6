"""Whether a reservation fits its scope, and a refusal that says what would."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from accountant.budget import Budget
from accountant.errors import BudgetExceeded, ParameterError
from accountant.ledger.replay import VerifiedRelease
from accountant.ledger.scope import Scope
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Price
from accountant.report import epsilon_of


def require_room(line: Sequence[Scope], release: VerifiedRelease, path: Path) -> None:
    """Refuse a reservation that a scope can't afford.

    Args:
      line: The data set's scope and everything above it, from the inside out.
      release: The release as it would be reserved.
      path: The ledger's folder.

    Raises:
      BudgetExceeded: It doesn't fit; the message says which scope, how much is left and what would fit.
    """
    short = next((scope for scope in line if not scope.affords(release)), None)
    if short is None:
        return
    left = short.remaining
    raise BudgetExceeded(
        f"The ledger {path} ({short.describe()}) can't reserve {_in_words(release.price, short.budget, _up)}.",
        f"Of its budget of epsilon {short.budget.epsilon:g} at delta {short.budget.delta:g}, spent and reserved "
        f"releases leave {_in_words(left, short.budget, _down)}.",
        _what_fits(release.price, line, short),
    )


def require_unexpired(line: Sequence[Scope], date: str, path: Path) -> None:
    """Refuse to reserve or to open data under a budget whose days are over.

    Raises:
      BudgetExceeded: A scope's budget has ended; the message says which, and what is left of it.
    """
    for scope in line:
        if scope.ended(date):
            raise BudgetExceeded(
                f"The ledger {path} ({scope.describe()}) takes no new release: its budget ended on {scope.expires}.",
                f"Unspent are {_in_words(scope.remaining, scope.budget, _down)} of epsilon {scope.budget.epsilon:g} at "
                f"delta {scope.budget.delta:g}; what was spent counts for life.",
                "Let the scope's owner renew it, which is an entry with a reason.",
            )


def _in_words(price: Price, budget: Budget, rounded: Callable[[float], float]) -> str:
    amount = f"{budget.coordinate.symbol} {rounded(price.amount / AMOUNT_UNIT):.6g}"
    return (
        f"{_epsilon(price.amount, budget, rounded)} ({amount}) with an additive delta of {price.delta / DELTA_UNIT:.3g}"
    )


@lru_cache(maxsize=256)  # whoever races to a cap is refused in the same words, under the writer's lock
def _epsilon(amount: int, budget: Budget, rounded: Callable[[float], float]) -> str:
    try:
        return f"epsilon {rounded(epsilon_of(Price(amount, 0), budget.conversion_delta, budget.coordinate)):g}"
    except ParameterError:
        return "an epsilon above 20"


def _down(value: float) -> float:
    """Four significant digits, never more than ``value``."""
    if value <= 0.0:
        return 0.0
    grid = _grid(value)
    return math.floor(value / grid * (1.0 - 1e-9)) * grid


def _up(value: float) -> float:
    """Four significant digits, never less than ``value`` but for the conversion's own last digits."""
    if value <= 0.0:
        return 0.0
    grid = _grid(value)
    return math.ceil(value / grid * (1.0 - 1e-9)) * grid


def _grid(value: float) -> float:
    return 10.0 ** (math.floor(math.log10(value)) - 3)


def _what_fits(price: Price, line: Sequence[Scope], short: Scope) -> str:
    """What every scope of the line could still take, in words of the scope that refused."""
    left = Price(min(s.remaining.amount for s in line), min(s.remaining.delta for s in line))
    if left.amount == 0 or left.delta == 0:
        return "Nothing more fits: end here, or let the scope's owner open or renew a budget."
    if price.amount <= left.amount:
        return "Declare a smaller additive delta, or use fewer outside claims."
    amount = f"{short.budget.coordinate.symbol} {_down(left.amount / AMOUNT_UNIT):.6g}"
    return (
        f"A release at {_epsilon(left.amount, short.budget, _down)} and delta {short.budget.delta:g} ({amount}) fits: "
        "lower this one's."
    )
