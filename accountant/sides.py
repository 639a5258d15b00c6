"""What anybody has paid over several releases of one scope, when each release splits people into two sides.

A person is on one side of one split. Where two releases use the same split, whoever paid the training price of the one
paid the training price of the other, so the totals of the sides are kept apart, and the dearer one is what the scope
has spent. Splits are the same under one secret key, one share and one id column; without an id column the coins are
fresh. Over different splits nothing is known about who was where: there everybody is charged the dearer side.

Reference people are some of those held out, and a release need not have any: over releases that are kept apart, each
counts with the dearer of the two prices for everybody who was held out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from accountant.adjacency import Adjacency
from accountant.compose import larger_side, total
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.price import Price
from accountant.spend import BOTH_SIDES, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a release put people on their sides.

    Attributes:
      key_id: Public name of the secret key (such as its hash); never the key.
      holdout_share: Chance of being held out, exact, strictly between 0 and 1.
      id_column: Column whose value is the person; None where each row had a fresh coin.
    """

    key_id: str
    holdout_share: Fraction
    id_column: str | None

    def __post_init__(self) -> None:
        share = self.holdout_share
        if not (isinstance(share, Fraction) and 0 < share < 1) or not self.key_id or self.id_column == "":
            raise ParameterError(
                f"A split has the holdout share {share} and the key named {self.key_id!r}.",
                "The share is an exact fraction strictly between 0 and 1, and key and id column have names.",
                "State the split as the release made it.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SidedCharge:
    """What one release cost the people of each side.

    Attributes:
      paid: Price by side; a side that isn't there paid nothing.
      split: How people came to their sides; None where that isn't known, or there was no split.
    """

    paid: Mapping[Side, Price]
    split: Split | None


def scope_total(charges: Iterable[SidedCharge], *, adjacency: Adjacency = Adjacency.ADD_REMOVE) -> Price:
    """The most that any person has paid for all releases together, per component.

    The sides are added up apart within releases of one split with an id column, and the larger total counts; every
    other release counts with the larger of its two sides. Then these add up.

    Raises:
      UnsupportedEvent: Under replace-one a person may change sides: see :func:`replaced_person`.
    """
    if adjacency.changes_sides:
        raise UnsupportedEvent(
            f"Totals of sides were asked for under {adjacency}.",
            "A replaced person may be on another side afterwards, so that no side's total bounds what is learned.",
            "Price each release with replaced_person, and add these up.",
        )
    return total(larger_side(sides) for sides in _groups(charges))


def kept_apart(charges: Iterable[SidedCharge]) -> dict[Side, Price] | None:
    """The totals of the two sides, where people surely stayed on theirs over all of ``charges``; None otherwise."""
    groups = _groups(charges) or [dict.fromkeys(BOTH_SIDES, Price())]
    return groups[0] if len(groups) == 1 else None


def of_two(paid: Mapping[Side, Price]) -> dict[Side, Price]:
    """The prices of the two sides of a split: whoever is held out pays at most the dearer of test and reference."""
    training, test, reference = (paid.get(side, Price()) for side in Side)
    return {Side.TRAINING: training, Side.HOLDOUT: test.larger(reference)}


def _groups(charges: Iterable[SidedCharge]) -> list[dict[Side, Price]]:
    """Totals by side of each group of releases under which a person surely stays on one side."""
    joined: dict[Split, dict[Side, Price]] = {}
    alone: list[dict[Side, Price]] = []
    for charge in charges:
        paid = of_two(charge.paid)
        if charge.split is None or charge.split.id_column is None:
            alone.append(paid)
            continue
        before = joined.get(charge.split, dict.fromkeys(BOTH_SIDES, Price()))
        joined[charge.split] = {side: before[side] + paid[side] for side in BOTH_SIDES}
    return [*joined.values(), *alone]


def replaced_person(paid: Mapping[Side, Price]) -> Price:
    """What one release costs a person who is replaced, and may change sides: the mus of both sides add up.

    Each side is priced under replace-one first. One mechanism may read both sides at once (a gate does), and then both
    shifts add: mu is at most mu_training + mu_holdout for each, and by Minkowski's inequality for all together. The
    same holds for the square roots of rho. A delta of one side stays additive, as the chain over the other side can be
    walked before or after it; deltas of both sides would be multiplied by the other's curve, and are refused.

    Raises:
      UnsupportedEvent: Both sides have an additive delta, or there are reference people, of whom a replaced person may
        be one afterwards.
    """
    if paid.get(Side.REFERENCE, Price()) != Price():
        raise UnsupportedEvent(
            "A replaced person was priced for a release with reference people.",
            "They may go from any of three sides to any other, and no shipped mechanism is priced for that.",
            "State the release under add-remove.",
        )
    training, holdout = (paid.get(side, Price()) for side in BOTH_SIDES)
    if training.delta and holdout.delta:
        raise UnsupportedEvent(
            "A replaced person was priced with an additive delta on both sides.",
            "Over two neighbouring steps a delta is multiplied by what the other step allows, which no price holds.",
            "State the release under add-remove.",
        )
    cross = 4 * training.amount * holdout.amount
    root = math.isqrt(cross)
    root += root * root < cross
    return Price(training.amount + holdout.amount + root, training.delta + holdout.delta)
