"""Making ledgers and scopes, and renewing them: the acts that declare what may be spent."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.canonical import dumps, sha256_hex
from accountant.errors import LedgerError, ParameterError
from accountant.ledger.checkpoints import sign_checkpoint
from accountant.ledger.entries import GENESIS, VERSION, is_day, today, unit_to_json
from accountant.ledger.files import WITNESS, flush_folder
from accountant.ledger.fold import Fold
from accountant.ledger.keys import create_keys, load_signing_key
from accountant.ledger.layout import KEYS, RELEASES, Postgres, make_store
from accountant.ledger.scope import Level, Scope, declared, renewed_by, require_child, require_renewal
from accountant.ledger.store import Rows
from accountant.ledger.witness import Witness, WitnessFile

if TYPE_CHECKING:
    from accountant.ledger.book import Ledger

MAKING_SECONDS = 30.0


def make_ledger(
    path: Path,
    *,
    name: str,
    budget: Budget,
    unit: PrivacyUnit,
    level: Level,
    expires: str | None,
    store: Postgres | None,
) -> None:
    """See :meth:`Ledger.create`."""
    _require_text(name, "A data set's id", "Data sets are known by a declared id, never by their content.")
    _require_day(expires)
    staged = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    fields = {
        "dataset": name,
        "level": str(level),
        "unit": unit_to_json(unit),
        "budget": budget.to_json(),
        "expires": expires,
    }
    try:
        if path.exists():
            raise LedgerError(
                f"A ledger can't be created at {path}.",
                "Something is there already, and a ledger never replaces anything.",
                "Choose another folder, or open the ledger that is there.",
            )
        _build(staged, fields, store)
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


def _build(folder: Path, fields: dict[str, Any], place: Postgres | None) -> None:
    folder.mkdir(mode=0o700)
    (folder / RELEASES).mkdir(mode=0o700)
    public_key = create_keys(folder / KEYS)
    key = load_signing_key(folder / KEYS, public_key=public_key)
    entry = {
        "version": VERSION,
        "seq": 1,
        "kind": "create",
        "date": today(),
        "prev": GENESIS,
        "public_key": public_key,
        **fields,
    }
    digest = sha256_hex(entry)
    store = make_store(folder, place, busy_seconds=MAKING_SECONDS)
    try:
        with store.writing() as rows:
            rows.append((1, dumps(entry).decode(), digest))
            rows.add_checkpoint(1, sign_checkpoint(1, digest, key))
    finally:
        store.close()
    WitnessFile(folder / WITNESS).create(Witness(seq=1, head=digest).signed(key))
    flush_folder(folder)


def add_scope(
    ledger: "Ledger",
    name: str,
    *,
    parent: str,
    level: Level,
    budget: Budget,
    expires: str | None,
    unit: PrivacyUnit | None,
) -> Scope:
    """See :meth:`Ledger.add_scope`."""
    _require_text(name, "A scope's name", "Scopes are known by a declared name.")
    _require_day(expires)
    above = ledger.scope(parent)
    fields = {
        "scope": name,
        "parent": parent,
        "level": str(level),
        "unit": unit_to_json(unit or above.unit),
        "budget": budget.to_json(),
        "expires": expires,
    }

    def build(fold: Fold, _: Rows) -> dict[str, Any]:
        if name in fold.scopes:
            raise LedgerError(
                f"The ledger {ledger.path} has a scope {name!r} already.",
                "A scope is declared once, and what was spent in it is never forgotten.",
                "Choose another name, or renew that scope.",
            )
        require_child(fold.scopes[parent], declared({"kind": "scope", **fields}))
        return fields

    ledger.journal.append("scope", build)
    return ledger.scope(name)


def renew(ledger: "Ledger", name: str, *, budget: Budget, expires: str | None, reason: str) -> Scope:
    """See :meth:`Ledger.renew`."""
    _require_text(reason, "A reason", "Whoever reads the ledger later must see why.")
    _require_day(expires)
    ledger.scope(name)
    fields = {"scope": name, "budget": budget.to_json(), "expires": expires, "reason": reason}

    def build(fold: Fold, _: Rows) -> dict[str, Any]:
        scope = fold.scopes[name]
        require_renewal(scope, renewed_by(scope, fields))
        return fields

    ledger.journal.append("renew", build)
    return ledger.scope(name)


def _require_text(text: str, what: str, why: str) -> None:
    if not (0 < len(text) <= 200 and text.isprintable()):
        raise ParameterError(
            f"{what} must be 1 to 200 printable characters.", why, "Give it a short text, such as 'census-2024'."
        )


def _require_day(day: str | None) -> None:
    if day is None or is_day(day):
        return
    raise ParameterError(
        f"A budget can't end on {day!r}.", "The last day is a date (UTC) in its one form.", "Write it as 2026-12-31."
    )
