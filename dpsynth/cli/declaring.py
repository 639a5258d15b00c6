"""Commands about what the publisher declares: draft a schema, check a table against it, export the editors' schema."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, SchemaFile, TableFile

__all__ = ["check", "init", "schema"]

_OUTPUT = "Output"


def init(
    table: TableFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where the draft goes.", show_default="standard output"),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="The table is public: propose domains from its values. The draft will say so."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draft a schema from column names and types.

    The domains are left for you to declare: a category list or a bound read from private data would leak it, so values
    are not looked at unless the table is already public (--public).

    Example: `dpsynth init people.csv --out people.yaml`
    """
    from dpsynth.encode import draft_schema

    text = draft_schema(table, public=public)
    output = Output(as_json=as_json)
    if out is None:
        output.result({"schema": text})
        output.text(text)
        return
    write_new(out, text)
    lines = [f"Drafted {out}.", "Declare the domain of each column marked there, then run `dpsynth check`."]
    output.result({"schema_file": str(out)}, lines)


def check(
    table: TableFile,
    schema: SchemaFile,
    values: Annotated[
        Path | None,
        typer.Option(
            "--values",
            metavar="FILE",
            help="Also count the values outside their declared domains and write that lint here. CONFIDENTIAL: it is "
            "about records and outside the privacy claim.",
            show_default="structure only",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a table's structure fits its schema.

    The answer is about structure (header, column types, file format) alone, so it may be shared. Values that don't fit
    their declared domain are counted in a file of your own with --values; they change neither the output nor the exit
    code, and a release puts them into declared buckets.

    Example: `dpsynth check people.csv --schema people.yaml --values lint.txt`
    """
    from dpsynth.encode import lint_table
    from dpsynth.schema import load_schema
    from dpsynth.tables import open_table

    declared = load_schema(schema)
    opened = open_table(table, declared)
    names = list(declared.table.columns)
    if values is not None:
        write_new(values, "\n".join(lint_table(opened)) + "\n", mode=0o600)
    lines = [f"The structure of {table} fits {schema}: {len(names)} columns."]
    if values is not None:
        lines.append(f"The lint of its values is in {values}: CONFIDENTIAL, keep it with the data.")
    facts = {"structure": "fits", "columns": names, "values_lint": values and str(values)}
    Output(as_json=as_json).result(facts, lines)


def schema(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where it goes.", show_default="standard output"),
    ] = None,
) -> None:
    """Export the JSON Schema of schema files, for editors.

    Example: `dpsynth schema --out dpsynth.schema.json`
    """
    from dpsynth.schema import json_schema

    text = json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
    if out is None:
        Output(as_json=False).text(text)
    else:
        write_new(out, text)


def write_new(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file that doesn't exist yet; raises OutputError where it does."""
    import os

    from dpsynth.errors import OutputError

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise OutputError(
            f"{path} wasn't written.", "A file of that name exists, and nothing is overwritten.", "Choose another name."
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(
            f"{path} wasn't written.", "Its folder doesn't exist.", "Make the folder, or choose another place."
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
