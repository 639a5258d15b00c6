"""The line: schema, encode, count, measure, estimate, sample, decode, attack, gate, certificate. One function runs it.

A release is made in stages: everything is written to a staging folder beside the ledger's stored releases, the verdict
is drawn before a synthetic row is on disk, the certificate is signed, the folder is stored by one rename, the ledger is
committed, and only then is the stored release published (copied, again by one rename). So a review can stand between
storing and publishing, and a crash anywhere leaves the ledger right and no half release.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from accountant.ledger import Ledger, State, StoredRelease
from dpsynth.annexed import audited, figures
from dpsynth.auto import schema_of_run
from dpsynth.certificate.annex import write_annex
from dpsynth.drawing import DrawnTable, draw_table
from dpsynth.encode import Encoder
from dpsynth.external import ExternalConfig, ExternalFailed, run_external
from dpsynth.gate import Policy, Verdict
from dpsynth.gate.annex import GateAnnex
from dpsynth.gate.layout import layout_of
from dpsynth.gate.thresholds import decidable
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import run_gate, undecidable
from dpsynth.learning import learn_encoding, recoded
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.noise.seeds import draw_seed
from dpsynth.partly import make_partly
from dpsynth.plan import ReleasePlan, make_plan
from dpsynth.progress import Progress, SilentProgress
from dpsynth.publishing import publish_staged as publish_staged
from dpsynth.publishing import publish_stored, require_apart, require_free
from dpsynth.records import CodedRecords, read_records, split_in_three, split_records
from dpsynth.resuming import forget_run, keep_totals, kept_totals, require_resumable, settled_commitment
from dpsynth.runs import Run, begun, ending, going_on, referred, staying_open
from dpsynth.samples.kept import read_public, require_same
from dpsynth.samples.other_tables import refuse_csv
from dpsynth.sampling import generator, sample_apart
from dpsynth.schema import Schema
from dpsynth.selecting import closed_records, select_labels
from dpsynth.sources import Codes, MemorySource, joined
from dpsynth.statement import leak_in_words
from dpsynth.storing import output_settings, store_release
from dpsynth.synthesizers import Synthesizer, fit_model
from dpsynth.tables import open_table
from dpsynth.workload import Workload

STRANGERS = 5_000
"""Rows of the model, independent of the table, that tell the gate how near a stranger is to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseResult:
    """How a release ended; public, but for the annex that ``annex`` points at.

    Attributes:
      verdict: "PASS", "FAIL" or "UNDECIDABLE".
      release_id: The ledger's id of it.
      out: The published folder, or the stored one where it awaits a review.
      annex: The confidential annex; None where a stored release was returned.
      epsilon: Most that anybody pays.
      delta: Its delta.
      stored: Whether an earlier release of the same key and plan was returned, uncharged.
      public_key: The key that verifies the certificate.
      smallest_leak: What the gate could have seen, in words; None where a stored release was returned.
      not_protected: Public columns that are in the table as they are; none but where the schema declares them.
    """

    verdict: str
    release_id: str
    out: Path
    annex: Path | None
    epsilon: float
    delta: float
    stored: bool
    public_key: Path
    smallest_leak: str | None
    not_protected: tuple[str, ...] = ()


