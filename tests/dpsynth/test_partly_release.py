"""A gated, certified release where a part of each row is public: what is kept, charged, refused, stated, verified."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from accountant.adjacency import Adjacency
from accountant.compose import totals
from accountant.errors import LedgerError, ParameterError
from accountant.events import DiscreteGaussian
from accountant.ledger import Ledger, State
from accountant.spend import BOTH_SIDES, Side
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.partly import KEPT as KEPT_IN_WORDS
from dpsynth.certificate.partly import check_protection
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from dpsynth.encode import Encoder
from dpsynth.errors import GateRefused, TableError
from dpsynth.fitting import fit
from dpsynth.line import publish_staged, release
from dpsynth.plan import make_plan
from dpsynth.report.registry import registry_entry
from dpsynth.samples.kept import read_public
from tests.dpsynth import lines, partly
from tests.dpsynth.partly import PRIVATE, PUBLIC, RULES, SCHEMA, UNIT

ASKED = {"epsilon": 2.0, "delta": 1e-6}


def run(folder, book, name="out", data=None, declared=None, **changes):
    asked = ASKED | {"ledger": book, "out": folder / name, "policy": lines.lenient()} | changes
    return release(partly.table() if data is None else data, declared or partly.schema(), **asked)


def made(result):
    verified = verify_release(result.out, result.public_key.read_bytes())
    return verified.dossier, pq.read_table(result.out / verified.table)


def rows_of(table, columns):
    return Counter(zip(*(table[name].to_pylist() for name in columns), strict=True))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("partly")
    book = partly.ledger(folder, declared=partly.schema(SCHEMA + RULES))
    real = partly.table().filter(pa.array([w != "north" or le != "top" for w, le in zip(
        *(partly.table()[n].to_pylist() for n in ("ward", "level")), strict=True)]))
    return book, real, run(folder, book, data=real, declared=partly.schema(SCHEMA + RULES))


def test_everybodys_public_part_is_there_once_and_their_private_part_is_not(released):
    """Of training and holdout people, in another order than the records'."""
    _, real, result = released
    dossier, table = made(result)
    assert result.verdict == "PASS"
    assert table.num_rows == real.num_rows == dossier.synthesis.rows
    assert rows_of(table, PUBLIC) == rows_of(real, PUBLIC)
    same = (table["age"].to_numpy() == real["age"].to_numpy()).mean()
    assert same < 0.05
    assert table.schema.names == real.schema.names
    assert table.schema.types == real.schema.types
    assert table["id"].to_pylist()[:2] == ["S1", "S2"]
    assert not set(table["cost"].to_pylist()) & set(real["cost"].to_pylist()) - {0.0, 100.0}
    assert b"NOT PROTECTED, and as they are, by declaration: age, ward" in table.schema.metadata[b"dpsynth"]


def test_no_private_column_is_emitted_as_it_is(released):
    """Joined back by its public part, a row's private part is the model's: where the truth is known, it differs."""
    _, real, result = released
    _, table = made(result)
    keys = PUBLIC[::-1]
    sorted_real, sorted_made = (t.sort_by([(k, "ascending") for k in keys]) for t in (real, table))
    assert sorted_real.select(PUBLIC).equals(sorted_made.select(PUBLIC))
    for name in PRIVATE:
        assert rows_of(table, (*PUBLIC, name)) != rows_of(real, (*PUBLIC, name))
    for name in ("note", "level"):
        differ = [a != b for a, b in zip(sorted_real[name].to_pylist(), sorted_made[name].to_pylist(), strict=True)]
        assert np.mean(differ) > 0.3


def test_private_columns_follow_public_ones(released):
    _, real, result = released
    _, table = made(result)
    for old in (False, True):
        shares = []
        for t in (real, table):
            ages, ill = t["age"].to_numpy(), np.array([bool(v) for v in t["ill"].to_pylist()])
            shares.append(ill[(ages >= 60) == old].mean())
        assert shares[1] == pytest.approx(shares[0], abs=0.1)


def test_declared_rules_hold_in_every_row(released):
    _, _, result = released
    dossier, table = made(result)
    young = table.filter(pa.array(table["age"].to_numpy() < 18))
    assert young.num_rows > 100
    assert young["ill"].null_count == young.num_rows
    assert ("north", "top") not in rows_of(table, ("ward", "level"))
    assert any("2 declared rules hold in every row" in said for said in dossier.synthesis.post_processing)


