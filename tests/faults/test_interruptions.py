"""Ctrl-C at several stages of a command: an exit code, three sentences, the ledger right, nothing half-written."""

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest

from accountant.ledger import State
from accountant.ledger.verify import verify
from accountant.price import Price
from dpsynth.certificate.verify import verify_release
from dpsynth.fitting import fit
from dpsynth.progress import SilentProgress, Stage
from tests.dpsynth import lines
from tests.faults import kills

CRASH, REFUSED = 1, 2


@pytest.fixture(scope="module")
def work() -> Iterator[kills.Worker]:
    with kills.worker() as running:
        yield running


def interrupted(work: kills.Worker, folder: Path, at: int | None, synthesizer: str = "independent") -> int:
    """One release by the command line that gets SIGINT at its ``at``-th fault point; its exit code."""
    kills.new_ledger(folder).close()
    pyarrow.csv.write_csv(lines.table(), folder / "wards.csv")
    (folder / "wards.yaml").write_text(lines.SCHEMA)
    budget = ["-e", "2", "-d", "1e-6", "--synthesizer", synthesizer]
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


BEFORE_ROUNDS = 10
"""Draws of an adaptive release of four columns before its first selection: two totals, four columns, errors, a tree."""


@pytest.fixture(scope="module")
def draws(work: kills.Worker, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Where the draws of a whole adaptive release stand among its fault points."""
    folder = tmp_path_factory.mktemp("adaptive")
    assert interrupted(work, folder, None, "adaptive") in (0, 3)
    return [i for i, name in enumerate(kills.points_of(folder)) if name == "draw.before"]


@pytest.mark.fault
@pytest.mark.parametrize("nth", [BEFORE_ROUNDS + 1, BEFORE_ROUNDS + 2])
def test_ctrl_c_within_a_round_leaves_every_draw_charged(
    work: kills.Worker, draws: list[int], tmp_path: Path, nth: int
) -> None:
    assert interrupted(work, tmp_path, draws[nth], "adaptive") == CRASH
    found = verify(tmp_path / "ledger")
    (run,) = found.releases
    assert (run.state, run.reason, found.spent + found.reserved) == (State.ABORTED, "interrupted", run.price)
    assert len(run.steps) == nth + 1  # the draw that was about to be made was charged before
    assert run.steps[BEFORE_ROUNDS].label == "which marginal to measure"
    assert not (tmp_path / "out").exists()
    assert list(kills._public(tmp_path)) == []


class Impatient(SilentProgress):
    """Somebody who presses Ctrl-C in the second round."""

    def __init__(self) -> None:
        self.rounds: set[str] = set()

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """A stage that ends with the second round."""
        return nullcontext(self)

    def advance(self, n: int = 1) -> None:
        """Nothing to count."""

    def tell(self, note: str, share: float) -> None:
        """Press Ctrl-C once two rounds were heard of."""
        self.rounds |= {note} if note.startswith("round ") else set()
        if len(self.rounds) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["mst", "mwem", "aim", "adaptive"])
def test_ctrl_c_within_a_round_of_a_fit_charges_it_whole_to_both_sides(tmp_path: Path, name: str) -> None:
    asked: dict[str, Any] = {"epsilon": 1.0, "delta": 1e-6, "synthesizer": name}
    with lines.ledger(tmp_path, epsilon=4.0) as book:
        with pytest.raises(KeyboardInterrupt):
            fit(lines.table(), lines.schema(), ledger=book, progress=Impatient(), **asked)
        (run,) = verify(book.path).releases
        assert (run.state, run.reason) == (State.ABORTED, "interrupted")
        assert sum("BoundedRange" in type(s.event).__name__ for s in run.steps) == 2
        assert verify(book.path).spent == run.price
        fit(lines.table(), lines.schema(), ledger=book, **asked)
        assert [r.state for r in verify(book.path).releases] == [State.ABORTED, State.COMMITTED]
