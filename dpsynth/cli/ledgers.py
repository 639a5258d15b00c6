"""Commands on the ledger: make it, read it, check it, give back what a dead run never used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli import ledger_records
from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, LedgerFolder, ReleaseId

if TYPE_CHECKING:
    from accountant.ledger import VerifiedLedger, VerifiedRelease
    from accountant.price import Price
    from dpsynth.schema import Schema

__all__ = ["app", "create_ledger"]

app = typer.Typer(
    help="Make, read and check ledgers: the budget of one data set.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("create")
def create(
    folder: LedgerFolder,
    schema: Annotated[
        Path,
        typer.Option(
            "--schema",
            "-s",
            metavar="FILE",
            help="It names the data set and says who is protected (the privacy unit).",
            show_default=False,
        ),
    ],
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", "-e", help="Most that all releases together may cost a person.", show_default=False),
    ],
    delta: Annotated[float, typer.Option("--delta", "-d", help="The delta of that epsilon.", show_default=False)],
    coordinate: Annotated[
        str,
        typer.Option(help="How prices add up: `gdp` (tighter for Gaussian noise) or `zcdp`. Fixed for good."),
    ] = "gdp",
    claim_share: Annotated[
        float | None,
        typer.Option(
            "--claim-share",
            help="Share of delta set aside for the claims of outside synthesizers; their deltas come out of it.",
            show_default="1/1024",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a ledger: a budget, a key to sign releases with, and an empty chain of entries.

    The budget is for the data set, over every release for as long as it exists. It can't be raised afterwards.

    Example: `dpsynth ledger create people-ledger --schema people.yaml -e 3 -d 1e-5`
    """
    from dpsynth.schema import load_schema

    declared = load_schema(schema)
    key = create_ledger(folder, declared, epsilon=epsilon, delta=delta, coordinate=coordinate, claim_share=claim_share)
    lines = [
        f"Made {folder}: epsilon {epsilon:g} at delta {delta:g} over all releases of {declared.dataset}.",
        f"Readers verify with the public key, {key}.",
        "Keep the rest of the folder private, on one machine, and back it up whole.",
    ]
    Output(as_json=as_json).result({"ledger": str(folder), "public_key": str(key)}, lines)


@app.command("show")
def show(folder: LedgerFolder, as_json: AsJson = False) -> None:
    """Show the budget, what is spent, reserved and left, and every release.

    Example: `dpsynth ledger show people-ledger`
    """
    from accountant.ledger.verify import verify as verify_ledger

    state = verify_ledger(folder)
    budget, output = state.budget, Output(as_json=as_json)
    parts = {"spent": state.spent, "reserved": state.reserved, "left": state.remaining}
    amounts = {name: _amount(price, state) for name, price in {"budget": budget.cap, **parts}.items()}
    output.result(
        {
            "ledger": str(folder),
            "dataset": state.dataset,
            "unit": state.unit.describe(),
            "coordinate": str(budget.coordinate),
            "delta": budget.delta,
            "amounts": amounts,
            "releases": [_release(release, state) for release in state.releases],
        }
    )
    output.table(
        f"{state.dataset}: {state.unit.describe()}",
        ("", f"epsilon at delta {budget.delta:g}", budget.coordinate.symbol, "share"),
        [(n, _figure(a["epsilon"]), f"{a['amount']:.6f}", f"{a['share']:.1%}") for n, a in amounts.items()],
        numbers=(1, 2, 3),
    )
    if state.releases:
        output.table(
            "Releases",
            ("release", "date", "state", "outcome", "with", "epsilon", "share"),
            [_row(_release(release, state)) for release in state.releases],
            numbers=(5, 6),
        )
    else:
        output.say("No releases yet.")
    output.say(f"Epsilons don't add up; {budget.coordinate.symbol} does. `left` is what one more release may cost.")


