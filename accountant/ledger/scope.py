"""Scopes: an organisation, its teams, their projects, their data sets; each has a budget for life."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.compose import larger_side, total
from accountant.errors import LedgerError
from accountant.ledger.entries import Entry, unit_from_json
from accountant.ledger.replay import OPEN_STATES, VerifiedRelease
from accountant.price import Price
from accountant.sides import SidedCharge, Split, of_two, scope_total
from accountant.spend import BOTH_SIDES, Side

Groups = Mapping[Split | None, Mapping[Side, Price]]
"""Totals by side of the releases of each split; under None everybody paid both sides."""


class Level(StrEnum):
    """What a scope is, from the widest to the narrowest; a scope lies in one of a wider level."""

    ORGANISATION = "organisation"
    TEAM = "team"
    PROJECT = "project"
    DATASET = "dataset"

    @property
    def words(self) -> str:
        """The level as messages write it."""
        return _WORDS[self]

    def within(self, other: "Level") -> bool:
        """Whether a scope of this level may lie in one of ``other``."""
        order = list(Level)
        return order.index(self) > order.index(other)


_WORDS = {
    Level.ORGANISATION: "organisation",
    Level.TEAM: "team",
    Level.PROJECT: "project",
    Level.DATASET: "data set",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One scope and what was ever spent in it.

    Attributes:
      name: Unique in its ledger; of a data set its declared id.
      level: What it is.
      parent: Name of the scope that it lies in; None for the root.
      unit: Who is protected.
      budget: The most that may be spent for life.
      cap: The budget in the coordinate, rounded down.
      expires: Last day (UTC) on which a release may be reserved and touched; None for no end.
      renewals: How often it was renewed.
      finished: What finished releases cost.
      taken: The same with what unfinished releases hold.
    """

    name: str
    level: Level
    parent: str | None
    unit: PrivacyUnit
    budget: Budget
    cap: Price
    expires: str | None = None
    renewals: int = 0
    finished: Groups = field(default_factory=dict, repr=False)
    taken: Groups = field(default_factory=dict, repr=False)

    @property
    def spent(self) -> Price:
        """What finished releases cost the people who paid most."""
        return _dearest(self.finished)

    @property
    def held(self) -> Price:
        """What is spent or reserved."""
        return _dearest(self.taken)

    @property
    def reserved(self) -> Price:
        """What unfinished releases hold, in full, whatever they charged so far."""
        return self.held.less(self.spent)

    @property
    def remaining(self) -> Price:
        """What is neither spent nor reserved."""
        return self.cap.less(self.held)

    def describe(self) -> str:
        """The scope in words."""
        return f"{self.level.words} {self.name!r}"

    def ended(self, date: str) -> bool:
        """Whether its budget has run out of days on ``date``."""
        return self.expires is not None and date > self.expires

    def bears(self, release: VerifiedRelease) -> SidedCharge:
        """What a release costs here: by side only in a data set, whose one key splits people by their id.

        Anywhere else everybody is charged the dearer side: a scope above has several keys.
        """
        apart = (
            self.level is Level.DATASET
            and release.split is not None
            and release.split.id_column is not None
            and self.unit.adjacency is Adjacency.ADD_REMOVE
        )
        if apart:
            return SidedCharge(paid=of_two(release.borne), split=release.split)
        return SidedCharge(paid=dict.fromkeys(BOTH_SIDES, release.charged), split=None)

    def affords(self, release: VerifiedRelease) -> bool:
        """Whether a new reservation fits what is left."""
        return _dearest(_add(self.taken, self.bears(release), 1)).fits(self.cap)

    def after(self, before: VerifiedRelease | None, release: VerifiedRelease) -> "Scope":
        """The scope once a release of it has gone from ``before`` to ``release``."""
        if before is not None and (before.borne, before.charged, before.state) == (
            release.borne, release.charged, release.state,
        ):  # fmt: skip
            return self
        taken, finished = self.taken, self.finished
        if before is not None:
            taken = _add(taken, self.bears(before), -1)
        taken = _add(taken, self.bears(release), 1)
        if release.state not in OPEN_STATES:
            finished = _add(finished, self.bears(release), 1)
        return replace(self, taken=taken, finished=finished)

    def recounted(self, releases: list[VerifiedRelease]) -> tuple[Price, Price]:
        """What is spent, and what is spent or reserved, added up anew from all its releases."""
        done = [self.bears(r) for r in releases if r.state not in OPEN_STATES]
        return scope_total(done), scope_total(self.bears(r) for r in releases)


