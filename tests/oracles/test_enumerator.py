"""The oracle itself, on laws known in closed form."""

import math

import pytest

from accountant.normal import log_blow_up
from dpsynth.noise.gaussian import draw_discrete_gaussian
from dpsynth.noise.tables import CumulativeTable
from tests.oracles.enumerator import EPSILONS, Law, distribution, hockey_stick

COIN = CumulativeTable.from_weights([1, 3])


def test_every_path_with_its_probability():
    law = distribution(lambda random: tuple(random.draw(COIN, 2)), floor=0.0)
    assert law.probabilities == {(0, 0): 1 / 16, (0, 1): 3 / 16, (1, 0): 3 / 16, (1, 1): 9 / 16}
    assert (law.remainder, law.runs) == (0.0, 4)


def test_draws_may_depend_on_earlier_ones():
    def stop_at_one(random):
        tries = 1
        while tries < 4 and not random.draw(COIN, 1)[0]:
            tries += 1
        return tries

    law = distribution(stop_at_one, floor=0.0)
    assert law.probabilities == pytest.approx({1: 3 / 4, 2: 3 / 16, 3: 3 / 64, 4: 1 / 64})


def test_what_is_lumped_is_accounted():
    law = distribution(lambda random: int(draw_discrete_gaussian(3.0, 2, random=random).sum()), floor=1e-5)
    assert 0.0 < law.remainder < 0.01
    assert math.fsum(law.probabilities.values()) + law.remainder == pytest.approx(1.0, abs=1e-12)


def test_a_function_with_other_randomness_is_noticed():
    flips = iter([2, 1])
    with pytest.raises(AssertionError, match="not a function of its draws"):
        distribution(lambda random: int(random.draw(COIN, next(flips)).sum()), floor=0.0)


def test_hockey_stick_of_randomised_response():
    p, q = Law({0: 0.75, 1: 0.25}), Law({0: 0.25, 1: 0.75})
    assert hockey_stick(p, q, 0.0) == (0.5, 0.5)
    assert hockey_stick(p, q, math.log(3)) == pytest.approx((0.0, 0.0), abs=1e-15)


def test_hockey_stick_bounds_hold_for_lumped_laws():
    """Lumped laws bracket the nearly continuous answer; the reference is the Gaussian of the same scale."""
    p = distribution(lambda random: int(draw_discrete_gaussian(20.0, 1, random=random)[0]), floor=1e-4)
    q = Law({o + 20: mass for o, mass in p.probabilities.items()}, p.remainder)
    for epsilon in EPSILONS:
        low, high = hockey_stick(p, q, epsilon)
        assert low - 1e-3 <= math.exp(log_blow_up(1.0, epsilon)) <= high + 1e-3
