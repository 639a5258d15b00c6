"""A release verifies as published, and fails after any change, whoever signed it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant import Coordinate, Price, Side, Step, canonical
from accountant.budget import Budget
from accountant.compose import totals
from accountant.events import ApproxDP, DiscreteGaussian, PartitionSelection
from accountant.spend import BOTH_SIDES
from dpsynth.certificate import Dossier, VerificationFailed, verify_release
from dpsynth.certificate.dossier import SEEDED, Artefact, Marginal, Share
from dpsynth.certificate.gating import GATE_TEST, check_margin
from dpsynth.certificate.planned import (
    ENCODING,
    ENCODING_STEP,
    LEARNED_ENCODING,
    LIKELIHOOD,
    PLAN_VERSION,
    REFERENCE,
    REFERENCE_SPLIT,
    SELECTED_LABELS,
    SELECTION_STEP,
    attempts_in_words,
)
from dpsynth.gate import load_policy
from dpsynth.gate.noise import GateNoise, margin
from tests.dpsynth.certificate.dossiers import (
    MARGIN,
    POLICY,
    TABLE,
    chained,
    key_pair,
    some_dossier,
    some_entries,
    some_plan,
    some_steps,
    write_release,
)

PUBLIC = key_pair()[1]
TABLE_NAME = "SYNTHETIC-adult.parquet"
JSON_FILES = ("certificate.json", "ledger.json", "schema.json", "policy.json")
Copy = Callable[[], Path]


def fails(folder: Path, public: bytes = PUBLIC) -> VerificationFailed:
    """The refusal that ``folder`` meets."""
    with pytest.raises(VerificationFailed) as caught:
        verify_release(folder, public)
    return caught.value


def flip(path: Path, offset: int, bits: int) -> None:
    """Flip bits of one byte in place."""
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_an_honest_release_verifies(tmp_path: Path, coordinate: Coordinate) -> None:
    dossier = some_dossier(coordinate=coordinate)
    verified = verify_release(write_release(tmp_path / "out", dossier), PUBLIC)
    assert verified.table == TABLE_NAME
    assert replace(verified.dossier, artefacts=()) == dossier
    assert [check.name for check in verified.checks] == [
        "signature",
        "files",
        "declarations",
        "verdict",
        "ledger",
        "plan",
        "gate",
        "measurements",
        "people",
        "protected",
        "privacy",
    ]
    assert any(f"{dossier.claim.epsilon:.6g} is stated" in line for line in verified.lines())


@pytest.mark.parametrize("name", JSON_FILES)
def test_every_flipped_byte_of_every_json_fails(tmp_path: Path, name: str) -> None:
    folder = write_release(tmp_path / "out", some_dossier(verdict="undecidable"), table=None)
    path = folder / name
    original = path.read_bytes()
    for offset in range(len(original)):
        flip(path, offset, 1 << (offset % 8))
        fails(folder)
        flip(path, offset, 1 << (offset % 8))
    assert path.read_bytes() == original
    verify_release(folder, PUBLIC)


@pytest.mark.parametrize("name", [TABLE_NAME, "report.html"])
def test_a_flipped_byte_at_a_thousand_offsets_fails(copy: Copy, name: str) -> None:
    folder = copy()
    path = folder / name
    for offset in Random(1).sample(range(path.stat().st_size), 1000):
        flip(path, offset, 0x10)
        fails(folder)
        flip(path, offset, 0x10)
    verify_release(folder, PUBLIC)


@pytest.mark.parametrize("change", [b"", b" ", b"\n", b"{}"])
def test_a_longer_or_shorter_file_fails(copy: Copy, change: bytes) -> None:
    for name in (*JSON_FILES, TABLE_NAME, "report.html"):
        folder = copy()
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(original + change if change else original[:-1])
        fails(folder)


def test_a_wholly_re_signed_folder_fails(tmp_path: Path) -> None:
    forged = write_release(tmp_path / "out", seed=8)
    verify_release(forged, key_pair(8)[1])
    assert "another signing key" in fails(forged).what


def test_a_foreign_signature_under_the_pinned_key_id_fails(copy: Copy, tmp_path: Path) -> None:
    folder, forged = copy(), write_release(tmp_path / "forged", seed=8)
    ours, theirs = ((f / "certificate.json").read_bytes() for f in (folder, forged))
    keyid = b'"keyid":"'
    at, other = ours.index(keyid) + len(keyid), theirs.index(keyid) + len(keyid)
    (folder / "certificate.json").write_bytes(theirs[:other] + ours[at : at + 64] + theirs[other + 64 :])
    assert "signature" in fails(folder).what


def test_an_extra_file_fails(copy: Copy) -> None:
    folder = copy()
    (folder / ".hidden").write_bytes(b"")
    assert "1 extra" in fails(folder).what


@pytest.mark.parametrize("name", [*JSON_FILES, TABLE_NAME, "report.html"])
def test_a_missing_file_fails(copy: Copy, name: str) -> None:
    folder = copy()
    (folder / name).unlink()
    fails(folder)


def test_links_folders_and_pipes_fail(copy: Copy, tmp_path: Path) -> None:
    linked, nested, piped = copy(), copy(), copy()
    (linked / TABLE_NAME).rename(tmp_path / "elsewhere")
    (linked / TABLE_NAME).symlink_to(tmp_path / "elsewhere")
    (nested / "more").mkdir()
    (piped / TABLE_NAME).unlink()
    os.mkfifo(piped / TABLE_NAME)
    for folder in (linked, nested, piped):
        assert "plain file" in fails(folder).what


def test_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    fails(tmp_path / "nothing")


@pytest.mark.parametrize("verdict", ["fail", "undecidable", "refuted"])
def test_only_a_pass_has_a_table(tmp_path: Path, verdict: str) -> None:
    dossier = some_dossier(verdict=verdict)
    assert verify_release(write_release(tmp_path / "without", dossier, table=None), PUBLIC).table is None
    assert "table" in fails(write_release(tmp_path / "with", dossier)).what


def test_a_pass_without_a_table_fails(tmp_path: Path) -> None:
    fails(write_release(tmp_path / "out", table=None))


def test_a_verdict_against_its_own_statistic_fails(tmp_path: Path) -> None:
    dossier = some_dossier()
    over = replace(dossier, gate=replace(dossier.gate, noisy_steps=dossier.gate.margin_steps + 1))
    assert "verdict" in fails(write_release(tmp_path / "out", over)).what


def test_a_seeded_run_is_labelled(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "out", some_dossier(private=False))
    verified = verify_release(folder, PUBLIC)
    assert verified.table == "SYNTHETIC-NOT-PRIVATE-adult.parquet"
    assert any("NOT PRIVATE" in line for line in verified.lines())
    assert b"NOT PRIVATE" in (folder / "report.html").read_bytes()


def _with_claim(**changes: Any) -> Dossier:
    dossier = some_dossier()
    return replace(dossier, claim=replace(dossier.claim, **changes))


def _with_synthesis(**changes: Any) -> Dossier:
    dossier = some_dossier()
    return replace(dossier, synthesis=replace(dossier.synthesis, **changes))


def _with_marginals(change: Callable[[tuple[Marginal, ...]], tuple[Marginal, ...]]) -> Dossier:
    return _with_synthesis(marginals=change(some_dossier().synthesis.marginals))


def _with_gate(**changes: Any) -> Dossier:
    dossier = some_dossier()
    return replace(dossier, gate=replace(dossier.gate, **changes))


def _undecidable(**changes: Any) -> Dossier:
    free = {"verdict": "undecidable", "training_amount": 0, "holdout_amount": 0, "margin_steps": 0}
    told = _with_gate(**free, **changes)
    return replace(told, synthesis=replace(told.synthesis, rows=None))


def _lower_curve() -> Dossier:
    curve = some_dossier().claim.curve
    return _with_claim(curve=((curve[0][0], curve[0][1] * 0.99), *curve[1:]))


LIES: dict[str, tuple[str, Callable[[], Dossier]]] = {
    "epsilon": ("stated epsilon", lambda: _with_claim(epsilon=some_dossier().claim.epsilon * 0.999)),
    "epsilon NaN": ("stated epsilon", lambda: _with_claim(epsilon=float("nan"))),
    "mu": ("mu or rho", lambda: _with_claim(mu=0.19)),
    "rho": ("mu or rho", lambda: _with_claim(rho=0.019)),
    "no mu": ("mu or rho", lambda: _with_claim(mu=None)),
    "price": ("stated price", lambda: _with_claim(price=Price())),
    "second accountant": ("second accountant", lambda: _with_claim(second_epsilon=0.5)),
    "curve": ("curve", _lower_curve),
    "delta": ("The delta", lambda: _with_claim(delta=1e-5)),
    "adaptive": ("adaptive", lambda: _with_claim(adaptive=False)),
    "table": ("The table", lambda: replace(some_dossier(), data=replace(some_dossier().data, table="adults"))),
    "shares": ("shares", lambda: replace(some_dossier(), plan=replace(some_dossier().plan, shares=()))),
    "synthesizer": ("synthesizer", lambda: _with_synthesis(synthesizer="independent")),
    "settings": ("settings", lambda: _with_synthesis(config=())),
    "a learned encoding": ("learned encoding", lambda: _with_synthesis(preprocessing=(LEARNED_ENCODING,))),
    "no rows": ("number of rows", lambda: _with_synthesis(rows=None)),
    "no marginals": ("0 marginals", lambda: _with_synthesis(marginals=())),
    "one more marginal": ("4 marginals", lambda: _with_marginals(lambda m: (*m, m[0]))),
    "other order": ("stated marginal", lambda: _with_marginals(lambda m: m[::-1])),
    "sigma": ("stated marginal", lambda: _with_marginals(lambda m: (replace(m[0], sigma=11.9), *m[1:]))),
    "cells": ("stated marginal", lambda: _with_marginals(lambda m: (replace(m[0], cells=145), *m[1:]))),
    "columns": ("stated marginal", lambda: _with_marginals(lambda m: (replace(m[0], attributes=("age",)), *m[1:]))),
    "gate's policy": ("name of the gate", lambda: _with_gate(policy="strict-health")),
    "attacks": ("attacks", lambda: _with_gate(attacks=("everything",))),
    "holdout share": ("holdout share", lambda: _with_gate(holdout_share=0.25)),
    "detection": ("detection", lambda: _with_gate(detection=0.999)),
    "finer grid": ("finer", lambda: _with_gate(grid=9)),
    "grid": ("grid", lambda: _with_gate(grid=4)),
    "training amount": ("amount of the gate", lambda: _with_gate(training_amount=0)),
    "holdout amount": ("amount of the gate", lambda: _with_gate(holdout_amount=1)),
    "gate's noise": ("noise of the gate", lambda: _with_gate(sigma_records=19.9)),
    "training people": ("numbers of people", lambda: _with_gate(training_people=10**9)),
    "holdout people": ("numbers of people", lambda: _with_gate(holdout_people=9_000)),
    "wider margin": ("margin", lambda: _with_gate(margin_steps=MARGIN + 1)),
    "narrower margin": ("margin", lambda: _with_gate(margin_steps=MARGIN - 1)),
    "margin beyond": ("margin", lambda: _with_gate(margin_steps=10**6)),
    "no statistic": ("statistic", lambda: _with_gate(noisy_steps=None)),
    "undecidable though tested": ("couldn't", lambda: _undecidable(noisy_steps=41)),
    "undecidable though charged": ("test was charged", lambda: _undecidable(noisy_steps=None)),
    "posterior": ("plain reading", lambda: _with_claim(reading=replace(some_dossier().claim.reading, posterior=0.011))),
    "adjacency": (
        "adjacency",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, adjacency="replace-one")),
    ),
    "unit": ("privacy unit", lambda: replace(some_dossier(), data=replace(some_dossier().data, unit="a household"))),
    "data set": (
        "data set",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, dataset_id="census-2010")),
    ),
    "schema": (
        "schema.json",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, schema_sha256="0" * 64)),
    ),
    "policy": (
        "policy.json",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, policy_sha256="0" * 64)),
    ),
    "plan": ("The plan", lambda: replace(some_dossier(), plan=replace(some_dossier().plan, sha256="0" * 64))),
    "head": ("last entry", lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, head="0" * 64))),
    "spent before": (
        "spent before",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, spent_before=Price())),
    ),
    "spent after": (
        "spent after",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, spent_after=Price(1))),
    ),
    "budget": (
        "whole budget",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, budget=Price(1, 1))),
    ),
    "release id": ("release id", lambda: replace(some_dossier(), release_id="r-0002")),
    "dropped step": ("charged steps", lambda: replace(some_dossier(), steps=some_dossier().steps[1:])),
}


@pytest.mark.parametrize("lie", LIES)
def test_facts_that_do_not_add_up_fail_though_rightly_signed(tmp_path: Path, lie: str) -> None:
    word, told = LIES[lie]
    dossier = told()
    table = TABLE if dossier.released else None
    refusal = fails(write_release(tmp_path / "out", dossier, entries=some_entries(some_steps()), table=table))
    assert word in refusal.what


OTHER_PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "another schema": ("The schema", {"schema": "0" * 64}),
    "another policy": ("The policy", {"policy": "0" * 64}),
    "no policy": ("The policy", {"policy": None}),
    "another data set": ("The data set", {"dataset": "census-2010"}),
    "another coordinate": (
        "The coordinate",
        {"budget": Budget(epsilon=3.0, delta=1e-6, coordinate=Coordinate.ZCDP).to_json()},
    ),
    "a smaller budget": ("above the planned one", {"budget": Budget(epsilon=0.1, delta=1e-6).to_json()}),
    "another delta": ("The delta", {"budget": Budget(epsilon=3.0, delta=1e-7).to_json()}),
    "another synthesizer": ("The synthesizer", {"synthesizer": {"name": "independent", "settings": {}}}),
    "other settings": ("settings", {"synthesizer": {"name": "mst", "settings": {"max_cells": "9"}}}),
    "other shares": ("shares", {"shares": []}),
    "a fit": ("gated release", {"kind": "fit"}),
    "a later version": ("gated release", {"version": PLAN_VERSION + 1}),
    "other rows": ("number of rows", {"rows": 1000}),
    "an output that isn't stated": ("setting of the output", {"output": {"formulas escaped": "yes"}}),
    "a test run": ("mark of a test run", {"output": dict([SEEDED])}),
    "a part is missing": ("can't be checked", {"budget": {}}),
}


@pytest.mark.parametrize("lie", OTHER_PLANS)
def test_a_certificate_of_another_plan_than_the_ledgers_fails_though_rightly_signed(tmp_path: Path, lie: str) -> None:
    """The plan is the ledger's, with its right hash; the facts are those of the honest one."""
    word, changes = OTHER_PLANS[lie]
    plan = some_plan() | changes
    honest = some_dossier()
    digest = replace(honest.plan, sha256=canonical.sha256_hex(plan))
    entries = some_entries(some_steps(), plan=plan)
    head = replace(honest.ledger, head=entries[-1]["hash"])
    dossier = replace(honest, plan=digest, ledger=head)
    assert word in fails(write_release(tmp_path / "out", dossier, entries=entries)).what


