"""Replay of one release's entries: the state machine, and every check that the entries allow by themselves.

RESERVED -> TOUCHED (the data handle was opened) -> COMMITTED or ABORTED. Before TOUCHED an abort refunds everything,
after it nothing; a commit returns the unspent rest, as the enclosing scope is a filter in the same coordinate. A
takeover gives the release to another process under the next fencing token; a reconciliation ends a dead run with what
its steps charged. Whoever holds an older token is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.canonical import sha256_hex
from accountant.compose import larger_side, price, require_adjacency
from accountant.errors import LedgerTampered, Refusal
from accountant.ledger.entries import (
    GENESIS,
    VERSIONS,
    Entry,
    sides_from_json,
    split_from_json,
    step_from_json,
    unit_from_json,
)
from accountant.price import Coordinate, Price
from accountant.sides import Split, replaced_person
from accountant.spend import BOTH_SIDES, Side, Step


class State(StrEnum):
    """Where a release stands."""

    RESERVED = "reserved"
    TOUCHED = "touched"
    COMMITTED = "committed"
    ABORTED = "aborted"


OPEN_STATES = (State.RESERVED, State.TOUCHED)
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, Refusal)
"""What reading an entry of any content may raise; each of them says that it is no entry."""


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
      split: How people came to their sides; None where the sides aren't those of any other release.
      caps: What each side may pay.
      price: What was reserved: the larger side, per component.
      before: What the scope had spent and reserved before.
      charged: What its scopes bear for it now.
      borne: The same by side.
      token: The fencing token under which it can be acted on: 1, and one more for every takeover.
      version: Of its last entry.
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
    split: Split | None = None
    caps: Mapping[Side, Price]
    price: Price
    before: Price
    charged: Price
    borne: Mapping[Side, Price]
    token: int = 1
    version: int
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


def require_version(entry: Entry, last: int, where: str) -> None:
    """Check that this accountant reads the entry's version, and that it doesn't fall.

    Raises:
      LedgerTampered: It is another.
    """
    version = entry.get("version")
    if type(version) is not int or version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise tampered(where, f"its version is {version!r}, and this accountant reads {known}")
    if version < last:
        raise tampered(where, "its version is older than that of an earlier entry")


def advance(release: VerifiedRelease | None, entry: Entry, digest: str) -> VerifiedRelease:
    """The release after one more entry.

    Raises:
      LedgerTampered: The entry isn't a lawful successor.
    """
    where = f"entry {entry.get('seq')!r}"
    require_version(entry, release.version if release else 0, where)
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
    token = _token(release, entry, where)
    after = rule[1](release, entry, where)
    return replace(after, seq=entry["seq"], head=digest, date=entry["date"], token=token, version=entry["version"])


def _token(release: VerifiedRelease | None, entry: Entry, where: str) -> int:
    """The fencing token after an entry: only its holder's entries are lawful, and a takeover is the next holder's."""
    if entry["version"] == 1:
        _expect("token" not in entry and entry["kind"] not in FENCING, where, "it is of a later version than it says")
        return 1
    token, held = entry["token"], release.token if release else 1
    expected = held + 1 if entry["kind"] in FENCING else held
    _expect(type(token) is int and token == expected, where, "it was written under another fencing token")
    return expected


def _expect(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise tampered(where, what)


def owed(sides: Mapping[Side, Price], unit: PrivacyUnit, version: int) -> Price:
    """What a release with these prices by side costs its scopes.

    Under add-remove the larger side, per component, and so it is where a unit's private part alone is replaced, as its
    coin stays; a person who is replaced may change sides and pays both (entries of version 1 didn't know that; no
    shipped mechanism ran under replace-one then).

    Raises:
      UnsupportedEvent: Both sides have an additive delta under replace-one.
    """
    moves = version > 1 and unit.adjacency.changes_sides
    return replaced_person(sides) if moves else larger_side(sides)


def _reserve(_: None, entry: Entry, where: str) -> VerifiedRelease:
    caps, unit = sides_from_json(entry["caps"]), unit_from_json(entry["unit"])
    reserved = Price.from_json(entry["price"])
    _expect(reserved == owed(caps, unit, entry["version"]), where, "the price isn't the larger side of the caps")
    _expect(entry["plan_hash"] == sha256_hex(entry["plan"]), where, "the plan doesn't have its hash")
    split = split_from_json(entry["split"]) if entry["version"] > 1 else None
    return replace(reserved_as(entry), split=split, date=entry["date"], version=entry["version"])


def reserved_as(fields: Entry) -> VerifiedRelease:
    """The release that a reserve entry with these fields makes, before it has its place in the chain."""
    reserved, caps = Price.from_json(fields["price"]), sides_from_json(fields["caps"])
    return VerifiedRelease(
        release_id=fields["release"],
        state=State.RESERVED,
        dataset=fields["dataset"],
        unit=unit_from_json(fields["unit"]),
        coordinate=Coordinate(fields["coordinate"]),
        plan=fields["plan"],
        plan_hash=fields["plan_hash"],
        key_hash=fields["key_hash"],
        split=split_from_json(fields.get("split")),
        caps=caps,
        price=reserved,
        before=Price.from_json(fields["before"]),
        charged=reserved,
        borne=caps,
        totals=dict.fromkeys(BOTH_SIDES, Price()),
        seq=0,
        head="",
        date="",
        version=0,
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
            totals[side] = totals.get(side, Price()) + cost
    _expect(bool(steps), where, "a charge holds no step")
    _expect(totals == sides_from_json(entry["totals"]), where, "the totals aren't the sums of the charges")
    _expect(all(t.fits(release.caps.get(s, Price())) for s, t in totals.items()), where, "a side is above its cap")
    return replace(release, steps=(*release.steps, *steps), totals=totals)


def _same(recorded: Price, computed: Price) -> bool:
    """Equal, but for the last bits in which two platforms' math libraries may differ (each rounds up by more)."""
    return recorded.delta == computed.delta and abs(recorded.amount - computed.amount) <= 1 + (computed.amount >> 36)


