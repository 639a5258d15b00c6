"""kill -9 at every fault point: the ledger verifies and never counts less than what was drawn."""

import signal
from pathlib import Path

import pytest

from accountant.compose import larger_side, total
from accountant.ledger import Ledger, State
from accountant.ledger.entries import step_to_json
from accountant.ledger.verify import verify
from accountant.price import Coordinate, Price
from tests.accountant.ledgers import BUDGET, caps, committed, new_ledger, start, step, witnessed

RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, ".")
from accountant import faults
from tests.accountant.ledgers import *

path, point, nth, ending = sys.argv[1:]
seen = 0
def kill(name):
    global seen
    seen += name == point
    if name == point and seen == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)

def say(word):
    os.write(1, (word + "\\n").encode())

ledger = Ledger.open(path)
faults.hook = kill
reservation = reserved(ledger, key="run")
say("reserved")
if ending == "abort":
    reservation.abort("cancelled")
    say("aborted")
reservation.touch()
say("touched")
for i in range(3):
    reservation.charge([step(f"measure {i}")])
    say("drawn")
if ending == "touched-abort":
    reservation.abort("interrupted")
reservation.commit(outcome="released", artefacts={})
say("committed")
"""

POINTS = [
    (f"{kind}.{when}", nth, ending)
    for kind, nth, ending in [
        ("reserve", 1, "commit"),
        ("touch", 1, "commit"),
        ("charge", 1, "commit"),
        ("charge", 3, "commit"),
        ("commit", 1, "commit"),
        ("abort", 1, "abort"),
        ("abort", 1, "touched-abort"),
        ("witness", 1, "commit"),
        ("witness", 4, "commit"),
    ]
    for when in ("before", "after")
] + [(point, nth, "commit") for point, nth in [
    ("transaction.before", 1), ("transaction.before", 2), ("transaction.before", 4), ("transaction.before", 6),
    ("transaction.after", 1), ("transaction.after", 4), ("witness.written", 2), ("witness.written", 3),
]]  # fmt: skip

ONE = Price.from_json(step_to_json(step(), Coordinate.GDP)["price"])


@pytest.mark.fault
@pytest.mark.parametrize(("point", "nth", "ending"), POINTS)
def test_a_kill_leaves_a_ledger_that_verifies_and_never_under_counts(
    tmp_path: Path, point: str, nth: int, ending: str
) -> None:
    ledger = new_ledger(tmp_path)
    earlier = larger_side(committed(ledger).state.totals)
    ledger.close()

    process = start(RUN, str(ledger.path), point, str(nth), ending)
    said = process.communicate()[0].split()
    assert process.returncode == -signal.SIGKILL, "the fault point was never reached"

    found = verify(ledger.path)
    assert found.spent + found.reserved + found.remaining == BUDGET.cap
    assert witnessed(ledger.path) == (found.seq, found.head), "verifying repairs the witness"
    drawn = total([ONE] * said.count("drawn"))
    bears = (found.spent + found.reserved).less(earlier)
    assert drawn.fits(bears)
    run = [r for r in found.releases if r.key_hash is not None]
    assert len(run) == 1 if "reserved" in said else len(run) <= 1
    if run:
        assert len(run[0].steps) >= said.count("drawn")
        settled = {State.COMMITTED: larger_side(run[0].totals)}
        untouched = run[0].state is State.ABORTED and ending == "abort"
        assert bears == (Price() if untouched else settled.get(run[0].state, larger_side(caps())))
        assert "touched" not in said or run[0].state is not State.RESERVED


@pytest.mark.fault
@pytest.mark.parametrize("point", ["charge.before", "witness.before", "witness.after", "transaction.before"])
def test_after_a_kill_the_ledger_goes_on(tmp_path: Path, point: str) -> None:
    path = new_ledger(tmp_path).path
    start(RUN, str(path), point, "2", "commit").communicate()
    with Ledger.open(path) as ledger:
        held = ledger.reserved() + ledger.spent()
        assert held != Price()
        done = committed(ledger)
        assert ledger.reserved() + ledger.spent() == held + larger_side(done.state.totals)
    assert verify(path).seq >= 6
