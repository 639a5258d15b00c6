"""The start: shares of codes under the charged noise, distributions near them, and rows that keep them."""

import math

import numpy as np
import pytest
import torch

from dpsynth.deep import sgd
from dpsynth.deep.config import (
    FEW,
    FEW_CODES,
    FEWER,
    PAIRS_OF_FEW,
    ROOM,
    SOME,
    TARGET_SHARE,
    ArConfig,
    ArGanConfig,
    GanConfig,
    VaeConfig,
)
from dpsynth.deep.gradients import squared_norms
from dpsynth.deep.layers import Tape
from dpsynth.deep.plan import Phase, SgdPlan
from dpsynth.deep.rows import fit_ar
from dpsynth.deep.start import Codes, distribution_near, joint_near, measured_start, quieted, raked
from dpsynth.deep.training import Terms, begin_training
from dpsynth.domain import Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from tests.dpsynth.deep.references import Noted, records

SIZES = (3, 2, 4, 3)
DOMAIN = Domain.of({f"c{j}": size for j, size in enumerate(SIZES)})
CONFIGS = pytest.mark.parametrize("kind", [ArConfig, ArGanConfig, GanConfig, VaeConfig])


@pytest.mark.parametrize("pairs", [0.0, 0.3])
def test_every_record_moves_the_counts_by_one_in_all(pairs):
    counter, codes = Codes.of(SIZES, pairs=pairs), records(SIZES, 50, seed=3)
    tape = Tape(counter.initial())
    signals = torch.autograd.grad(counter.objective(tape, codes).sum(), [layer.outputs for layer in tape.layers])
    square = sum(squared_norms(layer, signal) for layer, signal in zip(tape.layers, signals, strict=True))
    torch.testing.assert_close(square, torch.ones(50))


@CONFIGS
def test_shares_are_those_of_people_plus_the_noise_that_was_charged(kind, monkeypatch):
    """Without the noise they are exact: nobody is clipped; with it their deviations are the plan's over the weights."""
    config = kind().for_epsilon(1.0)
    codes = records(SIZES, 500, seed=3).numpy().T.astype(np.uint8)
    phases = config.phases(DOMAIN, people=500)
    plan = SgdPlan(phases=phases, noise_multiplier=400.0, people=500)
    drawn = []
    monkeypatch.setattr(sgd, "draw_normal", lambda size, random: drawn.append(size) or np.zeros(size))
    terms = Terms(plan=plan, delta=1e-9, spend=Noted(), random=SeededRandom(1))
    training = begin_training(MemorySource(DOMAIN, codes), config, terms)
    monkeypatch.setattr("dpsynth.deep.start.distribution_near", lambda values, *, deviation: values)
    monkeypatch.setattr("dpsynth.deep.start.joint_near", lambda table, rows, columns, *, deviation: table)
    pairs = config.pairs(DOMAIN, people=500)
    found = measured_start(training, phases[0], pairs=pairs)
    for shares, column, size in zip(found.shares.split(list(SIZES)), codes, SIZES, strict=True):
        np.testing.assert_allclose(shares.numpy(), np.bincount(column, minlength=size) / 500, atol=1e-4)
    assert sum(drawn) == sum(SIZES) + sum(SIZES[:-1]) * SIZES[-1]
    for j, table in enumerate(found.joint):
        exact = np.zeros_like(table)
        np.add.at(exact, (codes[j], codes[-1]), 1 / 500)
        np.testing.assert_allclose(table, exact, atol=1e-4)
    assert len(found.joint) == len(SIZES) - 1


def test_a_columns_noise_is_the_plans_over_its_weight():
    counter = Codes.of(SIZES)
    found = counter.shares(counter.initial(), 0.5)
    whole = math.sqrt(sum(size ** (2 / 3) for size in SIZES))
    expected = [(size, pytest.approx(0.5 * whole / size ** (1 / 3))) for size in sorted(SIZES)]
    assert sorted((len(value), deviation) for value, deviation in found.values()) == expected
    joint = [3 * size for size in SIZES[:-1]]
    found, share = Codes.of(SIZES, pairs=0.3).shares(Codes.of(SIZES, pairs=0.3).initial(), 0.5), 0.3
    whole = math.sqrt(sum(size ** (2 / 3) for size in joint) / share)
    for place, size in enumerate(joint, start=len(SIZES)):
        assert found[place][1] == pytest.approx(0.5 * whole / size ** (1 / 3))


