"""Columns that are made on output: computed from others by one operation, or drawn from a public distribution."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictStr, model_validator

from dpsynth.schema.declared import MAX_EXACT, Declared, Label, Number

MOST_OPERANDS = 64
_FEWEST = {"sum": 2, "difference": 2, "product": 2, "quotient": 2, "least": 2, "greatest": 2}
PAIRS = ("difference", "quotient")
"""Operations of exactly two columns."""
Operands = Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=MOST_OPERANDS)]


class Computation(Declared):
    """One operation on other numeric columns, times a number, plus a number; null where one of them is null.

    A special number of a column counts as null, and so does a quotient by zero.

    Attributes:
      sum: Columns that are added up.
      difference: The first less the second.
      product: Columns that are multiplied.
      quotient: The first over the second.
      least: Columns of which it is the smallest.
      greatest: Columns of which it is the largest.
      times: What the result is multiplied by.
      plus: What is added to it then.
    """

    sum: Operands | None = None
    difference: Operands | None = None
    product: Operands | None = None
    quotient: Operands | None = None
    least: Operands | None = None
    greatest: Operands | None = None
    times: Number = 1.0
    plus: Number = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = [word for word in _FEWEST if getattr(self, word) is not None]
        if len(named) != 1:
            raise ValueError(f"one operation, of {', '.join(_FEWEST)}")
        if self.operation in PAIRS and len(self.operands) != 2:
            raise ValueError(f"two columns in {self.operation!r}")
        if max(abs(self.times), abs(self.plus)) > MAX_EXACT:
            raise ValueError("'times' and 'plus' between -2^53 and 2^53")
        return self

    @property
    def operation(self) -> str:
        """The operation's word."""
        return next(word for word in _FEWEST if getattr(self, word) is not None)

    @property
    def operands(self) -> tuple[str, ...]:
        """Its columns, in order."""
        found: tuple[str, ...] = getattr(self, self.operation)
        return found


class Normal(Declared):
    """A normal distribution, within the bounds of its column.

    Attributes:
      mean: Its mean.
      spread: Its standard deviation.
    """

    mean: Number
    spread: Annotated[Number, Field(gt=0)]


class Distribution(Declared):
    """What a column is drawn from, row by row and independently of everything else: public facts alone.

    Attributes:
      uniform: Every declared value alike: labels, truths, or multiples of the resolution within the bounds.
      normal: A normal distribution within the bounds, rounded to the resolution.
      shares: The probability of each label that has one; together with ``absent`` 1.
      absent: The probability of null.
    """

    uniform: Literal[True] | None = None
    normal: Normal | None = None
    shares: Mapping[Label, Annotated[Number, Field(ge=0, le=1)]] | None = None
    absent: Annotated[Number, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(how is not None for how in (self.uniform, self.normal, self.shares)) != 1:
            raise ValueError("'uniform: true', 'normal' or 'shares', and one of them alone")
        if self.shares is not None and abs(math.fsum([*self.shares.values(), self.absent]) - 1.0) > 1e-9:
            raise ValueError("probabilities in 'shares' that, with 'absent', add up to 1")
        return self


def check_generated(columns: Mapping[str, Any]) -> None:
    """Refuse a computation or a distribution that doesn't fit its column.

    Args:
      columns: The released columns.

    Raises:
      ValueError: In the words of a validator: what was expected.
    """
    for name, column in columns.items():
        if sum(how is not None for how in (column.derived_from, column.computed, column.drawn_from)) > 1:
            raise ValueError(f"one of 'derived_from', 'computed' and 'drawn_from' for {name!r}")
        if column.computed is not None:
            _check_computed(name, column, columns)
        if column.drawn_from is not None:
            _check_drawn(name, column)
    computation_order(columns)


def computation_order(columns: Mapping[str, Any]) -> list[str]:
    """The computed columns, each after those that it is computed from.

    Raises:
      ValueError: One is computed from itself.
    """
    done: list[str] = []
    waiting = [name for name, column in columns.items() if column.computed is not None]
    while waiting:
        ready = [n for n in waiting if not set(columns[n].computed.operands) & set(waiting)]
        if not ready:
            raise ValueError(f"columns that aren't computed from each other in circles, as {waiting[0]!r} is")
        done += ready
        waiting = [name for name in waiting if name not in ready]
    return done


def _check_computed(name: str, column: Any, columns: Mapping[str, Any]) -> None:
    how = column.computed
    if column.kind not in ("integer", "real"):
        raise ValueError(f"kind integer or real for the computed column {name!r}")
    parts: list[Any] = [columns.get(operand) for operand in how.operands]
    if any(getattr(part, "kind", None) not in ("integer", "real") for part in parts):
        raise ValueError(f"released integer or real columns in 'computed' of {name!r}")
    whole = all(part.kind == "integer" for part in parts) and how.operation != "quotient"
    if column.kind == "integer" and not (whole and how.times.is_integer() and how.plus.is_integer()):
        raise ValueError(f"kind real for {name!r}: only whole numbers, and no quotient, compute a whole number")
    may_be_null = how.operation == "quotient" or any(part.nullable or part.special for part in parts)
    if may_be_null and not column.nullable:
        raise ValueError(f"{name!r} to be nullable: what it is computed from may be null or a special number, or 0")


def _check_drawn(name: str, column: Any) -> None:
    how = column.drawn_from
    if how.absent and not column.nullable:
        raise ValueError(f"{name!r} to be nullable where 'absent' is above 0")
    labels = {"boolean": ("false", "true")}.get(column.kind, getattr(column, "categories", ()))
    if how.shares is not None and not (labels and set(how.shares) <= set(labels)):
        raise ValueError(f"labels of {name!r} in 'shares' (of a boolean column: false and true)")
    if how.normal is not None and column.kind not in ("integer", "real"):
        raise ValueError(f"kind integer or real for {name!r}, which is drawn from a normal distribution")
    if how.normal is not None and _within(how.normal, column.bounds) < 1e-6:
        raise ValueError(f"bounds of {name!r} that hold a millionth of its normal distribution at least")
    drawable = (*_FINITE, "date", "datetime", "time", "duration")
    if column.kind not in drawable or (column.kind not in _FINITE and column.bounds is None):
        raise ValueError(f"labels or bounds of {name!r}, which is drawn from a distribution")


_FINITE = ("categorical", "ordinal", "boolean", "integer", "real")


def _within(normal: Normal, bounds: tuple[float, float]) -> float:
    low, high = ((bound - normal.mean) / (normal.spread * math.sqrt(2.0)) for bound in bounds)
    if low * high < 0:
        return (math.erf(high) - math.erf(low)) / 2.0
    return abs(math.erfc(abs(low)) - math.erfc(abs(high))) / 2.0