def test_a_test_run_can_not_be_told_as_private(tmp_path: Path) -> None:
    """Files renamed, dossier changed, all signed anew by the publisher: the plan in the ledger still says it."""
    told = replace(some_dossier(private=False), private=True)
    entries = some_entries(some_steps(), private=False)
    folder = write_release(tmp_path / "out", told, entries=entries)
    assert (folder / TABLE_NAME).is_file()
    assert "mark of a test run" in fails(folder).what


def _gate_step(side: Side, **changes: Any) -> tuple[Step, ...]:
    """The steps with the event of one side's test changed."""
    label = GATE_TEST.format(side=side)
    return tuple(replace(s, event=replace(s.event, **changes)) if s.label == label else s for s in some_steps())


OTHER_STEPS: dict[str, tuple[str, Callable[[], tuple[Step, ...]]]] = {
    "no test of the holdout": ("holdout side has 0", lambda: some_steps()[:-1]),
    "two tests": ("training side has 2", lambda: (*some_steps(), some_steps()[-2])),
    "a test that both sides pay": (
        "training side has 1",
        lambda: tuple(
            replace(s, sides=(Side.TRAINING, Side.HOLDOUT)) if s.label == GATE_TEST.format(side="training") else s
            for s in some_steps()
        ),
    ),
    "no count": ("training side has 0", lambda: some_steps()[1:]),
    "less noise for one side": ("different noise", lambda: _gate_step(Side.HOLDOUT, sigma=150.0)),
    "another weight": ("numbers of people", lambda: _gate_step(Side.HOLDOUT, sensitivity=31.0)),
    "another grid": ("grid", lambda: _gate_step(Side.TRAINING, sensitivity=7.0)),
    "a claim that nobody planned": (
        "outside synthesizer",
        lambda: (*some_steps(), Step(label="x", event=ApproxDP(epsilon=0.1, delta=0.0))),
    ),
    "a marginal more": (
        "3 marginals",
        lambda: (*some_steps(), Step(label="more (age)", event=DiscreteGaussian(sigma=30.0))),
    ),
}


