"""The whole line: what is charged, published, refused, returned, and what an interruption leaves."""

import base64
import json
import os
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from accountant import faults
from accountant.compose import totals
from accountant.errors import BudgetExceeded, IdempotencyConflict, LedgerError, ParameterError, UnsupportedEvent
from accountant.ledger import State
from accountant.ledger.verify import verify
from accountant.spend import BOTH_SIDES, Side
from dpsynth import line
from dpsynth.certificate.verify import verify_release
from dpsynth.errors import OutputError
from dpsynth.external import ExternalConfig
from dpsynth.fitting import fit
from dpsynth.line import publish_staged, release
from dpsynth.noise.tables import PRECISION
from dpsynth.synthesizers import MEASURING
from tests.dpsynth import lines

EPSILON, DELTA = 2.0, 1e-6


def run(tmp_path: Path, book, name="out", data=None, **changes):
    asked = {"epsilon": EPSILON, "delta": DELTA, "ledger": book, "out": tmp_path / name, "policy": lines.lenient()}
    arguments = asked | changes
    return release(lines.table() if data is None else data, arguments.pop("schema", lines.schema()), **arguments)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    book = lines.ledger(folder)
    return folder, book, run(folder, book)


def test_a_release_verifies_and_its_table_has_the_declared_form(released):
    _, book, result = released
    assert result.verdict == "PASS"
    verified = verify_release(result.out, result.public_key.read_bytes())
    made = pq.read_table(result.out / verified.table)
    assert made.schema.names == lines.table(1).schema.names
    assert made.schema.types == lines.table(1).schema.types
    assert made.schema.metadata[b"dpsynth"].startswith(b"SYNTHETIC")
    assert set(made["ward"].to_pylist()) <= {"north", "south", "east", "west"}
    ages = made["age"].to_pylist()
    assert 0 <= min(ages) <= max(ages) <= 99
    assert verified.dossier.claim.epsilon <= EPSILON
    assert book.release(result.release_id).state is State.COMMITTED


@pytest.mark.parametrize("name", MEASURING)
def test_what_every_measuring_synthesizer_states_is_what_it_was_charged_for(tmp_path, name):
    """Its certificate verifies, so its marginals are those of its steps, in their order."""
    result = run(tmp_path, lines.ledger(tmp_path), synthesizer=name)
    dossier = verify_release(result.out, result.public_key.read_bytes()).dossier
    assert len(dossier.synthesis.marginals) >= 4
    assert dossier.synthesis.synthesizer == name


def test_every_charge_is_on_disk_and_within_its_cap(released):
    _, book, result = released
    kept = book.release(result.release_id)
    paid = totals(kept.steps, kept.coordinate)
    assert paid == dict(kept.totals)
    for side in BOTH_SIDES:
        assert paid[side].fits(kept.caps[side])
        assert paid[side].amount > 0.5 * kept.caps[side].amount
    labels = [s.label for s in kept.steps]
    assert labels.index("gate: number of training people") < labels.index("one-way marginals (ward)")
    assert {s.sides for s in kept.steps if s.label.startswith("one-way")} == {(Side.TRAINING,)}
    verify(book.path)


def test_no_public_file_or_ledger_entry_holds_the_number_of_rows(tmp_path):
    """Seeded, so that the noise can't hit the exact number by chance."""
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, data=lines.table(31_417), test_seed=5)
    public = [p.read_text() for p in result.out.iterdir() if p.suffix in (".json", ".html")]
    for text in (*public, json.dumps(book.all_entries())):
        assert "31417" not in text
        assert "31,417" not in text
    assert pq.read_metadata(next(result.out.glob("*.parquet"))).num_rows != 31_417


