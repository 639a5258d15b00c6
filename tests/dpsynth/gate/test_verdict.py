"""The verdict: exact neighbours against the price, copiers, honest tables, edges, what may be shown."""

import ast
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import dpsynth.gate.annex
from accountant import canonical
from accountant.errors import BudgetExceeded
from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.attacks import ONE, AttackStatistic, Family, Feature, Layout
from dpsynth.attacks.closeness import FeatureFacts
from dpsynth.domain import Domain
from dpsynth.gate import Verdict
from dpsynth.gate.annex import GateAnnex
from dpsynth.gate.battery import Probe
from dpsynth.gate.policy import Attack, AttackKind
from dpsynth.gate.thresholds import Scale, tau
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import floored, run_gate
from dpsynth.noise.random import SeededRandom
from tests.dpsynth.gate.helpers import LAYOUT, Chosen, budget, plan, policy, source, table

WIDE = Domain(names=tuple("abcdefgh"), sizes=(4,) * 8)


def gate(training, holdout, synthetic, *, of_policy=None, mu=1, totals=None, random=None, layout=LAYOUT, spend=None):
    of_policy = of_policy or policy()
    of_plan = plan(of_policy, mu)
    spend = spend or budget(of_plan)
    random = random or Chosen()
    totals = totals or measure_totals(training, holdout, plan=of_plan, spend=spend, random=random)
    return run_gate(
        training,
        holdout,
        synthetic,
        layout=layout,
        totals=totals,
        plan=of_plan,
        policy=of_policy,
        spend=spend,
        random=random,
    )


def law(training, holdout, synthetic, totals, *, mu, grid):
    """Distribution of the published number: the shipped function with its random source replaced by an enumerator."""
    of_policy = policy(gate_mu=Fraction(2), grid=grid, attacks=policy().attacks[:3])
    probe = Chosen()
    gate(training, holdout, synthetic, of_policy=of_policy, mu=mu, totals=totals, random=probe)
    length = probe.lengths[0]
    outcomes, passes, paid = {}, [], None
    for index in range(length):
        result, annex = gate(
            training, holdout, synthetic, of_policy=of_policy, mu=mu, totals=totals, random=Chosen(index)
        )
        outcomes[result.noisy_steps] = index
        passes.append(result.verdict is Verdict.PASS)
        paid = (result.training_amount / AMOUNT_UNIT, result.holdout_amount / AMOUNT_UNIT)
    return outcomes, passes, paid, length, annex


@pytest.mark.parametrize("side", ["training", "holdout"])
def test_the_law_of_neighbours_is_within_the_price(side):
    """Hockey-stick divergence of the published number, both ways, against the Gaussian curve of the charged mu."""
    totals = Totals(training=4, holdout=3, training_sigma=1.0, holdout_sigma=1.0)
    synthetic = np.array([[0, 1], [0, 2], [0, 1]], dtype=np.uint8)
    people = np.array([[0, 0], [0, 1], [0, 1]], dtype=np.uint8)
    worst = 0.0
    for added in ([0, 0, 0], [1, 2, 1], [0, 2, 0]):
        more = np.concatenate([people, np.array([added], dtype=np.uint8).T], axis=1)
        one = {"training": source(people), "holdout": source(people)}
        laws = [
            law(**neighbour, synthetic=synthetic, totals=totals, mu=3, grid=2)
            for neighbour in (one, one | {side: source(more)})
        ]
        mu = math.sqrt(laws[0][2][0 if side == "training" else 1])
        p, q = (pmf(outcomes, length) for outcomes, _, _, length, _ in laws)
        for first, second in ((p, q), (q, p)):
            for epsilon in (0.0, 0.25, 0.5, 1.0, 2.0):
                delta = sum(max(0.0, first[k] - math.exp(epsilon) * second.get(k, 0.0)) for k in first)
                bound = cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * cdf(-mu / 2 - epsilon / mu)
                assert delta <= bound + 1e-12
                worst = max(worst, delta / bound)
    assert worst > 0.5  # the price is nearly used: half the noise would break it


def pmf(outcomes, length):
    cut = length // 2
    sigma = SIGMAS[length]
    w = [math.exp(-((k - cut) ** 2) / (2 * sigma**2)) for k in range(length)]
    return {value: w[index] / sum(w) for value, index in outcomes.items()}


def cdf(x):
    return math.erfc(-x / math.sqrt(2)) / 2


SIGMAS: dict[int, float] = {}


@pytest.fixture(autouse=True)
def remember_sigmas(monkeypatch):
    """Note the scale that the shipped function asked the noise room for, by the length of its table."""
    import dpsynth.gate.verdict as module

    draw = module.draw_discrete_gaussian

    def noted(sigma, size, *, random):
        found = draw(sigma, size, random=random)
        if getattr(random, "lengths", None):
            SIGMAS[random.lengths[-1]] = sigma
        return found

    monkeypatch.setattr(module, "draw_discrete_gaussian", noted)


