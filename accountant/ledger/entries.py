"""The form of a ledger entry: canonical JSON, chained by SHA-256 twice (over the ledger, and within its release).

An entry is an object with ``version``, ``seq``, ``kind``, ``date``, ``prev`` (hash of the ledger's previous entry) and
its kind's own fields; entries of a release also have ``release`` and ``release_prev`` (hash of that release's previous
entry), so that they verify alone. As entries become public, they hold no time finer than a date.
"""

import datetime
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.compose import price
from accountant.events import event_from_json
from accountant.price import Coordinate, Price
from accountant.sides import Split
from accountant.spend import Side, Step

VERSION = 2
"""Of the entries' form and of the rules that priced them; 1 knew no scopes, leases, splits or checkpoints."""

VERSIONS = (1, 2)
"""What this accountant reads; within a ledger the version never falls."""

GENESIS = "0" * 64
"""The ``prev`` of the first entry, and the ``release_prev`` of a release's first."""

HASH = "hash"
"""Name under which an entry carries its own hash outside the database."""

Entry = Mapping[str, Any]


def today() -> str:
    """The date (UTC) of an entry."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def is_day(day: object) -> bool:
    """Whether a value is a date in its one form, as 2026-12-31."""
    try:
        return isinstance(day, str) and datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def unit_to_json(unit: PrivacyUnit) -> dict[str, Any]:
    """The privacy unit as JSON values."""
    body: dict[str, Any] = {"column": unit.column, "max_rows": unit.max_rows, "adjacency": str(unit.adjacency)}
    return body | ({"public": list(unit.public)} if unit.public else {})


def unit_from_json(body: Mapping[str, Any]) -> PrivacyUnit:
    """Inverse of :func:`unit_to_json`."""
    public = body.get("public", [])
    if not isinstance(public, list) or not all(isinstance(name, str) for name in public):
        raise TypeError("public columns aren't a list of names")
    adjacency = Adjacency(body["adjacency"])
    return PrivacyUnit(column=body["column"], max_rows=body["max_rows"], adjacency=adjacency, public=tuple(public))


def sides_to_json(prices: Mapping[Side, Price]) -> dict[str, dict[str, int]]:
    """Prices by side as JSON values."""
    return {str(side): each.to_json() for side, each in prices.items()}


def sides_from_json(body: Mapping[str, Any]) -> dict[Side, Price]:
    """Inverse of :func:`sides_to_json`."""
    return {Side(side): Price.from_json(each) for side, each in body.items()}


def step_to_json(step: Step, coordinate: Coordinate) -> dict[str, Any]:
    """A step with its price in ``coordinate``, as JSON values."""
    return {
        "label": step.label,
        "event": step.event.to_json(),
        "sides": [str(side) for side in step.sides],
        "price": price(step.event, coordinate).to_json(),
    }


def step_from_json(body: Mapping[str, Any]) -> Step:
    """Inverse of :func:`step_to_json`, without the price."""
    sides = tuple(Side(side) for side in body["sides"])
    return Step(label=body["label"], event=event_from_json(body["event"]), sides=sides)


def split_to_json(split: Split | None) -> dict[str, Any] | None:
    """A split as JSON values; None where the sides aren't those of any other release."""
    if split is None:
        return None
    share = split.holdout_share
    return {"key": split.key_id, "share": [share.numerator, share.denominator], "column": split.id_column}


def split_from_json(body: Mapping[str, Any] | None) -> Split | None:
    """Inverse of :func:`split_to_json`."""
    if body is None:
        return None
    split = Split(key_id=body["key"], holdout_share=Fraction(*body["share"]), id_column=body["column"])
    if split_to_json(split) != body:
        raise ValueError("a split isn't in its one form")
    return split
