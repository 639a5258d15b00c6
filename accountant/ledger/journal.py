"""The journal of a ledger: its store, its witness and the fold of its entries, kept in step."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accountant.canonical import dumps, sha256_of
from accountant.errors import LedgerError, LedgerTampered
from accountant.faults import reach
from accountant.ledger.checkpoints import check_checkpoint, check_checkpoints, sign_checkpoint
from accountant.ledger.entries import GENESIS, HASH, VERSION, today
from accountant.ledger.files import WITNESS
from accountant.ledger.fold import Change, Fold, is_signed
from accountant.ledger.keys import load_signing_key
from accountant.ledger.layout import KEYS, open_store
from accountant.ledger.replay import FENCING, tampered
from accountant.ledger.store import Lease, Rows
from accountant.ledger.witness import WitnessFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Build = Callable[[Fold, Rows], Mapping[str, Any] | None]
"""An entry's own fields from the current state, or None to add nothing; its exception leaves nothing behind."""


class Journal:
    """The one way to the entries. Threads share it; a fork opens its own connection."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self.path = path
        self.store = open_store(path, busy_seconds=busy_seconds)
        self.witness = WitnessFile(path / WITNESS)
        self.fold = Fold()
        self._sealed = 0
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the store; a later use opens it again."""
        self.store.close()

    def refresh(self) -> int:
        """Read and verify what was added since; returns the sequence number that the witness stood at before."""
        with self._lock, self.store.reading() as rows:
            return self._catch_up(rows)

    def repair(self) -> None:
        """Bring a witness that a crash left behind up to date, where that is possible now."""
        with self._lock:
            if self.refresh() < self.fold.seq:
                with suppress(LedgerError):  # read-only or busy: the next charge brings it up to date
                    self._bear_witness(flush=True)

    def entries(self) -> list[dict[str, Any]]:
        """Every entry, each with its ``hash``."""
        with self.store.reading() as rows:
            return [json.loads(body) | {HASH: digest} for _, body, digest in rows.after(0)]

    def lease(self, release_id: str) -> Lease | None:
        """Who holds a release, and until when."""
        with self.store.reading() as rows:
            return rows.lease(release_id)

    def verify(self) -> int:
        """Check what opening doesn't: the signing key, the sums over all releases, the checkpoints; returns how many.

        Raises:
          LedgerTampered: Something doesn't agree.
        """
        self._signing_key  # noqa: B018 - loading it checks it
        with self._lock, self.store.reading() as rows:
            self._catch_up(rows)
            self.fold.recount()
            return check_checkpoints(rows.checkpoints(), self.fold)  # later ones than the entries read are left out

    def append(self, kind: str, build: Build, *, lease: Lease | None = None) -> Change | None:
        """Add one entry durably, and then the witness of it; returns what it changed."""
        reach(f"{kind}.before")
        key = self._signing_key
        with self._lock:
            with self.store.writing() as rows:
                self._catch_up(rows)
                fields = build(self.fold, rows)
                if fields is None:
                    return None
                entry = self._entry(kind, fields)
                content = dumps(entry)
                digest = sha256_of(content)
                change = self.fold.check(entry, digest)
                rows.append((entry["seq"], content.decode(), digest))
                if is_signed(entry):
                    rows.add_checkpoint(entry["seq"], sign_checkpoint(entry["seq"], digest, key))
                if lease is not None:
                    rows.put_lease(fields["release"], lease)
                reach("transaction.before")
            reach("transaction.after")
            with self._whole():
                self.fold.take(entry, digest, change)
            if is_signed(entry):
                self._sealed = self.fold.seq
            self._bear_witness(flush=is_signed(entry))
        reach(f"{kind}.after")
        return change

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What stops the state while it grows may leave it half grown: it is read and verified anew.

        Not after tampering: what this process saw before the database was changed has to be remembered.
        """
        try:
            yield
        except BaseException as error:
            if not isinstance(error, LedgerTampered):
                self.fold, self._sealed = Fold(), 0
            raise

    def _entry(self, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        fold = self.fold
        entry = {
            "version": VERSION,
            "seq": fold.seq + 1,
            "kind": kind,
            "date": max(today(), fold.date),
            "prev": fold.head,
            **fields,
        }
        if "release" in fields:
            release = fold.releases.get(fields["release"])
            entry["release_prev"] = release.head if release else GENESIS
            held = release.token if release else 1
            entry["token"] = held + 1 if kind in FENCING else held
        return entry

    def _catch_up(self, rows: Rows) -> int:
        # The witness is read before the rows: it is only ever written after them, so it can't be ahead of them.
        slots = self.witness.read()
        known, fold = self.fold.seq, self.fold
        fresh = rows.after(max(0, known - 1))
        if known and (not fresh or fresh[0][2] != fold.head):
            raise tampered(f"entry {known}", "it was there before and is gone or another")
        with self._whole():
            for row in fresh[1:] if known else fresh:
                fold.read(row)
        self.witness.check(slots, fold.hashes, public_key=self.public_key)
        if fold.signed and fold.signed[-1] > self._sealed:  # through the chain it seals everything before it
            check_checkpoint(rows.checkpoint(fold.signed[-1]), fold, fold.signed[-1])
            self._sealed = fold.signed[-1]
        return max(witness.seq for witness in slots)

    def _bear_witness(self, *, flush: bool) -> None:
        """Bring the witness to the head, under the writer's lock so that it never goes back."""
        with self.store.writing() as rows:
            self._catch_up(rows)
            self.witness.advance(self.fold.seq, self.fold.head, self._signing_key, flush=flush)

    @property
    def public_key(self) -> str:
        """The key that the first entry declares, as hexadecimal digits."""
        return str(self.fold.declared["public_key"])

    @property
    def signing_key(self) -> "Ed25519PrivateKey":
        """The key that signs certificates, checkpoints and the witness."""
        return self._signing_key

    @cached_property
    def _signing_key(self) -> "Ed25519PrivateKey":
        return load_signing_key(self.path / KEYS, public_key=self.public_key)