def test_the_nearest_distribution_is_the_nearest():
    values, rng = np.array([0.9, 0.4, -0.2, 0.02]), np.random.default_rng(1)
    found = distribution_near(values, deviation=1e-12)
    assert found.sum() == pytest.approx(1.0)
    assert (found > 0).all()
    others = rng.dirichlet(np.ones(4), 20_000)
    assert np.square(found - values).sum() <= np.square(others - values).sum(axis=1).min() + 1e-9
    np.testing.assert_allclose(distribution_near(np.zeros(4), deviation=0.0), np.full(4, 0.25))


def test_neighbours_are_averaged_where_it_helps_alone():
    rng, codes = np.random.default_rng(2), np.arange(80)
    smooth = np.exp(-0.5 * np.square((codes - 30) / 15.0))
    apart = rng.permutation(np.geomspace(1.0, 1e-4, 80))
    errors = {}
    for name, weights in (("smooth", smooth), ("apart", apart)):
        truth, deviation = weights / weights.sum(), 0.005
        runs = [truth + deviation * rng.normal(size=80) for _ in range(20)]
        near = np.mean([np.abs(distribution_near(noisy, deviation=deviation) - truth).sum() for noisy in runs])
        monotone = np.mean([np.abs(distribution_near(noisy, deviation=0.0) - truth).sum() for noisy in runs])
        errors[name] = near / monotone
    assert errors["smooth"] < 0.6
    assert errors["apart"] < 1.05


def test_a_joint_distribution_is_as_far_from_independence_as_its_noise_lets_one_tell():
    """Exact where there is no noise, independent where there is nothing else, and between them nearer than either."""
    rng = np.random.default_rng(4)
    truth = rng.dirichlet(np.full(12, 3.0)).reshape(4, 3)
    rows, columns = truth.sum(axis=1), truth.sum(axis=0)
    product = np.outer(rows, columns)
    np.testing.assert_allclose(joint_near(truth, rows, columns, deviation=0.0), truth, atol=1e-9)
    np.testing.assert_allclose(joint_near(product, rows, columns, deviation=1e-3), product, atol=1e-12)
    deviation, errors = np.abs(truth - product).mean(), []
    for _ in range(200):
        noisy = truth + deviation * rng.normal(size=truth.shape)
        found = joint_near(noisy, rows, columns, deviation=deviation)
        np.testing.assert_allclose(found.sum(axis=0), columns, atol=1e-9)
        assert (found > 0).all()
        errors.append([np.square(other - truth).sum() for other in (found, noisy, product)])
    ours, raw, independent = np.mean(errors, axis=0)
    assert ours < 0.5 * raw
    assert ours < 1.05 * independent


def test_what_noise_explains_of_a_pair_is_taken_away():
    """Columns that have nothing to do with each other: most of what noise says is gone."""
    rng = np.random.default_rng(4)
    rows, columns = rng.dirichlet(np.full(4, 3.0)), rng.dirichlet(np.full(3, 3.0))
    product, errors = np.outer(rows, columns), []
    for _ in range(200):
        noisy = product + 0.01 * rng.normal(size=product.shape)
        shrunk, believed = (joint_near(noisy, rows, columns, deviation=found) for found in (0.01, 0.0))
        errors.append([np.square(other - product).sum() for other in (shrunk, believed)])
    shrunk, believed = np.mean(errors, axis=0)
    assert shrunk < 0.4 * believed


def curved(codes, *, rare=None):
    """Shares of numbered codes, and a joint distribution with a target that rises along them; one code may be rare."""
    places = np.arange(codes)
    rows = np.exp(-0.5 * np.square((places - codes / 2) / (codes / 4)))
    if rare is not None:
        rows[rare] = 1e-4 * rows.sum()
    rows /= rows.sum()
    reached = 1.0 / (1.0 + np.exp(-(places - 0.7 * codes) / (codes / 10)))
    return rows, rows[:, None] * np.stack([1.0 - reached, 0.8 * reached, 0.2 * reached], axis=1)


