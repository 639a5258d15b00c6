"""Commands on a ledger's scopes: who may spend how much within whom, and until when."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, LedgerFolder

if TYPE_CHECKING:
    from accountant.budget import Budget
    from accountant.ledger.scope import Scope

__all__ = ["app", "budget_of", "figure", "renew", "scope_facts", "scope_table"]

app = typer.Typer(
    help="Scopes: an organisation, its teams, their projects, their data sets. A charge must fit all above it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Epsilon = Annotated[
    float,
    typer.Option(
        "--epsilon", "-e", help="Most that all releases in it together may cost a person.", show_default=False
    ),
]
Delta = Annotated[float, typer.Option("--delta", "-d", help="The delta of that epsilon.", show_default=False)]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires",
        metavar="DAY",
        help="Last day (UTC, as 2026-12-31) on which a release may be reserved in it.",
        show_default="no end",
    ),
]
LevelName = Annotated[str, typer.Option("--level", help="What it is: `organisation`, `team`, `project` or `dataset`.")]


@app.command("add")
def add(
    folder: LedgerFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique in the ledger; of a data set its declared id.")],
    parent: Annotated[
        str, typer.Option("--in", metavar="SCOPE", help="The scope that it lies in.", show_default=False)
    ],
    epsilon: Epsilon,
    delta: Delta,
    level: LevelName = "dataset",
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Add a scope within another one, for good.

    It protects the same people as the scope that it lies in, and adds up in the same coordinate. Its budget may be as
    large as you like: a release must also fit every scope above.

    Example: `dpsynth ledger scope add books census-2024 --in statistics -e 2 -d 1e-6 --expires 2026-12-31`
    """
    from accountant.ledger import Ledger

    with Ledger.open(folder) as ledger:
        above = ledger.scope(parent)
        made = ledger.add_scope(
            name,
            parent=parent,
            level=level_of(level),
            budget=budget_of(epsilon, delta, like=above.budget),
            expires=expires,
        )
    lines = [f"Added the {made.describe()}, in the {above.describe()}: {_allowance(made)}."]
    Output(as_json=as_json).result({"ledger": str(folder), "scope": scope_facts(made)}, lines)


def renew(
    folder: LedgerFolder,
    name: Annotated[str, typer.Argument(metavar="SCOPE", help="Its name, as `ledger show` lists it.")],
    epsilon: Epsilon,
    delta: Delta,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, in public words: it stays in the ledger.", show_default=False)
    ],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="DAY",
            help="Its new last day (UTC, as 2026-12-31), or `never`.",
            show_default="as before",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a scope another budget for life, or other days: an act that the ledger records with your reason.

    Nothing that was spent is forgotten: the new budget covers it. Renewing is a promise to people changed after it was
    made, so say why.

    Example: `dpsynth ledger renew books census-2024 -e 3 -d 1e-6 --reason "second wave, board of 3 May"`
    """
    from accountant.ledger import Ledger

    with Ledger.open(folder) as ledger:
        before = ledger.scope(name)
        until = before.expires if expires is None else None if expires == "never" else expires
        made = ledger.renew(name, budget=budget_of(epsilon, delta, like=before.budget), expires=until, reason=reason)
    lines = [
        f"Renewed the {made.describe()}: {_allowance(made)}.",
        f"Before it was {_allowance(before)}; what was spent stays spent.",
    ]
    facts = {"ledger": str(folder), "scope": scope_facts(made), "before": scope_facts(before), "reason": reason}
    Output(as_json=as_json).result(facts, lines)


def budget_of(epsilon: float, delta: float, *, like: "Budget") -> "Budget":
    """A budget that adds up as ``like`` does."""
    from dataclasses import replace

    return replace(like, epsilon=epsilon, delta=delta)


def level_of(name: str) -> Any:
    """The level of that name; raises ParameterError for another word."""
    from accountant.ledger.scope import Level
    from dpsynth.errors import ParameterError

    if name not in list(Level):
        raise ParameterError(
            f"There is no level {name!r}.",
            "Scopes go from organisation to team to project to data set.",
            f"Use one of {', '.join(Level)}.",
        )
    return Level(name)


def scope_facts(scope: "Scope") -> dict[str, Any]:
    """One scope for machines: its budget, and what is spent, reserved and left, each as epsilon, amount and share."""
    parts = {"budget": scope.cap, "spent": scope.spent, "reserved": scope.reserved, "left": scope.remaining}
    return {
        "name": scope.name,
        "level": str(scope.level),
        "parent": scope.parent,
        "epsilon": scope.budget.epsilon,
        "delta": scope.budget.delta,
        "expires": scope.expires,
        "renewals": scope.renewals,
        "amounts": {name: amount(price, scope.budget) for name, price in parts.items()},
    }


def amount(price: Any, budget: "Budget") -> dict[str, Any]:
    """A price as epsilon at the budget's delta (None above 20), as an amount, and as a share of the budget."""
    from accountant.price import AMOUNT_UNIT
    from accountant.report import epsilon_of
    from dpsynth.errors import ParameterError

    try:
        epsilon = epsilon_of(price, budget.delta, budget.coordinate) if price.amount else 0.0
    except ParameterError:
        epsilon = None
    return {
        "epsilon": epsilon,
        "amount": price.amount / AMOUNT_UNIT,
        "share": price.amount / budget.cap.amount if budget.cap.amount else 0.0,
    }


def figure(epsilon: float | None) -> str:
    """An epsilon for people."""
    return "above 20" if epsilon is None else f"{epsilon:.3f}"


def scope_table(output: Output, title: str, scopes: list[dict[str, Any]]) -> None:
    """All scopes as a tree, one row each, in epsilon at the scope's own delta."""
    depth: dict[str | None, int] = {None: -1}
    rows = []
    for scope in _tree(scopes):
        depth[scope["name"]] = depth[scope["parent"]] + 1
        amounts = scope["amounts"]
        rows.append(
            (
                f"{'  ' * depth[scope['name']]}{scope['name']} ({_SHORT.get(scope['level'], scope['level'])})",
                f"{scope['epsilon']:g} at {scope['delta']:g}",
                *(figure(amounts[part]["epsilon"]) for part in ("spent", "reserved", "left")),
                f"{amounts['spent']['share'] + amounts['reserved']['share']:.0%}",
                scope["expires"] or "no end",
            )
        )
    header = ("scope", "budget", "spent", "held", "left", "used", "until")
    output.table(title, header, rows, numbers=(2, 3, 4, 5), whole=(1, 2, 3, 4, 5, 6))


_SHORT = {"organisation": "org", "dataset": "data set"}


def _tree(scopes: list[dict[str, Any]], parent: str | None = None) -> list[dict[str, Any]]:
    found = []
    for scope in scopes:
        if scope["parent"] == parent:
            found += [scope, *_tree(scopes, scope["name"])]
    return found


def _allowance(scope: "Scope") -> str:
    until = "without an end" if scope.expires is None else f"until {scope.expires}"
    return f"epsilon {scope.budget.epsilon:g} at delta {scope.budget.delta:g}, {until}"
