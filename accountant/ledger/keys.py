"""The keys of a ledger: an Ed25519 pair that signs, and a secret that decides the training/holdout split."""

import hmac
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accountant.errors import LedgerError
from accountant.ledger.files import flush_folder, write_new
from accountant.ledger.replay import tampered

SPLIT_KEY_BYTES = 32


def create_keys(folder: Path) -> str:
    """Make ``folder`` (0700) with fresh keys (0600); returns the public key as hexadecimal digits."""
    folder.mkdir(mode=0o700)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_new(folder / "signing.key", pem, mode=0o600)
    write_new(folder / "signing.pub", public, mode=0o600)
    write_new(folder / "split.key", os.urandom(SPLIT_KEY_BYTES), mode=0o600)
    flush_folder(folder)
    return public_hex(private)


def public_hex(private: Ed25519PrivateKey) -> str:
    """The raw public key as hexadecimal digits."""
    return private.public_key().public_bytes_raw().hex()


def load_signing_key(folder: Path, *, public_key: str) -> Ed25519PrivateKey:
    """The signing key, checked against the public key that the ledger declares.

    Raises:
      LedgerError: The key can't be read.
      LedgerTampered: It isn't the ledger's key.
    """
    path = folder / "signing.key"
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise tampered(str(path), "the signing key is damaged") from error
    if not isinstance(key, Ed25519PrivateKey) or public_hex(key) != public_key:
        raise tampered(str(path), "it isn't the key that the ledger declares")
    return key


def load_split_key(folder: Path) -> bytes:
    """The 32 secret bytes that decide the split of this scope."""
    key = _read(folder / "split.key")
    if len(key) != SPLIT_KEY_BYTES:
        raise tampered(str(folder / "split.key"), "the split key is damaged")
    return key


def scope_key(key: bytes, name: str) -> bytes:
    """The split key of a data set below the root: its own, so that no two data sets share their coins."""
    return hmac.digest(key, b"dpsynth ledger split key of the scope\n" + name.encode(), "sha256")


def public_name(key: bytes) -> str:
    """A name of a secret key that tells nothing about it."""
    return hmac.digest(key, b"dpsynth ledger name of the split key", "sha256").hex()[:32]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LedgerError(
            f"The key {path} can't be read: {error.strerror}.",
            "A ledger's keys belong to whoever created it (mode 0600).",
            "Run as that user, or restore the keys folder.",
        ) from error
