"""What a plan refuses from public facts before anything is opened."""

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.errors import UnsupportedEvent
from accountant.price import DELTA_UNIT
from dpsynth.errors import ParameterError

LARGEST_TABLE = 2**31
"""Codes (rows times columns) of a synthetic table that the engine will hold."""


def require_add_remove(unit: PrivacyUnit) -> None:
    """Refuse before the data is opened what the first charge would refuse after it.

    Raises:
      UnsupportedEvent: The unit is replaced, not added or removed.
    """
    if unit.adjacency is not Adjacency.ADD_REMOVE:
        raise UnsupportedEvent(
            f"A run was planned under {unit.adjacency}.",
            "Its measurements are priced for a unit that is added or removed, and a replaced one may change sides.",
            "Declare add-remove in the schema, and make the ledger from that.",
        )


def require_rows(rows: int | None, columns: int) -> None:
    """Refuse a number of rows that no table in memory has.

    Raises:
      ParameterError: It is below 1 or too large.
    """
    if rows is not None and not 1 <= rows <= LARGEST_TABLE // columns:
        raise ParameterError(
            f"{rows:,} synthetic rows were asked for.",
            f"With {columns:,} columns a table in memory has 1 to {LARGEST_TABLE // columns:,} rows.",
            "Ask for fewer rows; a saved model can be sampled again.",
        )


def require_room_for_slack(budget: Budget, slack: int) -> None:
    """Refuse before the data is opened what a sampler's charge would refuse after it.

    Raises:
      ParameterError: The delta for claims is below the slack.
    """
    if budget.cap.delta < slack:
        least = slack / (DELTA_UNIT * budget.claim_share)
        raise ParameterError(
            f"A delta of {budget.delta:.3g} can't be planned with: at least {least:.2g} can.",
            f"The ledger's claim share of it, {budget.claim_share:.3g}, pays for the slack of the samplers.",
            "Use a larger delta, or a ledger with a larger claim share.",
        )
