"""Commands that lead to a release: the demo, the plan, the release itself, and publishing a staged one."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import (
    Annex,
    AsJson,
    Delta,
    Epsilon,
    EscapeFormulas,
    ModelMb,
    Policy,
    SchemaFile,
    SynthesizerName,
    TableFile,
)

if TYPE_CHECKING:
    from dpsynth.line import ReleaseResult

__all__ = ["demo", "plan", "publish", "release"]

_FILES, _OUTPUT, _AGAIN = "Files", "Output", "Once only"
_EXIT_CODES = {"PASS": 0, "FAIL": 3, "UNDECIDABLE": 3}


def plan(
    schema: SchemaFile,
    epsilon: Epsilon,
    delta: Delta,
    synthesizer: SynthesizerName = "auto",
    policy: Policy = None,
    model_mb: ModelMb = None,
    as_json: AsJson = False,
) -> None:
    """Print who gets which share of the budget.

    Nothing is touched: this reads the schema only.

    Example: `dpsynth plan --schema people.yaml --epsilon 1 --delta 1e-6`
    """
    from dpsynth.auto import schema_of_run
    from dpsynth.plan import make_plan

    declared = schema_of_run(schema, synthesizer, epsilon=epsilon, delta=delta)
    made = make_plan(
        declared, epsilon=epsilon, delta=delta, synthesizer=synthesizer, policy=policy, model_mb=model_mb
    )
    header = ("purpose", "side", "share", "mu", "what it means")
    rows = [tuple(str(cell) for cell in row) for row in made.lines()]
    output = Output(as_json=as_json)
    output.result(
        {
            "epsilon": epsilon,
            "delta": delta,
            "synthesizer": made.synthesizer_name,
            "why": made.why,
            "steps": [dict(zip(header, row, strict=True)) for row in rows],
            "unit": made.unit.describe(),
            "moves": [{"marginals with": list(m.holding), "sensitivity": m.sensitivity} for m in made.moves],
        }
    )
    title = f"The plan of a release at epsilon {epsilon:g}, delta {delta:g} with {made.synthesizer_name}"
    output.table(title, header, rows, numbers=(2, 3))
    if made.why:
        output.say(f"{made.why[0].upper()}{made.why[1:]}.")
    if made.moves:
        output.say(f"One person moves marginals by at most, in rows: {'; '.join(m.in_words() for m in made.moves)}.")
    if made.unit.public:
        output.say(f"Protected: {made.unit.describe()}.")
        output.say("Everybody's public columns are in the table as they are; numbers of people are public, and free.")
    *sides, last = map(str, made.caps)
    output.say(f"Each person pays one side's sum: {', '.join(sides)} or {last}. The release is charged the largest.")


def release(
    table: TableFile,
    schema: SchemaFile,
    epsilon: Epsilon,
    delta: Delta,
    ledger: Annotated[
        Path,
        typer.Option(
            "--ledger",
            "-l",
            metavar="DIR",
            help="The ledger to charge; `dpsynth ledger create` makes one.",
            show_default=False,
            rich_help_panel=_FILES,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="The release folder, public; must not exist.",
            show_default=False,
            rich_help_panel=_FILES,
        ),
    ],
    synthesizer: SynthesizerName = "auto",
    policy: Policy = None,
    model_mb: ModelMb = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Number of synthetic rows: a number you choose, never one you counted.",
            show_default="the noisy total",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Run this release at most once: the same key and plan return the stored release, uncharged.",
            show_default=False,
            rich_help_panel=_AGAIN,
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the training of a synthesizer down in this folder: the same command goes on where it was "
            "interrupted, charged once. Private, like the ledger.",
            show_default=False,
            rich_help_panel=_AGAIN,
        ),
    ] = None,
    annex: Annex = None,
    external_config: Annotated[
        Path | None,
        typer.Option(
            "--external-config",
            metavar="FILE",
            help="With --synthesizer external: the command to run and the guarantee that it claims, as YAML.",
            show_default=False,
            rich_help_panel=_FILES,
        ),
    ] = None,
    escape_formulas: EscapeFormulas = False,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Stop before publishing: leave the release stored, for `dpsynth publish`.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Release a synthetic table, or refuse.

    The line: reserve in the ledger, open the table, split people, count, charge, measure with noise, estimate, sample,
    attack, gate, sign, publish.

    Exit code 0: released (or stored, with --review). 3: the gate didn't pass the table; it was destroyed and its budget
    stays spent. 2: refused, and nothing was charged unless the message says so.

    Example: `dpsynth release people.csv --schema people.yaml -e 1 -d 1e-6 --ledger people-ledger --out out`
    """
    from dpsynth.line import release as run_release

    chosen = _external(synthesizer, external_config)
    output = Output(as_json=as_json)
    result = run_release(
        table,
        schema,
        epsilon=epsilon,
        delta=delta,
        ledger=ledger,
        out=out,
        synthesizer=chosen,
        policy=policy,
        model_mb=model_mb,
        rows=rows,
        idempotency_key=idempotency_key,
        checkpoints=checkpoints,
        annex=annex,
        escape_formulas=escape_formulas,
        publish=not review,
        progress=output.progress(),
    )
    _report(output, result, staged=review)


