"""What a plan refuses from public facts before anything is opened."""

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.errors import UnsupportedEvent
from accountant.price import DELTA_UNIT
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig
from dpsynth.synthesizers import Synthesizer

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


def require_rules_kept(chosen: Synthesizer | ExternalConfig, *, rules: bool) -> None:
    """Refuse rules for rows that are given once.

    Raises:
      ParameterError: There are rules, and the synthesizer is an outside one.
    """
    if rules and isinstance(chosen, ExternalConfig):
        raise ParameterError(
            "Rules, or an open column whose rest has no label, were declared for an outside synthesizer.",
            "It gives rows once, so none can be drawn in the place of one that breaks a rule.",
            "Leave out 'rules', give the rest a label with 'otherwise', or use a synthesizer of this engine.",
        )


def require_repeatable(chosen: Synthesizer | ExternalConfig, attempts: int) -> None:
    """Refuse retries of what is charged whole, once: a training's plan, an outside claim.

    Raises:
      ParameterError: There are retries of such a synthesizer.
    """
    if attempts > 1 and (isinstance(chosen, ExternalConfig) or chosen.train is not None):
        raise ParameterError(
            f"The policy declares {attempts - 1} retries for a synthesizer that is trained or runs outside.",
            "What these cost is charged once, as a whole, so that nothing is left for another table.",
            "Use a synthesizer that measures marginals, or a policy without retries.",
        )
