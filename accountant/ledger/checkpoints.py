"""Checkpoints: signatures over the chain, beside it, so that a rewritten chain shows without any witness.

Beside every entry but charges, and beside every 64th entry whatever it is, the same transaction writes an Ed25519
signature of the ledger's key over sequence number and hash. Charges in between are covered by the chain up to the next.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accountant.canonical import dumps
from accountant.ledger.fold import Fold
from accountant.ledger.replay import tampered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_checkpoint(seq: int, digest: str, key: "Ed25519PrivateKey") -> str:
    """The signature beside an entry, as hexadecimal digits."""
    return key.sign(_signed(seq, digest)).hex()


def check_checkpoints(found: Iterable[tuple[int, str]], fold: Fold) -> int:
    """Check that each entry that has a checkpoint has it, and that its signature is of this chain; returns how many.

    Raises:
      LedgerTampered: One is missing, too many, or of another chain or key.
    """
    signatures = {seq: signature for seq, signature in found if seq <= fold.seq}
    for seq in fold.signed:
        check_checkpoint(signatures.pop(seq, None), fold, seq)
    if signatures:
        raise tampered(f"the checkpoint of entry {min(signatures)}", "no entry there has one")
    return len(fold.signed)


def check_checkpoint(signature: str | None, fold: Fold, seq: int) -> None:
    """Check the signature beside entry ``seq``: through the chain it covers every entry before it, too.

    Raises:
      LedgerTampered: It is missing, or of another chain or key.
    """
    if signature is None:
        raise tampered(f"the checkpoint of entry {seq}", "it is missing")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(fold.declared["public_key"])))
        key.verify(bytes.fromhex(signature), _signed(seq, fold.hashes[seq - 1]))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise tampered(f"the checkpoint of entry {seq}", "it was signed for another chain, or by no key") from error


def _signed(seq: int, digest: str) -> bytes:
    return b"dpsynth ledger checkpoint 1\n" + dumps({"seq": seq, "head": digest})
