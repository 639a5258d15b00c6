"""A reservation: what one release may spend, charged step by step, on disk before each draw."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accountant.adjacency import PrivacyUnit
from accountant.canonical import sha256_hex
from accountant.errors import IdempotencyConflict, LedgerError, ParameterError, Refusal
from accountant.filters import admit
from accountant.ledger.entries import VERSION, sides_to_json, split_to_json, step_to_json, today, unit_to_json
from accountant.ledger.fold import Fold
from accountant.ledger.leases import new_lease, now
from accountant.ledger.replay import OPEN_STATES, State, VerifiedRelease, owed, reserved_as
from accountant.ledger.room import require_room, require_unexpired
from accountant.ledger.scope import Level, Scope
from accountant.ledger.store import Rows
from accountant.price import Price
from accountant.sides import Split
from accountant.spend import Side, Step

if TYPE_CHECKING:
    from accountant.ledger.book import Ledger

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """A release that this idempotency key made before.

    Attributes:
      release_id: Its id.
      outcome: How it ended.
      folder: Where its public artefacts are stored.
      artefacts: SHA-256 of each of them, by file name.
    """

    release_id: str
    outcome: str
    folder: Path
    artefacts: Mapping[str, str] = field(default_factory=dict)


class Reservation:
    """What one release may spend: a Spend on disk. Made by :meth:`Ledger.reserve` or :meth:`Ledger.take_over`.

    It holds a fencing token. Once the release was taken over or reconciled, everything it asks for is refused before
    it is recorded, so nothing is drawn.
    """

    def __init__(self, ledger: "Ledger", release_id: str, *, token: int, lease_seconds: float) -> None:
        self._ledger, self._id, self._token = ledger, release_id, token
        self._lease_seconds, self._kept = lease_seconds, now()

    @property
    def release_id(self) -> str:
        """The release's id: 16 random hexadecimal digits."""
        return self._id

    @property
    def folder(self) -> Path:
        """Where the ledger expects the public artefacts (not created here)."""
        return self._ledger.folder(self._id)

    @property
    def state(self) -> VerifiedRelease:
        """The release as the ledger has it now."""
        return self._ledger.release(self._id)

    @property
    def token(self) -> int:
        """Its fencing token."""
        return self._token

    def entries(self) -> list[dict[str, Any]]:
        """This release's entries so far, each with its ``hash``; public."""
        return self._ledger.entries(self._id)

    def touch(self) -> None:
        """Record that the data is about to be opened: from here on nothing is refunded.

        Raises:
          BudgetExceeded: The budget of a scope has ended since the reservation.
          LedgerError: The release isn't reserved, or was taken over.
        """

        def fields(fold: Fold, release: VerifiedRelease) -> dict[str, Any]:
            require_unexpired(list(fold.line(release.dataset)), max(today(), fold.date), self._ledger.path)
            return {}

        self._append("touch", (State.RESERVED,), fields)

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps on disk before their noise is drawn.

        Privacy:
          Records the events of ``steps``; draws nothing.
          Checked by: tests/accountant/test_spend_contract.py::test_refusal_leaves_no_entry

        Raises:
          BudgetExceeded: A side's cap can't afford them; nothing was recorded.
          LedgerError: The data isn't recorded as touched, the release has ended or was taken over, or the disk refused.
        """
        if steps:
            self._append("charge", (State.TOUCHED,), lambda _, release: _charged(release, steps))

    def commit(self, *, outcome: str, artefacts: Mapping[str, str]) -> None:
        """End the release; what it didn't spend returns to the scope.

        Args:
          outcome: A short code, such as ``released`` or ``gated``.
          artefacts: SHA-256 (64 hexadecimal digits) of each stored public file, by name.
        """
        _require(_CODE, outcome, "An outcome")
        for name, digest in artefacts.items():
            _require(_FILE, name, "An artefact's name")
            _require(_DIGEST, digest, "An artefact's hash")

        def fields(_: Fold, release: VerifiedRelease) -> dict[str, Any]:
            settled = owed(release.totals, release.unit, VERSION).to_json()
            return {"outcome": outcome, "artefacts": dict(artefacts), "charged": settled}

        self._append("commit", (State.TOUCHED,), fields)

    def abort(self, reason_code: str) -> None:
        """End the release without a result: refunded in full before :meth:`touch`, not at all after it.

        Args:
          reason_code: A short public code, such as ``interrupted``.
        """
        _require(_CODE, reason_code, "A reason code")
        self._append("abort", OPEN_STATES, lambda _, release: aborted(release, reason_code))

    def keep(self) -> None:
        """Renew the lease. Every act renews it too; a computation longer than the lease may do it in between.

        Raises:
          LedgerError: The release has ended or was taken over.
        """

        def build(fold: Fold, rows: Rows) -> None:
            self._require(fold.releases[self._id], "renewal of its lease", OPEN_STATES)
            rows.put_lease(self._id, new_lease(self._lease_seconds))

        self._ledger.journal.append("lease", build)
        self._kept = now()

    def _require(self, release: VerifiedRelease, what: str, states: tuple[State, ...]) -> None:
        if release.token != self._token:
            raise LedgerError(
                f"Release {self._id} can't take a {what} from this process: its fencing token is {self._token}, and "
                f"the ledger's is {release.token}.",
                "The release was taken over or reconciled by somebody else; nothing was recorded.",
                "Stop this run, and draw nothing more in its name.",
            )
        if release.state not in states:
            raise _wrong_state(release, what, states)

    def _append(
        self, kind: str, states: tuple[State, ...], fields: Callable[[Fold, VerifiedRelease], dict[str, Any]]
    ) -> None:
        def build(fold: Fold, _: Rows) -> dict[str, Any]:
            release = fold.releases[self._id]
            self._require(release, kind, states)
            return {"release": self._id, **fields(fold, release)}

        due = now() > self._kept + self._lease_seconds / 4
        self._ledger.journal.append(kind, build, lease=new_lease(self._lease_seconds) if due else None)
        if due:
            self._kept = now()


def _charged(release: VerifiedRelease, steps: Sequence[Step]) -> dict[str, Any]:
    after = admit(
        steps,
        spent=release.totals,
        caps=release.caps,
        coordinate=release.coordinate,
        adjacency=release.unit.adjacency,
    )
    return {"steps": [step_to_json(s, release.coordinate) for s in steps], "totals": sides_to_json(after)}


def aborted(release: VerifiedRelease, reason_code: str) -> dict[str, Any]:
    """An abort's own fields: it keeps everything after the touch, nothing before it."""
    kept = release.price if release.state is State.TOUCHED else Price()
    return {"reason": reason_code, "charged": kept.to_json()}