def test_the_bit_has_the_probability_that_the_annex_says():
    totals = Totals(training=4, holdout=3, training_sigma=1.0, holdout_sigma=1.0)
    synthetic, people = np.zeros((3, 2), dtype=np.uint8), np.zeros((3, 4), dtype=np.uint8)
    outcomes, passes, _, length, annex = law(source(people), source(people), synthetic, totals, mu=3, grid=2)
    chances = list(pmf(outcomes, length).values())
    passing = sum(c for c, good in zip(chances, passes, strict=True) if good)
    assert float(annex.pass_probability) == pytest.approx(passing, abs=1e-12)
    assert 0 < annex.pass_probability < 1


def test_charges_stand_before_the_draw_and_a_refusal_draws_nothing():
    random = Chosen()
    totals = Totals(training=4, holdout=3, training_sigma=1.0, holdout_sigma=1.0)
    poor = FilterSpend(coordinate=Coordinate.GDP, caps=dict.fromkeys(Side, Price(1, 1)))
    with pytest.raises(BudgetExceeded):
        gate(source([]), source([]), np.zeros((3, 1), np.uint8), totals=totals, random=random, spend=poor)
    assert random.lengths == []
    assert poor.steps == ()


def test_the_whole_gate_fits_the_plan_on_both_sides():
    rng = np.random.default_rng(2)
    of_plan = plan(policy(), 1)
    spend = budget(of_plan)
    result, _ = gate(source(table(rng, 800)), source(table(rng, 200)), table(rng, 800), spend=spend)
    training, holdout = (spend.spent[side].amount for side in (Side.TRAINING, Side.HOLDOUT))
    assert training <= of_plan.training_count + of_plan.training_gate
    assert holdout <= of_plan.amount
    assert all(spend.spent[side].delta <= of_plan.delta for side in spend.spent)
    assert result.training_amount + of_plan.training_count >= training
    assert [step.sides for step in spend.steps[-2:]] == [(Side.TRAINING,), (Side.HOLDOUT,)]


def test_t_is_exact_floored_and_a_maximum():
    totals = Totals(training=3, holdout=7, training_sigma=1.0, holdout_sigma=1.0)

    def one(training, holdout):
        return AttackStatistic(
            name="x",
            feature=Feature(family=Family.NEAR),
            constant=0,
            training=training * ONE,
            holdout=holdout * ONE,
        )

    half = Attack(name="x", kind=AttackKind.NEAR, distances=(0,), alpha=Fraction(1, 10), weight=Fraction(1, 2))
    steps = floored([half] * 2, (one(1, 1), one(2, 5)), (Fraction(0), Fraction(1, 10)), totals=totals, grid=5)
    assert steps == math.floor(
        max(Fraction(1, 3) - Fraction(1, 7), Fraction(2, 3) - Fraction(5, 7) - Fraction(1, 10)) / 2 * 15
    )
    assert floored([half], (one(0, 1),), (Fraction(0),), totals=totals, grid=5) == -2


