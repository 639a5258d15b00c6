"""The learned encoding in the line: its share is planned, its histograms are charged, its models load again."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accountant.compose import totals
from accountant.price import Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth import fitting, line
from dpsynth.certificate.verify import verify_release
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig
from dpsynth.fitting import fit, load_model
from dpsynth.learning import learn_encoding, recoded, smallest_domain
from dpsynth.line import release
from dpsynth.plan import make_plan
from dpsynth.synthesizers import Synthesizer, fit_model
from tests.dpsynth import lines

TEXT = lines.SCHEMA.replace("bins: 50", "nullable: true").replace(
    "    columns:\n",
    "    encoding: {share: 0.1}\n    columns:\n"
    "      coast: {kind: categorical, categories: [sea, land],\n"
    "              derived_from: {column: ward, values: {north: sea, south: land, east: land, west: sea}}}\n",
)
SEASIDE = {"north": "sea", "south": "land", "east": "land", "west": "sea"}


def table(rows=3_000):
    """The ward table with a column that nobody may read: its values contradict its declaration."""
    made = lines.table(rows)
    return made.add_column(0, "coast", pa.array(["nonsense"] * rows, pa.string()))


def test_the_plan_prints_the_share_of_the_encoding_before_anything_is_touched():
    plan = make_plan(lines.schema(TEXT), epsilon=1.0, delta=1e-6)
    share = plan.share("encoding")
    assert plan.purposes.index("encoding") < plan.purposes.index("synthesizer")
    assert share[Side.HOLDOUT] == 0
    assert share[Side.TRAINING] + plan.synthesizer_amount == plan.gate.training_amount
    assert share[Side.TRAINING] == pytest.approx(0.1 * plan.gate.training_amount, rel=1e-6)
    ungated = make_plan(lines.schema(TEXT), epsilon=1.0, delta=1e-6, gated=False)
    assert ungated.share("encoding")[Side.HOLDOUT] == ungated.share("encoding")[Side.TRAINING] > 0
    assert "encoding" not in make_plan(lines.schema(), epsilon=1.0, delta=1e-6).purposes


def test_a_release_learns_from_training_people_alone_and_verifies(tmp_path):
    book = lines.ledger(tmp_path)
    result = release(
        table(), lines.schema(TEXT), epsilon=2.0, delta=1e-6, ledger=book, out=tmp_path / "out", policy=lines.lenient()
    )
    assert result.verdict == "PASS"
    verified = verify_release(result.out, result.public_key.read_bytes())
    made = pq.read_table(result.out / verified.table)
    assert made.schema.names == table(1).schema.names
    assert made["coast"].to_pylist() == [SEASIDE[ward] for ward in made["ward"].to_pylist()]
    learned = [s for s in verified.dossier.steps if s.label.startswith("encoding: ")]
    assert {s.label.split(", ")[-1] for s in learned} == {"cells", "blocks"}
    assert all(s.sides == (Side.TRAINING,) for s in learned)
    paid = totals(learned, Coordinate.GDP)[Side.TRAINING].amount
    planned = next(s for s in verified.dossier.plan.shares if s.purpose == "encoding").training.amount
    assert 0.98 * planned < paid <= planned
    assert any("noisy histograms" in said for said in verified.dossier.synthesis.preprocessing)
    kept = book.release(result.release_id)
    for side in BOTH_SIDES:
        assert kept.totals[side].fits(kept.caps[side])


def test_where_too_few_people_end_a_run_nothing_is_said_to_be_learned(tmp_path):
    """The share was planned, but its histograms were never drawn: the certificate speaks of what was charged."""
    result = release(
        table(12), lines.schema(TEXT), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), out=tmp_path / "out"
    )
    assert result.verdict == "UNDECIDABLE"
    dossier = verify_release(result.out, result.public_key.read_bytes()).dossier
    assert "encoding" in {share.purpose for share in dossier.plan.shares}
    assert not any(step.label.startswith("encoding: ") for step in dossier.steps)
    assert not any("histogram" in said for said in dossier.synthesis.preprocessing)


def test_the_encoding_sees_training_people(tmp_path, monkeypatch):
    """The records that the encoding is learned from are the ones that the synthesizer learns from, cell by cell."""
    seen = {}

    def cells(source):
        return np.concatenate([codes for codes, _ in source.blocks()], axis=1).tolist()

    def learn(encoder, source, **how):
        made = learn_encoding(encoder, source, **how)
        seen["learned"] = cells(recoded(source, made))
        return made

    def fitted(source, *made, **how):
        seen["fitted"] = cells(source)
        return fit_model(source, *made, **how)

    monkeypatch.setattr(line, "learn_encoding", learn)
    monkeypatch.setattr(line, "fit_model", fitted)
    release(table(), lines.schema(TEXT), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), out=tmp_path / "out")
    assert seen["learned"] == seen["fitted"]
    assert len(seen["fitted"][0]) > 2_000


def test_a_fit_charges_both_sides_and_its_model_loads_again(tmp_path):
    book = lines.ledger(tmp_path)
    model = fit(table(), lines.schema(TEXT), epsilon=1.0, delta=1e-6, ledger=book)
    (kept,) = book.releases()
    learned = [s for s in kept.steps if s.label.startswith("encoding: ")]
    assert len(learned) == 4
    assert all(set(s.sides) == set(BOTH_SIDES) for s in learned)
    reported = sum(cost.amount for cost in model.report.budget)
    assert reported == kept.totals[Side.TRAINING].amount == kept.totals[Side.HOLDOUT].amount
    assert "age, score these are errors of merged codes" in model.summary()
    again = load_model(model.save(tmp_path / "model"))
    assert again.sample(300, seed=1).equals(model.sample(300, seed=1))
    assert set(again.merges) == {"age", "score"}
    ages = np.array(model.sample(3_000, seed=2)["age"])
    assert 0 <= ages.min() <= ages.max() <= 99


@pytest.mark.parametrize("rows", [0, 1])
def test_the_smallest_tables_are_learned_like_any_other(tmp_path, rows):
    model = fit(table(rows), lines.schema(TEXT), epsilon=1.0, delta=1e-6, ledger=lines.ledger(tmp_path))
    assert model.sample(10).num_rows == 10


@pytest.mark.parametrize("synthesizer", ["ar", "ar-gan", "gan", "vae", "own", "outside"])
def test_synthesizers_that_need_a_domain_beforehand_are_refused_in_the_plan(synthesizer):
    outside = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.1, claim_delta=0.0)
    own = Synthesizer(name="own", config=None, measure=list, ways=2, adaptive=False, train=list)
    chosen = {"outside": outside, "own": own}.get(synthesizer, synthesizer)
    with pytest.raises(ParameterError, match="learned encoding"):
        make_plan(lines.schema(TEXT), epsilon=1.0, delta=1e-6, synthesizer=chosen)


def test_an_encoding_is_never_learned_again_where_an_interrupted_training_goes_on(tmp_path, monkeypatch):
    """No plan has both; a fit that were given one would draw the histograms again, and charge them twice."""
    own = Synthesizer(name="own", config=None, measure=list, ways=2, adaptive=False, train=list)
    plan = replace(make_plan(lines.schema(TEXT), epsilon=1.0, delta=1e-6, gated=False), synthesizer=own)
    assert plan.encoding_amount > 0
    monkeypatch.setattr(fitting, "make_plan", lambda *given, **named: plan)
    book = lines.ledger(tmp_path)
    with pytest.raises(ParameterError, match="no checkpoints"):
        fit(table(), lines.schema(TEXT), epsilon=1.0, delta=1e-6, ledger=book, checkpoints=tmp_path / "checkpoints")
    assert list(book.releases()) == []


def test_histograms_too_noisy_to_draw_are_refused_in_the_plan():
    with pytest.raises(ParameterError, match="histograms of 2 columns"):
        make_plan(lines.schema(TEXT.replace("share: 0.1", "share: 1e-12")), epsilon=0.01, delta=1e-9, gated=False)


OPENED = TEXT.replace("    columns:\n", "    columns:\n      job: {kind: open, otherwise: o, most: 300}\n")


def test_the_plan_foresees_the_fewest_codes_of_what_is_learned_or_found_out():
    encoder = Encoder.of(lines.schema(OPENED))
    sizes = dict(zip(encoder.domain.names, smallest_domain(encoder).sizes, strict=True))
    assert sizes == {"job": 1, "ward": 4, "age": 1, "smoker": 3, "score": 2}
    largest = dict(zip(encoder.domain.names, encoder.largest_domain.sizes, strict=True))
    assert (largest["job"], largest["age"]) == (301, 32)


def test_a_report_of_a_fit_with_open_columns_has_the_ledgers_total(tmp_path):
    book = lines.ledger(tmp_path)
    jobs = pa.array(["a", "b"] * 700)
    model = fit(table(1_400).add_column(0, "job", jobs), lines.schema(OPENED), epsilon=1.0, delta=1e-6, ledger=book)
    (kept,) = book.releases()
    assert sum(cost.amount for cost in model.report.budget) == kept.totals[Side.TRAINING].amount
    assert any(cost.label == "selection: labels of job" for cost in model.report.budget)
