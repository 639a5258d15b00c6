"""What the ledger's tests share: small ledgers, reservations, and processes that use or kill them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.events import DiscreteGaussian
from accountant.ledger import Ledger, Postgres, Reservation
from accountant.price import Price
from accountant.spend import BOTH_SIDES, Side, Step

UNIT = PrivacyUnit()
BUDGET = Budget(epsilon=1.0, delta=1e-6)
DELTA_UNITS = 4096


def place() -> Postgres | None:
    """Where new ledgers put their entries; the fixture ``store`` changes it."""
    return None


def new_ledger(folder: Path, *, name: str = "ledger", budget: Budget = BUDGET) -> Ledger:
    return Ledger.create(folder / name, dataset="people", budget=budget, unit=UNIT, store=place())


def caps(share: float = 0.25) -> dict[Side, Price]:
    return dict.fromkeys(BOTH_SIDES, Price(int(BUDGET.cap.amount * share), DELTA_UNITS))


def reserved(ledger: Ledger, *, key: str | None = None, share: float = 0.25, plan: str = "a") -> Reservation:
    found = ledger.reserve(dataset="people", unit=UNIT, idempotency_key=key, plan={"plan": plan}, caps=caps(share))
    assert isinstance(found, Reservation)
    return found


def touched(ledger: Ledger, *, key: str | None = None, share: float = 0.25, plan: str = "a") -> Reservation:
    reservation = reserved(ledger, key=key, share=share, plan=plan)
    reservation.touch()
    return reservation


def step(label: str = "measure (age)", *, sigma: float = 200.0, sides: tuple[Side, ...] = BOTH_SIDES) -> Step:
    return Step(label=label, event=DiscreteGaussian(sigma=sigma), sides=sides)


def committed(ledger: Ledger, *, key: str | None = None, plan: str = "a") -> Reservation:
    reservation = touched(ledger, key=key, plan=plan)
    reservation.charge([step()])
    reservation.charge([step("measure (sex)"), step("gate")])
    reservation.commit(outcome="released", artefacts={"certificate.json": "ab" * 32})
    return reservation


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Another Python process; its working folder is the repository, so that it imports this checkout."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def witnessed(folder: Path) -> tuple[int, str]:
    """Sequence number and head of the newest witness."""
    slots = json.loads((folder / "witness.json").read_bytes())
    newest = max(slots, key=lambda slot: slot["seq"])
    return newest["seq"], newest["head"]