def release(
    table: Any,
    schema: Schema | str | Path,
    *,
    epsilon: float,
    delta: float,
    ledger: Ledger | str | Path,
    out: str | Path,
    synthesizer: str | Synthesizer | ExternalConfig = "auto",
    policy: Policy | str | None = None,
    rows: int | None = None,
    workload: Workload | None = None,
    model_mb: int | None = None,
    idempotency_key: str | None = None,
    checkpoints: str | Path | None = None,
    annex: str | Path | None = None,
    escape_formulas: bool = False,
    publish: bool = True,
    progress: Progress | None = None,
    test_seed: int | None = None,
) -> ReleaseResult:
    """Release a synthetic table: charged, attacked, gated, signed.

    Args:
      table: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table. Private.
      schema: What was declared of it, or the path of the declaration.
      epsilon: Most that anybody pays, above 0 and at most 20.
      delta: Its delta, in (0, 1).
      ledger: The ledger of the data set, or its folder.
      out: The release folder to make; must not exist.
      synthesizer: A name, a configured synthesizer, or an outside one; by default the engine chooses and says why.
      policy: The gate's policy: a profile, a file or a value.
      rows: Number of synthetic rows; the noisy total by default.
      workload: Which marginals matter; by default what the schema declares.
      model_mb: Most megabytes (10^6 bytes) that a fit of the model may take; no such limit by default.
      idempotency_key: The same key and plan returns the stored release, uncharged.
      checkpoints: Folder in which a training by DP-SGD is written down, so that the same call goes on where it was
        interrupted, charged once; new, or that run's. Private: until the run ends it tells who is on which side.
      annex: Folder of the confidential annex; beside ``out`` by default.
      escape_formulas: Prefix text that a spreadsheet would run (CSV only); recorded.
      publish: False leaves the release stored, for a review, at ``result.out``.
      progress: Told of each stage; sees public numbers only.
      test_seed: A seed makes a run that protects nobody; every artefact of it says NOT PRIVATE.

    Returns:
      How it ended. FAIL and UNDECIDABLE publish a certificate without a table; their budget stays spent.

    Privacy:
      (epsilon, delta) for add-remove of one unit of the schema, or, where it declares public columns, for replacing
      the other columns of one row, over everything that is published, the verdict included: every step is charged to
      the ledger before its noise is drawn, by side, within caps reserved before the data was opened (but for columns
      that are declared public, which are kept and not protected).
      Checked by: tests/dpsynth/test_release.py::test_every_charge_is_on_disk_and_within_its_cap,
      tests/dpsynth/test_partly_release.py::test_training_people_pay_for_measurements_and_both_for_the_gate

    Raises:
      Refusal: Something was refused; nothing was charged unless the data had been opened, as the message then says.
    """
    book = ledger if isinstance(ledger, Ledger) else Ledger.open(ledger)
    declared = schema_of_run(schema, synthesizer, epsilon=epsilon, delta=delta, like=book.budget)
    told = progress or SilentProgress()
    plan = make_plan(
        declared,
        epsilon=epsilon,
        delta=delta,
        synthesizer=synthesizer,
        workload=workload,
        model_mb=model_mb,
        policy=policy,
        rows=rows,
        coordinate=book.budget.coordinate,
        claim_share=book.budget.claim_share,
        output=output_settings(escape_formulas=escape_formulas, test_seed=test_seed),
    )
    folder = None if checkpoints is None else Path(checkpoints)
    if folder is not None:
        require_resumable(plan, seeded=test_seed is not None)
    handle = open_table(table, declared)
    public = plan.unit.public
    if public:
        refuse_csv(handle.structure.format)
    target = Path(out)
    confidential = Path(annex) if annex is not None else target.with_name(f"{target.name}.CONFIDENTIAL-annex")
    require_apart(target, confidential, book.path, checkpoints=folder)
    require_free(target)
    if idempotency_key is None:  # a key may return a stored release, whose annex exists
        require_free(confidential)
    reservation = (None if folder is None else going_on(folder, book, plan, key=idempotency_key)) or book.reserve(
        dataset=declared.dataset,
        unit=plan.unit,
        idempotency_key=idempotency_key,
        plan=plan.to_json(),
        caps=plan.caps,
    )
    if isinstance(reservation, StoredRelease):
        return _return_stored(reservation, book, plan, target, publish_it=publish)
    random = SystemRandom() if test_seed is None else SeededRandom(test_seed)
    with ending(reservation) if folder is None else staying_open(reservation, begun(folder, reservation)) as kept:
        require_free(confidential)
        part = read_public(table, Encoder.of(declared.table), structure=handle.structure) if public else None
        run = Run(
            plan=plan, schema=declared, handle=handle, book=book, reservation=reservation, random=random, told=told,
            checkpoints=kept, kept=part,
        )  # fmt: skip
        verdict, stored, leak = _run(run, confidential, escape_formulas=escape_formulas)
    if publish:
        stored = publish_stored(stored, target, reservation.state)
    return ReleaseResult(
        verdict=verdict.name,
        release_id=reservation.release_id,
        out=stored,
        annex=confidential,
        epsilon=epsilon,
        delta=delta,
        stored=False,
        public_key=public_key_path(book),
        smallest_leak=leak,
        not_protected=public,
    )


def public_key_path(book: Ledger) -> Path:
    """Where a ledger keeps the public key of its certificates."""
    return book.path / "keys" / "signing.pub"


