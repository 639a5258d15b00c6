"""Checkpoints: killed anywhere, a run goes on with the steps that are left, charged once; nothing foreign is taken."""

import copy
import json
import os
import shutil
import signal
import warnings

import numpy as np
import pytest
import torch

from accountant import faults
from accountant.errors import LedgerError
from accountant.events import FixedPlan
from accountant.ledger import State
from accountant.spend import Step
from dpsynth.deep import plan as plans
from dpsynth.deep.checkpoints import RUN, TAKEN, begin_checkpoints, open_checkpoints, run_in
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import People
from dpsynth.deep.training import Terms
from dpsynth.errors import OutputError, ParameterError
from dpsynth.fitting import fit
from dpsynth.noise.random import SystemRandom
from tests.dpsynth import lines
from tests.dpsynth.deep.references import Noted
from tests.dpsynth.deep.test_release import DECLARED, DELTA, small
from tests.dpsynth.deep.test_trained import ALONE, CODER, FITS, GAME, POOL, SMALL, plan, source

CONFIGS = pytest.mark.parametrize("config", [SMALL, GAME, ALONE, CODER], ids=lambda config: config.name)
EVERY = 2


class OnDisk:
    """A ledger of one file: a line for each charge, and what it was."""

    def __init__(self, folder, config):
        self.path, self.config = folder / "charges", config

    @property
    def paid(self):
        lines_ = self.path.read_text().splitlines() if self.path.exists() else []
        event = plans.plan_event(plan(self.config), delta=1e-9)
        return tuple(Step(label=label, event=event) for label in lines_)

    def charge(self, steps):
        with self.path.open("a") as file:
            file.writelines(f"{step.label}\n" for step in steps)
            file.flush()
            os.fsync(file.fileno())
        faults.reach("charged")


