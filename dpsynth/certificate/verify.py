"""Offline verification of a release folder: a pinned public key, no data, no record engine.

Order matters: nothing is parsed before its hash or signature was checked, except the envelope's own outer form.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accountant.errors import Refusal
from dpsynth.certificate.arithmetic import check_claim, check_gate, check_ledger
from dpsynth.certificate.dossier import Artefact, Dossier
from dpsynth.certificate.envelope import Statement, canonical_json, key_id, load_public_key, open_envelope
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.files import NOT_PRIVATE, SYNTHETIC, plain_name, sha256_file
from dpsynth.certificate.gating import check_gate_facts
from dpsynth.certificate.partly import check_protection
from dpsynth.certificate.people import check_people
from dpsynth.certificate.planned import check_measurements, check_plan

CERTIFICATE = "certificate.json"
REPORT = "report.html"
_JSON_FILES = ("ledger.json", "schema.json", "policy.json")
_REQUIRED = {*_JSON_FILES, REPORT}
_LARGEST_JSON = 1 << 28
_NEXT = "Don't use this folder; ask the publisher for the original one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked, in words."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease:
    """A release that passed every check.

    Attributes:
      dossier: Its signed facts.
      subjects: Its files and their hashes.
      checks: What was checked, in order.
    """

    dossier: Dossier
    subjects: tuple[Artefact, ...]
    checks: tuple[Check, ...]

    @property
    def table(self) -> str | None:
        """File name of the synthetic table, or None where none was released."""
        return next((s.name for s in self.subjects if s.name.startswith(SYNTHETIC)), None)

    def lines(self) -> tuple[str, ...]:
        """The checks, one line each."""
        return tuple(f"{check.name}: {check.detail}" for check in self.checks)


def verify_release(folder: Path, public_key_pem: bytes) -> VerifiedRelease:
    """Check a release folder against a pinned public key.

    Args:
      folder: The published folder.
      public_key_pem: The publisher's Ed25519 public key, PEM, obtained apart from the folder.

    Returns:
      The signed facts and the list of what was checked.

    Raises:
      VerificationFailed: Anything at all isn't as it was signed, or the facts don't add up.
      ParameterError: The key isn't an Ed25519 public key.
    """
    names = _listing(folder)
    statement = open_envelope(_read(folder, CERTIFICATE), public_key_pem=public_key_pem)
    _same_files(names, statement)
    _hashes(folder, statement)
    documents = {name: canonical_json(_read_signed(folder, name, statement), name) for name in _JSON_FILES}
    dossier = statement.dossier
    checks = [
        Check(name="signature", detail=f"Ed25519, key {key_id(load_public_key(public_key_pem))[:16]}…"),
        Check(name="files", detail=f"{len(names)} files, exactly the signed ones, every SHA-256 equal"),
    ]
    for rule in _RULES:
        checks.append(_guarded(rule, statement, documents))
    return VerifiedRelease(dossier=dossier, subjects=statement.subjects, checks=tuple(checks))


def _guarded(
    rule: "Callable[[Statement, Mapping[str, Any]], Check]", statement: Statement, documents: Mapping[str, Any]
) -> Check:
    try:
        return rule(statement, documents)
    except VerificationFailed:
        raise
    except (Refusal, KeyError, TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
        reason = f"{error.what} {error.why}" if isinstance(error, Refusal) else "A part is missing or malformed."
        raise VerificationFailed("The signed facts can't be checked.", reason, _NEXT) from None


def _listing(folder: Path) -> set[str]:
    names = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    raise VerificationFailed(
                        "The folder holds something that isn't a plain file.",
                        "A release has no links and no folders inside.",
                        _NEXT,
                    )
                names.add(entry.name)
    except OSError:
        raise VerificationFailed(
            "The release folder can't be read.", "It doesn't exist, or isn't a folder.", "Check the path."
        ) from None
    return names


def _read(folder: Path, name: str) -> bytes:
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as handle:
            stored = handle.read(_LARGEST_JSON + 1)
    except OSError:
        raise VerificationFailed(f"{name} can't be read.", "It is missing, or not a plain file.", _NEXT) from None
    if len(stored) > _LARGEST_JSON:
        raise VerificationFailed(f"{name} is too large.", f"The limit is {_LARGEST_JSON} bytes.", _NEXT)
    return stored


def _same_files(names: set[str], statement: Statement) -> None:
    signed = [s.name for s in statement.subjects]
    proper = all(plain_name(name) for name in signed) and len(set(signed)) == len(signed) and CERTIFICATE not in signed
    missing = sorted(_REQUIRED - set(signed))
    if not proper or missing:
        raise VerificationFailed(
            "The signed list of files isn't that of a release.", "A name is improper, repeated or missing.", _NEXT
        )
    if names != {*signed, CERTIFICATE}:
        gone, extra = len({*signed} - names), len(names - {*signed, CERTIFICATE})
        raise VerificationFailed(
            f"The folder doesn't hold exactly the signed files: {gone} missing, {extra} extra.",
            "Only files named in the certificate belong to a release.",
            _NEXT,
        )


def _hashes(folder: Path, statement: Statement) -> None:
    for subject in statement.subjects:
        try:
            same = sha256_file(folder / subject.name) == subject.sha256
        except OSError:
            same = False
        if not same:
            raise _changed(subject.name)


def _read_signed(folder: Path, name: str, statement: Statement) -> bytes:
    stored = _read(folder, name)
    if hashlib.sha256(stored).hexdigest() != _digest(statement, name):
        raise _changed(name)
    return stored


def _changed(name: str) -> VerificationFailed:
    return VerificationFailed(f"{name} isn't the file that was signed.", "Its SHA-256 differs.", _NEXT)


def _digest(statement: Statement, name: str) -> str:
    return next(s.sha256 for s in statement.subjects if s.name == name)


def _require(holds: bool, what: str, why: str) -> None:
    if not holds:
        raise VerificationFailed(what, why, _NEXT)


def _check_artefacts(statement: Statement, documents: Mapping[str, Any]) -> Check:
    dossier, signed = statement.dossier, {s.name: s.sha256 for s in statement.subjects}
    stated = {a.name: a.sha256 for a in dossier.artefacts}
    expected = {name: digest for name, digest in signed.items() if name != REPORT}
    _require(stated == expected, "The dossier lists other files than the statement.", "They must be the same.")
    for name, digest in (("schema.json", dossier.data.schema_sha256), ("policy.json", dossier.data.policy_sha256)):
        _require(
            digest == signed[name], f"The stated hash of {name} differs from the file.", "A release used what it names."
        )
    return Check(name="declarations", detail="schema and policy have the stated hashes")


def _check_verdict(statement: Statement, documents: Mapping[str, Any]) -> Check:
    dossier = statement.dossier
    tables = [s.name for s in statement.subjects if s.name not in _REQUIRED]
    _require(
        all(name.startswith(SYNTHETIC) for name in tables), "A table isn't labelled SYNTHETIC.", "Every one must be."
    )
    _require(
        len(tables) == int(dossier.released),
        f"The verdict is {dossier.gate.verdict}, but the folder holds {len(tables)} tables.",
        "A pass comes with one table, anything else with none.",
    )
    _require(
        dossier.private or all(name.startswith(NOT_PRIVATE) for name in tables),
        "The table of a test run isn't labelled NOT-PRIVATE.",
        "A run from a seed protects nobody, and every file of it says so.",
    )
    check_gate(dossier)
    kept = f"table {tables[0]}" if tables else "no table, as it must be"
    seeded = "" if dossier.private else "; NOT PRIVATE: a test run from a seed"
    return Check(name="verdict", detail=f"{dossier.gate.verdict}, {kept}{seeded}")


def _check_claim(statement: Statement, documents: Mapping[str, Any]) -> Check:
    return Check(name="privacy", detail=check_claim(statement.dossier))


def _check_ledger(statement: Statement, documents: Mapping[str, Any]) -> Check:
    return Check(name="ledger", detail=check_ledger(statement.dossier, documents["ledger.json"]))


def _check_plan(statement: Statement, documents: Mapping[str, Any]) -> Check:
    plan = documents["ledger.json"][0]["plan"]  # its hash is that of the ledger, as _check_ledger found before
    return Check(name="plan", detail=check_plan(statement.dossier, plan, documents["schema.json"]))


def _check_gate(statement: Statement, documents: Mapping[str, Any]) -> Check:
    return Check(name="gate", detail=check_gate_facts(statement.dossier, documents["policy.json"]))


def _check_protection(statement: Statement, documents: Mapping[str, Any]) -> Check:
    found = check_protection(statement.dossier, documents["ledger.json"], documents["schema.json"])
    return Check(name="protected", detail=found)


def _check_people(statement: Statement, documents: Mapping[str, Any]) -> Check:
    found = check_people(statement.dossier, documents["ledger.json"], documents["schema.json"])
    return Check(name="people", detail=found)


def _check_measurements(statement: Statement, documents: Mapping[str, Any]) -> Check:
    return Check(name="measurements", detail=check_measurements(statement.dossier))


_RULES: tuple[Callable[[Statement, Mapping[str, Any]], Check], ...] = (
    _check_artefacts,
    _check_verdict,
    _check_ledger,
    _check_plan,
    _check_gate,
    _check_measurements,
    _check_people,
    _check_protection,
    _check_claim,
)
