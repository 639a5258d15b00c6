"""The command that samples a saved model: as it is, given values, in other proportions, or together with a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, EscapeFormulas

if TYPE_CHECKING:
    import pyarrow as pa

    from dpsynth.fitted import FittedModel

__all__ = ["sample"]

_LABEL = "NOT-RELEASED-"
_SEEDED = "NOT-PRIVATE-"
_ASKED, _TABLES = "What the rows are like", "With a table that isn't the private one"


def sample(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model saved by `fit(...).save`.", show_default=False)
    ],
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
    rows: Annotated[
        int | None, typer.Option("--rows", "-n", min=1, help="How many rows.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="For a repeatable sample; costs no privacy.", show_default=False)
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            metavar="YAML", help="Values that all rows have: '{sex: f}'.", show_default=False, rich_help_panel=_ASKED
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Conditions that all rows fulfil, as in a rule: '{age: {from: 65}}'.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Proportions of a column's values, '{income: {high: 0.5}}', or of several columns', "
            "'{columns: [sex, income], shares: [[f, high, 0.25]]}'. What is left of 1 goes to all others.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    impute: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Fill in the nulls and the lacking columns of this table, instead of drawing new rows.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ] = None,
    join: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Add the rows of this public table, with a column of origins.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ] = None,
    synthesize: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Of a fit with public columns: keep those of this table as they are, and draw all others. Parquet.",
            show_default=False,
            rich_help_panel=_ASKED,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The id of the data set that the table is of: you declare that it isn't the private one.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ] = None,
    null_is_value: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="With --impute: a nullable column whose nulls are values. Can be given several times.",
            show_default=False,
            rich_help_panel=_TABLES,
        ),
    ] = None,
    origin: Annotated[
        str, typer.Option(metavar="COLUMN", help="With --join: the column of origins.", rich_help_panel=_TABLES)
    ] = "origin",
    escape_formulas: EscapeFormulas = False,
    as_json: AsJson = False,
) -> None:
    """Sample rows from a saved model: NOT RELEASED.

    It costs nothing more, but no gate has seen the rows, and the output says so. Where more than plain rows were asked
    for, FILE.json beside the table says what was done.

    Example: `dpsynth sample people.model --rows 1000 --out draft.parquet`
    """
    from dpsynth.fitted import MADE, load_model
    from dpsynth.tables import write_exclusive, write_table

    if impute is not None and synthesize is not None:
        raise _wrong("Two tables can't be completed at once.", "--impute is for a table of other origin, --synthesize "
                     "for public columns.")
    conditions = {"given": given, "where": where, "target": target}
    _require_fitting(rows, impute or synthesize, join, dataset, synthesize is None, conditions)
    asked = {name: _read(name, text) for name, text in conditions.items() if text}
    fitted = load_model(model)
    if synthesize is not None:
        table = fitted.synthesize(synthesize, seed=seed)
    else:
        table = _made(fitted, rows, asked, impute, join, dataset or "", list(null_is_value or []), origin, seed)
    prefix = _LABEL if fitted.private else _LABEL + _SEEDED
    labelled = out if out.name.startswith(prefix) else out.with_name(prefix + out.name)
    label = table.schema.metadata[b"dpsynth"].decode()
    done = table.schema.metadata.get(MADE)
    write_table(table, labelled, escape_formulas=escape_formulas, label=label)
    told = {"label": label, "rows": table.num_rows, "out": str(labelled)}
    lines = [f"{table.num_rows} rows in {labelled}. {label}.", "Keep them inside the circle that may see the model."]
    if done is not None:
        beside = labelled.with_name(labelled.name + ".json")
        write_exclusive(beside, done + b"\n")
        told["made"] = str(beside)
        lines.append(f"What was done: {beside}")
    Output(as_json=as_json).result(told, lines)


def _made(
    fitted: "FittedModel",
    rows: int | None,
    asked: dict[str, Any],
    impute: Path | None,
    join: Path | None,
    dataset: str,
    null_is_value: list[str],
    origin: str,
    seed: int | None,
) -> "pa.Table":
    if impute is not None:
        return fitted.impute(impute, dataset=dataset, null_is_value=null_is_value, seed=seed)
    synthetic = fitted.sample(rows, seed=seed, **asked)
    return synthetic if join is None else fitted.join_public(synthetic, join, dataset=dataset, origin=origin)


def _read(name: str, text: str) -> Any:
    import yaml

    from dpsynth.samples import read_target

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict):
        raise _wrong(f"The option --{name} can't be read.", "It is one YAML mapping of columns, such as '{age: 65}'.")
    return read_target(value) if name == "target" else value


def _require_fitting(
    rows: int | None,
    completed: Path | None,
    join: Path | None,
    dataset: str | None,
    declared: bool,
    asked: dict[str, str | None],
) -> None:
    """Refuse options that don't belong together, before anything is loaded."""
    if (completed is None) == (rows is None):
        raise _wrong("The number of rows and what they are for don't fit.", "Either new rows are drawn, as many as "
                     "--rows says, or those of a table are completed.")
    if completed is not None and (join is not None or any(asked.values())):
        raise _wrong("Rows that are completed can't have other conditions.", "What is asked of them is what is known "
                     "of them; --given, --where, --target and --join are for new rows.")
    if (dataset is None) != (join is None and (completed is None or not declared)):
        raise _wrong("A table and the data set that it is of belong together.", "--dataset declares of a table of "
                     "--impute or --join that it isn't the private one.")


def _wrong(what: str, why: str) -> Exception:
    from dpsynth.errors import ParameterError

    return ParameterError(what, why, "See `dpsynth sample --help`.")
