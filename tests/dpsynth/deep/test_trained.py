"""Every trained synthesizer: charged first, people seen through noisy gradients alone, and it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from accountant.errors import BudgetExceeded
from accountant.pld import dominating_gdp
from dpsynth.deep import SgdPlan, training, weighing
from dpsynth.deep.ar_gan import fit_ar_gan
from dpsynth.deep.config import (
    FEW,
    MOST_ROWS,
    STEPS,
    ArConfig,
    ArGanConfig,
    CriticConfig,
    GanConfig,
    VaeConfig,
)
from dpsynth.deep.gan import fit_gan
from dpsynth.deep.plan import plan_event
from dpsynth.deep.rows import fit_ar
from dpsynth.deep.training import Terms
from dpsynth.deep.vae import fit_vae
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import check_size, find_synthesizer
from tests.dpsynth.deep.references import Noted

DOMAIN = Domain.of({"a": 3, "b": 4, "c": 3})
POOL = 2_000
SMALL = ArGanConfig(fewest_rows=POOL, row_steps=3, batch=32, hidden=6, critic=CriticConfig(steps=2, hidden=4))
ALONE = ArConfig(fewest_rows=POOL, row_steps=3, batch=32, hidden=6)
GAME = GanConfig(fewest_rows=POOL, game_steps=4, parts=8, batch=32, critic=CriticConfig(steps=2, hidden=4))
CODER = VaeConfig(fewest_rows=POOL, steps=3, batch=32, hidden=6, numbers=2)
FITS = {ArGanConfig: fit_ar_gan, ArConfig: fit_ar, GanConfig: fit_gan, VaeConfig: fit_vae}
ALL = pytest.mark.parametrize("config", [SMALL, ALONE, GAME, CODER], ids=lambda config: config.name)
STEPS_OF = {
    "ar-gan": ["shares"] + ["rows"] * 3 + ["critic"] * 2,
    "ar": ["shares"] + ["rows"] * 3,
    "vae": ["shares"] + ["rows"] * 3,
    "gan": ["shares"] + ["game"] * 4 + ["critic"] * 2,
}
DELTA = 1e-9


def source(rows=100, seed=0, domain=DOMAIN):
    """Records whose second column follows the first, and whose third is their sum."""
    rng = np.random.default_rng(seed)
    a = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
    b = np.where(rng.random(rows) < 0.8, a, 3)
    return MemorySource(domain, np.array([a, b, (a + b) % 3], dtype=np.uint8))


def plan(config=SMALL, *, people=100, noise=2.0, domain=DOMAIN):
    """A plan of the settings."""
    return SgdPlan(phases=config.phases(domain, people=people), noise_multiplier=noise, people=people)


def fit(records, config=SMALL, *, made=None, spend=None, seed=1, told=None):
    """A fit with the defaults of these tests."""
    terms = Terms(plan=made or plan(config), delta=DELTA, spend=spend or Noted(), random=SeededRandom(seed), told=told)
    return FITS[type(config)](records, config, terms)


class Watched:
    """A source that notes whether the plan had been charged when it was read."""

    max_rows = 1
    domain = DOMAIN

    def __init__(self, spend):
        self.spend, self.read = spend, 0

    def blocks(self, rows=65_536):
        self.read += 1
        assert len(self.spend.steps) == 1
        yield from source().blocks(rows)


@ALL
def test_the_plan_is_charged_once_before_a_record_is_read(config):
    spend = Noted()
    watched = Watched(spend)
    fit(watched, config, spend=spend)
    assert watched.read == 1
    (step,) = spend.steps
    assert step.event == plan_event(plan(config), delta=DELTA)
    assert step.label == f"training of {config.name}"


def test_a_refused_charge_reads_nothing():
    spend = Noted(refuses=True)
    watched = Watched(spend)
    with pytest.raises(BudgetExceeded):
        fit(watched, spend=spend)
    assert watched.read == 0


@ALL
def test_people_are_seen_through_noisy_gradients_alone(monkeypatch, config):
    """With gradients that don't depend on people nothing does: other records, and more of them, make the same model."""
    config, calls = replace(config, fewest_rows=1), []  # so that a pool would show how many they are

    def stubbed(network, parameters, people, phase, *, charged, random):
        charged.take(phase)
        calls.append(phase.label)
        made = np.random.default_rng(len(calls))
        return {n: torch.from_numpy(made.normal(size=v.shape).astype(np.float32)) for n, v in parameters.items()}

    monkeypatch.setattr(training, "noisy_gradient", stubbed)
    one = fit(source(100, seed=0), config)
    calls.clear()
    two = fit(source(333, seed=9), config)
    assert calls == STEPS_OF[config.name]
    assert (one.codes == two.codes).all()
    assert (one.weights == two.weights).all()
    assert one.total == two.total == 100


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, row_steps=80, batch=512, hidden=24, critic=CriticConfig(steps=40, hidden=8)),
        replace(CODER, steps=150, batch=512, hidden=24, rate=0.03),
        replace(GAME, game_steps=150, batch=512, parts=60, critic=CriticConfig(steps=30, hidden=8)),
    ],
    ids=lambda config: config.name,
)
def test_it_learns_what_independent_columns_lose(config):
    records = source(4_000)
    noise = 2.0 if isinstance(config, GanConfig) else 1.0
    model = fit(records, config, made=plan(config, people=4_000, noise=noise))
    ((_, pair),) = records.counts([("a", "b")])
    ((_, one),) = records.counts([("a",)])
    ((_, other),) = records.counts([("b",)])
    truth = pair / pair.sum()
    lost = np.abs(np.outer(one, other) / one.sum() ** 2 - truth).sum() / 2
    assert lost > 0.3
    assert np.abs(model.marginal(("a", "b")) - truth).sum() / 2 < 0.2
    ((_, last),) = records.counts([("b", "c")])
    assert np.abs(model.marginal(("b", "c")) - last / last.sum()).sum() / 2 < 0.2


