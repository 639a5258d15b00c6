"""`dpsynth budget`: a division of (epsilon, delta) that a person can read, edit, and check again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson

if TYPE_CHECKING:
    from accountant.planning import BudgetPlan

__all__ = ["budget"]

_LARGEST = 1 << 20
"""Bytes of a plan's file."""


def budget(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN", help="A plan to read (YAML).", show_default="a new one"),
    ] = None,
    epsilon: Annotated[float, typer.Option("--epsilon", "-e", help="Of a new plan.")] = 1.0,
    delta: Annotated[float, typer.Option("--delta", "-d", help="Of a new plan.")] = 1e-6,
    coordinate: Annotated[str, typer.Option(help="Of a new plan: `gdp` or `zcdp`; shares add up in it.")] = "gdp",
    holdout: Annotated[
        str, typer.Option("--holdout", help="Of a new plan: whose share is held out for the gate; 0 for no gate.")
    ] = "1/5",
    encoding: Annotated[
        str, typer.Option("--encoding", help="Of a new plan: share for what the encoder learns from data.")
    ] = "0",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan there.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Divide a budget into shares, or read shares you edited.

    Shares are of the budget's cap in its coordinate, where they add up; epsilons don't. A training person pays the
    training lines and a holdout person the holdout lines. Nothing is touched or charged.

    Example: `dpsynth budget -e 1 -d 1e-6 --out plan.yaml`, then edit plan.yaml, then `dpsynth budget plan.yaml`
    """
    from dpsynth.cli.declaring import write_new

    made = _read(plan) if plan is not None else _new(epsilon, delta, coordinate, holdout, encoding)
    text = _yaml(made)
    if out is not None:
        write_new(out, text)
    output = Output(as_json=as_json)
    rows = [(row.purpose, row.side, row.share, row.cost, row.buys) for row in made.rows()]
    header = ("purpose", "side", "share", "cost", "buys")
    output.result({"plan": made.to_dict(), "rows": [dict(zip(header, row, strict=True)) for row in rows]})
    allowed = made.budget
    title = f"Epsilon {allowed.epsilon:g} at delta {allowed.delta:g}, divided in {allowed.coordinate.symbol}"
    output.table(title, header, rows, numbers=(2, 3))
    if out is not None:
        output.say(f"Wrote {out}. Edit its shares, then check it: dpsynth budget {out}")
    else:
        output.say("As a file to edit (--out FILE writes it):")
        output.text(text)


def _new(epsilon: float, delta: float, coordinate: str, holdout: str, encoding: str) -> "BudgetPlan":
    from accountant.budget import Budget
    from accountant.planning import default_plan
    from accountant.price import Coordinate
    from dpsynth.errors import ParameterError

    if coordinate not in list(Coordinate):
        raise ParameterError(
            f"There is no coordinate {coordinate!r}.", "A budget adds up in one of two.", "Use gdp or zcdp."
        )
    held = _share("holdout", holdout)
    allowed = Budget(epsilon=epsilon, delta=delta, coordinate=Coordinate(coordinate))
    return default_plan(allowed, holdout_share=held or None, encoding=_share("encoding", encoding))


def _share(name: str, text: str) -> Any:
    from fractions import Fraction

    from dpsynth.errors import ParameterError

    try:
        value = Fraction(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if not 0 <= value < 1:
        raise ParameterError(
            f"--{name} {text} isn't a share.",
            "A share is a number from 0 to below 1, written 0.2, 20% or 1/5.",
            "Give such a share.",
        )
    return value


def _read(path: Path) -> "BudgetPlan":
    import yaml

    from accountant.planning import plan_from_dict
    from dpsynth.errors import ParameterError

    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError("larger than a plan")
        body = yaml.safe_load(content)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, yaml.YAMLError, RecursionError):
        raise ParameterError(
            f"The plan {path} can't be read.",
            "It is missing, or isn't a small YAML file.",
            "Let `dpsynth budget --out FILE` write one, and edit that.",
        ) from None
    return plan_from_dict(body)


def _yaml(plan: "BudgetPlan") -> str:
    import yaml

    text: str = yaml.safe_dump(plan.to_dict(), sort_keys=False)
    return text
