"""A gated release that is written down: killed anywhere before its verdict it goes on, pays once, and splits once."""

import hashlib
import json
import os
import signal
import warnings
from collections import Counter
from dataclasses import replace

import pytest

from accountant import faults
from accountant.errors import LedgerError
from accountant.events import FixedPlan
from accountant.ledger import Ledger, Reservation, State
from accountant.spend import BOTH_SIDES
from dpsynth import line
from dpsynth.certificate.verify import verify_release
from dpsynth.deep.checkpoints import RUN, TAKEN
from dpsynth.deep.sgd import People
from dpsynth.errors import OutputError, ParameterError
from dpsynth.gate import Verdict
from dpsynth.plan import make_plan
from dpsynth.resuming import SPLIT
from tests.dpsynth import lines
from tests.dpsynth.deep.test_release import DECLARED, DELTA, EPSILON, small

STEPS = 1 + 3 + 2
TABLE = lines.table()


def made():
    few = small(row_steps=3)
    return replace(few, config=replace(few.config, critic=replace(few.config.critic, steps=2)))


PLANS = {}


def planned(declared, **how):
    """The same question has the same plan: each is made once."""
    asked = how["epsilon"], how["output"], repr(how["synthesizer"])
    if asked not in PLANS:
        PLANS[asked] = make_plan(declared, **how)
    return PLANS[asked]


