"""The fold of a whole ledger: every entry checked in order, and what each scope has spent."""

import json
from collections.abc import Iterator
from typing import Any

from accountant.canonical import dumps, sha256_of
from accountant.errors import LedgerTampered, Refusal
from accountant.ledger.entries import GENESIS, Entry, is_day
from accountant.ledger.replay import UNREADABLE, VerifiedRelease, advance, require_version, tampered
from accountant.ledger.scope import (
    Level,
    Scope,
    declared,
    renewed_by,
    require_child,
    require_renewal,
)

Change = VerifiedRelease | Scope
"""What an entry changes."""


class Fold:
    """The state of one ledger, grown entry by entry; nothing in it comes from anywhere but the entries."""

    def __init__(self) -> None:
        self.genesis: Entry | None = None
        self.hashes: list[str] = []
        self.releases: dict[str, VerifiedRelease] = {}
        self.scopes: dict[str, Scope] = {}
        self.signed: list[int] = []
        self.version, self.date = 0, ""

    @property
    def seq(self) -> int:
        """Sequence number of the last entry; 0 where there is none."""
        return len(self.hashes)

    @property
    def head(self) -> str:
        """Hash of the last entry."""
        return self.hashes[-1] if self.hashes else GENESIS

    @property
    def declared(self) -> Entry:
        """The first entry, which declares the root and the public key."""
        if self.genesis is None:
            raise tampered("entry 1", "it is missing")
        return self.genesis

    @property
    def root(self) -> Scope:
        """The widest scope."""
        return self.scopes[str(self.declared["dataset"])]

    def line(self, name: str) -> Iterator[Scope]:
        """A scope and everything above it, from the inside out."""
        scope: Scope | None = self.scopes[name]
        while scope is not None:
            yield scope
            scope = None if scope.parent is None else self.scopes[scope.parent]

    def check(self, entry: Entry, digest: str) -> Change:
        """What ``entry`` changes, without taking it in.

        Raises:
          LedgerTampered: The entry isn't a lawful successor of the last one.
        """
        where = f"entry {self.seq + 1}"
        require_version(entry, self.version, where)
        if (entry.get("seq"), entry.get("prev")) != (self.seq + 1, self.head):
            raise tampered(where, "the chain is broken")
        try:
            if type(entry["seq"]) is not int or not is_day(entry["date"]):
                raise tampered(where, "its number or its date isn't in its one form")
            if entry["version"] > 1 and not entry["date"] >= self.date:
                raise tampered(where, "its date is before that of an earlier entry")
            rule = _RULES.get(entry["kind"], Fold._check_release) if self.hashes else Fold._check_first
            return rule(self, entry, digest, where)
        except LedgerTampered:
            raise
        except UNREADABLE as error:
            raise tampered(where, f"it can't be read ({type(error).__name__})") from error

    def _check_first(self, entry: Entry, digest: str, where: str) -> Scope:
        if entry["kind"] != "create":
            raise tampered(where, "it doesn't declare a scope")
        bytes.fromhex(entry["public_key"])
        return declared(entry)

    def _check_scope(self, entry: Entry, digest: str, where: str) -> Scope:
        scope = declared(entry)
        if scope.name in self.scopes:
            raise tampered(where, "it declares a scope again")
        require_child(self.scopes[str(scope.parent)], scope)
        return scope

    def _check_renewal(self, entry: Entry, digest: str, where: str) -> Scope:
        scope = self.scopes[entry["scope"]]
        renewed = renewed_by(scope, entry)
        require_renewal(scope, renewed)
        return renewed

    def _check_release(self, entry: Entry, digest: str, where: str) -> VerifiedRelease:
        release = advance(self.releases.get(entry["release"]), entry, digest)
        line = list(self.line(release.dataset))
        if entry["kind"] in {"reserve", "touch"}:
            ended = [scope for scope in line if scope.ended(entry["date"])]
            if ended:
                raise tampered(where, f"the budget of the {ended[0].describe()} had ended")
        if entry["kind"] == "reserve":
            scope = line[0]
            if (scope.level, release.unit, release.coordinate) != (Level.DATASET, scope.unit, scope.budget.coordinate):
                raise tampered(where, "a release belongs to another scope")
            if release.before != scope.held:
                raise tampered(where, "what was spent before isn't what the entries add up to")
            if not all(each.affords(release) for each in line):
                raise tampered(where, "more was reserved than the budget allows")
        return release

    def take(self, entry: Entry, digest: str, change: Change) -> None:
        """Take in the next entry with what :meth:`check` said it changes."""
        if isinstance(change, VerifiedRelease):
            before = self.releases.get(change.release_id)
            for scope in list(self.line(change.dataset)):
                self.scopes[scope.name] = scope.after(before, change)
            self.releases[change.release_id] = change
        else:
            if self.genesis is None:
                self.genesis = entry
            self.scopes[change.name] = change
        self.hashes.append(digest)
        self.version, self.date = entry["version"], entry["date"]
        if is_signed(entry):
            self.signed.append(self.seq)

    def read(self, row: tuple[Any, Any, Any]) -> None:
        """Take in the next row of a store: sequence number, canonical JSON, hash."""
        where = f"entry {self.seq + 1}"
        try:
            entry = json.loads(row[1])
        except (TypeError, ValueError, RecursionError) as error:
            raise tampered(where, "it isn't JSON") from error
        if not isinstance(entry, dict) or row[0] != self.seq + 1:
            raise tampered(where, "it is missing or out of order")
        try:
            content = dumps(entry)
        except (Refusal, ValueError, RecursionError) as error:
            raise tampered(where, "it isn't canonical JSON") from error
        if content.decode() != row[1] or sha256_of(content) != row[2]:
            raise tampered(where, "it doesn't have its hash")
        self.take(entry, row[2], self.check(entry, row[2]))

    def recount(self) -> None:
        """Add up every scope anew, from all its releases, and compare with the running totals.

        Raises:
          LedgerTampered: They differ.
        """
        within: dict[str, list[VerifiedRelease]] = {name: [] for name in self.scopes}
        for release in self.releases.values():
            for scope in self.line(release.dataset):
                within[scope.name].append(release)
        for name, scope in self.scopes.items():
            if scope.recounted(within[name]) != (scope.spent, scope.held):
                raise tampered(f"the {scope.describe()}", "its running total isn't the sum of its releases")


CHECKPOINT_EVERY = 64


def is_signed(entry: Entry) -> bool:
    """Whether a signed checkpoint stands beside an entry: all but charges, and every 64th."""
    return bool(entry["version"] > 1 and (entry["kind"] != "charge" or entry["seq"] % CHECKPOINT_EVERY == 0))


_RULES = {"scope": Fold._check_scope, "renew": Fold._check_renewal}
