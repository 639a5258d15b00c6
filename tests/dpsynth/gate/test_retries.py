"""Declared retries: every attempt is reserved up front, all of them compose, and a failed table is gone."""

import dataclasses
import json
import math
from fractions import Fraction

import pytest

from accountant.compose import totals as side_totals
from accountant.price import Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth import line
from dpsynth.certificate.verify import verify_release
from dpsynth.errors import GateRefused, ParameterError, SchemaError
from dpsynth.external import ExternalConfig
from dpsynth.gate import Verdict, load_policy
from dpsynth.gate.battery import probes_on
from dpsynth.gate.noise import gate_noise
from dpsynth.gate.thresholds import _NOBODY_CLOSE, _ONE_COLUMN, scale, smallest_leak
from dpsynth.gate.totals import Totals
from dpsynth.line import release
from dpsynth.plan import make_plan
from tests.dpsynth import lines
from tests.dpsynth.gate.helpers import plan, policy


def retrying(retries, **changes):
    return dataclasses.replace(lines.lenient(), name="retrying", retries=retries, **changes)


@pytest.mark.parametrize("coordinate", list(Coordinate))
@pytest.mark.parametrize("retries", [0, 1, 4])
def test_all_attempts_are_within_the_cap_of_each_side(coordinate, retries):
    of = policy(retries=retries)
    found = plan(of, 1, coordinate=coordinate)
    tries = 1 + retries
    assert (found.attempts, of.attempts) == (tries, tries)
    assert found.training_count + tries * found.training_gate + found.training_amount == found.amount
    assert found.holdout_count + tries * found.holdout_gate == found.amount
    totals = Totals(training=4_000, holdout=1_000, training_sigma=1.0, holdout_sigma=1.0)
    steps = [step for _ in range(tries) for step in gate_noise(of, plan=found, totals=totals).steps]
    paid = side_totals(steps, coordinate)
    assert paid[Side.TRAINING].amount + found.training_count + found.training_amount <= found.amount
    assert paid[Side.HOLDOUT].amount + found.holdout_count <= found.amount
    assert all(paid[side].delta < found.delta for side in BOTH_SIDES)


def test_each_attempt_of_many_has_a_smaller_gate_where_the_budget_is_small():
    one, four = (plan(policy(retries=retries), "0.1") for retries in (0, 3))
    assert four.training_gate == pytest.approx(one.training_gate / 4, rel=1e-6)
    with pytest.raises(GateRefused, match="the gate in each of 4 attempts"):
        plan(policy(retries=3), "0.237", gate_mu="0.04")
    plan(policy(retries=3), "0.237", gate_mu="0.028")


def test_the_stated_leak_is_seen_by_all_attempts_together():
    """A copier has several chances: each test may miss its part of what all may miss together."""
    totals = Totals(training=24_000, holdout=6_000, training_sigma=9.0, holdout_sigma=9.0)
    facts = [(one, _NOBODY_CLOSE) for one in probes_on(policy(), _ONE_COLUMN)]

    def leak(**changes):
        of = policy(**changes)
        noise = gate_noise(policy(), plan=plan(policy(), 1), totals=totals)
        return smallest_leak(of, facts, scale=scale(of, totals, noise))

    assert leak(retries=4) == leak(detection=Fraction(99, 100)) > leak(retries=0) == leak()


def unlucky(monkeypatch, times):
    """The first so many tests come out above the margin by their noise; returns the tables that were tested."""
    seen, gate = [], line.run_gate

    def tested(training, holdout, synthetic, **named):
        outcome, annex = gate(training, holdout, synthetic, **named)
        seen.append(synthetic)
        if len(seen) > times:
            return outcome, annex
        return dataclasses.replace(outcome, verdict=Verdict.FAIL, noisy_steps=outcome.margin_steps + 1), annex

    monkeypatch.setattr(line, "run_gate", tested)
    return seen


def run(tmp_path, book, of, name="out", **more):
    asked = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "out": tmp_path / name, "policy": of} | more
    return release(lines.table(), lines.schema(), **asked)


