"""The exact neighbour oracle on a whole adaptive mechanism: three rounds of selection and measurement, end to end.

The loop is the mechanisms' own: score the candidates against a model, select one, measure it, update the model. Scores,
selection and measurement are shipped, and their random source is the enumerator; the model is a small function of what
was measured (a fit and a sample read no record). A round's law depends on what came before through the model alone, so
the law of a run is a product of rounds, exactly. Every data set of at most three records, every neighbour, both
directions, against each curve that the project could state for the run.
"""

import functools
import math

import numpy as np
import pytest

from accountant import compose, convert
from accountant.calibrate import bounded_range_eta
from accountant.events import Composed
from accountant.pld import profile
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate
from accountant.recursion import interleaved_curve
from accountant.report import epsilon_of
from accountant.spend import Side
from dpsynth.mechanisms import scoring
from dpsynth.mechanisms.scoring import Candidates, select_candidate
from dpsynth.noise.measure import measure_marginals
from tests.oracles.enumerator import laws_and_charge
from tests.oracles.neighbours import DATA, PAIRS, row_source

WEIGHTS = {("a",): 2, ("b",): 2}
SELECTION, SIGMA, FLOOR = int(1.5 * AMOUNT_UNIT), 0.6, 1e-5
EPSILONS = (0.0, 0.5, 1.5, 3.0, 4.5, 6.0)
MODELS = tuple((ones_a, ones_b) for ones_a in range(3) for ones_b in range(3))
"""What a model believes: how many of two rows have a one, by attribute."""
START = (1, 1)


def updated(model, outcome):
    """The model after a round: the measured attribute's share of ones, rounded to none, half or all."""
    (attribute,), values = outcome
    zeros, ones = (max(v, 0) + 0.25 for v in values)
    share = round(2 * ones / (zeros + ones))
    return (share, model[1]) if attribute == "a" else (model[0], share)


@functools.cache
def scored(records, model):
    """The source, and shipped scores against the model's two rows: the same in every run, so worked out once."""
    source = row_source(records)
    candidates = Candidates(source, WEIGHTS)
    sample = np.array([[0] * (2 - ones) + [1] * ones for ones in model], dtype=np.uint8)
    return source, candidates, candidates.scores(np.arange(2), sample, total=2.0, ceiling=0.6 * SIGMA, saturation=4.0)


def one_round(data, spend, random):
    """Select and measure, as the mechanisms do; the output is what was selected and what was measured."""
    records, model = data
    source, candidates, (errors, penalties) = scored(records, model)
    pick = select_candidate(
        candidates.weights,
        errors,
        penalties,
        max_rows=1,
        amount=SELECTION,
        coordinate=Coordinate.GDP,
        spend=_Unlabelled(spend),
        random=random,
        sides=(Side.TRAINING,),
    )
    (found,) = measure_marginals(
        source,
        [candidates.cliques[pick]],
        sigmas=[SIGMA],
        spend=_Unlabelled(spend),
        random=random,
        label="chosen in a round",
    )
    return found.clique, tuple(found.values.tolist())


class _Unlabelled:
    """Keeps events and sides: which marginal was measured stands in a label, and is an output."""

    def __init__(self, spend):
        self._spend = spend

    def charge(self, steps):
        self._spend.charge([type(step)(label="", event=step.event, sides=step.sides) for step in steps])


@pytest.fixture(scope="module")
def rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "bounded_range_eta", functools.cache(bounded_range_eta))
        return laws_and_charge(one_round, [(data, model) for data in DATA for model in MODELS], floor=FLOOR)


def runs(laws, pair):
    """The laws of three rounds on both data sets, over one list of transcripts; what was lumped is left out."""
    outcomes = sorted({o for data in pair for model in MODELS for o in laws[data, model].probabilities})
    after = np.array([[MODELS.index(updated(model, o)) for o in outcomes] for model in MODELS])
    second = after[MODELS.index(START)]
    third = after[second[:, None], np.arange(len(outcomes))[None, :]]
    for data in pair:
        mass = np.array([[laws[data, model].probabilities.get(o, 0.0) for o in outcomes] for model in MODELS])
        yield (mass[MODELS.index(START)][:, None] * mass[second])[:, :, None] * mass[third]


def lower_bound(p, q, epsilon):
    """A lower bound on the hockey stick of two laws of which a little mass is missing."""
    return np.maximum(0.0, p - math.exp(epsilon) * q).sum() - math.exp(epsilon) * max(0.0, 1.0 - q.sum())


@pytest.fixture(scope="module")
def found(rounds):
    """The largest hockey stick of all neighbours, both directions, by epsilon."""
    laws, _ = rounds
    worst = dict.fromkeys(EPSILONS, 0.0)
    for pair in PAIRS:
        first, second = runs(laws, pair)
        for epsilon in EPSILONS:
            both = lower_bound(first, second, epsilon), lower_bound(second, first, epsilon)
            worst[epsilon] = max(worst[epsilon], *both)
    return worst


def test_three_rounds_give_away_no_more_than_each_curve_that_is_charged(rounds, found):
    run = Composed(events=tuple(step.event for step in rounds[1]) * 3)
    gdp = compose.price(run, Coordinate.GDP)
    mu, slack = math.sqrt(gdp.amount / AMOUNT_UNIT), gdp.delta / DELTA_UNIT
    losses, recursion = profile([run], grid=1e-3), interleaved_curve(run, experimental=True, largest_epsilon=7.0)
    for epsilon, delta in found.items():
        assert delta <= convert.delta_from_mu(mu, epsilon) + slack + 1e-12
        assert delta <= losses.delta(epsilon) + 1e-12
        assert delta <= recursion.delta(epsilon) + 1e-12


def test_the_epsilon_of_rho_is_not_below_what_was_found(rounds, found):
    rho = compose.price(Composed(events=tuple(step.event for step in rounds[1]) * 3), Coordinate.ZCDP)
    for epsilon, delta in found.items():
        if 1e-6 < delta < 0.5:
            assert epsilon_of(rho, delta, Coordinate.ZCDP) >= epsilon


def test_the_charge_is_needed(rounds, found):
    """A price of two rounds instead of three, or of measurements alone, would be exceeded."""
    events = tuple(step.event for step in rounds[1])
    for cheaper in (events * 2, events[1:] * 2):
        mu = math.sqrt(compose.price(Composed(events=cheaper), Coordinate.GDP).amount / AMOUNT_UNIT)
        assert any(delta > convert.delta_from_mu(mu, epsilon) for epsilon, delta in found.items())