def test_training_people_pay_for_measurements_and_both_for_the_gate(released):
    book, _, result = released
    kept = book.release(result.release_id)
    assert kept.unit == UNIT
    assert kept.state is State.COMMITTED
    assert {step.event.adjacency for step in kept.steps} == {Adjacency.REPLACE_PRIVATE}
    tests = [step for step in kept.steps if step.label.startswith("gate: ")]
    assert [step.sides for step in tests] == [(Side.TRAINING,), (Side.HOLDOUT,)]
    assert kept.steps[-2:] == tuple(tests)
    assert {step.sides for step in kept.steps[:-2]} == {(Side.TRAINING,)}
    noise = [step.event for step in kept.steps[:-2] if isinstance(step.event, DiscreteGaussian)]
    assert noise
    assert all(2.0 <= event.sensitivity**2 < 2.0 + 1e-12 for event in noise)
    paid = totals(kept.steps, kept.coordinate)
    for side in BOTH_SIDES:
        assert 0 < paid[side].amount <= kept.caps[side].amount
    gate = made(result)[0].gate
    assert tests[0].event.sensitivity == gate.grid
    assert tests[1].event.sensitivity == -(-gate.grid * gate.training_people // gate.holdout_people)


def test_two_releases_charge_the_dearer_side_twice(tmp_path):
    """Each has fresh coins, so nobody stays on one side over both."""
    book = partly.ledger(tmp_path)
    run(tmp_path, book, "one")
    once = book.spent()
    run(tmp_path, book, "two")
    assert book.spent().amount == sum(r.charged.amount for r in book.releases()) > 1.9 * once.amount


def test_the_certificate_names_what_is_protected_and_what_is_not(released):
    _, real, result = released
    dossier, _ = made(result)
    assert dossier.data.not_protected == PUBLIC == result.not_protected
    assert dossier.data.protected == PRIVATE
    assert dossier.data.adjacency == "replace-private-part"
    assert dossier.process.not_covered[0].startswith("The columns age, ward, and whatever is a function of them")
    assert dossier.gate.training_people + dossier.gate.holdout_people == real.num_rows
    assert "public number of people" in dossier.claim.delta_guidance
    assert all(set(m.attributes) & set(PRIVATE) for m in dossier.synthesis.marginals)
    page = (result.out / "report.html").read_text()
    assert "NOT PROTECTED: the columns <bdi>age</bdi>, <bdi>ward</bdi>" in page
    assert "Only the columns <bdi>ill</bdi>, <bdi>cost</bdi>, <bdi>note</bdi>, <bdi>level</bdi> are synthetic" in page
    assert "Partly synthetic data" in page
    assert "that a person is in the data" not in page
    assert "guesses membership" not in page
    assert "Public number of people" in page
    verified = verify_release(result.out, result.public_key.read_bytes())
    assert any("NOT protected, and kept as they are: age, ward" in line for line in verified.lines())
    sentence = dossier.claim.reading.sentence(adjacency=Adjacency(dossier.data.adjacency))
    assert "private columns of a person's row" in sentence
    assert "aren't protected" in sentence


def test_a_registry_entry_says_it_too(released):
    book, _, result = released
    dossier, _ = made(result)
    told = json.dumps(registry_entry(dossier, budget=book.budget))
    assert "The columns age, ward, and whatever is a function of them" in told
    assert "The number of privacy units is public, and not protected" in told
    assert "noisy count" not in told
    assert "a person is in the data can" not in told


def _changed(dossier, **parts):
    return replace(dossier, **{part: replace(getattr(dossier, part), **fields) for part, fields in parts.items()})


def test_verification_notices_what_is_said_wrongly(released):
    """Each fault alone, in facts that were signed."""
    _, _, result = released
    dossier, _ = made(result)
    entries, schema = (json.loads((result.out / f"{name}.json").read_text()) for name in ("ledger", "schema"))
    assert "NOT protected" in check_protection(dossier, entries, schema)
    words = dossier.synthesis.post_processing
    marginal, other = dossier.synthesis.marginals[0], dossier.steps[0]
    cheap = replace(other, event=replace(other.event, sensitivity=1.0))
    held = replace(other, sides=(Side.HOLDOUT,))
    faults = [
        _changed(dossier, data={"not_protected": ("age",)}),
        _changed(dossier, data={"not_protected": ()}),
        _changed(dossier, data={"protected": (*PRIVATE, "ward")}),
        _changed(dossier, data={"protected": PRIVATE[1:]}),
        _changed(dossier, process={"not_covered": dossier.process.not_covered[1:]}),
        _changed(dossier, synthesis={"post_processing": tuple(w for w in words if w != KEPT_IN_WORDS)}),
        _changed(dossier, synthesis={"preprocessing": dossier.synthesis.preprocessing[:-1]}),
        _changed(dossier, synthesis={"rows": dossier.gate.training_people}),
        _changed(dossier, synthesis={"marginals": (replace(marginal, attributes=("age", "ward")),)}),
        replace(dossier, steps=(cheap, *dossier.steps[1:])),
        replace(dossier, steps=(held, *dossier.steps[1:])),
    ]
    for fault in faults:
        with pytest.raises(VerificationFailed):
            check_protection(fault, entries, schema)
    declared = json.loads(json.dumps(schema))
    declared["tables"][0]["privacy_unit"]["public"] = ["age"]
    with pytest.raises(VerificationFailed):
        check_protection(dossier, entries, declared)
    plain = [{**entries[0], "unit": {"column": None, "max_rows": 1, "adjacency": "add-remove"}}]
    for said in (dossier, _changed(dossier, data={"not_protected": ()}),
                 _changed(dossier, data={"not_protected": (), "protected": ()})):
        with pytest.raises(VerificationFailed):
            check_protection(said, plain, schema)


def test_a_scope_of_another_adjacency_or_other_public_columns_is_refused(tmp_path):
    """Before anything of the table is read: there, the columns may be protected."""
    plain = partly.schema(SCHEMA.replace(partly.UNIT_TEXT, "{rows: 1}"))
    fewer = partly.schema(SCHEMA.replace("[ward, age]", "[ward]"))
    outside = partly.table(50).set_column(2, "age", pa.array([1_000] * 50))
    for i, declared in enumerate((plain, fewer)):
        (tmp_path / str(i)).mkdir()
        book = partly.ledger(tmp_path / str(i), declared=declared)
        with pytest.raises(LedgerError, match="The ledger protects"):
            run(tmp_path, book, f"out-{i}", data=outside)
        assert book.seq == 1
    with pytest.raises(LedgerError, match="The ledger protects"):
        run(tmp_path, partly.ledger(tmp_path), "out-3", declared=plain)


@pytest.mark.parametrize("form", ["parquet", "pandas"])
def test_every_form_but_csv_is_released(tmp_path, form):
    real = partly.table(1_200)
    data = real.to_pandas() if form == "pandas" else tmp_path / "clinic.parquet"
    pq.write_table(real, tmp_path / "clinic.parquet")
    _, table = made(run(tmp_path, partly.ledger(tmp_path), data=data))
    ages = Counter(table["age"].to_pylist())
    assert ages == Counter(real["age"].to_pylist())
    assert Counter(table["ward"].to_pylist()) == Counter(real["ward"].to_pylist())


def test_public_columns_of_every_type_are_kept_as_they_are_stored(tmp_path):
    """Also of types on which Arrow can do little: text views, narrow floats, decimals, dictionaries."""
    rows = 600
    numbers, words = [i % 90 for i in range(rows)], [["north", "south", "east"][i % 3] for i in range(rows)]
    times = [datetime(2020, 1, 1 + i % 28, i % 24) for i in range(rows)]
    view, places = pa.string_view(), "kind: categorical, categories: [north, south, east]"
    hours = "bounds: ['2020-01-01T00:00:00', '2020-02-01T00:00:00'], bins: 4, resolution: hour"
    entries = pa.array(words).dictionary_encode()
    stored = {
        "view": (pa.array(words).cast(view), places),
        "large": (pa.array(words, pa.large_string()), places),
        "entry": (entries, places),
        "rank": (pa.array([w if i % 7 else None for i, w in enumerate(words)]).cast(view),
                 "kind: ordinal, categories: [north, south, east], nullable: true"),
        "count": (pa.array(map(str, numbers)).cast(view), "kind: integer, bounds: [0, 99], bins: 4"),
        "small": (pa.array(numbers, pa.int8()), "kind: integer, bounds: [0, 99], bins: 4"),
        "half": (pa.array(np.array(numbers, np.float16) / 4), "kind: real, bounds: [0, 25], bins: 4"),
        "single": (pa.array([n / 10 for n in numbers], pa.float32()), "kind: real, bounds: [0, 10], bins: 4"),
        "price": (pa.array([Decimal(n) / 4 for n in numbers], pa.decimal128(7, 2)),
                  "kind: real, bounds: [0, 25], bins: 4"),
        "dates": (pa.array([t.date() for t in times], pa.date32()).dictionary_encode(),
                  "kind: date, bounds: ['2020-01-01', '2020-02-01'], bins: 4, nullable: true"),
        "truth": (pa.array([n % 2 == 0 for n in numbers]), "kind: boolean"),
        "said": (pa.array(["true" if n % 2 else "false" for n in numbers]).cast(view), "kind: boolean"),
        "day": (pa.array([t.date().isoformat() for t in times]).cast(view),
                "kind: date, bounds: ['2020-01-01', '2020-02-01'], bins: 4"),
        "local": (pa.array(times, pa.timestamp("ms")), f"kind: datetime, {hours}"),
        "zoned": (pa.array([t.replace(tzinfo=UTC) for t in times], pa.timestamp("us", tz="UTC")),
                  f"kind: datetime, {hours}, zone: UTC"),
    }  # fmt: skip
    declared = partly.schema("\n".join([
        "dpsynth: 1", "dataset: clinic", "tables:", "  - name: clinic",
        f"    privacy_unit: {{rows: 1, adjacency: replace-private-part, public: [{', '.join(stored)}]}}",
        "    columns:", *(f"      {name}: {{{how}}}" for name, (_, how) in stored.items()),
        "      ill: {kind: boolean}",
    ]))  # fmt: skip
    arrays = {name: array for name, (array, _) in stored.items()}
    real = pa.table(arrays | {"ill": pa.array([n > 40 for n in numbers])})
    result = run(tmp_path, partly.ledger(tmp_path, declared=declared), data=real, declared=declared)
    assert result.verdict == "PASS"
    _, table = made(result)
    assert rows_of(table, tuple(stored)) == rows_of(real, tuple(stored))
    for name, kind in zip(real.schema.names, real.schema.types, strict=True):
        assert name in ("entry", "dates") or table.schema.field(name).type == kind


def test_what_cannot_be_released_is_refused_before_anything_is_charged(tmp_path):
    book, real = partly.ledger(tmp_path), partly.table(60)
    pyarrow.csv.write_csv(real, tmp_path / "clinic.csv")
    for data, why in (
        (tmp_path / "clinic.csv", "is a CSV file"),
        (real.set_column(2, "age", pa.array([*real["age"].to_pylist()[1:], 4_711])), "outside its declared domain"),
        (real.set_column(1, "ward", pa.array([*real["ward"].to_pylist()[1:], "zqx"])), "outside its declared domain"),
    ):
        with pytest.raises(TableError, match=why) as refusal:
            run(tmp_path, book, data=data)
        assert "4711" not in str(refusal.value)
        assert "4,711" not in str(refusal.value)
        assert "zqx" not in str(refusal.value)
    with pytest.raises(ParameterError, match="Everybody's public part is kept"):
        run(tmp_path, book, rows=10)
    with pytest.raises(GateRefused, match="likelihood attack"):
        run(tmp_path, book, policy="research-likelihood")
    with pytest.raises(ParameterError, match="a part of each row is public"):
        run(tmp_path, book, synthesizer="adaptive")
    assert book.spent().amount == 0
    assert all(r.charged.amount == 0 for r in book.releases())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("      - {forbid: {ward: north, age: {below: 40}}}\n", "break a declared rule"),
        ("      - {when: {age: {below: 18}}, then: {level: low}}\n      - {when: {ward: north}, then: {level: mid}}\n",
         "leaves no value for 'level'"),
    ],
)  # fmt: skip
def test_a_public_part_that_breaks_a_rule_by_itself_is_refused_and_names_no_value(tmp_path, rules, why):
    declared = partly.schema(SCHEMA + "\n    rules:\n" + rules)
    book = partly.ledger(tmp_path, declared=declared)
    with pytest.raises(TableError, match=why) as refusal:
        run(tmp_path, book, declared=declared)
    assert book.spent().amount == 0
    assert "north" not in str(refusal.value)
    old = partly.table().filter(pa.array([(a or 0) >= 40 for a in partly.table()["age"].to_pylist()]))
    assert read_public(old, Encoder.of(declared)).rows == old.num_rows


