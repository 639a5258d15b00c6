"""Ungated fits: a model of everybody, charged to the same ledger; what it samples is labelled NOT RELEASED.

An ungated fit reads both sides and charges both. Its model can't be released later: no attack stood between it and the
people in it, and a gate has nobody left to hold out.
"""

from pathlib import Path
from typing import Any

from accountant.ledger import Ledger, Reservation, State, StoredRelease
from accountant.spend import BOTH_SIDES
from dpsynth.auto import schema_of_run
from dpsynth.certificate.dossier import SEEDED
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig
from dpsynth.fitted import FittedModel as FittedModel
from dpsynth.fitted import load_model as load_model
from dpsynth.learning import learn_encoding, recoded
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.plan import ReleasePlan, make_plan
from dpsynth.progress import Progress, SilentProgress
from dpsynth.records import read_records
from dpsynth.runs import begun, ending, going_on, staying_open
from dpsynth.samples.other_tables import refuse_csv
from dpsynth.schema import Schema
from dpsynth.selecting import closed_records, select_labels
from dpsynth.synthesizers import Synthesizer, fit_model
from dpsynth.tables import open_table
from dpsynth.workload import Workload

FITTED = "fitted"
"""How the ledger records an ungated fit."""


def fit(
    table: Any,
    schema: Schema | str | Path,
    *,
    epsilon: float,
    delta: float,
    ledger: Ledger | str | Path,
    synthesizer: str | Synthesizer = "auto",
    workload: Workload | None = None,
    model_mb: int | None = None,
    idempotency_key: str | None = None,
    checkpoints: str | Path | None = None,
    progress: Progress | None = None,
    test_seed: int | None = None,
) -> FittedModel:
    """Fit a model to everybody, without a gate.

    Args:
      table: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table. Private.
      schema: What was declared of it, or the path of the declaration.
      epsilon: Most that anybody pays.
      delta: Its delta.
      ledger: The ledger of the data set, or its folder.
      synthesizer: A name or a configured synthesizer, not an outside one; by default the engine chooses.
      workload: Which marginals matter; by default what the schema declares.
      model_mb: Most megabytes (10^6 bytes) that a fit of the model may take; no such limit by default.
      idempotency_key: Runs at most once under this key; the model isn't stored, so a second call is refused.
      checkpoints: Folder in which a training is written down, so that the same call goes on where it was interrupted,
        charged once; new, or that of the interrupted run. For synthesizers trained by DP-SGD.
      progress: Told of each stage; sees public numbers only.
      test_seed: A seed makes a run that protects nobody; its model, its samples and the ledger say NOT PRIVATE.

    Returns:
      The model; what it samples is labelled NOT RELEASED.

    Privacy:
      (epsilon, delta) for add-remove of one unit of the schema, or, where it declares public columns, for replacing
      the other columns of one row; charged to both sides before each draw.
      Checked by: tests/dpsynth/test_fitting.py::test_a_fit_charges_both_sides_and_two_fits_charge_twice,
      tests/dpsynth/test_partial.py::test_a_fit_is_charged_under_its_own_adjacency

    Raises:
      Refusal: Something was refused; nothing was charged unless the data had been opened.
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
        coordinate=book.budget.coordinate,
        claim_share=book.budget.claim_share,
        gated=False,
        output=() if test_seed is None else (SEEDED,),
    )
    made, folder = _registered(plan), None if checkpoints is None else Path(checkpoints)
    if folder is not None and (made.train is None or plan.encoding_amount or plan.selections):
        raise _without_checkpoints(made.name)
    handle = open_table(table, declared)
    if plan.unit.public:
        refuse_csv(handle.structure.format)
    going = None if folder is None else going_on(folder, book, plan)
    reservation = going or _reserved(book, plan, declared.dataset, idempotency_key)
    random = SystemRandom() if test_seed is None else SeededRandom(test_seed)
    with ending(reservation) if folder is None else staying_open(reservation, begun(folder, reservation)) as kept:
        if reservation.state.state is State.RESERVED:
            reservation.touch()
        with told.stage("Reading and encoding"):
            encoder = Encoder.of(declared.table)
            records = read_records(handle, encoder, unit=plan.unit, key=book.split_key(declared.dataset))
        source = records.source
        if encoder.open:
            with told.stage("Finding the labels of open columns"):
                encoder = select_labels(
                    encoder,
                    source,
                    records.opened,
                    plan.selections,
                    spend=reservation,
                    random=random,
                    sides=BOTH_SIDES,
                )
                source = closed_records(source, encoder, records.opened)
        if encoder.learned:
            with told.stage("Learning the encoding"):
                encoder = learn_encoding(
                    encoder,
                    source,
                    amount=plan.encoding_amount,
                    synthesizer_amount=plan.synthesizer_amount,
                    coordinate=plan.coordinate,
                    spend=reservation,
                    random=random,
                    sides=BOTH_SIDES,
                )
                source = recoded(source, encoder)
        with told.stage("Measuring and estimating") as stage:
            fitted = fit_model(
                source,
                made,
                amount=plan.synthesizer_amount,
                coordinate=plan.coordinate,
                spend=reservation,
                random=random,
                sides=BOTH_SIDES,
                told=stage,
                checkpoints=kept,
                paid=reservation.state.steps,
                zeros=encoder.forbidden(),
            )
        reservation.commit(outcome=FITTED, artefacts={})
    return FittedModel(
        schema=declared,
        model=fitted.model,
        release_id=reservation.release_id,
        epsilon=epsilon,
        delta=delta,
        report=fitted.report,
        private=random.private,
        merges=encoder.merges,
        selected=encoder.selected,
    )


def _reserved(book: Ledger, plan: ReleasePlan, dataset: str, key: str | None) -> Reservation:
    """A new reservation."""
    reservation = book.reserve(
        dataset=dataset, unit=plan.unit, idempotency_key=key, plan=plan.to_json(), caps=plan.caps
    )
    if isinstance(reservation, StoredRelease):
        raise ParameterError(
            "This idempotency key was used for a fit before.",
            "An ungated model isn't stored, so it can't be returned; its budget was charged once.",
            "Load the model that was saved then, or use a new key and pay again.",
        )
    return reservation


def _without_checkpoints(name: str) -> ParameterError:
    return ParameterError(
        f"The synthesizer {name} keeps no checkpoints.",
        "Where it measures or learns an encoding, what it drew before an interruption is spent.",
        "Leave the folder of checkpoints out.",
    )


def _registered(plan: ReleasePlan) -> Synthesizer:
    if isinstance(plan.synthesizer, ExternalConfig):
        raise ParameterError(
            "An outside synthesizer can't be fitted without a gate.",
            "It gives rows, not a model, and its claim is believed, not proved: its rows are attacked first.",
            "Use release() with it.",
        )
    return plan.synthesizer
