"""Rules that hold in every row, as a publisher declares them: conditions on columns, and what they forbid."""

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StrictStr, model_validator

from dpsynth.schema.columns import Boolean, Categorical, Constant, Identifier, Integer, Real
from dpsynth.schema.declared import Declared, finite
from dpsynth.schema.kinds import Column
from dpsynth.schema.opened import Open
from dpsynth.schema.temporal import Temporal, microseconds

BOUNDS = ("below", "above", "from", "up_to")
"""What a value is compared with, in words: below and above are strict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A set of values of one column.

    Attributes:
      values: Values that are in it: labels, numbers, truths, texts of dates and times, and None for null.
      limits: Pairs of a word of ``BOUNDS`` and a value; where there are any, values within all of them are in it:
        numbers, labels of an ordinal column by their order, dates and times. Null is within none.
      negated: Whether it is the set of all other values, null included.
    """

    values: tuple[Any, ...] = ()
    limits: tuple[tuple[str, Any], ...] = ()
    negated: bool = False


def read_condition(written: Any) -> Condition:
    """A condition as it is written: null, a value, a list of values, comparisons, or ``not`` of one of these.

    Raises:
      ValueError: In the words of a validator.
    """
    if isinstance(written, Mapping):
        if set(written) == {"not"}:
            inner = read_condition(written["not"])
            return Condition(values=inner.values, limits=inner.limits, negated=not inner.negated)
        if not written or not set(written) <= set(BOUNDS):
            raise ValueError(f"a value, a list of values, 'not', or some of {', '.join(BOUNDS)}")
        limits = tuple((word, _plain(value)) for word, value in written.items())
        if any(isinstance(value, bool) or not isinstance(value, str | int | float) for _, value in limits):
            raise ValueError("comparisons with numbers, labels in quotes, or texts of dates and times")
        return Condition(limits=limits)
    values = [_plain(v) for v in (written if isinstance(written, list | tuple) else [written])]
    if not values or any(not (v is None or isinstance(v, str | int | float)) for v in values):
        raise ValueError("a value, a list of values, 'not', or comparisons")
    return Condition(values=tuple(values))


def _plain(value: Any) -> Any:
    """A value, or the text of a date or time; YAML makes one of some text that isn't in quotes."""
    return str(value) if isinstance(value, datetime.date | datetime.time) else value


def _condition(written: Any) -> Any:
    read_condition(written)
    return _as_text(written)


def _as_text(written: Any) -> Any:
    """A condition with the text of each date and time."""
    if isinstance(written, Mapping):
        return {word: _as_text(value) for word, value in written.items()}
    return [_plain(v) for v in written] if isinstance(written, list | tuple) else _plain(written)


Conditions = Mapping[StrictStr, Annotated[Any, BeforeValidator(_condition)]]


class Rule(Declared):
    """One rule: an implication, a forbidden combination, or an order of two columns.

    Attributes:
      when: Conditions that hold together.
      then: What holds for each of these columns where they do.
      otherwise: What holds for each of these columns where they don't.
      forbid: Conditions that never hold together.
      at_most: Two numeric columns, two of one kind of date or time, or two ordinal ones of the same labels: the first
        never exceeds the second; null is compared with nothing.
      provenance: Where it comes from: a law, a codebook, what the words mean.
    """

    when: Conditions | None = None
    then: Conditions | None = None
    otherwise: Conditions | None = None
    forbid: Conditions | None = None
    at_most: Annotated[tuple[StrictStr, ...], Field(min_length=2, max_length=2)] | None = None
    provenance: StrictStr = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        implication = bool(self.when) and bool(self.then or self.otherwise)
        parts = [self.when is not None or self.then is not None or self.otherwise is not None, self.forbid is not None,
                 self.at_most is not None]
        if sum(parts) != 1 or (parts[0] and not implication) or (parts[1] and not self.forbid):
            raise ValueError("'when' with 'then' or 'otherwise', or 'forbid', or 'at_most', and one of them alone")
        if self.at_most is not None and self.at_most[0] == self.at_most[1]:
            raise ValueError("two different columns in 'at_most'")
        return self

    @property
    def columns(self) -> set[str]:
        """The columns that it speaks of."""
        named = [set(part or ()) for part in (self.when, self.then, self.otherwise, self.forbid)]
        return set(self.at_most or ()).union(*named)

    def forbidden(self) -> Iterator[dict[str, tuple[Condition, ...]]]:
        """Combinations that never occur: for each column conditions, all of which hold together."""
        if self.forbid:
            yield {name: (read_condition(written),) for name, written in self.forbid.items()}
        for name, written in (self.then or {}).items():
            yield _joined([*_read(self.when), (name, _negated(read_condition(written)))])
        for name, written in (self.otherwise or {}).items():
            for cause, condition in _read(self.when):
                yield _joined([(cause, _negated(condition)), (name, _negated(read_condition(written)))])


def _read(conditions: Mapping[str, Any] | None) -> list[tuple[str, Condition]]:
    return [(name, read_condition(written)) for name, written in (conditions or {}).items()]


def _negated(condition: Condition) -> Condition:
    return Condition(values=condition.values, limits=condition.limits, negated=not condition.negated)


