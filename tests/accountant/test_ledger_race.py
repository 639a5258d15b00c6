"""Several processes on one ledger stop at exactly the cap."""

from pathlib import Path

from accountant.ledger.verify import verify
from accountant.price import Price
from tests.accountant.ledgers import BUDGET, new_ledger, start

PROCESSES, TRIES, FIT = 4, 50, 120
PRICE = Price(BUDGET.cap.amount // FIT, 1)

RUN = f"""
import sys
sys.path.insert(0, ".")
from accountant.errors import BudgetExceeded
from tests.accountant.ledgers import *

ledger = Ledger.open(sys.argv[1])
won = 0
for _ in range({TRIES}):
    try:
        caps = {{Side.TRAINING: Price({PRICE.amount}, 1)}}
        ledger.reserve(dataset="people", unit=UNIT, idempotency_key=None, plan={{}}, caps=caps)
        won += 1
    except BudgetExceeded:
        pass
print(won)
"""


def test_a_race_of_processes_stops_at_exactly_the_cap(tmp_path: Path) -> None:
    path = new_ledger(tmp_path).path
    racers = [start(RUN, str(path)) for _ in range(PROCESSES)]
    results = [racer.communicate() for racer in racers]
    assert [errors for _, errors in results] == [""] * PROCESSES
    won = [int(out) for out, _ in results]
    assert sum(won) == FIT < PROCESSES * TRIES
    found = verify(path)
    assert found.reserved == Price(PRICE.amount * FIT, FIT)
    assert len(found.releases) == FIT
    assert found.remaining.amount < PRICE.amount


ONE_KEY = """
import sys
sys.path.insert(0, ".")
from accountant.errors import IdempotencyConflict
from tests.accountant.ledgers import *

ledger = Ledger.open(sys.argv[1])
try:
    reserved(ledger, key="same")
    print("reserved")
except IdempotencyConflict:
    print("conflict")
"""


def test_one_key_is_reserved_once(tmp_path: Path) -> None:
    path = new_ledger(tmp_path).path
    racers = [start(ONE_KEY, str(path)) for _ in range(3)]
    assert sorted(racer.communicate()[0].strip() for racer in racers) == ["conflict", "conflict", "reserved"]
    assert len(verify(path).releases) == 1
