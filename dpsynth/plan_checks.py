"""What a plan refuses from public facts before anything is opened."""

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import price
from accountant.errors import UnsupportedEvent
from accountant.price import DELTA_UNIT
from dpsynth.encode import Encoder
from dpsynth.errors import GateRefused, ParameterError, SchemaError
from dpsynth.external import ExternalConfig
from dpsynth.selecting import Selection, plan_selections, planned_amount
from dpsynth.synthesizers import Synthesizer

LARGEST_TABLE = 2**31
"""Codes (rows times columns) of a synthetic table that the engine will hold."""
MOST_SECRET_CODES = 256


def require_distinct_codes(encoder: Encoder) -> None:
    """Refuse distinct columns whose codes aren't known when the rows of a person are chosen, or are too few.

    Raises:
      SchemaError: The encoding of one of them would be learned: codes that were distinct could fall into one. Or no
        person can have as many rows that differ in them as are declared, and would be charged for.
    """
    unit = encoder.schema.privacy_unit
    learned = [name for name in unit.distinct if name in encoder.learned]
    if learned:
        raise SchemaError(
            f"The rows of a person were declared distinct in {learned[0]!r}, whose encoding is learned.",
            "Learning puts codes together, and two rows of a person could then lie in one.",
            f"Declare 'bins' or 'edges' for it, or 'keep: [{learned[0]}]' in 'encoding'.",
        )
    codes = encoder.domain.cells(unit.distinct)
    if unit.distinct and codes < unit.max_rows:
        raise SchemaError(
            f"Up to {unit.max_rows:,} rows of a person were declared, all different in {', '.join(unit.distinct)}.",
            f"These have {codes:,} codes together: no person can have more rows than that, but would be charged for.",
            f"Declare 'max_rows: {codes}', or more columns in 'distinct'.",
        )


def require_priced(unit: PrivacyUnit) -> None:
    """Refuse before the data is opened what the first charge would refuse after it.

    Raises:
      UnsupportedEvent: The unit is replaced as a whole, neither added or removed nor replaced in its private part.
    """
    if unit.adjacency not in (Adjacency.ADD_REMOVE, Adjacency.REPLACE_PRIVATE):
        raise UnsupportedEvent(
            f"A run was planned under {unit.adjacency}.",
            "Its measurements are priced for a unit that is added or removed, and a replaced one may change sides.",
            "Declare add-remove in the schema, and make the ledger from that.",
        )


def require_everybody(unit: PrivacyUnit, *, rows: int | None, reference: bool) -> None:
    """Where public columns are kept, everybody's are: refuse a number of rows, and people who are only compared with.

    Args:
      unit: The privacy unit.
      rows: Number of synthetic rows that was asked for.
      reference: Whether the gate compares with people whom nothing else looks at.

    Raises:
      ParameterError: A number of rows was asked for.
      GateRefused: The policy needs reference people.
    """
    if unit.public and rows is not None:
        raise ParameterError(
            f"{rows:,} rows were asked for where a part of each row is public.",
            "Everybody's public part is kept, so there are as many rows as there are records, and that is public.",
            "Leave the number of rows out.",
        )
    if unit.public and reference:
        raise GateRefused(
            "A policy with a likelihood attack was chosen where a part of each row is public.",
            "Its reference people would pay for noisy marginals of public columns, too, and no price is stated for "
            "that under this adjacency.",
            "Use another policy, such as standard.",
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


def require_small_secrets(encoder: Encoder) -> None:
    """Refuse secrets that the gate would guess code by code, with a table and a scan for each.

    Raises:
      SchemaError: One of them has more than 256 codes.
    """
    domain = encoder.largest_domain
    for name in encoder.schema.secrets:
        size = domain.sizes[domain.names.index(name)] if name in domain.names else 0
        if size > MOST_SECRET_CODES:
            raise SchemaError(
                f"The secret {name!r} of table {encoder.schema.name!r} can have {size:,} codes.",
                f"The gate guesses secrets of at most {MOST_SECRET_CODES} codes, each of them apart.",
                "Declare fewer bins or categories for it, or leave it out of 'secrets'.",
            )


def require_possible(chosen: Synthesizer | ExternalConfig, encoder: Encoder, *, attempts: int) -> None:
    """Refuse rules for rows that are given once, and retries of what is charged once.

    Raises:
      ParameterError: The synthesizer is an outside one and there are rules, or one that is charged as a whole and the
        policy declares retries.
    """
    _require_rules_kept(chosen, rules=encoder.redraws)
    _require_repeatable(chosen, attempts)


def _require_rules_kept(chosen: Synthesizer | ExternalConfig, *, rules: bool) -> None:
    if rules and isinstance(chosen, ExternalConfig):
        raise ParameterError(
            "Rules, bounds that a computed column may leave, or an open column whose rest has no label were declared "
            "for an outside synthesizer.",
            "It gives rows once, so none can be drawn in the place of one that breaks a rule.",
            "Leave out 'rules', give the rest a label with 'otherwise', or use a synthesizer of this engine.",
        )


def _require_repeatable(chosen: Synthesizer | ExternalConfig, attempts: int) -> None:
    """What is charged whole, once: a training's plan, an outside claim."""
    if attempts > 1 and (isinstance(chosen, ExternalConfig) or chosen.train is not None):
        raise ParameterError(
            f"The policy declares {attempts - 1} retries for a synthesizer that is trained or runs outside.",
            "What these cost is charged once, as a whole, so that nothing is left for another table.",
            "Use a synthesizer that measures marginals, or a policy without retries.",
        )


def selections_within(
    encoder: Encoder, whole: int, budget: Budget, slack: int, named: Synthesizer | ExternalConfig | None
) -> tuple[Selection, ...]:
    """How the labels of open columns are found out; they may cost what no claim needs of the delta for claims.

    Raises:
      ParameterError: The synthesizer is trained on rows, shares are too small or too large, or delta is.
    """
    if not encoder.open:
        return ()
    if isinstance(named, Synthesizer) and named.train is not None:
        raise ParameterError(
            "Open columns were declared for a synthesizer that is trained on rows.",
            "Its training is one fixed plan, in which nothing may depend on an output, and the labels are one.",
            "Use a synthesizer that measures marginals, or declare the categories.",
        )
    claimed = price(named.event(), budget.coordinate).delta if isinstance(named, ExternalConfig) else 0
    room = max(0, budget.cap.delta - slack - claimed)
    found = plan_selections(encoder.declared, amount=whole, delta=room, coordinate=budget.coordinate)
    if 2 * planned_amount(found) > whole:
        raise ParameterError(
            f"The shares of {len(found)} open columns are more than half of the budget.",
            "They are spent before anything is measured.",
            "Declare smaller shares, or the categories of some columns.",
        )
    return found


def require_limitable(chosen: Synthesizer | ExternalConfig, model_mb: int | None) -> None:
    """Refuse a limit in megabytes of what has none.

    Raises:
      ParameterError: The synthesizer fits no graphical model.
    """
    if model_mb is not None and (isinstance(chosen, ExternalConfig) or not hasattr(chosen.config, "model_mb")):
        raise ParameterError(
            f"A fit was to take at most {model_mb:,} MB.",
            "Networks, mixtures and outside synthesizers have no such limit: only graphical models have.",
            "Leave the limit out, or use a synthesizer that fits a graphical model, such as adaptive.",
        )
