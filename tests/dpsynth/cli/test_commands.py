"""The commands on a small table, from declaring it to verifying its release; machines read one JSON object each."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dpsynth.cli import main

SCHEMA = """
dpsynth: 1
dataset: toy-people
tables:
  - name: people
    columns:
      sex: {kind: categorical, categories: [f, m]}
      age: {kind: integer, bounds: [0, 99], bins: 10}
"""


def lenient_policy() -> str:
    """The standard policy with margins so wide that an honest table passes as good as always."""
    from dpsynth.gate import load_policy

    policy = load_policy("standard").to_json()
    for attack in policy["attacks"]:
        attack["alpha"] = "1/1000000000"
    return json.dumps(policy | {"name": "lenient", "noise_alpha": "1/1000000000", "tolerable_leak": "999/1000"})


ROWS = [f"{'fm'[i * i % 7 % 2]},{i * 37 % 100}" for i in range(1500)]


class Toy:
    """A folder with a table and a schema, and a command line in it that answers in JSON."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.table, self.schema, self.ledger = folder / "people.csv", folder / "people.yaml", folder / "books"
        self.table.write_text("sex,age\n" + "\n".join(ROWS) + "\n")
        self.schema.write_text(SCHEMA)
        self.policy = folder / "policy.yaml"
        self.policy.write_text(lenient_policy())

    def run(self, *argv: object, code: int = main.DONE) -> dict[str, Any]:
        self._capsys.readouterr()
        assert main.run([*map(str, argv), "--json"]) == code, self._capsys.readouterr()
        captured = self._capsys.readouterr()
        assert captured.err == ""
        answer = json.loads(captured.out)
        assert captured.out.count("\n") == 1
        assert isinstance(answer, dict)
        return answer

    def text(self, *argv: object, code: int | None = main.DONE) -> str:
        self._capsys.readouterr()
        ended = main.run([*map(str, argv)])
        assert ended == code or (code is None and ended in {main.DONE, main.GATED}), self._capsys.readouterr()
        return self._capsys.readouterr().out

    def make_ledger(self, epsilon: float = 3.0) -> dict[str, Any]:
        return self.run("ledger", "create", self.ledger, "-s", self.schema, "-e", epsilon, "-d", "1e-5")

    def release(self, name: str, *more: object, code: int = main.DONE, epsilon: float = 1.0) -> dict[str, Any]:
        out = self.folder / name
        budget = ("-e", epsilon, "-d", "1e-6")
        where = ("-l", self.ledger, "-o", out, "--policy", self.policy)
        return self.run("release", self.table, "-s", self.schema, *budget, *where, *more, code=code)


