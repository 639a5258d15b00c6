"""Sizes by bit masks agree with the junction tree that would be built."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.estimation.junction_tree import junction_tree

NAMES = tuple("abcdefg")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_sizes_are_those_of_the_tree(data):
    d = data.draw(st.integers(2, 7))
    domain = Domain(names=NAMES[:d], sizes=tuple(data.draw(st.integers(1, 9)) for _ in range(d)))
    subsets = [c for k in (1, 2, 3) for c in itertools.combinations(domain.names, min(k, d))]
    cliques = data.draw(st.lists(st.sampled_from(subsets), max_size=7))
    extra = data.draw(st.sampled_from(subsets))
    sizes = TreeSizes(domain, cliques)
    assert sizes.cells_with(extra) == junction_tree(domain, [*cliques, extra]).cells
    sizes.add(extra)
    assert sizes.cells_with(extra) == junction_tree(domain, [*cliques, extra]).cells


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_many_at_once_are_as_one_at_a_time(data):
    d = data.draw(st.integers(3, 7))
    domain = Domain(names=NAMES[:d], sizes=tuple(data.draw(st.integers(1, 9)) for _ in range(d)))
    subsets = [c for k in (1, 2, 3) for c in itertools.combinations(domain.names, k)]
    cliques = data.draw(st.lists(st.sampled_from(subsets), max_size=7))
    asked = data.draw(st.permutations(subsets))
    limit = data.draw(st.sampled_from([50.0, 500.0, float("inf")]))
    sizes = TreeSizes(domain, cliques)
    found = sizes.all_cells_with(sizes.columns(asked), limit)
    wanted = [junction_tree(domain, [*cliques, q]).cells for q in asked]
    assert [min(f, limit + 1) for f in found] == [min(w, limit + 1) for w in wanted]