@pytest.mark.parametrize("lie", OTHER_STEPS)
def test_steps_that_a_release_does_not_have_fail_though_rightly_signed(tmp_path: Path, lie: str) -> None:
    """Charged, priced and stated alike; the amounts of the gate are those of its steps."""
    word, steps = OTHER_STEPS[lie]
    assert word in fails(write_release(tmp_path / "out", some_dossier(steps()))).what


def _again(*changes: dict[str, Any]) -> tuple[Step, ...]:
    """The steps of several attempts: the counts, then everything else once for each."""
    counts, rest = some_steps()[:2], some_steps()[2:]
    return counts + tuple(
        replace(s, event=replace(s.event, **change)) if "test" in s.label else s for change in changes for s in rest
    )


ATTEMPTS: dict[str, tuple[str, int, bool, str, tuple[Step, ...]]] = {
    "two of two": ("", 1, True, "pass", _again({}, {})),
    "two of three": ("", 2, True, "pass", _again({}, {})),
    "one of three": ("", 2, True, "pass", _again({})),
    "all failed": ("", 1, True, "fail", _again({}, {})),
    "failed too early": ("before its last declared attempt", 2, True, "fail", _again({}, {})),
    "more than declared": ("has 3 steps of the gate, not at most 2", 1, True, "pass", _again({}, {}, {})),
    "not declared": ("has 2 steps of the gate, not 1", 0, False, "pass", _again({}, {})),
    "not stated": ("Retries are declared and not stated", 1, False, "pass", _again({}, {})),
    "stated alone": ("Retries are declared and not stated", 0, True, "pass", _again({})),
    "two draws at once": ("another number of tests", 1, True, "pass", (*_again({}), *some_steps()[-2:])),
    "other noise": ("different noise", 1, True, "pass", _again({"sigma": 170.0}, {})),
}