def test_a_stored_release_comes_back_bit_for_bit_and_uncharged(tmp_path):
    book = lines.ledger(tmp_path)
    one = run(tmp_path, book, "one", idempotency_key="march")
    spent = book.spent()
    two = run(tmp_path, book, "two", idempotency_key="march", annex=tmp_path / "other-annex")
    assert two.stored
    assert not one.stored
    assert two.release_id == one.release_id
    assert book.spent() == spent
    for path in one.out.iterdir():
        assert (two.out / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(IdempotencyConflict):
        run(tmp_path, book, "three", idempotency_key="march", rows=10)


def test_a_release_beyond_the_budget_is_refused_and_nothing_is_charged(tmp_path):
    book = lines.ledger(tmp_path, epsilon=EPSILON, delta=DELTA)
    run(tmp_path, book, "one")
    before = (book.seq, book.head, book.spent())
    with pytest.raises(BudgetExceeded):
        run(tmp_path, book, "two", epsilon=0.5)
    assert (book.seq, book.head, book.spent()) == before
    assert not (tmp_path / "two").exists()


def test_a_ledger_of_other_data_is_refused(tmp_path):
    book = lines.ledger(tmp_path)
    other = lines.schema(lines.SCHEMA.replace("dataset: wards", "dataset: other"))
    with pytest.raises(LedgerError):
        run(tmp_path, book, schema=other)
    assert book.reserved().amount == 0


@pytest.mark.parametrize("existing", ["out", "out.CONFIDENTIAL-annex"])
def test_nothing_is_overwritten(tmp_path, existing):
    book = lines.ledger(tmp_path)
    (tmp_path / existing).mkdir()
    with pytest.raises(OutputError):
        run(tmp_path, book)
    assert book.seq == 1


@pytest.mark.parametrize(
    ("out", "annex"),
    [
        ("out", "out"),
        ("out", "link"),
        ("out", "made/../out"),
        ("made/out", "made"),
        ("ledger/out", "annex"),
        ("out", "ledger/releases/annex"),
        ("link-to-ledger/out", "annex"),
    ],
)
def test_output_annex_and_ledger_stand_apart(tmp_path, out, annex):
    book = lines.ledger(tmp_path)
    (tmp_path / "made").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "link-to-ledger").symlink_to(book.path)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="stand apart"):
        run(tmp_path, book, out, annex=tmp_path / annex)
    assert book.seq == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_the_annex_may_not_lie_in_the_output(tmp_path):
    book = lines.ledger(tmp_path)
    with pytest.raises(OutputError, match="stand apart"):
        run(tmp_path, book, annex=tmp_path / "out" / "annex")
    assert book.seq == 1


REPLACED = lines.SCHEMA.replace("{rows: 1}", "{rows: 1, adjacency: replace-one}")


@pytest.mark.parametrize("gated", [True, False])
def test_replace_one_is_refused_before_the_data_is_opened(tmp_path, gated):
    declared = lines.schema(REPLACED)
    book = lines.ledger(tmp_path, declared=declared)
    budget = {"epsilon": EPSILON, "delta": DELTA, "ledger": book}
    attempt = partial(release, out=tmp_path / "out") if gated else fit
    with pytest.raises(UnsupportedEvent, match="replace-one"):
        attempt(lines.table(), declared, **budget)
    assert book.seq == 1


def test_an_outside_program_that_does_not_exist_is_refused_in_the_plan(tmp_path):
    config = ExternalConfig(command=("no-such-program", "{train}", "{out}"), claim_epsilon=0.2, claim_delta=1e-9)
    book = lines.ledger(tmp_path)
    with pytest.raises(ParameterError, match="no-such-program"):
        run(tmp_path, book, synthesizer=config)
    assert book.seq == 1


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("synthesizer", ["mst", "independent"])
def test_noise_too_wide_to_draw_is_refused_in_the_plan(tmp_path, synthesizer, gated):
    """Found in the plan for many rows a unit; the same with fewer rows runs."""

    def attempt(max_rows, name):
        declared = lines.schema(lines.PERSON_SCHEMA.replace("max_rows: 3", f"max_rows: {max_rows}"))
        (tmp_path / name).mkdir()
        book = lines.ledger(tmp_path / name, declared=declared)
        data, budget = lines.table(300, people=200), {"epsilon": 1.0, "delta": DELTA, "synthesizer": synthesizer}
        try:
            if gated:
                run(tmp_path / name, book, schema=declared, data=data, **budget)
            else:
                fit(data, declared, ledger=book, **budget)
        finally:
            assert (book.seq == 1) == (name == "wide")

    attempt(300, "near")
    with pytest.raises(ParameterError, match="noise of sigma"):
        attempt(100_000, "wide")


def test_an_interrupted_run_stays_charged(tmp_path, monkeypatch):
    book = lines.ledger(tmp_path)

    def interrupt(name):
        if name == "draw.before":
            raise KeyboardInterrupt

    monkeypatch.setattr(faults, "hook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, book)
    monkeypatch.setattr(faults, "hook", None)
    (kept,) = book.releases()
    assert (kept.state, kept.reason) == (State.ABORTED, "interrupted")
    assert book.spent() == kept.price
    assert not (tmp_path / "out").exists()


def test_a_failed_gate_leaves_no_table_anywhere(tmp_path):
    """An outside command that copies every training row: the table is destroyed, the certificate says FAIL."""
    copier = tmp_path / "copy.py"
    copier.write_text("import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])\n")
    config = tmp_path / "claim.yaml"
    config.write_text(
        f"command: [{os.sys.executable}, {copier}, '{{train}}', '{{out}}']\n"
        "claim: {epsilon: 0.2, delta: 1.0e-9, row_count_private: true}\n"
    )
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, synthesizer=f"external:{config}")
    assert result.verdict == "FAIL"
    verified = verify_release(result.out, result.public_key.read_bytes())
    assert verified.table is None
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".parquet", ".csv")]
    assert book.release(result.release_id).outcome == "fail"
    assert book.spent().amount > 0


