"""The mechanism audit: broken mechanisms are above their claim, sound ones aren't; audits go on where they stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest

from accountant.adjacency import Adjacency
from accountant.events import BoundedRange, DiscreteGaussian, PoissonSampledGaussian, Repeat
from accountant.pld import fixed_plan
from accountant.price import Price
from dpsynth.audit import audit_synthesizer, mechanism, worst_cases
from dpsynth.audit.subjects import CHEAP, Transcript, replacing, subject
from dpsynth.deep.config import ArConfig
from dpsynth.errors import ParameterError
from dpsynth.mechanisms.scoring import l1_error
from dpsynth.progress import SilentProgress
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import MEASURING, REGISTRY
from tests.dpsynth.audit import broken

RUNS = 400


@pytest.mark.parametrize("fault", [broken.NO_NOISE, broken.HALF_NOISE, broken.BOUNDS_FROM_DATA], ids=lambda f: f.name)
def test_a_broken_mechanism_is_above_its_claim(fault):
    report = audit_synthesizer(fault, runs=RUNS, seed=5)
    assert [case.above for case in report.cases] == [True, True]
    assert all(case.found.low > case.claimed_mu for case in report.cases)


def test_a_sound_mechanism_is_not_above_its_claim_and_comes_near_it():
    first, second = audit_synthesizer(broken.SOUND, runs=RUNS, seed=5).cases
    assert not first.above
    assert not second.above
    assert first.claimed_mu == pytest.approx(1.0, abs=1e-6)
    assert second.claimed_mu == pytest.approx(2.0, abs=1e-6)
    assert first.found.low > 0.3
    assert 0.75 < first.found.estimate < 1.25
    assert 1.1 < second.found.estimate < 1.7


def test_a_charge_that_is_missing_is_shown():
    report = audit_synthesizer(broken.UNCHARGED, runs=100, seed=5)
    assert report.above
    assert {case.claimed_mu for case in report.cases} == {0.0}


def test_a_charge_beyond_what_was_given_is_shown():
    report = audit_synthesizer(broken.OVERCHARGED, runs=40, seed=5)
    assert [case.above for case in report.cases] == [True, True]
    assert all(case.found.low < case.claimed_mu for case in report.cases)


@pytest.mark.parametrize("name", MEASURING)
def test_shipped_mechanisms_stay_within_their_claims(name):
    report = audit_synthesizer(name, runs=20, seed=7)
    assert not report.above
    assert [round(case.claimed_mu, 2) for case in report.cases] == [1.0, 2.0]


def test_trained_synthesizers_are_audited_where_torch_is():
    pytest.importorskip("torch")
    plan = ArConfig(row_steps=2, batch=60, hidden=4, fewest_rows=500, people=120, noise_multiplier=30.0, delta=1e-9)
    made = replace(REGISTRY["ar"], config=plan)
    (case,) = audit_synthesizer(made, runs=20, seed=7, adjacencies=(Adjacency.ADD_REMOVE,)).cases
    assert not case.above
    assert 0.1 < case.claimed_mu < 1.0
    assert case.delta == pytest.approx(1e-9)
    assert case.found.true_hits[1] == 14


def test_what_is_trained_is_audited_in_cheap_settings_too():
    for name in set(REGISTRY) - set(MEASURING):
        assert subject(name).settings == repr(CHEAP[name])
        assert CHEAP[name].name == name


def test_worlds_are_neighbours():
    for world in worst_cases():
        before, after = (sorted(map(tuple, codes.T.tolist())) for codes in (world.without, world.having))
        assert world.record in after
        after.remove(world.record)
        if world.adjacency is Adjacency.REPLACE_ONE:
            assert len(before) == len(after) + 1
            before = [row for row in before if row != (0, 0, 0, 0)] + [(0, 0, 0, 0)] * (before.count((0, 0, 0, 0)) - 1)
        assert sorted(before) == after


def test_the_worst_case_moves_tied_scores_in_opposite_directions_and_brings_a_code_of_its_own():
    first, second = worst_cases()
    assert worst_cases() == (first, second)
    moves = {}
    for world, size in ((first, 1), (second, 2)):
        expected = np.full((3, 3), first.without.shape[1] / 9)
        errors = [
            {q: l1_error(n, expected) for q, n in MemorySource(world.domain, codes).counts([("a", "b"), ("a", "c")])}
            for codes in (world.without, world.having)
        ]
        moves = {q: errors[1][q] - errors[0][q] for q in errors[0]}
        assert sorted(moves.values()) == [-size, size]
        assert world.record[3] not in world.without[3]
    assert moves[("a", "b")] != moves[("a", "c")]


def test_replacing_a_record_costs_two_steps():
    noise = replacing(DiscreteGaussian(sigma=3.0, draws=4))
    assert (noise.sensitivity, noise.adjacency) == (2.0, Adjacency.REPLACE_ONE)
    assert replacing(BoundedRange(eta=0.5)).eta == 1.0
    steps = (Repeat(event=PoissonSampledGaussian(noise_multiplier=2.0, sampling_probability=0.5), count=3),)
    plan = fixed_plan(steps, 1e-6)
    assert replacing(plan).mu > 1.3 * plan.mu
    assert replacing(plan).events[0].adjacency is Adjacency.REPLACE_ONE


class _Stops(SilentProgress):
    """Presses Ctrl-C after so many runs."""

    def __init__(self, after):
        self.after = after

    def stage(self, name, total=None):
        """One stage that stops."""
        progress = self

        class Stage:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return False

            def advance(self, n=1):
                progress.after -= n
                if progress.after < 0:
                    raise KeyboardInterrupt

            def tell(self, note, share):
                """Nothing."""

        return Stage()


def test_an_interrupted_audit_goes_on_and_ends_like_one_that_was_not(tmp_path):
    file, asked = tmp_path / "runs.jsonl", {"runs": 80, "seed": 3}
    whole = audit_synthesizer(broken.SOUND, **asked)
    for stops in (60, 110):
        with pytest.raises(mechanism.AuditInterrupted, match="same command"):
            audit_synthesizer(broken.SOUND, keep=file, progress=_Stops(stops), **asked)
        with file.open("a") as torn:
            torn.write('{"at": [0, 0], "runs": [[0.1')
    before = len(file.read_text().splitlines())
    assert audit_synthesizer(broken.SOUND, keep=file, **asked) == whole
    assert audit_synthesizer(broken.SOUND, keep=file, **asked) == whole
    lines = file.read_text().splitlines()
    assert len(lines) > before
    assert sum(len(json.loads(line)["runs"]) for line in lines[1:]) == 2 * 2 * 80


@pytest.mark.parametrize("other", [{"mu": 0.5}, {"seed": 4}, {"adjacencies": (Adjacency.ADD_REMOVE,)}])
def test_runs_of_something_else_are_refused(tmp_path, other):
    file = tmp_path / "runs.jsonl"
    audit_synthesizer(broken.SOUND, runs=20, seed=3, keep=file)
    kept = file.read_text()
    with pytest.raises(ParameterError, match="doesn't hold runs of this audit"):
        audit_synthesizer(broken.SOUND, **({"runs": 20, "seed": 3} | other), keep=file)
    assert file.read_text() == kept


@pytest.mark.parametrize("content", ["ward,age\nnorth,17\n", "north"])
def test_a_file_that_is_no_run_file_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "people.csv"
    file.write_text(content)
    with pytest.raises(ParameterError) as refused:
        audit_synthesizer(broken.SOUND, runs=20, seed=3, keep=file)
    assert "north" not in str(refused.value)
    assert file.read_text() == content


@pytest.mark.parametrize("wrong", [{"mu": 0.0}, {"mu": 11.0}, {"runs": 3}, {"confidence": 1.0}, {"adjacencies": ()}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        audit_synthesizer("independent", **wrong)


def test_without_a_seed_two_audits_differ():
    first, second = (audit_synthesizer(broken.SOUND, runs=40) for _ in range(2))
    assert first != second


def test_the_claim_is_the_dearest_charge():
    charges = [Price(3, 1), Price(7, 0), Price(5, 2)]
    runs = [[Transcript(evidence=0.0, words=(), charged=charge)] for charge in charges]
    assert mechanism._dearest(runs) == Price(7, 2)


def test_cases_share_the_error(monkeypatch):
    errors = []
    seen = mechanism.bounds
    monkeypatch.setattr(mechanism, "bounds", lambda *runs, **how: errors.append(how["error"]) or seen(*runs, **how))
    audit_synthesizer(broken.SOUND, runs=20, seed=1, confidence=0.98)
    audit_synthesizer(broken.SOUND, runs=20, seed=1, confidence=0.98, adjacencies=(Adjacency.ADD_REMOVE,))
    assert errors == pytest.approx([0.01, 0.01, 0.02])
