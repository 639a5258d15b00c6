"""Which features a policy looks at: as far as the table has columns, scales, known sets and secrets."""

import dataclasses
from fractions import Fraction

import pytest

from dpsynth.attacks import Family, Feature, Layout
from dpsynth.attacks.layout import UNIT
from dpsynth.gate import load_policy
from dpsynth.gate.battery import probes_on
from dpsynth.gate.policy import PROFILES, AttackKind
from tests.dpsynth.gate.helpers import policy

ALL = Layout(sizes=(5,) * 6, ordered=(5, 0, 0, 4, 0, 0), known=((0, 1), (2,)), secrets=(1, 5))
DISTANCES = (0, 1, 3, 9)
TO_SIX = [0, 1, 3]


def looked(kind, layout, distances=DISTANCES):
    """The features of one attack of this kind."""
    one = dataclasses.replace(policy().attacks[0], kind=kind, distances=distances)
    other = dataclasses.replace(policy().attacks[0], name="other")
    found = probes_on(policy(attacks=(one, other)), layout)
    assert all(probe.sharing == len(found) - 1 for probe in found[:-1])
    return [probe.feature for probe in found[:-1]]


def of(family, *distances, which=0):
    return [Feature(family=family, distance=t, which=which) for t in distances]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (AttackKind.NEAR, of(Family.NEAR, *TO_SIX)),
        (AttackKind.ISOLATED, of(Family.ISOLATED, *TO_SIX)),
        (AttackKind.RARE, of(Family.RARE, *TO_SIX)),
        (AttackKind.GRADED, of(Family.GRADED, 0)),
        (AttackKind.MIXED, of(Family.MIXED, *DISTANCES)),
        (AttackKind.KNOWN, of(Family.KNOWN, 0, 1) + of(Family.KNOWN, 0, which=1)),
        (AttackKind.GUESSED, of(Family.GUESSED, 0) + of(Family.GUESSED, 0, which=1)),
        (AttackKind.ADVANTAGE, of(Family.NEAR, *range(6))),
        (AttackKind.MIXED_ADVANTAGE, of(Family.MIXED, *range(0, 6 * UNIT, UNIT // 4))),
        (AttackKind.LIKELIHOOD, of(Family.LIKELY, 0)),
    ],
)
def test_each_kind_looks_at_its_own_features(kind, expected):
    assert looked(kind, ALL) == expected


def test_what_a_table_lacks_is_left_out():
    plain = Layout.plain((5,) * 6)
    for kind in (AttackKind.MIXED, AttackKind.MIXED_ADVANTAGE, AttackKind.KNOWN, AttackKind.GUESSED):
        assert looked(kind, plain) == []
    narrow = Layout(sizes=(5,), ordered=(5,), known=((0,),), secrets=(0,))
    assert looked(AttackKind.GUESSED, narrow) == []
    pair = Layout(sizes=(5, 5), ordered=(0, 0), secrets=(1,))
    assert looked(AttackKind.GUESSED, pair) == of(Family.GUESSED, 0)
    assert looked(AttackKind.MIXED, narrow, (UNIT - 1, UNIT)) == of(Family.MIXED, UNIT - 1)
    assert looked(AttackKind.KNOWN, narrow) == of(Family.KNOWN, 0)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_uses_every_kind_and_looks_at_a_table_of_one_column(name):
    found = load_policy(name)
    assert {attack.kind for attack in found.attacks} | {AttackKind.LIKELIHOOD} == set(AttackKind)
    compared = any(attack.kind is AttackKind.LIKELIHOOD for attack in found.attacks)
    assert compared == (found.reference_share == Fraction(1, 2)) == (name == "research-likelihood")
    assert found.tested_share == found.holdout_share * (1 - found.reference_share)
    assert probes_on(found, Layout.plain((2,)))


def test_what_looks_everywhere_has_features_on_one_column():
    for kind in AttackKind:
        for distances in ((0,), (1,)):
            one = dataclasses.replace(policy().attacks[0], kind=kind, distances=distances)
            found = looked(kind, Layout.plain((2,)), distances)
            assert bool(found) == one.looks_everywhere