@app.command("verify")
def verify(
    folder: LedgerFolder,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            "-k",
            metavar="PUB",
            help="Also check that it is the ledger of this public key.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a ledger whole: chain, hashes, states, prices, sums, budget, witness and signing key.

    Example: `dpsynth ledger verify people-ledger --key signing.pub`
    """
    from accountant.ledger.verify import verify as verify_ledger

    state = verify_ledger(folder)
    if key is not None:
        _require_key(folder, key)
    lines = [f"VERIFIED: {folder}, {state.seq} entries, {len(state.releases)} releases.", f"Head: {state.head}"]
    facts = {"verified": True, "entries": state.seq, "head": state.head, "releases": len(state.releases)}
    Output(as_json=as_json).result(facts, lines)


@app.command("return-stale")
def return_stale(
    folder: LedgerFolder,
    release_id: ReleaseId,
    as_json: AsJson = False,
) -> None:
    """Give back the reservation of a run that died before it touched the data.

    Use it only when that run is surely dead. What touched the data stays charged.

    Example: `dpsynth ledger return-stale people-ledger 4f1c22ab90de7731`
    """
    from accountant.ledger import Ledger
    from accountant.price import AMOUNT_UNIT

    with Ledger.open(folder) as ledger:
        returned = ledger.release_stale(release_id)
        symbol = ledger.budget.coordinate.symbol
    amount = returned.amount / AMOUNT_UNIT
    lines = [f"Gave back {symbol} {amount:.6f}: release {release_id} never touched the data."]
    Output(as_json=as_json).result({"release_id": release_id, "returned": amount}, lines)


app.command("history")(ledger_records.history)
app.command("pending")(ledger_records.pending)
app.command("export")(ledger_records.export)
app.command("registry-entry")(ledger_records.registry_entry)


def create_ledger(
    folder: Path,
    schema: "Schema",
    *,
    epsilon: float,
    delta: float,
    coordinate: str = "gdp",
    claim_share: float | None = None,
) -> Path:
    """Make a ledger for the data set that a schema declares.

    Returns:
      The file of its public key.

    Raises:
      LedgerError: The folder exists or can't be made.
      ParameterError: A number is out of range, or the coordinate unknown.
    """
    from accountant.budget import CLAIM_SHARE, Budget
    from accountant.ledger import Ledger
    from accountant.price import Coordinate
    from dpsynth.errors import ParameterError

    if coordinate not in list(Coordinate):
        raise ParameterError(
            f"There is no coordinate {coordinate!r}.", "A ledger adds up in one of two.", "Use gdp or zcdp."
        )
    budget = Budget(
        epsilon=epsilon,
        delta=delta,
        coordinate=Coordinate(coordinate),
        claim_share=CLAIM_SHARE if claim_share is None else claim_share,
    )
    Ledger.create(folder, dataset=schema.dataset, budget=budget, unit=schema.table.unit).close()
    return folder / "keys" / "signing.pub"


def _require_key(folder: Path, key: Path) -> None:
    from accountant.errors import LedgerTampered
    from accountant.ledger import Ledger
    from dpsynth.cli.verifying import read_key

    with Ledger.open(folder) as ledger:
        same = ledger.public_key_pem().strip() == read_key(key).strip()
    if not same:
        raise LedgerTampered(
            f"The ledger {folder} has another public key than {key}.",
            "It is consistent in itself, but it isn't the ledger of that key.",
            "Find the ledger that the key belongs to.",
        )


def _amount(price: "Price", state: "VerifiedLedger") -> dict[str, Any]:
    from accountant.price import AMOUNT_UNIT
    from accountant.report import epsilon_of
    from dpsynth.errors import ParameterError

    budget = state.budget
    try:
        epsilon = epsilon_of(price, budget.delta, budget.coordinate) if price.amount else 0.0
    except ParameterError:
        epsilon = None
    return {
        "epsilon": epsilon,
        "amount": price.amount / AMOUNT_UNIT,
        "share": price.amount / budget.cap.amount if budget.cap.amount else 0.0,
    }


def _release(release: "VerifiedRelease", state: "VerifiedLedger") -> dict[str, Any]:
    made = release.plan.get("synthesizer")
    return {
        "release_id": release.release_id,
        "date": release.date,
        "state": str(release.state),
        "outcome": release.outcome or release.reason,
        "synthesizer": made.get("name") if isinstance(made, dict) else None,
        **_amount(release.charged, state),
    }


def _row(release: dict[str, Any]) -> tuple[str, ...]:
    return (
        release["release_id"],
        release["date"],
        release["state"],
        release["outcome"] or "",
        release["synthesizer"] or "",
        _figure(release["epsilon"]),
        f"{release['share']:.1%}",
    )


def _figure(epsilon: float | None) -> str:
    return "above 20" if epsilon is None else f"{epsilon:.3f}"