def _commit(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    return replace(
        _settled(release, entry, where),
        state=State.COMMITTED,
        outcome=str(entry["outcome"]),
        artefacts=dict(entry["artefacts"]),
    )


def _settled(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    charged = Price.from_json(entry["charged"])
    due = owed(release.totals, release.unit, entry["version"])
    _expect(charged == due, where, "the settled price isn't the larger side of the charges")
    return replace(release, charged=charged, borne=release.totals)


def _abort(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    charged = Price.from_json(entry["charged"])
    due, borne = (release.price, release.caps) if release.state is State.TOUCHED else (Price(), {})
    _expect(charged == due, where, "an abort refunds what it must not, or keeps what it must return")
    return replace(release, state=State.ABORTED, charged=charged, borne=borne, reason=str(entry["reason"]))


def _reconcile(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    settled = _settled(release, entry, where)
    return replace(settled, state=State.ABORTED, reason=str(entry["reason"]))


def _take_over(release: VerifiedRelease, entry: Entry, where: str) -> VerifiedRelease:
    return release


FENCING = frozenset({"takeover", "reconcile"})
"""Kinds of entry after which an older token is worth nothing."""

_RULES: dict[str, tuple[tuple[State | None, ...], Callable[[Any, Entry, str], VerifiedRelease]]] = {
    "reserve": ((None,), _reserve),
    "touch": ((State.RESERVED,), _touch),
    "charge": ((State.TOUCHED,), _charge),
    "commit": ((State.TOUCHED,), _commit),
    "abort": (OPEN_STATES, _abort),
    "takeover": (OPEN_STATES, _take_over),
    "reconcile": ((State.TOUCHED,), _reconcile),
}
"""Each kind: the states it may follow, and what it makes of the release."""
