"""The gate where a part of each row is public: exact neighbours, what is counted, why both sides' parts are kept."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.compose import price
from accountant.price import AMOUNT_UNIT, Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth.attacks import ONE, Family, Feature, Layout, make_target, side_sums
from dpsynth.domain import Domain
from dpsynth.errors import GateRefused
from dpsynth.gate import Verdict, load_policy, plan_gate
from dpsynth.gate.noise import gate_noise
from dpsynth.gate.thresholds import decidable
from dpsynth.gate.totals import Totals, measure_totals
from dpsynth.gate.verdict import run_gate
from tests.dpsynth.gate.helpers import LAYOUT, Chosen, budget, policy, source, table
from tests.oracles.enumerator import RecordingSpend, price_holds

PARTLY = PrivacyUnit(adjacency=Adjacency.REPLACE_PRIVATE, public=("a",))
MOVING = PrivacyUnit(adjacency=Adjacency.REPLACE_ONE)
PRIVATE = list(itertools.product((0, 1, 2), (0, 1)))
"""Every private part of a row whose public part is the first of three columns."""
RESEARCH = load_policy("research")


def plan(of, mu, *, unit=PARTLY, coordinate=Coordinate.GDP, gate_mu=None):
    scale = {Coordinate.GDP: 1, Coordinate.ZCDP: Fraction(1, 2)}[coordinate]
    amount = int(Fraction(mu) ** 2 * scale * AMOUNT_UNIT)
    return plan_gate(of, amount=amount, coordinate=coordinate, unit=unit, gate_mu=gate_mu)


def people(rows):
    return source(np.array(rows, dtype=np.uint8).reshape(-1, 3).T)


def tables():
    """No rows, everybody's public part with some private one, all rows, and some at random."""
    rng = np.random.default_rng(0)
    yield np.zeros((3, 0), dtype=np.uint8)
    yield np.array([(a, *PRIVATE[0]) for a in (0, 1)], dtype=np.uint8).T
    yield np.array(list(itertools.product((0, 1), (0, 1, 2), (0, 1))), dtype=np.uint8).T
    for rows in (1, 2, 3, 5):
        yield table(rng, rows)


def exact_steps(sides, synthetic, *, grid=3):
    found = policy(grid=grid, gate_mu=Fraction(1))
    of_plan, training, holdout = plan(found, 5), *map(people, sides)
    totals = measure_totals(training, holdout, plan=of_plan, spend=budget(of_plan), random=Chosen())
    _, annex = run_gate(
        training, holdout, synthetic, layout=LAYOUT, totals=totals, plan=of_plan, policy=found,
        spend=budget(of_plan), random=Chosen(),
    )  # fmt: skip
    return annex.exact_steps, gate_noise(found, plan=of_plan, totals=totals)


