"""Ungated fits: a model of everybody, charged to the same ledger; what it samples is labelled NOT RELEASED.

An ungated fit reads both sides and charges both. Its model can't be released later: no attack stood between it and the
people in it, and a gate has nobody left to hold out.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accountant.canonical import dumps, sha256_hex
from accountant.ledger import Ledger, Reservation, State, StoredRelease
from accountant.spend import BOTH_SIDES
from dpsynth.certificate.dossier import SEEDED
from dpsynth.deep.checkpoints import begin_checkpoints
from dpsynth.drawing import draw_table, drawn_given, keeps
from dpsynth.encode import Encoder
from dpsynth.encode.merge import Merge
from dpsynth.errors import ParameterError, Refusal, TableError
from dpsynth.estimation import MODELS, Model
from dpsynth.external import ExternalConfig
from dpsynth.fit_report import FitReport
from dpsynth.learning import learn_encoding, recoded
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.plan import LARGEST_TABLE, ReleasePlan, make_plan
from dpsynth.progress import Progress, SilentProgress
from dpsynth.records import read_records
from dpsynth.runs import ending, going_on, staying_open
from dpsynth.sampling import generator, sample_codes
from dpsynth.schema import Schema, load_schema, parse_schema
from dpsynth.selecting import closed_records, select_labels
from dpsynth.synthesizers import Synthesizer, fit_model
from dpsynth.tables import open_table, write_exclusive
from dpsynth.workload import Workload

if TYPE_CHECKING:
    import pyarrow as pa

NOT_RELEASED = "SYNTHETIC, NOT RELEASED: an ungated fit, not attacked, not certified"
MODEL_VERSION = 4
FITTED = "fitted"
"""How the ledger records an ungated fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedModel:
    """A fitted model, for use inside the circle that may see it.

    Attributes:
      schema: The declaration of the table.
      model: The distribution over the coded domain, a function of accounted outputs.
      release_id: The ledger's id of the fit.
      epsilon: What the fit cost everybody, at most.
      delta: Its delta.
      report: What the fit measured and preserved, the error to expect, and what each step cost.
      private: False for a seeded test run.
      merges: What was learned of the encoding, by column; accounted outputs.
      selected: The labels of open columns that were found out; accounted outputs.
    """

    schema: Schema
    model: Model = field(repr=False)
    release_id: str
    epsilon: float
    delta: float
    report: FitReport = field(repr=False)
    private: bool = True
    merges: Mapping[str, Merge] = field(default_factory=dict, repr=False)
    selected: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def summary(self) -> str:
        """What the fit measured and preserved, and the error to expect of it, as text, from accounted outputs.

        Privacy:
          None; post-processing.
        """
        cost = f"epsilon {self.epsilon:g} at delta {self.delta:g}, paid by everybody"
        return "\n".join([self.label, cost, *self.report.lines()])

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        given: Mapping[str, object] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> "pa.Table":
        """Sample rows; free, because the model is an accounted output.

        Args:
          n: Number of rows; the model's own noisy total by default.
          seed: Repeats the same sample; sampling only, the noise never has one in a private run.
          given: Value by column: all rows have these values, of a binned column any value of the same bin. Where few
            rows of a trained model have them, the same ones come again.
          where: Conditions that every row fulfils, by column, as in a rule, such as ``{"age": {"from": 65}}``. The
            rows are the model's, given them: those that don't fulfil them are drawn again.

        Returns:
          An Arrow table in the declared domain, whose metadata says NOT RELEASED.

        Privacy:
          None; post-processing.
        """
        rows = max(1, round(self.model.total)) if n is None else n
        most = LARGEST_TABLE // len(self.model.domain.names)
        if not 0 <= rows <= most:
            raise ParameterError(
                f"{rows:,} rows were asked for.",
                f"A table of this width in memory has at most {most:,}.",
                "Give another number; the model can be sampled again.",
            )
        rng, encoder = generator(seed), self.encoder
        draw = drawn_given(_codes_of(given, encoder)) if given else sample_codes
        keep = None if where is None else keeps(encoder.schema, where)
        table = draw_table(self.model, rows, encoder=encoder, rng=rng, keep=keep, draw=draw).table
        return table.replace_schema_metadata({"dpsynth": self.label})

    @property
    def encoder(self) -> Encoder:
        """The encoding that the model's codes have."""
        return Encoder.of(self.schema.table, self.selected).merged(self.merges)

    @property
    def label(self) -> str:
        """What every output of this model says of itself."""
        return NOT_RELEASED if self.private else f"{NOT_RELEASED}; {': '.join(SEEDED)}"

    def save(self, path: str | Path) -> Path:
        """Save as one file: arrays (npz) and canonical JSON, hashed; no pickle, no code. Closed to others (mode 0600).

        Raises:
          OutputError: The file exists, or the disk refused.
        """
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **self.model.arrays(), **_merge_arrays(self.merges))
        facts = {
            "version": MODEL_VERSION,
            "label": self.label,
            "schema": self.schema.canonical(),
            "model": self.model.structure(),
            "learned": list(self.merges),
            "selected": {name: list(labels) for name, labels in self.selected.items()},
            "release": self.release_id,
            "epsilon": float(self.epsilon).hex(),
            "delta": float(self.delta).hex(),
            "private": self.private,
            "report": self.report.to_json(),
            "arrays_sha256": _sha256(arrays.getvalue()),
        }
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as bundle:
            bundle.writestr(zipfile.ZipInfo("model.json"), dumps(facts | {"facts_sha256": sha256_hex(facts)}))
            bundle.writestr(zipfile.ZipInfo("arrays.npz"), arrays.getvalue())
        write_exclusive(Path(path), out.getvalue(), mode=0o600)
        return Path(path)


