"""Commands that read a ledger's records: history, what is pending, exports, an entry for a public registry."""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, LedgerFolder, ReleaseId

if TYPE_CHECKING:
    from accountant.ledger import Ledger

__all__ = ["Form", "export", "history", "pending", "registry_entry"]

_OUT = typer.Option(
    "--out", "-o", metavar="FILE", help="Where it goes; must not exist.", show_default="standard output"
)


class Form(StrEnum):
    """How a ledger is exported."""

    JSONL = "jsonl"
    CSV = "csv"


def history(
    folder: LedgerFolder,
    release: Annotated[
        str | None, typer.Option("--release", "-r", metavar="RELEASE", help="Only its entries.", show_default="all")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, metavar="N", help="Only the last N entries; 0 for all of them.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Show what happened, entry by entry: who reserved, what was charged, how it ended.

    Nothing here can be changed or removed; each entry holds the hash of the one before it.

    Example: `dpsynth ledger history people-ledger --last 20`
    """
    from accountant.ledger import Ledger

    with Ledger.open(folder) as ledger:
        symbol = ledger.budget.coordinate.symbol
        if release is not None:
            ledger.release(release)
        chosen = ledger.all_entries() if release is None else ledger.entries(release)
        told = [_told(entry) for entry in (chosen[-last:] if last else chosen)]
    output = Output(as_json=as_json)
    output.result({"ledger": str(folder), "entries": told})
    output.table(
        f"History of {folder}",
        ("#", "date", "release", "entry", symbol, "what"),
        [(t["#"], t["date"], t["release"][:8], t["entry"], _plus(t["amount"]), t["what"]) for t in _gathered(told)],
        numbers=(4,),
    )
    left_out = len(chosen) - len(told)
    output.say(f"{left_out} earlier entries aren't shown (--last 0 shows all)." if left_out else "That is all of it.")


def pending(folder: LedgerFolder, as_json: AsJson = False) -> None:
    """Show the releases that hold budget without having ended, and what can be done about each.

    A run that is still going is pending, too: look before you give anything back. Its lease says for how long the
    ledger takes it for alive.

    Example: `dpsynth ledger pending people-ledger`
    """
    from accountant.ledger import Ledger

    with Ledger.open(folder) as ledger:
        symbol = ledger.budget.coordinate.symbol
        held = [_held(ledger, each) for each in ledger.releases() if str(each.state) in _ADVICE]
    output = Output(as_json=as_json)
    output.result({"ledger": str(folder), "pending": held})
    if not held:
        output.say("Nothing is pending: every release has ended.")
        return
    output.table(
        f"Pending in {folder}",
        ("release", "since", "state", f"holds {symbol}", "share", "charged", "lease"),
        [
            (
                h["release_id"],
                h["since"],
                h["state"],
                f"{h['held']:.6f}",
                f"{h['share']:.1%}",
                f"{h['charged']:.6f}",
                _lease_words(h["lease_minutes"]),
            )
            for h in held
        ],
        numbers=(3, 4, 5),
    )
    for state in dict.fromkeys(h["state"] for h in held):
        output.say(f"{state}: {_ADVICE[state]}")


def export(
    folder: LedgerFolder,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            "-f",
            help="`jsonl`: every entry with its hash, as it is chained. `csv`: a row per charge, for a spreadsheet.",
        ),
    ] = Form.JSONL,
    out: Annotated[Path | None, _OUT] = None,
    as_json: AsJson = False,
) -> None:
    """Export the whole ledger as JSON lines or CSV: public facts only, nothing about a record.

    The ledger is verified first. Texts that a spreadsheet would run as a formula get an apostrophe in front (CSV).

    Example: `dpsynth ledger export people-ledger --format csv --out ledger.csv`
    """
    from accountant.ledger import Ledger
    from accountant.ledger.export import json_lines, to_csv
    from dpsynth.cli.declaring import write_new

    with Ledger.open(folder) as ledger:
        entries = ledger.all_entries()
    text = to_csv(entries) if form is Form.CSV else "".join(f"{line}\n" for line in json_lines(entries))
    output, facts = Output(as_json=as_json), {"ledger": str(folder), "format": str(form), "entries": len(entries)}
    if out is None:
        output.result({**facts, "text": text})
        output.text(text)
        return
    write_new(out, text)
    output.result({**facts, "out": str(out)}, [f"Wrote {len(entries)} entries to {out}."])


def registry_entry(
    folder: LedgerFolder, release_id: ReleaseId, out: Annotated[Path | None, _OUT] = None, as_json: AsJson = False
) -> None:
    """Draft an entry of a passed release for the Differential Privacy Deployments Registry, as YAML.

    It is drawn from the signed certificate that the ledger keeps. Where it says `OPEN:` you fill in;
    the registry refuses an entry in which a closed choice is still open.

    Example: `dpsynth ledger registry-entry people-ledger 4f1c22ab90de7731 --out people.yaml`
    """
    from accountant.ledger import Ledger
    from dpsynth.cli.declaring import write_new
    from dpsynth.report.registry import open_fields, registry_entry

    with Ledger.open(folder) as ledger:
        budget = ledger.scope(ledger.release(release_id).dataset).budget
        entry = registry_entry(_dossier(ledger, release_id), budget=budget)
    left, output = open_fields(entry), Output(as_json=as_json)
    if out is None:
        output.result({"entry": entry, "open": left})
        output.text(_yaml(entry))
        return
    write_new(out, _yaml(entry))
    lines = [f"Drafted {out}.", f"{len(left)} fields are open for you to fill in:", *(f"  {name}" for name in left)]
    output.result({"out": str(out), "open": left}, lines)


def _dossier(ledger: "Ledger", release_id: str) -> Any:
    """The facts of a stored release, from the very certificate that the ledger recorded."""
    from accountant.errors import LedgerTampered
    from dpsynth.certificate import open_envelope
    from dpsynth.certificate.files import sha256_file
    from dpsynth.errors import ParameterError

    recorded = ledger.release(release_id).artefacts.get("certificate.json")
    path = ledger.folder(release_id) / "certificate.json"
    if recorded is None or not path.is_file():
        raise ParameterError(
            f"Release {release_id} has no certificate in the ledger {ledger.path}.",
            "It didn't end in a release, or its stored folder was removed.",
            "`dpsynth ledger show` lists the releases and how they ended.",
        )
    if sha256_file(path) != recorded:
        raise LedgerTampered(
            f"The stored certificate of release {release_id} isn't the one that the ledger recorded.",
            "It was changed after it was written.",
            "Restore the ledger's folder from a copy that verifies.",
        )
    return open_envelope(path.read_bytes(), public_key_pem=ledger.public_key_pem()).dossier


def _yaml(entry: Mapping[str, Any]) -> str:
    import yaml

    class Blocks(yaml.SafeDumper):
        """Writes text of several lines as a block."""

    def text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Blocks.add_representer(str, text_node)
    written: str = yaml.dump(dict(entry), Dumper=Blocks, sort_keys=False, allow_unicode=True, width=100)
    return written


_ADVICE = {
    "reserved": "it never touched the data; if its run is surely dead, `dpsynth ledger return-stale` gives all back.",
    "touched": "the data was opened; if its run is surely dead, `dpsynth ledger reconcile` keeps what it charged only.",
}


def _held(ledger: "Ledger", release: Any) -> dict[str, Any]:
    from accountant.ledger.entries import VERSION
    from accountant.ledger.replay import owed
    from accountant.price import AMOUNT_UNIT

    cap = ledger.scope(release.dataset).cap.amount
    return {
        "release_id": release.release_id,
        "since": release.date,
        "state": str(release.state),
        "held": release.charged.amount / AMOUNT_UNIT,
        "share": release.charged.amount / cap if cap else 0.0,
        "charged": owed(release.totals, release.unit, VERSION).amount / AMOUNT_UNIT,
        "dataset": release.dataset,
        "lease_minutes": _lease_minutes(ledger, release.release_id),
    }


def _lease_minutes(ledger: "Ledger", release_id: str) -> int | None:
    """Whole minutes for which a release is surely somebody's; 0 where that is over, None where it never was."""
    from accountant.ledger.leases import now

    lease = ledger.lease(release_id)
    return None if lease is None else max(0, math.ceil((lease[1] - now()) / 60))


def _lease_words(minutes: int | None) -> str:
    return "none" if minutes is None else f"{minutes} min" if minutes else "over"


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One entry in words; an entry of a kind that has no words of its own shows its name."""
    from accountant.price import AMOUNT_UNIT

    kind = str(entry["kind"])
    units, what = _WORDS.get(kind, _no_words)(entry)
    return {
        "seq": entry["seq"],
        "date": entry["date"],
        "entry": kind,
        "release": entry.get("release", ""),
        "amount": None if units is None else units / AMOUNT_UNIT,
        "what": what,
    }


def _no_words(_: Mapping[str, Any]) -> tuple[int | None, str]:
    return None, ""


def _create_words(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    return None, f"{entry['dataset']}, {_budget_words(entry['budget'])}{_until(entry)}"


def _budget_words(budget: Mapping[str, Any]) -> str:
    return f"epsilon {float.fromhex(budget['epsilon']):g} at delta {float.fromhex(budget['delta']):g}"


def _reserve_words(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    made, budget = entry["plan"].get("synthesizer"), entry["plan"].get("budget")
    name = made.get("name", "") if isinstance(made, Mapping) else ""
    return entry["price"]["amount"], ", ".join(w for w in (name, _budget_words(budget) if budget else "") if w)


def _charge_words(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    sides: dict[str, int] = {}
    for step in entry["steps"]:
        for side in step["sides"]:
            sides[side] = sides.get(side, 0) + step["price"]["amount"]
    more = len(entry["steps"]) - 1
    what = entry["steps"][0]["label"] + (f" and {more} more" if more else "")
    return max(sides.values()), what if tuple(sides) == ("training",) else f"{what} ({' and '.join(sides)})"


def _scope_words(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    return None, f"{entry['scope']} in {entry['parent']}, {_budget_words(entry['budget'])}{_until(entry)}"


def _renew_words(entry: Mapping[str, Any]) -> tuple[int | None, str]:
    return None, f"{entry['scope']}, {_budget_words(entry['budget'])}{_until(entry)}: {entry['reason']}"


def _until(entry: Mapping[str, Any]) -> str:
    return f", until {entry['expires']}" if entry.get("expires") else ""


_WORDS: dict[str, Callable[[Mapping[str, Any]], tuple[int | None, str]]] = {
    "create": _create_words,
    "scope": _scope_words,
    "renew": _renew_words,
    "reserve": _reserve_words,
    "touch": lambda _: (None, "the data was opened"),
    "charge": _charge_words,
    "commit": lambda entry: (entry["charged"]["amount"], f"{entry['outcome']}; the unspent rest went back"),
    "takeover": lambda _: (None, "another process took it over; the one before can charge nothing more"),
    "reconcile": lambda entry: (entry["charged"]["amount"], f"{entry['reason']}; the unspent rest went back"),
    "abort": lambda entry: (entry["charged"]["amount"], f"{entry['reason']}; this much stays charged"),
}
"""Each kind of entry: what it moved (units of the dearer side, or None), and what it says."""


def _gathered(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For people: charges of one release and one amount that follow each other are one row."""
    rows: list[dict[str, Any]] = []
    for each in told:
        before = rows[-1] if rows else {}
        same = all(each[name] == before.get(name) for name in ("entry", "release", "date"))
        if same and each["entry"] == "charge" and each["amount"] == before["once"]:
            first = before["first"]
            before["#"] = f"{first['seq']}-{each['seq']}"
            before["amount"] += each["amount"]
            before["what"] = f"{first['what']} to {each['what']}"
        else:
            rows.append({**each, "#": str(each["seq"]), "once": each["amount"], "first": each})
    return rows


def _plus(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.6f}"
