"""The thresholds' formulas, each against what defines it: brute force over the allowed rates, and solved equations."""

import dataclasses
import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from accountant.price import Coordinate
from dpsynth.attacks import ONE, Family, Feature
from dpsynth.attacks.closeness import FeatureFacts
from dpsynth.gate import load_policy
from dpsynth.gate.battery import Probe
from dpsynth.gate.noise import gate_noise, margin
from dpsynth.gate.policy import Attack, AttackKind
from dpsynth.gate.thresholds import Scale, decidable, scale, smallest_leak, tau
from dpsynth.gate.totals import Totals
from tests.dpsynth.gate.helpers import plan, policy

SCALES = [
    Scale(split=1 / 900 + 1 / 110, totals=0.03, training=0.02, noise=0.011, margin=0.004, factor=3.0, floor=0.001),
    Scale(split=1 / 40_000 + 1 / 10_000, totals=0.2, training=0.1, noise=0.0005, margin=0.0, factor=2.0, floor=0.0005),
]
RATES = [0.0, 0.0002, 0.01, 0.2, 0.4, 0.5, 0.7, 0.99, 1.0]


GRADED = AttackKind.GRADED
NOBODY = FeatureFacts(constant=0, square=0, opposite=ONE, copied=ONE)
SUPREMA = (AttackKind.ADVANTAGE, AttackKind.MIXED_ADVANTAGE)


def probe(kind, *, alpha="0.002", weight="1", sharing=1):
    one = Attack(name="one", kind=kind, distances=(0,), alpha=Fraction(alpha), weight=Fraction(weight))
    return Probe(attack=one, feature=Feature(family=Family.NEAR), sharing=sharing)


def rate(c, copied=1.0):
    """Facts of a feature that is 0 or 1, with mean c among strangers."""
    return FeatureFacts(constant=c * ONE, square=c * ONE, opposite=(1 - c) * ONE, copied=copied * ONE)


def worst_spread(c, of):
    """The largest standard deviation over the real rates p that a table with constant c allows, part by part.

    Allowed: p, and 1 - p, at most ``factor`` times the table's own and ``floor`` more.
    """
    p = np.linspace(0.0, 1.0, 1_000_001)
    allowed = p[(p <= of.factor * c + of.floor + 1e-9) & (1 - p <= of.factor * (1 - c) + of.floor + 1e-9)]
    return math.hypot(math.sqrt((allowed * (1 - allowed)).max() * of.split), np.abs(allowed - c).max() * of.totals)


def quantile(alpha):
    return -NormalDist().inv_cdf(alpha)


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("c", RATES)
@pytest.mark.parametrize("kind", [kind for kind in AttackKind if kind not in SUPREMA])
@pytest.mark.parametrize("weight", ["1", "0.25"])
def test_the_threshold_of_a_rate_covers_the_least_favourable_rate(of, c, kind, weight):
    """Two statistics share alpha; the noise and the margin weigh more where the statistic weighs less.

    The variance of a rate p is p(1 - p); what is used is the smaller of p, 1 - p and 1/4, never less.
    """
    w = float(Fraction(weight))
    found = tau(probe(kind, weight=weight, sharing=2), rate(c), scale=of)
    least = quantile(0.002 / 2) * math.hypot(worst_spread(c, of), of.noise / w) - of.margin / w
    assert float(found) >= max(0.0, least) - 1e-9
    p = min(of.factor * c + of.floor, of.factor * (1 - c) + of.floor, 0.25)
    spread = math.hypot(math.sqrt(p * of.split), worst_off(c, of) * of.totals, of.noise / w)
    assert float(found) == pytest.approx(max(0.0, quantile(0.001) * spread - of.margin / w), rel=1e-9, abs=1e-11)
    assert found * 2**40 == math.ceil(found * 2**40)


def worst_off(c, of):
    high, low = min(1.0, of.factor * c + of.floor), 1 - min(1.0, of.factor * (1 - c) + of.floor)
    return max(high - c, c - low)


