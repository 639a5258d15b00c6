"""The exact neighbour oracle on people with several rows, whose rows differ in declared columns: both adjacencies.

A person is any multiset of rows, also of more rows than the bound, and of rows that are alike in the distinct column:
the shipped choice of rows stands between the person and every count.
"""

from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.adjacency import Adjacency, moved_by
from dpsynth.domain import Domain
from dpsynth.noise.coins import keep_at_most
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.bounding import marginal_sensitivity, rows_in_one_cell
from dpsynth.sources.memory import MemorySource
from tests.oracles.enumerator import price_holds

DOMAIN = Domain.of({"visit": 3, "x": 2})
ROWS = tuple(product(range(3), range(2)))
PEOPLE = tuple(p for rows in (1, 2, 3) for p in combinations_with_replacement(ROWS, rows))
"""Every person of at most three rows."""
CLIQUES = [("visit",), ("x",), ("visit", "x")]
KEY = bytes(range(32))


def bounded(people, *, max_rows, distinct, key=KEY, names=None):
    """The source of these people, as the line makes it: their rows chosen by the key."""
    units = np.array([i for i, person in enumerate(people) for _ in person], dtype=np.int64)
    codes = np.array([row for person in people for row in person], dtype=np.uint8).reshape(-1, 2).T.copy()
    apart = codes[[DOMAIN.names.index(name) for name in distinct]] if distinct else None
    names = names or [str(i).encode() for i in range(len(people))]
    keep = keep_at_most(units, names, max_rows=max_rows, key=key, contents=codes, distinct=apart)
    return MemorySource(DOMAIN, codes[:, keep], units=units[keep], max_rows=max_rows, distinct=distinct)


def squared(value):
    return Fraction(value) ** 2


@pytest.mark.parametrize("max_rows", [2, 3])
@pytest.mark.parametrize("distinct", [(), ("visit",), ("visit", "x")])
def test_every_person_moves_every_marginal_by_at_most_its_sensitivity(max_rows, distinct):
    """All people of three rows, come, gone and replaced by any other one, under several keys; and it is attained."""
    furthest = {(q, a): Fraction(0) for q in CLIQUES for a in (Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE)}
    for key in (KEY, bytes(32), b"another key of thirty-two bytes."):
        alone = [bounded([person], max_rows=max_rows, distinct=distinct, key=key) for person in PEOPLE]
        for clique in CLIQUES:
            moved = np.array([next(source.counts([clique]))[1].ravel() for source in alone])
            between = ((moved[:, None] - moved[None]) ** 2).sum(axis=2).max()
            came = (moved**2).sum(axis=1).max()
            for adjacency, found in ((Adjacency.ADD_REMOVE, came), (Adjacency.REPLACE_ONE, between)):
                assert found <= squared(marginal_sensitivity(alone[0], clique, adjacency))
                furthest[clique, adjacency] = max(furthest[clique, adjacency], Fraction(int(found)))
    few = {(("visit",), Adjacency.REPLACE_ONE)} if distinct else set()  # three visits are too few for two people
    for (clique, adjacency), found in furthest.items():
        charged = float(squared(marginal_sensitivity(alone[0], clique, adjacency)))
        assert (clique, adjacency) in few or float(found) == pytest.approx(charged)


TWO_KEPT = (((0, 0),), ((0, 0), (1, 1)), ((0, 0), (0, 1), (1, 0)), ((1, 0), (2, 0)), ((1, 1), (1, 1), (1, 1)))
ADDED = [((), (p,)) for p in TWO_KEPT] + [((TWO_KEPT[0],), (TWO_KEPT[0], p)) for p in TWO_KEPT]
REPLACED = [((p,), (q,)) for p, q in combinations(TWO_KEPT, 2)]


@pytest.mark.parametrize(
    ("adjacency", "pairs", "least"),
    [(Adjacency.ADD_REMOVE, ADDED, 0.93), (Adjacency.REPLACE_ONE, REPLACED, 0.86)],
    ids=["add-remove", "replace-one"],
)
def test_marginals_of_people_whose_rows_differ(adjacency, pairs, least):
    """What is drawn gives away no more than was charged, and hardly less: two people share one of three visits."""

    def mechanism(people, spend, random):
        source = bounded(people, max_rows=2, distinct=("visit",))
        measured = measure_marginals(
            source, [("visit",)], sigmas=[1.1], spend=spend, random=random, label="visits", adjacency=adjacency
        )
        return tuple(measured[0].values.tolist())

    _, real = price_holds(mechanism, pairs, floor=1e-5)
    assert least < real <= 1.0 + 1e-3


def test_marginals_without_the_distinct_column_are_charged_for_all_rows():
    def mechanism(people, spend, random):
        source = bounded(people, max_rows=2, distinct=("visit",))
        measured = measure_marginals(source, [("x",)], sigmas=[1.5], spend=spend, random=random, label="x")
        assert spend.steps[-1].event.sensitivity == 2.0
        return tuple(measured[0].values.tolist())

    _, real = price_holds(mechanism, ADDED, floor=1e-7)
    assert 0.93 < real <= 1.0 + 1e-3


@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 3), distinct=st.sets(st.sampled_from("abc")),
    clique=st.sets(st.sampled_from("abc"), min_size=1), max_rows=st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_charge_is_never_below_what_a_person_can_do(sizes, distinct, clique, max_rows):
    """Every person that the bounds let through, on every domain of three columns of up to three codes."""
    domain = Domain(names=("a", "b", "c"), sizes=sizes)
    held, apart = domain.clique(clique), domain.clique(distinct)
    rows = list(product(*map(range, sizes)))
    kept = [[row[domain.names.index(n)] for n in apart] for row in rows]
    cell = np.ravel_multi_index(
        tuple(np.array([row[domain.names.index(n)] for row in rows]) for n in held), domain.shape(held)
    )
    vectors = set()
    for many in range(max_rows + 1):
        for person in (combinations if apart else combinations_with_replacement)(range(len(rows)), many):
            if not apart or len({tuple(kept[i]) for i in person}) == many:
                vectors.add(tuple(np.bincount(cell[list(person)], minlength=domain.cells(held)).tolist()))
    moved = np.array(sorted(vectors))
    inside = rows_in_one_cell(domain, apart, held)
    came = int((moved**2).sum(axis=1).max())
    norms = (moved**2).sum(axis=1)
    between = int((norms[:, None] + norms[None] - 2 * moved @ moved.T).max())
    assert came <= squared(moved_by(max_rows, Adjacency.ADD_REMOVE, in_one_cell=inside))
    assert between <= squared(moved_by(max_rows, Adjacency.REPLACE_ONE, in_one_cell=inside))
    if domain.cells(apart) >= max_rows or not apart:
        inside = max_rows if inside is None else min(inside, max_rows)
        if domain.cells(held) * inside >= max_rows and (set(apart) <= set(held) or not set(apart) & set(held)):
            assert came == (max_rows // inside) * inside**2 + (max_rows % inside) ** 2


@given(st.integers(1, 40), st.integers(1, 60), st.sampled_from([Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE]))
def test_the_norm_is_rounded_up_and_by_no_more_than_a_rounding(rows, inside, adjacency):
    root = moved_by(rows, adjacency, in_one_cell=inside)
    most = min(rows, inside)
    exact = ((rows // most) * most**2 + (rows % most) ** 2) * (2 if adjacency.replaces else 1)
    assert exact <= squared(root) <= exact * (1 + Fraction(1, 2**50))
    assert root <= moved_by(rows, adjacency)
    assert moved_by(rows, adjacency, in_one_cell=1) <= root