def _wrong_state(release: VerifiedRelease, kind: str, states: tuple[State, ...]) -> LedgerError:
    return LedgerError(
        f"Release {release.release_id} can't take a {kind}: it is {release.state}, not {' or '.join(states)}.",
        "A release goes from reserved to touched, is charged while touched, and ends once.",
        "Reserve a new release.",
    )


def _require(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(value):
        raise ParameterError(
            f"{what} has a form that isn't allowed.",
            f"What the ledger keeps is public and plain: it must match {pattern.pattern}.",
            "Use a short plain code or file name.",
        )


def hash_of_key(idempotency_key: str) -> str:
    """What a ledger keeps of an idempotency key: its SHA-256."""
    return sha256_hex({"idempotency_key": idempotency_key})


def reserve(
    ledger: "Ledger",
    *,
    dataset: str,
    unit: PrivacyUnit,
    idempotency_key: str | None,
    plan: Mapping[str, Any],
    caps: Mapping[Side, Price],
    split: Split | None,
    lease_seconds: float,
) -> Reservation | StoredRelease:
    """See :meth:`Ledger.reserve`.

    Privacy:
      Records the price; touches and draws nothing.
      Checked by: tests/accountant/test_ledger.py::test_a_second_release_beyond_the_budget_is_refused
    """
    release_id = os.urandom(8).hex()
    plan_hash = sha256_hex(plan)
    key_hash = None if idempotency_key is None else hash_of_key(idempotency_key)
    by_id = split is not None and split.id_column is not None
    split_key_id = ledger.split_key_id(dataset) if by_id else None  # read before the transaction
    found: list[VerifiedRelease] = []

    def build(fold: Fold, _: Rows) -> dict[str, Any] | None:
        scope = _require_scope(fold, dataset, unit)
        _require_split(split, scope, split_key_id)
        found.extend(_earlier(fold, key_hash, plan_hash, dataset))
        if found:
            return None
        line = list(fold.line(dataset))
        require_unexpired(line, max(today(), fold.date), ledger.path)
        fields = {
            "release": release_id,
            "dataset": dataset,
            "unit": unit_to_json(unit),
            "coordinate": str(scope.budget.coordinate),
            "plan": plan,
            "plan_hash": plan_hash,
            "key_hash": key_hash,
            "split": split_to_json(split),
            "caps": sides_to_json(caps),
            "price": owed(caps, unit, VERSION).to_json(),
            "before": scope.held.to_json(),
        }
        require_room(line, reserved_as(fields), ledger.path)
        return fields

    try:
        ledger.journal.append("reserve", build, lease=new_lease(lease_seconds))
    except Refusal:
        with suppress(Refusal):  # it may be on disk, and only the witness failed
            ledger.release_stale(release_id)
        raise
    return _stored(ledger, found[0]) if found else Reservation(ledger, release_id, token=1, lease_seconds=lease_seconds)


def _stored(ledger: "Ledger", release: VerifiedRelease) -> StoredRelease:
    return StoredRelease(
        release_id=release.release_id,
        outcome=release.outcome or "",
        folder=ledger.folder(release.release_id),
        artefacts=dict(release.artefacts),
    )


def _require_scope(fold: Fold, dataset: str, unit: PrivacyUnit) -> Scope:
    scope = fold.scopes.get(dataset)
    if scope is None or scope.level is not Level.DATASET:
        known = [s.name for s in fold.scopes.values() if s.level is Level.DATASET]
        of = f"of the data set {known[0]!r}" if len(known) == 1 else f"of {len(known)} data sets"
        raise LedgerError(
            f"The ledger is {of}, not {dataset!r}.",
            "Each scope counts what was learned from one declared data set.",
            "Name that data set's ledger, or create one for this data set.",
        )
    if unit != scope.unit:
        raise LedgerError(
            f"The ledger protects {scope.unit.describe()}, not {unit.describe()}.",
            "Prices of different units or adjacencies don't add up.",
            "Declare the ledger's unit in the schema, or create another ledger.",
        )
    return scope


def _require_split(split: Split | None, scope: Scope, key_id: str | None) -> None:
    if split is None or split.id_column is None:
        return
    if split.id_column != scope.unit.column or split.key_id != key_id:
        raise ParameterError(
            f"A split by the column {split.id_column!r} was declared for the {scope.describe()}.",
            "Only a coin of the privacy unit's id under the data set's own key puts people on the same side each time.",
            "Use the ledger's split key and the unit's column, or leave the split out: everybody pays the larger side.",
        )


def _earlier(fold: Fold, key_hash: str | None, plan_hash: str, dataset: str) -> list[VerifiedRelease]:
    """The finished release of this key, if any; an earlier run that never touched the data doesn't count."""
    if key_hash is None:
        return []
    runs = [r for r in fold.releases.values() if r.key_hash == key_hash and not _undone(r)]
    for run in runs:
        if (run.plan_hash, run.dataset) != (plan_hash, dataset):
            other = "plan" if run.dataset == dataset else "data set"
            raise IdempotencyConflict(
                f"The idempotency key was used before, with another {other} (release {run.release_id}).",
                "One key stands for one plan on one data set, so that a retry never spends twice.",
                f"Use a new key for the new {other}.",
            )
        if run.state is not State.COMMITTED:
            raise IdempotencyConflict(
                f"The idempotency key belongs to release {run.release_id}, which is {run.state} and didn't finish.",
                "Its budget stays charged, as nobody can know what it drew."
                if run.state is not State.RESERVED
                else "Its budget stays reserved until somebody returns it; it didn't touch the data.",
                "Use a new key, which is charged anew."
                if run.state is not State.RESERVED
                else f"If that process is dead: `dpsynth ledger return-stale LEDGER {run.release_id}`.",
            )
    return runs


def _undone(release: VerifiedRelease) -> bool:
    return release.state is State.ABORTED and release.charged == Price()
