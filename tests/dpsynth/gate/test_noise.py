"""The noise's scale fits both caps; its margin and probabilities are those of the exact law."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.compose import totals as side_totals
from accountant.price import Coordinate
from accountant.spend import Side
from dpsynth.gate import load_policy
from dpsynth.gate.noise import GateNoise, gate_noise, margin, probability_at_most
from dpsynth.gate.totals import Totals
from dpsynth.noise.gaussian import discrete_gaussian_table, gaussian_cut
from tests.dpsynth.gate.helpers import plan, policy


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(["0.01", "0.0275", "0.182", "0.237", "1", "4"]),
    st.sampled_from(list(Coordinate)),
)
def test_both_sides_charges_fit_their_caps(training, holdout, mu, coordinate):
    of_plan = plan(load_policy(), Fraction(mu), coordinate=coordinate)
    totals = Totals(training=training, holdout=holdout, training_sigma=1.0, holdout_sigma=1.0)
    noise = gate_noise(load_policy(), plan=of_plan, totals=totals)
    paid = side_totals(noise.steps, coordinate)
    assert paid[Side.TRAINING].amount <= of_plan.training_gate
    assert paid[Side.HOLDOUT].amount <= of_plan.holdout_gate
    assert max(paid[Side.TRAINING].amount / of_plan.training_gate, paid[Side.HOLDOUT].amount / of_plan.holdout_gate) > (
        1 - 1e-6
    )


def test_gate_mu_of_a_twentieth_is_a_noise_of_twenty_records():
    totals = Totals(training=40_000, holdout=10_000, training_sigma=1.0, holdout_sigma=1.0)
    noise = gate_noise(load_policy(), plan=plan(load_policy(), Fraction("0.237")), totals=totals)
    assert noise.records == pytest.approx(20.0, rel=1e-4)
    assert margin(load_policy(), noise) / noise.grid == pytest.approx(46.5, rel=0.01)


@pytest.mark.parametrize("sigma", [0.7, 3.0, 41.5])
@pytest.mark.parametrize("alpha", ["0.01", "0.3", "0.00001"])
def test_margin_is_the_smallest_that_keeps_alpha(sigma, alpha):
    noise = GateNoise(grid=1, training_steps=1, holdout_steps=1, sigma=sigma)
    steps = margin(policy(noise_alpha=Fraction(alpha)), noise)
    assert 1 - probability_at_most(steps, noise) <= Fraction(alpha) < 1 - probability_at_most(steps - 1, noise)


def test_probabilities_are_exact_sums_of_the_table():
    noise = GateNoise(grid=1, training_steps=1, holdout_steps=1, sigma=2.0)
    cut = gaussian_cut(2.0)
    weights = [math.exp(-k * k / 8.0) for k in range(-cut, cut + 1)]
    for steps in (-cut - 5, -3, 0, 2, cut, cut + 5):
        expected = sum(weights[: max(0, steps + cut + 1)]) / sum(weights)
        assert float(probability_at_most(steps, noise)) == pytest.approx(expected, abs=1e-14)
    assert probability_at_most(cut, noise) == 1
    assert sum(discrete_gaussian_table(2.0).numerators) == 2**256


def test_the_grid_is_the_policys_or_as_fine_as_the_noise_allows():
    """Sigma stays near 4,000 steps: a grid of 32 steps of a record under little noise, coarser under more."""
    totals = Totals(training=40_000, holdout=10_000, training_sigma=1.0, holdout_sigma=1.0)
    fine = gate_noise(load_policy(), plan=plan(load_policy(), Fraction("0.237")), totals=totals)
    assert fine.grid == 32
    wide = gate_noise(load_policy(), plan=plan(load_policy(), Fraction("0.01")), totals=totals)
    assert 1 < wide.grid < 32
    assert 3_000 < wide.sigma <= 4_001
    lopsided = Totals(training=10**8, holdout=10, training_sigma=1.0, holdout_sigma=1.0)
    assert gate_noise(load_policy(), plan=plan(load_policy(), Fraction("0.01")), totals=lopsided).grid == 1


def test_a_holdout_person_moves_the_statistic_by_whole_steps_rounded_up():
    of_plan = plan(load_policy(), Fraction("0.237"))
    for training, holdout in ((40_000, 10_000), (40_001, 10_000), (39_999, 10_000), (7, 40_000)):
        totals = Totals(training=training, holdout=holdout, training_sigma=1.0, holdout_sigma=1.0)
        noise = gate_noise(load_policy(), plan=of_plan, totals=totals)
        assert noise.training_steps == noise.grid
        assert noise.holdout_steps == math.ceil(Fraction(noise.grid * training, holdout))
        training_step, holdout_step = noise.steps
        assert training_step.event.sensitivity == noise.training_steps
        assert holdout_step.event.sensitivity == noise.holdout_steps
        assert training_step.event.sigma == holdout_step.event.sigma == noise.sigma
        assert (training_step.sides, holdout_step.sides) == ((Side.TRAINING,), (Side.HOLDOUT,))


def test_a_probability_below_the_cut_is_nothing_and_at_it_the_first_entry():
    noise = GateNoise(grid=1, training_steps=1, holdout_steps=1, sigma=2.0)
    cut, numerators = gaussian_cut(2.0), discrete_gaussian_table(2.0).numerators
    assert probability_at_most(-cut - 1, noise) == 0
    assert probability_at_most(-cut, noise) == Fraction(numerators[0], 2**256)
    assert probability_at_most(cut - 1, noise) == 1 - Fraction(numerators[-1], 2**256)


def test_an_alpha_below_every_tail_has_the_whole_table_as_its_margin():
    noise = GateNoise(grid=1, training_steps=1, holdout_steps=1, sigma=0.7)
    assert margin(policy(noise_alpha=Fraction(1, 2**400)), noise) == gaussian_cut(0.7)