def copied(rng, rows, share):
    training, honest = rng.integers(0, 4, (8, rows)), rng.integers(0, 4, (8, rows))
    copies = int(share * rows)
    honest[:, :copies] = training[:, :copies]
    return training.astype(np.uint8), rng.integers(0, 4, (8, rows // 4)).astype(np.uint8), honest.astype(np.uint8)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.99, 1.0), (0.05, 0.0, 0.01), (1.0, 0.0, 0.0001)])
def test_copies_fail_and_honest_tables_pass(share, low, high):
    rng = np.random.default_rng(7)
    for _ in range(3):
        training, holdout, synthetic = copied(rng, 20_000, share)
        result, annex = gate(
            source(training, domain=WIDE),
            source(holdout, domain=WIDE),
            synthetic,
            mu="0.237",
            random=SeededRandom(3),
            layout=Layout.plain(WIDE.sizes),
        )
        assert low <= annex.pass_probability <= high
        assert result.verdict is (Verdict.PASS if share == 0.0 else Verdict.FAIL)


def test_a_leak_of_the_stated_size_is_seen():
    rng = np.random.default_rng(8)
    training, holdout, honest = copied(rng, 20_000, 0.0)
    sides = source(training, domain=WIDE), source(holdout, domain=WIDE)
    result, _ = gate(*sides, honest, mu="0.237", random=SeededRandom(1), layout=Layout.plain(WIDE.sizes))
    leak = honest.copy()
    copies = math.ceil(result.smallest_leak * 20_000)
    leak[:, :copies] = training[:, :copies]
    chances = [
        gate(*sides, leak, mu="0.237", random=SeededRandom(s), layout=Layout.plain(WIDE.sizes))[1].pass_probability
        for s in range(5)
    ]
    assert sum(chances) / len(chances) <= 0.05
    assert 0.001 < result.smallest_leak < 0.1


@pytest.mark.parametrize("training", [0, 1, 10])
@pytest.mark.parametrize("holdout", [0, 10])
@pytest.mark.parametrize("rows", [0, 1, 10])
@pytest.mark.parametrize("sizes", [(2,), (1, 1, 1), (5, 300)])
def test_edges_give_a_verdict(training, holdout, rows, sizes):
    domain = Domain(names=tuple(f"c{i}" for i in range(len(sizes))), sizes=sizes)
    rng = np.random.default_rng(1)
    sides = [np.stack([rng.integers(0, s, n) for s in sizes]).astype(np.uint16) for n in (training, holdout, rows)]
    people = [source_of(codes, domain) for codes in sides[:2]]
    layout = Layout(sizes=sizes, ordered=sizes, known=((0,),), secrets=(0,))
    result, annex = gate(*people, sides[2], layout=layout)
    assert result.verdict in (Verdict.PASS, Verdict.FAIL)
    if rows == 0:
        assert all(one.training == one.holdout == 0 for one in annex.statistics)


def source_of(codes, domain):
    from dpsynth.sources.memory import MemorySource

    return MemorySource(domain, codes)


def test_a_table_equal_to_all_people_is_not_a_difference():
    rng = np.random.default_rng(3)
    people = table(rng, 1000)
    _, annex = gate(source(people[:, :800]), source(people[:, 800:]), people)
    assert annex.pass_probability > 0.99


@pytest.mark.parametrize("relative", [0.002, 0.1])
def test_thresholds_hold_their_alpha_for_unlucky_splits(relative):
    """Simulated nulls, with noisy totals and the test's noise, for base rates up to three times the constant."""
    rng, n = np.random.default_rng(4), (40_000, 10_000)
    scale = Scale(
        split=1 / n[0] + 1 / n[1],
        totals=relative,
        training=relative / 2,
        noise=20 / n[0],
        margin=46.5 / n[0],
        factor=3.0,
        floor=0.001,
    )
    attack = Attack(name="x", kind=AttackKind.NEAR, distances=(0,), alpha=Fraction(1, 100), weight=Fraction(1))
    for c in (0.0, 0.01, 0.1, 0.45, 0.9):
        p, runs = min(3 * c, 1 - (1 - c) / 3), 20_000
        noisy = (
            (n[0] + n[0] * rng.normal(0, relative / 2, runs)),
            n[1] * (1 + rng.normal(0, relative * 0.75**0.5, runs)),
        )
        a = (rng.binomial(n[0], p, runs) - c * n[0]) / noisy[0] - (rng.binomial(n[1], p, runs) - c * n[1]) / noisy[1]
        facts = FeatureFacts(constant=c * ONE, square=c * ONE, opposite=(1 - c) * ONE, copied=ONE)
        threshold = float(tau(Probe(attack=attack, feature=Feature(family=Family.NEAR), sharing=1), facts, scale=scale))
        seen = a - threshold + rng.normal(0, scale.noise, runs) > scale.margin
        assert seen.mean() <= 0.01 + 4 * math.sqrt(0.01 / runs)


def test_results_are_canonical_and_annexes_hide_their_numbers():
    result, annex = gate(source(table(np.random.default_rng(0), 50)), source([]), np.zeros((3, 5), np.uint8))
    assert canonical.dumps(result.to_json())
    assert canonical.dumps(annex.confidential_json())
    assert repr(annex) == "GateAnnex(<private>)"
    shown = set(result.to_json())
    assert not shown & {"exact_steps", "pass_probability", "statistics"}


def test_public_writers_cannot_reach_the_annex():
    """Neither the package's own exports nor the public modules import the annex or the exact statistics."""
    for name in ("__init__.py", "plan.py", "policy.py", "result.py"):
        source_text = (Path(dpsynth.gate.annex.__file__).parent / name).read_text(encoding="utf-8")
        modules = {n.module or "" for n in ast.walk(ast.parse(source_text)) if isinstance(n, ast.ImportFrom)}
        assert not any(m.endswith(("annex", "verdict")) or ".attacks" in m for m in modules)
    assert GateAnnex.__module__ == "dpsynth.gate.annex"


def test_only_attacks_with_something_to_look_at_are_named():
    everybody = source([[0, 1] * 20, [0, 1] * 20, [0, 1] * 20])
    drawn = np.zeros((3, 8), dtype=np.uint8)
    names = tuple(attack.name for attack in policy().attacks)
    idle = {a.name for a in policy().attacks if a.kind in {AttackKind.KNOWN, AttackKind.GUESSED}}
    assert len(idle) == 2
    for layout, silent in ((LAYOUT, set()), (replace(LAYOUT, known=(), secrets=()), idle)):
        result, _ = gate(everybody, everybody, drawn, layout=layout)
        assert result.attacks == tuple(name for name in names if name not in silent)
