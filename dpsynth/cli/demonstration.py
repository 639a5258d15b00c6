"""The demo: one release of the embedded data set, end to end, told as it happens."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer

from dpsynth.cli.console import Output

if TYPE_CHECKING:
    from dpsynth.line import ReleaseResult

__all__ = ["run_demo"]

EPSILON, DELTA = 1.0, 1e-6
"""What the demo's release costs."""
BUDGET_EPSILON, BUDGET_DELTA = 3.0, 1e-5
"""What the demo's ledger allows over all releases: room for a second one."""


def run_demo(out: Path, output: Output) -> None:
    """Make a ledger, release the embedded table, verify the folder, and say where everything is.

    Raises:
      OutputError: The output or the ledger's folder exists.
    """
    from dpsynth.data import embedded_adult
    from dpsynth.errors import OutputError
    from dpsynth.line import release

    folder, annex = out.with_name(out.name + "-ledger"), out.with_name(out.name + ".CONFIDENTIAL-annex")
    for path in (out, folder, annex):
        if path.exists():
            raise OutputError(
                f"The demo doesn't write to {path}.",
                "It exists already, and nothing is overwritten.",
                "Give another folder with --out, or remove this one.",
            )
    table, schema = embedded_adult()
    output.say("The embedded data set: UCI Adult, a 1994 census extract, 14 columns, CC BY 4.0.")
    _make_ledger(folder, schema)
    output.say(f"A ledger in {folder} allows epsilon {BUDGET_EPSILON:g} at delta {BUDGET_DELTA:g} over all releases.")
    result = release(
        table,
        schema,
        epsilon=EPSILON,
        delta=DELTA,
        ledger=folder,
        out=out,
        annex=annex,
        synthesizer="auto",
        progress=output.progress(),
    )
    _finish(result, out, folder, output)


def _make_ledger(folder: Path, schema: Path) -> None:
    from dpsynth.cli.ledgers import create_ledger
    from dpsynth.schema import load_schema

    create_ledger(folder, load_schema(schema), epsilon=BUDGET_EPSILON, delta=BUDGET_DELTA)


def _finish(result: "ReleaseResult", out: Path, ledger: Path, output: Output) -> None:
    from dpsynth.certificate.verify import verify_release
    from dpsynth.cli.releasing import facts

    verify_release(out, result.public_key.read_bytes())
    if result.verdict != "PASS":
        lines = [
            f"The gate's verdict: {result.verdict}. The table was destroyed, its budget stays spent.",
            "Now and then an honest table fails, as the verdict is noisy; `dpsynth demo --out OTHER` tries anew.",
        ]
        output.result(facts(result) | {"verified": True}, lines)
        raise typer.Exit(3)
    output.result(facts(result) | {"verified": True}, _told(out, result.public_key, result.annex, ledger))


def _told(out: Path, key: Path, annex: Path | None, ledger: Path) -> list[str]:
    from dpsynth.cli.releasing import verify_line

    rows = [(f"{path.name}", _ROLES.get(path.name, _TABLE)) for path in sorted(out.iterdir())]
    width = max(len(name) for name, _ in rows)
    return [
        "",
        f"PASS. {out}/ may be shared; it holds",
        *(f"  {name:<{width}}  {role}" for name, role in rows),
        "",
        f"Each person in the table paid at most epsilon {EPSILON:g} at delta {DELTA:g}, the attacks' verdict included.",
        f"CONFIDENTIAL, stays with the data: {annex} and {ledger}",
        "",
        f"Verified just now; anyone repeats it without the data: {verify_line(out, key)}",
        f"What is left of the budget:                             dpsynth ledger show {quote(str(ledger))}",
    ]


_TABLE = "the synthetic table"
_ROLES = {
    "certificate.json": "what was done, what it cost, what the gate found; signed",
    "ledger.json": "this release's entries of the ledger",
    "policy.json": "the gate's policy",
    "report.html": "the same for people: open it in a browser",
    "schema.json": "the declared columns",
}
