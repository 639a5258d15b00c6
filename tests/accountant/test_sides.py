"""Totals of sides over releases: never below what the unluckiest person paid, apart only where people stay put."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.adjacency import Adjacency
from accountant.compose import larger_side
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.price import Price
from accountant.sides import SidedCharge, Split, kept_apart, of_two, replaced_person, scope_total
from accountant.spend import BOTH_SIDES, Side

ONE = Split(key_id="k1", holdout_share=Fraction(1, 5), id_column="person")
OTHERS = (
    Split(key_id="k2", holdout_share=Fraction(1, 5), id_column="person"),
    Split(key_id="k1", holdout_share=Fraction(1, 4), id_column="person"),
    Split(key_id="k1", holdout_share=Fraction(1, 5), id_column="household"),
)
COINS = Split(key_id="k1", holdout_share=Fraction(1, 5), id_column=None)
AMOUNTS = st.builds(Price, st.integers(0, 50), st.integers(0, 50))
CHARGES = st.lists(
    st.builds(
        SidedCharge,
        paid=st.fixed_dictionaries(dict.fromkeys(BOTH_SIDES, AMOUNTS)),
        split=st.sampled_from([ONE, *OTHERS, COINS, None]),
    ),
    max_size=6,
)
THREE = st.lists(
    st.builds(
        SidedCharge,
        paid=st.fixed_dictionaries(dict.fromkeys(BOTH_SIDES, AMOUNTS), optional={Side.REFERENCE: AMOUNTS}),
        split=st.sampled_from([ONE, COINS, None]),
    ),
    max_size=4,
)


def charge(training: int, holdout: int, split: Split | None = ONE) -> SidedCharge:
    paid = {Side.TRAINING: Price(training, holdout), Side.HOLDOUT: Price(holdout, training)}
    return SidedCharge(paid=paid, split=split)


def worst_person(charges: list[SidedCharge]) -> Price:
    """By going through every assignment: one side for each split with an id, one for each release otherwise."""
    fixed = {c.split for c in charges if c.split is not None and c.split.id_column is not None}
    places: list[object] = [*fixed, *(i for i, c in enumerate(charges) if c.split not in fixed)]
    worst = Price()
    for sides in itertools.product(BOTH_SIDES, repeat=len(places)):
        where = dict(zip(places, sides, strict=True))
        paid = Price()
        for i, c in enumerate(charges):
            paid = paid + c.paid[where[c.split if c.split in fixed else i]]
        worst = worst.larger(paid)
    return worst


@given(CHARGES)
def test_the_total_is_exactly_that_of_the_unluckiest_person(charges: list[SidedCharge]) -> None:
    assert scope_total(charges) == worst_person(charges)


@pytest.mark.parametrize("other", [*OTHERS, COINS, None])
def test_apart_only_under_one_key_one_share_and_one_id_column(other: Split | None) -> None:
    together = [charge(10, 1), charge(1, 10)]
    assert scope_total(together) == Price(11, 11)
    assert kept_apart(together) == {Side.TRAINING: Price(11, 11), Side.HOLDOUT: Price(11, 11)}
    mixed = [charge(10, 1), charge(1, 10, other)]
    assert scope_total(mixed) == Price(20, 20)
    assert kept_apart(mixed) is None


def test_fresh_coins_keep_nobody_on_a_side() -> None:
    for split in (COINS, None):
        assert scope_total([charge(10, 1, split), charge(1, 10, split)]) == Price(20, 20)
        assert kept_apart([charge(10, 1, split), charge(1, 10, split)]) is None
        assert kept_apart([charge(10, 1, split)]) == charge(10, 1).paid
    assert kept_apart([]) == dict.fromkeys(BOTH_SIDES, Price())
    assert scope_total([]) == Price()


@given(CHARGES)
def test_apart_is_never_below_and_never_dearer_than_together(charges: list[SidedCharge]) -> None:
    apart = kept_apart(charges)
    if apart is not None:
        assert larger_side(apart) == scope_total(charges)
    each = [larger_side(c.paid) for c in charges]
    assert scope_total(charges).amount <= sum(p.amount for p in each)
    assert scope_total(charges).delta <= sum(p.delta for p in each)


def test_a_side_that_is_not_named_paid_nothing() -> None:
    assert scope_total([SidedCharge(paid={Side.HOLDOUT: Price(3, 4)}, split=ONE)]) == Price(3, 4)


def test_replace_one_is_refused_with_its_own_price() -> None:
    with pytest.raises(UnsupportedEvent, match="replaced_person"):
        scope_total([charge(1, 1)], adjacency=Adjacency.REPLACE_ONE)


@given(THREE)
def test_nobody_pays_more_than_the_total_whether_they_tested_or_were_referred_to(charges: list[SidedCharge]) -> None:
    """Every path of a person who stays in training or held out under one split, and is anybody elsewhere."""
    most = scope_total(charges)
    for trained in (True, False):
        choices = [
            [Side.TRAINING] if c.split == ONE and trained else list(Side)[1:] if c.split == ONE else list(Side)
            for c in charges
        ]
        for path in itertools.product(*choices):
            paid = Price()
            for c, side in zip(charges, path, strict=True):
                paid = paid + c.paid.get(side, Price())
            assert paid.fits(most)


def test_a_dear_reference_is_what_a_release_costs() -> None:
    paid = {Side.TRAINING: Price(3, 9), Side.HOLDOUT: Price(2, 1), Side.REFERENCE: Price(7, 4)}
    assert of_two(paid) == {Side.TRAINING: Price(3, 9), Side.HOLDOUT: Price(7, 4)}
    for split in (ONE, COINS, None):
        assert scope_total([SidedCharge(paid=paid, split=split)]) == Price(7, 9)
    with pytest.raises(UnsupportedEvent, match="reference people"):
        replaced_person(paid)


@given(training=st.integers(0, 2**50), holdout=st.integers(0, 2**50), delta=st.integers(0, 9))
def test_a_replaced_person_pays_the_square_of_the_sum_of_mus(training: int, holdout: int, delta: int) -> None:
    paid = replaced_person({Side.TRAINING: Price(training, delta), Side.HOLDOUT: Price(holdout)})
    assert paid.delta == delta
    extra = paid.amount - training - holdout
    assert extra**2 >= 4 * training * holdout
    assert extra == 0 or (extra - 1) ** 2 < 4 * training * holdout
    assert math.sqrt(paid.amount) >= (math.sqrt(training) + math.sqrt(holdout)) * (1 - 1e-12)


def test_a_replaced_person_with_two_deltas_is_refused() -> None:
    with pytest.raises(UnsupportedEvent, match="on both sides"):
        replaced_person({side: Price(1, 1) for side in BOTH_SIDES})


@pytest.mark.parametrize(
    "bad", [{"holdout_share": Fraction(1)}, {"holdout_share": 0.2}, {"key_id": ""}, {"id_column": ""}]
)
def test_a_split_is_stated_in_full(bad: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="A split has"):
        Split(**({"key_id": "k", "holdout_share": Fraction(1, 5), "id_column": "id"} | bad))  # type: ignore[arg-type]
