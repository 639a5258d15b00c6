"""Prices: exact integers in the coordinate of a scope, always rounded up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from accountant.errors import ParameterError

AMOUNT_UNIT = 2**40
"""Units of mu^2 or rho in 1.0."""

DELTA_UNIT = 2**62
"""Units of delta in 1.0."""


class Coordinate(StrEnum):
    """The quantity in which a scope adds up."""

    GDP = "gdp"
    """mu^2 of Gaussian differential privacy."""
    ZCDP = "zcdp"
    """rho of zero-concentrated differential privacy."""

    @property
    def symbol(self) -> str:
        """How the amount is written in messages: ``mu^2`` or ``rho``."""
        return _SYMBOLS[self]


_SYMBOLS = {Coordinate.GDP: "mu^2", Coordinate.ZCDP: "rho"}


@dataclass(frozen=True, slots=True)
class Price:
    """What something costs: an amount of the coordinate and an additive delta.

    Attributes:
      amount: mu^2 or rho, in units of 2^-40.
      delta: Additive delta, in units of 2^-62.
    """

    amount: int = 0
    delta: int = 0

    def __post_init__(self) -> None:
        whole = type(self.amount) is int and type(self.delta) is int
        if not whole or self.amount < 0 or self.delta < 0:
            raise ParameterError(
                f"A price of amount {self.amount} and delta {self.delta} was given.",
                "Prices are whole numbers of units, at least zero.",
                "Use Price.of, which rounds up.",
            )

    @classmethod
    def of(cls, amount: float | Fraction, delta: float | Fraction = 0) -> "Price":
        """The price of ``amount`` (mu^2 or rho) and ``delta`` as plain numbers, each rounded up to a unit."""
        if not (math.isfinite(amount) and math.isfinite(delta)):
            raise ParameterError("A price isn't finite.", "Only finite amounts add up.", "Use more noise.")
        return cls(math.ceil(Fraction(amount) * AMOUNT_UNIT), math.ceil(Fraction(delta) * DELTA_UNIT))

    def __add__(self, other: "Price") -> "Price":
        return Price(self.amount + other.amount, self.delta + other.delta)

    def larger(self, other: "Price") -> "Price":
        """The larger amount and the larger delta of the two."""
        return Price(max(self.amount, other.amount), max(self.delta, other.delta))

    def fits(self, cap: "Price") -> bool:
        """Whether both components are within ``cap``."""
        return self.amount <= cap.amount and self.delta <= cap.delta

    def less(self, other: "Price") -> "Price":
        """What is left of this price after ``other``; a component never falls below zero."""
        return Price(max(0, self.amount - other.amount), max(0, self.delta - other.delta))

    def to_json(self) -> dict[str, int]:
        """Both components as JSON integers."""
        return {"amount": self.amount, "delta": self.delta}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Price":
        """Inverse of :meth:`to_json`."""
        return cls(body["amount"], body["delta"])
