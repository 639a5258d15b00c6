"""The gate's policy: every public number of the test, frozen and hashed before data is touched."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from accountant.canonical import sha256_hex
from dpsynth.errors import GateRefused

STATISTICS = "closeness-3"
"""Version of the statistics and threshold formulas, hashed with every policy."""

_Value = TypeVar("_Value")

PROFILES = ("standard", "strict-health", "research", "research-likelihood")

REFERENCE = Fraction(1, 2)
"""Share of the people held out who are compared with and not tested, where an attack needs them."""
MOST_RETRIES = 9


class AttackKind(StrEnum):
    """How an attack's rates become a test."""

    NEAR = "near"
    """A synthetic row within a declared distance (0: an exact match); each distance has its own threshold."""
    ISOLATED = "isolated"
    """An exact match whose closest different synthetic row is a declared distance away or further; likewise."""
    GRADED = "graded"
    """An exact match counts the more, the further away its closest different synthetic row is."""
    RARE = "rare"
    """A rare row (by the synthetic table's own shares) with a synthetic row within a declared distance."""
    MIXED = "mixed"
    """A synthetic row within a declared mixed distance, in 64ths of a column; tables with scaled columns only."""
    KNOWN = "known"
    """A synthetic row within a declared distance on each set of columns that the schema says others know."""
    GUESSED = "guessed"
    """The closest synthetic rows give away a secret that the schema declares; each secret has its own threshold."""
    ADVANTAGE = "advantage"
    """The largest difference of near rates over all distances, with one threshold (Kolmogorov-Smirnov, one-sided)."""
    MIXED_ADVANTAGE = "mixed advantage"
    """The same over mixed distances."""
    LIKELIHOOD = "likelihood"
    """How much likelier the table makes a row than noisy marginals of reference people do: half of those held out pay
    for these, and for nothing else, so that the test has the other half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack of the policy.

    Attributes:
      name: Public name.
      kind: How its rates become a test.
      distances: Declared distances (columns that may differ; 64ths of a column where it is mixed); those that the table
        is too narrow for are left out.
      alpha: Probability that it alone fails a table made without looking at anybody, noise included.
      weight: w in [0, 1].
    """

    name: str
    kind: AttackKind
    distances: tuple[int, ...]
    alpha: Fraction
    weight: Fraction

    @property
    def looks_everywhere(self) -> bool:
        """Whether it has something to look at on every table, one of a single column included."""
        return self.kind in _EVERYWHERE or (self.kind in _AT_DISTANCES and 0 in self.distances)


