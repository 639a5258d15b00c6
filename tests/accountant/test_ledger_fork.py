"""Forks: a child's charges stay, whoever closes the file meanwhile, and a child forked within an act is refused."""

import os
from pathlib import Path

import pytest

from accountant.ledger.verify import verify
from tests.accountant.ledgers import new_ledger, start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

STARTED = """
import os, sys
sys.path.insert(0, ".")
from accountant.errors import LedgerError
from accountant.ledger.verify import verify
from tests.accountant.ledgers import *
path, fresh = sys.argv[1], sys.argv[2] == "fresh"
ledger = Ledger.open(path)
ledger.scopes()
"""
WAITED = (
    STARTED
    + """
(to_child, from_parent), (to_parent, from_child) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    mine = Ledger.open(path) if fresh else ledger
    reservation = reserved(mine)
    os.write(from_child, b"x")
    os.read(to_child, 1)
    reservation.touch()
    reservation.charge([step()])
    os._exit(0)
os.close(from_child)  # so that a child that failed is seen
os.read(to_parent, 1)
ledger.close()
os.write(from_parent, b"x")
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
)
DAEMON = (
    STARTED
    + """
import subprocess
done, said = os.pipe()
if os.fork():
    os._exit(0)
os.close(said)
os.read(done, 1)  # until the parent is gone
mine = Ledger.open(path) if fresh else ledger
reservation = reserved(mine)
check = "import sys; from accountant.ledger.verify import verify; verify(sys.argv[1])"
subprocess.run([sys.executable, "-c", check, path], check=True)
reservation.touch()
reservation.charge([step()])
os._exit(0)
"""
)
WITHIN = (
    STARTED
    + """
children = []
def build(fold, rows):
    children.append(os.fork())
    return None
try:
    ledger.journal.append("lease", build)
except LedgerError as error:
    assert children == [0] and "open the ledger after the fork" in error.next_step, error
    if fresh:
        del ledger
    try:
        reserved(Ledger.open(path) if fresh else ledger)
    except LedgerError as error:
        os._exit(0 if "open the ledger after the fork" in error.next_step else 3)
    os._exit(4)
assert children[0] != 0
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
touched(ledger).charge([step()])
assert ledger.seq == 4
"""
)


@pytest.mark.parametrize("whose", ["inherited", "fresh"])
@pytest.mark.parametrize("script", [WAITED, DAEMON], ids=["waited", "daemon"])
def test_what_a_child_was_told_is_charged_stays_charged(tmp_path: Path, script: str, whose: str) -> None:
    with new_ledger(tmp_path) as ledger:
        path = ledger.path
    assert start(script, str(path), whose).communicate()[1] == ""
    found = verify(path)
    assert (found.seq, len(found.releases[0].steps)) == (4, 1)


@pytest.mark.parametrize("whose", ["inherited", "fresh"])
def test_a_child_forked_within_an_act_is_refused(tmp_path: Path, whose: str) -> None:
    with new_ledger(tmp_path) as ledger:
        path = ledger.path
    process = start(WITHIN, str(path), whose)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    assert verify(path).seq == 4