def test_a_target_is_drawn_last_and_columns_come_back_in_their_places():
    config = replace(SMALL, target="a")
    assert config.order(DOMAIN) == (1, 2, 0)
    model = fit(source(), config)
    made = sample_codes(model, 50, rng=generator(1))
    assert made.shape == (3, 50)
    assert (made.max(axis=1) < np.array(DOMAIN.sizes)).all()
    assert len(model.weights) == POOL


def test_an_unknown_target_is_refused():
    with pytest.raises(ParameterError, match="no column named 'z'"):
        replace(SMALL, target="z").order(DOMAIN)


@pytest.mark.parametrize("config", [ALONE, CODER], ids=lambda config: config.name)
def test_rows_of_a_network_alone_weigh_nearly_the_same(config):
    """They are brought to the shares of codes, and those are where the networks start."""
    model = fit(source(), config)
    assert 0.5 < model.weights.min() <= model.weights.max() < 2.0
    assert len(model.weights) == POOL


def test_scores_that_are_no_numbers_weigh_nothing(monkeypatch):
    monkeypatch.setattr(weighing, "_score", lambda critic, parameters, codes: torch.full((len(codes),), torch.nan))
    weights = fit(source()).weights
    assert 0.5 < weights.min() <= weights.max() < 2.0


def test_units_of_several_rows_are_refused_uncharged():
    spend = Noted()
    units = np.repeat(np.arange(50), 2)
    several = MemorySource(DOMAIN, np.zeros((3, 100), dtype=np.uint8), units=units, max_rows=2)
    with pytest.raises(ParameterError, match="units of up to 2 rows"):
        fit(several, spend=spend)
    assert not spend.steps


def test_a_plan_of_other_settings_is_refused_uncharged():
    spend = Noted()
    with pytest.raises(ParameterError, match="isn't one of these settings"):
        fit(source(), made=plan(replace(SMALL, row_steps=4)), spend=spend)
    assert not spend.steps


@ALL
def test_every_charged_step_is_taken_and_told_without_figures_of_people(config):
    told = []

    class Stage:
        def advance(self, n=1):
            raise AssertionError

        def tell(self, note, share):
            told.append((note, share))

    fit(source(), config, told=Stage())
    labels = STEPS_OF[config.name]
    expected = [f"{label}, step {labels[:i].count(label) + 1}" for i, label in enumerate(labels)]
    assert [note for note, _ in told] == expected
    assert [share for _, share in told] == pytest.approx(np.arange(len(labels)) / len(labels))


@ALL
def test_one_column_is_enough(config):
    domain = Domain.of({"a": 3})
    records = MemorySource(domain, np.zeros((1, 50), dtype=np.uint8))
    model = fit(records, config, made=plan(config, people=50, noise=20.0, domain=domain))
    assert model.marginal(("a",)).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (ArGanConfig, {"row_steps": 0}),
        (ArGanConfig, {"batch": 0}),
        (ArGanConfig, {"row_rate": 0.0}),
        (ArGanConfig, {"share_of_codes": 1.0}),
        (ArGanConfig, {"target_weight": 0.0}),
        (ArGanConfig, {"fewest_rows": 0}),
        (VaeConfig, {"share_of_codes": 0.0}),
        (GanConfig, {"game_steps": 0}),
        (GanConfig, {"parts": 0}),
        (GanConfig, {"share_of_codes": 1.0}),
        (GanConfig, {"forgotten": 0.0}),
        (VaeConfig, {"steps": 0}),
        (VaeConfig, {"bound": float("inf")}),
        (CriticConfig, {"steps": 0}),
        (CriticConfig, {"averaged": 0.0}),
        (CriticConfig, {"pair_scale": float("inf")}),
        (CriticConfig, {"code_scale": float("nan")}),
    ],
)
def test_settings_out_of_range_are_refused(kind, changed):
    with pytest.raises(ParameterError, match="settings of"):
        kind(**changed)