_EVERYWHERE = frozenset({AttackKind.GRADED, AttackKind.ADVANTAGE, AttackKind.LIKELIHOOD})
_AT_DISTANCES = frozenset({AttackKind.NEAR, AttackKind.ISOLATED, AttackKind.RARE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One gate for all tables; public.

    Attributes:
      name: Of the profile.
      holdout_share: Probability of each person's coin to be held out, above 0, at most 1/2.
      gate_mu: mu that a training person pays for the test, at most.
      retries: How many more tables are made after failures, at most 9; all of them are reserved and composed up front.
      noise_alpha: Probability at most that the noise alone exceeds the margin.
      grid: Steps of one record in which the statistic is rounded down (fewer where the noise is wide).
      smallest_side: Noisy people each side must have for a decision.
      tolerable_leak: The gate decides where the easiest leak of this share of training people would be seen: copies in
        a table that nobody else is near. What it could have missed on the table at hand may be larger, and is stated.
      detection: Probability of being seen that the smallest leak refers to.
      rate_factor: How many times as common as among strangers closeness may be among people who weren't looked at.
      rate_floor: What is added to that, a share of people.
      attacks: The battery.
    """

    name: str
    holdout_share: Fraction
    gate_mu: Fraction
    retries: int
    noise_alpha: Fraction
    grid: int
    smallest_side: int
    tolerable_leak: Fraction
    detection: Fraction
    rate_factor: Fraction
    rate_floor: Fraction
    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        shares = (
            *(self.noise_alpha, self.tolerable_leak, self.detection, self.rate_floor),
            *(a.alpha for a in self.attacks),
        )
        good = (
            0 < self.holdout_share <= Fraction(1, 2)
            and self.gate_mu > 0
            and self.grid >= 1
            and self.smallest_side >= 1
            and self.rate_factor >= 1
            and all(0 < s < 1 for s in shares)
            and all(0 < a.weight <= 1 for a in self.attacks)
            and all(t >= 0 for a in self.attacks for t in a.distances)
            and len({a.name for a in self.attacks}) == len(self.attacks)
            and any(a.looks_everywhere for a in self.attacks)
            and 0 <= self.retries <= MOST_RETRIES
        )
        if not good:
            raise GateRefused(
                f"The gate policy {self.name!r} can't be used.",
                "It needs 0 < holdout_share <= 1/2, gate_mu > 0, rate_factor >= 1, alphas, leaks, detection and "
                "rate_floor between 0 and 1, weights in (0, 1], distances >= 0, different names, an attack that one "
                f"column allows, and 0 to {MOST_RETRIES} retries.",
                f"Mend it, or use one of the profiles {', '.join(PROFILES)}.",
            )

    @property
    def attempts(self) -> int:
        """Tables that may be made and tested: one, and the declared retries."""
        return 1 + self.retries

    @property
    def reference_share(self) -> Fraction:
        """Share of the people held out who are compared with and not tested; 0 where no attack needs them."""
        return REFERENCE if any(a.kind is AttackKind.LIKELIHOOD for a in self.attacks) else Fraction(0)

    @property
    def tested_share(self) -> Fraction:
        """Chance of a person to be held out and tested."""
        return self.holdout_share * (1 - self.reference_share)

    def to_json(self) -> dict[str, Any]:
        """The policy as canonical JSON values; fractions as exact text."""
        return {"statistics": STATISTICS, "version": 1} | _json(self)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return sha256_hex(self.to_json())


def load_policy(profile: str | Path = "standard") -> Policy:
    """A shipped profile by name, or a policy file by path.

    Raises:
      GateRefused: It can't be read, has unknown or missing keys, or a number out of range.
    """
    import yaml

    name = str(profile)
    file = files("dpsynth.gate") / "profiles" / f"{name}.yaml" if name in PROFILES else Path(profile)
    try:
        return policy_from_json(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GateRefused(
            f"The gate policy {name!r} can't be read.",
            "It is neither a shipped profile nor a readable YAML file.",
            f"Use one of {', '.join(PROFILES)}, or the path of a policy file.",
        ) from error


def policy_from_json(body: Any) -> Policy:
    """Inverse of :meth:`Policy.to_json`; decimals and fractions are accepted as text.

    Raises:
      GateRefused: Unknown or missing keys, another version, or a number out of range.
    """
    try:
        rest = dict(body)
        if int(rest.pop("version")) != 1 or rest.pop("statistics", STATISTICS) != STATISTICS:
            raise ValueError
        attacks = tuple(_read(Attack, a) for a in rest.pop("attacks"))
        return _read(Policy, rest | {"attacks": attacks})
    except (TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise GateRefused(
            "The gate policy isn't one of this version.",
            f"It needs version 1 and exactly the keys {', '.join(f.name for f in fields(Policy))}.",
            "Start from a shipped profile; numbers with decimals are quoted.",
        ) from error


def _fraction(value: Any) -> Fraction:
    return Fraction(str(value))


def _whole(value: Any) -> int:
    found = _fraction(value)
    if found.denominator != 1:
        raise ValueError
    return found.numerator


_READERS: dict[Any, Any] = {
    Fraction: _fraction,
    int: _whole,
    str: str,
    AttackKind: AttackKind,
    tuple[int, ...]: lambda values: tuple(_whole(v) for v in values),
    tuple[Attack, ...]: tuple,
}


def _read(kind: type[_Value], body: Mapping[str, Any]) -> _Value:
    known = {f.name: _READERS[f.type] for f in fields(kind)}  # type: ignore[arg-type]
    if set(body) != set(known):
        raise ValueError
    return kind(**{name: read(body[name]) for name, read in known.items()})


_WRITERS: dict[type, Any] = {
    Fraction: str,
    tuple: lambda values: [_WRITERS.get(type(v), _same)(v) for v in values],
    Attack: lambda attack: _json(attack),
}


def _same(value: Any) -> Any:
    return value


def _json(value: Any) -> dict[str, Any]:
    named = ((f.name, getattr(value, f.name)) for f in fields(value))
    return {name: _WRITERS.get(type(v), _same)(v) for name, v in named}