def run(folder, config, *, kill_at=None):
    """Begin or go on with the run in ``folder``; notes every fault point, and dies at one."""
    log = os.open(folder / "points", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reached = 0

    def hook(name):
        nonlocal reached
        os.write(log, f"{name}\n".encode())
        reached += 1
        if reached - 1 == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    faults.hook = hook
    try:
        kept, spend = folder / "kept", OnDisk(folder, config)
        if run_in(kept) is None:
            begin_checkpoints(kept, run="one")
        with open_checkpoints(kept, every=EVERY) as opened:
            how = {"spend": spend, "random": SystemRandom(), "checkpoints": opened, "paid": spend.paid}
            return FITS[type(config)](source(), config, Terms(plan=plan(config), delta=1e-9, **how))
    finally:
        faults.hook = None
        os.close(log)


def killed(folder, config, at):
    """A process that dies at a fault point; True where it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # one thread computes here, whatever else was started
        child = os.fork()
    if not child:
        try:
            run(folder, config, kill_at=at)
            os._exit(0)
        finally:
            os._exit(70)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Every batch of people is a fault point."""
    batch = People.batch

    def noted(self, **how):
        faults.reach("batch")
        return batch(self, **how)

    monkeypatch.setattr(People, "batch", noted)


def points(folder):
    return (folder / "points").read_text().split()


@CONFIGS
def test_killed_anywhere_no_step_is_taken_twice_or_uncharged(config, tmp_path):
    """At every fault point: charged once, as many bytes as steps, and no more batches than bytes."""
    steps = sum(phase.steps for phase in plan(config).phases)
    clean = tmp_path / "clean"
    clean.mkdir()
    run(clean, config)
    known = points(clean)
    assert known.count("step.taken") == known.count("batch") == steps
    assert known.count("keep.after") >= len(plan(config).phases)
    for at in range(0, len(known), 1 if config is SMALL else 3):
        folder = tmp_path / str(at)
        folder.mkdir()
        assert killed(folder, config, at)
        before = points(folder)
        model = run(folder, config)
        found = points(folder)
        assert found.count("charged") == 1
        assert (folder / "kept" / TAKEN).stat().st_size == steps
        assert before.count("batch") <= found.count("batch") <= steps
        assert found.index("charged") < found.index("batch")
        assert len(model.weights) == POOL
        shutil.rmtree(folder)


def test_killed_again_and_again_it_still_ends(tmp_path):
    for at in (9, 7, 3):
        assert killed(tmp_path, SMALL, at)
    run(tmp_path, SMALL)
    found = points(tmp_path)
    assert found.count("charged") == 1
    assert found.count("batch") <= 6
    assert (tmp_path / "kept" / TAKEN).stat().st_size == 6


def test_what_was_kept_is_what_goes_on(tmp_path, monkeypatch):
    """Interrupted after all steps: the same network is there again, though nothing is trained any more."""
    seen = []
    from dpsynth.deep.autoregressive import Autoregressive

    sample = Autoregressive.sample

    def noted(self, parameters, rows, *, random):
        seen.append(copy.deepcopy(parameters) | {"shares": self.centre.shares})
        return sample(self, parameters, rows, random=random)

    monkeypatch.setattr(Autoregressive, "sample", noted)
    for _ in range(2):
        run(tmp_path, ALONE)
    one, two = seen
    assert one.keys() == two.keys()
    assert "shares" in one
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert points(tmp_path).count("batch") == 4


def test_steps_that_the_ledger_does_not_know_are_refused(tmp_path):
    assert killed(tmp_path, SMALL, 6)
    (tmp_path / "charges").unlink()
    with pytest.raises(ParameterError, match="don't tell of the same run"):
        run(tmp_path, SMALL)


def test_a_charged_plan_without_its_checkpoints_is_refused():
    spend = Noted()
    spend.charge([Step(label="training of ar-gan", event=plan_event(plan(SMALL), delta=1e-9))])
    terms = Terms(plan=plan(SMALL), delta=1e-9, spend=spend, random=SystemRandom(), paid=tuple(spend.steps))
    with pytest.raises(ParameterError, match="don't tell of the same run"):
        FITS[type(SMALL)](source(), SMALL, terms)


def test_a_folder_has_one_run_at_a_time(tmp_path):
    begin_checkpoints(tmp_path / "kept", run="one")
    with (
        open_checkpoints(tmp_path / "kept"),
        pytest.raises(OutputError, match="under way"),
        open_checkpoints(tmp_path / "kept"),
    ):
        pass
    with pytest.raises(OutputError, match="can't be made"):
        begin_checkpoints(tmp_path / "kept", run="two")


def test_states_are_of_one_run_plan_and_phase_and_whole(tmp_path):
    kept = tmp_path / "kept"
    begin_checkpoints(kept, run="one")
    with open_checkpoints(kept) as opened:
        opened.keep("rows", "plan", 3, {"a": np.arange(3)})
        assert (opened.kept("rows", "plan")["a"] == np.arange(3)).all()
        assert opened.kept("critic", "plan") == {}
        with pytest.raises(OutputError, match="isn't of this run"):
            opened.kept("rows", "another")
        raw = (kept / "rows.state").read_bytes()
        for i in (60, len(raw) // 2):
            (kept / "rows.state").write_bytes(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :])
            with pytest.raises(OutputError, match="isn't of this run"):
                opened.kept("rows", "plan")
        with pytest.raises(OutputError, match="another run"):
            opened.require_run("two")
    (kept / RUN).write_text(json.dumps({"version": 99, "run": "one"}))
    with pytest.raises(OutputError, match="of this version"):
        run_in(kept)


def test_checkpoints_hold_no_pickle_and_are_closed_to_others(tmp_path):
    run(tmp_path, SMALL)
    for path in (tmp_path / "kept").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"cpickle" not in path.read_bytes().lower()
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json", ".state", ""}


def test_a_fit_goes_on_and_is_charged_once(tmp_path):
    """On the real ledger: interrupted in the middle of a training, asked again, charged once, ended once."""
    declared = lines.schema(DECLARED)
    book = lines.ledger(tmp_path, declared=declared)
    asked = {"epsilon": 1.0, "delta": DELTA, "ledger": book, "synthesizer": small(row_steps=4)}
    steps = 1 + 4 + small().config.critic.steps

    def dies(name):
        if name == "batch" and (tmp_path / "kept" / TAKEN).stat().st_size == 3:
            raise KeyboardInterrupt

    faults.hook = dies
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(lines.table(), declared, checkpoints=tmp_path / "kept", **asked)
    finally:
        faults.hook = None
    (open_run,) = book.releases()
    assert open_run.state is State.TOUCHED
    with pytest.raises(ParameterError, match="another plan"):
        fit(lines.table(), declared, checkpoints=tmp_path / "kept", **asked | {"epsilon": 1.5})
    model = fit(lines.table(), declared, checkpoints=tmp_path / "kept", **asked)
    (ended,) = book.releases()
    assert (ended.release_id, ended.state) == (model.release_id, State.COMMITTED)
    assert [type(step.event) for step in ended.steps] == [FixedPlan]
    assert [part.count for part in ended.steps[0].event.events][:2] == [1, 4]
    assert (tmp_path / "kept" / TAKEN).stat().st_size == steps
    assert "training of ar-gan" in str(model.report.to_json())
    with pytest.raises(LedgerError):
        fit(lines.table(), declared, checkpoints=tmp_path / "kept", **asked)


def test_what_measures_keeps_no_checkpoints(tmp_path):
    declared = lines.schema(DECLARED)
    book = lines.ledger(tmp_path, declared=declared)
    with pytest.raises(ParameterError, match="keeps no checkpoints"):
        fit(lines.table(), declared, epsilon=1, delta=DELTA, ledger=book, synthesizer="mst", checkpoints=tmp_path / "k")
