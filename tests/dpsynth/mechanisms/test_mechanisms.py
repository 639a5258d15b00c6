"""Mechanisms on data with known structure: what is spent, what is found, what is refused."""

import itertools
import tracemalloc

import numpy as np
import pytest

from accountant.compose import totals
from accountant.errors import BudgetExceeded
from accountant.events import BoundedRange, DiscreteGaussian
from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import BOTH_SIDES, Side
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import AdaptiveConfig, AimConfig, adaptive
from dpsynth.mechanisms.aim import candidate_weights
from dpsynth.mechanisms.scoring import CANDIDATES_CELLS
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.sources.bounding import marginal_sensitivity
from dpsynth.synthesizers import MEASURING, check_size, find_synthesizer, fit_model

DOMAIN = Domain(names=("a", "b", "c", "d", "e"), sizes=(4, 4, 5, 5, 3))


def chain(rows=4_000, seed=0):
    """a determines b, c determines d, e is noise: the true forest is {ab, cd}."""
    rng = np.random.default_rng(seed)
    a, c, e = rng.integers(0, 4, rows), rng.integers(0, 5, rows), rng.integers(0, 3, rows)
    return np.array([a, (a + 1) % 4, c, (2 * c) % 5, e]).astype(np.uint8)


def spend_of(amount, sides=(Side.TRAINING,)):
    return FilterSpend(coordinate=Coordinate.GDP, caps={s: Price(amount, 2**20) for s in sides})


@pytest.mark.parametrize("name", MEASURING)
@pytest.mark.parametrize("coordinate", list(Coordinate))
@pytest.mark.parametrize(("max_rows", "distinct"), [(1, ()), (3, ()), (3, ("a", "e"))])
def test_spends_at_most_and_nearly_the_whole_amount(name, coordinate, max_rows, distinct):
    amount = AMOUNT_UNIT // 10
    spend = FilterSpend(coordinate=coordinate, caps={Side.TRAINING: Price(amount, 2**20)})
    source = MemorySource(DOMAIN, chain(), max_rows=max_rows, distinct=distinct)
    fit_model(source, find_synthesizer(name), amount=amount, coordinate=coordinate, spend=spend, random=SeededRandom(1))
    spent = totals(spend.steps, coordinate)[Side.TRAINING]
    assert 0.999 * amount <= spent.amount <= amount
    for step in spend.steps:
        if isinstance(step.event, DiscreteGaussian) and step.label.endswith(")"):
            clique = tuple(step.label.rpartition("(")[2][:-1].split(", "))
            assert step.event.sensitivity == marginal_sensitivity(source, clique)
            assert (step.event.sensitivity < max_rows) == ({"a", "e"} <= set(clique) and bool(distinct))


@pytest.mark.parametrize(("picks", "most"), [(0.25, 1), (1.0, 3)])
def test_selections_of_a_round_are_charged_one_by_one_and_lie_apart(monkeypatch, picks, most):
    fits = []
    fit = adaptive.fit_tree
    monkeypatch.setattr(adaptive, "fit_tree", lambda *a, **k: (fits.append(len(a[1])), fit(*a, **k))[1])
    domain = Domain.of({f"c{i}": 2 for i in range(13)})
    codes = np.random.default_rng(4).integers(0, 2, (13, 500)).astype(np.uint8)
    amount, spend = AMOUNT_UNIT // 10, spend_of(AMOUNT_UNIT // 10)
    measured = adaptive.measure_adaptive(
        MemorySource(domain, codes),
        AdaptiveConfig(picks_per_attribute=picks),
        amount=amount,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(3),
    )
    assert 0.999 * amount <= totals(spend.steps, Coordinate.GDP)[Side.TRAINING].amount <= amount
    rounds = [[set(m.clique) for m in measured[a:b]] for a, b in itertools.pairwise(fits)]
    assert max(map(len, rounds)) == most
    assert sum(map(len, rounds)) == sum(isinstance(s.event, BoundedRange) for s in spend.steps)
    assert all(len(q & r) < 2 for found in rounds for q, r in itertools.combinations(found, 2))


@pytest.mark.parametrize("name", MEASURING)
def test_noise_follows_the_bound_on_rows_of_a_person(name):
    sigmas = {}
    for k in (1, 3):
        spend = spend_of(AMOUNT_UNIT)
        source = MemorySource(DOMAIN, chain(), max_rows=k)
        fitted = fit_model(
            source,
            find_synthesizer(name),
            amount=AMOUNT_UNIT,
            coordinate=Coordinate.GDP,
            spend=spend,
            random=SeededRandom(2),
        )
        sigmas[k] = fitted.measurements[0].sigma
        marginals = [s for s in spend.steps if isinstance(s.event, DiscreteGaussian) and "errors" not in s.label]
        assert {s.event.sensitivity for s in marginals} == {float(k)}
    assert sigmas[3] == pytest.approx(3 * sigmas[1], rel=0.02)


