"""What a fit reports is true of its noise, adds up to what was charged, and sees no exact count."""

import itertools

import numpy as np
import pytest

from accountant.compose import price
from accountant.errors import BudgetExceeded
from accountant.events import BoundedRange
from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side, Step
from dpsynth.domain import Domain
from dpsynth.estimation.memory import fit_megabytes
from dpsynth.fit_report import FitReport, expected_error
from dpsynth.noise import measure, selection
from dpsynth.noise.gaussian import draw_discrete_gaussian
from dpsynth.noise.random import SeededRandom
from dpsynth.noise.tables import CumulativeTable
from dpsynth.progress import SilentStage
from dpsynth.report.words import preserved
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import MEASURING, _NotedSpend, find_synthesizer, fit_model
from tests.dpsynth.lines import ledger, schema, table

DOMAIN = Domain.of({"a": 3, "b": 4, "c": 2, "d": 5})
CAP = Price(AMOUNT_UNIT // 4, 2**20)


SPARSE = np.zeros((4, 40), dtype=np.uint8)


def fitted(name="mst", codes=None, seed=1, told=None):
    if codes is None:
        rng = np.random.default_rng(0)
        codes = np.array([rng.integers(0, s, 2_000) for s in DOMAIN.sizes]).astype(np.uint8)
    spend = FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: CAP})
    made = fit_model(
        MemorySource(DOMAIN, codes),
        find_synthesizer(name),
        amount=CAP.amount,
        coordinate=Coordinate.GDP,
        spend=spend,
        random=SeededRandom(seed),
        told=told,
    )
    return made, spend


@pytest.mark.parametrize("name", MEASURING)
def test_budget_by_step_is_what_was_charged(name):
    made, spend = fitted(name)
    charged = sum(price(s.event, Coordinate.GDP).amount for s in spend.steps)
    assert sum(c.amount for c in made.report.budget) == charged <= CAP.amount
    assert sum(c.times for c in made.report.budget) == len(spend.steps)
    assert sum(c.share for c in made.report.budget) == pytest.approx(1.0)
    assert made.report.selections == sum("BoundedRange" in type(s.event).__name__ for s in spend.steps)


def test_measured_marginals_are_merged_by_precision_and_the_maximal_ones_preserved():
    made, _ = fitted("adaptive")
    for m in made.report.measured:
        sigmas = [x.sigma for x in made.measurements if x.clique == m.clique]
        assert m.times == len(sigmas)
        assert m.sigma == pytest.approx(sum(s**-2 for s in sigmas) ** -0.5)
    cliques = {m.clique for m in made.measurements}
    assert set(made.report.preserved) == {q for q in cliques if not any(set(q) < set(r) for r in cliques)}


@pytest.mark.parametrize("cells", [1, 2, 5, 40])
def test_the_interval_holds_as_often_as_it_says(cells):
    sigma, trials = 6.0, 4_000
    noise = draw_discrete_gaussian(sigma, cells * trials, random=SeededRandom(3)).reshape(trials, cells)
    l1 = np.abs(noise).sum(axis=1)
    told = expected_error(cells, sigma, rows=1.0)
    assert l1.mean() == pytest.approx(told.l1, rel=0.05)
    assert 0.94 <= ((told.low <= l1) & (l1 <= told.high)).mean() <= 0.99
    assert (np.abs(noise) <= told.count).mean() == pytest.approx(0.95, abs=0.02)


def test_a_marginal_inside_a_measured_one_has_an_error_and_any_other_has_none():
    report = fitted("independent")[0].report
    assert report.expected_error(["a"]).l1 > 0
    assert report.expected_error(["b", "a"]) is None
    pairs = fitted("mst")[0].report
    (pair,) = [m for m in pairs.measured if len(m.clique) == 2][:1]
    narrow, wide = pairs.expected_error(pair.clique[:1]), pairs.expected_error(pair.clique)
    assert narrow.l1 < wide.l1
    assert sum(pairs.expected_error(q) is None for q in itertools.combinations(DOMAIN.names, 3)) == 4


