"""One honest release for the whole folder, and copies of it to damage."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dpsynth.certificate.dossiers import write_release


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release folder that verifies; never change it."""
    return write_release(tmp_path_factory.mktemp("honest") / "out")


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a fresh copy of the honest release."""
    made = iter(range(1000))

    def make() -> Path:
        return Path(shutil.copytree(honest, tmp_path / f"copy-{next(made)}"))

    return make
