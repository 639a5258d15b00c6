"""A classifier trained on synthetic rows and tuned on people: charged first, people through noisy gradients alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from accountant.errors import BudgetExceeded
from dpsynth.deep import SgdPlan, finetune
from dpsynth.deep.finetune import TuningConfig, tune_classifier
from dpsynth.deep.layers import Tape
from dpsynth.deep.plan import plan_event
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from tests.dpsynth.deep.references import Noted

DOMAIN = Domain.of({"a": 3, "label": 2, "b": 4})
CONFIG = TuningConfig(target="label", hidden=5, first_steps=3, steps=2, batch=20)
DELTA = 1e-9


class Watched:
    """A source that notes whether the plan had been charged when it was read."""

    domain, max_rows = DOMAIN, 1

    def __init__(self, spend):
        self.spend, self.read = spend, 0

    def blocks(self, rows=65_536):
        self.read += 1
        assert len(self.spend.steps) == 1
        yield from MemorySource(DOMAIN, codes()).blocks(rows)


def codes(rows=200, *, seed=0, flipped=False):
    """Rows whose label follows the first column; or its opposite."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, rows), rng.integers(0, 4, rows)
    return np.array([a, (a == 0) ^ flipped, b]).astype(np.uint8)


def plan(config=CONFIG, *, people=200, noise=2.0):
    return SgdPlan(phases=config.phases(DOMAIN, people=people), noise_multiplier=noise, people=people)


def tune(source, config=CONFIG, *, synthetic=None, made=None, spend=None):
    how = {"plan": made or plan(config), "delta": DELTA, "spend": spend or Noted(), "random": SeededRandom(3)}
    return tune_classifier(source, codes(seed=1) if synthetic is None else synthetic, config, **how)


def test_the_plan_is_charged_once_before_a_record_is_read():
    spend = Noted()
    watched = Watched(spend)
    tune(watched, spend=spend)
    assert watched.read == 1
    (step,) = spend.steps
    assert step.event == plan_event(plan(), delta=DELTA)


def test_a_refused_charge_reads_nothing():
    watched = Watched(Noted())
    with pytest.raises(BudgetExceeded):
        tune(watched, spend=Noted(refuses=True))
    assert watched.read == 0


def test_people_are_seen_through_noisy_gradients_alone(monkeypatch):
    def stubbed(network, parameters, people, phase, *, charged, random):
        charged.take(phase)
        return {name: torch.full_like(value, 0.1) for name, value in parameters.items()}

    monkeypatch.setattr(finetune, "noisy_gradient", stubbed)
    one, two = (tune(MemorySource(DOMAIN, codes(rows, seed=rows))) for rows in (50, 300))
    assert all((one.arrays[name] == two.arrays[name]).all() for name in one.arrays)


def test_tuning_moves_what_synthetic_rows_taught_towards_people():
    """Synthetic rows say the opposite of what people do; enough steps with little noise turn the classifier round."""
    config = TuningConfig(target="label", hidden=8, first_steps=60, steps=80, rate=0.05, batch=200)
    made = plan(config, people=2_000, noise=1.0)
    asked = codes(60, seed=5)
    wrong = tune(MemorySource(DOMAIN, codes(0)), config, synthetic=codes(400, flipped=True), made=made)
    right = tune(MemorySource(DOMAIN, codes(2_000)), config, synthetic=codes(400, flipped=True), made=made)
    taught, tuned = (c.probabilities(asked)[np.arange(60), asked[1]].mean() for c in (wrong, right))
    assert taught < 0.45
    assert tuned > 0.8


def test_predictions_are_the_networks_and_never_read_the_target():
    model = tune(MemorySource(DOMAIN, codes()))
    rows = codes(30, seed=4)
    order = CONFIG.order(DOMAIN)
    assert order == [0, 2, 1]
    network = finetune.Classifier(sizes=(3, 4, 2), hidden=5)
    weights = {name: torch.from_numpy(value) for name, value in model.arrays.items()}
    logits = network.logits(Tape(weights), torch.from_numpy(rows[order].T.astype(np.int64))).detach()
    assert np.allclose(model.probabilities(rows), torch.softmax(logits.double(), dim=1).numpy(), atol=1e-6)
    assert (model.probabilities(rows) == model.probabilities(rows ^ np.array([[0], [1], [0]], dtype=np.uint8))).all()


@pytest.mark.parametrize(
    "synthetic",
    [codes()[:2], codes(0), codes().astype(float), codes() + np.uint8(4), -codes().astype(np.int64), codes()[0]],
)
def test_synthetic_rows_of_another_domain_are_refused_uncharged(synthetic):
    spend = Noted()
    with pytest.raises(ParameterError, match="synthetic rows"):
        tune(MemorySource(DOMAIN, codes()), synthetic=synthetic, spend=spend)
    assert not spend.steps


def test_another_plan_several_rows_and_an_unknown_target_are_refused_uncharged():
    spend = Noted()
    source = MemorySource(DOMAIN, codes())
    with pytest.raises(ParameterError, match="isn't one of these settings"):
        tune(source, made=plan(replace(CONFIG, steps=9)), spend=spend)
    several = MemorySource(DOMAIN, codes(4), units=np.array([0, 0, 1, 1]), max_rows=2)
    with pytest.raises(ParameterError, match="up to 2 rows"):
        tune(several, spend=spend)
    with pytest.raises(ParameterError, match="can't be predicted"):
        tune(source, replace(CONFIG, target="z"), spend=spend)
    assert not spend.steps


@pytest.mark.parametrize("changed", [{"steps": 0}, {"rate": 0.0}, {"bound": float("inf")}, {"batch": 0}])
def test_settings_out_of_range_are_refused(changed):
    with pytest.raises(ParameterError, match="tuning"):
        TuningConfig(target="label", **changed)