def test_too_few_people_are_undecidable_and_a_failure_leaves_no_table(tmp_path):
    few = run(tmp_path, partly.ledger(tmp_path), data=partly.table(30))
    verified = verify_release(few.out, few.public_key.read_bytes())
    assert few.verdict == "UNDECIDABLE"
    assert verified.table is None
    assert verified.dossier.steps == ()
    assert verified.dossier.data.not_protected == PUBLIC
    assert run(tmp_path, Ledger.open(tmp_path / "ledger"), "none", data=partly.table(0)).verdict == "UNDECIDABLE"


def test_one_key_returns_the_stored_release_and_a_review_stands_between(tmp_path):
    book = partly.ledger(tmp_path)
    stored = run(tmp_path, book, publish=False, idempotency_key="k")
    spent = book.spent()
    again = run(tmp_path, book, "again", idempotency_key="k", annex=tmp_path / "other-annex")
    assert again.stored
    assert again.not_protected == PUBLIC
    assert book.spent() == spent
    publish_staged(stored.out, tmp_path / "published")
    assert verify_release(tmp_path / "published", stored.public_key.read_bytes()).table


def test_declared_retries_are_made_and_charged(tmp_path, monkeypatch):
    """The first table fails; another one is drawn for everybody, and is certified."""
    from dpsynth import line

    gates, true = [], line.run_gate

    def unlucky(*sides, **how):
        result, annex = true(*sides, **how)
        gates.append(sides[2])
        if len(gates) == 1:
            from dpsynth.gate import Verdict

            return replace(result, verdict=Verdict.FAIL), annex
        return result, annex

    monkeypatch.setattr(line, "run_gate", unlucky)
    book = partly.ledger(tmp_path)
    result = run(tmp_path, book, policy=replace(lines.lenient(), retries=1))
    dossier, table = made(result)
    assert len(gates) == 2
    assert not np.array_equal(*gates)
    assert table.num_rows == 3_000
    assert sum(step.label.startswith("gate: ") for step in dossier.steps) == 4


