"""ar-gan on the line: refused before the data is opened, charged once within its plan, gated, certified, saved."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from accountant.errors import MissingExtra, ParameterError
from accountant.events import FixedPlan
from accountant.price import Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth.certificate.verify import verify_release
from dpsynth.deep.config import CriticConfig
from dpsynth.deep.planning import train_model
from dpsynth.domain import Domain
from dpsynth.encode import Encoder
from dpsynth.estimation import PoolModel
from dpsynth.fitting import fit, load_model
from dpsynth.line import release
from dpsynth.plan import make_plan
from dpsynth.sampling import generator, sample_apart
from dpsynth.synthesizers import find_synthesizer
from tests.dpsynth import lines

DECLARED = lines.SCHEMA.replace("privacy_unit", "rows_magnitude: 3000\n    privacy_unit")
EPSILON, DELTA = 2.0, 1e-6


def small(**changes):
    """ar-gan with few steps."""
    made = find_synthesizer("ar-gan")
    critic = CriticConfig(steps=20, hidden=8)
    few = {"row_steps": 30, "fewest_rows": 2_000, "batch": 256, "hidden": 16, "critic": critic} | changes
    return replace(made, config=replace(made.config, **few))


def planned(text=DECLARED, made=None, **changes):
    """The plan of a release."""
    asked = {"epsilon": EPSILON, "delta": DELTA, "policy": lines.lenient(), "claim_share": 0.1} | changes
    return make_plan(lines.schema(text), synthesizer=made or small(), **asked)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    declared = lines.schema(DECLARED)
    book = lines.ledger(folder, declared=declared)
    result = release(
        lines.table(),
        declared,
        epsilon=EPSILON,
        delta=DELTA,
        ledger=book,
        out=folder / "out",
        policy=lines.lenient(),
        synthesizer=small(),
    )
    return book, result


def test_a_release_charges_its_training_once_within_its_plan(released):
    book, result = released
    kept = book.release(result.release_id)
    (step,) = [s for s in kept.steps if isinstance(s.event, FixedPlan)]
    assert step.sides == (Side.TRAINING,)
    assert [part.count for part in step.event.events] == [1, 30, 20]
    assert all(part.event.sampling_probability == 256 / 2400 for part in step.event.events[1:])
    for side in BOTH_SIDES:
        assert dict(kept.totals)[side].fits(kept.caps[side])


def test_a_release_verifies_and_states_how_it_was_made(released):
    _, result = released
    verified = verify_release(result.out, result.public_key.read_bytes())
    synthesis = verified.dossier.synthesis
    assert result.verdict == "PASS"
    assert verified.dossier.claim.epsilon <= EPSILON
    assert (synthesis.synthesizer, synthesis.marginals) == ("ar-gan", ())
    assert "made by what was trained" in synthesis.post_processing[0]
    assert "normal noise of float64" in verified.dossier.process.sampler
    stated = {fact.name: fact.value for fact in synthesis.config}
    assert stated["people"] == "2400"
    assert float(stated["noise_multiplier"]) > 0.3
    made = pq.read_table(result.out / verified.table)
    assert made.num_rows == 3000
    assert set(made["ward"].to_pylist()) <= {"north", "south", "east", "west"}


def test_a_fit_is_saved_and_samples_without_torch(tmp_path):
    declared = lines.schema(DECLARED)
    book = lines.ledger(tmp_path, declared=declared)
    model = fit(lines.table(), declared, epsilon=1.0, delta=DELTA, ledger=book, synthesizer=small())
    assert model.report.measured == ()
    assert "trained, not measured" in model.summary()
    assert "Preserved" not in model.summary()
    again = load_model(model.save(tmp_path / "model"))
    assert again.sample(20, seed=1).equals(model.sample(20, seed=1))
    assert isinstance(again.model, PoolModel)


@pytest.fixture(scope="module")
def plan():
    return planned()


def test_settings_are_completed_from_public_facts_and_hashed(plan):
    config = plan.synthesizer.config
    assert config.people == 2400
    assert plan.to_json()["synthesizer"]["settings"]["noise_multiplier"] == repr(config.noise_multiplier)
    assert plan.caps[Side.TRAINING].delta > plan.caps[Side.HOLDOUT].delta


def test_a_plan_says_what_the_first_step_takes(plan):
    """Two rows whose sum is the training's: the step over everybody at its own price, and the rest."""
    first, others = [row for row in plan.lines() if row.purpose == "synthesizer"]
    assert "of fewer than 4,000 people, pairs with a target, too" in first.meaning
    config = plan.synthesizer.config
    domain = Encoder.of(lines.schema(DECLARED).table).domain
    start = config.phases(domain, people=2400)[0]
    assert float(first.mu) == pytest.approx(1 / (config.noise_multiplier * start.noise_factor), abs=1e-4)
    whole = plan.share("synthesizer")[Side.TRAINING] / 2**40
    assert float(first.mu) ** 2 + float(others.mu) ** 2 == pytest.approx(whole, abs=1e-3)
    assert 0.5 < plan.start_amount / plan.synthesizer_amount < 0.98
    assert "over everybody" in first.meaning
    assert len([row for row in planned(made="mst").lines() if row.purpose == "synthesizer"]) == 1


def test_without_a_declared_magnitude_it_is_refused():
    with pytest.raises(ParameterError, match="rows_magnitude"):
        planned(lines.SCHEMA)


def test_units_of_several_rows_are_refused():
    text = lines.PERSON_SCHEMA.replace("privacy_unit", "rows_magnitude: 3000\n    privacy_unit")
    with pytest.raises(ParameterError, match="units of up to 3 rows"):
        planned(text)


def test_an_unknown_target_is_refused():
    with pytest.raises(ParameterError, match="to be the target"):
        planned(made=small(target="income"))


def test_without_torch_it_is_refused_in_the_plan(monkeypatch):
    monkeypatch.setattr("dpsynth.deep.extra.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"dpsynth\[gan\]"):
        planned()


class Untouchable:
    """A source and a spend that nobody may touch."""

    domain = Domain.of({"a": 2})


def test_settings_without_a_plan_train_nothing():
    with pytest.raises(ParameterError, match="hold no plan"):
        train(small().config, amount=2**60)


def test_a_plan_for_more_than_the_amount_trains_nothing(plan):
    with pytest.raises(ParameterError, match="costs more"):
        train(plan.synthesizer.config, amount=1000)


def train(config, *, amount):
    """Train where nothing may be touched."""
    train_model(Untouchable(), config, amount=amount, coordinate=Coordinate.GDP, spend=None, random=None)


def test_strangers_are_rows_that_the_table_has_not():
    domain = Domain.of({"a": 1000})
    pool = PoolModel(domain=domain, codes=np.arange(1000, dtype=np.uint16)[None], weights=np.ones(1000), total=1.0)
    rows, others = sample_apart(pool, 700, 200, rng=generator(1))
    assert (rows.shape, others.shape) == ((1, 700), (1, 200))
    assert not np.intersect1d(rows, others).size
