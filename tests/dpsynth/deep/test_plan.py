"""The fixed plan: priced and charged whole, before anything; steps are taken once, and none that wasn't charged."""

import pytest

from accountant.budget import Budget
from accountant.calibrate import epsilon_of_plan
from accountant.compose import price
from accountant.errors import BudgetExceeded, UnsupportedEvent
from accountant.events import Composed, FixedPlan, PoissonSampledGaussian, Repeat
from accountant.filters import FilterSpend
from accountant.price import Coordinate
from accountant.spend import Side
from dpsynth.deep import ChargedSteps, Phase, SgdPlan, charge_plan, plan_for_amount, plan_for_target
from dpsynth.deep.plan import plan_event
from dpsynth.errors import ParameterError

DELTA = 1e-9
ONE = Phase(label="one", steps=3, sampling_probability=0.1, clip=2.0)
TWO = Phase(label="two", steps=2, sampling_probability=0.05, clip=1.0)
LONG = (
    Phase(label="one", steps=200, sampling_probability=0.05, clip=2.0),
    Phase(label="two", steps=100, sampling_probability=0.03, clip=1.0),
)


def plan(noise=4.0):
    return SgdPlan(phases=(ONE, TWO), noise_multiplier=noise, people=1000)


class Noted:
    """A spend that notes what it is charged."""

    def __init__(self):
        self.steps = []

    def charge(self, steps):
        self.steps += steps


def test_the_events_are_what_is_done():
    one, two = plan().events()
    assert one == Repeat(event=PoissonSampledGaussian(noise_multiplier=4.0, sampling_probability=0.1), count=3)
    assert two == Repeat(event=PoissonSampledGaussian(noise_multiplier=4.0, sampling_probability=0.05), count=2)


def test_a_phase_with_more_noise_is_charged_for_it():
    quiet = Phase(label="quiet", steps=1, sampling_probability=1.0, clip=2.0, noise_factor=3.0)
    (event,) = SgdPlan(phases=(quiet,), noise_multiplier=4.0, people=1000).events()
    assert event.event == PoissonSampledGaussian(noise_multiplier=12.0, sampling_probability=1.0)
    loud = Phase(label="loud", steps=1, sampling_probability=1.0, clip=2.0, noise_factor=0.1)
    assert SgdPlan(phases=(loud,), noise_multiplier=4.0, people=10).noise_of(loud) == pytest.approx(0.4)
    with pytest.raises(ParameterError, match="noise multipliers lie between"):
        SgdPlan(phases=(loud,), noise_multiplier=2.0, people=10)
    found = plan_for_target((loud,), people=10, epsilon=1.0, delta=1e-6)
    assert found.noise_of(loud) == pytest.approx(4.22, rel=0.02)  # mu .237 at (1, 1e-6)


def test_phases_are_run_in_order():
    charged = charge_plan(plan(), delta=DELTA, spend=Noted(), label="training")
    with pytest.raises(ParameterError, match="run in order"):
        charged.take(TWO)
    assert [charged.left(phase) for phase in (ONE, TWO)] == [3, 2]


def test_what_another_process_took_is_taken():
    event, noted = plan_event(plan(), delta=DELTA), []
    charged = ChargedSteps(plan(), event, taken=4, note=lambda: noted.append(1))
    assert [charged.left(phase) for phase in (ONE, TWO)] == [0, 1]
    charged.take(TWO)
    assert noted == [1]
    with pytest.raises(ParameterError, match="No charged step"):
        charged.take(TWO)
    assert noted == [1]


def test_a_plan_is_charged_whole_and_once():
    spend = Noted()
    charged = charge_plan(plan(), delta=DELTA, spend=spend, label="training", sides=(Side.TRAINING,))
    (step,) = spend.steps
    assert isinstance(step.event, FixedPlan)
    assert step.event.events == plan().events()
    assert (step.label, step.sides) == ("training", (Side.TRAINING,))
    assert [charged.left(phase) for phase in (ONE, TWO)] == [3, 2]


def test_a_refused_charge_gives_no_steps():
    cap = Budget(epsilon=0.01, delta=1e-6).cap
    spend = FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: cap})
    with pytest.raises(BudgetExceeded):
        charge_plan(plan(), delta=DELTA / 10, spend=spend, label="training")


def test_no_step_is_taken_twice_or_uncharged():
    charged = charge_plan(plan(), delta=DELTA, spend=Noted(), label="training")
    for _ in range(3):
        charged.take(ONE)
    with pytest.raises(ParameterError, match="No charged step"):
        charged.take(ONE)
    with pytest.raises(ParameterError, match="No charged step"):
        charged.take(Phase(label="two", steps=2, sampling_probability=0.5, clip=1.0))
    assert charged.left(TWO) == 2


def test_steps_of_another_plan_than_the_charged_one_are_refused():
    with pytest.raises(ParameterError, match="Another plan"):
        ChargedSteps(plan(noise=1.0), plan_event(plan(noise=4.0), delta=DELTA))


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_a_plan_for_a_target_keeps_it_and_wastes_little(epsilon):
    found = plan_for_target(LONG, people=1000, epsilon=epsilon, delta=1e-6)
    reached, _ = epsilon_of_plan(Composed(events=found.events()), 1e-6)
    assert 0.99 * epsilon <= reached <= epsilon


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_a_plan_for_an_amount_fits_it_and_wastes_little(coordinate):
    budget = Budget(epsilon=1.0, delta=1e-6, coordinate=coordinate)
    found = plan_for_amount(LONG, people=1000, amount=budget.cap.amount, coordinate=coordinate, delta=DELTA)
    cost = price(plan_event(found, delta=DELTA), coordinate)
    assert 0.98 * budget.cap.amount <= cost.amount <= budget.cap.amount
    assert epsilon_of_plan(Composed(events=found.events()), 1e-6)[0] <= 1.0


def test_the_divisor_is_public():
    assert plan().expected_batch(ONE) == pytest.approx(100.0)


def test_an_amount_that_no_noise_reaches_is_refused(monkeypatch):
    monkeypatch.setattr("dpsynth.deep.plan.LARGEST_NOISE", 4.0)
    with pytest.raises(ParameterError, match="No noise keeps"):
        plan_for_amount((ONE,), people=10, amount=10, coordinate=Coordinate.GDP, delta=DELTA)


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 0},
        {"steps": 2.0},
        {"sampling_probability": 0.0},
        {"sampling_probability": 1.1},
        {"clip": 0.0},
        {"clip": 1e-40},
        {"clip": 1e40},
        {"clip": float("inf")},
        {"clip": float("nan")},
    ],
)
def test_a_phase_out_of_range_is_refused(changed):
    fields = {"label": "x", "steps": 1, "sampling_probability": 0.5, "clip": 1.0} | changed
    with pytest.raises(ParameterError):
        Phase(**fields)


@pytest.mark.parametrize(
    "changed",
    [{"noise_multiplier": 0.0}, {"noise_multiplier": 1e9}, {"people": 0}, {"phases": ()}, {"phases": (ONE, ONE)}],
)
def test_a_plan_out_of_range_is_refused(changed):
    fields = {"phases": (ONE,), "noise_multiplier": 1.0, "people": 10} | changed
    with pytest.raises(ParameterError):
        SgdPlan(**fields)


def test_a_pair_below_the_curve_has_no_price():
    honest = plan_event(plan(), delta=DELTA)
    false = FixedPlan(events=honest.events, mu=honest.mu / 2, delta=honest.delta)
    with pytest.raises(UnsupportedEvent):
        price(false, Coordinate.GDP)
