"""The witness: the last sequence number and head, signed, outside the database, so that a rollback shows.

It is written after each commit. A database ahead of its witness met a crash between the two and is repaired; a database
behind it, or with another entry at its place, was rolled back. Rolling back both together can only be seen from copies
kept elsewhere: each certificate states its ledger's sequence and head.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accountant.canonical import dumps
from accountant.errors import LedgerError, Refusal
from accountant.faults import reach
from accountant.ledger.files import replace_atomically
from accountant.ledger.replay import tampered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


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


def _on_disk(witness: Witness) -> bytes:
    return dumps({"seq": witness.seq, "head": witness.head, "signature": witness.signature}) + b"\n"


def write_witness(path: Path, witness: Witness, key: "Ed25519PrivateKey") -> None:
    """Replace the witness, durably."""
    reach("witness.before")
    signed = replace(witness, signature=key.sign(witness.signed_bytes()).hex())
    try:
        replace_atomically(path, _on_disk(signed), mode=0o600)
    except OSError as error:
        raise LedgerError(
            f"The ledger's witness {path} can't be written: {error.strerror}.",
            "Without it a rollback couldn't be seen; what was charged before stays charged.",
            "Check permissions and free space, then try again.",
        ) from error
    reach("witness.after")


def read_witness(path: Path) -> Witness:
    """The witness as it stands on disk, not yet checked.

    Raises:
      LedgerTampered: It is missing or damaged.
    """
    try:
        content = path.read_bytes()
        body = json.loads(content)
        witness = Witness(seq=body["seq"], head=body["head"], signature=body["signature"])
        if type(witness.seq) is not int or content != _on_disk(witness):
            raise ValueError("not in its one form")
    except OSError as error:
        raise tampered(str(path), f"the witness can't be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, Refusal) as error:
        raise tampered(str(path), "the witness is damaged") from error
    return witness


def check_witness(witness: Witness, hashes: list[str], path: Path, *, public_key: str) -> None:
    """Check the signature, and that the entries reach the witness and agree with it.

    Raises:
      LedgerTampered: They don't.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        signature = bytes.fromhex(witness.signature)
        if signature.hex() != witness.signature:
            raise ValueError("not in its one form")
        key.verify(signature, witness.signed_bytes())
    except (ValueError, TypeError, InvalidSignature, Refusal) as error:
        raise tampered(str(path), "the witness isn't signed by the ledger's key") from error
    if not 1 <= witness.seq <= len(hashes):
        raise tampered(str(path), f"the witness saw entry {witness.seq}, but the database ends at {len(hashes)}")
    if hashes[witness.seq - 1] != witness.head:
        raise tampered(str(path), f"entry {witness.seq} isn't the one that the witness saw")
