"""What leaves a ledger for other tools: its entries as JSON lines, and what they moved as CSV. Public facts only.

An entry is public as it stands (``accountant.ledger.entries``): no record, no time finer than a date, no key. A line of
JSON holds one entry and its hash, so that the entries of a release still verify alone
(:func:`accountant.ledger.verify.verify_entries`).
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from accountant.canonical import dumps
from accountant.ledger.entries import HASH
from accountant.price import AMOUNT_UNIT, DELTA_UNIT

COLUMNS = (
    "seq",
    "date",
    "entry",
    "release",
    "label",
    "sides",
    "event",
    "parameters",
    "adjacency",
    "amount_units",
    "delta_units",
    "amount",
    "delta",
    "hash",
)
"""Of the CSV: a row per charged step, and one per entry of any other kind. Units are exact: 2^-40 and 2^-62."""

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A text that begins with one of these, after anything that isn't seen, may run as a formula in a spreadsheet."""

_BREAKS = frozenset("\t\r\n")
_PRICED = {"reserve": "price", "commit": "charged", "abort": "charged", "reconcile": "charged"}
_SAID = {
    "commit": ("outcome",),
    "abort": ("reason",),
    "reconcile": ("reason",),
    "create": ("dataset",),
    "scope": ("scope",),
    "renew": ("scope", "reason"),
}
_APART = frozenset({"kind", "adjacency"})


def json_lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each entry as one line of canonical JSON, without its end of line."""
    for entry in entries:
        yield dumps(entry).decode()


def to_csv(entries: Iterable[Mapping[str, Any]]) -> str:
    """The entries as CSV with a header; texts that a spreadsheet would run get an apostrophe in front."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        for row in _rows(entry):
            writer.writerow([_guarded(row.get(name, "")) for name in COLUMNS])
    return text.getvalue()


def parameters(event: Mapping[str, Any]) -> str:
    """An event's own parameters in words: ``sigma=36.7; sensitivity=1; draws=37``; nested events in brackets."""
    named = {name: value for name, value in event.items() if name not in _APART}
    return "; ".join(f"{name}={_worded(value)}" for name, value in named.items())


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"[{value.get('kind')}: {parameters(value)}]"
    if isinstance(value, list):
        return ", ".join(_worded(each) for each in value)
    if isinstance(value, str) and value.removeprefix("-").startswith("0x"):
        return f"{float.fromhex(value):.17g}"
    return str(value)


def _rows(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    common = {name: entry.get(name, "") for name in ("seq", "date", "release", HASH)} | {"entry": entry.get("kind", "")}
    steps = entry.get("steps")
    if not steps:
        kind = str(entry.get("kind"))
        yield (
            common
            | {"label": ": ".join(str(entry[name]) for name in _SAID.get(kind, ())), "parameters": _budget(entry)}
            | _amounts(entry.get(_PRICED.get(kind, "")))
        )
        return
    for step in steps:
        event = step["event"]
        yield (
            common
            | _amounts(step["price"])
            | {
                "label": step["label"],
                "sides": "+".join(step["sides"]),
                "event": event["kind"],
                "parameters": parameters(event),
                "adjacency": event["adjacency"],
            }
        )


def _budget(entry: Mapping[str, Any]) -> str:
    """What a scope may spend from this entry on, and until when, in words."""
    budget = entry.get("budget")
    return "" if budget is None else parameters(budget | {"expires": entry.get("expires") or "never"})


def _amounts(price: Mapping[str, int] | None) -> dict[str, Any]:
    if price is None:
        return {}
    return {
        "amount_units": price["amount"],
        "delta_units": price["delta"],
        "amount": f"{price['amount'] / AMOUNT_UNIT:.17g}",
        "delta": f"{price['delta'] / DELTA_UNIT:.17g}",
    }


def _guarded(value: Any) -> str:
    text = str(value)
    first = next((sign for sign in text if not _unseen(sign)), "")
    return "'" + text if first in FORMULA or text[:1] in _BREAKS else text


def _unseen(sign: str) -> bool:
    """White space, and what has no width or form of its own: controls, formats, marks, what isn't assigned."""
    return sign.isspace() or unicodedata.category(sign)[0] in "CM"
