"""Each hostile test has a stand of its own."""

from pathlib import Path

import pytest

from tests.hostile.stand import Stand


@pytest.fixture
def stand(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setenv("COLUMNS", "100")
    return Stand(tmp_path, capsys)
