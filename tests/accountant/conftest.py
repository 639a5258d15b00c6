"""Both stores of the ledger: a test that asks for ``store`` runs on each."""

from collections.abc import Iterator

import pytest

from tests.accountant import ledgers, servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Server]:
    """A private server, started when the first test asks for it."""
    lacking = servers.missing()
    if lacking is not None:
        pytest.skip(f"no PostgreSQL: {lacking}")
    with servers.server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where ``new_ledger`` puts its entries."""
    if request.param == "postgres":
        running: servers.Server = request.getfixturevalue("postgres")
        monkeypatch.setattr(ledgers, "place", running.place)
    return str(request.param)