@pytest.mark.parametrize("side", [0, 1], ids=["training", "holdout"])
@pytest.mark.parametrize("sizes", [(8, 3), (4, 4), (3, 5)])
def test_a_replaced_private_part_moves_the_test_by_what_its_side_pays(side, sizes):
    """All replacements of one row's private part, whatever the table; and the bound is reached somewhere."""
    rng, most = np.random.default_rng(4), 0
    for synthetic in tables():
        for _ in range(2):
            base = [[tuple(row) for row in table(rng, size).T.tolist()] for size in sizes]
            public, found = base[side][0][0], []
            for private in PRIVATE:
                changed = [list(rows) for rows in base]
                changed[side][0] = (public, *private)
                steps, noise = exact_steps(changed, synthetic)
                found.append(steps)
            paid = (noise.training_steps, noise.holdout_steps)[side]
            assert max(found) - min(found) <= paid
            most = max(most, max(found) - min(found))
    assert most >= paid - 1
    assert noise.training_steps == noise.grid == 3
    assert noise.holdout_steps == -(-3 * sizes[0] // sizes[1])


def test_the_gate_is_charged_under_the_adjacency_of_its_plan():
    """The same sigma and sensitivities as where rows come and go: the price differs in its name alone."""
    totals = Totals(training=80, holdout=20, training_sigma=0.0, holdout_sigma=0.0)
    mine, plain = (plan(RESEARCH, 1, unit=unit) for unit in (PARTLY, PrivacyUnit()))
    partly, whole = (gate_noise(RESEARCH, plan=p, totals=totals) for p in (mine, plain))
    assert {step.event.adjacency for step in partly.steps} == {Adjacency.REPLACE_PRIVATE}
    assert {step.event.adjacency for step in whole.steps} == {Adjacency.ADD_REMOVE}
    assert [step.sides for step in partly.steps] == [(Side.TRAINING,), (Side.HOLDOUT,)]
    assert [step.event.sensitivity for step in partly.steps] == [step.event.sensitivity for step in whole.steps]
    for step, cap in zip(partly.steps, (mine.training_gate, mine.holdout_gate), strict=True):
        assert price(step.event, mine.coordinate).amount <= cap


@pytest.mark.parametrize("side", [0, 1], ids=["training", "holdout"])
def test_the_gate_gives_away_no_more_than_it_charges(side):
    """The law of the noisy statistic for neighbours, against the charge of the side on which the row is."""
    found = policy(grid=2, gate_mu=Fraction(2))
    synthetic, of_plan = np.array([(0, 0, 0), (1, 2, 1)], dtype=np.uint8).T, plan(found, 9)

    def mechanism(private, spend, random):
        rows = [[(0, 1, 1), (1, 2, 1)], [(0, 2, 0), (1, 0, 0)]]
        rows[side][0] = (0, *private)
        training, holdout = map(people, rows)
        totals = measure_totals(training, holdout, plan=of_plan, spend=spend, random=random)
        own = RecordingSpend()
        result, _ = run_gate(
            training, holdout, synthetic, layout=LAYOUT, totals=totals, plan=of_plan, policy=found, spend=own,
            random=random,
        )  # fmt: skip
        spend.charge([step for step in own.steps if BOTH_SIDES[side] in step.sides])
        return result.noisy_steps, result.verdict

    def priced(private, spend, random):
        mine = RecordingSpend()
        output = mechanism(private, mine, random)
        (step,) = mine.steps
        spend.charge([type(step)(label=step.label, event=step.event, sides=(Side.TRAINING,))])
        return output

    mu, real = price_holds(priced, list(itertools.combinations(PRIVATE, 2)))
    assert 0.9 < real <= 1.0 + 1e-9
    assert mu > 0


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_numbers_of_people_are_public_only_where_rows_stay(coordinate):
    rng = np.random.default_rng(1)
    sides = source(table(rng, 30)), source(table(rng, 12))
    mine, plain = (plan(RESEARCH, 1, unit=unit, coordinate=coordinate) for unit in (PARTLY, PrivacyUnit()))
    spend = budget(mine)
    found = measure_totals(*sides, plan=mine, spend=spend, random=Chosen())
    assert (found.training, found.holdout, found.training_sigma, found.holdout_sigma) == (30, 12, 0.0, 0.0)
    assert spend.steps == ()
    assert (mine.training_count, mine.holdout_count, mine.counted) == (0, 0, False)
    assert mine.training_amount + mine.training_gate == mine.amount > plain.training_amount + plain.training_gate
    assert mine.holdout_gate <= mine.amount
    noisy = measure_totals(*sides, plan=plain, spend=budget(plain), random=Chosen(0, 0))
    assert (noisy.training, noisy.holdout) != (30, 12)
    assert plain.counted


def test_an_empty_side_is_undecidable_and_no_error():
    of_plan = plan(RESEARCH, 1)
    totals = measure_totals(source([]), source([]), plan=of_plan, spend=budget(of_plan), random=Chosen())
    assert (totals.training, totals.holdout) == (1, 1)
    assert not decidable(RESEARCH, totals, plan=of_plan).decidable


def test_a_row_that_is_replaced_as_a_whole_has_no_gate():
    with pytest.raises(GateRefused, match="may change sides"):
        plan(RESEARCH, 1, unit=MOVING)
    with pytest.raises(GateRefused, match="can't be paid"):
        plan(RESEARCH, 1, gate_mu=Fraction(9, 10))
    with pytest.raises(GateRefused, match="can't be paid"):
        plan(RESEARCH, Fraction(1, 10_000))


def _mean_advantage(synthetic_of, rows):
    """A of each distance, averaged over every split of the rows into equal sides."""
    half, features = len(rows) // 2, [Feature(family=Family.NEAR, distance=t) for t in range(3)]
    total, splits = dict.fromkeys(features, Fraction(0)), list(itertools.combinations(range(len(rows)), half))
    for inside in splits:
        sides = [r for i, r in enumerate(rows) if i in inside], [r for i, r in enumerate(rows) if i not in inside]
        target = make_target(synthetic_of(inside), Layout.plain((6, 3, 2)), features)
        sums = [side_sums(source(np.array(s).T, domain=WIDE).blocks(), target, features).sums for s in sides]
        for feature in features:
            total[feature] += Fraction(sums[0][feature] - sums[1][feature], ONE * half)
    return [total[feature] / len(splits) for feature in features]


WIDE = Domain(names=("a", "b", "c"), sizes=(6, 3, 2))


def test_with_the_public_part_of_both_sides_an_honest_table_is_even_and_with_one_side_it_is_not():
    """Private parts are drawn without looking at anybody; every coin has the same chance, so the mean is exact."""
    rng = np.random.default_rng(7)
    rows = [(a, *PRIVATE[i]) for a, i in enumerate(rng.integers(0, 6, 6))]
    drawn = [(a, *PRIVATE[i]) for a, i in enumerate(rng.integers(0, 6, 6))]
    both = np.array(drawn, dtype=np.uint8).T
    assert _mean_advantage(lambda _: both, rows) == [0, 0, 0]
    one = _mean_advantage(lambda inside: both[:, list(inside)], rows)
    assert one[2] > 0
    assert one[1] > 0


def test_copies_of_private_parts_are_found_where_public_parts_are_in_the_table_anyway():
    """Everybody's public part is in both tables; in one, training people have their own private part."""
    rng, many, wide = np.random.default_rng(3), 3_000, Domain(names=("a", "b", "c", "d"), sizes=(50, 9, 9, 9))
    layout = Layout.plain(wide.sizes)
    real, drawn = (np.stack([rng.integers(0, s, many) for s in wide.sizes]).astype(np.uint8) for _ in range(2))
    other = np.stack([rng.integers(0, s, many) for s in wide.sizes]).astype(np.uint8)
    drawn[0] = other[0] = real[0]
    inside = rng.random(many) < 0.8
    copied, of_plan = np.where(inside, real, drawn), plan(RESEARCH, 2)
    sides = [source(real[:, side], domain=wide) for side in (inside, ~inside)]
    totals = measure_totals(*sides, plan=of_plan, spend=budget(of_plan), random=Chosen())
    verdicts = []
    for synthetic in (drawn, copied):
        result, _ = run_gate(
            *sides, synthetic, layout=layout, totals=totals, plan=of_plan, policy=RESEARCH, spend=budget(of_plan),
            random=Chosen(), reference=other,
        )  # fmt: skip
        verdicts.append(result.verdict)
    assert verdicts == [Verdict.PASS, Verdict.FAIL]
