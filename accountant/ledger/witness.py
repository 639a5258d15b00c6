"""The witness: the last sequence number and head, signed, outside the database, so that a rollback shows.

It is written after each commit. A database ahead of its witness met a crash between the two and is repaired; a database
behind it, or with another entry at its place, was rolled back. Rolling back both together can only be seen from copies
kept elsewhere: each certificate states its ledger's sequence and head.

The file has two slots of one disk sector each and the older one is written over in place, so that a crash leaves the
other slot whole. Read as JSON it is a list of two. It is brought to the disk beside each signed checkpoint (all entries
but charges, and each 64th); in between it is written, which every process and a copy of the folder see at once, and a
power cut can only leave it behind the database, as a crash does. What a running release may spend was reserved and
touched under a flushed witness, so a database rolled back into such a gap frees nothing by itself.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accountant.canonical import dumps
from accountant.errors import LedgerError, Refusal
from accountant.faults import reach
from accountant.ledger.files import flush_data, replace_atomically, write_new
from accountant.ledger.replay import tampered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SLOT_BYTES = 512
_ENDS = ((b"[", b",\n"), (b" ", b"]\n"))
_READS, _READ_AGAIN_SECONDS = 50, 0.002  # a reader may meet a writer half-way through a slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What the ledger held at least.

    Attributes:
      seq: Sequence number of an entry that was on disk.
      head: Its hash.
      signature: Ed25519 signature of both, as hexadecimal digits.
    """

    seq: int
    head: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return b"dpsynth ledger witness 1\n" + dumps({"seq": self.seq, "head": self.head})

    def signed(self, key: "Ed25519PrivateKey") -> "Witness":
        """The same, signed."""
        return replace(self, signature=key.sign(self.signed_bytes()).hex())


class WitnessFile:
    """The two slots on disk; remembers which witnesses it has verified."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._verified: frozenset[Witness] = frozenset()

    def create(self, witness: Witness) -> None:
        """Make the file, with the first signed witness in both slots; raises OSError."""
        write_new(self.path, _slot(witness, 0) + _slot(witness, 1), mode=0o600)

    def read(self) -> tuple[Witness, Witness]:
        """Both slots as they stand on disk, not yet checked.

        Raises:
          LedgerTampered: The file is missing or damaged.
        """
        for attempt in range(_READS):
            try:
                return _parsed(self.path.read_bytes())
            except OSError as error:
                raise tampered(str(self.path), f"the witness can't be read ({error.strerror})") from error
            except (ValueError, KeyError, TypeError, RecursionError, Refusal) as error:
                if attempt == _READS - 1:
                    raise tampered(str(self.path), "the witness is damaged") from error
            time.sleep(_READ_AGAIN_SECONDS)
        raise AssertionError

    def check(self, slots: Sequence[Witness], hashes: Sequence[str], *, public_key: str) -> None:
        """Check the signatures, and that the entries reach the witness and agree with it.

        Raises:
          LedgerTampered: They don't.
        """
        for witness in slots:
            if witness not in self._verified and not _is_signed(witness, public_key):
                raise tampered(str(self.path), "the witness isn't signed by the ledger's key")
            if not 1 <= witness.seq <= len(hashes):
                raise tampered(
                    str(self.path), f"the witness saw entry {witness.seq}, but the database ends at {len(hashes)}"
                )
            if hashes[witness.seq - 1] != witness.head:
                raise tampered(str(self.path), f"entry {witness.seq} isn't the one that the witness saw")
        self._verified = frozenset(slots)

    def advance(self, seq: int, head: str, key: "Ed25519PrivateKey", *, flush: bool) -> None:
        """Bring the witness to ``seq``, unless it is there already. Only under the store's writer lock.

        Args:
          seq: Sequence number of the last entry.
          head: Its hash.
          key: The ledger's.
          flush: Whether to wait until the file is on the disk, whoever wrote it.
        """
        slots = self.read()
        late = max(w.seq for w in slots) >= seq
        if late and not flush:
            return
        reach("witness.before")
        try:
            if late:
                _write(self.path, b"", 0, flush=True)
                return
            witness = Witness(seq=seq, head=head).signed(key)
            if self.path.stat().st_size != 2 * SLOT_BYTES:  # the form of the first schema
                content = _slot(slots[0], 0) + _slot(witness, 1)
                replace_atomically(self.path, content, mode=0o600)
            else:
                position = 0 if slots[0].seq <= slots[1].seq else 1
                _write(self.path, _slot(witness, position), position * SLOT_BYTES, flush=flush)
        except OSError as error:
            raise LedgerError(
                f"The ledger's witness {self.path} can't be written: {error.strerror}.",
                "Without it a rollback couldn't be seen; what was charged before stays charged.",
                "Check permissions and free space, then try again.",
            ) from error
        reach("witness.after")


def _write(path: Path, content: bytes, offset: int, *, flush: bool) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.lseek(handle, offset, os.SEEK_SET)
        if os.write(handle, content) != len(content):
            raise OSError(5, "only a part was written")
        reach("witness.written")
        if flush:
            flush_data(handle)
    finally:
        os.close(handle)


def _object(witness: Witness) -> bytes:
    return dumps({"seq": witness.seq, "head": witness.head, "signature": witness.signature})


def _slot(witness: Witness, position: int) -> bytes:
    first, last = _ENDS[position]
    return first + _object(witness).ljust(SLOT_BYTES - len(first) - len(last)) + last


def _parsed(content: bytes) -> tuple[Witness, Witness]:
    if len(content) < SLOT_BYTES:  # the form of the first schema: one witness on one line
        only = _witness(json.loads(content))
        slots, form = (only, only), _object(only) + b"\n"
    else:
        first, second = (_witness(body) for body in json.loads(content))
        slots, form = (first, second), _slot(first, 0) + _slot(second, 1)
    if content != form:
        raise ValueError("not in its one form")
    return slots


def _witness(body: dict[str, object]) -> Witness:
    seq, head, signature = body["seq"], body["head"], body["signature"]
    if type(seq) is not int or not isinstance(head, str) or not isinstance(signature, str):
        raise TypeError("a field of another type")
    return Witness(seq=seq, head=head, signature=signature)


def _is_signed(witness: Witness, public_key: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        signature = bytes.fromhex(witness.signature)
        if signature.hex() != witness.signature:
            return False
        key.verify(signature, witness.signed_bytes())
    except (ValueError, TypeError, InvalidSignature, Refusal):
        return False
    return True
