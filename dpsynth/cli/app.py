"""The application: which commands there are, in the order in which a newcomer needs them."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dpsynth.cli import attacking, auditing, budgets, declaring, ledgers, releasing, sampling, verifying

__all__ = ["app"]

_HELP = """Differentially private synthetic tables: accounted, attacked, gated and signed.

  dpsynth demo                           all of it, once, on an embedded public data set

With a table of your own:

  dpsynth init people.csv -o people.yaml             draft a schema; you declare the domains
  dpsynth check people.csv -s people.yaml            does the table's structure fit it?
  dpsynth plan -s people.yaml -e 1 -d 1e-6           who gets which share; nothing is touched
  dpsynth ledger create books -s people.yaml -e 3 -d 1e-5
                                                     the budget over all releases, and a key
  dpsynth release people.csv -s people.yaml -e 1 -d 1e-6 -l books -o out
                                                     charge, measure, sample, attack, gate, sign
  dpsynth verify out -k books/keys/signing.pub       what anybody can check, without the data
"""

_EXITS = "Exit codes: 0 released or done, 3 the gate failed the table, 2 refused or bad input, 1 crash.\n"


class _TeachingGroup(TyperGroup):
    """The first help anybody sees: plain text as written, and the commands by panel; loads no renderer."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help."""
        formatter.write(f"Usage: {ctx.command_path} [OPTIONS] COMMAND [ARGS]...\n\n{_HELP}")
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            panel = getattr(command, "rich_help_panel", None)
            short = "" if command is None else command.get_short_help_str(limit=formatter.width - 14)
            panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append((name, short))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows, col_max=12)
        self.format_options(ctx, formatter)
        formatter.write(f"\nEach command has its own: dpsynth COMMAND --help\n{_EXITS}")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options that come before a command."""
        rows = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(rows)


app = typer.Typer(
    name="dpsynth",
    cls=_TeachingGroup,
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_START, _RELEASE, _AFTER = "Start", "Release", "Afterwards"

app.command("demo", rich_help_panel=_START)(releasing.demo)
app.command("init", rich_help_panel=_START)(declaring.init)
app.command("check", rich_help_panel=_START)(declaring.check)
app.command("schema", rich_help_panel=_START)(declaring.schema)
app.command("plan", rich_help_panel=_RELEASE)(releasing.plan)
app.command("budget", rich_help_panel=_RELEASE)(budgets.budget)
app.add_typer(ledgers.app, name="ledger", rich_help_panel=_RELEASE)
app.command("release", rich_help_panel=_RELEASE)(releasing.release)
app.command("publish", rich_help_panel=_RELEASE)(releasing.publish)
app.command("verify", rich_help_panel=_AFTER)(verifying.verify)
app.command("sample", rich_help_panel=_AFTER)(sampling.sample)
app.command("attack", rich_help_panel=_AFTER)(attacking.attack)
app.command("audit", rich_help_panel=_AFTER)(auditing.audit)


def _version(value: bool) -> None:
    from importlib.metadata import PackageNotFoundError, version

    if value:
        try:
            typer.echo(f"dpsynth {version('dpsynth')}")
        except PackageNotFoundError:
            typer.echo("dpsynth (not installed as a package)")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass
