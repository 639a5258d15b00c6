"""A release with reference people: three prices, planned and verified; the reference is measured on them alone."""

import dataclasses
import sys
from fractions import Fraction

import pytest

from accountant.spend import Side
from dpsynth import line, runs
from dpsynth.certificate.verify import verify_release
from dpsynth.errors import GateRefused
from dpsynth.external import ExternalConfig
from dpsynth.gate import load_policy
from dpsynth.line import release
from dpsynth.plan import make_plan
from tests.dpsynth import lines
from tests.dpsynth.gate.test_retries import unlucky


def likelihood(**changes):
    """The likelihood policy with false alarms that no test of something else ever meets."""
    rare, of = Fraction(1, 10**9), load_policy("research-likelihood")
    attacks = tuple(dataclasses.replace(attack, alpha=rare) for attack in of.attacks)
    changes = {"attacks": attacks, "noise_alpha": rare, "tolerable_leak": Fraction(999, 1000)} | changes
    return dataclasses.replace(of, **changes)


def run(folder, book, *, by_id=False, rows=6_000, **more):
    schema = lines.schema(lines.PERSON_SCHEMA if by_id else lines.SCHEMA)
    data = lines.table(rows, people=2_500 if by_id else None)
    asked = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "out": folder / "out", "policy": likelihood()} | more
    return release(data, schema, **asked)


@pytest.mark.parametrize("by_id", [False, True])
def test_reference_people_pay_for_their_marginals_and_the_certificate_says_so(tmp_path, monkeypatch, by_id):
    seen = {}
    measured, tested = runs.measure_reference, line.run_gate

    def reference(source, *given, **named):
        seen["reference"] = source
        return measured(source, *given, **named)

    def gate(training, holdout, *given, **named):
        seen.update(training=training, holdout=holdout, referred=named["referred"])
        return tested(training, holdout, *given, **named)

    monkeypatch.setattr(runs, "measure_reference", reference)
    monkeypatch.setattr(line, "run_gate", gate)
    schema = lines.schema(lines.PERSON_SCHEMA if by_id else lines.SCHEMA)
    book = lines.ledger(tmp_path, declared=schema)
    result = run(tmp_path, book, by_id=by_id, synthesizer="mst")
    assert result.verdict == "PASS"
    kept = book.release(result.release_id)
    assert set(kept.caps) == set(Side)
    paying = [step for step in kept.steps if Side.REFERENCE in step.sides]
    assert paying
    assert all(step.sides == (Side.REFERENCE,) and step.label.startswith("gate: reference (") for step in paying)
    assert len(paying) == len(seen["referred"])
    cap = kept.caps[Side.REFERENCE].amount
    assert 0.99 * cap < kept.totals[Side.REFERENCE].amount <= cap == kept.price.amount
    people = {n: sum(len(set(u.tolist())) for _, u in s.blocks()) for n, s in seen.items() if n != "referred"}
    assert people["reference"] == pytest.approx(people["holdout"], rel=0.3)
    assert people["training"] == pytest.approx(3 * people["holdout"], rel=0.3)
    verified = verify_release(result.out, result.public_key.read_bytes())
    said = verified.dossier
    assert any(one.startswith("of the people held out, every second one") for one in said.synthesis.preprocessing)
    assert "marginal likelihood" in said.gate.attacks
    assert any(share.reference.amount == cap for share in said.plan.shares)
    page = (result.out / "report.html").read_text()
    assert "Reference side" in page
    assert said.claim.epsilon <= 2.0


def test_too_few_people_charge_no_reference(tmp_path):
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, rows=12)
    assert result.verdict == "UNDECIDABLE"
    verify_release(result.out, result.public_key.read_bytes())
    assert not [s for s in book.release(result.release_id).steps if Side.REFERENCE in s.sides]


def test_every_attempt_has_its_own_part_of_the_reference(tmp_path, monkeypatch):
    unlucky(monkeypatch, 2)
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, policy=likelihood(retries=1), synthesizer="independent")
    assert result.verdict == "FAIL"
    kept = book.release(result.release_id)
    paying = [step for step in kept.steps if Side.REFERENCE in step.sides]
    assert len(paying) == 2 * 4
    assert kept.totals[Side.REFERENCE].fits(kept.caps[Side.REFERENCE])
    verify_release(result.out, result.public_key.read_bytes())


def test_a_learned_encoding_is_the_references_too(tmp_path):
    text = lines.SCHEMA.replace("    columns:\n", "    encoding: {share: 0.1}\n    columns:\n")
    book = lines.ledger(tmp_path)
    result = release(
        lines.table(6_000), lines.schema(text), epsilon=2.0, delta=1e-6, ledger=book, out=tmp_path / "out",
        policy=likelihood(), synthesizer="independent",
    )  # fmt: skip
    verify_release(result.out, result.public_key.read_bytes())
    assert result.verdict == "PASS"


def test_an_outside_table_is_compared_by_its_columns_and_a_copy_fails(tmp_path):
    copier = tmp_path / "copy.py"
    copier.write_text("import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])\n")
    made = ExternalConfig(
        command=(sys.executable, str(copier), "{train}", "{out}"), claim_epsilon=0.2, claim_delta=1e-9
    )
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, synthesizer=made)
    assert result.verdict == "FAIL"
    verify_release(result.out, result.public_key.read_bytes())
    paying = [s.label for s in book.release(result.release_id).steps if Side.REFERENCE in s.sides]
    assert paying == [f"gate: reference ({name})" for name in ("ward", "age", "smoker", "score")]


def test_the_plan_shows_the_third_price_and_refuses_one_that_does_not_fit():
    """Before anything is touched: a line for the reference side, and a gate that the tested half can afford."""
    plan = make_plan(lines.schema(), epsilon=2.0, delta=1e-6, policy="research-likelihood")
    (row,) = [row for row in plan.lines() if row.side == "reference"]
    assert (row.purpose, row.share) == ("reference", "100.0%")
    assert plan.caps[Side.REFERENCE].amount == plan.budget.cap.amount
    assert plan.share("gate")[Side.HOLDOUT] > 9 * plan.share("gate")[Side.TRAINING]
    without = make_plan(lines.schema(), epsilon=2.0, delta=1e-6, policy="standard")
    assert set(without.caps) == {Side.TRAINING, Side.HOLDOUT}
    assert not [row for row in without.lines() if row.side == "reference"]
    assert "reference" not in str(without.to_json())
    with pytest.raises(GateRefused, match="can't be paid"):
        make_plan(lines.schema(), epsilon=0.001, delta=1e-6, policy="research-likelihood")
