"""A limit in megabytes holds: every fit of the mechanism stays within it, and so does the released model's."""

import numpy as np
import pytest

from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import memory, solver
from dpsynth.noise.random import SeededRandom
from dpsynth.plan import make_plan
from dpsynth.schema import load_schema
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import REGISTRY, check_size, fit_model

DOMAIN = Domain.of({"a": 40, "b": 30, "c": 20, "d": 12, "e": 6, "f": 4})
BUDGET = Budget(epsilon=8.0, delta=1e-6)


def records(rows=20_000):
    """Records whose columns all hang together, so that every pair and triple is worth measuring."""
    rng = np.random.default_rng(0)
    hidden = rng.integers(0, 4, rows)
    shares = [rng.dirichlet(np.full(s, 0.3), 4) for s in DOMAIN.sizes]
    return np.stack([np.array([rng.choice(len(p[h]), p=p[h]) for h in hidden], dtype=np.uint8) for p in shares])


RECORDS = records()


def with_settings(name, **settings):
    return REGISTRY[name].asked(**settings)


def fitted(name, **settings):
    made = with_settings(name, **settings)
    return fit_model(
        MemorySource(DOMAIN, RECORDS),
        made,
        amount=BUDGET.cap.amount,
        coordinate=BUDGET.coordinate,
        spend=FilterSpend(coordinate=BUDGET.coordinate, caps={Side.TRAINING: BUDGET.cap}),
        random=SeededRandom(3),
    )


@pytest.mark.parametrize("name", ["adaptive", "aim", "tree", "mwem"])
def test_the_largest_fit_stays_within_the_limit(name, monkeypatch):
    seen = []
    real = solver.junction_tree

    def noted(domain, cliques):
        cliques = list(cliques)
        tree = real(domain, cliques)
        seen.append(memory.fit_megabytes(tree, cliques))
        return tree

    monkeypatch.setattr(solver, "junction_tree", noted)
    fitted(name)
    limit = max(1, int(max(seen) / 2))
    assert limit < max(seen)
    seen.clear()
    fitted(name, model_mb=limit)
    assert 0.2 * limit < max(seen) <= limit  # it is used, not shunned


@pytest.mark.parametrize("name", ["independent", "mst", "adaptive", "aim", "tree"])
def test_a_limit_that_cannot_hold_is_refused_before_anything_is_read(name):
    with pytest.raises(ParameterError, match="1 MB"):
        check_size(Domain.of({f"x{i}": 1_000 for i in range(30)}), with_settings(name, model_mb=1))
    check_size(Domain.of({f"x{i}": 2 for i in range(4)}), with_settings(name, model_mb=1))


def test_a_fixed_tree_of_pairs_stays_within_what_is_refused():
    check_size(DOMAIN, with_settings("mst", model_mb=2))
    assert 0 < fitted("mst", model_mb=2).report.fit_mb <= 2
    with pytest.raises(ParameterError, match="tree of pairs"):
        check_size(Domain.of({f"x{i}": 50 for i in range(6)}), with_settings("mst", model_mb=2))


def test_a_plan_holds_the_limit_and_refuses_it_where_there_is_none(tmp_path):
    path = tmp_path / "people.yaml"
    kinds = {"a": "[u, v]", "b": "[x, y, z]"}
    columns = "".join(f"  {name}: {{kind: categorical, categories: {c}}}\n" for name, c in kinds.items())
    path.write_text(f"name: d\ncolumns:\n{columns}")
    plans = [
        make_plan(load_schema(path), epsilon=1.0, delta=1e-6, synthesizer="aim", model_mb=mb) for mb in (None, 64)
    ]
    assert [p.settings()["model_mb"] for p in plans] == ["None", "64"]
    assert plans[0].to_json() != plans[1].to_json()
    for name, mb in (("mixture", 64), ("mst", 0), ("adaptive", -3)):
        with pytest.raises(ParameterError, match=f"at most {mb} MB|limits"):
            make_plan(load_schema(path), epsilon=1.0, delta=1e-6, synthesizer=name, model_mb=mb)
