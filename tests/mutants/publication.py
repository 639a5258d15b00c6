"""Faults of the line, the certificate and the bridge: what leaves, in which order, and what a verifier lets through."""

from tests.mutants.base import Mutant

RELEASE, STORING, RUNS = "dpsynth/line.py", "dpsynth/storing.py", "dpsynth/runs.py"
VERIFY, ENVELOPE = "dpsynth/certificate/verify.py", "dpsynth/certificate/envelope.py"
ARITHMETIC, CLAIM = "dpsynth/certificate/arithmetic.py", "dpsynth/certificate/claim.py"
BRIDGE, CONFIG = "dpsynth/external/bridge.py", "dpsynth/external/config.py"
PUBLISHING, WRITER = "dpsynth/publishing.py", "dpsynth/certificate/writer.py"
GATING = "dpsynth/certificate/gating.py"

_RELEASE = "tests/dpsynth/test_release.py::"
_LINE = "tests/dpsynth/test_line_accounting.py::"
_VERIFY = "tests/dpsynth/certificate/test_verify_release.py::"
_ENVELOPE = "tests/dpsynth/certificate/test_envelope.py::"
_BRIDGE = "tests/dpsynth/external/test_bridge.py::"
_ALONE = "tests/dpsynth/certificate/test_arithmetic.py::"
_LIES = (_VERIFY + "test_facts_that_do_not_add_up_fail_though_rightly_signed",)

