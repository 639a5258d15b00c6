"""The backward recursion against an independent implementation: masses on trees of outcomes, no grid and no losses.

A strategy is a tree. A node holds the probabilities (p, q) of reaching it under the two neighbours; a selection splits
them by an explicit pair of laws, a Gaussian by the exact masses of intervals. The hockey stick is the sum over leaves
of max(0, p - e^epsilon q). Every tree is a strategy that somebody could follow, so none may exceed the recursion; the
best of them, over many selections and fine intervals, has to come close.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from accountant import recursion
from accountant.compose import price
from accountant.convert import delta_from_mu
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import BoundedRange, Composed, DiscreteGaussian, Gaussian, PureDP, Repeat
from accountant.normal import log_blow_up
from accountant.price import Coordinate
from accountant.recursion import Curve, GaussianStep, SelectionStep, adaptive_curve, interleaved_curve, steps_of
from accountant.report import epsilon_of

EPSILONS = (0.0, 0.05, 0.13, 0.3, 0.62, 1.0)


def phi(z):
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])


def intervals(mu, cuts):
    """Masses of the intervals of a Gaussian pair at distance ``mu``, between cuts of its loss."""
    ends = np.concatenate([[-np.inf], np.sort(cuts), [np.inf]])
    first, second = (np.diff(phi((ends - centre) / mu)) for centre in (mu * mu / 2, -mu * mu / 2))
    return first, second


def extremes(eta, count):
    """Two-point pairs with losses t and t - eta, for ``count`` values of t."""
    for t in np.linspace(0.0, eta, count):
        p = -math.expm1(t - eta) / -math.expm1(-eta)
        yield np.array([p, 1 - p]), np.array([p * math.exp(-t), (1 - p) * math.exp(eta - t)])


def best(p, q, steps, epsilon, *, choices, bins):
    """The best strategy of a restricted adversary, for arrays of nodes with masses p and q."""
    if not steps:
        return np.maximum(0.0, p - math.exp(epsilon) * q)
    step, rest = steps[0], steps[1:]
    if isinstance(step, SelectionStep):
        pairs = extremes(step.eta, choices)
    else:
        spread = np.linspace(-5.0, 5.0, bins - 1) * step.mu + step.mu**2 / 2
        pairs = [intervals(step.mu, spread)]
    found = [
        best(np.multiply.outer(p, a), np.multiply.outer(q, b), rest, epsilon, choices=choices, bins=bins).sum(axis=-1)
        for a, b in pairs
    ]
    return np.max(found, axis=0)


S, G = SelectionStep(eta=0.4), GaussianStep(mu=0.25)
EVENT = {S: BoundedRange(eta=0.4), G: Gaussian(noise_multiplier=4.0)}


def curve(steps, **given):
    event = Composed(events=tuple(EVENT[step] for step in steps))
    return interleaved_curve(event, experimental=True, largest_epsilon=3.0, **given)


@pytest.mark.parametrize("steps", [(S,), (G,), (S, S), (S, G), (G, S), (S, S, S), (G, S, G), (S, G, S), (G, G)])
def test_the_recursion_is_above_the_best_tree_and_close_to_it(steps):
    bound = curve(steps, width=0.4 / 64)
    for epsilon in EPSILONS:
        choices = 33 if len(steps) < 3 else 17
        tree = float(best(np.array(1.0), np.array(1.0), steps, epsilon, choices=choices, bins=60))
        above = bound.delta(epsilon)
        assert tree <= above
        assert above <= tree * 1.03 + 2e-4


def test_a_wider_grid_only_errs_upwards():
    steps = (G, S, G, S)
    bounds = [curve(steps, width=0.4 / cells) for cells in (7.3, 16, 33, 64)]
    for epsilon in EPSILONS:
        deltas = [bound.delta(epsilon) for bound in bounds]
        finest = float(best(np.array(1.0), np.array(1.0), steps, epsilon, choices=9, bins=24))
        assert deltas == sorted(deltas, reverse=True)
        assert finest <= deltas[-1]
        assert deltas[1] <= deltas[-1] * 1.02 + 1e-4


def random_selection(rng, eta):
    """An exponential mechanism on a few candidates whose scores move by up to the sensitivity, or an extreme pair."""
    if rng.random() < 0.5:
        return list(extremes(eta, 65))[rng.integers(65)]
    scores = rng.normal(size=rng.integers(2, 5)) * rng.choice([0.1, 1.0, 4.0])
    moves = rng.choice([-1.0, 1.0], size=scores.size) * eta / 2
    laws = [np.exp(s - s.max()) for s in (scores, scores + moves)]
    return tuple(law / law.sum() for law in laws)


def random_leaves(rng, p, q, steps):
    """Leaves of one random adaptive strategy: every node draws its own next mechanism."""
    if not steps:
        return [(p, q)]
    step = steps[0]
    if isinstance(step, SelectionStep):
        first, second = random_selection(rng, step.eta)
    else:
        first, second = intervals(step.mu, step.mu**2 / 2 + step.mu * rng.normal(size=rng.integers(1, 7)) * 2)
    return [leaf for a, b in zip(first, second, strict=True) for leaf in random_leaves(rng, p * a, q * b, steps[1:])]


def hockey(leaves, epsilon):
    p, q = np.array(leaves).T
    scale = math.exp(epsilon)
    return max(np.maximum(0.0, p - scale * q).sum(), np.maximum(0.0, q - scale * p).sum())


def test_three_hundred_random_adaptive_strategies_never_exceed_it():
    rng = np.random.Generator(np.random.PCG64(20_190))
    schedules = [(S, G, S, G), (G, S, S, G), (S, S, S, S), (G, S, G)]
    bounds = {steps: [curve(steps).delta(e) for e in EPSILONS] for steps in schedules}
    closest = 0.0
    for i in range(300):
        steps = schedules[i % len(schedules)]
        leaves = random_leaves(rng, 1.0, 1.0, steps)
        for epsilon, bound in zip(EPSILONS, bounds[steps], strict=True):
            found = hockey(leaves, epsilon)
            assert found <= bound
            closest = max(closest, found / bound)
    assert closest > 0.8


SMALL = (SelectionStep(eta=0.2), GaussianStep(mu=0.15))
LARGE = (SelectionStep(eta=0.3), GaussianStep(mu=0.22))


def annealing(state):
    """A small round for one unit, or a large one for two, after which all are large; a run may stop anywhere."""
    left, large = state
    moves = [(SMALL, (left - 1, False))] if left >= 1 and not large else []
    return moves + ([(LARGE, (left - 2, True))] if left >= 2 else [])


def annealed(left):
    return adaptive_curve(
        (left, False), annealing, additive=Fraction(0), experimental=True, largest_epsilon=3.0, width=0.2 / 16
    )


def random_annealed(rng, p, q, state):
    moves = annealing(state)
    if not moves or rng.random() < 0.1:
        return [(p, q)]
    steps, after = moves[rng.integers(len(moves))]
    leaves = random_leaves(rng, p, q, steps)
    return [leaf for a, b in leaves for leaf in random_annealed(rng, a, b, after)]


def test_strategies_that_choose_their_shares_never_exceed_it():
    rng = np.random.Generator(np.random.PCG64(7))
    bounds = [annealed(3).delta(e) for e in EPSILONS]
    for _ in range(60):
        leaves = random_annealed(rng, 1.0, 1.0, (3, False))
        assert all(hockey(leaves, e) <= bound for e, bound in zip(EPSILONS, bounds, strict=True))


def test_more_choice_never_bounds_less():
    """The bound over all choices is above that of each fixed order of the same moves, and of a shorter run."""
    whole, less = annealed(3), annealed(2)
    for path in ((SMALL,) * 3, (SMALL, LARGE), (LARGE,)):
        steps = [step for move in path for step in move]
        fixed = adaptive_curve(
            0,
            lambda i, steps=steps: [((steps[i],), i + 1)] if i < len(steps) else [],
            additive=Fraction(0),
            experimental=True,
            largest_epsilon=3.0,
            width=0.2 / 16,
        )
        assert np.all(fixed.deltas <= whole.deltas * (1 + 1e-9))
    assert np.all(less.deltas <= whole.deltas)


@pytest.mark.parametrize(("mu", "count"), [(0.5, 1), (0.2, 12), (2.0, 1)])
def test_gaussians_alone_are_exact(mu, count):
    bound = interleaved_curve(
        Repeat(event=Gaussian(noise_multiplier=1 / mu), count=count), experimental=True, largest_epsilon=4.0
    )
    total = mu * math.sqrt(count)
    for epsilon in (0.0, 0.3, 1.0, 2.0, 4.0):
        exact = math.exp(log_blow_up(total, epsilon))
        assert exact <= bound.delta(epsilon) <= exact * 1.02


@pytest.mark.parametrize("eta", [0.1, 1.0, 3.0])
def test_one_selection_is_its_closed_form(eta):
    bound = interleaved_curve(BoundedRange(eta=eta), experimental=True, largest_epsilon=3.0, width=eta / 200)
    for epsilon in (0.0, 0.3 * eta, 0.8 * eta):
        t = (eta + epsilon) / 2
        q = (1 - math.exp(t - eta)) / (math.exp(t) - math.exp(t - eta))
        exact = q * (math.exp(t) - math.exp(epsilon)) + bound.additive
        assert exact <= bound.delta(epsilon) <= exact * 1.002


@pytest.mark.parametrize("cells", [1.0, 1.7, 3.0])
def test_a_wide_grid_is_above_every_t(cells):
    """Where the grid is as wide as eta, the best t is between its points."""
    step, width = SelectionStep(eta=0.4), 0.4 / cells
    grid = recursion._Grid.of({step}, width, 2.0)
    ahead = recursion._gaussian(grid, grid.end(), GaussianStep(mu=0.5), {})
    after = recursion._selection(grid, ahead, step, {})
    x = (np.arange(grid.size) - grid.left) * width

    def delta(e):
        return math.exp(log_blow_up(0.5, e)) if e >= 0 else 1 - math.exp(e) + math.exp(e + log_blow_up(0.5, -e))

    def exact(at):
        return np.array([delta(e) for e in at])

    inside = slice(grid.left, grid.left + 4)
    for t in np.linspace(0.0, 0.4, 41):
        p = -math.expm1(t - 0.4) / -math.expm1(-0.4)
        assert np.all(p * exact(x[inside] - t) + (1 - p) * exact(x[inside] - t + 0.4) <= after[inside])


def test_what_the_kernel_leaves_out_counts_as_a_failure(monkeypatch):
    monkeypatch.setattr(recursion, "_REACH", 1.0)
    bound = interleaved_curve(Gaussian(noise_multiplier=1.0), experimental=True, largest_epsilon=4.0)
    for epsilon in (0.0, 1.0, 3.0):
        assert math.exp(log_blow_up(1.0, epsilon)) <= bound.delta(epsilon)


def test_golden_two_hundred_gaussians_and_fifty_selections():
    """Below the filter's 2.358 and the 2.321 of composed dominating pairs; above the 200 Gaussians alone."""
    gaussians = Repeat(event=Gaussian(noise_multiplier=30.0), count=200)
    run = Composed(events=(gaussians, Repeat(event=BoundedRange(eta=0.05), count=50)))
    alone = epsilon_of(price(gaussians, Coordinate.GDP), 1e-6, Coordinate.GDP)
    found = interleaved_curve(run, experimental=True, largest_epsilon=3.0).epsilon(1e-6)
    assert alone < found == pytest.approx(2.2739, abs=5e-4)


