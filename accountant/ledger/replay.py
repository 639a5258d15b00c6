"""Replay of one release's entries: the state machine, and every check that the entries allow by themselves.

RESERVED -> TOUCHED (the data handle was opened) -> COMMITTED or ABORTED. Before TOUCHED an abort refunds everything,
after it nothing; a commit returns the unspent rest, as the enclosing scope is a filter in the same coordinate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.canonical import sha256_hex
from accountant.compose import larger_side, price, require_adjacency
from accountant.errors import LedgerTampered
from accountant.ledger.entries import GENESIS, Entry, sides_from_json, step_from_json, unit_from_json
from accountant.price import Coordinate, Price
from accountant.spend import BOTH_SIDES, Side, Step


class State(StrEnum):
    """Where a release stands."""

    RESERVED = "reserved"
    TOUCHED = "touched"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease:
    """What the verified entries of one release say.

    Attributes:
      release_id: The release.
      state: Where it stands.
      dataset: Declared id of the data.
      unit: The privacy unit of the scope.
      coordinate: Where prices add up.
      plan: The public plan, as JSON values.
      plan_hash: SHA-256 of its canonical JSON.
      key_hash: SHA-256 of the idempotency key, or None.
      caps: What each side may pay.
      price: What was reserved: the larger side, per component.
      before: What the scope had spent and reserved before.
      charged: What the scope bears for it now.
      steps: Everything charged, in order.
      totals: What each side has paid.
      outcome: Set by the commit.
      reason: Set by an abort.
      artefacts: SHA-256 of each public file, by name; set by the commit.
      seq: Sequence number of its last entry.
      head: Hash of its last entry.
      date: Date of its last entry.
    """

    release_id: str
    state: State
    dataset: str
    unit: PrivacyUnit
    coordinate: Coordinate
    plan: Mapping[str, Any] = field(repr=False)
    plan_hash: str
    key_hash: str | None
    caps: Mapping[Side, Price]
    price: Price
    before: Price
    charged: Price
    steps: tuple[Step, ...] = ()
    totals: Mapping[Side, Price]
    outcome: str | None = None
    reason: str | None = None
    artefacts: Mapping[str, str] = field(default_factory=dict)
    seq: int
    head: str
    date: str


def tampered(where: str, what: str) -> LedgerTampered:
    """The refusal for anything that doesn't agree with itself."""
    return LedgerTampered(
        f"The ledger doesn't verify at {where}: {what}.",
        "It was changed, cut, rolled back or damaged after it was written.",
        "Restore it from a copy that verifies, and count everything released since as spent.",
    )


def advance(release: VerifiedRelease | None, entry: Entry, digest: str) -> VerifiedRelease:
    """The release after one more entry.

    Raises:
      LedgerTampered: The entry isn't a lawful successor.
    """
    where = f"entry {entry.get('seq')!r}"
    rule = _RULES.get(str(entry.get("kind")))
    if rule is None:
        raise tampered(where, "its kind is unknown")
    expected = (release.head, release.release_id) if release else (GENESIS, entry.get("release"))
    if (entry.get("release_prev"), entry.get("release")) != expected:
        raise tampered(where, "the chain of its release is broken")
    if release is not None and not (type(entry.get("seq")) is int and entry["seq"] > release.seq):
        raise tampered(where, "it is out of order")
    before = release.state if release else None
    if before not in rule[0]:
        raise tampered(where, f"a {entry['kind']} can't follow the state {before or 'none'}")
    after = rule[1](release, entry, where)
    return replace(after, seq=entry["seq"], head=digest, date=entry["date"])


def _expect(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise tampered(where, what)


def _reserve(_: None, entry: Entry, where: str) -> VerifiedRelease:
    caps = sides_from_json(entry["caps"])
    reserved = Price.from_json(entry["price"])
    _expect(reserved == larger_side(caps), where, "the price isn't the larger side of the caps")
    _expect(entry["plan_hash"] == sha256_hex(entry["plan"]), where, "the plan doesn't have its hash")
    return VerifiedRelease(
        release_id=entry["release"],
        state=State.RESERVED,
        dataset=entry["dataset"],
        unit=unit_from_json(entry["unit"]),
        coordinate=Coordinate(entry["coordinate"]),
        plan=entry["plan"],
        plan_hash=entry["plan_hash"],
        key_hash=entry["key_hash"],
        caps=caps,
        price=reserved,
        before=Price.from_json(entry["before"]),
        charged=reserved,
        totals=dict.fromkeys(BOTH_SIDES, Price()),
        seq=entry["seq"],
        head="",
        date=entry["date"],
    )


def _touch(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    return replace(release, state=State.TOUCHED)


def _charge(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    steps, totals = [], dict(release.totals)
    for body in entry["steps"]:
        step, cost = step_from_json(body), Price.from_json(body["price"])
        require_adjacency([step.event], release.unit.adjacency)
        _expect(bool(step.sides), where, "a step names no side")
        _expect(_same(cost, price(step.event, release.coordinate)), where, "a step's price isn't that of its event")
        steps.append(step)
        for side in set(step.sides):
            totals[side] = totals[side] + cost
    _expect(bool(steps), where, "a charge holds no step")
    _expect(totals == sides_from_json(entry["totals"]), where, "the totals aren't the sums of the charges")
    _expect(all(t.fits(release.caps.get(s, Price())) for s, t in totals.items()), where, "a side is above its cap")
    return replace(release, steps=(*release.steps, *steps), totals=totals)


def _same(recorded: Price, computed: Price) -> bool:
    """Equal, but for the last bits in which two platforms' math libraries may differ (each rounds up by more)."""
    return recorded.delta == computed.delta and abs(recorded.amount - computed.amount) <= 1 + (computed.amount >> 36)


def _commit(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    charged = Price.from_json(entry["charged"])
    _expect(charged == larger_side(release.totals), where, "the settled price isn't the larger side of the charges")
    artefacts = dict(entry["artefacts"])
    return replace(
        release, state=State.COMMITTED, charged=charged, outcome=str(entry["outcome"]), artefacts=artefacts
    )


def _abort(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    charged = Price.from_json(entry["charged"])
    due = release.price if release.state is State.TOUCHED else Price()
    _expect(charged == due, where, "an abort refunds what it must not, or keeps what it must return")
    return replace(release, state=State.ABORTED, charged=charged, reason=str(entry["reason"]))


_RULES: dict[str, tuple[tuple[State | None, ...], Callable[[Any, Entry, str], VerifiedRelease]]] = {
    "reserve": ((None,), _reserve),
    "touch": ((State.RESERVED,), _touch),
    "charge": ((State.TOUCHED,), _charge),
    "commit": ((State.TOUCHED,), _commit),
    "abort": ((State.RESERVED, State.TOUCHED), _abort),
}
"""Each kind: the states it may follow, and what it makes of the release."""
