"""kill -9 at named fault points of a whole release, each found by recording a clean run; nothing is hard-coded.

The default run kills at a sample; ``benchmarks/line_faults.py`` kills at every point.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from accountant.ledger.verify import verify
from accountant.price import Price
from dpsynth.plan import make_plan
from tests.dpsynth import lines
from tests.faults import kills
from tests.faults.worker import DELTA, DONE, EPSILON, REFUSED

KILLS = 12
KINDS = ("reserve", "touch", "charge", "draw", "write", "rename", "commit", "witness", "transaction")


@pytest.fixture(scope="module")
def work() -> Iterator[kills.Worker]:
    with kills.worker() as running:
        yield running


@pytest.fixture(scope="module")
def points(work: kills.Worker, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return kills.clean_run(work, tmp_path_factory.mktemp("clean"))


def test_a_clean_run_reaches_every_kind_of_point(points: list[str]) -> None:
    assert {name.split(".")[0] for name in points} >= set(KINDS)
    assert points.index("touch.after") < points.index("charge.before") < points.index("draw.before")
    assert len(points) > 60


@pytest.mark.fault
def test_kills_at_a_sample_of_points_break_no_promise(work: kills.Worker, points: list[str], tmp_path: Path) -> None:
    entries = points.count("transaction.before")
    positions = kills.sample(points, KILLS)
    assert len(set(positions)) == KILLS
    for i, at in enumerate(positions):
        folder = tmp_path / str(at)
        killed = kills.kill(work, folder, at)
        assert killed.reached[-1] == points[at]
        assert kills.violations(killed, entries=entries, goes_on=i % 4 == 1) == []
        shutil.rmtree(folder)


@pytest.mark.fault
def test_the_check_of_a_kill_can_fail(work: kills.Worker, points: list[str], tmp_path: Path) -> None:
    """The same checks on a run that lies about how far it came, and on a half-written folder."""
    killed = kills.kill(work, tmp_path, points.index("charge.after"))
    lying = kills.Killed(folder=tmp_path, reached=(*killed.reached, "draw.before", "draw.before", "draw.before"))
    assert list(kills._ledger(killed, entries=99)) == []
    assert "a draw began that isn't charged" in list(kills._ledger(lying, entries=99))
    (tmp_path / "out").mkdir()
    assert list(kills._public(tmp_path)) == ["out is half written"]


def test_a_race_of_four_processes_stops_at_what_the_budget_affords(work: kills.Worker, tmp_path: Path) -> None:
    ledger = lines.ledger(tmp_path, epsilon=3.0)
    cap = ledger.budget.cap
    ledger.close()
    plan = make_plan(lines.schema(), epsilon=EPSILON, delta=DELTA, synthesizer="independent", claim_share=0.1)
    (price,) = {p.amount for p in plan.caps.values()}
    affordable = cap.amount // price
    assert 0 < affordable < 4
    runs = [{"folder": tmp_path, "out": f"out{i}", "synthesizer": "independent", "said": f"said{i}"} for i in range(4)]
    codes = work.run(*runs)
    assert sorted(codes) == [DONE] * affordable + [REFUSED] * (4 - affordable)
    for i, code in enumerate(codes):
        assert (tmp_path / f"out{i}").exists() == (code == DONE)
        assert code == DONE or (tmp_path / f"said{i}").read_text().startswith("BudgetExceeded")
    found = verify(tmp_path / "ledger")
    assert len(found.releases) == affordable
    assert found.reserved == Price()
    assert found.spent.fits(cap)
    assert list(kills._public(tmp_path)) == []
