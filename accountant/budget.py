"""A budget: the (epsilon, delta) somebody allows, and the exact cap it becomes in a coordinate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from accountant.convert import mu_from_budget, rho_from_budget
from accountant.errors import ParameterError
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.rules.slack import LARGEST_EPSILON

CLAIM_SHARE = 1 / 1024
"""Share of delta kept for additive deltas: the samplers' slack, and claims of tools outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An allowance of (epsilon, delta).

    Attributes:
      epsilon: Above 0, at most 20.
      delta: Strictly between 0 and 1.
      coordinate: Where prices add up.
      claim_share: Share of ``delta`` that additive deltas may use; the rest converts the coordinate to epsilon.
    """

    epsilon: float
    delta: float
    coordinate: Coordinate = Coordinate.GDP
    claim_share: float = CLAIM_SHARE

    def __post_init__(self) -> None:
        _require("epsilon", self.epsilon, 0.0 < self.epsilon <= LARGEST_EPSILON, "above 0 and at most 20")
        _require("delta", self.delta, 0.0 < self.delta < 1.0, "strictly between 0 and 1")
        _require("claim_share", self.claim_share, 0.0 <= self.claim_share < 1.0, "at least 0 and below 1")

    @property
    def conversion_delta(self) -> float:
        """The part of delta that converts the coordinate to epsilon, rounded down."""
        return float(Fraction(self.delta) * (1 - Fraction(self.claim_share))) * (1.0 - 2.0**-52)

    @property
    def cap(self) -> Price:
        """The most that may be spent, rounded down: whatever fits it satisfies (epsilon, delta)."""
        claims = math.floor(Fraction(self.delta) * Fraction(self.claim_share) * DELTA_UNIT)
        return Price(amount_within(self.epsilon, self.conversion_delta, self.coordinate), claims)

    def to_json(self) -> dict[str, str]:
        """The budget as text; floats keep every bit through ``float.hex``."""
        return {
            "epsilon": float(self.epsilon).hex(),
            "delta": float(self.delta).hex(),
            "coordinate": str(self.coordinate),
            "claim_share": float(self.claim_share).hex(),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Budget":
        """Inverse of :meth:`to_json`."""
        return cls(
            epsilon=float.fromhex(body["epsilon"]),
            delta=float.fromhex(body["delta"]),
            coordinate=Coordinate(body["coordinate"]),
            claim_share=float.fromhex(body["claim_share"]),
        )


def amount_within(epsilon: float, delta: float, coordinate: Coordinate) -> int:
    """The most units of 2^-40 of the coordinate that imply (epsilon, delta)."""
    if coordinate is Coordinate.GDP:
        plain = Fraction(mu_from_budget(epsilon, delta)) ** 2
    else:
        plain = Fraction(rho_from_budget(epsilon, delta))
    return math.floor(plain * AMOUNT_UNIT)


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise ParameterError(
            f"A budget has {name} = {value}.",
            f"A budget's {name} is a finite number {expected}.",
            f"Give another {name}.",
        )