MUTANTS = (
    Mutant(
        "release: as many rows as were read", RELEASE, "max(1, round(fitted.model.total / (1 - share)))",
        "max(1, round(sum(c.shape[1] for c, _ in training.blocks()) / (1 - share)))",
        (_LINE + "test_the_table_has_as_many_rows_as_the_model_says",), "the exact number of rows",
    ),
    Mutant(
        "release: an outside tool is asked for as many rows as were read", RELEASE,
        "max(1, round(totals.training / (1 - share)))", "max(1, round(_joined(training).shape[1] / (1 - share)))",
        (_LINE + "test_an_outside_tool_gets_training_rows_and_a_noisy_number",), "the exact number of rows",
    ),
    Mutant(
        "release: everybody is learned from", RELEASE, "_synthesize(run, encoder, training, totals, transcript=words)",
        "_synthesize(run, encoder, records.source, totals, transcript=words)",
        (_LINE + "test_the_synthesizer_sees_training_people_alone",), "whole table instead of training rows",
    ),
    Mutant(
        "release: an outside tool gets the whole table", RELEASE,
        "transcript=words)\n            except ExternalFailed:",
        "transcript=words) if not isinstance(run.plan.synthesizer, ExternalConfig) else "
        "_synthesize(run, records.source, totals, transcript=words)\n            except ExternalFailed:",
        (_LINE + "test_an_outside_tool_gets_training_rows_and_a_noisy_number",), "whole table instead of training rows",
    ),
    Mutant(
        "release: read before the touch", RELEASE,
        '        run.reservation.touch()\n    with run.told.stage("Reading and encoding"):\n'
        "        records = read_records(run.handle, encoder, unit=run.plan.unit, key=key)\n",
        '        pass\n    with run.told.stage("Reading and encoding"):\n'
        "        records = read_records(run.handle, encoder, unit=run.plan.unit, key=key)\n"
        "        run.reservation.touch()\n",
        (_LINE + "test_records_are_read_only_after_the_ledger_says_touched",), "a run that read the data is refunded",
    ),
    Mutant(
        "release: a failed table is written", RELEASE,
        "passed = synthetic.table if synthetic is not None and outcome.verdict is Verdict.PASS else None",
        "passed = None if synthetic is None else synthetic.table",
        (_RELEASE + "test_a_failed_gate_leaves_no_table_anywhere",), "the gate decides nothing",
    ),
    Mutant(
        "release: a table for too few people", RELEASE, "if decidable(policy, totals, plan=gate).decidable:",
        "if True:",
        (_RELEASE + "test_what_only_values_decide_never_changes_the_kind_of_outcome",), "the gate decides nothing",
    ),
    Mutant(
        "release: seeded noise", RELEASE, "SystemRandom() if test_seed is None", "SeededRandom(0) if test_seed is None",
        (_LINE + "test_a_run_without_a_seed_is_private",), "noise that anybody can subtract",
    ),
    Mutant(
        "storing: the ledger is committed before anything is stored", STORING,
        "        folder = publish(staging)\n    run.reservation.commit(outcome=outcome.verdict.value, "
        "artefacts={a.name: a.sha256 for a in artefacts})\n",
        "        run.reservation.commit(outcome=outcome.verdict.value, "
        "artefacts={a.name: a.sha256 for a in artefacts})\n"
        "        folder = publish(staging)\n",
        (_LINE + "test_the_ledger_commits_what_is_stored_already",), "a committed release that isn't there",
    ),
    Mutant(
        "runs: an interrupted run isn't ended", RUNS, "        _abort(reservation, \"interrupted\" if",
        "        str(\"interrupted\" if",
        (_RELEASE + "test_an_interrupted_run_stays_charged",), "charged, but nobody knows why",
    ),
    Mutant(
        "publishing: what the ledger didn't record", WRITER,
        "if {file.name: file.sha256 for file in staged} != dict(recorded):", "if not staged:",
        (_LINE + "test_only_what_the_ledger_recorded_is_published",), "a changed table leaves",
    ),
    Mutant(
        "publishing: a run that never ended", PUBLISHING, "if kept.state is not State.COMMITTED:", "if False:",
        ("tests/hostile/test_outputs.py::test_a_run_that_never_ended_can_not_be_published",),
        "what wasn't settled leaves",
    ),
    Mutant(
        "verify: hashes of files aren't checked", VERIFY, "    _hashes(folder, statement)\n", "",
        (_VERIFY + "test_a_flipped_byte_at_a_thousand_offsets_fails",), "another table under the certificate",
    ),
    Mutant(
        "verify: more files than were signed", VERIFY, "if names != {*signed, CERTIFICATE}:",
        "if not names >= {*signed, CERTIFICATE}:", (_VERIFY + "test_an_extra_file_fails",),
        "an unsigned file in a release",
    ),
    Mutant(
        "verify: a table without a pass", VERIFY, "len(tables) == int(dossier.released),", "True,",
        (_VERIFY + "test_only_a_pass_has_a_table", _VERIFY + "test_a_pass_without_a_table_fails"),
        "the gate decides nothing",
    ),
    Mutant(
        "verify: the ledger isn't read", VERIFY, "    _check_ledger,\n", "",
        (_VERIFY + "test_a_ledger_of_other_steps_fails_though_rightly_signed",), "steps that nobody charged",
    ),
    Mutant(
        "verify: the claim isn't worked out", VERIFY, "    _check_claim,\n", "", _LIES, "any epsilon",
    ),
    Mutant(
        "verify: the verdict isn't worked out", ARITHMETIC, "require(within == dossier.released,", "require(True,",
        (_VERIFY + "test_a_verdict_against_its_own_statistic_fails",), "a verdict of something else",
    ),
    Mutant(
        "verify: any epsilon", ARITHMETIC, "require(epsilon <= claim.epsilon * (1.0 + TOLERANCE),", "require(True,",
        (_ALONE + "test_a_smaller_epsilon_with_its_own_reading_is_too_small",),
        "an epsilon smaller than the steps imply",
    ),
    Mutant(
        "verify: any price", ARITHMETIC, "require(_covers(claim.price, price, dossier),", "require(True,", _LIES,
        "a price lower than that of the steps",
    ),
    Mutant(
        "verify: other steps than the ledger's", ARITHMETIC, "require(kept.steps == dossier.steps,", "require(True,",
        (*_LIES, _VERIFY + "test_a_ledger_of_other_steps_fails_though_rightly_signed"), "steps left out",
    ),
    Mutant(
        "verify: steps that nobody pays", ARITHMETIC, "require(all(step.sides for step in dossier.steps),",
        "require(True,",
        (_ALONE + "test_a_step_without_a_paying_side_is_no_charge",),
        "a free step",
    ),
    Mutant(
        "claim: an adaptive run at what it spent", CLAIM, "return cap if adaptive else larger_side(",
        "return larger_side(", (_ALONE + "test_an_adaptive_run_costs_its_cap_whatever_it_spent",),
        "only caps committed in advance convert to epsilon",
    ),
    Mutant(
        "verify: a reference of the last attempt stands for all", GATING,
        "same = all(one == due for one in compared)", "same = compared[-1] == due",
        (_VERIFY + "test_every_attempt_is_compared_with_a_reference_of_its_own",),
        "a certificate hides that an attempt was compared with nobody",
    ),
    Mutant(
        "verify: an attempt with two tests", GATING, '    require(once, "An attempt', '    require(True, "An attempt',
        (_VERIFY + "test_attempts_are_those_that_were_declared_and_charged",),
        "attempts that measured nothing are taken for the one before",
    ),
    Mutant(
        "envelope: any signature", ENVELOPE, "        key.verify(sig, _pre_authentication(payload))\n", "        sig\n",
        (_VERIFY + "test_a_foreign_signature_under_the_pinned_key_id_fails",), "a re-signed folder",
    ),
    Mutant(
        "envelope: any key id", ENVELOPE, "if keyid != pinned:", "if False:",
        (_VERIFY + "test_every_flipped_byte_of_every_json_fails",), "a changed byte goes unnoticed",
    ),
    Mutant(
        "envelope: other forms of the same content", ENVELOPE, "if canonical.dumps(value) == stored:",
        "if value is not None:",
        (_ENVELOPE + "test_the_same_content_has_no_second_form",), "a changed byte goes unnoticed",
    ),
    Mutant(
        "external: the claim isn't charged", BRIDGE,
        "    spend.charge([Step(label=label, event=config.event(), sides=(Side.TRAINING,))])\n", "",
        (_BRIDGE + "test_charged_before_the_command_sees_a_record",), "a missing charge",
    ),
    Mutant(
        "external: charged after the records are written", BRIDGE,
        "    spend.charge([Step(label=label, event=config.event(), sides=(Side.TRAINING,))])\n"
        '    with tempfile.TemporaryDirectory(prefix="dpsynth-external-", dir=workdir) as name:\n'
        "        folder = Path(name)\n        _write_inputs(folder, records, domain)\n",
        '    with tempfile.TemporaryDirectory(prefix="dpsynth-external-", dir=workdir) as name:\n'
        "        folder = Path(name)\n        _write_inputs(folder, records, domain)\n"
        "        spend.charge([Step(label=label, event=config.event(), sides=(Side.TRAINING,))])\n",
        (_BRIDGE + "test_charged_before_the_command_sees_a_record",), "a refused command has seen records",
    ),
    Mutant(
        "external: holdout people pay", BRIDGE, "event=config.event(), sides=(Side.TRAINING,)",
        "event=config.event(), sides=(Side.HOLDOUT,)", (_BRIDGE + "test_honest_run_returns_codes_and_leaves_nothing",),
        "wrong sides",
    ),
    Mutant(
        "external: the claim's delta is dropped", CONFIG, "delta=self.claim_delta, adjacency", "delta=0.0, adjacency",
        (_BRIDGE + "test_honest_run_returns_codes_and_leaves_nothing",), "delta dropped",
    ),
    Mutant(
        "external: a claim about other people", CONFIG, "if config.unit != unit:", "if False:",
        (_BRIDGE + "test_a_claim_about_others_is_refused_uncharged",), "rows for people with several rows",
    ),
    Mutant(
        "external: a public row count", CONFIG, "if not config.row_count_private:", "if False:",
        (_BRIDGE + "test_a_claim_about_others_is_refused_uncharged",), "the number of rows is private here",
    ),
    Mutant(
        "external: the words of the tool are told", BRIDGE, '_failed("It ended with an exit status other than 0.")',
        '_failed(words.read_text())', (_BRIDGE + "test_failure_keeps_the_charge_and_hides_the_words",),
        "record values in a message",
    ),
)