def _joined(pairs: list[tuple[str, Condition]]) -> dict[str, tuple[Condition, ...]]:
    out: dict[str, tuple[Condition, ...]] = {}
    for name, condition in pairs:
        out[name] = (*out.get(name, ()), condition)
    return out


def check_rules(rules: tuple[Rule, ...], columns: Mapping[str, Column]) -> None:
    """Refuse rules about columns that have no values to speak of, or about values that a column doesn't have.

    Args:
      rules: The declared rules.
      columns: The released columns.

    Raises:
      ValueError: In the words of a validator.
    """
    ruled = {name: column for name, column in columns.items() if not isinstance(column, Identifier | Constant)}
    for number, rule in enumerate(rules, 1):
        if not rule.columns <= set(ruled):
            raise ValueError(f"released columns, none of them an identifier or a constant, in rule {number}")
        if rule.at_most and not _comparable(*(ruled[name] for name in rule.at_most)):
            raise ValueError("two numeric columns, two of one kind of date or time, or two ordinal ones of the same "
                             f"labels in the same order, in 'at_most' of rule {number}")
        for box in rule.forbidden():
            for name, conditions in box.items():
                for condition in conditions:
                    check_condition(name, condition, ruled[name], f"rule {number}")


def is_ordinal(column: Column) -> bool:
    """Whether a column's labels have an order that means something."""
    return isinstance(column, Categorical) and column.ordered


def _comparable(first: Column, second: Column) -> bool:
    if isinstance(first, Temporal) and isinstance(second, Temporal):
        return first.kind == second.kind
    if isinstance(first, Categorical) and isinstance(second, Categorical):
        return is_ordinal(first) and is_ordinal(second) and first.categories == second.categories
    return isinstance(first, Integer | Real) and isinstance(second, Integer | Real)


def check_condition(name: str, condition: Condition, column: Column, where: str) -> None:
    """Refuse a condition on values that the column's declaration doesn't have.

    Raises:
      ValueError: In the words of a validator.
    """
    for value in condition.values:
        if not _declared(value, column):
            raise ValueError(f"in {where} values that the declaration of {name!r} has (labels in quotes)")
    if condition.limits and not (isinstance(column, Integer | Real | Temporal) or is_ordinal(column)):
        raise ValueError(
            f"in {where} comparisons for numbers, dates, times and ordinal columns alone, not for {name!r}"
        )
    for _, limit in condition.limits:
        try:
            place(column, limit)
        except ValueError:
            raise ValueError(
                f"in {where} comparisons of {name!r} with what its kind has: numbers, its labels in quotes, or texts "
                "as in ISO 8601"
            ) from None


def place(column: Column, value: Any) -> float:
    """Where a value stands in the order of a column: its number, the position of its label, or its resolution's steps.

    Raises:
      ValueError: It has no place there.
    """
    if isinstance(column, Categorical):
        return column.categories.index(str(value))
    if not isinstance(column, Temporal):
        return finite(value)
    found = None if isinstance(value, bool) else microseconds(str(value), column.kind)
    if found is None:
        raise ValueError("a text as in ISO 8601 (a duration: seconds)")
    return found / column.step


def placed(condition: Condition, column: Column) -> Condition:
    """A condition with the places of its values and limits; null stays null."""
    values = tuple(None if value is None else place(column, value) for value in condition.values)
    limits = tuple((word, place(column, limit)) for word, limit in condition.limits)
    return Condition(values=values, limits=limits, negated=condition.negated)


def _declared(value: Any, column: Column) -> bool:
    if value is None:
        return column.nullable
    if isinstance(column, Categorical | Open):
        return not isinstance(value, bool) and str(value) in column.categories
    if isinstance(column, Boolean):
        return isinstance(value, bool)
    if not isinstance(column, Integer | Real | Temporal):
        return False
    try:
        number = place(column, value)
    except ValueError:
        return False
    if isinstance(column, Temporal):
        first, last = column.ticks.bounds if column.bounds is not None else (number, number)
        return first <= number <= last and number == int(number)
    inside = column.bounds[0] <= number <= column.bounds[1] or number in column.special
    return bool(inside and (isinstance(column, Real) or number == int(number)))


def rule_cuts(rules: tuple[Rule, ...], name: str, column: Integer | Real | Temporal, step: Fraction) -> list[float]:
    """Where bins of an ordered column begin so that each bin fulfils a condition of a rule wholly or not at all.

    Args:
      rules: The declared rules.
      name: The column.
      column: Its declaration.
      step: Synthetic values are multiples of it; of a date or time's, of 1.
    """
    conditions = [placed(c, column) for rule in rules for box in rule.forbidden() for c in box.get(name, ())]
    plain = column.ticks if isinstance(column, Temporal) else column
    return _cuts(conditions, plain, step)


def _cuts(conditions: Iterable[Condition], column: Integer | Real, step: Fraction) -> list[float]:
    found = set[float]()

    def after(number: float) -> float:
        return float((Fraction(repr(float(number))) // step + 1) * step)

    for condition in conditions:
        found |= {n for value in condition.values if value is not None for n in (value, after(value))}
        for word, number in condition.limits:
            found.add(number if word in ("below", "from") else after(number))
    lower, upper = column.bounds
    if isinstance(column, Integer):
        found = {float(math.ceil(n)) for n in found}
    return sorted(n for n in found if lower < n <= upper)
