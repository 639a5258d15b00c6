"""The ledger: a persistent, hash-chained, crash-safe record of everything spent on data sets and the scopes above.

``accountant.ledger.verify.verify`` verifies one whole; loading this package alone imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accountant.ledger.book import Ledger
    from accountant.ledger.layout import Postgres
    from accountant.ledger.replay import State, VerifiedRelease
    from accountant.ledger.reservation import Reservation, StoredRelease
    from accountant.ledger.scope import Level, Scope
    from accountant.ledger.verify import VerifiedLedger, verify_entries

__all__ = [
    "Ledger",
    "Level",
    "Postgres",
    "Reservation",
    "Scope",
    "State",
    "StoredRelease",
    "VerifiedLedger",
    "VerifiedRelease",
    "verify_entries",
]

_HOMES = {
    "Ledger": "book",
    "Level": "scope",
    "Postgres": "layout",
    "Reservation": "reservation",
    "Scope": "scope",
    "State": "replay",
    "StoredRelease": "reservation",
    "VerifiedLedger": "verify",
    "VerifiedRelease": "replay",
    "verify_entries": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
