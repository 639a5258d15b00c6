"""How a run under a reservation ends, whatever happens in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from accountant.errors import Refusal
from accountant.ledger import Reservation, State


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