def run(folder, *, kill_at=None, table=None, **changes):
    """Begin or go on with the release in ``folder``; notes fault points and sides; dies the nth time at a point."""
    log = os.open(folder / "points", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reached, batch, split = Counter(), People.batch, line.split_records

    def hook(name):
        os.write(log, f"{name}\n".encode())
        reached[name] += 1
        if (name, reached[name]) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def noted(self, **how):
        faults.reach("batch")
        return batch(self, **how)

    def seen(*given, **how):
        found = split(*given, **how)
        with (folder / "sides").open("a") as file:
            parts = [hashlib.sha256(b"".join(c.tobytes() for c, _ in side.blocks())).hexdigest() for side in found]
            file.write(json.dumps(parts) + "\n")
        return found

    asked = {"epsilon": EPSILON, "delta": DELTA, "policy": lines.lenient(), "synthesizer": made()}
    asked |= {"checkpoints": folder / "kept", "out": folder / "out"}
    faults.hook, People.batch, line.split_records, line.make_plan = hook, noted, seen, planned
    try:
        with Ledger.open(folder / "ledger") as book:
            return line.release(table or TABLE, lines.schema(DECLARED), ledger=book, **asked | changes)
    finally:
        faults.hook, People.batch, line.split_records, line.make_plan = None, batch, split, make_plan
        os.close(log)


def killed(folder, at):
    """A process that dies at a fault point; True where it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # one thread computes here, whatever else was started
        child = os.fork()
    if not child:
        try:
            run(folder, kill_at=at)
            os._exit(0)
        finally:
            os._exit(70)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def begun(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    lines.ledger(folder, declared=lines.schema(DECLARED)).close()
    return folder


def points(folder):
    return (folder / "points").read_text().split("\n")[:-1]


def ended(folder):
    with Ledger.open(folder / "ledger") as book:
        (found,) = book.releases()
    return found


def left(folder):
    """What is in the folder of checkpoints."""
    return {path.name for path in (folder / "kept").iterdir()}


KILLS = {
    "the key of the split": (("keep.after", 1), True),
    "a count that was charged": (("draw.before", 1), False),
    "the counts": (("keep.after", 2), True),
    "a step in the middle": (("step.taken", 4), True),
    "the verdict": (("draw.before", 3), False),
}
"""Where a process dies, and whether the release can go on."""


def test_killed_anywhere_a_release_pays_once_and_splits_once(tmp_path):
    splits = set()
    for name, (at, goes_on) in KILLS.items():
        folder = begun(tmp_path, name)
        assert killed(folder, at), name
        if not goes_on:
            with pytest.raises(ParameterError, match="can't go on"):
                run(folder)
            assert ended(folder).state is State.TOUCHED
            assert not (folder / "out").exists()
            assert left(folder) == {RUN, TAKEN}, name
            continue
        result = run(folder)
        found, release = points(folder), ended(folder)
        assert (release.release_id, release.state) == (result.release_id, State.COMMITTED)
        assert Counter(step.label for step in release.steps).most_common(1)[0][1] == 1, name
        assert [type(step.event) for step in release.steps].count(FixedPlan) == 1, name
        assert all(dict(release.totals)[side].fits(release.caps[side]) for side in BOTH_SIDES)
        assert STEPS - 1 <= found.count("batch") <= STEPS, name
        assert found.count("step.taken") == STEPS
        assert found.count("draw.before") == 3  # a count of each side, and the verdict
        assert found.index("keep.after") < found.index("draw.before")
        assert (folder / "kept" / TAKEN).stat().st_size == STEPS
        (sides,) = set((folder / "sides").read_text().splitlines())  # of both processes
        splits.add(sides)
        assert left(folder) == {RUN, TAKEN}
    verify_release(result.out, result.public_key.read_bytes())
    assert len(splits) == 3  # each run has a key of its own


def test_it_goes_on_with_its_own_table_and_plan_alone(tmp_path):
    folder = begun(tmp_path, "one")
    assert killed(folder, ("step.taken", 2))
    with pytest.raises(ParameterError, match="with this table"):
        run(folder, table=lines.table(seed=1))
    with pytest.raises(ParameterError, match="another plan"):
        run(folder, epsilon=1.5)
    key = (folder / "kept" / f"{SPLIT}.state").rename(folder / "split")
    with pytest.raises(ParameterError, match="who was on which side"):
        run(folder)
    key.rename(folder / "kept" / f"{SPLIT}.state")
    assert run(folder).verdict == "PASS"


def test_on_fail_the_model_dies_before_the_ledger_says_so(tmp_path, monkeypatch):
    folder, commit, seen = begun(tmp_path, "one"), Reservation.commit, []

    def noted(self, **how):
        seen.append(left(folder))
        return commit(self, **how)

    judge = line.run_gate

    def failing(*given, **how):
        outcome, annexed = judge(*given, **how)
        return replace(outcome, verdict=Verdict.FAIL), annexed

    monkeypatch.setattr(Reservation, "commit", noted)
    monkeypatch.setattr(line, "run_gate", failing)
    assert run(folder, idempotency_key="k").verdict == "FAIL"
    assert seen == [{RUN, TAKEN}]
    assert left(folder) == {RUN, TAKEN}
    again = run(folder, idempotency_key="k", out=folder / "copy")
    assert (again.verdict, again.stored) == ("FAIL", True)
    with pytest.raises(LedgerError):
        run(folder, idempotency_key="other", out=folder / "third")
    assert ended(folder).release_id == again.release_id  # and nothing else was reserved


def test_a_run_that_was_ended_by_hand_leaves_no_states(tmp_path):
    folder = begun(tmp_path, "one")
    assert killed(folder, ("step.taken", 2))
    assert f"{SPLIT}.state" in left(folder)
    with Ledger.open(folder / "ledger") as book:
        (release,) = book.releases()
        book.reconcile(release.release_id)
    with pytest.raises(LedgerError):
        run(folder)
    assert left(folder) == {RUN, TAKEN}


@pytest.mark.parametrize("place", ["out", "out.CONFIDENTIAL-annex", "ledger/kept"])
def test_checkpoints_stand_apart_from_what_is_published_and_the_ledger(place, tmp_path):
    folder = begun(tmp_path, "one")
    with pytest.raises(OutputError, match="stand apart"):
        run(folder, checkpoints=folder / place)
    with Ledger.open(folder / "ledger") as book:
        assert not book.releases()


@pytest.mark.parametrize("changes", [{"synthesizer": "mst"}, {"test_seed": 1}])
def test_only_a_training_is_written_down(changes, tmp_path):
    folder = begun(tmp_path, "one")
    with pytest.raises(ParameterError, match="keeps no checkpoints"):
        run(folder, **changes)
    with Ledger.open(folder / "ledger") as book:
        assert not book.releases()
