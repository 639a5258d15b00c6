"""Options that several commands share, each with the help that teaches it."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Annex",
    "AsJson",
    "Delta",
    "Epsilon",
    "EscapeFormulas",
    "LedgerFolder",
    "ModelMb",
    "Policy",
    "ReleaseFolder",
    "ReleaseId",
    "SchemaFile",
    "SynthesizerName",
    "TableFile",
]

_PRIVACY, _FILES, _OUTPUT = "Privacy", "Files", "Output"

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="The real table: CSV or Parquet.", show_default=False)]
ReleaseFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A release folder.", show_default=False)]
LedgerFolder = Annotated[
    Path,
    typer.Argument(metavar="LEDGER", help="The ledger's folder: it holds the budget and the keys.", show_default=False),
]
ReleaseId = Annotated[
    str, typer.Argument(metavar="RELEASE", help="Its id, as `ledger show` lists it.", show_default=False)
]
SchemaFile = Annotated[
    Path,
    typer.Option(
        "--schema",
        "-s",
        metavar="FILE",
        help="The YAML schema: what you declare about the columns. `dpsynth init` drafts one.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
Epsilon = Annotated[
    float,
    typer.Option(
        "--epsilon",
        "-e",
        help="One person's data changes the odds of any output by at most exp(epsilon). 1 is a common choice.",
        show_default=False,
        rich_help_panel=_PRIVACY,
    ),
]
Delta = Annotated[
    float,
    typer.Option(
        "--delta",
        "-d",
        help="The probability that the bound of epsilon fails: far below 1 over the number of people, say 1e-6.",
        show_default=False,
        rich_help_panel=_PRIVACY,
    ),
]
SynthesizerName = Annotated[
    str,
    typer.Option(
        "--synthesizer",
        help="`auto` chooses from public facts and says why; `adaptive`, `tree`, `mst`, `aim`, `mwem`, `mixture` keep "
        "columns together in different ways; `independent` keeps single columns only; "
        "`external` runs your own command (see --external-config).",
        rich_help_panel=_PRIVACY,
    ),
]
ModelMb = Annotated[
    int | None,
    typer.Option(
        "--model-mb",
        metavar="MB",
        min=1,
        help="Most megabytes that fitting the model may take; what would take more isn't measured. Records and the "
        "program come on top.",
        show_default="no limit",
        rich_help_panel=_PRIVACY,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE|PROFILE",
        help="The gate: which attacks, which thresholds, how much budget. A YAML file or a shipped profile's name.",
        show_default="the standard profile",
        rich_help_panel=_PRIVACY,
    ),
]
Annex = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the CONFIDENTIAL annex goes. It never leaves with the release.",
        show_default="next to the output",
        rich_help_panel=_FILES,
    ),
]
EscapeFormulas = Annotated[
    bool,
    typer.Option(
        "--escape-formulas",
        help="Prefix CSV texts that a spreadsheet would run as a formula; recorded in the certificate.",
        rich_help_panel=_OUTPUT,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="One JSON object on standard output, errors too.", rich_help_panel=_OUTPUT),
]
