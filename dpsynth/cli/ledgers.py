"""Commands on the ledger: make it, read it, check it, give back what a dead run never used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli import ledger_records, ledger_scopes
from dpsynth.cli.console import Output
from dpsynth.cli.ledger_scopes import Expires, LevelName, amount, figure, level_of, scope_facts, scope_table
from dpsynth.cli.options import AsJson, LedgerFolder, ReleaseId

if TYPE_CHECKING:
    from accountant.ledger import Postgres, VerifiedLedger, VerifiedRelease
    from accountant.ledger.scope import Level
    from dpsynth.schema import Schema

__all__ = ["app", "create_ledger"]

app = typer.Typer(
    help="Make, read and check ledgers, of one data set or many.",
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
    expires: Expires = None,
    level: LevelName = "dataset",
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Of the root, where it is wider than a data set.", show_default="the schema's data set"
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres",
            metavar="CONNINFO",
            help="Keep the entries in PostgreSQL: a libpq connection string, without a password (~/.pgpass has those).",
            show_default="a file of the folder",
        ),
    ] = None,
    postgres_schema: Annotated[
        str, typer.Option("--postgres-schema", metavar="NAME", help="The schema to make there, for this ledger alone.")
    ] = "dpsynth_ledger",
    as_json: AsJson = False,
) -> None:
    """Make a ledger: a budget, a key to sign releases with, and an empty chain of entries.

    The budget is for the data set, over every release for as long as it exists; a team may keep the entries in
    PostgreSQL, the keys and the witness stay in the folder. Only `dpsynth ledger renew` changes it,
    and the ledger records who gave which reason. For several data sets of the same people, make the root an
    organisation, a team or a project, and put scopes into it with `dpsynth ledger scope add`.

    Example: `dpsynth ledger create people-ledger --schema people.yaml -e 3 -d 1e-5`

    Example: `dpsynth ledger create books -s people.yaml -e 6 -d 1e-5 --level organisation --name statistics`
    """
    from dpsynth.schema import load_schema

    declared = load_schema(schema)
    key = create_ledger(
        folder,
        declared,
        epsilon=epsilon,
        delta=delta,
        coordinate=coordinate,
        claim_share=claim_share,
        expires=expires,
        level=level,
        name=name,
        store=None if postgres is None else _postgres(postgres, postgres_schema),
    )
    root = name or declared.dataset
    until = "" if expires is None else f", until {expires}"
    lines = [
        f"Made {folder}: epsilon {epsilon:g} at delta {delta:g} over all releases of {root}{until}.",
        f"Readers verify with the public key, {key}.",
        "Keep the rest of the folder private, on one machine, and back it up whole.",
    ]
    if level != "dataset":
        lines.append(f"Next, its data sets: dpsynth ledger scope add {folder} NAME --in {root} -e ... -d ...")
    Output(as_json=as_json).result({"ledger": str(folder), "public_key": str(key)}, lines)


@app.command("show")
def show(folder: LedgerFolder, as_json: AsJson = False) -> None:
    """Show every scope with its budget, what is spent, held and left, and every release.

    Example: `dpsynth ledger show people-ledger`
    """
    from accountant.ledger.verify import verify as verify_ledger

    state = verify_ledger(folder)
    budget, output = state.budget, Output(as_json=as_json)
    scopes = [scope_facts(scope) for scope in state.scopes]
    releases = [_release(release, state) for release in state.releases]
    output.result(
        {
            "ledger": str(folder),
            "dataset": state.dataset,
            "unit": state.unit.describe(),
            "coordinate": str(budget.coordinate),
            "delta": budget.delta,
            "amounts": scopes[0]["amounts"],
            "expires": scopes[0]["expires"],
            "scopes": scopes,
            "releases": releases,
        }
    )
    if as_json:
        return
    if len(scopes) == 1:
        _show_one(output, state, scopes[0])
    else:
        scope_table(output, f"{state.dataset}: {state.unit.describe()}, epsilon at each scope's delta", scopes)
    several = sum(s["level"] == "dataset" for s in scopes) > 1
    _show_releases(output, f"Releases, epsilon at delta {budget.delta:g}", releases, several=several)
    waiting = sum(r["state"] in {"reserved", "touched"} for r in releases)
    if waiting:
        output.say(f"{waiting} of them hold budget without having ended: dpsynth ledger pending {folder}")
    output.say(f"Epsilons don't add up; {budget.coordinate.symbol} does. `left` is what one more release may cost.")
    if len(scopes) > 1:
        output.say("A release must fit every scope above it. `held` is reserved; `used` is both.")


def _show_one(output: Output, state: "VerifiedLedger", scope: dict[str, Any]) -> None:
    until = "" if scope["expires"] is None else f", until {scope['expires']}"
    output.table(
        f"{state.dataset}: {state.unit.describe()}{until}",
        ("", f"epsilon at delta {state.budget.delta:g}", state.budget.coordinate.symbol, "share"),
        [(n, figure(a["epsilon"]), f"{a['amount']:.6f}", f"{a['share']:.1%}") for n, a in scope["amounts"].items()],
        numbers=(1, 2, 3),
    )


def _show_releases(output: Output, title: str, releases: list[dict[str, Any]], *, several: bool) -> None:
    if not releases:
        output.say("No releases yet.")
        return
    output.table(
        title,
        ("release", "date", "state", "outcome", "data set" if several else "with", "epsilon", "share"),
        [_row(release, "dataset" if several else "synthesizer") for release in releases],
        numbers=(5, 6),
    )


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
    lines = [
        f"VERIFIED: {folder}, {state.seq} entries, {len(state.releases)} releases, {len(state.scopes)} scopes, "
        f"{state.checkpoints} signed checkpoints.",
        f"Head: {state.head}",
    ]
    facts = {
        "verified": True,
        "entries": state.seq,
        "head": state.head,
        "releases": len(state.releases),
        "scopes": len(state.scopes),
        "checkpoints": state.checkpoints,
    }
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
app.command("renew")(ledger_scopes.renew)
app.add_typer(ledger_scopes.app, name="scope")


@app.command("reconcile")
def reconcile(folder: LedgerFolder, release_id: ReleaseId, as_json: AsJson = False) -> None:
    """End a run that died after it opened the data, at what its steps charged; the rest goes back.

    Each step was on disk before its noise was drawn, so what was never charged was never drawn. A run that is still
    alive is refused from here on, before it can draw.

    Example: `dpsynth ledger reconcile people-ledger 4f1c22ab90de7731`
    """
    from accountant.ledger import Ledger
    from accountant.price import AMOUNT_UNIT

    with Ledger.open(folder) as ledger:
        returned = ledger.reconcile(release_id).amount / AMOUNT_UNIT
        kept = ledger.release(release_id).charged.amount / AMOUNT_UNIT
        symbol = ledger.budget.coordinate.symbol
    lines = [f"Release {release_id} has ended: {symbol} {kept:.6f} stays charged, {returned:.6f} went back."]
    Output(as_json=as_json).result({"release_id": release_id, "charged": kept, "returned": returned}, lines)


def create_ledger(
    folder: Path,
    schema: "Schema",
    *,
    epsilon: float,
    delta: float,
    coordinate: str = "gdp",
    claim_share: float | None = None,
    expires: str | None = None,
    level: str = "dataset",
    name: str | None = None,
    store: "Postgres | None" = None,
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
    _require_root(schema.dataset, level_of(level), name)
    budget = Budget(
        epsilon=epsilon,
        delta=delta,
        coordinate=Coordinate(coordinate),
        claim_share=CLAIM_SHARE if claim_share is None else claim_share,
    )
    Ledger.create(
        folder,
        dataset=name or schema.dataset,
        budget=budget,
        unit=schema.table.unit,
        level=level_of(level),
        expires=expires,
        store=store,
    ).close()
    return folder / "keys" / "signing.pub"


def _postgres(conninfo: str, schema: str) -> "Postgres":
    from accountant.ledger import Postgres

    return Postgres(conninfo=conninfo, schema=schema)


def _require_root(dataset: str, level: "Level", name: str | None) -> None:
    from accountant.ledger.scope import Level
    from dpsynth.errors import ParameterError

    if level is Level.DATASET and name not in (None, dataset):
        raise ParameterError(
            f"The ledger of one data set can't have the name {name!r}.",
            f"Releases look for the name that the schema declares, {dataset!r}.",
            "Leave --name out, or make the root an organisation, a team or a project.",
        )
    if level is not Level.DATASET and name in (None, dataset):
        raise ParameterError(
            f"The root needs a name of its own: it is {'an' if level is Level.ORGANISATION else 'a'} {level}.",
            f"The name {dataset!r} is the data set's, which is to be a scope within it, and names are unique.",
            "Give it one with --name, such as --name statistics.",
        )


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


def _release(release: "VerifiedRelease", state: "VerifiedLedger") -> dict[str, Any]:
    made = release.plan.get("synthesizer")
    budget = next(scope.budget for scope in state.scopes if scope.name == release.dataset)
    return {
        "release_id": release.release_id,
        "date": release.date,
        "state": str(release.state),
        "outcome": release.outcome or release.reason,
        "synthesizer": made.get("name") if isinstance(made, dict) else None,
        "dataset": release.dataset,
        **amount(release.charged, budget),
    }


def _row(release: dict[str, Any], whose: str) -> tuple[str, ...]:
    return (
        release["release_id"],
        release["date"],
        release["state"],
        release["outcome"] or "",
        release[whose] or "",
        figure(release["epsilon"]),
        f"{release['share']:.1%}",
    )
