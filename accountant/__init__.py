"""Privacy accounting: events, prices, filters, conversions, and a ledger. Knows no data and no engine."""

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.errors import BudgetExceeded, LedgerTampered, Refusal
from accountant.filters import FilterSpend
from accountant.price import Coordinate, Price
from accountant.report import epsilon_of
from accountant.spend import BOTH_SIDES, Side, Spend, Step

__all__ = [
    "BOTH_SIDES",
    "Adjacency",
    "Budget",
    "BudgetExceeded",
    "Coordinate",
    "FilterSpend",
    "LedgerTampered",
    "Price",
    "PrivacyUnit",
    "Refusal",
    "Side",
    "Spend",
    "Step",
    "epsilon_of",
]
