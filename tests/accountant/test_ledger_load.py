"""Races to the cap and kill -9 on either store, as ``benchmarks/accountant_ledger.py`` runs larger ones."""

import pytest

from benchmarks import accountant_ledger
from tests.accountant import servers

STORES = ("sqlite", "postgres")
RACED = {"sqlite": 500, "postgres": 100}
"""Charges that each of eight processes tries; the benchmark races 500 on either store."""


def available(store: str) -> None:
    lacking = servers.missing() if store == "postgres" else None
    if lacking is not None:
        pytest.skip(f"no PostgreSQL: {lacking}")


@pytest.mark.parametrize("store", STORES)
def test_eight_processes_charge_to_exactly_the_cap(store: str) -> None:
    available(store)
    charges = RACED[store]
    found = accountant_ledger.race(store, 8, charges)
    assert found["exact"], found
    assert found["recorded"] == found["fit"] == 8 * charges // 2


@pytest.mark.parametrize("store", STORES)
def test_processes_reserve_to_exactly_the_budget_of_the_scope_above(store: str) -> None:
    available(store)
    found = accountant_ledger.race(store, 4, 50 if store == "sqlite" else 20, kind="reserve")
    assert found["exact"], found


@pytest.mark.fault
@pytest.mark.parametrize(("store", "count"), [("sqlite", 20), ("postgres", 6)])
def test_kills_lose_no_charge_in_any_scope(store: str, count: int) -> None:
    available(store)
    found = accountant_ledger.kills(store, count)
    assert found["wrong"] == []
    assert found["charged"] >= found["drawn"] > 0


def test_every_way_of_tampering_is_found_and_placed() -> None:
    said = accountant_ledger.tampering()
    assert len(said) >= 7
    assert all(text.startswith("The ledger doesn't verify at ") for text in said.values()), said
