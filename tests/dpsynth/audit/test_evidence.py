"""The interval of mu covers, its rule is learned on other runs than those it is tested on, and words tell."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from accountant.price import Price
from dpsynth.attacks.exact import clopper_pearson
from dpsynth.audit import evidence
from dpsynth.audit.evidence import bounds, learn, rates
from dpsynth.audit.subjects import Transcript


def runs(values, words=None):
    return [
        Transcript(evidence=float(v), words=words[i] if words else (), charged=Price()) for i, v in enumerate(values)
    ]


def pair(mu, size, seed):
    rng = np.random.default_rng(seed)
    return runs(rng.normal(0, 1, size)), runs(rng.normal(mu, 1, size))


def test_the_interval_covers_mu_of_a_gaussian_pair():
    """150 intervals at 5 % an end: more than 17 misses of an end have probability below 1e-3."""
    missed = {"low": 0, "high": 0}
    for seed in range(150):
        found = bounds(*pair(1.0, 150, seed), delta=0.0, error=0.05)
        missed["low"] += found.low > 1.0
        missed["high"] += found.high < 1.0
    assert max(missed.values()) <= 17


def test_many_runs_make_it_narrow():
    found = bounds(*pair(1.0, 20_000, 3), delta=0.0, error=0.01)
    assert 0.9 < found.low < 1.0 < found.high < 1.1
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_bounds_are_those_of_two_exact_rates(mu):
    """No threshold distinguishes mu-GDP pairs better than Phi(Phi^-1(FPR) + mu)."""
    normal, trials = NormalDist(), 10_000
    true, false = round(trials * normal.cdf(mu / 2)), round(trials * normal.cdf(-mu / 2))
    found = rates(true, trials, false, trials, delta=0.0, error=0.01)
    assert found.estimate == pytest.approx(mu, abs=1e-3)
    assert found.low < mu < found.high
    assert rates(true, trials, false, trials, delta=0.01, error=0.01).low < found.low - 0.02
    assert rates(true, trials, false, trials, delta=0.01, error=0.01).high == found.high


def test_both_rates_stand_at_their_worst():
    """Few runs without the record: their share of false hits is uncertain, too."""
    normal = NormalDist()
    found = rates(90, 100, 2, 10, delta=0.0, error=0.02)
    true, false = clopper_pearson(90, 100, error=0.01), clopper_pearson(2, 10, error=0.01)
    assert found.low == pytest.approx(normal.inv_cdf(true[0]) - normal.inv_cdf(false[1]))
    assert found.high == pytest.approx(normal.inv_cdf(true[1]) - normal.inv_cdf(false[0]))


def test_runs_that_never_confuse_the_tables_bound_mu_by_their_number():
    few, many = (rates(n, n, 0, n, delta=0.0, error=0.01).low for n in (100, 1000))
    assert 3.0 < few < many < 6.0
    assert rates(0, 100, 100, 100, delta=0.0, error=0.01).low < -30
    assert rates(10, 10, 0, 10, delta=1.0, error=0.01).low < -30


def test_the_rule_is_learned_from_the_first_runs_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(evidence, "learn", lambda no, yes, **how: seen.append((no, yes)) or learn(no, yes, **how))
    without, having = pair(1.0, 100, 1)
    found = bounds(without, having, delta=0.0, error=0.01)
    assert seen == [(without[:30], having[:30])]
    assert found.true_hits[1] == found.false_hits[1] == 70


def test_a_rule_learned_from_noise_shows_nothing():
    """200 audits of a pair without a difference: each would claim mu > 0 with probability at most 1 %."""
    rng = np.random.default_rng(11)
    words = [[(str(w),) for w in rng.integers(0, 12, 100)] for _ in range(400)]
    worlds = [runs(rng.normal(size=100), told) for told in words]
    found = [bounds(no, yes, delta=0.0, error=0.01) for no, yes in zip(worlds[::2], worlds[1::2], strict=True)]
    assert sum(f.low > 0 for f in found) <= 8


def test_words_tell_where_numbers_say_nothing():
    words = [("a", "b")] * 80 + [("a", "c")] * 20, [("a", "b")] * 20 + [("a", "c")] * 80
    shuffled = [[w[i] for i in np.random.default_rng(0).permutation(100)] * 4 for w in words]
    found = bounds(runs([0.0] * 400, shuffled[0]), runs([0.0] * 400, shuffled[1]), delta=0.0, error=0.01)
    assert 1.0 < found.low < 2 * NormalDist().inv_cdf(0.8) < found.high


def test_the_number_of_words_tells_too():
    found = bounds(runs([0.0] * 100, [("a",)] * 100), runs([0.0] * 100, [("a", "b")] * 100), delta=0.0, error=0.01)
    assert found.low > 2.0


def test_a_word_is_a_log_ratio_that_few_runs_move_little():
    statistic, _ = learn(runs([0.0] * 30, [("a",)] * 30), runs([0.0] * 30, [("b",)] * 30), delta=0.0, error=0.01)
    a, b = (statistic(Transcript(evidence=0.0, words=(w,), charged=Price())) for w in "ab")
    assert b == -a == pytest.approx(math.log(40 / 10))
