"""The signed form: a DSSE envelope around an in-toto Statement v1, Ed25519, one signature, one byte string.

The stored file must equal its own canonical serialisation, and so must the statement inside it: any changed byte, also
in a key id, in the padding bits of base64 or in whitespace, is an error.

Source: DSSE protocol v1 (pre-authentication encoding); in-toto Attestation Framework v1.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from accountant import canonical
from accountant.errors import Refusal
from dpsynth.certificate.dossier import Artefact, Dossier
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.errors import ParameterError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:dpsynth:release:v1"
_NEXT = "Don't use this folder; ask the publisher for the original one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What was signed: the files with their hashes, and the dossier."""

    subjects: tuple[Artefact, ...]
    dossier: Dossier


def sign(dossier: Dossier, subjects: Sequence[Artefact], *, private_key_pem: bytes) -> bytes:
    """The bytes of ``certificate.json``.

    Args:
      dossier: The public facts.
      subjects: Every other file of the folder.
      private_key_pem: An Ed25519 private key, PEM, not encrypted.

    Raises:
      ParameterError: The key isn't an Ed25519 private key.
    """
    key = _private_key(private_key_pem)
    payload = canonical.dumps(_statement_json(dossier, subjects))
    signature = {"keyid": key_id(key.public_key()), "sig": _b64(key.sign(_pre_authentication(payload)))}
    return canonical.dumps({"payload": _b64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [signature]})


def open_envelope(stored: bytes, *, public_key_pem: bytes) -> Statement:
    """Check the form and the signature of ``certificate.json`` against a pinned key and return what was signed.

    Raises:
      VerificationFailed: A byte was changed, the form isn't the canonical one, or another key signed it.
      ParameterError: ``public_key_pem`` isn't an Ed25519 public key.
    """
    key = load_public_key(public_key_pem)
    envelope = canonical_json(stored, "certificate.json")
    payload, sig = _parts(envelope, key_id(key))
    try:
        key.verify(sig, _pre_authentication(payload))
    except InvalidSignature:
        raise VerificationFailed(
            "The signature of certificate.json doesn't hold.", "The signed facts or the signature were changed.", _NEXT
        ) from None
    return _statement(canonical_json(payload, "the signed statement"))


def canonical_json(stored: bytes, name: str) -> Any:
    """Parse JSON that must be its own canonical serialisation; raises VerificationFailed where it isn't."""
    try:
        value = json.loads(stored)
        if canonical.dumps(value) == stored:
            return value
    except (ValueError, RecursionError, ParameterError):
        pass
    raise VerificationFailed(f"{name} isn't canonical JSON.", "One or more of its bytes were changed.", _NEXT)


def load_public_key(pem: bytes) -> Ed25519PublicKey:
    """The Ed25519 public key in ``pem``; raises ParameterError for anything else."""
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ParameterError(
            "The public key can't be read.",
            "A release is verified with an Ed25519 public key in PEM form.",
            "Give the file that the publisher handed out apart from the release, for example signing.pub.",
        )
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the 32 raw bytes of a public key, hexadecimal."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ParameterError(
            "The signing key can't be read.",
            "A certificate is signed with an unencrypted Ed25519 private key in PEM form.",
            "Use the key that the ledger keeps.",
        )
    return key


def _statement_json(dossier: Dossier, subjects: Sequence[Artefact]) -> dict[str, Any]:
    names = sorted(subjects, key=lambda s: s.name)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": s.name, "digest": {"sha256": s.sha256}} for s in names],
        "predicateType": PREDICATE_TYPE,
        "predicate": dossier.to_json(),
    }


def _statement(body: Any) -> Statement:
    if not isinstance(body, dict) or (body.get("_type"), body.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise VerificationFailed(
            "The signed statement has an unknown type.",
            f"This version reads {PREDICATE_TYPE}.",
            "Use the version of dpsynth that wrote it, or a newer one.",
        )
    try:
        subjects = tuple(Artefact(name=s["name"], sha256=s["digest"]["sha256"]) for s in body["subject"])
        return Statement(subjects=subjects, dossier=Dossier.from_json(body["predicate"]))
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError, Refusal):
        raise VerificationFailed(
            "The signed statement can't be read.",
            "A fact that this version needs is missing or has another type.",
            "Use the version of dpsynth that wrote it.",
        ) from None


def _parts(envelope: Any, pinned: str) -> tuple[bytes, bytes]:
    try:
        ((keyid, sig),) = ((s["keyid"], s["sig"]) for s in envelope["signatures"] if set(s) == {"keyid", "sig"})
        exact = set(envelope) == {"payload", "payloadType", "signatures"} and len(envelope["signatures"]) == 1
        payload, signature = _unb64(envelope["payload"]), _unb64(sig)
    except (KeyError, TypeError, ValueError):
        exact = False
    if not exact or envelope["payloadType"] != PAYLOAD_TYPE:
        raise VerificationFailed(
            "certificate.json isn't a DSSE envelope with one signature.", "Its form was changed.", _NEXT
        )
    if keyid != pinned:
        raise VerificationFailed(
            "The certificate names another signing key than the one given.",
            "Either it was signed anew by someone else, or the key given isn't the publisher's.",
            "Check where the public key came from.",
        )
    return payload, signature


def _pre_authentication(payload: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if _b64(raw) != text:
        raise ValueError("not canonical base64")
    return raw