def _dearest(groups: Groups) -> Price:
    return total(larger_side(sides) for sides in groups.values())


def _add(groups: Groups, charge: SidedCharge, sign: int) -> dict[Split | None, Mapping[Side, Price]]:
    """The groups with ``charge`` added or taken away, exactly: below zero raises ParameterError."""
    before = groups.get(charge.split, {})
    sides = {}
    for side in BOTH_SIDES:
        had, paid = before.get(side, _NOTHING), charge.paid.get(side, _NOTHING)
        sides[side] = Price(had.amount + sign * paid.amount, had.delta + sign * paid.delta)
    return {**groups, charge.split: sides}


_NOTHING = Price()


def declared(entry: Entry) -> Scope:
    """The scope that a ``create`` or a ``scope`` entry declares."""
    first = entry["kind"] == "create"
    budget = Budget.from_json(entry["budget"])
    name, parent = entry["dataset" if first else "scope"], None if first else entry["parent"]
    if not isinstance(name, str) or not (first or isinstance(parent, str)):
        raise TypeError("a scope's name isn't text")
    return Scope(
        name=name,
        level=Level(entry.get("level", "dataset") if first else entry["level"]),
        parent=parent,
        unit=unit_from_json(entry["unit"]),
        budget=budget,
        cap=budget.cap,
        expires=_day(entry.get("expires") if first else entry["expires"]),
    )


def _day(value: Any) -> str | None:
    if value is None:
        return None
    if datetime.date.fromisoformat(value).isoformat() != value:
        raise ValueError("a day isn't in its one form")
    return str(value)


def require_child(parent: Scope, child: Scope) -> None:
    """Refuse a scope that can't lie in ``parent``.

    Raises:
      LedgerError: Its level isn't narrower, or what it adds up isn't what its parent adds up.
    """
    if not child.level.within(parent.level):
        raise LedgerError(
            f"A {child.level.words} can't lie in the {parent.describe()}.",
            "Scopes go from organisation to team to project to data set.",
            "Name a parent of a wider level.",
        )
    if child.budget.coordinate is not parent.budget.coordinate:
        raise LedgerError(
            f"The {child.describe()} adds up in {child.budget.coordinate}, its {parent.describe()} in "
            f"{parent.budget.coordinate}.",
            "A charge must fit every scope above it, so all of one line add up in one coordinate.",
            f"State the same epsilon and delta with the coordinate {parent.budget.coordinate}: a budget is converted "
            "by stating it anew.",
        )
    if child.unit.adjacency is not parent.unit.adjacency:
        raise LedgerError(
            f"The {child.describe()} is stated under {child.unit.adjacency}, its {parent.describe()} under "
            f"{parent.unit.adjacency}.",
            "Prices of different adjacencies don't add up.",
            f"Declare the unit under {parent.unit.adjacency}: replacing is removing and adding, so double the "
            "sensitivity of what was stated under add-remove; there is no way back.",
        )
    if child.unit != parent.unit:
        raise LedgerError(
            f"The {child.describe()} protects {child.unit.describe()}, its {parent.describe()} "
            f"{parent.unit.describe()}.",
            "Prices of different privacy units don't add up.",
            "Declare one id column along the whole line with the largest number of rows that any of its data sets "
            "lets through: it protects everybody whom a smaller one does.",
        )


def require_renewal(scope: Scope, renewed: Scope) -> None:
    """Refuse a renewal that would forget what was spent or change what is added up.

    Raises:
      LedgerError: Another coordinate, or a budget below what is spent and reserved.
    """
    if renewed.budget.coordinate is not scope.budget.coordinate:
        raise LedgerError(
            f"The {scope.describe()} can't be renewed in the coordinate {renewed.budget.coordinate}.",
            f"Everything spent so far is recorded in {scope.budget.coordinate}.",
            "State the same epsilon and delta in that coordinate.",
        )
    if not scope.held.fits(renewed.cap):
        raise LedgerError(
            f"The {scope.describe()} can't be renewed with a budget of epsilon {renewed.budget.epsilon:g} at delta "
            f"{renewed.budget.delta:g}.",
            "Totals are for life, and more than that is spent or reserved already.",
            "Give a budget that also covers what was spent.",
        )


def renewed_by(scope: Scope, entry: Entry) -> Scope:
    """The scope after a ``renew`` entry."""
    budget = Budget.from_json(entry["budget"])
    renewals = scope.renewals + 1
    if not isinstance(entry["reason"], str):
        raise TypeError("a reason isn't text")
    return replace(scope, budget=budget, cap=budget.cap, expires=_day(entry["expires"]), renewals=renewals)