@pytest.fixture
def toy(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("COLUMNS", "100")
    return Toy(tmp_path, capsys)


def test_check_tells_structure_and_keeps_values_apart(toy: Toy) -> None:
    answer = toy.run("check", toy.table, "-s", toy.schema)
    assert answer["columns"] == ["sex", "age"]
    clean = toy.text("check", toy.table, "-s", toy.schema, "--values", toy.folder / "clean.txt")
    toy.table.write_text(toy.table.read_text().replace("f,37\n", "Qx,37\n"))
    dirty = toy.text("check", toy.table, "-s", toy.schema, "--values", toy.folder / "dirty.txt")
    assert clean.replace("clean", "dirty") == dirty
    assert (toy.folder / "clean.txt").read_text() != (toy.folder / "dirty.txt").read_text()


def test_check_refuses_another_header(toy: Toy) -> None:
    toy.table.write_text("sex,years\nf,3\n")
    assert toy.run("check", toy.table, "-s", toy.schema, code=main.REFUSED)["error"]["kind"] == "TableError"


def test_plan_shares_the_budget(toy: Toy) -> None:
    answer = toy.run("plan", "-s", toy.schema, "-e", 1, "-d", 1e-6)
    shares: dict[str, float] = {}
    for step in answer["steps"]:
        shares[step["side"]] = shares.get(step["side"], 0) + float(step["share"].rstrip("%"))
    assert set(shares) == {"training", "holdout"}
    assert all(99 < share < 100.2 for share in shares.values())
    assert "synthesizer" in toy.text("plan", "-s", toy.schema, "-e", 1, "-d", 1e-6)


def test_plan_shows_a_third_side_where_a_policy_compares(toy: Toy) -> None:
    told = toy.text("plan", "--schema", toy.schema, "--epsilon", 1, "--delta", "1e-6")
    assert "training or holdout. The release is charged the largest." in " ".join(told.split())
    policy = ("--policy", "research-likelihood")
    told = toy.text("plan", "--schema", toy.schema, "--epsilon", 1, "--delta", "1e-6", *policy)
    assert "training, holdout or reference. The release is charged the largest." in " ".join(told.split())
    assert "noisy marginals to compare with" in " ".join(told.split())


def test_plan_says_how_far_a_person_moves_which_marginals(toy: Toy) -> None:
    unit = "    privacy_unit: {column: id, max_rows: 4, distinct: [age]}\n"
    toy.schema.write_text(SCHEMA.replace("    columns:\n", f"{unit}    columns:\n      id: {{kind: identifier}}\n"))
    answer = toy.run("plan", "-s", toy.schema, "-e", 1, "-d", 1e-6)
    assert answer["moves"] == [
        {"marginals with": ["age"], "sensitivity": 2.0},
        {"marginals with": [], "sensitivity": 4.0},
    ]
    told = " ".join(toy.text("plan", "-s", toy.schema, "-e", 1, "-d", 1e-6).split())
    assert "One person moves marginals by at most, in rows: with age: 2; others: 4." in told


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", "1e300"])
def test_plan_refuses_numbers_out_of_range(toy: Toy, epsilon: str) -> None:
    answer = toy.run("plan", "-s", toy.schema, f"--epsilon={epsilon}", "-d", 1e-6, code=main.REFUSED)
    assert answer["error"]["kind"] == "ParameterError"


def test_a_release_from_ledger_to_verification(toy: Toy) -> None:
    made = toy.make_ledger()
    released = toy.release("out")
    out = Path(released["out"])
    assert (released["verdict"], released["stored"]) == ("PASS", False)
    assert (out / "SYNTHETIC-people.csv").read_text().startswith("sex,age\n")
    verified = toy.run("verify", out, "-k", made["public_key"])
    assert verified["verified"]
    assert {check["name"] for check in verified["checks"]} >= {"signature", "privacy", "ledger"}
    shown = toy.run("ledger", "show", toy.ledger)
    assert [r["release_id"] for r in shown["releases"]] == [released["release_id"]]
    assert 0 < shown["amounts"]["spent"]["epsilon"] <= 1.0
    told = toy.text("ledger", "show", toy.ledger)
    assert released["release_id"] in told
    assert "toy-people" in told
    assert toy.run("ledger", "verify", toy.ledger, "-k", made["public_key"])["verified"]


def test_the_same_key_returns_the_stored_release(toy: Toy) -> None:
    toy.make_ledger()
    first = toy.release("one", "--idempotency-key", "monday")
    again = toy.release("two", "--idempotency-key", "monday")
    assert again["stored"]
    assert again["release_id"] == first["release_id"]
    for path in Path(first["out"]).iterdir():
        assert (Path(again["out"]) / path.name).read_bytes() == path.read_bytes()
    assert toy.release("three", "--idempotency-key", "monday", epsilon=0.5, code=main.REFUSED)["error"]


def test_a_release_beyond_the_budget_is_refused_uncharged(toy: Toy) -> None:
    toy.make_ledger(epsilon=0.9)
    before = toy.run("ledger", "show", toy.ledger)
    answer = toy.release("out", epsilon=2.0, code=main.REFUSED)
    assert answer["error"]["kind"] == "BudgetExceeded"
    assert toy.run("ledger", "show", toy.ledger) == before
    assert not (toy.folder / "out").exists()


def test_an_existing_output_is_refused_uncharged(toy: Toy) -> None:
    toy.make_ledger()
    (toy.folder / "out").mkdir()
    assert toy.release("out", code=main.REFUSED)["error"]["kind"] == "OutputError"
    assert toy.run("ledger", "show", toy.ledger)["releases"] == []


def test_review_stores_and_publish_publishes(toy: Toy) -> None:
    made = toy.make_ledger()
    stored = toy.release("out", "--review")
    assert not (toy.folder / "out").exists()
    published = toy.run("publish", stored["out"], "-o", toy.folder / "out")
    assert toy.run("verify", published["out"], "-k", made["public_key"])["verified"]
    assert toy.run("publish", stored["out"], "-o", toy.folder / "out", code=main.REFUSED)["error"]


def test_verify_refuses_another_key_and_a_changed_byte(toy: Toy) -> None:
    toy.make_ledger()
    out = Path(toy.release("out")["out"])
    other = toy.run("ledger", "create", toy.folder / "other", "-s", toy.schema, "-e", 3, "-d", "1e-5")["public_key"]
    key = toy.ledger / "keys" / "signing.pub"
    toy.run("verify", out, "-k", other, code=main.REFUSED)
    toy.run("verify", out, "-k", toy.folder / "none.pub", code=main.REFUSED)
    assert toy.run("ledger", "verify", toy.ledger, "-k", other, code=main.REFUSED)["error"]["kind"] == "LedgerTampered"
    table = out / "SYNTHETIC-people.csv"
    whole = bytearray(table.read_bytes())
    whole[-2] ^= 1
    table.write_bytes(whole)
    toy.run("verify", out, "-k", key, code=main.REFUSED)


def test_a_dead_reservation_is_given_back_and_a_touched_one_is_not(toy: Toy) -> None:
    from accountant.ledger import Ledger
    from dpsynth.plan import make_plan
    from dpsynth.schema import load_schema

    toy.make_ledger()
    plan = make_plan(load_schema(toy.schema), epsilon=1.0, delta=1e-6)
    with Ledger.open(toy.ledger) as ledger:
        made = [
            ledger.reserve(
                dataset="toy-people", unit=plan.unit, idempotency_key=None, plan=plan.to_json(), caps=plan.caps
            )
            for _ in range(2)
        ]
        made[1].touch()  # type: ignore[union-attr]
    assert toy.run("ledger", "show", toy.ledger)["amounts"]["reserved"]["share"] > 0.1
    assert toy.run("ledger", "return-stale", toy.ledger, made[0].release_id)["returned"] > 0
    toy.run("ledger", "return-stale", toy.ledger, made[1].release_id, code=main.REFUSED)
    toy.run("ledger", "return-stale", toy.ledger, "no-such-release", code=main.REFUSED)


def test_an_outside_synthesizer_goes_through_the_line(toy: Toy) -> None:
    import sys

    fake = Path(__file__).parents[1] / "external" / "fake_synthesizer.py"
    claim = toy.folder / "claim.yaml"
    command = [sys.executable, str(fake), "{train}", "{domain}", "{out}", "{epsilon}", "{rows}"]
    claim.write_text(
        f"command: {json.dumps(command)}\n"
        "claim: {epsilon: 0.15, delta: 1e-10, adjacency: add-remove, unit: row, row_count_private: true}\n"
    )
    toy.make_ledger()
    released = toy.release("out", "--synthesizer", "external", "--external-config", claim)
    ledger = json.loads((Path(released["out"]) / "ledger.json").read_text())
    steps = [json.dumps(step) for entry in ledger for step in entry.get("steps", [])]
    assert sum("ApproxDP" in step for step in steps) == 1
    assert toy.run("verify", released["out"], "-k", released["public_key"])["verified"]


@pytest.mark.parametrize("more", [("--synthesizer", "external"), ("--external-config", "x.yaml")])
def test_half_an_outside_synthesizer_is_refused(toy: Toy, more: tuple[str, str]) -> None:
    toy.make_ledger()
    assert toy.release("out", *more, code=main.REFUSED)["error"]["kind"] == "ParameterError"


def test_attack_tells_nothing_but_where(toy: Toy) -> None:
    annex = toy.folder / "attack.json"
    copy = toy.folder / "copy.csv"
    copy.write_text(toy.table.read_text())
    answer = toy.run("attack", copy, "-t", toy.table, "-s", toy.schema, "--annex", annex)
    assert answer == {"annex": str(annex)}
    assert annex.stat().st_mode & 0o777 == 0o600
    assert json.loads(annex.read_text())["exact_match"] == 1.0


def test_attack_with_a_holdout_adds_what_other_tools_report(toy: Toy) -> None:
    copy, annex = toy.folder / "copy.csv", toy.folder / "attack.json"
    copy.write_text(toy.table.read_text())
    asked = ("attack", copy, "-t", toy.table, "-s", toy.schema, "--holdout", toy.table)
    assert toy.run(*asked, "--annex", annex) == {"annex": str(annex)}
    found = json.loads(annex.read_text())["for comparison"]
    assert found["distance_auc"] == 0.5
    assert found["identical_share"] == found["identical_share_holdout"] == 1.0
    assert set(found["risks"]) == {"singling out", "linkability", "inference"}
    toy.run(*asked, "--annex", toy.folder / "more.json", "--secret", "nobody", code=main.REFUSED)


def test_the_demo_releases_and_verifies(toy: Toy) -> None:
    out = toy.folder / "demo"
    told = toy.text("demo", "--out", out, code=None)  # an honest table fails the noisy gate about once in a hundred
    assert "verified" in told.lower() or "destroyed" in told
    assert (out / "certificate.json").is_file()
    assert toy.run("ledger", "show", toy.folder / "demo-ledger")["dataset"]
    assert toy.run("demo", "--out", out, code=main.REFUSED)["error"]["kind"] == "OutputError"


def test_init_drafts_from_names_and_types_alone(toy: Toy) -> None:
    draft = toy.folder / "draft.yaml"
    toy.run("init", toy.table, "-o", draft)
    toy.table.write_text("sex,age\nQ,7\n")
    assert toy.text("init", toy.table) == draft.read_text()
    toy.run("check", toy.table, "-s", draft, code=main.REFUSED)
    toy.run("init", toy.table, "-o", draft, code=main.REFUSED)


def test_init_looks_at_a_public_table(toy: Toy) -> None:
    draft = toy.folder / "draft.yaml"
    toy.run("init", toy.table, "-o", draft, "--public")
    assert "values of the public table" in draft.read_text()
    toy.run("check", toy.table, "-s", draft)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_sample_is_labelled(toy: Toy, name: str, seed: int | None) -> None:
    from dpsynth.fitting import fit

    toy.make_ledger()
    model = toy.folder / "people.model"
    budget = {"epsilon": 1.0, "delta": 1e-6}
    fit(toy.table, toy.schema, **budget, ledger=toy.ledger, synthesizer="independent", test_seed=seed).save(model)
    answer = toy.run("sample", model, "-n", 20, "-o", toy.folder / name, "--seed", 3)
    assert "NOT RELEASED" in answer["label"]
    assert Path(answer["out"]).name == f"NOT-RELEASED-{'' if seed is None else 'NOT-PRIVATE-'}{name}"
    assert Path(answer["out"]).is_file()
    if name.endswith(".parquet"):
        label = pq.read_schema(answer["out"]).metadata[b"dpsynth"].decode()
        assert label == answer["label"]
        assert ("NOT PRIVATE" in label) == (seed is not None)
    toy.run("sample", model, "-n", 20, "-o", toy.folder / name, code=main.REFUSED)
    toy.run("sample", toy.schema, "-n", 20, "-o", toy.folder / "x.csv", code=main.REFUSED)


def test_samples_that_were_asked_for_say_what_was_done(toy: Toy) -> None:
    from dpsynth.fitting import fit

    toy.make_ledger()
    model, other = toy.folder / "people.model", toy.folder / "other.csv"
    fit(toy.table, toy.schema, epsilon=1.0, delta=1e-6, ledger=toy.ledger, synthesizer="mst").save(model)
    other.write_text("sex,age\nf,\n,41\nm,3\n")
    new = ("sample", model, "-n", 40, "--seed", 1, "-o")
    even = toy.run(*new, toy.folder / "even.csv", "--target", "{sex: {f: 0.25}}", "--where", "{age: {from: 50}}")
    lines = Path(even["out"]).read_text().splitlines()[1:]
    assert sum(line.startswith("f,") for line in lines) == 10
    assert all(int(line.split(",")[1]) >= 50 for line in lines)
    done = json.loads(Path(even["made"]).read_text())["done"]
    assert done[0]["target"]["columns"] == ["sex"]
    declared = ("--dataset", "neighbours")
    filled = toy.run("sample", model, "-o", toy.folder / "filled.csv", "--impute", other, *declared, "--seed", 1)
    rows = [line.split(",") for line in Path(filled["out"]).read_text().splitlines()[1:]]
    assert [rows[0][0], rows[1][1], *rows[2]] == ["f", "41", "m", "3"]
    assert all(value for row in rows for value in row)
    public = toy.folder / "public.csv"
    public.write_text("age,sex\n41,f\n")
    both = toy.run(*new, toy.folder / "both.parquet", "--join", public, *declared, "--given", "{sex: m}")
    assert pq.read_table(both["out"])["origin"].to_pylist() == ["synthetic"] * 40 + ["public"]
    assert "JOINED" in both["label"]
    for wrong in (
        (*new, toy.folder / "x.csv", "--target", "{sex: {f: 2}}"),
        (*new, toy.folder / "x.csv", "--target", "[1, 2]"),
        (*new, toy.folder / "x.csv", "--where", "{sex: "),
        (*new, toy.folder / "x.csv", "--join", public),
        (*new, toy.folder / "x.csv", *declared),
        (*new, toy.folder / "x.csv", "--impute", other, *declared),
        ("sample", model, "-o", toy.folder / "x.csv"),
        ("sample", model, "-o", toy.folder / "x.csv", "--impute", other, "--dataset", "toy-people"),
        ("sample", model, "-o", toy.folder / "x.csv", "--impute", other, *declared, "--given", "{sex: f}"),
        ("sample", model, "-o", toy.folder / "x.csv", "--impute", other, *declared, "--null-is-value", "age"),
    ):
        toy.run(*wrong, code=main.REFUSED)
    assert not (toy.folder / "NOT-RELEASED-x.csv").exists()


def test_copied_rows_fail_the_gate_in_code_three(toy: Toy) -> None:
    """An outside synthesizer that returns its training rows: the gate sees it, and no table is published."""
    import sys

    toy.schema.write_text(SCHEMA.replace("bounds: [0, 99], bins: 10", "bounds: [0, 19999], bins: 20000"))
    toy.table.write_text("sex,age\n" + "\n".join(f"f,{i * 7919 % 20000}" for i in range(1500)) + "\n")
    claim, made = toy.folder / "claim.yaml", toy.make_ledger()
    copy = "import shutil,sys; shutil.copy(*sys.argv[1:])"
    claim.write_text(
        f"command: {json.dumps([sys.executable, '-c', copy, '{train}', '{out}'])}\n"
        "claim: {epsilon: 0.15, delta: 1e-10, adjacency: add-remove, unit: row, row_count_private: true}\n"
    )
    answer = toy.release("out", "--synthesizer", "external", "--external-config", claim, code=main.GATED)
    assert answer["verdict"] == "FAIL"
    assert not list(toy.folder.rglob("*SYNTHETIC*"))
    assert toy.run("verify", answer["out"], "-k", made["public_key"])["verdict"] == "fail"
    assert toy.run("ledger", "show", toy.ledger)["amounts"]["spent"]["epsilon"] > 0.1
