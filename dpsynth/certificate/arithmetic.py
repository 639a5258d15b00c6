"""Working a certificate's numbers out again, from the charged steps up."""

from typing import Any

from accountant.compose import larger_side, totals
from accountant.ledger.replay import State
from accountant.ledger.verify import verify_entries
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.report import plain_reading
from dpsynth.certificate.claim import release_epsilon, release_price, second_price
from dpsynth.certificate.dossier import FAIL, PASS, Dossier
from dpsynth.certificate.errors import VerificationFailed

TOLERANCE = 1e-9
"""Relative difference allowed to the verifier's own elementary functions; far below any digit that is shown."""

_NEXT = "Don't rely on this release; ask the publisher to explain it."


def check_claim(dossier: Dossier) -> str:
    """Recompute price, mu, rho, epsilon, curve and reading from the steps; returns what was found, in words.

    Raises:
      VerificationFailed: A stated number is smaller than the steps imply, or two facts disagree.
    """
    claim, plan = dossier.claim, dossier.plan
    adjacencies = {str(step.event.adjacency) for step in dossier.steps}
    require(adjacencies <= {dossier.data.adjacency}, "The steps are priced under another adjacency.")
    require(all(step.sides for step in dossier.steps), "A charged step names no side.")
    charged = larger_side(totals(dossier.steps, plan.coordinate))
    require(_covers(plan.cap, charged, dossier), "The steps cost more than the plan had reserved.")
    price = release_price(dossier.steps, coordinate=plan.coordinate, cap=plan.cap, adaptive=claim.adaptive)
    require(_covers(claim.price, price, dossier), "The stated price is lower than that of the steps.")
    require(claim.price.fits(plan.cap), "The stated price is above the plan's cap.")
    epsilon = _epsilon(dossier, claim.delta)
    require(epsilon <= claim.epsilon * (1.0 + TOLERANCE), "The stated epsilon is smaller than the steps imply.")
    _check_parameters(dossier, price)
    _check_second(dossier)
    for delta, stated in claim.curve:
        require(_epsilon(dossier, delta) <= stated * (1.0 + TOLERANCE), "A point of the stated curve is too low.")
    _check_reading(dossier)
    return (
        f"epsilon {epsilon:.6g} at delta {claim.delta:g} worked out from {len(dossier.steps)} charged steps; "
        f"{claim.epsilon:.6g} is stated"
    )


def check_ledger(dossier: Dossier, entries: Any) -> str:
    """The ledger's entries hold together, and say what the certificate says; returns what was found, in words.

    Args:
      dossier: The signed facts.
      entries: Content of ``ledger.json``: every entry of the release up to its last charge.

    Raises:
      VerificationFailed: The entries and the certificate disagree.
      LedgerTampered: The entries disagree with themselves, or a price isn't that of its event.
    """
    kept, state = verify_entries(entries), dossier.ledger
    require(kept.state is State.TOUCHED, "The ledger's entries don't end with the release's last charge.")
    require(kept.steps == dossier.steps, "The charged steps aren't those of the ledger.")
    pairs: dict[str, tuple[object, object]] = {
        "release id": (dossier.release_id, kept.release_id),
        "data set": (dossier.data.dataset_id, kept.dataset),
        "privacy unit": (dossier.data.unit, kept.unit.describe()),
        "adjacency": (dossier.data.adjacency, str(kept.unit.adjacency)),
        "coordinate": (dossier.plan.coordinate, kept.coordinate),
        "plan": (dossier.plan.sha256, kept.plan_hash),
        "reservation": (dossier.plan.cap, kept.price),
        "last entry": ((state.sequence, state.head), (kept.seq, kept.head)),
        "amount spent before": (state.spent_before, kept.before),
        "amount spent after": (state.spent_after, kept.before + larger_side(kept.totals)),
    }
    for name, (stated, recorded) in pairs.items():
        require(stated == recorded, f"The {name} of the certificate isn't that of the ledger.")
    require(state.spent_after.fits(state.budget), "More than the whole budget is spent.")
    return f"chain of {len(entries)} entries whole, every price that of its event, every step certified"


def check_gate(dossier: Dossier) -> None:
    """The verdict is the one that the published noisy statistic gives."""
    gate = dossier.gate
    if gate.noisy_steps is None:
        require(gate.verdict not in (PASS, FAIL), "The gate decided without a statistic.")
    elif gate.verdict in (PASS, FAIL):
        within = gate.noisy_steps <= gate.margin_steps
        require(within == dossier.released, "The verdict isn't the one that the noisy statistic gives.")


def require(holds: bool, what: str) -> None:
    """Raise VerificationFailed unless ``holds``; a comparison with NaN doesn't hold."""
    if not holds:
        raise VerificationFailed(what, "The certificate's numbers were worked out again from its events.", _NEXT)


def _covers(stated: Price, price: Price, dossier: Dossier) -> bool:
    room = int(stated.amount * TOLERANCE) + len(dossier.steps)
    return price.amount <= stated.amount + room and price.delta <= stated.delta


def _epsilon(dossier: Dossier, delta: float) -> float:
    plan = dossier.plan
    return release_epsilon(
        dossier.steps, coordinate=plan.coordinate, delta=delta, cap=plan.cap, adaptive=dossier.claim.adaptive
    )


def _check_parameters(dossier: Dossier, price: Price) -> None:
    plan, claim = dossier.plan, dossier.claim
    other = second_price(dossier.steps, coordinate=plan.coordinate, cap=plan.cap, adaptive=claim.adaptive)
    mu, rho = (price, other) if plan.coordinate is Coordinate.GDP else (other, price)
    squared = None if claim.mu is None else claim.mu**2
    for due, stated in ((mu, squared), (rho, claim.rho)):
        if stated is not None or due is price:
            require(_enough(due, stated, dossier), "The stated mu or rho is smaller than the steps imply.")


def _enough(due: Price | None, stated: float | None, dossier: Dossier) -> bool:
    if due is None or stated is None:
        return False
    return due.amount <= stated * AMOUNT_UNIT * (1.0 + TOLERANCE) + len(dossier.steps)


def _check_second(dossier: Dossier) -> None:
    stated = dossier.claim.second_epsilon
    best = _epsilon(dossier, dossier.claim.delta)
    require(stated is None or best <= stated * (1.0 + TOLERANCE), "The second accountant's epsilon is too low.")


def _check_reading(dossier: Dossier) -> None:
    stated = dossier.claim.reading
    due = plain_reading(epsilon=dossier.claim.epsilon, delta=dossier.claim.delta, prior=stated.prior)
    same = stated.epsilon == due.epsilon and stated.delta == due.delta and len(stated.tpr_at) == len(due.tpr_at)
    pairs = [(stated.posterior, due.posterior), (stated.advantage, due.advantage)]
    pairs += [pair for a, b in zip(stated.tpr_at, due.tpr_at, strict=False) for pair in zip(a, b, strict=True)]
    close = all(abs(a - b) <= TOLERANCE for a, b in pairs)
    require(same and close, "The plain reading isn't that of the stated epsilon and delta.")
