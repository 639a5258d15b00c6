"""Leases: for how long a release is surely somebody's, and when another process may act on it.

A lease protects from each other those who mean well. What makes a late process harmless is the fencing token in the
chain: it is compared under the writer's lock, before anything is charged.
"""

import math
import os
import socket
import time

from accountant.errors import LedgerError, ParameterError
from accountant.ledger.store import Lease

LEASE_SECONDS = 3600.0
"""Of a reservation, from its last act on the ledger."""


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def holder() -> str:
    """This process, as leases name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def new_lease(seconds: float) -> Lease:
    """A lease of this process from now.

    Raises:
      ParameterError: It isn't a finite positive number of seconds.
    """
    if not 0.0 < seconds < math.inf:
        raise ParameterError(
            f"A lease can't last {seconds!r} seconds.",
            "It protects a run from its last act on, for a time that is longer than nothing and ends.",
            "Give a positive number of seconds, such as 3600.",
        )
    return holder(), now() + seconds


def require_lapsed(release_id: str, lease: Lease | None) -> None:
    """Refuse to act on a release that somebody else surely works on.

    Raises:
      LedgerError: Its lease runs, and its holder is another process that isn't known to be dead.
    """
    if lease is None or now() >= lease[1] or not _works(lease[0]):
        return
    minutes = max(1, round((lease[1] - now()) / 60))
    raise LedgerError(
        f"Release {release_id} belongs to another process ({lease[0]}).",
        f"Its lease runs for {minutes} more minutes, and that process may be at work.",
        "Wait until the lease has run out, or end that process.",
    )


def _works(name: str) -> bool:
    """Whether a holder may be alive: anybody on another machine may, a process of this one if it exists."""
    host, _, process = name.rpartition(":")
    if name == holder():
        return False
    if host != socket.gethostname() or not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
