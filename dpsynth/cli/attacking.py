"""The operator's confidential look: attack a synthetic table with the real records at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, SchemaFile

if TYPE_CHECKING:
    from dpsynth.attacks import BatteryReport
    from dpsynth.domain import Domain
    from dpsynth.encode import Encoder
    from dpsynth.schema import Schema

__all__ = ["attack"]


def attack(
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", help="The synthetic table.", show_default=False)],
    training: Annotated[
        Path,
        typer.Option("--training", "-t", metavar="TABLE", help="The records it was made from.", show_default=False),
    ],
    schema: SchemaFile,
    annex: Annotated[
        Path,
        typer.Option(
            "--annex",
            metavar="FILE",
            help="Where the exact figures go (mode 0600). CONFIDENTIAL; must not exist.",
            show_default=False,
        ),
    ],
    holdout: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Like records that were not used: the control group.",
            show_default="no membership test",
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that inference guesses.", show_default="the last one"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a synthetic table with the real records, for you alone.

    Exact match, nearest neighbour, membership; with a holdout also what other tools report (AUC, DCR share, NNDR,
    identical matches, DOMIAS, singling-out, linkability and inference risk), for comparison. The figures are exact and
    therefore private: they go to the annex file and nowhere else, and the exit code says nothing about them. What may
    be told to others is the verdict of a release's gate, which is noisy and charged.

    Example: `dpsynth attack synthetic.parquet --training people.csv --schema people.yaml --annex attack.json`
    """
    import json

    from dpsynth.attacks import battery
    from dpsynth.cli.declaring import write_new
    from dpsynth.schema import load_schema

    declared = load_schema(schema)
    encoder = _encoder(synthetic, declared)
    domain = encoder.domain
    guessed = domain.names[-1] if secret is None else domain.clique([secret])[0]
    real, made = _codes(training, declared, encoder), _codes(synthetic, declared, encoder)
    control = None if holdout is None else _codes(holdout, declared, encoder)
    figures = _figures(battery(real, made, sizes=domain.sizes, holdout=control))
    if control is not None:
        figures["for comparison"] = _as_other_tools(real, control, made, domain=domain, secret=guessed)
    write_new(annex, json.dumps(figures, indent=1) + "\n", mode=0o600)
    lines = [f"The exact figures are in {annex}: CONFIDENTIAL, outside the privacy claim, never to be shared."]
    Output(as_json=as_json).result({"annex": str(annex)}, lines)


def _encoder(synthetic: Path, schema: "Schema") -> "Encoder":
    """The encoder of a declaration; an open column has the labels of the synthetic table."""
    from dpsynth.encode import Encoder
    from dpsynth.encode.opened import open_columns, public_values
    from dpsynth.tables import open_table

    found = {
        name: public_values(column, (block[name] for block in open_table(synthetic, schema).blocks()))
        for name, column in open_columns(schema.table).items()
    }
    return Encoder.of(schema.table, found)


def _codes(table: Path, schema: "Schema", encoder: "Encoder") -> Any:
    import numpy as np

    from dpsynth.tables import open_table

    parts = [encoder.encode(block) for block in open_table(table, schema).blocks()]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(encoder.domain.names), 0), dtype=np.uint8)


def _as_other_tools(training: Any, holdout: Any, synthetic: Any, *, domain: "Domain", secret: str) -> dict[str, Any]:
    """Metrics of other tools; without enough rows for them, that alone."""
    from dpsynth.audit.comparators import compare
    from dpsynth.audit.risks import all_risks

    if min(training.shape[1], holdout.shape[1], 4 * synthetic.shape[1]) < 4:
        return {"not computed": "too few rows on some side"}
    risks = all_risks(training, holdout, synthetic, domain=domain, secret=secret)
    return {
        **compare(training, holdout, synthetic, domain=domain).confidential_json(),
        "risks": {name: one.confidential_json() for name, one in risks.items()},
        "secret": secret,
    }


def _figures(report: "BatteryReport") -> dict[str, object]:
    return {
        "label": "CONFIDENTIAL",
        "exact_match": report.exact_match,
        "advantage": report.advantage,
        "by_distance": [
            {"distance": t.distance, "training": t.training, "holdout": t.holdout, "synthetic": t.synthetic}
            for t in report.thresholds
        ],
    }
