"""Acts on a release whose process is gone: give it back, take it over, or settle it from what it charged."""

from typing import TYPE_CHECKING, Any

from accountant.errors import LedgerError
from accountant.ledger.entries import VERSION
from accountant.ledger.fold import Fold
from accountant.ledger.leases import new_lease, require_lapsed
from accountant.ledger.replay import OPEN_STATES, State, VerifiedRelease, owed
from accountant.ledger.reservation import Reservation, aborted
from accountant.ledger.store import Rows
from accountant.price import Price

if TYPE_CHECKING:
    from accountant.ledger.book import Ledger


def return_untouched(ledger: "Ledger", release_id: str) -> Price:
    """See :meth:`Ledger.release_stale`."""
    held = ledger.release(release_id).price

    def build(fold: Fold, rows: Rows) -> dict[str, Any]:
        release = fold.releases[release_id]
        if release.state is not State.RESERVED:
            raise LedgerError(
                f"Release {release_id} can't be returned: it is {release.state}.",
                "Only a reservation that never touched the data can be given back.",
                "Leave it: what it holds stays charged.",
            )
        require_lapsed(release_id, rows.lease(release_id))
        return {"release": release_id, **aborted(release, "stale")}

    ledger.journal.append("abort", build)
    return held


def take_over(ledger: "Ledger", release_id: str, *, lease_seconds: float) -> Reservation:
    """See :meth:`Ledger.take_over`."""
    ledger.release(release_id)

    def build(fold: Fold, rows: Rows) -> dict[str, Any]:
        release = fold.releases[release_id]
        _require_state(release, OPEN_STATES, "taken over")
        require_lapsed(release_id, rows.lease(release_id))
        return {"release": release_id}

    taken = ledger.journal.append("takeover", build, lease=new_lease(lease_seconds))
    if not isinstance(taken, VerifiedRelease):
        raise AssertionError
    return Reservation(ledger, release_id, token=taken.token, lease_seconds=lease_seconds)


def reconcile(ledger: "Ledger", release_id: str) -> Price:
    """See :meth:`Ledger.reconcile`."""
    ledger.release(release_id)
    returned: list[Price] = []

    def build(fold: Fold, rows: Rows) -> dict[str, Any]:
        release = fold.releases[release_id]
        _require_state(release, (State.TOUCHED,), "reconciled")
        require_lapsed(release_id, rows.lease(release_id))
        kept = owed(release.totals, release.unit, VERSION)
        returned.append(release.charged.less(kept))
        return {"release": release_id, "reason": "reconciled", "charged": kept.to_json()}

    ledger.journal.append("reconcile", build)
    return returned[-1]


def _require_state(release: VerifiedRelease, states: tuple[State, ...], what: str) -> None:
    if release.state not in states:
        raise LedgerError(
            f"Release {release.release_id} can't be {what}: it is {release.state}.",
            "A run can be given to another process until it ends, and settled from its charges once it has touched.",
            "`dpsynth ledger show` lists the releases and how they ended.",
        )