UNIFORM = """
import csv, json, random, sys
domain, rows = json.load(open(sys.argv[1])), int(sys.argv[3])
with open(sys.argv[2], "w", newline="") as out:
    writer = csv.writer(out)
    writer.writerow(domain)
    writer.writerows([random.randrange(size) for size in domain.values()] for _ in range(rows))
"""


def test_a_certificate_says_what_was_done_after_the_charges(tmp_path, released):
    """A model's rows and an outside command's are told apart, and each number of rows has its right origin."""
    maker = tmp_path / "uniform.py"
    maker.write_text(UNIFORM)
    command = (os.sys.executable, str(maker), "{domain}", "{out}", "{rows}", "{train}")
    config = ExternalConfig(command=command, claim_epsilon=0.2, claim_delta=1e-9)
    outside = run(tmp_path, lines.ledger(tmp_path), synthesizer=config)
    assert outside.verdict == "PASS"
    said = verify_release(outside.out, outside.public_key.read_bytes()).dossier
    assert "rows of the outside synthesizer" in said.synthesis.post_processing[0]
    training = "at most: the noisy number of training people over the training share"
    assert said.synthesis.post_processing[1].endswith(training)
    assert "outside synthesizer's are its own" in said.process.random_source
    assert said.synthesis.marginals == ()
    folder, _, result = released
    own = verify_release(result.out, result.public_key.read_bytes()).dossier
    assert "graphical model" in own.synthesis.post_processing[0]
    assert own.synthesis.post_processing[1].endswith("rows: the model's noisy total over the training share")
    assert "outside" not in own.process.random_source
    assert f"{PRECISION} bits" in own.process.sampler
    asked = run(folder, _ledger_in(tmp_path / "more"), "asked", rows=77)
    told = verify_release(asked.out, asked.public_key.read_bytes()).dossier.synthesis
    assert (told.rows, told.post_processing[1]) == (77, "the number of rows: as the publisher asked")
    few = run(folder, _ledger_in(tmp_path / "few"), "few", data=lines.table(1))
    nothing = verify_release(few.out, few.public_key.read_bytes()).dossier.synthesis
    assert nothing.post_processing == ("none: no table was made",)


def _ledger_in(folder):
    folder.mkdir()
    return lines.ledger(folder)


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_what_only_values_decide_never_changes_the_kind_of_outcome(tmp_path, rows):
    """Too few people is what noisy totals say, in a verdict; never an error about the records."""
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, data=lines.table(rows))
    assert result.verdict == "UNDECIDABLE"
    assert verify_release(result.out, result.public_key.read_bytes()).table is None


def test_hostile_values_are_coded_not_refused(tmp_path):
    data = lines.table(3_000)
    wild = pa.array(["'; DROP TABLE wards;--"] * 1_500 + [None] * 1_500, pa.string())
    data = data.set_column(0, "ward", wild).set_column(3, "score", pa.array([float("nan"), float("inf")] * 1_500))
    result = run(tmp_path, lines.ledger(tmp_path), data=data)
    assert result.verdict == "PASS"
    made = pq.read_table(next(result.out.glob("SYNTHETIC-*")))
    assert set(made["ward"].to_pylist()) <= {"north", "south", "east", "west"}
    for path in result.out.iterdir():
        assert b"DROP TABLE" not in path.read_bytes()


def test_people_with_many_rows_are_bounded_split_and_released(tmp_path):
    declared = lines.schema(lines.PERSON_SCHEMA)
    book = lines.ledger(tmp_path, declared=declared)
    result = run(tmp_path, book, schema=declared, data=lines.table(6_000, people=3_000))
    assert result.verdict == "PASS"
    kept = book.release(result.release_id)
    assert {s.event.sensitivity for s in kept.steps if s.label.startswith("one-way")} == {3.0}
    made = pq.read_table(next(result.out.glob("SYNTHETIC-*")))
    assert made.schema.names == ["person", "ward", "age", "smoker", "score"]
    assert not set(made["person"].to_pylist()) & {f"p{i}" for i in range(3_000)}


