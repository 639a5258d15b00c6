"""A reservation: what one release may spend, charged step by step, on disk before each draw."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.canonical import sha256_hex
from accountant.compose import larger_side
from accountant.errors import IdempotencyConflict, LedgerError, ParameterError, Refusal
from accountant.filters import admit
from accountant.ledger.book import Ledger
from accountant.ledger.entries import sides_to_json, step_to_json, unit_to_json
from accountant.ledger.replay import State, VerifiedRelease
from accountant.ledger.room import require_room
from accountant.ledger.scope import Scope
from accountant.price import Price
from accountant.spend import Side, Step

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
    """What one release may spend: a Spend on disk. Made by :meth:`Ledger.reserve`."""

    def __init__(self, ledger: Ledger, release_id: str) -> None:
        self._ledger, self._id = ledger, release_id

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

    def entries(self) -> list[dict[str, Any]]:
        """This release's entries so far, each with its ``hash``; public."""
        return self._ledger.entries(self._id)

    def touch(self) -> None:
        """Record that the data is about to be opened: from here on nothing is refunded."""
        self._append("touch", (State.RESERVED,), lambda _: {})

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps on disk before their noise is drawn.

        Privacy:
          Records the events of ``steps``; draws nothing.
          Checked by: tests/accountant/test_spend_contract.py::test_refusal_leaves_no_entry

        Raises:
          BudgetExceeded: A side's cap can't afford them; nothing was recorded.
          LedgerError: The data isn't recorded as touched, the release has ended, or the disk refused.
        """
        if steps:
            self._append("charge", (State.TOUCHED,), lambda release: _charged(release, steps))

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

        def fields(release: VerifiedRelease) -> dict[str, Any]:
            settled = larger_side(release.totals).to_json()
            return {"outcome": outcome, "artefacts": dict(artefacts), "charged": settled}

        self._append("commit", (State.TOUCHED,), fields)

    def abort(self, reason_code: str) -> None:
        """End the release without a result: refunded in full before :meth:`touch`, not at all after it.

        Args:
          reason_code: A short public code, such as ``interrupted``.
        """
        _require(_CODE, reason_code, "A reason code")
        self._append("abort", (State.RESERVED, State.TOUCHED), lambda release: _aborted(release, reason_code))

    def _append(
        self, kind: str, states: tuple[State, ...], fields: Callable[[VerifiedRelease], dict[str, Any]]
    ) -> None:
        def build(scope: Scope) -> dict[str, Any]:
            release = scope.releases[self._id]
            if release.state not in states:
                raise _wrong_state(release, kind, states)
            return {"release": self._id, **fields(release)}

        self._ledger.append(kind, build)


def _charged(release: VerifiedRelease, steps: Sequence[Step]) -> dict[str, Any]:
    after = admit(
        steps,
        spent=release.totals,
        caps=release.caps,
        coordinate=release.coordinate,
        adjacency=release.unit.adjacency,
    )
    return {"steps": [step_to_json(s, release.coordinate) for s in steps], "totals": sides_to_json(after)}


def _aborted(release: VerifiedRelease, reason_code: str) -> dict[str, Any]:
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


def reserve(
    ledger: Ledger,
    *,
    dataset: str,
    unit: PrivacyUnit,
    idempotency_key: str | None,
    plan: Mapping[str, Any],
    caps: Mapping[Side, Price],
) -> Reservation | StoredRelease:
    """See :meth:`Ledger.reserve`.

    Privacy:
      Records the price; touches and draws nothing.
      Checked by: tests/accountant/test_ledger.py::test_a_second_release_beyond_the_budget_is_refused
    """
    release_id = os.urandom(8).hex()
    plan_hash = sha256_hex(plan)
    key_hash = None if idempotency_key is None else sha256_hex({"idempotency_key": idempotency_key})
    found: list[VerifiedRelease] = []

    def build(scope: Scope) -> dict[str, Any] | None:
        _require_scope(scope, dataset, unit)
        found.extend(_earlier(scope, key_hash, plan_hash))
        if found:
            return None
        price = larger_side(caps)
        require_room(scope, price, ledger.path)
        return {
            "release": release_id,
            "dataset": dataset,
            "unit": unit_to_json(unit),
            "coordinate": str(scope.budget.coordinate),
            "plan": plan,
            "plan_hash": plan_hash,
            "key_hash": key_hash,
            "caps": sides_to_json(caps),
            "price": price.to_json(),
            "before": (scope.spent() + scope.reserved()).to_json(),
        }

    try:
        ledger.append("reserve", build)
    except Refusal:
        with suppress(Refusal):  # it may be on disk, and only the witness failed
            return_untouched(ledger, release_id)
        raise
    return _stored(ledger, found[0]) if found else Reservation(ledger, release_id)


def _stored(ledger: Ledger, release: VerifiedRelease) -> StoredRelease:
    return StoredRelease(
        release_id=release.release_id,
        outcome=release.outcome or "",
        folder=ledger.folder(release.release_id),
        artefacts=dict(release.artefacts),
    )


def _require_scope(scope: Scope, dataset: str, unit: PrivacyUnit) -> None:
    if dataset != scope.declared["dataset"]:
        raise LedgerError(
            f"The ledger is of the data set {scope.declared['dataset']!r}, not {dataset!r}.",
            "Each scope counts what was learned from one declared data set.",
            "Name that data set's ledger, or create one for this data set.",
        )
    if unit != scope.unit:
        raise LedgerError(
            f"The ledger protects {scope.unit.describe()}, not {unit.describe()}.",
            "Prices of different units or adjacencies don't add up.",
            "Declare the ledger's unit in the schema, or create another ledger.",
        )


def _earlier(scope: Scope, key_hash: str | None, plan_hash: str) -> list[VerifiedRelease]:
    """The finished release of this key, if any; an earlier run that never touched the data doesn't count."""
    if key_hash is None:
        return []
    runs = [r for r in scope.releases.values() if r.key_hash == key_hash and not _undone(r)]
    for run in runs:
        if run.plan_hash != plan_hash:
            raise IdempotencyConflict(
                f"The idempotency key was used before, with another plan (release {run.release_id}).",
                "One key stands for one plan, so that a retry never spends twice.",
                "Use a new key for the new plan.",
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


def return_untouched(ledger: Ledger, release_id: str) -> Price:
    """See :meth:`Ledger.release_stale`."""
    ledger.release(release_id)

    def build(scope: Scope) -> dict[str, Any]:
        release = scope.releases[release_id]
        if release.state is not State.RESERVED:
            raise LedgerError(
                f"Release {release_id} can't be returned: it is {release.state}.",
                "Only a reservation that never touched the data can be given back.",
                "Leave it: what it holds stays charged.",
            )
        return {"release": release_id, **_aborted(release, "stale")}

    held = ledger.release(release_id).price
    ledger.append("abort", build)
    return held