def test_a_column_of_numbers_tells_a_curve():
    """What codes near each other have in common is told apart from noise that drowns each of them."""
    rows, truth = curved(36)
    product, rng = np.outer(rows, truth.sum(axis=0)), np.random.default_rng(8)
    errors, mixed = [], rng.permutation(36)
    for _ in range(40):
        noisy = truth + 0.006 * rng.normal(size=truth.shape)
        found = joint_near(noisy, rows, truth.sum(axis=0), deviation=0.006)
        apart = joint_near(noisy[mixed], rows[mixed], truth.sum(axis=0), deviation=0.006)
        pairs = (found, truth), (apart, truth[mixed]), (product, truth), (noisy, truth)
        errors.append([np.square(one - other).sum() for one, other in pairs])
    curve, unordered, independent, raw = np.mean(errors, axis=0)
    assert curve < 0.6 * unordered
    assert curve < 0.2 * min(independent, raw)


@pytest.mark.parametrize("rare", [3, 30])
def test_a_rare_code_does_not_tell_what_its_noise_says(rare):
    """It stays between independence and its neighbours, whatever the noise in its row is."""
    rows, truth = curved(36, rare=rare)
    rng, columns = np.random.default_rng(9), truth.sum(axis=0)
    for loud in (0.02, -0.02):
        noisy = truth + 0.004 * rng.normal(size=truth.shape)
        noisy[rare, 1] += loud
        found = joint_near(noisy, rows, columns, deviation=0.004)
        given = found[rare] / rows[rare]
        near = truth[[rare - 1, rare + 1], 1].sum() / rows[[rare - 1, rare + 1]].sum()
        low, high = sorted((near, columns[1]))
        assert low - 0.1 < given[1] < high + 0.1


def test_pairs_are_measured_of_few_people_with_a_small_target():
    config = ArConfig()
    assert config.pairs(DOMAIN, people=1) == config.pairs(DOMAIN, people=SOME) == PAIRS_OF_FEW
    assert config.pairs(DOMAIN, people=1.5 * SOME) == pytest.approx(PAIRS_OF_FEW / 2)
    assert config.pairs(DOMAIN, people=2 * SOME) == config.pairs(DOMAIN, people=1e9) == 0
    wide = Domain.of({"a": 2, "b": FEW_CODES + 1})
    assert ArConfig().pairs(wide, people=500) == 0
    assert ArConfig(target="a").pairs(wide, people=500) > 0
    assert ArConfig().pairs(Domain.of({"a": 2}), people=500) == 0


@CONFIGS
def test_of_tens_of_thousands_of_people_the_start_counts_codes_alone(kind):
    """Its plan is the same as ever: the start has its share, a bound above every record's, and no pairs."""
    config = kind().for_epsilon(3.0)
    first, *later = config.phases(DOMAIN, people=39_073)
    sampled = sum(phase.steps * (phase.sampling_probability / phase.noise_factor) ** 2 for phase in later)
    assert first.noise_factor**-2 / (first.noise_factor**-2 + sampled) == pytest.approx(config.share_of_codes)
    assert (first.steps, first.sampling_probability, first.clip) == (1, 1.0, ROOM)
    assert config.pairs(DOMAIN, people=39_073) == 0


def test_of_some_thousand_people_a_game_is_about_the_target_more_and_a_critic_takes_fewer_steps():
    from dpsynth.deep.critic import PairCritic

    domain, config = Domain.of({f"c{j}": 2 for j in range(54)}), GanConfig().for_epsilon(3.0)
    for people in (FEW, SOME - 1):
        (_, target), (_, other) = PairCritic.of(
            domain.sizes, target_weight=config.weight(domain, people=people)
        ).groups
        assert 53 * target**2 == pytest.approx(TARGET_SHARE)
        assert 53 * 26 * other**2 == pytest.approx(1.0 - TARGET_SHARE)
        assert config.phases(domain, people=people)[-1].steps == config.critic.steps / FEWER
    for people in (FEW - 1, SOME, 39_073):
        assert config.weight(domain, people=people) == config.target_weight
        assert config.phases(domain, people=people)[-1] == config.critic.phase(config.joining(people))
    for names in (1, 2, 3):
        narrow = Domain.of({f"c{j}": 2 for j in range(names)})
        assert config.weight(narrow, people=FEW) == config.target_weight


def pairs_with_the_last(seed=6):
    """Joint distributions of each other column with the last one, all with the same shares of the last, and shares."""
    rng = np.random.default_rng(seed)
    last = rng.dirichlet(np.full(SIZES[-1], 5.0))
    joint = [rng.dirichlet(np.full(size, 2.0), SIZES[-1]).T * last for size in SIZES[:-1]]
    shares = torch.tensor(np.concatenate([*(table.sum(axis=1) for table in joint), last]), dtype=torch.float32)
    return joint, last, shares


