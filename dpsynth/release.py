"""The line: schema, encode, count, measure, estimate, sample, decode, attack, gate, certificate. One function runs it.

A release is made in stages: everything is written to a staging folder beside the ledger's stored releases, the verdict
is drawn before a synthetic row is on disk, the certificate is signed, the folder is stored by one rename, the ledger is
committed, and only then is the stored release published (copied, again by one rename). So a review can stand between
storing and publishing, and a crash anywhere leaves the ledger right and no half release.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accountant.canonical import dumps, sha256_hex
from accountant.ledger import Ledger, Reservation, StoredRelease
from accountant.ledger.replay import VerifiedRelease
from dpsynth.certificate.annex import write_annex
from dpsynth.certificate.commitment import KEY_BYTES, commit
from dpsynth.certificate.dossier import Artefact
from dpsynth.certificate.envelope import sign
from dpsynth.certificate.files import table_name
from dpsynth.certificate.writer import Staging, open_staging, publish, stage
from dpsynth.encode import Encoder
from dpsynth.errors import OutputError
from dpsynth.external import ExternalConfig, run_external
from dpsynth.gate import GateResult, Policy, Verdict
from dpsynth.gate.annex import GateAnnex
from dpsynth.gate.thresholds import decidable
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import run_gate, undecidable
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.noise.seeds import draw_seed
from dpsynth.plan import ReleasePlan, make_plan
from dpsynth.progress import Progress, SilentProgress
from dpsynth.publishing import publish_staged as publish_staged
from dpsynth.publishing import publish_stored
from dpsynth.records import read_records, split_records
from dpsynth.report import render_report
from dpsynth.runs import ending
from dpsynth.sampling import generator, sample_codes
from dpsynth.schema import Schema, load_schema
from dpsynth.sources import Codes, MemorySource
from dpsynth.statement import Facts, leak_in_words, state_release
from dpsynth.synthesizers import Synthesizer, fit_model
from dpsynth.tables import TableHandle, open_table, write_table

PASSED = Verdict.PASS.value
"""How the ledger records a release that was published with its table."""


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


def release(
    table: Any,
    schema: Schema | str | Path,
    *,
    epsilon: float,
    delta: float,
    ledger: Ledger | str | Path,
    out: str | Path,
    synthesizer: str | Synthesizer | ExternalConfig = "mst",
    policy: Policy | str | None = None,
    rows: int | None = None,
    idempotency_key: str | None = None,
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
      synthesizer: A name, a configured synthesizer, or an outside one.
      policy: The gate's policy: a profile, a file or a value.
      rows: Number of synthetic rows; the noisy total by default.
      idempotency_key: The same key and plan returns the stored release, uncharged.
      annex: Folder of the confidential annex; beside ``out`` by default.
      escape_formulas: Prefix text that a spreadsheet would run (CSV only); recorded.
      publish: False leaves the release stored, for a review, at ``result.out``.
      progress: Told of each stage; sees public numbers only.
      test_seed: A seed makes a run that protects nobody; every artefact of it says NOT PRIVATE.

    Returns:
      How it ended. FAIL and UNDECIDABLE publish a certificate without a table; their budget stays spent.

    Privacy:
      (epsilon, delta) for add-remove of one unit of the schema, over everything that is published, the verdict
      included: every step is charged to the ledger before its noise is drawn, by side, within caps reserved before the
      data was opened.
      Checked by: tests/dpsynth/test_release.py::test_every_charge_is_on_disk_and_within_its_cap

    Raises:
      Refusal: Something was refused; nothing was charged unless the data had been opened, as the message then says.
    """
    declared = schema if isinstance(schema, Schema) else load_schema(schema)
    book = ledger if isinstance(ledger, Ledger) else Ledger.open(ledger)
    told = progress or SilentProgress()
    plan = make_plan(
        declared,
        epsilon=epsilon,
        delta=delta,
        synthesizer=synthesizer,
        policy=policy,
        rows=rows,
        coordinate=book.budget.coordinate,
        claim_share=book.budget.claim_share,
        output=_output_settings(escape_formulas=escape_formulas, test_seed=test_seed),
    )
    handle = open_table(table, declared)
    target = Path(out)
    confidential = Path(annex) if annex is not None else target.with_name(f"{target.name}.CONFIDENTIAL-annex")
    _require_free(target)
    if idempotency_key is None:  # a key may return a stored release, whose annex exists
        _require_free(confidential)
    reservation = book.reserve(
        dataset=declared.dataset,
        unit=plan.unit,
        idempotency_key=idempotency_key,
        plan=plan.to_json(),
        caps=plan.caps,
    )
    if isinstance(reservation, StoredRelease):
        return _return_stored(reservation, book, plan, target, publish_it=publish)
    random = SystemRandom() if test_seed is None else SeededRandom(test_seed)
    line = _Line(
        plan=plan, schema=declared, handle=handle, book=book, reservation=reservation, random=random, told=told
    )
    with ending(reservation):
        _require_free(confidential)
        verdict, folder, leak = line.run(confidential, escape_formulas=escape_formulas)
    if publish:
        folder = publish_stored(folder, target, reservation.state)
    return ReleaseResult(
        verdict=verdict.name,
        release_id=reservation.release_id,
        out=folder,
        annex=confidential,
        epsilon=epsilon,
        delta=delta,
        stored=False,
        public_key=public_key_path(book),
        smallest_leak=leak,
    )


