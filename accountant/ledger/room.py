"""Whether a reservation fits its scope, and a refusal that says what would."""

import math
from collections.abc import Callable
from pathlib import Path

from accountant.budget import Budget
from accountant.errors import BudgetExceeded, ParameterError
from accountant.ledger.scope import Scope
from accountant.price import DELTA_UNIT, Price
from accountant.report import epsilon_of


def require_room(scope: Scope, price: Price, path: Path) -> None:
    """Refuse a price above what the scope has left.

    Raises:
      BudgetExceeded: It doesn't fit; the message says how much is left and what would fit.
    """
    left = scope.remaining()
    if price.fits(left):
        return
    raise BudgetExceeded(
        f"The ledger {path} (data set {scope.declared['dataset']!r}) can't reserve "
        f"{_in_words(price, scope.budget, _up)}.",
        f"Of its budget of epsilon {scope.budget.epsilon:g} at delta {scope.budget.delta:g}, spent and reserved "
        f"releases leave {_in_words(left, scope.budget, _down)}.",
        _what_fits(price, left, scope.budget),
    )


def _in_words(price: Price, budget: Budget, rounded: Callable[[float], float]) -> str:
    return f"{_epsilon(price.amount, budget, rounded)} with an additive delta of {price.delta / DELTA_UNIT:.3g}"


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


def _what_fits(price: Price, left: Price, budget: Budget) -> str:
    if left.amount == 0 or left.delta == 0:
        return "Nothing more fits: end here, or let the data's owner open another budget."
    if price.amount <= left.amount:
        return "Declare a smaller additive delta, or use fewer outside claims."
    return f"A release at {_epsilon(left.amount, budget, _down)} and delta {budget.delta:g} fits: lower this one's."