def test_steps_batches_and_bounds_are_public_formulas():
    config = ArGanConfig().for_epsilon(1.0)
    _, first, critic = config.phases(DOMAIN, people=40_960)
    assert (first.steps, critic.steps) == (config.row_steps, config.critic.steps) == STEPS[-1][1:]
    assert ArConfig().for_epsilon(1.0).phases(DOMAIN, people=40_960)[1:] == (first,)
    assert first.sampling_probability == critic.sampling_probability == 2048 / 40_960
    assert critic.clip == pytest.approx(0.5 * (16 + 1 + 2.2) ** 0.5)
    assert config.phases(DOMAIN, people=10)[1].sampling_probability == 1.0
    assert first.clip == pytest.approx(config.row_bound * 6**0.5)
    assert config.phases(DOMAIN, people=FEW - 1)[1].clip == pytest.approx(config.row_bound * 3**0.5)


def test_shares_of_codes_take_about_their_share_of_a_plan():
    config = GanConfig(share_of_codes=0.2).for_epsilon(1.0)
    first, game, critic = config.phases(DOMAIN, people=40_960)
    assert (first.steps, first.sampling_probability) == (1, 1.0)
    assert (game.steps, critic.steps) == STEPS[-1][1:]
    whole = SgdPlan(phases=(first, game, critic), noise_multiplier=5.0, people=40_960)
    mu = [dominating_gdp(events, 1e-9) for events in (whole.events()[:1], whole.events())]
    assert mu[0] ** 2 / mu[1] ** 2 == pytest.approx(0.2, rel=0.1)
    assert GanConfig().for_epsilon(1.0).phases(Domain.of({"a": 3}), people=10)[1:] == (critic_of(10),)
    few = config.phases(DOMAIN, people=1_000)
    whole = SgdPlan(phases=few, noise_multiplier=60.0, people=1_000)
    mu = [dominating_gdp(events, 1e-9) for events in (whole.events()[:1], whole.events())]
    assert mu[0] ** 2 / mu[1] ** 2 == pytest.approx(FEW**2 / (FEW**2 + 1_000**2), rel=0.1)
    assert GanConfig().for_epsilon(1.0).phases(DOMAIN, people=1)[0] == GanConfig().for_epsilon(1.0).phases(
        DOMAIN, people=FEW // 10
    )[0]


@pytest.mark.parametrize(
    ("codes", "people", "share"),
    [(300, 40_000, 0.2), (1_500, 20_000, 0.3), (1_500, 10_000, 0.4), (1_500, 1_000, 16 / 17)],
)
def test_shares_of_many_codes_take_more_of_a_vaes_plan(codes, people, share):
    domain = Domain.of({"a": codes - 2, "b": 2})
    first, rows = VaeConfig().for_epsilon(3.0).phases(domain, people=people)
    sampled = rows.steps * rows.sampling_probability**2
    assert 1.0 / (1.0 + sampled * first.noise_factor**2) == pytest.approx(share)


def critic_of(people):
    """The critic's phase of the default settings at epsilon 1."""
    config = GanConfig().for_epsilon(1.0)
    return config.critic.phase(config.joining(people))


def test_a_pool_and_a_domain_have_a_largest_size():
    assert SMALL.pool_rows(100) == POOL
    assert ArGanConfig().pool_rows(60_000) == 240_000
    assert ArGanConfig(pool=4).pool_rows(10**9) == MOST_ROWS
    with pytest.raises(ParameterError, match="hold all pairs"):
        check_size(Domain.of({f"c{i}": 500 for i in range(5)}), find_synthesizer("ar-gan"))


def test_steps_that_are_named_stay_and_others_are_decided_by_epsilon():
    with pytest.raises(ParameterError, match="no number of steps"):
        ArGanConfig().phases(DOMAIN, people=10)
    decided = [ArGanConfig(row_steps=7).for_epsilon(epsilon) for epsilon in (0.1, 3.0, 10.0)]
    assert [c.row_steps for c in decided] == [7, 7, 7]
    assert [c.critic.steps for c in decided] == [steps[2] for steps in reversed(STEPS)]