@pytest.mark.parametrize("case", ATTEMPTS)
def test_attempts_are_those_that_were_declared_and_charged(tmp_path: Path, case: str) -> None:
    word, retries, stated, verdict, steps = ATTEMPTS[case]
    policy = canonical.dumps(json.loads(POLICY) | {"retries": retries})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.dpsynth.certificate.dossiers.POLICY", policy)
        dossier = some_dossier(steps, verdict=verdict)
        tests = totals([s for s in some_steps() if "test" in s.label], dossier.plan.coordinate)
        amounts = {f"{side}_amount": tests[side].amount for side in BOTH_SIDES}
        said = (*dossier.synthesis.post_processing, *([attempts_in_words(1 + retries)] if stated else []))
        synthesis = replace(dossier.synthesis, post_processing=said)
        dossier = replace(dossier, gate=replace(dossier.gate, **amounts), synthesis=synthesis)
        folder = write_release(
            tmp_path / "out", dossier, entries=some_entries(steps), table=TABLE if dossier.released else None
        )
    if word:
        assert word in fails(folder).what
    else:
        verify_release(folder, PUBLIC)


REFERENCE_STEP = Step(label="gate: reference (age)", event=DiscreteGaussian(sigma=90.0), sides=(Side.REFERENCE,))
REFERENCE_STEPS = (
    *(None, REFERENCE_STEP),
    *(replace(REFERENCE_STEP, **change) for change in ({"sides": (Side.HOLDOUT,)}, {"label": "x"})),
)