@pytest.mark.parametrize("of", SCALES)
def test_the_threshold_of_a_graded_feature_stands_on_its_squares(of):
    """f between 0 and 1 varies less than its mean would allow: by the mean of its squares, at most."""
    facts = FeatureFacts(constant=ONE // 50, square=ONE // 200, opposite=ONE, copied=ONE)
    spread = math.hypot(
        math.sqrt((of.factor / 200 + of.floor) * of.split),
        max(of.factor / 50 + of.floor - 1 / 50, 1 / 50) * of.totals,
        of.noise,
    )
    found = tau(probe(GRADED), facts, scale=of)
    assert float(found) == pytest.approx(max(0.0, quantile(0.002) * spread - of.margin), rel=1e-2)


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("kind", SUPREMA)
@pytest.mark.parametrize("sharing", [1, 14])
def test_the_threshold_of_an_advantage_is_massarts(of, kind, sharing):
    """P[KS > x] <= exp(-2 x^2 / split), with the totals' noise on a rate that is off by a half at most."""
    spread = math.hypot(math.sqrt(of.split / 4), of.totals / 2, of.noise)
    expected = math.sqrt(-2 * math.log(0.002)) * spread - of.margin
    found = tau(probe(kind, sharing=sharing), rate(0.3), scale=of)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    assert found >= Fraction(expected) - Fraction(1, 2**45)


def test_a_threshold_is_never_below_zero_and_is_rounded_up():
    of = dataclasses.replace(SCALES[0], margin=10.0)
    assert tau(probe(AttackKind.NEAR), rate(0.2), scale=of) == 0


def test_fewer_statistics_share_an_alpha():
    of = SCALES[0]
    two, alone = (tau(probe(AttackKind.NEAR, sharing=sharing), rate(0.2), scale=of) for sharing in (2, 1))
    assert alone < two


def test_the_scale_is_that_of_the_two_totals():
    totals = Totals(training=800, holdout=200, training_sigma=8.0, holdout_sigma=6.0)
    noise = gate_noise(load_policy(), plan=plan(load_policy(), "0.237"), totals=totals)
    found = scale(policy(rate_factor=Fraction(5, 2), rate_floor=Fraction(1, 8)), totals, noise)
    assert found.split == pytest.approx(1 / 800 + 1 / 200, rel=1e-15)
    assert found.totals == pytest.approx(math.sqrt(0.01**2 + 0.03**2), rel=1e-12)
    assert found.training == pytest.approx(0.01, rel=1e-15)
    assert found.noise == pytest.approx(noise.sigma / noise.grid / 800, rel=1e-15)
    assert found.margin == pytest.approx(margin(load_policy(), noise) / noise.grid / 800, rel=1e-15)
    assert (found.factor, found.floor) == (2.5, 0.125)


FACTS = [rate(0.01), rate(0.2, copied=0.9), rate(0.005, copied=0.15), rate(0.4)]


def leak_of_one(one, facts, of, *, detection):
    """The least x with x gain = tau + margin + z sd(x), the share of training people being known up to its noise."""
    z, w, c = NormalDist().inv_cdf(detection), float(one.attack.weight), facts.constant / ONE
    gain = facts.copied / ONE - min(1.0, of.factor * c + of.floor)
    threshold = float(tau(one, facts, scale=of)) + (of.margin + of.step) / w
    p = min(of.factor * c + of.floor, of.factor * (1 - c) + of.floor, 0.25)
    own = math.hypot(math.sqrt(p * of.split), worst_off(c, of) * of.totals, of.noise / w)
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
    """What copying everybody adds to a mean: what copied people have, less the most that others may have."""
    of = dataclasses.replace(of, step=0.001)
    found = [(probe(kind, weight=weight), facts) for facts in FACTS]
    expected = [leak_of_one(one, facts, of, detection=0.95) for one, facts in found]
    assert smallest_leak(policy(), found, scale=of) == pytest.approx(min(expected), rel=2e-3)
    for pair, one in zip(found, expected, strict=True):
        assert smallest_leak(policy(), [pair], scale=of) == pytest.approx(one, rel=2e-3)


def test_no_leak_is_seen_where_the_totals_are_unknown_or_copies_change_nothing():
    blind = dataclasses.replace(SCALES[0], training=1 / NormalDist().inv_cdf(0.95))
    near = probe(AttackKind.NEAR)
    assert smallest_leak(policy(), [(near, rate(0.1))], scale=blind) == math.inf
    assert smallest_leak(policy(), [(near, rate(1.0))], scale=SCALES[0]) == math.inf
    assert smallest_leak(policy(), [(near, rate(0.0, copied=0.0))], scale=SCALES[0]) == math.inf
    assert smallest_leak(policy(), [], scale=SCALES[0]) == math.inf


@pytest.mark.parametrize("family", list(Family))
def test_only_statistics_in_which_every_copy_counts_fully_are_stated(family):
    one = dataclasses.replace(probe(AttackKind.NEAR), feature=Feature(family=family))
    sure = family in (Family.NEAR, Family.MIXED, Family.KNOWN, Family.GUESSED)
    assert math.isfinite(smallest_leak(policy(), [(one, rate(0.0))], scale=SCALES[0])) == sure


@pytest.mark.parametrize("c", [0.0, 0.01, 0.1, 0.3])
@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_a_leak_of_the_stated_size_is_seen_where_people_are_met_more_often_than_strangers(c, times):
    """Simulated: people met as often as the policy allows, the stated share of training people copied, all noise in."""
    n, rng, runs = (24_000, 6_000), np.random.default_rng(5), 20_000
    of = Scale(
        split=1 / n[0] + 1 / n[1], totals=0.002, training=0.0015, noise=20 / n[0], margin=46.5 / n[0], factor=2.0,
        floor=0.0005, step=1 / 32 / n[0],
    )  # fmt: skip
    one, p = probe(AttackKind.NEAR), times * c
    leak = smallest_leak(policy(), [(one, rate(c))], scale=of)
    assert leak < 0.2
    copied = math.ceil(leak * n[0])
    met = copied + rng.binomial(n[0] - copied, p, runs), rng.binomial(n[1], p, runs)
    sizes = n[0] * (1 + rng.normal(0, 0.0015, runs)), n[1] * (1 + rng.normal(0, 0.0013, runs))
    a = (met[0] - c * n[0]) / sizes[0] - (met[1] - c * n[1]) / sizes[1]
    seen = a - float(tau(one, rate(c), scale=of)) - of.step + rng.normal(0, of.noise, runs) > of.margin
    assert seen.mean() >= 0.95 - 4 * math.sqrt(0.05 / runs)


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
    sure = (a for a in found.attacks if a.kind in (AttackKind.NEAR, AttackKind.ADVANTAGE))
    probes = [probe(a.kind, alpha=a.alpha) for a in sure if a.looks_everywhere]
    assert len(probes) == 2
    leak = smallest_leak(found, [(one, NOBODY) for one in probes], scale=scale(found, totals, noise))
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