def public_key_path(book: Ledger) -> Path:
    """Where a ledger keeps the public key of its certificates."""
    return book.path / "keys" / "signing.pub"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Line:
    """One run under one reservation."""

    plan: ReleasePlan
    schema: Schema
    handle: TableHandle = field(repr=False)
    book: Ledger
    reservation: Reservation
    random: RandomSource
    told: Progress

    def run(self, confidential: Path, *, escape_formulas: bool) -> tuple[Verdict, Path, str]:
        """Touch the data, make and judge a table, store it, commit; returns verdict, stored folder and leak."""
        policy, gate = self.plan.policy, self.plan.gate
        assert policy is not None
        assert gate is not None
        encoder = Encoder.of(self.schema.table)
        key, self_key = self.book.split_key(), os.urandom(KEY_BYTES)
        self.reservation.touch()
        with self.told.stage("Reading and encoding"):
            records = read_records(self.handle, encoder, unit=self.plan.unit, key=key)
            commitment = commit(records.blocks_of_bytes(), key=self_key)
            training, holdout = split_records(records, share=policy.holdout_share, key=key, random=self.random)
        with self.told.stage("Counting people"):
            totals = measure_totals(training, holdout, plan=gate, spend=self.reservation, random=self.random)
        if decidable(policy, totals, plan=gate).decidable:
            measured, synthetic = self._synthesize(training, totals)
            with self.told.stage("Attacking and gating"):
                outcome, found = run_gate(
                    training,
                    holdout,
                    synthetic,
                    domain=encoder.domain,
                    totals=totals,
                    plan=gate,
                    policy=policy,
                    spend=self.reservation,
                    random=self.random,
                )
        else:
            measured, synthetic, found = (), None, None
            outcome = undecidable(totals=totals, plan=gate, policy=policy)
        passed = synthetic if outcome.verdict is Verdict.PASS else None
        del synthetic
        write_annex(
            confidential,
            release_id=self.reservation.release_id,
            commitment_key=self_key,
            records=_figures(outcome, found),
        )
        with self.told.stage("Writing and signing"):
            folder = self._store(
                encoder, passed, outcome, measured, commitment=commitment, escape_formulas=escape_formulas
            )
        return outcome.verdict, folder, leak_in_words(outcome)

    def _synthesize(self, training: MemorySource, totals: Totals) -> tuple[tuple[Measurement, ...], Codes]:
        """Measure, estimate and sample; or run the outside command."""
        made = self.plan.synthesizer
        share = self.plan.gate.holdout_share if self.plan.gate else 0
        if isinstance(made, ExternalConfig):
            rows = self.plan.rows or max(1, round(totals.training / (1 - share)))
            with self.told.stage("Running the outside synthesizer"):
                parts = [codes for codes, _ in training.blocks()]
                return (), run_external(
                    made,
                    records=_joined(parts, training),
                    domain=training.domain,
                    rows=rows,
                    unit=self.plan.unit,
                    spend=self.reservation,
                )
        with self.told.stage("Measuring and estimating"):
            fitted = fit_model(
                training,
                made,
                amount=self.plan.synthesizer_amount,
                coordinate=self.plan.coordinate,
                spend=self.reservation,
                random=self.random,
            )
        with self.told.stage("Sampling"):
            rows = self.plan.rows or max(1, round(fitted.model.total / (1 - share)))
            return fitted.measurements, sample_codes(fitted.model, rows, rng=generator(draw_seed(self.random)))

    def _store(
        self,
        encoder: Encoder,
        synthetic: Codes | None,
        outcome: GateResult,
        measured: tuple[Measurement, ...],
        *,
        commitment: str,
        escape_formulas: bool,
    ) -> Path:
        """Stage the public files, sign, store by one rename, commit."""
        with open_staging(self.reservation.folder) as staging:
            kept = self.reservation.state
            schema, policy = dumps(self.schema.canonical()), dumps(_policy(self.plan).to_json())
            files = {"ledger.json": dumps(self.reservation.entries()), "schema.json": schema, "policy.json": policy}
            artefacts = list(stage(staging, files))
            rows = None
            if synthetic is not None:
                rows = synthetic.shape[1]
                artefacts.append(self._write_table(staging, encoder, synthetic, escape_formulas=escape_formulas))
            hashes = {a.name: a.sha256 for a in artefacts}
            dossier = state_release(
                Facts(
                    plan=self.plan,
                    plan_sha256=sha256_hex(self.plan.to_json()),
                    table=self.schema.table,
                    policy=_policy(self.plan),
                    domain=encoder.domain,
                    outcome=outcome,
                    measurements=measured,
                    rows=rows,
                    commitment=commitment,
                    private=self.random.private,
                    ledger=self.book.path.name,
                    budget=self.book.budget.cap,
                    kept=kept,
                    other_runs=_other_runs(self.book, kept),
                    policy_file_sha256=hashes["policy.json"],
                    schema_file_sha256=hashes["schema.json"],
                    artefacts=tuple(artefacts),
                )
            )
            artefacts += stage(staging, {"report.html": render_report(dossier)})
            envelope = sign(dossier, artefacts, private_key_pem=_pem(self.book))
            artefacts += stage(staging, {"certificate.json": envelope})
            folder = publish(staging)
        self.reservation.commit(outcome=outcome.verdict.value, artefacts={a.name: a.sha256 for a in artefacts})
        return folder

    def _write_table(self, staging: Staging, encoder: Encoder, codes: Codes, *, escape_formulas: bool) -> Artefact:
        decoded = encoder.decode(codes, generator(draw_seed(self.random)), self.handle.structure)
        suffix = "csv" if self.handle.structure.format.value == "csv" else "parquet"
        name = table_name(self.schema.table.name, suffix, private=self.random.private)
        written = write_table(
            decoded, staging.folder / name, like=self.handle.structure, escape_formulas=escape_formulas
        )
        return Artefact(name=name, sha256=written.sha256)


