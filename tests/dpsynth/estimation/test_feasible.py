"""Sizes by bit masks agree with the junction tree that would be built."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Domain
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.estimation.junction_tree import junction_tree
from dpsynth.estimation.memory import fit_megabytes

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


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_within_a_limit_in_megabytes_takes_no_more(data):
    d = data.draw(st.integers(1, 7))
    domain = Domain(names=NAMES[:d], sizes=tuple(data.draw(st.integers(1, 9)) for _ in range(d)))
    subsets = [c for k in range(1, d + 1) for c in itertools.combinations(domain.names, k)]
    cliques = data.draw(st.lists(st.sampled_from(subsets), max_size=7))
    extra = data.draw(st.sampled_from(subsets))
    takes = fit_megabytes(junction_tree(domain, [*cliques, extra]), [*cliques, extra])
    sizes = TreeSizes(domain, cliques)
    assert not sizes.within([extra], cells=np.inf, megabytes=takes * (1 - 1e-9) - 1e-12)[0]
    assert sizes.within([extra], cells=np.inf, megabytes=6 * takes)[0]  # and isn't far above it
    assert sizes.within([extra], cells=np.inf)[0]


def test_realistic_trees_are_bounded_closely():
    rng = np.random.default_rng(0)
    domain = Domain.of({f"x{i:02}": s for i, s in enumerate((85, 9, 16, 7, 15, 6, 5, 2, 20, 20, 20, 42, 2))})
    cliques = [domain.clique(rng.choice(domain.names, 3, replace=False)) for _ in range(7)]
    takes = fit_megabytes(junction_tree(domain, cliques), cliques)
    assert TreeSizes(domain, cliques).within([cliques[0]], cells=np.inf, megabytes=1.5 * takes)[0]
