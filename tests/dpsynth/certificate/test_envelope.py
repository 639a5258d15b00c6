"""The signed form: DSSE, in-toto, one byte string for one content."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from accountant import canonical
from accountant.errors import ParameterError
from dpsynth.certificate import Artefact, Dossier, VerificationFailed, open_envelope, sign
from dpsynth.certificate.commitment import commit
from tests.dpsynth.certificate.dossiers import key_pair, some_dossier

PRIVATE, PUBLIC = key_pair()
SUBJECTS = (Artefact.of("b.json", b"2"), Artefact.of("a.json", b"1"))


@pytest.fixture(scope="module")
def signed() -> bytes:
    return sign(some_dossier(), SUBJECTS, private_key_pem=PRIVATE)


def test_round_trip(signed: bytes) -> None:
    statement = open_envelope(signed, public_key_pem=PUBLIC)
    assert statement.dossier == some_dossier()
    assert statement.subjects == tuple(sorted(SUBJECTS, key=lambda s: s.name))


def test_signing_is_deterministic(signed: bytes) -> None:
    assert sign(some_dossier(), SUBJECTS[::-1], private_key_pem=PRIVATE) == signed


def test_the_form_is_dsse_around_in_toto(signed: bytes) -> None:
    envelope = json.loads(signed)
    payload = base64.b64decode(envelope["payload"])
    statement = json.loads(payload)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:dpsynth:release:v1"
    assert statement["subject"][0] == {"name": "a.json", "digest": {"sha256": hashlib.sha256(b"1").hexdigest()}}
    key: Any = load_pem_public_key(PUBLIC)
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded)
    assert envelope["signatures"][0]["keyid"] == hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _twice(envelope: dict[str, Any]) -> dict[str, Any]:
    return envelope | {"signatures": envelope["signatures"] * 2}


MALLEABLE: dict[str, Callable[[bytes], bytes]] = {
    "white space": lambda raw: raw.replace(b",", b", ", 1),
    "line end": lambda raw: raw + b"\n",
    "order of keys": lambda raw: json.dumps(dict(reversed(json.loads(raw).items())), separators=(",", ":")).encode(),
    "escaped letter": lambda raw: raw.replace(b'"sig"', b'"s\\u0069g"'),
    "key twice": lambda raw: raw[:-1] + b',"payloadType":"application/vnd.in-toto+json"}',
    "second signature": lambda raw: canonical.dumps(_twice(json.loads(raw))),
    "no signature": lambda raw: canonical.dumps(json.loads(raw) | {"signatures": []}),
    "one more key": lambda raw: canonical.dumps(json.loads(raw) | {"more": 1}),
    "other payload type": lambda raw: canonical.dumps(json.loads(raw) | {"payloadType": "text/plain"}),
    "padding bits": lambda raw: raw.replace(_sig(raw), _other_padding(_sig(raw))),
    "deep nesting": lambda raw: b"[" * 100_000,
    "not JSON": lambda raw: b"\xff",
    "a list": lambda raw: b"[]",
    "a float": lambda raw: b"1.0",
    "large number": lambda raw: b"1" * 10_000,
}


def _sig(raw: bytes) -> bytes:
    return str(json.loads(raw)["signatures"][0]["sig"]).encode()


def _other_padding(sig: bytes) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    changed = sig[:-3] + alphabet[alphabet.index(sig[-3]) ^ 1 :][:1] + b"=="
    assert base64.b64decode(changed) == base64.b64decode(sig)
    return changed


@pytest.mark.parametrize("change", MALLEABLE)
def test_the_same_content_has_no_second_form(signed: bytes, change: str) -> None:
    changed = MALLEABLE[change](signed)
    assert changed != signed
    with pytest.raises(VerificationFailed):
        open_envelope(changed, public_key_pem=PUBLIC)


def test_only_ed25519_keys_are_taken(signed: bytes) -> None:
    other = generate_private_key(SECP256R1())
    pem = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for wrong in (pem, b"", b"not a key", PRIVATE):
        with pytest.raises(ParameterError):
            open_envelope(signed, public_key_pem=wrong)
    secret = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for wrong in (secret, b"", PUBLIC):
        with pytest.raises(ParameterError):
            sign(some_dossier(), SUBJECTS, private_key_pem=wrong)


def test_the_dossier_survives_canonical_json() -> None:
    dossier = some_dossier()
    assert Dossier.from_json(json.loads(canonical.dumps(dossier.to_json()))) == dossier


def test_the_predicate_has_open_fields_and_no_missing_ones() -> None:
    body = some_dossier().to_json()
    assert Dossier.from_json(body | {"a later version's field": 1}) == some_dossier()
    for name in set(body) - {"artefacts"}:
        with pytest.raises(ValueError, match=name):
            Dossier.from_json({k: v for k, v in body.items() if k != name})


@pytest.mark.parametrize("wrong", [1, 1.5, None, [], {"a": 1}])
def test_a_field_of_another_type_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError):
        Dossier.from_json(some_dossier().to_json() | {"release_id": wrong})


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ParameterError):
        some_dossier(verdict="passed, trust me")


def test_no_duration_and_no_time_of_day_is_a_fact() -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*(names(v) for v in value.values()))
        return set().union(*(names(v) for v in value)) if isinstance(value, list) else set()

    found = names(some_dossier().to_json())
    assert "date" in found
    assert not [n for n in found if any(w in n for w in ("time", "second_s", "seconds", "duration", "elapsed"))]


@given(blocks=st.lists(st.binary(max_size=20)), key=st.binary(min_size=32, max_size=32))
def test_a_commitment_is_of_the_bytes_alone(blocks: list[bytes], key: bytes) -> None:
    assert commit(blocks, key=key) == commit([b"".join(blocks)], key=key)


def test_a_commitment_binds_and_hides() -> None:
    first, second = b"k" * 32, b"l" * 32
    assert commit([b"data"], key=first) != commit([b"dat4"], key=first)
    assert commit([b"data"], key=first) != commit([b"data"], key=second) != hashlib.sha256(b"data").hexdigest()
    with pytest.raises(ParameterError):
        commit([b"data"], key=b"short")
