"""The ledger: one scope of privacy spending, kept in a folder, shared by processes, safe against crashes."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.canonical import dumps, sha256_hex
from accountant.errors import LedgerError, ParameterError
from accountant.faults import reach
from accountant.ledger.entries import GENESIS, HASH, VERSION, today, unit_to_json
from accountant.ledger.files import flush_folder
from accountant.ledger.keys import create_keys, load_signing_key, load_split_key
from accountant.ledger.replay import VerifiedRelease, tampered
from accountant.ledger.scope import Scope
from accountant.ledger.sqlite import SqliteStore
from accountant.ledger.store import Rows
from accountant.ledger.witness import Witness, WitnessFile
from accountant.price import Price
from accountant.spend import Side

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from accountant.ledger.reservation import Reservation, StoredRelease

DATABASE, WITNESS, KEYS, RELEASES = "ledger.sqlite", "witness.json", "keys", "releases"
BUSY_SECONDS = 30.0
"""How long to wait for another process's transaction."""


class Ledger:
    """One scope: a declared data set, a privacy unit, a budget, and everything spent on it.

    The folder holds ``ledger.sqlite``, ``witness.json``, ``keys/`` and ``releases/<release_id>/``. Make one with
    :meth:`create` or :meth:`open`; both verify, and every use after that reads and verifies what others added.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._store = SqliteStore(path / DATABASE, busy_seconds=busy_seconds)
        self._witness = WitnessFile(path / WITNESS)
        self._scope = Scope()

    @classmethod
    def create(cls, path: Path | str, *, dataset: str, budget: Budget, unit: PrivacyUnit) -> "Ledger":
        """Make a new ledger in the folder ``path``, which must not exist yet.

        Args:
          path: The new folder; it appears whole or not at all.
          dataset: Declared id of the data; never derived from its content.
          budget: The most that may ever be spent on it.
          unit: Who is protected.

        Raises:
          LedgerError: The folder exists, or can't be made.
        """
        path = Path(path)
        _require_id(dataset)
        if path.exists():
            raise LedgerError(
                f"A ledger can't be created at {path}.",
                "Something is there already, and a ledger never replaces anything.",
                "Choose another folder, or open the ledger that is there.",
            )
        staged = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
        try:
            _build(staged, dataset=dataset, budget=budget, unit=unit)
            staged.rename(path)
            flush_folder(path.parent)
        except OSError as error:
            raise LedgerError(
                f"A ledger can't be created at {path}: {error.strerror}.",
                "Its folder couldn't be written.",
                "Check permissions and free space, or choose another folder.",
            ) from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)
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
            if ledger.refresh() < ledger._scope.seq:
                with suppress(LedgerError):  # read-only or busy: the next charge brings it up to date
                    ledger._bear_witness()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Let go of the database; a later use opens it again."""
        self._store.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def dataset(self) -> str:
        """Declared id of the data."""
        return str(self._scope.declared["dataset"])

    @property
    def unit(self) -> PrivacyUnit:
        """Who is protected."""
        return self._scope.unit

    @property
    def budget(self) -> Budget:
        """The most that may ever be spent."""
        return self._scope.budget

    @property
    def seq(self) -> int:
        """Sequence number of the last entry, now."""
        self.refresh()
        return self._scope.seq

    @property
    def head(self) -> str:
        """Hash of the last entry, now."""
        self.refresh()
        return self._scope.head

    def spent(self) -> Price:
        """What finished releases cost, now."""
        self.refresh()
        return self._scope.spent()

    def reserved(self) -> Price:
        """What unfinished releases hold, now; in full, whatever they charged so far."""
        self.refresh()
        return self._scope.reserved()

    def remaining(self) -> Price:
        """What is neither spent nor reserved, now."""
        self.refresh()
        return self._scope.remaining()

    def releases(self) -> tuple[VerifiedRelease, ...]:
        """Every release, finished or not, in the order of their reservations."""
        self.refresh()
        return tuple(self._scope.releases.values())

    def release(self, release_id: str) -> VerifiedRelease:
        """One release, as it stands now."""
        self.refresh()
        return self._known(release_id)

    def folder(self, release_id: str) -> Path:
        """Where the public artefacts of a release are stored."""
        return self.path / RELEASES / release_id

    def entries(self, release_id: str) -> list[dict[str, Any]]:
        """The entries of one release, each with its ``hash``; public, and they verify alone."""
        return [entry for entry in self.all_entries() if entry.get("release") == release_id]

    def all_entries(self) -> list[dict[str, Any]]:
        """Every entry, each with its ``hash``."""
        with self._store.reading() as rows:
            return [json.loads(body) | {HASH: digest} for _, body, digest in rows.after(0)]

    def reserve(
        self,
        *,
        dataset: str,
        unit: PrivacyUnit,
        idempotency_key: str | None,
        plan: Mapping[str, Any],
        caps: Mapping[Side, Price],
    ) -> "Reservation | StoredRelease":
        """Reserve the price of a release, durably, before its data is opened.

        Args:
          dataset: Must be the ledger's.
          unit: Must be the ledger's.
          idempotency_key: The same key and plan returns the stored release; None for a release of its own.
          plan: Public facts, as values of canonical JSON.
          caps: What each side may pay; the scope reserves the larger, per component.

        Returns:
          A reservation, or the release that this key made before.

        Privacy:
          Records the price; touches and draws nothing.
          Checked by: tests/accountant/test_ledger.py::test_a_second_release_beyond_the_budget_is_refused

        Raises:
          BudgetExceeded: It doesn't fit; nothing was recorded.
          IdempotencyConflict: The key was used with another plan, or its run didn't finish.
          LedgerError: Another data set or unit, or the ledger can't be written.
        """
        from accountant.ledger.reservation import reserve

        return reserve(self, dataset=dataset, unit=unit, idempotency_key=idempotency_key, plan=plan, caps=caps)

    def release_stale(self, release_id: str) -> Price:
        """Return, explicitly, a reservation whose process died before it touched the data.

        Returns:
          What was given back.

        Raises:
          LedgerError: The release touched the data or has ended: what it holds stays charged.
        """
        from accountant.ledger.reservation import return_untouched

        return return_untouched(self, release_id)

    def signing_key(self) -> "Ed25519PrivateKey":
        """The Ed25519 key that signs certificates and the witness."""
        return self._signing_key

    @cached_property
    def _signing_key(self) -> "Ed25519PrivateKey":
        return load_signing_key(self.path / KEYS, public_key=self._public_key)

    @property
    def _public_key(self) -> str:
        return str(self._scope.declared["public_key"])

    def public_key_pem(self) -> bytes:
        """The public key that verifies this ledger's certificates, as PEM."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self._public_key))
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def split_key(self) -> bytes:
        """The 32 secret bytes under which people of this scope fall into training or holdout."""
        return load_split_key(self.path / KEYS)

    def refresh(self) -> int:
        """Read and verify what was added since; returns the sequence number that the witness stood at before."""
        with self._store.reading() as rows:
            return self._catch_up(rows)

    def _catch_up(self, rows: Rows) -> int:
        # The witness is read before the rows: it is only ever written after them, so it can't be ahead of them.
        slots = self._witness.read()
        known, scope = self._scope.seq, self._scope
        fresh = rows.after(max(0, known - 1))
        if known and (not fresh or fresh[0][2] != scope.head):
            raise tampered(f"entry {known}", "it was there before and is gone or another")
        for row in fresh[1:] if known else fresh:
            scope.read(row)
        self._witness.check(slots, scope.hashes, public_key=self._public_key)
        return max(witness.seq for witness in slots)

    def _known(self, release_id: str) -> VerifiedRelease:
        release = self._scope.releases.get(release_id)
        if release is None:
            raise LedgerError(
                f"The ledger {self.path} has no release {release_id!r}.",
                "Releases are known by the id that their reservation was given.",
                "List them with `dpsynth ledger show`.",
            )
        return release

    def append(self, kind: str, build: Callable[[Scope], Mapping[str, Any] | None]) -> VerifiedRelease | None:
        """Add one entry durably: ``build`` gives its own fields from the current scope, or None to add nothing.

        For the ledger's own modules. An exception of ``build`` leaves nothing behind.
        """
        reach(f"{kind}.before")
        with self._store.writing() as rows:
            self._catch_up(rows)
            fields = build(self._scope)
            if fields is None:
                return None
            entry, digest = self._sealed(kind, fields)
            self._scope.check(entry, digest)
            rows.append((entry["seq"], dumps(entry).decode(), digest))
            reach("transaction.before")
        reach("transaction.after")
        self._bear_witness()
        reach(f"{kind}.after")
        return self._scope.releases[fields["release"]]

    def _sealed(self, kind: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        scope = self._scope
        release = scope.releases.get(fields["release"])
        entry = {
            "version": VERSION,
            "seq": scope.seq + 1,
            "kind": kind,
            "date": today(),
            "prev": scope.head,
            "release_prev": release.head if release else GENESIS,
            **fields,
        }
        return entry, sha256_hex(entry)

    def _bear_witness(self) -> None:
        """Bring the witness to the head, under the writer's lock so that it never goes back."""
        key = self.signing_key()
        with self._store.writing() as rows:
            self._catch_up(rows)
            self._witness.advance(self._scope.seq, self._scope.head, key)