def _pem(book: Ledger) -> bytes:
    return book.signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


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
    )


def _output_settings(*, escape_formulas: bool, test_seed: int | None) -> tuple[tuple[str, str], ...]:
    settings = [("formulas escaped", "yes")] if escape_formulas else []
    return (*settings, *([("NOT PRIVATE", "a test run from a seed")] if test_seed is not None else []))


def _require_free(*folders: Path) -> None:
    for folder in folders:
        if os.path.lexists(folder):
            raise OutputError(
                f"The folder {folder} exists already; nothing was charged.",
                "A release never writes over anything.",
                "Choose a folder that doesn't exist yet.",
            )
        parent = folder.absolute().parent
        if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
            raise OutputError(
                f"The folder {folder} can't be made; nothing was charged.",
                "Its parent isn't a folder that this user may write to.",
                "Make the parent first, or choose another place.",
            )


def _policy(plan: ReleasePlan) -> Policy:
    assert plan.policy is not None
    return plan.policy


def _joined(parts: list[Codes], source: MemorySource) -> Codes:
    import numpy as np

    empty = np.zeros((len(source.domain.names), 0), dtype=np.uint8)
    return np.concatenate(parts, axis=1) if parts else empty


def _figures(outcome: GateResult, found: GateAnnex | None) -> Mapping[str, object]:
    exact = {} if found is None else found.confidential_json()
    return {"gate": exact, "verdict": outcome.verdict.name}


def _other_runs(book: Ledger, own: VerifiedRelease) -> int:
    """Earlier charged runs that published nothing: aborted after touching, crashed, or gated."""
    earlier = (r for r in book.releases() if r.release_id != own.release_id)
    return sum(r.charged.amount > 0 and r.outcome != PASSED for r in earlier)
