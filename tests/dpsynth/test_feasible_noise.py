"""What a plan refuses for its noise is the worst case of what a mechanism could ask for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.adjacency import PrivacyUnit
from accountant.price import Coordinate
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.feasible_noise import require_drawable
from dpsynth.mechanisms import MstConfig
from dpsynth.mechanisms.shares import by_cells, sigmas, split
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.synthesizers import find_synthesizer


@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    rows=st.integers(1, 10_000),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_whatever_tree_is_chosen_its_noise_can_be_drawn(sizes, rows, order):
    domain = Domain.of({f"c{i}": size for i, size in enumerate(sizes)})
    amount, names = 2**36, list(domain.names)
    try:
        require_drawable(
            find_synthesizer("mst"),
            domain,
            amount=amount,
            coordinate=Coordinate.GDP,
            unit=PrivacyUnit(column="id", max_rows=rows),
        )
    except ParameterError:
        return
    order.shuffle(names)
    tree = [domain.clique((names[i], order.choice(names[:i]))) for i in range(1, len(names))]
    config = MstConfig()
    one_way, _, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    asked = split(one_way, by_cells(domain, [(name,) for name in domain.names])) + split(pairs, by_cells(domain, tree))
    assert max(sigmas(asked, coordinate=Coordinate.GDP, sensitivity=rows)) <= LARGEST_SIGMA


@pytest.mark.parametrize("name", ["independent", "mst", "adaptive"])
@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_the_refusal_starts_where_the_noise_does(name, coordinate):
    """Three equal columns: the smallest share is known by hand."""
    domain, amount = Domain.of({"a": 7, "b": 7, "c": 7}), 2**36
    made = find_synthesizer(name)
    shares = {"independent": 1 / 3, "mst": 0.10 / 3, "adaptive": 0.20 * 0.15 / 3}
    least = int(amount * shares[name])
    (unit_sigma,) = sigmas([least], coordinate=coordinate, sensitivity=1)
    rows = int(LARGEST_SIGMA / unit_sigma)

    def check(rows):
        require_drawable(
            made, domain, amount=amount, coordinate=coordinate, unit=PrivacyUnit(column="id", max_rows=rows)
        )

    check(int(rows * 0.99))
    with pytest.raises(ParameterError, match="noise of sigma"):
        check(int(rows * 1.01))


@given(
    bounds=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 160)), min_size=1, max_size=4),
    data=st.data(),
    rows=st.integers(1, 20_000),
    name=st.sampled_from(["independent", "mst", "adaptive", "aim", "tree", "mwem", "mixture"]),
)
@settings(max_examples=50, deadline=None)
def test_what_is_drawable_in_the_plan_is_drawable_whatever_is_learned(bounds, data, rows, name):
    """Between the fewest and the most codes of each attribute no domain has a smaller share than the plan looked at."""
    sizes = [data.draw(st.integers(low, low + more)) for low, more in bounds]
    smallest, largest, found = (
        Domain.of({f"c{i}": size for i, size in enumerate(these)})
        for these in ([low for low, _ in bounds], [low + more for low, more in bounds], sizes)
    )
    how = {"amount": 2**36, "coordinate": Coordinate.GDP, "unit": PrivacyUnit(column="id", max_rows=rows)}
    try:
        require_drawable(find_synthesizer(name), largest, smallest=smallest, **how)
    except ParameterError:
        return
    require_drawable(find_synthesizer(name), found, **how)


def test_a_share_is_looked_at_where_it_is_smallest():
    """One column that may shrink to a single code beside two of many: that is what decides."""
    largest, smallest = Domain.of({"a": 500, "b": 500, "c": 500}), Domain.of({"a": 1, "b": 500, "c": 500})
    amount = 2**36
    least = split(amount, [1.0, 2 * 500 ** (2 / 3)])[0]
    (unit_sigma,) = sigmas([least], coordinate=Coordinate.GDP, sensitivity=1)
    how = {"amount": amount, "coordinate": Coordinate.GDP}
    below, above = (PrivacyUnit(column="id", max_rows=int(LARGEST_SIGMA / unit_sigma * f)) for f in (0.99, 1.01))
    made = find_synthesizer("independent")
    require_drawable(made, largest, smallest=smallest, unit=below, **how)
    require_drawable(made, largest, unit=above, **how)
    with pytest.raises(ParameterError, match="noise of sigma"):
        require_drawable(made, largest, smallest=smallest, unit=above, **how)
