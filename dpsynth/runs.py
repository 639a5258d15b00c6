"""How a run under a reservation ends, whatever happens in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from accountant.errors import Refusal
from accountant.ledger import Reservation


@contextmanager
def ending(reservation: Reservation) -> Iterator[None]:
    """If the block is interrupted, record that the run ended; what was touched stays charged in full.

    Privacy:
      Draws nothing; may end the reservation, which refunds it only before the data was touched.
      Checked by: tests/dpsynth/test_release.py::test_an_interrupted_run_stays_charged
    """
    try:
        yield
    except BaseException as error:
        with suppress(Refusal):
            reservation.abort("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
