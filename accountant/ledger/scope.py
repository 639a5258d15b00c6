"""The fold of a whole ledger: every entry checked in order, and what the scope has spent."""

import json
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.canonical import dumps, sha256_hex
from accountant.compose import total
from accountant.errors import LedgerTampered, Refusal
from accountant.ledger.entries import GENESIS, VERSION, Entry, unit_from_json
from accountant.ledger.replay import State, VerifiedRelease, advance, tampered
from accountant.price import Price

OPEN_STATES = (State.RESERVED, State.TOUCHED)


class Scope:
    """The state of one ledger, grown entry by entry; nothing in it comes from anywhere but the entries."""

    def __init__(self) -> None:
        self.genesis: Entry | None = None
        self.hashes: list[str] = []
        self.releases: dict[str, VerifiedRelease] = {}
        self._budget: Budget | None = None
        self._unit: PrivacyUnit | None = None
        self._cap = Price()

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
        """The first entry, which declares the scope."""
        if self.genesis is None:
            raise tampered("entry 1", "it is missing")
        return self.genesis

    @property
    def budget(self) -> Budget:
        """The scope's budget."""
        return self._budget or Budget.from_json(self.declared["budget"])

    @property
    def unit(self) -> PrivacyUnit:
        """The scope's privacy unit."""
        return self._unit or unit_from_json(self.declared["unit"])

    @property
    def cap(self) -> Price:
        """The most that the scope may spend."""
        return self._cap

    def spent(self) -> Price:
        """What finished releases cost."""
        return total(r.charged for r in tuple(self.releases.values()) if r.state not in OPEN_STATES)

    def reserved(self) -> Price:
        """What unfinished releases hold, in full."""
        return total(r.charged for r in tuple(self.releases.values()) if r.state in OPEN_STATES)

    def remaining(self) -> Price:
        """What is neither spent nor reserved."""
        return self._cap.less(self.spent() + self.reserved())

    def check(self, entry: Entry, digest: str) -> VerifiedRelease | None:
        """The release after ``entry`` (None for the first entry), without taking it in.

        Raises:
          LedgerTampered: The entry isn't a lawful successor of the last one.
        """
        where = f"entry {self.seq + 1}"
        if entry.get("version") != VERSION:
            raise tampered(where, f"its version is {entry.get('version')!r}, and this accountant reads {VERSION}")
        if (entry.get("seq"), entry.get("prev")) != (self.seq + 1, self.head):
            raise tampered(where, "the chain is broken")
        try:
            if self.hashes:
                return self._check_release(entry, digest, where)
            self._check_first(entry)
        except LedgerTampered:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, Refusal) as error:
            raise tampered(where, f"it can't be read ({type(error).__name__})") from error
        return None

    def _check_first(self, entry: Entry) -> None:
        if entry["kind"] != "create" or not isinstance(entry["dataset"], str):
            raise tampered("entry 1", "it doesn't declare a scope")
        bytes.fromhex(entry["public_key"])
        unit_from_json(entry["unit"])
        Budget.from_json(entry["budget"])

    def _check_release(self, entry: Entry, digest: str, where: str) -> VerifiedRelease:
        release = advance(self.releases.get(entry["release"]), entry, digest)
        if entry["kind"] == "reserve":
            declared = (release.dataset, release.unit, release.coordinate)
            if declared != (self.declared["dataset"], self.unit, self.budget.coordinate):
                raise tampered(where, "a release belongs to another scope")
            if release.before != self.spent() + self.reserved():
                raise tampered(where, "what was spent before isn't what the entries add up to")
            if not (release.before + release.price).fits(self._cap):
                raise tampered(where, "more was reserved than the budget allows")
        return release

    def add(self, entry: Entry, digest: str) -> None:
        """Take in the next entry."""
        release = self.check(entry, digest)
        if release is None:
            self.genesis = entry
            self._budget, self._unit = Budget.from_json(entry["budget"]), unit_from_json(entry["unit"])
            self._cap = self._budget.cap
        else:
            self.releases[release.release_id] = release
        self.hashes.append(digest)

    def read(self, row: tuple[Any, Any, Any]) -> None:
        """Take in the next row of a store: sequence number, canonical JSON, hash."""
        where = f"entry {self.seq + 1}"
        try:
            entry = json.loads(row[1])
        except (TypeError, ValueError) as error:
            raise tampered(where, "it isn't JSON") from error
        if not isinstance(entry, dict) or row[0] != self.seq + 1:
            raise tampered(where, "it is missing or out of order")
        try:
            same = dumps(entry).decode() == row[1] and sha256_hex(entry) == row[2]
        except Refusal as error:
            raise tampered(where, "it isn't canonical JSON") from error
        if not same:
            raise tampered(where, "it doesn't have its hash")
        self.add(entry, row[2])
