"""Storing a judged release: stage the public files, sign, store the folder by one rename, commit to the ledger."""

from pathlib import Path

import pyarrow as pa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accountant.canonical import dumps, sha256_hex
from accountant.ledger import Ledger
from accountant.ledger.replay import VerifiedRelease
from dpsynth.certificate.dossier import SEEDED, Artefact, Dossier
from dpsynth.certificate.envelope import sign
from dpsynth.certificate.files import table_name
from dpsynth.certificate.writer import Staging, open_staging, publish, stage
from dpsynth.encode import Encoder
from dpsynth.gate import GateResult, Verdict
from dpsynth.measurement import Measurement
from dpsynth.report import render_report
from dpsynth.runs import Run
from dpsynth.statement import Facts, state_release
from dpsynth.tables import SYNTHETIC, write_table

NOT_PRIVATE = f"{SYNTHETIC} {': '.join(SEEDED)}"
"""What the table of a run from a seed says of itself."""

PASSED = Verdict.PASS.value
"""How the ledger records a release that was published with its table."""


def store_release(
    run: Run,
    synthetic: pa.Table | None,
    outcome: GateResult,
    measured: tuple[Measurement, ...],
    *,
    encoder: Encoder,
    commitment: str,
    escape_formulas: bool,
) -> Path:
    """Write, sign, store and commit one judged release.

    Args:
      run: The run under its reservation.
      synthetic: The table; None where it didn't pass, and then no table is written.
      outcome: What the gate said.
      measured: What was measured.
      encoder: Of the table; its domain is stated.
      commitment: To the data.
      escape_formulas: Prefix text that a spreadsheet would run.

    Returns:
      The stored folder.

    Raises:
      OutputError: The disk refused; nothing is left half-written.
    """
    with open_staging(run.reservation.folder) as staging:
        schema, policy = dumps(run.schema.canonical()), dumps(run.gated[0].to_json())
        files = {"ledger.json": dumps(run.reservation.entries()), "schema.json": schema, "policy.json": policy}
        artefacts = list(stage(staging, files))
        if synthetic is not None:
            artefacts.append(_write_table(run, staging, synthetic, escape_formulas=escape_formulas))
        rows = None if synthetic is None else synthetic.num_rows
        dossier = _dossier(
            run, outcome, measured, encoder=encoder, commitment=commitment, rows=rows, artefacts=tuple(artefacts)
        )
        artefacts += stage(staging, {"report.html": render_report(dossier)})
        artefacts += stage(staging, {"certificate.json": sign(dossier, artefacts, private_key_pem=_pem(run.book))})
        folder = publish(staging)
    run.reservation.commit(outcome=outcome.verdict.value, artefacts={a.name: a.sha256 for a in artefacts})
    return folder


def output_settings(*, escape_formulas: bool, test_seed: int | None) -> tuple[tuple[str, str], ...]:
    """Settings that change the published bytes, in words."""
    settings = [("formulas escaped", "yes")] if escape_formulas else []
    return (*settings, *([SEEDED] if test_seed is not None else []))


def _write_table(run: Run, staging: Staging, table: pa.Table, *, escape_formulas: bool) -> Artefact:
    structure = run.handle.structure
    suffix = "csv" if structure.format.value == "csv" else "parquet"
    name = table_name(run.schema.table.name, suffix, private=run.random.private)
    label = SYNTHETIC if run.random.private else NOT_PRIVATE
    if run.plan.unit.public:
        label += f"; NOT PROTECTED, and as they are, by declaration: {', '.join(run.plan.unit.public)}"
    written = write_table(table, staging.folder / name, like=structure, escape_formulas=escape_formulas, label=label)
    return Artefact(name=name, sha256=written.sha256)


def _dossier(
    run: Run,
    outcome: GateResult,
    measured: tuple[Measurement, ...],
    *,
    encoder: Encoder,
    commitment: str,
    rows: int | None,
    artefacts: tuple[Artefact, ...],
) -> Dossier:
    hashes = {a.name: a.sha256 for a in artefacts}
    kept = run.reservation.state
    return state_release(
        Facts(
            plan=run.plan,
            plan_sha256=sha256_hex(run.plan.to_json()),
            table=run.schema.table,
            form=run.handle.structure.format,
            policy=run.gated[0],
            domain=encoder.domain,
            outcome=outcome,
            measurements=measured,
            rows=rows,
            commitment=commitment,
            private=run.random.private,
            ledger=run.book.path.name,
            budget=run.book.scope(kept.dataset).cap,
            kept=kept,
            other_runs=_other_runs(run.book, kept),
            policy_file_sha256=hashes["policy.json"],
            schema_file_sha256=hashes["schema.json"],
            artefacts=artefacts,
        )
    )


def _pem(book: Ledger) -> bytes:
    return book.signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _other_runs(book: Ledger, own: VerifiedRelease) -> int:
    """Earlier charged runs that published nothing: aborted after touching, crashed, or gated."""
    earlier = (r for r in book.releases() if r.dataset == own.dataset and r.release_id != own.release_id)
    return sum(r.charged.amount > 0 and r.outcome != PASSED for r in earlier)