def _require_id(dataset: str) -> None:
    if not (0 < len(dataset) <= 200 and dataset.isprintable()):
        raise ParameterError(
            "A data set's id must be 1 to 200 printable characters.",
            "Data sets are known by a declared id, never by their content.",
            "Give it a short name, such as 'census-2024'.",
        )


def _build(folder: Path, *, dataset: str, budget: Budget, unit: PrivacyUnit) -> None:
    folder.mkdir(mode=0o700)
    (folder / RELEASES).mkdir(mode=0o700)
    public_key = create_keys(folder / KEYS)
    entry = {
        "version": VERSION,
        "seq": 1,
        "kind": "create",
        "date": today(),
        "prev": GENESIS,
        "dataset": dataset,
        "unit": unit_to_json(unit),
        "budget": budget.to_json(),
        "public_key": public_key,
    }
    digest = sha256_hex(entry)
    store = SqliteStore.create(folder / DATABASE, busy_seconds=BUSY_SECONDS)
    try:
        with store.writing() as rows:
            rows.append((1, dumps(entry).decode(), digest))
    finally:
        store.close()
    key = load_signing_key(folder / KEYS, public_key=public_key)
    WitnessFile(folder / WITNESS).create(Witness(seq=1, head=digest).signed(key))
    flush_folder(folder)