def test_every_attempt_is_charged_and_all_are_within_the_caps(tmp_path, monkeypatch):
    unlucky(monkeypatch, 3)
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, retrying(2), synthesizer="mst")
    assert result.verdict == "FAIL"
    kept = book.release(result.release_id)
    labels = [step.label for step in kept.steps]
    for side in BOTH_SIDES:
        assert labels.count(f"gate: noisy threshold test, {side} people") == 3
        assert labels.count(f"gate: number of {side} people") == 1
        assert 0.8 * kept.caps[side].amount < kept.totals[side].amount <= kept.caps[side].amount
    assert labels.count("one-way marginals (ward)") == 3
    said = verify_release(result.out, result.public_key.read_bytes())
    assert "3 tests of 3 declared" in "\n".join(said.lines())
    assert "3 attempts were declared and reserved up front" in said.dossier.synthesis.post_processing[-1]
    assert len(said.dossier.synthesis.marginals) < labels.count("one-way marginals (ward)") * 7
    told = json.loads((result.annex / "annex.json").read_text())["figures"]
    assert len(told["failed attempts"]) == 2
    assert told["one_run_audit"]["inclusion"] == "4/5"
    assert told["gate"]["statistics"]
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".parquet", ".csv")]


@pytest.mark.parametrize("retries", [1, 3])
def test_the_first_table_that_passes_is_the_one_that_leaves(tmp_path, monkeypatch, retries):
    """The first attempt fails by an unlucky draw; nothing is drawn after the second, and the rest isn't charged."""
    seen = unlucky(monkeypatch, 1)
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, retrying(retries), rows=500)
    assert (result.verdict, len(seen)) == ("PASS", 2)
    verified = verify_release(result.out, result.public_key.read_bytes())
    assert verified.table is not None
    kept = book.release(result.release_id)
    spent = kept.totals[Side.TRAINING].amount / kept.caps[Side.TRAINING].amount
    assert spent == pytest.approx((2 + 0.01) / (retries + 1), abs=0.1)
    assert book.spent() == kept.charged


def test_the_audit_looks_at_the_table_that_no_verdict_chose(tmp_path, monkeypatch):
    """Whether there is a second table the people who were held out decide, too."""
    tables = unlucky(monkeypatch, 1)
    seen, audited = [], line.audited
    monkeypatch.setattr(line, "audited", lambda *given: seen.append(given[3]) or audited(*given))
    assert run(tmp_path, lines.ledger(tmp_path), retrying(1), rows=300).verdict == "PASS"
    assert len(tables) == 2
    assert len(seen) == 1
    assert seen[0] is tables[0]


@pytest.mark.parametrize(("codes", "refused"), [(256, False), (257, True)])
def test_secrets_of_many_codes_are_refused_before_anything_is_touched(codes, refused):
    text = lines.SCHEMA.replace("bins: 50", f"bins: {codes}") + "    secrets: [score]\n"
    asked = {"epsilon": 2.0, "delta": 1e-6}
    if not refused:
        make_plan(lines.schema(text), **asked)
        return
    with pytest.raises(SchemaError, match="The secret 'score' of table 'wards' can have 257 codes"):
        make_plan(lines.schema(text), **asked)
    make_plan(lines.schema(text), gated=False, **asked)


def test_the_plan_shows_every_attempt_before_anything_is_touched():
    asked = {"epsilon": 2.0, "delta": 1e-6, "synthesizer": "mst"}
    one, three = (make_plan(lines.schema(), policy=retrying(r), **asked) for r in (0, 2))
    assert three.synthesizer_amount <= one.synthesizer_amount / 3
    for found in (one, three):
        for side in BOTH_SIDES:
            paid = sum(found.share(purpose)[side] for purpose in found.purposes)
            assert paid <= found.budget.cap.amount < paid + 4
    assert any(row.meaning.endswith("in each of 3 attempts") for row in three.lines() if row.purpose == "gate")
    assert three.slack == 3 * one.slack


OUTSIDE = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.2, claim_delta=1e-9)


@pytest.mark.parametrize("made", ["gan", OUTSIDE])
def test_what_is_charged_whole_is_not_tried_again(made):
    text = lines.SCHEMA.replace("privacy_unit", "rows_magnitude: 3000\n    privacy_unit")
    with pytest.raises(ParameterError, match="2 retries for a synthesizer that is trained or runs outside"):
        make_plan(lines.schema(text), epsilon=2.0, delta=1e-6, synthesizer=made, policy=retrying(2))


def test_shipped_profiles_declare_no_retries():
    assert all(load_policy(name).retries == 0 for name in ("standard", "strict-health", "research"))
    assert math.isclose(float(load_policy().detection), 0.95)