def test_a_public_part_is_read_alone_and_is_the_same_for_neighbours():
    """Whatever stands in private columns, of whatever type."""
    encoder, real = Encoder.of(partly.schema()), partly.table(40)
    before = read_public(real, encoder)
    for name in ("id", *PRIVATE):
        place = real.schema.get_field_index(name)
        for other in (pa.nulls(40), pa.array(["zqx"] * 40), pa.array(range(40)), pa.array([[1]] * 40)):
            after = read_public(real.set_column(place, name, other), encoder)
            assert after.rows == before.rows
            assert after.structure == before.structure
            for column in PUBLIC:
                assert np.array_equal(after.seen[column].codes, before.seen[column].codes)
                assert after.seen[column].values.equals(before.seen[column].values)


def test_a_table_that_changes_while_it_is_read_is_refused_and_stays_charged(tmp_path):
    path, book = tmp_path / "clinic.parquet", partly.ledger(tmp_path)
    pq.write_table(partly.table(1_000), path)

    class Writing:
        def stage(self, name, total=None):
            from contextlib import nullcontext

            from dpsynth.progress import SilentStage

            if name == "Reading and encoding":
                path.unlink()
                pq.write_table(partly.table(1_000, seed=1), path)
            return nullcontext(SilentStage())

    with pytest.raises(TableError, match="isn't the one that was opened"):
        run(tmp_path, book, data=path, progress=Writing())
    assert book.spent().amount > 0


