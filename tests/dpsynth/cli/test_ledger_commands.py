"""The commands that read a ledger: what a person sees, what a machine gets, and what must never be in an export."""

import csv
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from accountant import Budget, PrivacyUnit, Refusal
from accountant.ledger import Ledger, verify_entries
from accountant.ledger.export import COLUMNS, FORMULA, to_csv
from dpsynth.certificate import Dossier, open_envelope
from dpsynth.cli import main
from dpsynth.plan import make_plan
from dpsynth.report.registry import OPEN, open_fields, registry_entry
from dpsynth.schema import load_schema
from tests.dpsynth.cli.test_commands import Toy

FINE_TIME = re.compile(rf"\d{{1,2}}:\d{{2}}|T\d{{2}}|\b{int(time.time()) // 10_000}\d{{4}}\b")
"""A time of day, or seconds since 1970 of about now: exact amounts have as many digits."""

PAID_FOR = re.compile(r"synthetic\s+table\s+of\s+\d+\s+rows|number_of_privacy_units: \d+")
"""Noisy counts of a registry's entry: now and then their noise is zero."""


@pytest.fixture
def toy(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("COLUMNS", "80")
    return Toy(tmp_path, capsys)


@pytest.fixture
def released(toy: Toy) -> Toy:
    toy.make_ledger()
    toy.release("out")
    return toy


def release_of(toy: Toy) -> str:
    return str(toy.run("ledger", "show", toy.ledger)["releases"][0]["release_id"])


def reserve(toy: Toy, *, touch: bool) -> str:
    plan = make_plan(load_schema(toy.schema), epsilon=0.5, delta=1e-6)
    with Ledger.open(toy.ledger) as ledger:
        made: Any = ledger.reserve(
            dataset="toy-people", unit=plan.unit, idempotency_key=None, plan=plan.to_json(), caps=plan.caps
        )
        if touch:
            made.touch()
    return str(made.release_id)


def dossier_of(toy: Toy) -> Dossier:
    path = toy.ledger / "releases" / release_of(toy) / "certificate.json"
    key = (toy.ledger / "keys" / "signing.pub").read_bytes()
    return open_envelope(path.read_bytes(), public_key_pem=key).dossier


def exported(toy: Toy) -> list[dict[str, Any]]:
    return [json.loads(line) for line in toy.text("ledger", "export", toy.ledger).splitlines()]


def test_history_tells_every_entry_in_order(released: Toy) -> None:
    entries = released.run("ledger", "history", released.ledger)["entries"]
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    kinds = [e["entry"] for e in entries]
    assert (kinds[:3], kinds[-1]) == (["create", "reserve", "touch"], "commit")
    assert entries[1]["amount"] >= entries[-1]["amount"] > 0
    last = released.run("ledger", "history", released.ledger, "--last", 2)["entries"]
    assert last == entries[-2:]
    one = released.run("ledger", "history", released.ledger, "--release", release_of(released))["entries"]
    assert one == entries[1:]
    released.run("ledger", "history", released.ledger, "--release", "no-such-release", code=main.REFUSED)


def test_history_fits_a_terminal_and_says_what_it_leaves_out(released: Toy) -> None:
    told = released.text("ledger", "history", released.ledger, "--last", 3)
    assert max(map(len, told.splitlines())) <= 80
    assert "earlier entries aren't shown" in told
    assert "That is all of it." in released.text("ledger", "history", released.ledger)


def test_equal_charges_in_a_row_are_one_row_for_people() -> None:
    from dpsynth.cli.ledger_records import _gathered, _told

    def charge(seq: int, amount: int) -> dict[str, Any]:
        step = {"label": f"edge {seq}", "sides": ["training"], "price": {"amount": amount << 40, "delta": 0}}
        return _told({"seq": seq, "date": "2026-01-01", "kind": "charge", "release": "r", "steps": [step]})

    rows = _gathered([charge(1, 2), charge(2, 2), charge(3, 2), charge(4, 5)])
    assert [(r["#"], r["amount"], r["what"]) for r in rows] == [("1-3", 6.0, "edge 1 to edge 3"), ("4", 5.0, "edge 4")]


def test_a_charge_shows_what_the_dearer_side_paid() -> None:
    from dpsynth.cli.ledger_records import _told

    sides = (["training", "holdout"], ["holdout"])
    steps = [{"label": "both", "sides": s, "price": {"amount": 3 << 40, "delta": 0}} for s in sides]
    told = _told({"seq": 1, "date": "2026-01-01", "kind": "charge", "release": "r", "steps": steps})
    assert told["amount"] == 6.0
    assert told["what"] == "both and 1 more (training and holdout)"


def test_pending_lists_what_holds_budget_and_what_can_be_done(toy: Toy) -> None:
    toy.make_ledger()
    assert toy.run("ledger", "pending", toy.ledger)["pending"] == []
    assert "Nothing is pending" in toy.text("ledger", "pending", toy.ledger)
    waiting, opened = reserve(toy, touch=False), reserve(toy, touch=True)
    held = toy.run("ledger", "pending", toy.ledger)["pending"]
    assert [(h["release_id"], h["state"]) for h in held] == [(waiting, "reserved"), (opened, "touched")]
    assert all(h["held"] > 0 and 0 < h["share"] < 1 and h["charged"] == 0 for h in held)
    told = toy.text("ledger", "pending", toy.ledger)
    assert "return-stale" in told
    assert "ledger reconcile" in told
    assert max(map(len, told.splitlines()[2:6])) <= 80
    assert all(0 < h["lease_minutes"] <= 60 for h in held)
    toy.run("ledger", "return-stale", toy.ledger, waiting)
    assert [h["release_id"] for h in toy.run("ledger", "pending", toy.ledger)["pending"]] == [opened]


def test_exported_lines_are_the_entries_and_a_release_verifies_from_them_alone(released: Toy) -> None:
    entries = exported(released)
    with Ledger.open(released.ledger) as ledger:
        assert entries == ledger.all_entries()
    release = verify_entries([e for e in entries if e.get("release") == release_of(released)])
    assert release.outcome == "pass"
    tampered = [dict(e) for e in entries if e.get("release")]
    tampered[0]["date"] = "1999-01-01"
    with pytest.raises(Exception, match="hash"):
        verify_entries(tampered)


def test_an_export_holds_no_private_value_and_no_time_finer_than_a_date(released: Toy) -> None:
    secrets = [(released.ledger / "keys" / name).read_bytes() for name in ("signing.key", "split.key")]
    texts = [released.text("ledger", "export", released.ledger, "-f", form) for form in ("jsonl", "csv")]
    texts.append(released.text("ledger", "registry-entry", released.ledger, release_of(released)))
    rows = released.table.read_text().splitlines()[1:]
    for text in texts:
        words = re.sub(r"[0-9a-f]{16,}", "", text)  # digits within a hash say nothing
        assert not FINE_TIME.search(words)
        assert not any(row in text for row in rows)
        assert str(len(rows)) not in re.findall(r"\d+", PAID_FOR.sub("", words))
        assert str(released.folder) not in text
        for secret in secrets:
            assert secret.hex() not in text
            assert secret.decode("latin-1") not in text


def test_the_csv_has_a_row_per_charge_and_adds_up(released: Toy) -> None:
    text = released.text("ledger", "export", released.ledger, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    paid = sum(int(r["amount_units"]) for r in rows if r["entry"] == "charge" and "training" in r["sides"].split("+"))
    with Ledger.open(released.ledger) as ledger:
        release = ledger.releases()[0]
    assert paid == next(price.amount for side, price in release.totals.items() if side == "training")
    assert sum(r["entry"] == "charge" for r in rows) == len(release.steps)
    noisy = next(r for r in rows if r["event"] == "DiscreteGaussian")
    sigma = float(dict(part.split("=") for part in noisy["parameters"].split("; "))["sigma"])
    assert sigma in {step.event.sigma for step in release.steps if hasattr(step.event, "sigma")}


UNSEEN = ("\t=", "\r\n=", "  @", "\u200b=", "\ufeff@", "\u2060\u00ad+", "\x01-", "\u0301=")


@pytest.mark.parametrize("mark", [*FORMULA, *UNSEEN])
def test_no_cell_of_the_csv_starts_a_formula(mark: str) -> None:
    event = {"kind": mark + "cmd", "adjacency": mark, "sigma": "0x1p+0"}
    step = {"label": mark + "1+1", "sides": [mark], "event": event, "price": {"amount": 1, "delta": 1}}
    entry = {"seq": 1, "date": mark, "kind": "charge", "release": mark + "A1", "steps": [step], "hash": mark}
    created = {"seq": 2, "date": "2026-01-01", "kind": "create", "dataset": mark + "HYPERLINK(1)", "hash": ""}
    rows = list(csv.reader(io.StringIO(to_csv([entry, created]), newline="")))[1:]
    assert sum(cell.startswith("'") for row in rows for cell in row) == 8
    assert not any(cell.lstrip().startswith(FORMULA) for row in rows for cell in row)


def test_nested_events_are_told_with_all_their_parameters() -> None:
    from accountant.events import Composed, Gaussian, Repeat
    from accountant.ledger.export import parameters

    inner = Composed(events=(Gaussian(noise_multiplier=2.5), Gaussian(noise_multiplier=3.0)))
    told = parameters(Repeat(event=inner, count=7).to_json())
    assert "count=7" in told
    assert "[Gaussian: noise_multiplier=2.5], [Gaussian: noise_multiplier=3]" in told


def test_an_export_goes_to_a_new_file_only(released: Toy) -> None:
    out = released.folder / "export.jsonl"
    assert released.run("ledger", "export", released.ledger, "-o", out)["entries"] > 3
    assert out.read_text() == released.text("ledger", "export", released.ledger)
    released.run("ledger", "export", released.ledger, "-o", out, code=main.REFUSED)
    released.run("ledger", "export", released.ledger, "-f", "xml", code=main.REFUSED)
    assert released.run("ledger", "export", released.ledger)["text"] == out.read_text()


def test_a_registry_entry_states_the_claim_and_marks_what_is_open(released: Toy) -> None:
    release = release_of(released)
    answer = released.run("ledger", "registry-entry", released.ledger, release)
    entry, deployment = answer["entry"], answer["entry"]["deployment"]
    assert set(entry) == {"url_slug", "deployment"}
    assert list(deployment) == [
        "basic",
        "dp_variant",
        "privacy_loss",
        "deployment_model",
        "implementation",
        "administrative",
    ]
    parameters = deployment["privacy_loss"]["privacy_parameters"]
    assert 0 < parameters["epsilon"] <= 1
    assert parameters["delta"] == 1e-6
    assert deployment["basic"]["data_product_type"] == "Synthetic data"
    assert deployment["dp_variant"]["variant_name"] == "Approximate DP"
    assert deployment["deployment_model"]["model_name"] == "Central"
    assert "Discrete Gaussian" in deployment["implementation"]["mechanisms"]
    assert answer["open"] == list(open_fields(entry))
    assert {"deployment.basic.intended_use", "deployment.basic.data_curators.0.data_curator_name"} <= set(
        answer["open"]
    )
    text = released.text("ledger", "registry-entry", released.ledger, release)
    assert yaml.safe_load(text) == entry
    assert text.count(OPEN) == len(answer["open"])
    out = released.folder / "entry.yaml"
    told = released.text("ledger", "registry-entry", released.ledger, release, "-o", out)
    assert out.read_text() == text
    assert "deployment.implementation.justification" in told


def test_the_people_of_a_registry_entry_are_the_noisy_count(released: Toy) -> None:
    release, gate = release_of(released), dossier_of(released).gate
    loss = released.run("ledger", "registry-entry", released.ledger, release)["entry"]["deployment"]["privacy_loss"]
    assert loss["number_of_privacy_units"] == gate.training_people + gate.holdout_people


def test_what_was_not_released_has_no_registry_entry(toy: Toy) -> None:
    toy.make_ledger()
    waiting = reserve(toy, touch=True)
    answer = toy.run("ledger", "registry-entry", toy.ledger, waiting, code=main.REFUSED)
    assert answer["error"]["kind"] == "ParameterError"
    toy.run("ledger", "registry-entry", toy.ledger, "no-such-release", code=main.REFUSED)


def test_a_stored_certificate_that_was_changed_makes_no_entry(released: Toy) -> None:
    release = release_of(released)
    path = released.ledger / "releases" / release / "certificate.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"payload"', b'"payl0ad"'))
    answer = released.run("ledger", "registry-entry", released.ledger, release, code=main.REFUSED)
    assert answer["error"]["kind"] == "LedgerTampered"


def test_a_run_from_a_seed_has_no_registry_entry(released: Toy) -> None:
    facts = dossier_of(released)
    with Ledger.open(released.ledger) as ledger:
        budget = ledger.budget
    for changed in (replace(facts, private=False), replace(facts, gate=replace(facts.gate, verdict="fail"))):
        with pytest.raises(Refusal, match="no entry"):
            registry_entry(changed, budget=budget)
    assert registry_entry(facts, budget=budget)


@pytest.mark.parametrize("command", ["history", "pending", "export", "show", "verify"])
def test_no_ledger_is_three_sentences(toy: Toy, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main.run(["ledger", command, str(toy.folder / "none")]) == main.REFUSED
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_hostile_name_stays_text(toy: Toy) -> None:
    name, books = "=HYPERLINK(1)", toy.folder / "hostile"
    Ledger.create(books, dataset=name, budget=Budget(epsilon=1.0, delta=1e-5), unit=PrivacyUnit()).close()
    assert f"'{name}" in toy.text("ledger", "export", books, "-f", "csv")
    assert name in toy.text("ledger", "history", books)


def make_tree(toy: Toy) -> None:
    """An organisation with one team and, in it, the toy's data set and another one."""
    root = ("--level", "organisation", "--name", "office", "--expires", "2099-12-31")
    toy.run("ledger", "create", toy.ledger, "-s", toy.schema, "-e", 4, "-d", "1e-5", *root)
    scope = ("ledger", "scope", "add", toy.ledger)
    toy.run(*scope, "health", "--in", "office", "--level", "team", "-e", 2, "-d", "1e-5")
    toy.run(*scope, "toy-people", "--in", "health", "-e", 3, "-d", "1e-5", "--expires", "2098-01-31")
    toy.run(*scope, "toy-visits", "--in", "health", "-e", 1, "-d", "1e-5")


def test_a_tree_of_scopes_is_shown_as_one_and_every_scope_above_pays(toy: Toy) -> None:
    make_tree(toy)
    toy.release("out")
    shown = toy.run("ledger", "show", toy.ledger)
    scopes = {s["name"]: s for s in shown["scopes"]}
    assert [s["parent"] for s in shown["scopes"]] == [None, "office", "health", "health"]
    paid = {name: s["amounts"]["spent"]["amount"] for name, s in scopes.items()}
    assert paid["office"] == paid["health"] > 0
    assert 0 < paid["toy-people"] <= paid["health"]
    assert paid["toy-visits"] == 0
    assert (scopes["toy-people"]["expires"], scopes["health"]["expires"]) == ("2098-01-31", None)
    told = toy.text("ledger", "show", toy.ledger)
    assert max(map(len, told.splitlines())) <= 80
    assert "     toy-people (data set)" in told
    assert "2098-01-31" in told
    assert told.index("office (org)") < told.index("health (team)") < told.index("toy-people (data set)")


def test_a_release_that_a_scope_above_cannot_afford_is_refused_by_name(toy: Toy) -> None:
    make_tree(toy)
    answer = toy.release("out", epsilon=2.5, code=main.REFUSED)
    assert answer["error"]["kind"] == "BudgetExceeded"
    assert "health" in " ".join(answer["error"].values())
    assert toy.run("ledger", "show", toy.ledger)["releases"] == []


def test_a_renewal_is_recorded_with_its_reason_and_forgets_nothing(toy: Toy) -> None:
    make_tree(toy)
    toy.release("out")
    before = toy.run("ledger", "show", toy.ledger)["scopes"][2]
    renew = ("ledger", "renew", toy.ledger, "toy-people", "-d", "1e-5")
    answer = toy.run(*renew, "-e", 4, "--reason", "second wave")
    assert answer["scope"]["epsilon"] == 4
    assert answer["scope"]["expires"] == "2098-01-31"
    assert answer["scope"]["amounts"]["spent"]["amount"] == before["amounts"]["spent"]["amount"]
    assert toy.run(*renew, "-e", 4, "--reason", "no end", "--expires", "never")["scope"]["expires"] is None
    last = toy.run("ledger", "history", toy.ledger, "--last", 2)["entries"]
    assert [e["entry"] for e in last] == ["renew", "renew"]
    assert "second wave" in last[0]["what"]
    assert toy.run(*renew, "-e", 0.01, "--reason", "too little", code=main.REFUSED)["error"]["kind"] == "LedgerError"
    assert toy.run(*renew, "-e", 4, code=main.REFUSED)["error"]["kind"] == "UsageError"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (("x", "--in", "nowhere"), "LedgerError"),
        (("x", "--in", "toy-people", "--level", "team"), "LedgerError"),
        (("x", "--in", "office", "--level", "planet"), "ParameterError"),
        (("x", "--in", "office", "--expires", "tomorrow"), "ParameterError"),
        (("health", "--in", "office"), "LedgerError"),
        (("x\u202e", "--in", "office"), "ParameterError"),
        (("", "--in", "office"), "ParameterError"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_and_nothing_is_added(toy: Toy, more: tuple[str, ...], kind: str) -> None:
    make_tree(toy)
    before = toy.run("ledger", "show", toy.ledger)
    answer = toy.run("ledger", "scope", "add", toy.ledger, *more, "-e", 1, "-d", "1e-5", code=main.REFUSED)
    assert answer["error"]["kind"] == kind
    assert toy.run("ledger", "show", toy.ledger) == before


def test_a_run_that_died_after_it_opened_the_data_is_reconciled_once(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.make_ledger()
    opened = reserve(toy, touch=True)
    answer = toy.run("ledger", "reconcile", toy.ledger, opened)
    assert answer["charged"] == 0
    assert answer["returned"] > 0
    assert toy.run("ledger", "pending", toy.ledger)["pending"] == []
    toy.run("ledger", "reconcile", toy.ledger, opened, code=main.REFUSED)
    assert toy.run("ledger", "verify", toy.ledger)["verified"]


def test_a_ledger_in_postgres_is_made_shown_and_exported_as_any_other(toy: Toy) -> None:
    from tests.accountant import servers

    lacking = servers.missing()
    if lacking is not None:
        pytest.skip(f"no PostgreSQL: {lacking}")
    with servers.server() as running:
        where = running.place()
        more = ("--postgres", where.conninfo, "--postgres-schema", where.schema)
        made = toy.run("ledger", "create", toy.ledger, "-s", toy.schema, "-e", 3, "-d", "1e-5", *more)
        reserve(toy, touch=True)
        assert not (toy.ledger / "ledger.sqlite").exists()
        assert toy.run("ledger", "verify", toy.ledger, "-k", made["public_key"])["entries"] == 3
        assert len(toy.run("ledger", "pending", toy.ledger)["pending"]) == 1
        assert [e["kind"] for e in exported(toy)] == ["create", "reserve", "touch"]
        again = toy.run("ledger", "create", toy.folder / "b", "-s", toy.schema, "-e", 3, "-d", 1e-5, *more, code=2)
        assert again["error"]["kind"] == "LedgerError"


def test_a_server_that_is_not_there_is_three_sentences(toy: Toy) -> None:
    where = ("--postgres", f"host={toy.folder / 'no-socket'} dbname=none connect_timeout=2")
    answer = toy.run("ledger", "create", toy.ledger, "-s", toy.schema, "-e", 3, "-d", "1e-5", *where, code=main.REFUSED)
    assert answer["error"]["kind"] in {"LedgerError", "MissingExtra"}
    assert not toy.ledger.exists()


def test_shares_and_the_registry_are_of_the_data_sets_own_budget(toy: Toy) -> None:
    make_tree(toy)
    toy.release("out")
    shown = toy.run("ledger", "show", toy.ledger)
    own = next(s for s in shown["scopes"] if s["name"] == "toy-people")
    assert shown["releases"][0]["share"] == own["amounts"]["spent"]["share"]
    loss = toy.run("ledger", "registry-entry", toy.ledger, release_of(toy))["entry"]["deployment"]["privacy_loss"]
    assert "The budget is epsilon 3 at delta 1e-05" in json.dumps(loss)
    waiting = reserve(toy, touch=False)
    held = toy.run("ledger", "pending", toy.ledger)["pending"]
    own = next(s for s in toy.run("ledger", "show", toy.ledger)["scopes"] if s["name"] == "toy-people")
    assert [h["release_id"] for h in held] == [waiting]
    assert held[0]["share"] == pytest.approx(held[0]["held"] / own["amounts"]["budget"]["amount"])


@pytest.mark.parametrize(
    "root",
    [
        ("--level", "organisation"),
        ("--level", "team", "--name", "toy-people"),
        ("--name", "people-of-another-name"),
    ],
)
def test_a_root_that_its_data_set_could_not_be_in_is_refused(toy: Toy, root: tuple[str, ...]) -> None:
    create = ("ledger", "create", toy.ledger, "-s", toy.schema, "-e", 4, "-d", "1e-5")
    assert toy.run(*create, *root, code=main.REFUSED)["error"]["kind"] == "ParameterError"
    assert not toy.ledger.exists()
    assert toy.run(*create, "--name", "toy-people")["ledger"]
