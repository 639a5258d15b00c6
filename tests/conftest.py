"""What all tests share: where the larger real tables may lie, and how much random testing a default run does."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(os.environ.get("DPSYNTH_SHARED", Path(__file__).parents[2] / "shared"))

settings.register_profile("default-run", deadline=None, max_examples=30, derandomize=True, database=None)
settings.load_profile("default-run")


def pytest_report_header() -> str:
    """Say loudly when the larger real tables are absent."""
    found = (SHARED / "data").is_dir()
    return f"larger real tables: {SHARED / 'data' if found else 'ABSENT: tests marked data are SKIPPED'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly where the ledger wasn't tested on PostgreSQL, and where there is no torch."""
    from tests.accountant.servers import missing

    lacking = missing()
    if lacking is not None:
        terminalreporter.write_line(
            f"=== POSTGRESQL IS ABSENT: {lacking}. The ledger's tests on it were SKIPPED. ===", red=True, bold=True
        )
    if find_spec("torch") is None:
        terminalreporter.write_line(
            "=== TORCH IS ABSENT: the tests of the DP-SGD synthesizers were SKIPPED. ===", red=True, bold=True
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the larger real tables where they are absent."""
    if (SHARED / "data").is_dir():
        return
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="the larger real tables (../shared/data) are absent"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the larger real tables."""
    return SHARED / "data"