def test_a_plan_is_one_of_a_release_and_counts_cost_nothing():
    plan = make_plan(partly.schema(), **ASKED)
    assert plan.purposes == ("synthesizer", "gate")
    assert plan.gate is not None
    assert plan.gate.training_amount == plan.synthesizer_amount
    assert plan.to_json()["kind"] == "release"


def test_an_ungated_fit_still_stands_beside_it(tmp_path):
    book = partly.ledger(tmp_path)
    model = fit(partly.table(800), partly.schema(), ledger=book, **ASKED)
    assert model.synthesize(partly.table(800), seed=1)["age"].equals(partly.table(800)["age"])


def test_the_command_line_plans_releases_and_verifies_it(tmp_path, capsys):
    schema, table, books, out = (tmp_path / name for name in ("clinic.yaml", "clinic.parquet", "books", "out"))
    schema.write_text(SCHEMA)
    pq.write_table(partly.table(1_500), table)
    cost = ["-e", "2", "-d", "1e-6"]
    assert main.run(["ledger", "create", str(books), "-s", str(schema), "-e", "3", "-d", "1e-5"]) == main.DONE
    assert main.run(["plan", "-s", str(schema), *cost]) == main.DONE
    told = capsys.readouterr().out
    assert "The plan of a release" in told
    assert "not protected: age, ward" in told
    assert "noisy number" not in told
    asked = ["release", str(table), "-s", str(schema), *cost, "-l", str(books)]
    assert main.run([*asked, "-o", str(out)]) == main.DONE
    told = capsys.readouterr().out
    assert "PASS." in told
    assert "NOT PROTECTED, as declared public: age, ward." in told
    assert main.run(["verify", str(out), "--key", str(books / "keys" / "signing.pub")]) == main.DONE
    told = capsys.readouterr().out
    assert "protected: the columns ill, cost, note, level; NOT protected, and kept as they are: age, ward" in told
    assert main.run([*asked, "-o", str(tmp_path / "more"), "--rows", "10"]) == main.REFUSED
    assert "Everybody's public part is kept" in capsys.readouterr().err
