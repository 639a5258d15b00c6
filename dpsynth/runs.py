"""A run under a reservation: what it holds, and how it ends, whatever happens in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from accountant.canonical import sha256_hex
from accountant.errors import Refusal
from accountant.ledger import Ledger, Reservation, State
from accountant.ledger.reservation import hash_of_key
from dpsynth.deep.checkpoints import Checkpoints, begin_checkpoints, forget_states, open_checkpoints, run_in
from dpsynth.errors import GateRefused, ParameterError
from dpsynth.gate import GatePlan, Policy
from dpsynth.gate.reference import measure_reference
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.plan import ReleasePlan
from dpsynth.progress import Progress
from dpsynth.samples.kept import PublicPart
from dpsynth.schema import Schema
from dpsynth.sources import MemorySource
from dpsynth.tables import TableHandle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One release under one reservation.

    Attributes:
      plan: What it may spend, and on what.
      schema: The declaration.
      handle: The table, whose structure was checked.
      book: The ledger.
      reservation: Charged before each draw.
      random: Where every random bit comes from.
      told: Told of each stage.
      checkpoints: Where the run is written down, so that it can go on; None for nowhere.
      kept: The public columns, where a part of each row is public and kept as it is; None elsewhere.
    """

    plan: ReleasePlan
    schema: Schema
    handle: TableHandle = field(repr=False)
    book: Ledger
    reservation: Reservation
    random: RandomSource
    told: Progress
    checkpoints: Checkpoints | None = None
    kept: PublicPart | None = None

    @property
    def gated(self) -> tuple[Policy, GatePlan]:
        """The gate's policy and its part of the plan; raises GateRefused for a plan without a gate."""
        if self.plan.policy is None or self.plan.gate is None:
            raise GateRefused(
                "A release without a gate was asked for.",
                "Only an ungated fit has no gate, and its output is never released.",
                "Plan with a gate, or use fit().",
            )
        return self.plan.policy, self.plan.gate


def referred(
    run: Run, compared: MemorySource | None, measured: tuple[Measurement, ...]
) -> tuple[Measurement, ...] | None:
    """Noisy marginals of the people who are compared with, on the cliques that were measured; None without them.

    Privacy:
      As :func:`measure_reference`, from the gate's plan.
      Checked by: tests/dpsynth/test_reference_release.py::test_too_few_people_charge_no_reference
    """
    if compared is None:
        return None
    cliques = [one.clique for one in measured]
    return measure_reference(compared, cliques, plan=run.gated[1], spend=run.reservation, random=run.random)


@contextmanager
def ending(reservation: Reservation) -> Iterator[None]:
    """If the block is interrupted, record that the run ended; what was touched stays charged in full.

    Privacy:
      Draws nothing; may end the reservation, which refunds it only before the data was touched.
      Checked by: tests/dpsynth/test_release.py::test_an_interrupted_run_stays_charged

    Raises:
      Refusal: The block's own, of the same class; where something stays charged, its second sentence says so.
    """
    try:
        yield
    except Refusal as refusal:
        _abort(reservation, "failed")
        bears = _bears(reservation)
        if not bears:
            raise
        raise type(refusal)(refusal.what, f"{refusal.why.rstrip('.')}; {bears}.", refusal.next_step) from refusal
    except BaseException as error:
        _abort(reservation, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise


def going_on(folder: Path, book: Ledger, plan: ReleasePlan, *, key: str | None = None) -> Reservation | None:
    """The reservation of the run that a folder of checkpoints holds, under a new fencing token.

    None for a new folder, and where the run is complete and has this idempotency key: the ledger then returns what is
    stored. Where the run has ended, in whatever way, its states are removed.

    Privacy:
      Charges and draws nothing; what was charged stays charged.
      Checked by: tests/dpsynth/deep/test_checkpoints.py::test_a_fit_goes_on_and_is_charged_once,
        tests/dpsynth/deep/test_resuming.py::test_killed_anywhere_a_release_pays_once_and_splits_once

    Raises:
      LedgerError: The run has ended, another ledger's it is, or its process may be alive.
      OutputError: It isn't a folder of checkpoints.
      ParameterError: The run was begun with another plan.
    """
    run = run_in(folder)
    if run is None:
        return None
    if book.release(run).plan_hash != sha256_hex(plan.to_json()):
        raise ParameterError(
            f"The folder {folder} holds checkpoints of another plan.",
            "What was charged for one plan can't pay for another, and its steps aren't those of this one.",
            "Ask for the plan that was begun, or give a folder that doesn't exist yet.",
        )
    found = book.release(run)
    if found.state not in (State.RESERVED, State.TOUCHED):
        forget_states(folder)
        if key is not None and found.state is State.COMMITTED and found.key_hash == hash_of_key(key):
            return None
    return book.take_over(run)


def begun(folder: Path, reservation: Reservation) -> Path:
    """The folder of checkpoints of a run, made where there is none yet; returns it.

    Privacy:
      Draws nothing; where it can't be made the reservation is given back.
      Checked by: tests/dpsynth/deep/test_checkpoints.py::test_a_fit_goes_on_and_is_charged_once

    Raises:
      OutputError: It can't be made.
    """
    if run_in(folder) is None:
        with ending(reservation):
            begin_checkpoints(folder, run=reservation.release_id)
    return folder


@contextmanager
def staying_open(reservation: Reservation, folder: Path) -> Iterator[Checkpoints]:
    """Let the block use the run's checkpoints; where it is interrupted the reservation stays, and the run can go on.

    Privacy:
      Draws nothing; ends nothing.
      Checked by: tests/dpsynth/deep/test_checkpoints.py::test_a_fit_goes_on_and_is_charged_once

    Raises:
      OutputError: The folder isn't one of checkpoints, another process has it, or it is of another run.
    """
    with open_checkpoints(folder) as found:
        found.require_run(reservation.release_id)
        yield found


def _abort(reservation: Reservation, reason: str) -> None:
    with suppress(Refusal):
        reservation.abort(reason)


def _bears(reservation: Reservation) -> str:
    """What the ledger bears for a run that was refused; empty where that is nothing."""
    name = f"release {reservation.release_id}"
    try:
        state = reservation.state.state
        charged = reservation.state.charged
    except Refusal:
        return f"the ledger can't be read now, and what {name} had reserved stays charged"
    if state is State.COMMITTED:
        return f"{name} is complete and stored all the same, and stays charged"
    if state is State.RESERVED:
        return f"{name} charged nothing, but stays reserved until `dpsynth ledger return-stale` gives it back"
    return f"the data had been opened, so the whole reservation of {name} stays charged" if charged.amount else ""
