"""Fitted models: what they sample, and how they are saved and loaded. Everything here is post-processing."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accountant.canonical import dumps, sha256_hex
from dpsynth.certificate.dossier import SEEDED
from dpsynth.drawing import draw_table, drawn_given, keeps
from dpsynth.encode import Encoder
from dpsynth.encode.merge import Merge
from dpsynth.errors import ParameterError, Refusal, TableError
from dpsynth.estimation import MODELS, Model
from dpsynth.fit_report import FitReport
from dpsynth.plan import LARGEST_TABLE
from dpsynth.samples import Made, Target, codes_of, impute, join_public, rebalance, synthesize
from dpsynth.sampling import generator, sample_codes
from dpsynth.schema import Schema, parse_schema
from dpsynth.tables import write_exclusive

if TYPE_CHECKING:
    import pyarrow as pa

NOT_RELEASED = "SYNTHETIC, NOT RELEASED: an ungated fit, not attacked, not certified"
MODEL_VERSION = 4
MADE = b"dpsynth.made"
"""Where the metadata of a table hold, as JSON, what was done to make it."""
FREE = (
    "nothing beyond the fit: this is post-processing of its accounted outputs; rows of a table that was completed or "
    "joined are protected by nothing here"
)


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
        merged = f"Of {', '.join(self.merges)} these are errors of merged codes, before they are split again."
        return "\n".join([self.label, cost, *self.report.lines(), *([merged] if self.merges else [])])

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        given: Mapping[str, object] | None = None,
        where: Mapping[str, Any] | None = None,
        target: Target | None = None,
    ) -> "pa.Table":
        """Sample rows; free, because the model is an accounted output.

        Args:
          n: Number of rows; the model's own noisy total by default.
          seed: Repeats the same sample; sampling only, the noise never has one in a private run.
          given: Value by column: all rows have these values, of a binned column any value of the same bin. Where few
            rows of a trained model have them, the same ones come again.
          where: Conditions that every row fulfils, by column, as in a rule, such as ``{"age": {"from": 65}}``. The
            rows are the model's, given them: those that don't fulfil them are drawn again.
          target: Shares by value of a column, ``{"income": {"high": 0.5}}``, or by values of several,
            ``{("sex", "income"): {("f", "high"): 0.25}}``; of a binned column any value of the same bin. What they
            leave of 1 goes to all other values, in the model's proportions. Everything else is drawn given these
            values. The metadata keep the model's own shares.

        Returns:
          An Arrow table in the declared domain, whose metadata says NOT RELEASED, and with a target what was done.

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
        keep = None if where is None else keeps(encoder.schema, where)
        if target is not None:
            return self._told(
                rebalance(self.model, rows, target, encoder=encoder, rng=rng, given=given, keep=keep)
            )
        draw = drawn_given(codes_of(given, encoder)) if given else sample_codes
        table = draw_table(self.model, rows, encoder=encoder, rng=rng, keep=keep, draw=draw).table
        return table.replace_schema_metadata({"dpsynth": self.label})

    def impute(
        self,
        table: Any,
        *,
        dataset: str,
        null_is_value: Sequence[str] = (),
        seed: int | None = None,
        delimiter: str = ",",
    ) -> "pa.Table":
        """Fill in what isn't known in a table of other origin: each cell given the known cells of its row.

        Args:
          table: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table with some or all of the declared
            columns. A column that it lacks, and a null, is what isn't known. Never the private table: what is known of
            it leaves as it is.
          dataset: The id of the data set that it is of. That of the private one is refused; a false one can't be seen.
          null_is_value: Nullable columns whose nulls are values.
          seed: Repeats the same draws.
          delimiter: Between the fields of a CSV file.

        Returns:
          Its rows in their order, known cells as they are; the metadata say what was done.

        Raises:
          ParameterError: It is declared to be the private table, or a row can't be completed.
          TableError: A value isn't in the declared domain, or a row breaks a rule; nothing tells which.

        Privacy:
          None; post-processing.
        """
        return self._told(
            impute(
                self.model,
                table,
                encoder=self.encoder,
                rng=generator(seed),
                dataset=dataset,
                private_dataset=self.schema.dataset,
                null_is_value=null_is_value,
                delimiter=delimiter,
            )
        )

    def join_public(
        self, synthetic: "pa.Table", public: Any, *, dataset: str, origin: str = "origin", delimiter: str = ","
    ) -> "pa.Table":
        """Synthetic rows of this model and the rows of a separate public table, with a column of origins.

        Args:
          synthetic: What :meth:`sample` gave, with its metadata. This catches a mistake, and no lie: metadata can be
            written by anybody.
          public: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table with the same columns.
          dataset: The id of the data set that it is of. That of the private one is refused; a false one can't be seen.
          origin: Name of the added column; refused where a declared column has it.
          delimiter: Between the fields of a CSV file.

        Returns:
          The synthetic rows, and then the public ones as they are, in the synthetic table's types; the metadata say
          what was done.

        Raises:
          ParameterError: It is declared to be the private table, the name of the column is taken, or ``synthetic``
            doesn't say that it is a sample of this model.
          TableError: Columns or types differ, a value isn't in the declared domain, or a row breaks a rule.

        Privacy:
          None; post-processing.
        """
        before = self._sampled(synthetic)
        made = join_public(
            synthetic,
            public,
            encoder=self.encoder,
            dataset=dataset,
            private_dataset=self.schema.dataset,
            origin=origin,
            delimiter=delimiter,
        )
        return self._told(made, before=before)

    def synthesize(self, table: Any, *, seed: int | None = None) -> "pa.Table":
        """The rows of a table with their public columns as they are, and the private ones drawn given them.

        For a fit whose privacy unit has public columns: their values, and the number of rows, are not protected.

        Args:
          table: Path to a Parquet file, a pandas DataFrame or a pyarrow Table: the private one, or any other with the
            public columns. Nothing else of it is read.
          seed: Repeats the same draws.

        Returns:
          The rows in their order; the metadata say which columns aren't protected.

        Raises:
          ParameterError: The fit has no public columns, or a row can't be completed.
          TableError: A public column is lacking, or a public value isn't in the declared domain.

        Privacy:
          None; post-processing of the fit and of public columns.
        """
        if not self.schema.table.unit.public:
            raise ParameterError(
                "This model has no public columns.",
                "Its privacy unit protects whole rows, so nothing of them may be kept as it is.",
                "Use sample(), or fit under 'adjacency: replace-private-part'.",
            )
        return self._told(synthesize(self.model, table, encoder=self.encoder, rng=generator(seed)))

    def _sampled(self, table: "pa.Table") -> list[Any]:
        """What was done to make a sample, as its metadata say; refuses what doesn't say that it is one of this model.

        Raises:
          ParameterError: It is another table: another model's, one whose rows aren't all synthetic, or no sample.
        """
        said = getattr(getattr(table, "schema", None), "metadata", None) or {}
        if MADE not in said and said.get(b"dpsynth") == self.label.encode():
            return []
        try:
            facts = json.loads(said[MADE])
            done = list(facts["done"])
            own = (facts["label"], facts["release"]) == (self.label, self.release_id)
            if own and all(step["made"] == "rebalanced" for step in done):
                return done
        except (KeyError, TypeError, ValueError):
            pass
        raise ParameterError(
            "The synthetic rows don't say that they are a sample of this model.",
            "Their column of origins would call them synthetic, and their metadata would name this fit's epsilon.",
            "Give what sample() returned, as it is.",
        )

    def _told(self, made: Made, *, before: Sequence[Any] | None = None) -> "pa.Table":
        """A table that says what was done to make it, and what it cost."""
        steps = [*(before or ()), made.facts]
        facts = {
            "label": self.label,
            "privacy": FREE,
            "release": self.release_id,
            "epsilon": repr(float(self.epsilon)),
            "delta": repr(float(self.delta)),
            "done": steps,
        }
        return made.table.replace_schema_metadata({b"dpsynth": f"{self.label}; {made.note}", MADE: dumps(facts)})

    @property
    def encoder(self) -> Encoder:
        """The encoding that the model's codes have."""
        return Encoder.of(self.schema.table, self.selected).merged(self.merges)

    @property
    def label(self) -> str:
        """What every output of this model says of itself."""
        public = self.schema.table.unit.public
        partly = f"; NOT PROTECTED, as declared public: {', '.join(public)}" if public else ""
        return NOT_RELEASED + partly + ("" if self.private else f"; {': '.join(SEEDED)}")

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
