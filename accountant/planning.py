"""Budget plans: who may spend which share of (epsilon, delta) on what, as a value that people read and edit.

Shares are exact fractions of the budget's cap in its coordinate (mu^2 or rho, which add up), by side. A training
person pays the training lines and a holdout person the holdout lines, so each side's shares stay within 1 by
themselves. A gate reads both sides in one number, where a holdout person weighs N_training/N_holdout times as much; its
holdout line has to afford that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from accountant.budget import Budget
from accountant.errors import ParameterError
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import BOTH_SIDES, Side

RATIO_SLACK = Fraction(105, 100)
"""Reserve for the noise of the totals, by which the ratio of the sides' sizes may come out larger than planned."""


class Purpose(StrEnum):
    """What a share is for."""

    ENCODING = "encoding"
    TOTALS = "totals"
    MEASUREMENT = "measurement"
    SELECTION = "selection"
    SYNTHESIZER = "synthesizer"
    GATE = "gate"


_BUYS = {
    Purpose.ENCODING: "category lists and bounds that are learned from the data",
    Purpose.TOTALS: "the noisy number of people of the side",
    Purpose.MEASUREMENT: "noisy marginals",
    Purpose.SELECTION: "which marginals to measure",
    Purpose.SYNTHESIZER: "measurement and selection, divided by the synthesizer",
    Purpose.GATE: "one noisy threshold test of the synthetic table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLine:
    """One share.

    Attributes:
      purpose: What it is for.
      side: Whose people pay it.
      share: Exact share of the budget's cap, above 0 and at most 1.
    """

    purpose: Purpose
    side: Side
    share: Fraction

    def __post_init__(self) -> None:
        if not (isinstance(self.share, Fraction) and 0 < self.share <= 1):
            raise ParameterError(
                f"The share of {self.purpose} on the {self.side} side is {self.share}.",
                "A share is an exact fraction above 0 and at most 1 of the budget.",
                "Give such a share, or leave the line out.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A line as people read it.

    Attributes:
      purpose: What it is for.
      side: Whose people pay it.
      share: Share of the budget, in words.
      cost: mu or rho, in words.
      buys: What it buys.
    """

    purpose: str
    side: str
    share: str
    cost: str
    buys: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPlan:
    """A division of a budget, valid by construction: both sides are within it.

    Attributes:
      budget: The (epsilon, delta) that anybody may pay, and the coordinate of the shares.
      lines: The shares; at most one for each purpose and side. What they leave is unspent.
      holdout_share: Chance of a person to be held out; None where nobody is, and everybody pays the training lines.
    """

    budget: Budget
    lines: tuple[PlanLine, ...]
    holdout_share: Fraction | None = None

    def __post_init__(self) -> None:
        _require_split(self)
        _require_distinct(self.lines)
        for side in BOTH_SIDES:
            _require_within(self, side)
        _require_gate(self)
        for line in self.lines:
            _require_amount(self, line)

    def share(self, purpose: Purpose, side: Side) -> Fraction:
        """The exact share of a purpose; 0 where there is no line."""
        return next((line.share for line in self.lines if (line.purpose, line.side) == (purpose, side)), Fraction(0))

    def amount(self, purpose: Purpose, side: Side) -> int:
        """Units of 2^-40 of the coordinate for a purpose, rounded down."""
        return math.floor(self.share(purpose, side) * self.budget.cap.amount)

    def caps(self) -> dict[Side, Price]:
        """What to reserve: the sum of each side's lines, and the budget's additive delta."""
        delta = self.budget.cap.delta
        paid = {side: sum(self.amount(p, side) for p in Purpose) for side in BOTH_SIDES}
        if self.holdout_share is None:
            paid[Side.HOLDOUT] = paid[Side.TRAINING]
        return {side: Price(amount, delta) for side, amount in paid.items()}

    def rows(self) -> list[PlanRow]:
        """One row for each line, then what each side leaves unspent."""
        found = [self._row(line.purpose, line.side, line.share, _BUYS[line.purpose]) for line in self.lines]
        for side in BOTH_SIDES:
            left = 1 - sum((line.share for line in self.lines if line.side is side), Fraction(0))
            if 0 < left < 1:
                found.append(self._row("unspent", side, left, "nothing: it stays in the scope"))
        return found

    def _row(self, purpose: str, side: Side, share: Fraction, buys: str) -> PlanRow:
        amount = float(share) * self.budget.cap.amount / AMOUNT_UNIT
        gdp = self.budget.coordinate is Coordinate.GDP
        cost = f"mu {math.sqrt(amount):.4f}" if gdp else f"rho {amount:.3g}"
        return PlanRow(purpose=str(purpose), side=str(side), share=_percent(share), cost=cost, buys=buys)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for YAML; :func:`plan_from_dict` is its exact inverse."""
        body: dict[str, Any] = {
            "epsilon": self.budget.epsilon,
            "delta": self.budget.delta,
            "coordinate": str(self.budget.coordinate),
            "claim_share": _text(Fraction(self.budget.claim_share)),
        }
        if self.holdout_share is not None:
            body["holdout_share"] = _text(self.holdout_share)
        sides = {line.side for line in self.lines}
        shares = {str(side): self._shares(side) for side in BOTH_SIDES if side in sides}
        return body | {"shares": shares}

    def _shares(self, side: Side) -> dict[str, str]:
        return {str(line.purpose): _text(line.share) for line in self.lines if line.side is side}


def default_plan(
    budget: Budget, *, holdout_share: Fraction | None = Fraction(1, 5), encoding: Fraction = Fraction(0)
) -> BudgetPlan:
    """A plan to start from, in tenths of a percent.

    Args:
      budget: The (epsilon, delta) and the coordinate.
      holdout_share: Chance to be held out for the gate; None for a fit without a gate.
      encoding: Share for what the encoder learns from training people; 0 where the schema declares everything.

    Raises:
      ParameterError: The shares can't be had.
    """
    totals, gate = Fraction(1, 100), Fraction(0)
    lines = []
    if holdout_share is not None:
        held = Fraction(85, 100)
        gate = _tenths(min(held / _gate_weight(holdout_share), Fraction(1, 10)))
        lines = [(Purpose.GATE, Side.TRAINING, gate), (Purpose.TOTALS, Side.HOLDOUT, 1 - held)]
        lines += [(Purpose.GATE, Side.HOLDOUT, held)]
    rest = 1 - totals - gate - encoding
    selection = _tenths(rest / 10)
    training = [(Purpose.ENCODING, encoding)] if encoding else []
    training += [(Purpose.TOTALS, totals), (Purpose.MEASUREMENT, rest - selection), (Purpose.SELECTION, selection)]
    whole = [(purpose, Side.TRAINING, share) for purpose, share in training] + lines
    return BudgetPlan(
        budget=budget,
        lines=tuple(PlanLine(purpose=p, side=side, share=share) for p, side, share in whole),
        holdout_share=holdout_share,
    )


def plan_from_dict(body: Mapping[str, Any]) -> BudgetPlan:
    """A plan from plain values, such as a YAML file: ``epsilon``, ``delta``, and ``shares`` by side and purpose.

    A share is written ``84.5 %``, ``0.845`` or ``169/200``. ``coordinate``, ``claim_share`` and ``holdout_share`` may
    be left out.

    Raises:
      ParameterError: A name isn't known, a value isn't a number, or the plan isn't within its budget.
    """
    _require_names(body, {"epsilon", "delta", "shares"}, {"coordinate", "claim_share", "holdout_share"}, "A plan")
    shares = body["shares"]
    _require_names(shares, set(), {str(side) for side in BOTH_SIDES}, "The shares of a plan")
    lines = []
    for side in BOTH_SIDES:
        of_side = shares.get(str(side), {})
        _require_names(of_side, set(), {str(p) for p in Purpose}, f"The {side} side of a plan")
        lines += [PlanLine(purpose=Purpose(p), side=side, share=_fraction(p, text)) for p, text in of_side.items()]
    given = {"claim_share": float(_fraction("claim_share", body["claim_share"]))} if "claim_share" in body else {}
    budget = Budget(
        epsilon=float(_fraction("epsilon", body["epsilon"])),
        delta=float(_fraction("delta", body["delta"])),
        coordinate=_coordinate(body.get("coordinate", Coordinate.GDP)),
        **given,
    )
    held = _fraction("holdout_share", body["holdout_share"]) if "holdout_share" in body else None
    return BudgetPlan(budget=budget, lines=tuple(lines), holdout_share=held)


def _gate_weight(holdout_share: Fraction) -> Fraction:
    """How much more of mu^2 or rho a gate costs a holdout person than a training person, at least."""
    _require_share(holdout_share)
    return ((1 - holdout_share) / holdout_share * RATIO_SLACK) ** 2


def _tenths(share: Fraction) -> Fraction:
    return Fraction(math.floor(share * 1000), 1000)


def _require_share(share: Fraction) -> None:
    if not (isinstance(share, Fraction) and 0 < share < 1):
        raise ParameterError(
            f"A plan holds out the share {share}.",
            "It is an exact fraction strictly between 0 and 1.",
            "Give such a share, or leave it out for a fit of everybody.",
        )


def _require_split(plan: BudgetPlan) -> None:
    if any(line.side not in BOTH_SIDES for line in plan.lines):
        raise ParameterError(
            "A plan has lines for reference people.",
            "Only a release's own plan makes such people, as its gate's policy asks for it.",
            "Leave these lines out.",
        )
    if plan.holdout_share is not None:
        _require_share(plan.holdout_share)
    elif any(line.side is Side.HOLDOUT for line in plan.lines):
        raise ParameterError(
            "A plan has lines on the holdout side and holds nobody out.",
            "Without a holdout share everybody is fitted and pays the training lines.",
            "Give a holdout share, or remove the holdout lines.",
        )


def _require_distinct(lines: tuple[PlanLine, ...]) -> None:
    if len({(line.purpose, line.side) for line in lines}) < len(lines):
        raise ParameterError(
            "A plan has two lines for one purpose on one side.",
            "Each purpose has one share on each side.",
            "Add the two shares up in one line.",
        )


def _require_within(plan: BudgetPlan, side: Side) -> None:
    whole = sum((line.share for line in plan.lines if line.side is side), Fraction(0))
    if whole > 1:
        raise ParameterError(
            f"The shares of the {side} side add up to {_percent(whole)}.",
            "A person of that side pays all of them, and the budget is 100 %.",
            "Lower a share, or raise the budget's epsilon.",
        )


def _require_gate(plan: BudgetPlan) -> None:
    training, holdout = (plan.share(Purpose.GATE, side) for side in BOTH_SIDES)
    if not training and not holdout:
        return
    least = training * _gate_weight(plan.holdout_share) if plan.holdout_share else Fraction(0)
    if not training or not holdout or holdout < least:
        raise ParameterError(
            f"A gate has {_percent(training)} of the training side's budget and {_percent(holdout)} of the holdout "
            "side's.",
            f"It reads both sides, and its noise costs a holdout person (N_training/N_holdout)^2 times as much, with "
            f"5 % more ratio in reserve: {_percent(least)} here.",
            "Lower the gate's training share, hold out more people, or give the gate more of the holdout side.",
        )


def _require_amount(plan: BudgetPlan, line: PlanLine) -> None:
    if plan.amount(line.purpose, line.side) < 1:
        raise ParameterError(
            f"The share of {line.purpose} on the {line.side} side is less than one unit of 2^-40.",
            "No finite noise costs so little.",
            "Raise the share, or leave the line out.",
        )


def _require_names(body: Any, needed: set[str], known: set[str], what: str) -> None:
    names = set(body) if isinstance(body, Mapping) else {""}
    if not needed <= names or not names <= needed | known:
        raise ParameterError(
            f"{what} has other names than it should.",
            f"It needs {', '.join(sorted(needed)) or 'none'} and may have {', '.join(sorted(known))}.",
            "Mend the names.",
        )


def _fraction(name: str, value: Any) -> Fraction:
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    percent = text.endswith("%")
    try:
        number = Fraction(text.removesuffix("%").strip())
    except (ValueError, ZeroDivisionError) as error:
        raise ParameterError(
            f"The value of {name} in a plan isn't a number.",
            "Numbers are written 0.25, 25 % or 1/4.",
            "Mend the value.",
        ) from error
    return number / 100 if percent else number


def _coordinate(value: Any) -> Coordinate:
    try:
        return Coordinate(value)
    except ValueError as error:
        raise ParameterError(
            "A plan names an unknown coordinate.", "It is gdp or zcdp.", "Name one of the two, or none for gdp."
        ) from error


def _percent(share: Fraction) -> str:
    return f"{float(share):.2%}"


def _text(share: Fraction) -> str:
    """An exact text: a percentage where it has few digits, a fraction otherwise."""
    scaled = share * 100_000
    return f"{float(share * 100):g} %" if scaled.denominator == 1 and scaled < 10**6 else str(share)