@pytest.mark.parametrize("needed", [False, True])
@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("charged", REFERENCE_STEPS)
def test_a_reference_is_needed_planned_stated_and_charged_to_its_people_or_none_of_these(
    tmp_path: Path, needed: bool, planned: bool, stated: bool, charged: Step | None
) -> None:
    policy, plan = json.loads(POLICY), some_plan()
    if needed:
        policy["attacks"][1]["kind"] = LIKELIHOOD
    steps = some_steps()
    if charged is not None:
        steps = (*steps[:-2], charged, *steps[-2:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.dpsynth.certificate.dossiers.POLICY", canonical.dumps(policy))
        plan["policy"] = Artefact.of("policy.json", canonical.dumps(policy)).sha256
        if planned:
            plan["shares"] = [*plan["shares"], {"purpose": REFERENCE, "side": "reference", "amount": 2**30}]
        dossier = some_dossier(steps, plan=plan)
        if planned:
            share = Share(purpose=REFERENCE, training=Price(), holdout=Price(), reference=Price(2**30))
            dossier = replace(dossier, plan=replace(dossier.plan, shares=(*dossier.plan.shares, share)))
        if stated:
            dossier = replace(dossier, synthesis=replace(dossier.synthesis, preprocessing=(REFERENCE_SPLIT,)))
        folder = write_release(tmp_path / "out", dossier, entries=some_entries(steps, plan=plan))
    if needed == planned == stated and charged == (REFERENCE_STEP if needed else None):
        verify_release(folder, PUBLIC)
    else:
        assert "eference" in fails(folder).what


@pytest.mark.parametrize("lacking", [None, 0, 1])
def test_every_attempt_is_compared_with_a_reference_of_its_own(tmp_path: Path, lacking: int | None) -> None:
    """A reference step of one attempt doesn't stand for that of the other."""
    policy, plan = json.loads(POLICY) | {"retries": 1}, some_plan()
    policy["attacks"][1]["kind"] = LIKELIHOOD
    counts, rest = some_steps()[:2], some_steps()[2:]
    compared = (*rest[:-2], REFERENCE_STEP, *rest[-2:])
    steps = counts + tuple(step for i in range(2) for step in (rest if i == lacking else compared))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.dpsynth.certificate.dossiers.POLICY", canonical.dumps(policy))
        plan["policy"] = Artefact.of("policy.json", canonical.dumps(policy)).sha256
        plan["shares"] = [*plan["shares"], {"purpose": REFERENCE, "side": "reference", "amount": 2**30}]
        dossier = some_dossier(steps, plan=plan)
        share = Share(purpose=REFERENCE, training=Price(), holdout=Price(), reference=Price(2**30))
        tests = totals([s for s in some_steps() if "test" in s.label], dossier.plan.coordinate)
        amounts = {f"{side}_amount": tests[side].amount for side in BOTH_SIDES}
        said = replace(
            dossier.synthesis,
            preprocessing=(REFERENCE_SPLIT,),
            post_processing=(*dossier.synthesis.post_processing, attempts_in_words(2)),
        )
        dossier = replace(
            dossier,
            gate=replace(dossier.gate, **amounts),
            plan=replace(dossier.plan, shares=(*dossier.plan.shares, share)),
            synthesis=said,
        )
        folder = write_release(tmp_path / "out", dossier, entries=some_entries(steps, plan=plan))
    if lacking is None:
        verify_release(folder, PUBLIC)
    else:
        assert "reference was compared with and not charged" in fails(folder).what


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("charged", [False, True])
@pytest.mark.parametrize("stated", [False, True])
def test_a_learned_encoding_is_stated_charged_and_planned_or_none_of_these(
    tmp_path: Path, planned: bool, charged: bool, stated: bool
) -> None:
    plan = some_plan()
    if planned:
        plan["shares"] = [*plan["shares"], {"purpose": ENCODING, "side": "training", "amount": 2**36}]
    histogram = Step(
        label=ENCODING_STEP + "histogram of age, cells", event=DiscreteGaussian(sigma=90.0), sides=(Side.TRAINING,)
    )
    steps = (*some_steps(), *([histogram] if charged else []))
    dossier = some_dossier(steps, plan=plan)
    if planned:
        shares = (*dossier.plan.shares, Share(purpose=ENCODING, training=Price(2**36), holdout=Price()))
        dossier = replace(dossier, plan=replace(dossier.plan, shares=shares))
    if stated:
        dossier = replace(dossier, synthesis=replace(dossier.synthesis, preprocessing=(LEARNED_ENCODING,)))
    folder = write_release(tmp_path / "out", dossier, entries=some_entries(steps, plan=plan))
    if planned == charged == stated:
        verify_release(folder, PUBLIC)
    else:
        assert "ncoding" in fails(folder).what


SELECTED = PartitionSelection(sigma=90.0, threshold=800)


@pytest.mark.parametrize("lie", ["", "declared", "planned", "threshold", "charged", "sides", "stated"])
def test_a_selection_of_labels_that_wasnt_planned_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """Declared, planned, charged to training people and stated, with one threshold; anything else fails."""
    columns = [] if lie == "declared" else [{"name": "job", "kind": "open", "otherwise": "other"}]
    schema = canonical.dumps({"tables": [{"name": "adult", "columns": columns}]})
    monkeypatch.setattr("tests.dpsynth.certificate.dossiers.SCHEMA", schema)
    plan = some_plan()
    if lie != "planned":
        event = replace(SELECTED, threshold=801) if lie == "threshold" else SELECTED
        plan["selections"] = [{"column": "job", "event": event.to_json()}]
    sides = (Side.TRAINING, Side.HOLDOUT) if lie == "sides" else (Side.TRAINING,)
    step = Step(label=SELECTION_STEP + "job", event=SELECTED, sides=sides)
    steps = (*some_steps(), *([] if lie == "charged" else [step]))
    dossier = some_dossier(steps, plan=plan)
    if lie != "stated":
        dossier = replace(dossier, synthesis=replace(dossier.synthesis, preprocessing=(SELECTED_LABELS,)))
    folder = write_release(tmp_path / "out", dossier, entries=some_entries(steps, plan=plan))
    if not lie:
        verify_release(folder, PUBLIC)
    else:
        assert fails(folder).what


def test_a_gate_with_too_few_people_or_another_policy_fails(tmp_path: Path) -> None:
    for name, changes in (("few", {"smallest_side": 9_802}), ("stricter", {"noise_alpha": "1/200"})):
        policy = canonical.dumps(json.loads(POLICY) | changes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.dpsynth.certificate.dossiers.POLICY", policy)
            folder = write_release(tmp_path / name)
        assert {"few": "fewer people", "stricter": "margin"}[name] in fails(folder).what


@given(sigma=st.floats(0.3, 300.0), alpha=st.fractions("1/1000000000", "999/1000", max_denominator=10**9))
@settings(max_examples=60, deadline=None)
def test_the_margin_is_the_engines_own(sigma: float, alpha: Fraction) -> None:
    policy = replace(load_policy(), noise_alpha=alpha)
    steps = margin(policy, GateNoise(grid=1, training_steps=1, holdout_steps=1, sigma=sigma))
    check_margin(steps, sigma, float(alpha))
    for wrong in (steps - 1, steps + 1):
        with pytest.raises(VerificationFailed, match="margin"):
            check_margin(wrong, sigma, float(alpha))


def test_consistently_tampered_and_re_hashed_ledger_entries_fail(copy: Copy) -> None:
    folder = copy()
    quiet = tuple(_louder(step) for step in some_steps())
    (folder / "ledger.json").write_bytes(canonical.dumps(some_entries(quiet)))
    assert "ledger.json" in fails(folder).what


def _louder(step: Step) -> Step:
    event = step.event
    return replace(step, event=replace(event, sigma=event.sigma * 2)) if isinstance(event, DiscreteGaussian) else step


def test_a_ledger_of_other_steps_fails_though_rightly_signed(tmp_path: Path) -> None:
    other = some_entries((*some_steps(), Step(label="one more", event=DiscreteGaussian(sigma=90.0))))
    assert "ledger" in fails(write_release(tmp_path / "out", entries=other)).what


@pytest.mark.parametrize("position", [0, 1, 4, -1])
def test_a_cut_ledger_fails_though_rightly_signed(tmp_path: Path, position: int) -> None:
    entries = some_entries(some_steps())
    del entries[position]
    fails(write_release(tmp_path / "out", entries=entries))


def test_an_underpriced_step_fails_though_rightly_signed(tmp_path: Path) -> None:
    entries = some_entries(some_steps())
    entries[2]["steps"][0]["price"] = {"amount": 1, "delta": 1}
    fails(write_release(tmp_path / "out", entries=chained(entries)))


def test_steps_without_a_paying_side_fail(tmp_path: Path) -> None:
    free = tuple(replace(step, sides=()) if "pairs" in step.label else step for step in some_steps())
    fails(write_release(tmp_path / "out", some_dossier(free)))


def test_the_dearer_side_is_the_price() -> None:
    holdout = Step(label="reference", event=DiscreteGaussian(sigma=3.0), sides=(Side.HOLDOUT,))
    assert some_dossier((*some_steps(), holdout)).claim.epsilon > some_dossier().claim.epsilon


def test_verification_loads_no_engine(honest: Path, tmp_path: Path) -> None:
    (tmp_path / "signing.pub").write_bytes(PUBLIC)
    code = (
        "import sys, pathlib\n"
        "from dpsynth.certificate.verify import verify_release\n"
        f"verify_release(pathlib.Path({str(honest)!r}), pathlib.Path({str(tmp_path / 'signing.pub')!r}).read_bytes())\n"
        "heavy = {'pandas', 'pyarrow', 'numba', 'torch', 'scipy', 'numpy', 'jinja2', 'pydantic', 'sqlite3', 'duckdb'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3], timeout=60)
