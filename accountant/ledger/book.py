"""The ledger: scopes of privacy spending, kept in a folder, shared by processes, safe against crashes."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.errors import LedgerError
from accountant.ledger.journal import Journal
from accountant.ledger.keys import load_split_key, public_name, scope_key
from accountant.ledger.layout import KEYS, RELEASES, Postgres
from accountant.ledger.leases import LEASE_SECONDS
from accountant.ledger.replay import VerifiedRelease
from accountant.ledger.scope import Level, Scope
from accountant.ledger.store import Lease
from accountant.price import Price
from accountant.sides import Split
from accountant.spend import Side

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from accountant.ledger.reservation import Reservation, StoredRelease

BUSY_SECONDS = 30.0
"""How long to wait for another process's transaction."""


class Ledger:
    """A privacy unit, a tree of scopes with their budgets, and everything spent in them.

    The root is a data set, or an organisation, team or project with narrower scopes in it; a charge must fit its data
    set and every scope above it. The folder holds ``witness.json``, ``keys/``, ``releases/<release_id>/`` and the
    entries (``ledger.sqlite``) or where they are (``store.json``). Make one with :meth:`create` or :meth:`open`; both
    verify, and every use after that reads and verifies what others added.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self.journal = Journal(path, busy_seconds=busy_seconds)

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        dataset: str,
        budget: Budget,
        unit: PrivacyUnit,
        level: Level = Level.DATASET,
        expires: str | None = None,
        store: Postgres | None = None,
    ) -> "Ledger":
        """Make a new ledger in the folder ``path``, which must not exist yet.

        Args:
          path: The new folder; it appears whole or not at all.
          dataset: Declared id of the data, never derived from its content; the root's name where ``level`` is wider.
          budget: The most that may ever be spent on it.
          unit: Who is protected, here and in every scope below.
          level: What the root is.
          expires: Last day (UTC, as 2026-12-31) on which a release may be reserved; None for no end.
          store: Where its entries are kept; in an SQLite file of the folder unless given.

        Raises:
          LedgerError: The folder or the schema exists, or can't be made.
          MissingExtra: The store's driver isn't installed.
        """
        from accountant.ledger.making import make_ledger

        path = Path(path)
        make_ledger(path, name=dataset, budget=budget, unit=unit, level=level, expires=expires, store=store)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str, *, busy_seconds: float = BUSY_SECONDS) -> "Ledger":
        """Open a ledger and verify it whole; a witness left behind by a crash is brought up to date.

        Raises:
          LedgerError: There is none, or it is locked or unreadable.
          LedgerTampered: It doesn't verify.
        """
        ledger = cls(Path(path), busy_seconds=busy_seconds)
        try:
            ledger.journal.repair()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Let go of the database; a later use opens it again."""
        self.journal.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def dataset(self) -> str:
        """Name of the root: the declared id of the data, where the ledger is of one data set."""
        return self.journal.fold.root.name

    @property
    def unit(self) -> PrivacyUnit:
        """Who is protected."""
        return self.journal.fold.root.unit

    @property
    def budget(self) -> Budget:
        """The most that may ever be spent in the root, now."""
        return self.scope().budget

    @property
    def seq(self) -> int:
        """Sequence number of the last entry, now."""
        self.journal.refresh()
        return self.journal.fold.seq

    @property
    def head(self) -> str:
        """Hash of the last entry, now."""
        self.journal.refresh()
        return self.journal.fold.head

    def scopes(self) -> tuple[Scope, ...]:
        """Every scope with its budget and totals, now; the root first, each before those within it."""
        self.journal.refresh()
        return tuple(self.journal.fold.scopes.values())

    def scope(self, name: str | None = None) -> Scope:
        """One scope with its budget and totals, now; the root unless named.

        Raises:
          LedgerError: There is no scope of that name.
        """
        self.journal.refresh()
        fold = self.journal.fold
        found = fold.root if name is None else fold.scopes.get(name)
        if found is None:
            raise LedgerError(
                f"The ledger {self.path} has no scope {name!r}.",
                f"It has {', '.join(repr(each) for each in list(fold.scopes)[:20])}.",
                "Name one of them, or add this one.",
            )
        return found

    def line(self, name: str) -> tuple[Scope, ...]:
        """A scope and everything above it, from the inside out: what a charge must fit."""
        self.scope(name)
        return tuple(self.journal.fold.line(name))

    def add_scope(
        self,
        name: str,
        *,
        parent: str,
        level: Level,
        budget: Budget,
        expires: str | None = None,
        unit: PrivacyUnit | None = None,
    ) -> Scope:
        """Add a scope within another, for good.

        Args:
          name: Unique in this ledger; of a data set its declared id.
          parent: The scope it lies in, of a wider level.
          level: What it is.
          budget: The most that may ever be spent in it, in the coordinate of its parent.
          expires: Last day (UTC, as 2026-12-31) on which a release may be reserved in it; None for no end.
          unit: Who is protected; the parent's, which is the only lawful one, unless given to be checked.

        Raises:
          LedgerError: The name is taken, or it can't lie there; the message says how to convert.
          ParameterError: A name or a day has a form that isn't allowed.
        """
        from accountant.ledger.making import add_scope

        return add_scope(self, name, parent=parent, level=level, budget=budget, expires=expires, unit=unit)

    def renew(self, name: str, *, budget: Budget, expires: str | None, reason: str) -> Scope:
        """Give a scope another budget for life, or other days, by a recorded act; nothing that was spent is forgotten.

        Args:
          name: The scope.
          budget: The most that may be spent in it for life, what was spent included.
          expires: Its last day; None for no end.
          reason: Why, in public words.

        Raises:
          LedgerError: Another coordinate, or less than what is spent and reserved.
          ParameterError: The reason or the day has a form that isn't allowed.
        """
        from accountant.ledger.making import renew

        return renew(self, name, budget=budget, expires=expires, reason=reason)

    def spent(self, scope: str | None = None) -> Price:
        """What finished releases cost in a scope (the root unless named), now."""
        return self.scope(scope).spent

    def reserved(self, scope: str | None = None) -> Price:
        """What unfinished releases hold, now; in full, whatever they charged so far."""
        return self.scope(scope).reserved

    def remaining(self, scope: str | None = None) -> Price:
        """What is neither spent nor reserved, now. A charge must also fit every scope above."""
        return self.scope(scope).remaining

    def releases(self) -> tuple[VerifiedRelease, ...]:
        """Every release, finished or not, in the order of their reservations."""
        self.journal.refresh()
        return tuple(self.journal.fold.releases.values())

    def release(self, release_id: str) -> VerifiedRelease:
        """One release, as it stands now.

        Raises:
          LedgerError: There is none of that id.
        """
        self.journal.refresh()
        release = self.journal.fold.releases.get(release_id)
        if release is None:
            raise LedgerError(
                f"The ledger {self.path} has no release {release_id!r}.",
                "Releases are known by the id that their reservation was given.",
                "List them with `dpsynth ledger show`.",
            )
        return release

    def lease(self, release_id: str) -> Lease | None:
        """Who holds a release (host and process), and until when (seconds since 1970); never public."""
        return self.journal.lease(release_id)

    def folder(self, release_id: str) -> Path:
        """Where the public artefacts of a release are stored."""
        return self.path / RELEASES / release_id

    def entries(self, release_id: str) -> list[dict[str, Any]]:
        """The entries of one release, each with its ``hash``; public, and they verify alone."""
        return [entry for entry in self.all_entries() if entry.get("release") == release_id]

    def all_entries(self) -> list[dict[str, Any]]:
        """Every entry, each with its ``hash``."""
        return self.journal.entries()

    def reserve(
        self,
        *,
        dataset: str,
        unit: PrivacyUnit,
        idempotency_key: str | None,
        plan: Mapping[str, Any],
        caps: Mapping[Side, Price],
        split: Split | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> "Reservation | StoredRelease":
        """Reserve the price of a release, durably, before its data is opened.

        Args:
          dataset: A data set of this ledger; every scope above it must afford the release, too.
          unit: Must be the ledger's.
          idempotency_key: The same key and plan returns the stored release; None for a release of its own.
          plan: Public facts, as values of canonical JSON.
          caps: What each side may pay; the scopes reserve the larger, per component.
          split: How people come to their sides, if that is by their id under this ledger's key: the data set then keeps
            the totals of the sides apart over all releases of the same split.
          lease_seconds: For how long after its last act nobody else may take the release over.

        Returns:
          A reservation, or the release that this key made before.

        Privacy:
          Records the price; touches and draws nothing.
          Checked by: tests/accountant/test_ledger.py::test_a_second_release_beyond_the_budget_is_refused

        Raises:
          BudgetExceeded: A scope can't afford it, or its days are over; nothing was recorded.
          IdempotencyConflict: The key was used with another plan, or its run didn't finish.
          LedgerError: Another data set or unit, or the ledger can't be written.
        """
        from accountant.ledger.reservation import reserve

        return reserve(
            self,
            dataset=dataset,
            unit=unit,
            idempotency_key=idempotency_key,
            plan=plan,
            caps=caps,
            split=split,
            lease_seconds=lease_seconds,
        )

    def release_stale(self, release_id: str) -> Price:
        """Return, explicitly, a reservation whose process died before it touched the data.

        Returns:
          What was given back.

        Raises:
          LedgerError: The release touched the data or has ended: what it holds stays charged; or its lease runs and
            its process may be alive.
        """
        from accountant.ledger.custody import return_untouched

        return return_untouched(self, release_id)

    def take_over(self, release_id: str, *, lease_seconds: float = LEASE_SECONDS) -> "Reservation":
        """Go on with a release whose process is gone, under the next fencing token.

        Everything charged stays charged. From here on the old process is refused before it can charge, so before it
        can draw.

        Raises:
          LedgerError: The release has ended, or its lease runs and its process may be alive.
        """
        from accountant.ledger.custody import take_over

        return take_over(self, release_id, lease_seconds=lease_seconds)

    def reconcile(self, release_id: str) -> Price:
        """End a run that died after it touched the data, with what its steps charged.

        Each step was on disk before its noise was drawn, so what was never charged was never drawn: that rest of the
        filter goes back to the scopes. From here on the old process is refused before it can charge.

        Returns:
          What was given back.

        Raises:
          LedgerError: The release didn't touch the data or has ended, or its lease runs and its process may be alive.
        """
        from accountant.ledger.custody import reconcile

        return reconcile(self, release_id)

    def signing_key(self) -> "Ed25519PrivateKey":
        """The Ed25519 key that signs certificates, checkpoints and the witness."""
        return self.journal.signing_key

    def public_key_pem(self) -> bytes:
        """The public key that verifies this ledger's certificates, as PEM."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.journal.public_key))
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def split_key(self, dataset: str | None = None) -> bytes:
        """The 32 secret bytes under which people of a data set fall into training or holdout.

        Each data set has its own: the root's is the ledger's, those below are derived from it and their names.

        Raises:
          LedgerError: There is no such data set, or the key can't be read.
        """
        key = load_split_key(self.path / KEYS)
        scope = self.scope(dataset)
        return key if scope.parent is None else scope_key(key, scope.name)

    def split_key_id(self, dataset: str | None = None) -> str:
        """A public name of :meth:`split_key`, for a :class:`accountant.sides.Split`."""
        return public_name(self.split_key(dataset))
