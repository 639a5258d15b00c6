"""Commands on what came out: verify a release folder, sample a saved model."""

from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, EscapeFormulas, ReleaseFolder

__all__ = ["sample", "verify"]

_LABEL = "NOT-RELEASED-"
_SEEDED = "NOT-PRIVATE-"


def verify(
    folder: ReleaseFolder,
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            "-k",
            metavar="PUB",
            help="The publisher's public key, from a place you trust: never from the folder itself.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Verify a release folder, without the data.

    Signature, hashes, the ledger's chain, and epsilon recomputed from the events.

    Example: `dpsynth verify out --key people-ledger/keys/signing.pub`
    """
    from dpsynth.certificate.verify import verify_release

    verified = verify_release(folder, read_key(key))
    facts = {
        "verified": True,
        "verdict": str(verified.dossier.gate.verdict),
        "table": verified.table,
        "checks": [{"name": check.name, "detail": check.detail} for check in verified.checks],
    }
    lines = [*(f"  {line}" for line in verified.lines()), f"VERIFIED: {folder} is as it was signed."]
    Output(as_json=as_json).result(facts, lines)


def sample(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model saved by `fit(...).save`.", show_default=False)
    ],
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many rows.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="CSV or Parquet; NOT-RELEASED (and NOT-PRIVATE after a seeded fit) is put before its name.",
            show_default=False,
        ),
    ],
    seed: Annotated[
        int | None, typer.Option(help="For a repeatable sample; costs no privacy.", show_default=False)
    ] = None,
    escape_formulas: EscapeFormulas = False,
    as_json: AsJson = False,
) -> None:
    """Sample rows from a saved model: NOT RELEASED.

    It costs nothing more, but no gate has seen the rows, and the output says so.

    Example: `dpsynth sample people.model --rows 1000 --out draft.parquet`
    """
    from dpsynth.fitting import load_model
    from dpsynth.tables import write_table

    fitted = load_model(model)
    prefix = _LABEL if fitted.private else _LABEL + _SEEDED
    labelled = out if out.name.startswith(prefix) else out.with_name(prefix + out.name)
    write_table(fitted.sample(rows, seed=seed), labelled, escape_formulas=escape_formulas, label=fitted.label)
    lines = [f"{rows} rows in {labelled}. {fitted.label}.", "Keep them inside the circle that may see the model."]
    Output(as_json=as_json).result({"label": fitted.label, "rows": rows, "out": str(labelled)}, lines)


def read_key(path: Path) -> bytes:
    """The bytes of a public key file; raises ParameterError where there is none."""
    from dpsynth.errors import ParameterError

    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ParameterError(
            f"The public key {path} can't be read.",
            "There is no such file.",
            "Ask the publisher for signing.pub, over a channel that you trust.",
        ) from None
