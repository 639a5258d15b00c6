"""The thresholds' formulas, each against what defines it: brute force over the allowed rates, and solved equations."""

import dataclasses
import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from accountant.price import Coordinate
from dpsynth.attacks.closeness import ONE, Family, TableFacts
from dpsynth.gate import load_policy
from dpsynth.gate.noise import gate_noise, margin
from dpsynth.gate.policy import Attack, AttackKind
from dpsynth.gate.thresholds import Scale, decidable, scale, smallest_leak, tau
from dpsynth.gate.totals import Totals
from tests.dpsynth.gate.helpers import plan, policy

WIDTH = 4
SCALES = [
    Scale(split=1 / 900 + 1 / 110, totals=0.03, training=0.02, noise=0.011, margin=0.004),
    Scale(split=1 / 40_000 + 1 / 10_000, totals=0.2, training=0.1, noise=0.0005, margin=0.0),
]
RATES = [0.0, 0.0002, 0.01, 0.2, 0.4, 0.5, 0.7, 0.99, 1.0]


def attack(kind, *, alpha="0.002", weight="1", distances=(0, 2)):
    distances = () if kind is AttackKind.ADVANTAGE else distances
    return Attack(name="one", kind=kind, distances=distances, alpha=Fraction(alpha), weight=Fraction(weight))


def worst_spread(c, of):
    """The largest standard deviation over the real rates p that a table with constant c allows, part by part.

    Allowed: p and 1 - p each within a factor of three of the table's own, give or take one in a thousand.
    """
    p = np.linspace(0.0, 1.0, 100_001)
    factor = (p <= 3 * c) & (3 * p >= c) & (1 - p <= 3 * (1 - c)) & (3 * (1 - p) >= 1 - c)
    near = p[factor] if factor.any() else np.array([c])
    allowed = p[(p >= near.min() - 1e-3 - 1e-9) & (p <= near.max() + 1e-3 + 1e-9)]
    return math.hypot(math.sqrt((allowed * (1 - allowed)).max() * of.split), np.abs(allowed - c).max() * of.totals)


def quantile(alpha):
    return -NormalDist().inv_cdf(alpha)


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("c", RATES)
@pytest.mark.parametrize("kind", [AttackKind.NEAR, AttackKind.ISOLATED])
@pytest.mark.parametrize("weight", ["1", "0.25"])
def test_the_threshold_of_a_rate_is_the_quantile_at_the_least_favourable_rate(of, c, kind, weight):
    """Two distances share alpha; the noise and the margin weigh more where the statistic weighs less."""
    w = float(Fraction(weight))
    spread = math.hypot(worst_spread(c, of), of.noise / w)
    expected = max(0.0, quantile(0.002 / 2) * spread - of.margin / w)
    found = tau(attack(kind, weight=weight), c, columns=WIDTH, scale=of)
    assert float(found) == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert found.denominator <= 2**40
    assert found * 2**40 == math.ceil(found * 2**40)


@pytest.mark.parametrize("of", SCALES)
def test_the_threshold_of_the_advantage_is_massarts(of):
    """P[KS > x] <= exp(-2 x^2 / split), with the totals' noise on a rate that is off by a half at most."""
    spread = math.hypot(math.sqrt(of.split / 4), of.totals / 2, of.noise)
    expected = math.sqrt(-2 * math.log(0.002)) * spread - of.margin
    found = tau(attack(AttackKind.ADVANTAGE), 0.3, columns=WIDTH, scale=of)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    assert found >= Fraction(expected) - Fraction(1, 2**45)


def test_a_threshold_is_never_below_zero_and_is_rounded_up():
    of = dataclasses.replace(SCALES[0], margin=10.0)
    assert tau(attack(AttackKind.NEAR), 0.2, columns=WIDTH, scale=of) == 0


def test_fewer_distances_share_an_alpha_on_a_narrow_table():
    of = SCALES[0]
    wide, narrow = (tau(attack(AttackKind.NEAR), 0.2, columns=columns, scale=of) for columns in (3, 2))
    alone = tau(attack(AttackKind.NEAR, distances=(0,)), 0.2, columns=3, scale=of)
    assert narrow == alone < wide


def test_the_scale_is_that_of_the_two_totals():
    totals = Totals(training=800, holdout=200, training_sigma=8.0, holdout_sigma=6.0)
    noise = gate_noise(load_policy(), plan=plan(load_policy(), "0.237"), totals=totals)
    found = scale(totals, noise, margin_steps=48)
    assert found.split == pytest.approx(1 / 800 + 1 / 200, rel=1e-15)
    assert found.totals == pytest.approx(math.sqrt(0.01**2 + 0.03**2), rel=1e-12)
    assert found.training == pytest.approx(0.01, rel=1e-15)
    assert found.noise == pytest.approx(noise.sigma / noise.grid / 800, rel=1e-15)
    assert found.margin == pytest.approx(48 / noise.grid / 800, rel=1e-15)


