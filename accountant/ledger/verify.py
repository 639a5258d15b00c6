"""Verification: of a whole ledger in its folder, and of one release's entries alone, without any database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.canonical import sha256_hex
from accountant.errors import LedgerTampered
from accountant.ledger.entries import HASH
from accountant.ledger.replay import UNREADABLE, VerifiedRelease, advance, tampered
from accountant.ledger.scope import Scope
from accountant.price import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLedger:
    """What a verified ledger says.

    Attributes:
      dataset: Declared id of the data.
      unit: Who is protected.
      budget: The most that may ever be spent.
      seq: Sequence number of the last entry.
      head: Its hash.
      releases: Every release, in the order of their reservations.
      spent: What finished releases cost.
      reserved: What unfinished releases hold.
      remaining: The rest.
      scopes: Every scope with its totals, the root first; the figures above are the root's.
      checkpoints: How many signed checkpoints stand beside the chain.
    """

    dataset: str
    unit: PrivacyUnit
    budget: Budget
    seq: int
    head: str
    releases: tuple[VerifiedRelease, ...]
    spent: Price
    reserved: Price
    remaining: Price
    scopes: tuple[Scope, ...]
    checkpoints: int


def verify(path: Path | str) -> VerifiedLedger:
    """Verify a ledger whole: chain, hashes, states, prices, sums, caps, budgets, checkpoints, witness, signing key.

    Raises:
      LedgerTampered: Something doesn't agree; the message says what and where.
      LedgerError: There is no ledger, or it can't be read.
    """
    from accountant.ledger.book import Ledger

    with Ledger.open(path) as ledger:
        checkpoints = ledger.journal.verify()
        fold = ledger.journal.fold
        return VerifiedLedger(
            dataset=ledger.dataset,
            unit=ledger.unit,
            budget=fold.root.budget,
            seq=fold.seq,
            head=fold.head,
            releases=tuple(fold.releases.values()),
            spent=fold.root.spent,
            reserved=fold.root.reserved,
            remaining=fold.root.remaining,
            scopes=tuple(fold.scopes.values()),
            checkpoints=checkpoints,
        )


def verify_entries(entries: Sequence[Mapping[str, Any]]) -> VerifiedRelease:
    """Verify one release's entries by themselves: hashes, their chain, states, prices, sums and caps.

    Args:
      entries: As ``Reservation.entries`` gave them, each with its ``hash``.

    Raises:
      LedgerTampered: They don't verify; the message says what and where.
    """
    release: VerifiedRelease | None = None
    for position, entry in enumerate(entries, start=1):
        where = f"entry {position} of the release"
        try:
            release = _next(release, entry, where)
        except LedgerTampered:
            raise
        except UNREADABLE as error:
            raise tampered(where, f"it can't be read ({type(error).__name__})") from error
    if release is None:
        raise tampered("entry 1 of the release", "it is missing")
    return release


def _next(release: VerifiedRelease | None, entry: Mapping[str, Any], where: str) -> VerifiedRelease:
    body = {name: value for name, value in entry.items() if name != HASH}
    digest = sha256_hex(body)
    if digest != entry[HASH]:
        raise tampered(where, "it doesn't have its hash")
    return advance(release, body, digest)
