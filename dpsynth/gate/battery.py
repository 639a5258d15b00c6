"""Which features of a row a policy's attacks look at on one table; a function of the policy and public facts."""

from collections.abc import Callable
from dataclasses import dataclass

from dpsynth.attacks.features import Family, Feature
from dpsynth.attacks.layout import UNIT, Layout
from dpsynth.gate.policy import Attack, AttackKind, Policy

_MIXED_STEP = UNIT // 4
"""The mixed advantage looks at every quarter of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One feature that one attack looks at; public.

    Attributes:
      attack: Its attack.
      feature: The feature.
      sharing: How many features of this attack share its alpha, this one included.
    """

    attack: Attack
    feature: Feature
    sharing: int


def probes_on(policy: Policy, layout: Layout) -> tuple[Probe, ...]:
    """Every feature that a policy's attacks look at on a table of this layout, in the policy's order."""
    looked = ((attack, _FEATURES[attack.kind](attack, layout)) for attack in policy.attacks)
    return tuple(Probe(attack=attack, feature=f, sharing=len(found)) for attack, found in looked for f in found)


def _at_distances(family: Family) -> Callable[[Attack, Layout], list[Feature]]:
    return lambda attack, layout: [Feature(family=family, distance=t) for t in attack.distances if t < layout.columns]


def _known(attack: Attack, layout: Layout) -> list[Feature]:
    return [
        Feature(family=Family.KNOWN, distance=t, which=w)
        for w, columns in enumerate(layout.known)
        for t in attack.distances
        if t < len(columns)
    ]


def _guessed(_: Attack, layout: Layout) -> list[Feature]:
    secrets = layout.secrets if layout.columns > 1 else ()
    return [Feature(family=Family.GUESSED, which=w) for w in range(len(secrets))]


def _mixed(attack: Attack, layout: Layout) -> list[Feature]:
    """Without a column that has a scale, the mixed distance is the other one."""
    distances = [t for t in attack.distances if t < UNIT * layout.columns] if layout.scaled else []
    return [Feature(family=Family.MIXED, distance=t) for t in distances]


def _mixed_advantage(_: Attack, layout: Layout) -> list[Feature]:
    distances = range(0, UNIT * layout.columns, _MIXED_STEP) if layout.scaled else ()
    return [Feature(family=Family.MIXED, distance=t) for t in distances]


_FEATURES: dict[AttackKind, Callable[[Attack, Layout], list[Feature]]] = {
    AttackKind.NEAR: _at_distances(Family.NEAR),
    AttackKind.ISOLATED: _at_distances(Family.ISOLATED),
    AttackKind.GRADED: lambda attack, layout: [Feature(family=Family.GRADED)],
    AttackKind.RARE: _at_distances(Family.RARE),
    AttackKind.MIXED: _mixed,
    AttackKind.KNOWN: _known,
    AttackKind.GUESSED: _guessed,
    AttackKind.ADVANTAGE: lambda attack, layout: [
        Feature(family=Family.NEAR, distance=t) for t in range(layout.columns)
    ],
    AttackKind.MIXED_ADVANTAGE: _mixed_advantage,
    AttackKind.LIKELIHOOD: lambda attack, layout: [Feature(family=Family.LIKELY)],
}
