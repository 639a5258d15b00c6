"""Whether declared rules contradict each other, and a smallest set of them that does.

Codes decide most rules. Of what is left (orders of numbers and times, columns that are computed or drawn on output, and
the bounds of computed ones) intervals tell what codes leave room for: they find a contradiction that is one for
whichever values the codes stand for, and no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.encode.computed import Interval, may_leave, operands_of, possible, rounding_of, spanned
from dpsynth.encode.conditions import COMPARED, decided_late
from dpsynth.encode.rules import Box, codes_meant
from dpsynth.encode.temporal import TemporalEncoder
from dpsynth.errors import SchemaError
from dpsynth.schema import Integer, Real, TableSchema, Temporal
from dpsynth.schema.derivations import values_by_category
from dpsynth.schema.rules import Condition, is_ordinal, placed

Chosen = Mapping[str, int]
Found = tuple[Interval | None, bool]
"""Where a value lies, None where it can only be null; and whether it may be null."""

MOST_STEPS = 200_000
"""Assignments that the search for a contradiction tries; beyond them it finds none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """What some columns' codes have to leave room for.

    Attributes:
      source: The number of the rule that says so, or the name of the computed column whose bounds do.
      columns: The columns, all codes of which are told apart.
      fits: Whether codes of all of them leave room for it.
    """

    source: int | str
    columns: tuple[str, ...]
    fits: Callable[[Chosen], bool]


def check_consistent(schema: TableSchema, boxes: Sequence[Box], columns: Mapping[str, Any]) -> None:
    """Refuse rules that no row can fulfil together, bounds of computed columns among them.

    Args:
      schema: The declaration.
      boxes: Of its rules, from :func:`boxes_of`.
      columns: The encoder of each column.

    Raises:
      SchemaError: There is a contradiction; it names the fewest rules found that contradict each other.
    """
    limits = [*_orders(schema, columns), *_late(schema, columns), *_computed(schema, columns)]
    if _possible(boxes, limits, columns):
        return
    said: set[int | str] = {*(box.rule for box in boxes), *(limit.source for limit in limits)}
    named: list[int | str] = [*sorted(n for n in said if isinstance(n, int))]
    named += sorted(n for n in said if isinstance(n, str))
    for one in list(named):
        fewer = [n for n in named if n != one]
        left = [limit for limit in limits if limit.source in fewer]
        if not _possible([box for box in boxes if box.rule in fewer], left, columns):
            named = fewer
    raise _contradiction(schema.name, named)


def _contradiction(table: str, named: Sequence[int | str]) -> SchemaError:
    numbers_ = [str(n) for n in named if isinstance(n, int)]
    said = [f"{'rule' if len(numbers_) == 1 else 'rules'} {', '.join(numbers_)}, counted from 1"] if numbers_ else []
    said += [f"the bounds of the computed column {name!r}" for name in named if isinstance(name, str)]
    return SchemaError(
        f"The rules of table {table!r} contradict each other.",
        f"No row can fulfil {' and '.join(said)}; without any one of them the others could be fulfilled.",
        "Mend one of these rules.",
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Span:
    """Where a column's values lie, given codes.

    Attributes:
      columns: The columns whose codes tell.
      of: What their codes tell.
    """

    columns: tuple[str, ...]
    of: Callable[[Chosen], Found]


def _orders(schema: TableSchema, columns: Mapping[str, Any]) -> list[Limit]:
    """Each declared order of numbers, or of dates or times."""
    found = []
    for number, rule in enumerate(schema.rules, 1):
        if rule.at_most is not None and not is_ordinal(schema.columns[rule.at_most[0]]):
            first, second = (_span(schema, name, columns) for name in rule.at_most)
            needed = tuple(dict.fromkeys((*first.columns, *second.columns)))
            found.append(Limit(source=number, columns=needed, fits=_keeps_order(first, second)))
    return found


def _keeps_order(first: _Span, second: _Span) -> Callable[[Chosen], bool]:
    def fits(chosen: Chosen) -> bool:
        (low, null), (high, also) = first.of(chosen), second.of(chosen)
        return null or also or low is None or high is None or low[0] <= high[1]

    return fits


def _late(schema: TableSchema, columns: Mapping[str, Any]) -> list[Limit]:
    """Each combination that a rule forbids and that codes don't decide, where they may tell that it is sure."""
    found = []
    for number, rule in enumerate(schema.rules, 1):
        for box in rule.forbidden():
            if decided_late(schema, box):
                tests = [_sure(schema, name, conditions, columns) for name, conditions in box.items()]
                needed = tuple(dict.fromkeys(name for test in tests for name in test.columns))
                found.append(Limit(source=number, columns=needed, fits=_never_all(tests)))
    return found


def _never_all(tests: Sequence[Limit]) -> Callable[[Chosen], bool]:
    return lambda chosen: not all(test.fits(chosen) for test in tests)


def _sure(schema: TableSchema, name: str, conditions: Sequence[Condition], columns: Mapping[str, Any]) -> Limit:
    """Which codes make it sure that a column fulfils conditions."""
    column = schema.columns[name]
    if not decided_late(schema, [name]):
        coded, mask = codes_meant(schema, name, conditions, columns)
        return Limit(source=name, columns=(coded,), fits=lambda chosen: bool(mask[chosen[coded]]))
    if not isinstance(column, Integer | Real):
        return Limit(source=name, columns=(), fits=lambda chosen: False)
    span, plain, near = _span(schema, name, columns), [placed(c, column) for c in conditions], rounding_of(column)
    return Limit(
        source=name,
        columns=span.columns,
        fits=lambda chosen: all(_surely(condition, span.of(chosen), near) for condition in plain),
    )


def _surely(condition: Condition, found: Found, near: float) -> bool:
    """Whether every value of an interval, and null where it may be, fulfils a condition."""
    interval, null = found
    agree = ((None in condition.values) != condition.negated) or not (null or interval is None)
    if interval is None or not agree:
        return agree
    low, high = interval[0] - near, interval[1] + near
    wanted = [value for value in condition.values if value is not None]
    inside = [COMPARED[word](low, limit) and COMPARED[word](high, limit) for word, limit in condition.limits]
    if not condition.negated:
        return (low == high and low in wanted) or (bool(inside) and all(inside))
    apart = [not COMPARED[word](low, limit) and not COMPARED[word](high, limit) for word, limit in condition.limits]
    return not any(low <= value <= high for value in wanted) and (not apart or any(apart))


def _computed(schema: TableSchema, columns: Mapping[str, Any]) -> list[Limit]:
    """The bounds of each computed column that may leave them."""
    found = []
    for name, column in schema.released.items():
        if column.computed is not None and may_leave(schema, name):
            parts = _Parts.of(schema, name, columns)
            found.append(Limit(source=name, columns=parts.columns, fits=_within_bounds(schema, name, parts)))
    return found


def _within_bounds(schema: TableSchema, name: str, parts: "_Parts") -> Callable[[Chosen], bool]:
    return lambda chosen: parts.null or possible(schema, name, parts.known(chosen))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """What a number is computed from in the end, itself if it isn't computed.

    Attributes:
      tables: By column that it is computed from: the column whose codes tell, and the interval of each of its codes.
      null: Whether one that has no codes, because it is drawn, may be null.
    """

    tables: Mapping[str, tuple[str, Sequence[Interval | None]]]
    null: bool

    @classmethod
    def of(cls, schema: TableSchema, name: str, columns: Mapping[str, Any]) -> "_Parts":
        tables: dict[str, tuple[str, Sequence[Interval | None]]] = {}
        parts = operands_of(schema, name)
        for part in parts:
            derivation = schema.columns[part].derived_from
            if part in columns:
                tables[part] = part, _intervals(columns[part])
            elif derivation is not None:
                values = [*values_by_category(schema.columns, part), None]
                tables[part] = derivation.column, [None if v is None else (float(v), float(v)) for v in values]
        return cls(tables=tables, null=any(schema.columns[part].nullable for part in parts if part not in tables))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(coded for coded, _ in self.tables.values()))

    def known(self, chosen: Chosen) -> dict[str, Interval | None]:
        return {part: intervals[chosen[coded]] for part, (coded, intervals) in self.tables.items()}