def _run(run: Run, confidential: Path, *, escape_formulas: bool) -> tuple[Verdict, Path, str]:
    """Touch the data, make and judge a table, store it, commit; returns verdict, stored folder and leak."""
    policy, gate = run.gated
    encoder = Encoder.of(run.schema.table)
    key = run.book.split_key(run.schema.dataset)
    words = io.BytesIO()
    if run.reservation.state.state is State.RESERVED:
        run.reservation.touch()
    with run.told.stage("Reading and encoding"):
        records = read_records(run.handle, encoder, unit=run.plan.unit, key=key)
        if run.kept is not None:
            require_same(run.kept, encoder, joined(records.source))
        commitment, commitment_key, coins = settled_commitment(run, records)
        training, holdout, compared = _split(run, records, key=key, coins=coins)
    with run.told.stage("Counting people"):
        totals = kept_totals(run) or keep_totals(
            run, measure_totals(training, holdout, plan=gate, spend=run.reservation, random=run.random)
        )
    measured: tuple[Measurement, ...] = ()
    synthetic: DrawnTable | None = None
    strangers: Codes | None = None
    found: list[GateAnnex] = []
    guesses: Mapping[str, object] = {}
    if decidable(policy, totals, plan=gate).decidable:
        if encoder.open:
            with run.told.stage("Finding the labels of open columns"):
                encoder = select_labels(
                    encoder,
                    training,
                    records.opened,
                    run.plan.selections,
                    spend=run.reservation,
                    random=run.random,
                )
                training, holdout = (closed_records(side, encoder, records.opened) for side in (training, holdout))
                compared = None if compared is None else closed_records(compared, encoder, records.opened)
        if encoder.learned:
            with run.told.stage("Learning the encoding"):
                encoder = learn_encoding(
                    encoder,
                    training,
                    amount=run.plan.encoding_amount,
                    synthesizer_amount=run.plan.synthesizer_amount,
                    coordinate=run.plan.coordinate,
                    spend=run.reservation,
                    random=run.random,
                )
                training, holdout = recoded(training, encoder), recoded(holdout, encoder)
                compared = None if compared is None else recoded(compared, encoder)
        for _ in range(policy.attempts):
            synthetic = None
            try:
                measured, synthetic, strangers = _synthesize(run, encoder, training, totals, transcript=words)
            except ExternalFailed:
                said = {"outside synthesizer said": words.getvalue().decode(errors="replace")}
                write_annex(
                    confidential, release_id=run.reservation.release_id, commitment_key=commitment_key, records=said
                )
                raise
            with run.told.stage("Attacking and gating"):
                outcome, annexed = run_gate(
                    training,
                    holdout,
                    synthetic.codes,
                    layout=layout_of(encoder),
                    totals=totals,
                    plan=gate,
                    policy=policy,
                    spend=run.reservation,
                    random=run.random,
                    reference=strangers,
                    referred=referred(run, compared, measured),
                )
                guesses = guesses or audited(run, training, holdout, synthetic.codes, compared)
            found.append(annexed)
            if outcome.verdict is Verdict.PASS:
                break
    else:
        outcome = undecidable(totals=totals, plan=gate, policy=policy)
    forget_run(run)  # on FAIL the model dies with the table, before the ledger says so
    passed = synthetic.table if synthetic is not None and outcome.verdict is Verdict.PASS else None
    del synthetic
    write_annex(
        confidential,
        release_id=run.reservation.release_id,
        commitment_key=commitment_key,
        records={**figures(outcome, found, words.getvalue()), **guesses},
    )
    with run.told.stage("Writing and signing"):
        folder = store_release(
            run, passed, outcome, measured, encoder=encoder, commitment=commitment, escape_formulas=escape_formulas
        )
    return outcome.verdict, folder, leak_in_words(outcome)


def _split(
    run: Run, records: CodedRecords, *, key: bytes, coins: RandomSource
) -> tuple[MemorySource, MemorySource, MemorySource | None]:
    """Training and holdout people, and those who are compared with where the policy needs them."""
    policy = run.gated[0]
    how: dict[str, Any] = {"share": policy.holdout_share, "key": key, "random": coins}
    if policy.reference_share:
        return split_in_three(records, reference_share=policy.reference_share, **how)
    return *split_records(records, **how), None


def _synthesize(
    run: Run, encoder: Encoder, training: MemorySource, totals: Totals, *, transcript: BinaryIO
) -> tuple[tuple[Measurement, ...], DrawnTable, Codes | None]:
    """Measure, estimate and sample; or run the outside command. Measurements, the table, and rows like strangers."""
    made, share = run.plan.synthesizer, run.gated[0].holdout_share
    if run.kept is not None:
        return make_partly(run, run.kept, encoder, training, strangers=STRANGERS)
    if isinstance(made, ExternalConfig):
        with run.told.stage("Running the outside synthesizer"):
            made_outside = run_external(
                made,
                records=joined(training),
                domain=training.domain,
                rows=run.plan.rows or max(1, round(totals.training / (1 - share))),
                unit=run.plan.unit,
                spend=run.reservation,
                transcript=transcript,
            )
        table = encoder.decode(made_outside, generator(draw_seed(run.random)), run.handle.structure)
        return (), DrawnTable(codes=made_outside, table=table), None
    with run.told.stage("Measuring and estimating") as stage:
        fitted = fit_model(
            training,
            made,
            amount=run.plan.synthesizer_amount,
            coordinate=run.plan.coordinate,
            spend=run.reservation,
            random=run.random,
            told=stage,
            checkpoints=run.checkpoints,
            paid=() if run.checkpoints is None else run.reservation.state.steps,
            zeros=encoder.forbidden(),
        )
    with run.told.stage("Sampling"):
        rows = run.plan.rows or max(1, round(fitted.model.total / (1 - share)))
        rng = generator(draw_seed(run.random))
        draw = partial(draw_table, encoder=encoder, structure=run.handle.structure)
        synthetic, strangers = sample_apart(fitted.model, rows, STRANGERS, rng=rng, draw=draw)
        return fitted.measurements, synthetic, strangers.codes


def _return_stored(
    stored: StoredRelease, book: Ledger, plan: ReleasePlan, target: Path, *, publish_it: bool
) -> ReleaseResult:
    return ReleaseResult(
        verdict=Verdict(stored.outcome).name,
        release_id=stored.release_id,
        out=publish_stored(stored.folder, target, book.release(stored.release_id)) if publish_it else stored.folder,
        annex=None,
        epsilon=plan.budget.epsilon,
        delta=plan.budget.delta,
        stored=True,
        public_key=public_key_path(book),
        smallest_leak=None,
        not_protected=plan.unit.public,
    )