def test_the_gdp_filter_is_above_it():
    noise, selection = DiscreteGaussian(sigma=8.0), BoundedRange(eta=0.2)
    run = Composed(events=(Repeat(event=noise, count=9), Repeat(event=selection, count=9)))
    bound = interleaved_curve(run, experimental=True, largest_epsilon=4.0)
    cost = price(run, Coordinate.GDP)
    mu = math.sqrt(cost.amount / 2**40)
    assert bound.additive == pytest.approx(float(steps_of(run)[1]))
    for epsilon in (0.0, 0.5, 1.0, 2.0, 3.0):
        assert bound.delta(epsilon) <= delta_from_mu(mu, epsilon) * 1.001 + 1e-9


def test_reading_a_curve_is_pessimistic():
    read = Curve(epsilons=np.array([0.0, 0.5, 1.0]), deltas=np.array([0.2, 0.05, 0.01]), additive=0.001)
    for epsilon in (0.0, 0.2, 0.49, 0.5, 0.7, 1.0, 5.0):
        delta = read.delta(epsilon)
        chord = np.interp(math.exp(epsilon), np.exp(read.epsilons), read.deltas) + 0.001
        assert chord <= delta <= chord * (1 + 1e-6)
        if epsilon <= 1.0:
            assert epsilon * (1 - 1e-6) <= read.epsilon(delta) <= epsilon + 1e-6
    assert read.epsilon(0.5) == 0.0
    with pytest.raises(ParameterError, match="The grid of the recursion ends there"):
        read.epsilon(0.0109)
    with pytest.raises(ParameterError, match="at least 0"):
        read.delta(-1.0)


def test_it_is_off_by_default_and_knows_its_steps():
    with pytest.raises(ParameterError, match="without its flag"):
        interleaved_curve(BoundedRange(eta=1.0), experimental=False)
    with pytest.raises(UnsupportedEvent, match="doesn't know a PureDP"):
        interleaved_curve(Repeat(event=PureDP(epsilon=1.0), count=2), experimental=True)
    for given in ({"width": 1e-9}, {"largest_epsilon": 0.0}, {"width": 0.0}, {"largest_epsilon": 21.0}):
        with pytest.raises(ParameterError, match="A grid of spacing"):
            interleaved_curve(BoundedRange(eta=1.0), experimental=True, **given)
    with pytest.raises(ParameterError, match="leads back"):
        adaptive_curve(0, lambda _: [((S,), 0)], additive=Fraction(0), experimental=True)
    nothing = interleaved_curve(Composed(events=()), experimental=True, largest_epsilon=1.0)
    assert nothing.delta(0.0) < 1e-100
