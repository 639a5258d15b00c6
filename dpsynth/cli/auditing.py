"""The mechanism audit: a synthesizer's output on fabricated worst cases against what it was charged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson

if TYPE_CHECKING:
    from accountant import Adjacency
    from dpsynth.audit import AuditReport, CaseReport

__all__ = ["audit"]

_ABOVE = 1
_HEADER = ("neighbours", "claimed", "seen", "at least", "at most*", "epsilon", "")


def audit(
    synthesizer: Annotated[
        str, typer.Argument(metavar="SYNTHESIZER", help="A shipped synthesizer's name.", show_default=False)
    ],
    mu: Annotated[
        float, typer.Option(help="What each run is given: mu of Gaussian differential privacy, one record added.")
    ] = 1.0,
    runs: Annotated[int, typer.Option(help="Runs of each of the two tables of a case.")] = 1000,
    confidence: Annotated[
        float, typer.Option(help="Probability at least with which a sound synthesizer isn't called above its claim.")
    ] = 0.99,
    adjacency: Annotated[str, typer.Option(help="`add-remove`, `replace-one` or `both`.", show_default=True)] = "both",
    seed: Annotated[
        int | None,
        typer.Option(help="Makes the audit repeatable.", show_default="the system's randomness, as in a release"),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the runs here: the same command goes on where it was interrupted.",
            show_default="runs are forgotten",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Test a synthesizer's claim on fabricated worst cases.

    Its output of many runs is held against what the runs were charged.

    No data of yours is read: the records are made up, the runs are free, and the result may be published. An audit
    can show that a claim is wrong and never that it is right: the proof does that.

    Exit codes: 0 nothing above the claim, 1 above the claim, 2 bad input or interrupted.

    Example: `dpsynth audit mst --runs 2000 --keep mst.jsonl`
    """
    from dpsynth.audit import audit_synthesizer

    output = Output(as_json=as_json)
    report = audit_synthesizer(
        synthesizer,
        mu=mu,
        runs=runs,
        confidence=confidence,
        adjacencies=_adjacencies(adjacency),
        seed=seed,
        keep=keep,
        progress=output.progress(),
    )
    output.result(report.to_json())
    output.table(
        f"{report.synthesizer}: mu of its output against its charges, {runs:,} runs of each table",
        _HEADER,
        [_row(case) for case in report.cases],
        numbers=(1, 2, 3, 4, 5),
        whole=(0, 6),
    )
    for line in _words(report):
        output.say(line)
    return _ABOVE if report.above else 0


def _adjacencies(name: str) -> tuple["Adjacency", ...]:
    from accountant.adjacency import WHOLE_UNITS
    from dpsynth.errors import ParameterError

    known = {"both": WHOLE_UNITS, **{one.value: (one,) for one in WHOLE_UNITS}}
    if name not in known:
        raise ParameterError(
            f"There is no adjacency named {name!r}.",
            "Neighbours differ by a record that comes or goes, or by one that takes the place of another.",
            f"Choose one of {', '.join(known)}.",
        )
    return known[name]


def _row(case: "CaseReport") -> tuple[str, ...]:
    if case.found is None:
        return (case.adjacency.value, "", "", "", "", "", f"not run: {case.why_not}")
    found = case.found
    numbers = (case.claimed_mu, found.estimate, max(0.0, found.low), found.high, case.epsilon_low)
    state = "ABOVE ITS CLAIM" if case.above else "within its claim"
    return (case.adjacency.value, *(f"{number:.3f}" for number in numbers), state)


def _words(report: "AuditReport") -> list[str]:
    verdict = "ABOVE" if report.above else "not above"
    return [
        f"{report.synthesizer} is {verdict} its claim, at {100 * report.confidence:g} % over all cases together.",
        "* by this attack; another may see more. Epsilon is at least so much, at delta 1e-6.",
    ]