def test_csv_in_csv_out(tmp_path):
    source = tmp_path / "wards.csv"
    pyarrow.csv.write_csv(lines.table(), source)
    result = run(tmp_path, lines.ledger(tmp_path), data=source)
    (made,) = result.out.glob("SYNTHETIC-*.csv")
    assert made.read_text().splitlines()[0] == "ward,age,smoker,score"


def test_a_review_stands_between_storing_and_publishing(tmp_path):
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, publish=False)
    assert not (tmp_path / "out").exists()
    assert book.release(result.release_id).outcome == "pass"
    published = publish_staged(result.out, tmp_path / "out")
    assert verify_release(published, result.public_key.read_bytes()).table
    with pytest.raises(OutputError):
        publish_staged(tmp_path, tmp_path / "again")


def test_a_seeded_run_says_not_private_everywhere(tmp_path):
    book = lines.ledger(tmp_path)
    one = run(tmp_path, book, "one", test_seed=7)
    two = run(tmp_path, book, "two", test_seed=7)
    tables = [next(r.out.glob("*.parquet")) for r in (one, two)]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert all("NOT-PRIVATE" in t.name for t in tables)
    assert {pq.read_schema(t).metadata[b"dpsynth"] for t in tables} == {
        b"SYNTHETIC NOT PRIVATE: a test run from a seed"
    }
    inputs = {"schema.json", "policy.json"}
    assert all(b"NOT PRIVATE" in _plain(p) for p in one.out.iterdir() if p.name not in inputs)
    assert not verify_release(one.out, one.public_key.read_bytes()).dossier.private


def _plain(path: Path) -> bytes:
    if path.name != "certificate.json":
        return path.read_bytes()
    return base64.b64decode(json.loads(path.read_bytes())["payload"])


def test_the_annex_is_confidential_and_apart(released):
    folder, _, result = released
    assert result.annex == folder / "out.CONFIDENTIAL-annex"
    assert result.annex.stat().st_mode & 0o777 == 0o700
    exact = json.loads((result.annex / "annex.json").read_text())
    key = exact["commitment_key"]
    assert all(key.encode() not in p.read_bytes() for p in result.out.iterdir())


def test_no_public_file_holds_a_value_of_the_annex(tmp_path, monkeypatch):
    """Marks in place of every exact value of the gate's annex: all of them in the annex, none anywhere else."""
    real, marks = line.run_gate, [f"{7_318_000_000 + 9_973 * i}" for i in range(2_000)]

    def marked(*arguments, **named):
        outcome, annex = real(*arguments, **named)
        free = iter(marks)
        statistics = tuple(
            replace(one, training=int(next(free)), holdout=int(next(free))) for one in annex.statistics
        )
        chance = Fraction(int(next(free)), 10**10)
        return outcome, replace(annex, statistics=statistics, exact_steps=int(next(free)), pass_probability=chance)

    monkeypatch.setattr(line, "run_gate", marked)
    book = lines.ledger(tmp_path)
    result = run(tmp_path, book, name="marked")
    confidential = (result.annex / "annex.json").read_text()
    there = [mark for mark in marks if mark in confidential]
    assert len(there) > 50
    public = [path for path in (*result.out.rglob("*"), *book.path.rglob("*")) if path.is_file()]
    assert len(public) > 5
    for path in public:
        content = path.read_bytes()
        assert not [mark for mark in there if mark.encode() in content], path.name
    assert not [mark for mark in there if mark in repr(result)]


def test_the_audit_by_the_splits_coins_is_in_the_annex_alone(tmp_path, monkeypatch, released):
    _, _, earlier = released
    told = json.loads((earlier.annex / "annex.json").read_text())["figures"]["one_run_audit"]
    assert told["rule"] == "improbable-copies-2000"
    assert told["inclusion"] == "4/5"
    assert told["speaks_of"] == "this release"
    assert not told["contradicts_the_claim"]
    audited = line.audited
    monkeypatch.setattr(line, "audited", lambda *given: {**audited(*given), "marked": "MARK-OF-THE-AUDIT"})
    result = run(tmp_path, lines.ledger(tmp_path))
    assert "MARK-OF-THE-AUDIT" in (result.annex / "annex.json").read_text()
    public = [file.read_bytes() for file in result.out.rglob("*") if file.is_file()]
    assert public
    assert not any(word in content for content in public for word in (b"MARK-OF-THE-AUDIT", b"one_run_audit"))