def publish(
    staged: Annotated[
        Path, typer.Argument(metavar="STAGED", help="Where `dpsynth release --review` stored it.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The release folder; must not exist.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Publish a release that was stored with --review.

    Nothing is computed or charged.

    Example: `dpsynth publish books/releases/4f1c22ab90de7731 --out out`
    """
    from dpsynth.line import publish_staged

    published = publish_staged(staged, out)
    Output(as_json=as_json).result({"out": str(published)}, [f"Published: {published}"])


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The release folder to make; must not exist.")
    ] = Path("dpsynth-demo"),
    as_json: AsJson = False,
) -> None:
    """Release the embedded Adult data set, and verify it.

    At epsilon 1, delta 1e-6, with `mst`. The ledger is made next to the output, as DIR-ledger.

    Example: `dpsynth demo --out try`
    """
    from dpsynth.cli.demonstration import run_demo

    run_demo(out, Output(as_json=as_json))


def _external(synthesizer: str, config: Path | None) -> str:
    from dpsynth.errors import ParameterError

    if (synthesizer == "external") != (config is not None):
        raise ParameterError(
            "The outside synthesizer wasn't set up.",
            "`--synthesizer external` and `--external-config FILE` belong together.",
            "Give both, or neither.",
        )
    return synthesizer if config is None else f"external:{config}"


def facts(result: "ReleaseResult") -> dict[str, object]:
    """The public facts of a release, and where its confidential part lies."""
    return {
        "verdict": result.verdict,
        "release_id": result.release_id,
        "out": str(result.out),
        "epsilon": result.epsilon,
        "delta": result.delta,
        "stored": result.stored,
        "public_key": str(result.public_key),
        "annex": None if result.annex is None else str(result.annex),
        "smallest_leak": result.smallest_leak,
        "not_protected": list(result.not_protected),
    }


def _report(output: Output, result: "ReleaseResult", *, staged: bool) -> None:
    output.result(facts(result), _story(result, staged=staged))
    if code := _EXIT_CODES[result.verdict]:
        raise typer.Exit(code)


def verify_line(folder: Path, key: Path) -> str:
    """The command that verifies a folder, ready to paste."""
    return f"dpsynth verify {quote(str(folder))} --key {quote(str(key))}"


def _story(result: "ReleaseResult", *, staged: bool) -> list[str]:
    cost = f"epsilon {result.epsilon:g} at delta {result.delta:g}"
    where = f"{'stored for review' if staged else 'published'} in {result.out}"
    again = ["Returned from the ledger as it was, uncharged."] if result.stored else []
    told = _PASSED if result.verdict == "PASS" else _NOT_PASSED
    lines = [*again, *(line.format(result=result, cost=cost, where=where) for line in told)]
    if result.not_protected:
        lines.append(f"NOT PROTECTED, as declared public: {', '.join(result.not_protected)}.")
    if result.smallest_leak:
        lines.append(f"Smallest leak that the gate could have seen: {result.smallest_leak}.")
    if result.annex is not None:
        lines.append(f"CONFIDENTIAL, stays with the data: {result.annex}")
    if staged and result.verdict == "PASS":
        lines.append(f"Publish it with: dpsynth publish {quote(str(result.out))} --out DIR")
    elif not staged:
        lines.append(f"Anyone checks it with: {verify_line(result.out, result.public_key)}")
    return lines


_PASSED = (
    "PASS. Release {result.release_id} is {where}.",
    "Each person in the table pays at most {cost}, the verdict included.",
)
_NOT_PASSED = (
    "{result.verdict}. The gate didn't pass the table of release {result.release_id}, and it was destroyed.",
    "Its certificate, without a table, is {where}; the budget stays spent: {cost}.",
)