def _span(schema: TableSchema, name: str, columns: Mapping[str, Any]) -> _Span:
    column = schema.columns[name]
    if isinstance(column, Temporal) and name not in columns:
        low, high = (float(tick * column.step) for tick in column.ticks.bounds)
        return _Span(columns=(), of=lambda chosen: ((low, high), column.nullable))
    if isinstance(column, Temporal):
        of_codes = _intervals(columns[name])
        return _Span(columns=(name,), of=lambda chosen: (of_codes[chosen[name]], False))
    parts = _Parts.of(schema, name, columns)

    def of(chosen: Chosen) -> Found:
        interval, null = spanned(schema, name, parts.known(chosen))
        return interval, null or parts.null

    return _Span(columns=parts.columns, of=of)


def _intervals(encoder: Any) -> list[Interval | None]:
    """Where the values of each code lie, of times in microseconds; None for null and special numbers."""
    scale = encoder.column.step if isinstance(encoder, TemporalEncoder) else 1
    encoder = getattr(encoder, "inner", encoder)
    step = 1.0 if encoder.column.kind == "integer" else 0.0
    lower, upper = (float(bound) for bound in encoder.column.bounds)
    starts, ends = [lower, *encoder.cuts.tolist()], [*(encoder.cuts - step).tolist(), upper]
    found = [(start * scale, end * scale) for start, end in zip(starts, ends, strict=True)]
    return [*found, *[None] * (encoder.size - len(starts))]


def _possible(boxes: Sequence[Box], limits: Sequence[Limit], columns: Mapping[str, Any]) -> bool:
    """Whether some row lies in no box and fits every limit: a search over classes of codes that no box tells apart."""
    wide = [n for limit in limits for n in limit.columns]
    names = list(dict.fromkeys([*(n for b in boxes for n in b.masks), *wide]))
    classes = {n: _classes(n, boxes, columns[n], apart=n in wide) for n in names}
    steps = [0]

    def fits(chosen: Chosen) -> bool:
        for box in boxes:
            if box.masks.keys() <= chosen.keys() and all(mask[chosen[n]] for n, mask in box.masks.items()):
                return False
        return all(limit.fits(chosen) for limit in limits if set(limit.columns) <= chosen.keys())

    def search(depth: int, chosen: dict[str, int]) -> bool:
        steps[0] += 1
        if depth == len(names) or steps[0] > MOST_STEPS:
            return True
        name = names[depth]
        return any(
            fits(now) and search(depth + 1, now) for code in classes[name] for now in [chosen | {name: int(code)}]
        )

    return fits({}) and search(0, {})


def _classes(name: str, boxes: Sequence[Box], encoder: Any, *, apart: bool) -> list[int]:
    """One code of each class that no box tells apart; all codes where an order of columns does."""
    if apart:
        return list(range(encoder.size))[::-1]
    masks: list[NDArray[np.bool_]] = [box.masks[name] for box in boxes if name in box.masks]
    signatures = np.array(masks).T if masks else np.zeros((encoder.size, 1), bool)
    return sorted(np.unique(signatures, axis=0, return_index=True)[1].tolist())