def test_the_last_column_starts_at_what_its_pairs_say_together():
    from dpsynth.deep.autoregressive import Autoregressive

    joint, last, shares = pairs_with_the_last()
    network = Autoregressive.of(SIZES, hidden=5, shares=shares, last_alone=True)
    parameters = network.initial(random=SeededRandom(1))
    network.begin_at(parameters, joint)
    codes = records(SIZES, 40, seed=2)
    centred = torch.nn.functional.one_hot(codes + network._starts, sum(SIZES)).sum(dim=1) - shares
    logits = centred @ parameters["skip"] + parameters["bias"]
    found = torch.softmax(logits[:, -SIZES[-1] :], dim=1).numpy()
    for row, record in zip(found, codes.numpy(), strict=True):
        told = last * np.prod([table[code] / last for table, code in zip(joint, record[:-1], strict=True)], axis=0)
        np.testing.assert_allclose(row, told / told.sum(), atol=1e-5)
    others = logits[:, : sum(SIZES[:-1])]
    torch.testing.assert_close(others, torch.log(shares[: sum(SIZES[:-1])]).expand_as(others))


def test_a_mixture_starts_at_its_pairs():
    from dpsynth.deep.mixture import Mixture

    joint, last, shares = pairs_with_the_last()
    mixture = Mixture.of(SIZES, parts=4000)
    logits = mixture.initial(shares, spread=0.01, random=SeededRandom(1), joint=joint)
    found = mixture.probabilities(logits)
    parts = found.split(list(SIZES), dim=1)
    for part, table in zip(parts[:-1], joint, strict=True):
        np.testing.assert_allclose((part.T @ parts[-1] / 4000).numpy(), table, atol=2e-3)
    np.testing.assert_allclose(parts[-1].mean(dim=0).numpy(), last, atol=1e-3)


def test_raking_brings_rows_to_the_shares():
    rows = records((3, 2), 4000, seed=5).numpy()
    shares = [torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.9, 0.1])]
    weights = raked(np.ones(len(rows)), rows, shares)
    for j, share in enumerate(shares):
        found = np.bincount(rows[:, j], weights) / weights.sum()
        np.testing.assert_allclose(found, share.numpy(), atol=1e-3)


def test_rates_fall_as_the_noise_in_the_mean_rises():
    phase = Phase(label="rows", steps=100, sampling_probability=0.5, clip=2.0)
    plan = SgdPlan(phases=(phase,), noise_multiplier=5.0, people=1000.0)
    noise = 5.0 * 2.0 / (500.0 * 10.0)
    assert quieted(plan, phase, loud=noise / 4) == pytest.approx(0.25)
    assert quieted(plan, phase, loud=noise * 2) == 1.0


def test_of_few_people_the_last_column_alone_is_learned():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 2_000)
    codes = np.array([first, first, first], dtype=np.uint8)
    domain = Domain.of({"a": 2, "b": 2, "c": 2})
    config = ArConfig(row_steps=200, fewest_rows=2_000, hidden=4, row_rate=0.3, batch=500)
    agree = {}
    for people in (2_000, FEW):
        plan = SgdPlan(phases=config.phases(domain, people=people), noise_multiplier=5.0, people=people)
        terms = Terms(plan=plan, delta=1e-9, spend=Noted(), random=SeededRandom(3))
        a, b, c = fit_ar(MemorySource(domain, codes), config, terms).codes
        agree[people] = (a == b).mean(), (a == c).mean()
    assert agree[2_000][0] == pytest.approx(0.5, abs=0.02)
    assert min(agree[2_000][1], *agree[FEW]) > 0.7


def test_columns_that_are_not_learned_stay_where_they_start():
    """Their noisy gradients are zero, noise and all."""
    from dpsynth.deep.autoregressive import Autoregressive
    from tests.dpsynth.deep.references import charged_for, people, phase

    network, step = Autoregressive.of(SIZES, hidden=5, last_alone=True), phase()
    start = network.initial(random=SeededRandom(1))
    made = people(records(SIZES, 30, seed=2).numpy(), sizes=SIZES)
    found = sgd.noisy_gradient(network, start, made, step, charged=charged_for(step), random=SeededRandom(2))
    kept = sum(SIZES[:-1])
    for name in ("bias", "skip", "out"):
        assert bool((found[name][..., :kept] == 0).all()), name
        assert bool((found[name][..., kept:] != 0).any()), name