def load_model(path: str | Path) -> FittedModel:
    """Load a saved model; checks its hashes first.

    Raises:
      TableError: It isn't a model file of this version, or its bytes were changed.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            facts, raw = json.loads(bundle.read("model.json")), bundle.read("arrays.npz")
        own = facts.pop("facts_sha256")
        if own != sha256_hex(facts) or facts["arrays_sha256"] != _sha256(raw) or facts["version"] != MODEL_VERSION:
            raise ValueError
        schema = parse_schema(dumps(facts["schema"]).decode(), file="the model's schema")
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            made = MODELS[facts["model"]["kind"]]
            merges = _merges(facts["learned"], arrays)
            selected = {str(name): tuple(map(str, labels)) for name, labels in facts.get("selected", {}).items()}
            encoder = Encoder.of(schema.table, selected).merged(merges)
            model = made.from_parts(encoder.domain, facts["model"], arrays)
        return FittedModel(
            schema=schema,
            model=model,
            release_id=facts["release"],
            epsilon=float.fromhex(facts["epsilon"]),
            delta=float.fromhex(facts["delta"]),
            report=FitReport.from_json(model.domain, facts["report"]),
            private=facts["private"],
            merges=merges,
            selected=selected,
        )
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, Refusal) as error:
        raise TableError(
            f"The model {Path(path).name!r} can't be read.",
            "It isn't a model file of this version, or its bytes were changed.",
            "Use the file that save() wrote.",
        ) from error


def fit(
    table: Any,
    schema: Schema | str | Path,
    *,
    epsilon: float,
    delta: float,
    ledger: Ledger | str | Path,
    synthesizer: str | Synthesizer = "auto",
    workload: Workload | None = None,
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
      idempotency_key: Runs at most once under this key; the model isn't stored, so a second call is refused.
      checkpoints: Folder in which a training is written down, so that the same call goes on where it was interrupted,
        charged once; new, or that of the interrupted run. For synthesizers trained by DP-SGD.
      progress: Told of each stage; sees public numbers only.
      test_seed: A seed makes a run that protects nobody; its model, its samples and the ledger say NOT PRIVATE.

    Returns:
      The model; what it samples is labelled NOT RELEASED.

    Privacy:
      (epsilon, delta) for add-remove of one unit of the schema; charged to both sides before each draw.
      Checked by: tests/dpsynth/test_fitting.py::test_a_fit_charges_both_sides_and_two_fits_charge_twice

    Raises:
      Refusal: Something was refused; nothing was charged unless the data had been opened.
    """
    declared = schema if isinstance(schema, Schema) else load_schema(schema)
    book = ledger if isinstance(ledger, Ledger) else Ledger.open(ledger)
    told = progress or SilentProgress()
    plan = make_plan(
        declared,
        epsilon=epsilon,
        delta=delta,
        synthesizer=synthesizer,
        workload=workload,
        coordinate=book.budget.coordinate,
        claim_share=book.budget.claim_share,
        gated=False,
        output=() if test_seed is None else (SEEDED,),
    )
    made, folder = _registered(plan), None if checkpoints is None else Path(checkpoints)
    if folder is not None and (made.train is None or plan.encoding_amount or plan.selections):
        raise _without_checkpoints(made.name)
    handle = open_table(table, declared)
    going = None if folder is None else going_on(folder, book, plan)
    reservation = going or _reserved(book, plan, declared.dataset, idempotency_key, folder)
    random = SystemRandom() if test_seed is None else SeededRandom(test_seed)
    with ending(reservation) if folder is None else staying_open(reservation, folder) as kept:
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


def _reserved(
    book: Ledger, plan: ReleasePlan, dataset: str, key: str | None, checkpoints: Path | None
) -> Reservation:
    """A new reservation, and its folder of checkpoints."""
    reservation = book.reserve(
        dataset=dataset, unit=plan.unit, idempotency_key=key, plan=plan.to_json(), caps=plan.caps
    )
    if isinstance(reservation, StoredRelease):
        raise ParameterError(
            "This idempotency key was used for a fit before.",
            "An ungated model isn't stored, so it can't be returned; its budget was charged once.",
            "Load the model that was saved then, or use a new key and pay again.",
        )
    if checkpoints is not None:
        with ending(reservation):
            begin_checkpoints(checkpoints, run=reservation.release_id)
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


def _codes_of(given: Mapping[str, object], encoder: Encoder) -> dict[str, int]:
    """The codes of declared values; anything else is refused, so that no bucket stands for it."""
    import pyarrow as pa

    columns, found = dict(zip(encoder.domain.names, encoder.columns, strict=True)), {}
    for name, value in given.items():
        array = pa.array([value])
        if name not in columns or any(columns[name].problems(array).values()):
            raise ParameterError(
                f"A value was given for {name!r} that its declaration doesn't have.",
                f"The released columns are {', '.join(columns)}, each with the values that the schema declares.",
                "Give declared values of these columns.",
            )
        plain, merge = int(columns[name].encode(array)[0]), encoder.merges.get(name)
        found[name] = plain if merge is None else int(merge.groups[plain])
    return found


def _merge_arrays(merges: Mapping[str, Merge]) -> dict[str, Any]:
    """What was learned as named arrays, in the order of ``merges``."""
    named = enumerate(merges.values())
    return {f"merge_{i}_{part}": getattr(merge, part) for i, merge in named for part in ("groups", "weights")}


def _merges(names: Sequence[str], arrays: Mapping[str, Any]) -> dict[str, Merge]:
    return {
        name: Merge(groups=arrays[f"merge_{i}_groups"], weights=arrays[f"merge_{i}_weights"])
        for i, name in enumerate(names)
    }


def _sha256(raw: bytes) -> str:
    import hashlib

    return hashlib.sha256(raw).hexdigest()