@pytest.mark.parametrize("name", MEASURING)
def test_nothing_is_computed_from_counts_without_noise(monkeypatch, name):
    """Two tables with nothing in common give the same fit once their noisy counts and selections are the same."""

    def instead(exact, sigma, *, random):
        assert exact.dtype == np.int64
        return (np.arange(exact.size, dtype=np.int64).reshape(exact.shape) * 37) % 101 + 20

    monkeypatch.setattr(measure, "_add_gaussian", instead)
    monkeypatch.setattr(
        selection, "selection_table", lambda scores, **_: CumulativeTable.from_weights([1] * len(scores))
    )
    rng = np.random.default_rng(0)
    one = np.array([rng.integers(0, s, 3_000) for s in DOMAIN.sizes]).astype(np.uint8)
    other = np.zeros((4, 40), dtype=np.uint8)
    (a, _), (b, _) = fitted(name, one), fitted(name, other)
    assert a.report == b.report
    assert str(a.report) == str(b.report)
    assert [m.clique for m in a.measurements] == [m.clique for m in b.measurements]
    for q in itertools.combinations(DOMAIN.names, 2):
        assert a.model.marginal(q).tobytes() == b.model.marginal(q).tobytes()


def test_a_refused_charge_is_not_reported():
    heard = Heard()
    tight = FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(1, 2**20)})
    noted = _NotedSpend(spend=tight, amount=1, coordinate=Coordinate.GDP, told=heard)
    with pytest.raises(BudgetExceeded):
        noted.charge([Step(label="too much", event=BoundedRange(eta=1.0))])
    assert noted.steps == []
    assert heard.notes == []


class Heard(SilentStage):
    """A stage that keeps what it is told."""

    def __init__(self):
        self.notes = []

    def tell(self, note, share):
        self.notes.append((note, share))


@pytest.mark.parametrize("name", ["adaptive", "aim", "mwem", "mst"])
def test_a_fit_tells_each_round_and_the_share_that_was_charged(name):
    heard = Heard()
    made, spend = fitted(name, told=heard)
    notes, shares = zip(*heard.notes, strict=True)
    rounds = [int(n.removeprefix("round ")) for n in notes if n.startswith("round ")]
    assert list(dict.fromkeys(rounds)) == list(range(1, made.report.selections + 1))
    assert list(shares) == sorted(shares)
    assert shares[-1] == sum(price(s.event, Coordinate.GDP).amount for s in spend.steps) / CAP.amount <= 1.0
    assert notes[0] == "one-way marginals"
    assert notes[-1] == "estimating the model"


def test_what_a_fit_tells_is_a_function_of_its_charges():
    one, other = Heard(), Heard()
    first, second = fitted("independent", told=one)[1], fitted("independent", SPARSE, told=other)[1]
    assert [s.event for s in first.steps] == [s.event for s in second.steps]
    assert one.notes == other.notes


def test_a_model_tells_its_report_and_keeps_it_when_saved(tmp_path):
    from dpsynth.fitting import fit, load_model

    model = fit(table(), schema(), epsilon=1.0, delta=1e-6, ledger=ledger(tmp_path), synthesizer="mst", test_seed=1)
    again = load_model(model.save(tmp_path / "m.dpsynth"))
    assert isinstance(model.report, FitReport)
    assert again.report == model.report
    assert model.report.fit_mb == fit_megabytes(model.model.tree, [m.clique for m in model.report.measured])
    assert f"takes {model.report.fit_mb:,.0f} MB" in model.summary()
    assert again.summary() == model.summary()
    assert "no bound from noise" in model.summary()
    assert "NOT RELEASED" in model.summary()
    assert str(table().num_rows) not in model.summary().replace(",", "")


def test_the_release_report_merges_repeats():
    from dpsynth.certificate.dossier import Marginal

    told = preserved([Marginal(attributes=("a",), cells=3, sigma=s) for s in (3.0, 4.0)])
    assert [(p.times, p.cells) for p in told] == [(2, 3)]
    assert told[0].sigma == pytest.approx(2.4)