FACTS = TableFacts(
    constants={Family.NEAR: (655, 6_554, 13_107, 60_000), Family.ISOLATED: (10, 327, 500, 600)},
    alone=(ONE, 52_429, 32_768, 9_830),
)


def leak_of_one(of, c, gain, *, kind, weight, detection):
    """The least x with x gain = tau + margin + z sd(x), the share of training people being known up to its noise."""
    z = NormalDist().inv_cdf(detection)
    w = float(Fraction(weight))
    threshold = float(tau(attack(kind, weight=weight), c, columns=WIDTH, scale=of)) + of.margin / w
    own = math.hypot(worst_spread(c, of), of.noise / w)
    low, high = 0.0, 1e6
    for _ in range(200):
        x = (low + high) / 2
        enough = x >= threshold + math.hypot(z * own, z * of.training * x)
        low, high = (low, x) if enough else (x, high)
    return high / gain if gain > 0 else math.inf


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("weight", ["1", "0.5"])
@pytest.mark.parametrize("kind", list(AttackKind))
def test_the_smallest_leak_is_the_least_that_would_be_seen(of, weight, kind):
    """What copying everybody adds to a rate: those who weren't near anyway, or a copy's own chance to be isolated."""
    family = Family.ISOLATED if kind is AttackKind.ISOLATED else Family.NEAR
    distances = range(WIDTH) if kind is AttackKind.ADVANTAGE else (0, 2)
    found = smallest_leak(policy(attacks=(attack(kind, weight=weight),)), FACTS, scale=of)
    expected = []
    for t in distances:
        c = FACTS.constants[family][t] / ONE
        gain = FACTS.alone[t] / ONE if kind is AttackKind.ISOLATED else 1 - c
        expected.append(leak_of_one(of, c, gain, kind=kind, weight=weight, detection=0.95))
    assert found == pytest.approx(min(expected), rel=2e-3)


def test_no_leak_is_seen_where_the_totals_are_unknown_or_copies_change_nothing():
    blind = dataclasses.replace(SCALES[0], training=1 / NormalDist().inv_cdf(0.95))
    near = policy(attacks=(attack(AttackKind.NEAR),))
    assert smallest_leak(near, FACTS, scale=blind) == math.inf
    crowded = TableFacts(constants=dict.fromkeys(Family, (ONE,) * WIDTH), alone=(0,) * WIDTH)
    assert smallest_leak(near, crowded, scale=SCALES[0]) == math.inf
    isolated = policy(attacks=(attack(AttackKind.ISOLATED),))
    assert smallest_leak(isolated, crowded, scale=SCALES[0]) == math.inf


def test_the_smallest_leak_is_the_best_attacks():
    both = policy(attacks=(attack(AttackKind.NEAR), dataclasses.replace(attack(AttackKind.ISOLATED), name="other")))
    alone = [smallest_leak(policy(attacks=(a,)), FACTS, scale=SCALES[0]) for a in both.attacks]
    assert smallest_leak(both, FACTS, scale=SCALES[0]) == min(alone)


def totals_of(training, holdout):
    return Totals(training=training, holdout=holdout, training_sigma=9.0, holdout_sigma=9.0)


def test_the_edges_of_what_is_decidable():
    found = policy(smallest_side=500, tolerable_leak=Fraction(99, 100))
    of_plan = plan(found, 1)
    assert decidable(found, totals_of(4_000, 500), plan=of_plan).decidable
    assert not decidable(found, totals_of(4_000, 499), plan=of_plan).decidable
    assert decidable(found, totals_of(500, 4_000), plan=of_plan).decidable
    assert not decidable(found, totals_of(499, 4_000), plan=of_plan).decidable


def test_the_tolerated_leak_is_that_of_a_table_to_which_nobody_is_close():
    found = policy(smallest_side=20)
    of_plan, totals = plan(found, "0.237"), totals_of(4_000, 1_000)
    noise = gate_noise(found, plan=of_plan, totals=totals)
    nobody = TableFacts(constants=dict.fromkeys(Family, (0,)), alone=(ONE,))
    leak = smallest_leak(found, nobody, scale=scale(totals, noise, margin_steps=margin(found, noise)))
    answer = decidable(found, totals, plan=of_plan)
    assert answer.smallest_leak == leak
    assert 0.0 < leak < 0.4
    tight = dataclasses.replace(found, tolerable_leak=Fraction(leak))
    assert decidable(tight, totals, plan=of_plan).decidable
    tighter = dataclasses.replace(found, tolerable_leak=Fraction(leak) - Fraction(1, 10**15))
    assert not decidable(tighter, totals, plan=of_plan).decidable


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_noise_beyond_any_population_decides_nothing(coordinate):
    found = policy(smallest_side=1)
    answer = decidable(found, totals_of(10**9, 1), plan=plan(found, 1, coordinate=coordinate))
    assert not answer.decidable
    assert answer.smallest_leak == math.inf
