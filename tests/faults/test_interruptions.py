"""Ctrl-C at several stages of a command: an exit code, three sentences, the ledger right, nothing half-written."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow.csv
import pytest

from accountant.ledger import State
from accountant.ledger.verify import verify
from accountant.price import Price
from dpsynth.certificate.verify import verify_release
from tests.dpsynth import lines
from tests.faults import kills

CRASH, REFUSED = 1, 2


@pytest.fixture(scope="module")
def work() -> Iterator[kills.Worker]:
    with kills.worker() as running:
        yield running


def interrupted(work: kills.Worker, folder: Path, at: int | None) -> int:
    """One release by the command line that gets SIGINT at its ``at``-th fault point; its exit code."""
    kills.new_ledger(folder).close()
    pyarrow.csv.write_csv(lines.table(), folder / "wards.csv")
    (folder / "wards.yaml").write_text(lines.SCHEMA)
    budget = ["-e", "2", "-d", "1e-6", "--synthesizer", "independent"]
    places = ["-s", str(folder / "wards.yaml"), "-l", str(folder / "ledger"), "-o", str(folder / "out")]
    (folder / "policy.yaml").write_text(json.dumps(lines.lenient().to_json()))
    argv = ["release", str(folder / "wards.csv"), *budget, *places, "--policy", str(folder / "policy.yaml")]
    (code,) = work.run({"folder": folder, "argv": argv, "at": at, "signal": signal.SIGINT})
    return code


@pytest.fixture(scope="module")
def points(work: kills.Worker, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clean")
    assert interrupted(work, folder, None) in (0, 3)
    return kills.points_of(folder)


NAMES = ("reserve.before", "reserve.after", "touch.after", "draw.before", "write.before:report.html", "commit.after")


@pytest.mark.fault
@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_leaves_a_right_ledger_and_nothing_half_written(
    work: kills.Worker, points: list[str], tmp_path: Path, name: str
) -> None:
    assert interrupted(work, tmp_path, points.index(name)) == CRASH
    said = [line for line in (tmp_path / "said.txt").read_text().splitlines() if not line.startswith("done: ")]
    assert len(said) == 3
    assert said[0].startswith("Interrupted")
    assert "stays charged" in said[1]
    assert "return-stale" in said[2]

    found = verify(tmp_path / "ledger")
    touched = points.index("touch.after") <= points.index(name)
    bears = found.spent + found.reserved
    if name == "reserve.before":
        assert not found.releases
    elif name == "commit.after":
        (run,) = found.releases
        assert run.state is State.COMMITTED
        verify_release(
            tmp_path / "ledger/releases" / run.release_id, (tmp_path / "ledger/keys/signing.pub").read_bytes()
        )
    elif touched:
        (run,) = found.releases
        assert (run.state, run.reason, bears) == (State.ABORTED, "interrupted", run.price)
    else:
        (run,) = found.releases
        assert run.state is State.RESERVED or bears == Price()

    assert not (tmp_path / "out").exists()
    given = {"ledger", "wards.csv", "wards.yaml", "policy.yaml", "points.log", "said.txt"}
    assert {p.name for p in tmp_path.iterdir()} - given <= {"out.CONFIDENTIAL-annex"}
    assert not [p for p in (tmp_path / "ledger/releases").iterdir() if p.name.startswith(".")]
    assert list(kills._public(tmp_path)) == []