def test_a_refused_charge_stops_everything():
    spend = spend_of(AMOUNT_UNIT // 100)
    with pytest.raises(BudgetExceeded):
        fit_model(
            MemorySource(DOMAIN, chain()),
            find_synthesizer("mst"),
            amount=AMOUNT_UNIT,
            coordinate=Coordinate.GDP,
            spend=spend,
            random=SeededRandom(3),
        )


def test_mst_finds_the_strong_pairs_and_spans():
    spend = spend_of(AMOUNT_UNIT)
    fitted = fit_model(
        MemorySource(DOMAIN, chain()),
        find_synthesizer("mst"),
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(4),
    )
    pairs = [m.clique for m in fitted.measurements if len(m.clique) == 2]
    assert {("a", "b"), ("c", "d")} <= set(pairs)
    assert len(pairs) == 4
    assert sum(isinstance(s.event, BoundedRange) for s in spend.steps) == 4
    table = fitted.model.marginal(("a", "b"))
    assert sum(table[i, (i + 1) % 4] for i in range(4)) > 0.95


def test_both_sides_are_charged_where_both_are_read():
    spend = spend_of(AMOUNT_UNIT, BOTH_SIDES)
    fit_model(
        MemorySource(DOMAIN, chain()),
        find_synthesizer("mst"),
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(5),
        sides=BOTH_SIDES,
    )
    both = totals(spend.steps, Coordinate.GDP)
    assert both[Side.TRAINING] == both[Side.HOLDOUT]
    assert both[Side.TRAINING].amount > 0


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("name", MEASURING)
def test_empty_and_tiny_tables_are_like_any_other(rows, name):
    spend = spend_of(AMOUNT_UNIT // 100)
    fitted = fit_model(
        MemorySource(DOMAIN, chain(rows)),
        find_synthesizer(name),
        amount=AMOUNT_UNIT // 100,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(6),
    )
    assert fitted.model.total >= 1.0
    assert np.isfinite(fitted.model.marginal(("a", "e"))).all()


def test_one_column_has_no_tree():
    domain = Domain(names=("a",), sizes=(3,))
    spend = spend_of(AMOUNT_UNIT)
    fitted = fit_model(
        MemorySource(domain, chain()[:1] % 3),
        find_synthesizer("mst"),
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(7),
    )
    assert [m.clique for m in fitted.measurements] == [("a",)]


def test_an_oversize_domain_is_refused_with_its_cells():
    domain = Domain(names=("a", "b", "c"), sizes=(50_000, 40_000, 2))
    with pytest.raises(ParameterError, match="2,000,000,000 cells"):
        check_size(domain, find_synthesizer("mst"))
    check_size(domain, find_synthesizer("independent"))


def test_an_unknown_synthesizer_is_refused():
    with pytest.raises(ParameterError, match="independent, mixture, mst"):
        find_synthesizer("pategan")


@pytest.mark.parametrize("seed", range(2))
def test_adaptive_has_something_to_offer_where_one_column_dwarfs_the_others(seed):
    """Pairs with the wide column are no candidates, and other pairs don't fit beside them: the tree's own are left."""
    domain = Domain(names=("a", "b", "c", "hub"), sizes=(30, 30, 30, 8_000))
    rng = np.random.default_rng(seed)
    hub = rng.integers(0, 8_000, 3_000)
    codes = np.array([hub % 30, hub % 29, hub % 28, hub]).astype(np.uint16)
    fitted = fit_model(
        MemorySource(domain, codes),
        find_synthesizer("adaptive"),
        amount=4 * AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=spend_of(4 * AMOUNT_UNIT),
        random=SeededRandom(seed),
    )
    assert fitted.model.total > 1


def test_candidates_of_a_wide_table_stay_within_their_limit():
    wide = Domain(names=tuple(f"c{i}" for i in range(60)), sizes=(58,) * 60)
    for offered in (candidate_weights(wide, AimConfig()), adaptive._candidates(wide, AdaptiveConfig())):
        assert sum(wide.cells(q) for q in offered) <= CANDIDATES_CELLS + 60 * 58
        assert sum(len(q) == 2 for q in offered) == 60 * 59 // 2
        assert any(len(q) == 3 for q in offered)
    triples = [q for q in adaptive._candidates(wide, AdaptiveConfig()) if len(q) == 3]
    assert sum(wide.cells(q) for q in triples) <= adaptive.MANY_TRIPLES_CELLS
    check_size(wide, find_synthesizer("adaptive"))


WIDE = Domain(names=("a", "b", "c"), sizes=(200, 200, 3))


def shifted(rows=20_000):
    """a determines b, both of 200 codes; c is noise."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 200, rows)
    return np.array([a, (a + 1) % 200, rng.integers(0, 3, rows)]).astype(np.uint8)


def fit_shifted(amount):
    spend = spend_of(amount)
    fitted = fit_model(
        MemorySource(WIDE, shifted()),
        find_synthesizer("adaptive"),
        amount=amount,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(4),
    )
    return fitted, totals(spend.steps, Coordinate.GDP)[Side.TRAINING].amount


def test_adaptive_measures_wide_columns_alone_in_the_end_within_its_amount(monkeypatch):
    """Of many, a column of 20 codes or more is measured on its own at first and at last, a narrow one at first only."""
    monkeypatch.setattr(adaptive, "MANY_ATTRIBUTES", 3)
    fitted, spent = fit_shifted(AMOUNT_UNIT)
    alone = [m.clique[0] for m in fitted.measurements if len(m.clique) == 1]
    assert sorted(alone) == ["a", "a", "b", "b", "c"]
    assert 0.999 * AMOUNT_UNIT <= spent <= AMOUNT_UNIT


def test_adaptive_measures_wide_columns_once_more_before_all_others_where_noise_hides_them(monkeypatch):
    """Of many: with a thousandth of the budget noise misplaces more than a quarter of the rows of 200 codes."""
    monkeypatch.setattr(adaptive, "MANY_ATTRIBUTES", 3)
    amount = AMOUNT_UNIT // 1_000
    fitted, spent = fit_shifted(amount)
    alone = [m.clique[0] for m in fitted.measurements if len(m.clique) == 1]
    assert alone[:5] == ["a", "b", "c", "a", "b"]
    first, again = fitted.measurements[0].sigma, fitted.measurements[3].sigma
    assert 0.4 * 200 * first > adaptive.LOST * 20_000
    assert again < first / 2
    assert 0.999 * amount <= spent <= amount
    monkeypatch.setattr(adaptive, "WIDE_CODES", 201)
    assert [m.clique for m in fit_shifted(amount)[0].measurements[3:5]] != [("a",), ("b",)]


def test_the_tree_of_adaptive_holds_a_wide_pair_whose_dependence_is_clear(monkeypatch):
    """40,000 cells, of which noise would reach a small part: their number alone doesn't keep the pair out of many."""
    monkeypatch.setattr(adaptive, "MANY_ATTRIBUTES", 3)
    fitted, _ = fit_shifted(AMOUNT_UNIT // 10)
    pairs = [m.clique for m in fitted.measurements if len(m.clique) == 2]
    assert ("a", "b") in pairs[:2]


@pytest.mark.parametrize("name", ["mst", "adaptive"])
def test_pairs_that_would_not_fit_together_are_refused_before_anything_is_counted(name):
    wide = Domain(names=tuple(f"c{i}" for i in range(6)), sizes=(4_000, *(2_000,) * 5))
    check_size(wide, find_synthesizer(name))
    wider = Domain(names=(*wide.names, "more"), sizes=(*wide.sizes, 1))
    with pytest.raises(ParameterError, match="6 pairs of 40,004,000 cells"):
        check_size(wider, find_synthesizer(name))
    check_size(wider, find_synthesizer("independent"))


def test_errors_of_all_pairs_hold_one_expected_table_at_a_time(monkeypatch):
    """Eight columns of 300 codes: 28 pairs of 0.7 MB each, of which few lie in memory together."""
    domain = Domain(names=tuple("abcdefgh"), sizes=(300,) * 8)
    source = MemorySource(domain, np.zeros((8, 2_000), dtype=np.uint16))
    held = []

    def vector(exact, **_):
        held.append(tracemalloc.get_traced_memory()[1])
        return np.zeros(exact.shape)

    monkeypatch.setattr(adaptive, "measure_gaussian", vector)
    monkeypatch.setattr(adaptive._Adaptive, "measure", lambda *_: [])
    run = adaptive._Adaptive(
        source=source,
        config=AdaptiveConfig(),
        coordinate=Coordinate.GDP,
        spend=spend_of(AMOUNT_UNIT),
        random=SeededRandom(1),
        sides=(Side.TRAINING,),
    )
    one_ways = [Measurement(clique=(n,), values=np.ones(300), sigma=1.0) for n in domain.names]
    tracemalloc.start()
    run.tree(one_ways, 2_000.0, AMOUNT_UNIT)
    tracemalloc.stop()
    assert held[0] < 10 * 8 * 90_000 < 28 * 8 * 90_000


@pytest.mark.parametrize("name", ["adaptive", "aim", "mwem", "mixture", "tree"])
def test_more_combinations_than_can_be_listed_are_refused_before_anything_is_counted(name):
    made = find_synthesizer(name)
    check_size(Domain(names=tuple(f"c{i}" for i in range(225)), sizes=(2,) * 225), made)
    with pytest.raises(ParameterError, match="4,499,950 combinations of 300 columns"):
        check_size(Domain(names=tuple(f"c{i}" for i in range(300)), sizes=(2,) * 300), made)


def test_more_codes_than_the_mixture_holds_are_refused_before_anything_is_counted():
    wide = Domain(names=tuple(f"c{i}" for i in range(31)), sizes=(100,) * 31)
    with pytest.raises(ParameterError, match="9,610,000 cells"):
        check_size(wide, find_synthesizer("mixture"))
