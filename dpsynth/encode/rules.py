"""Declared rules over codes: which combinations of codes never occur, and whether rules contradict each other.

Bins of numeric columns begin wherever a rule says something (``rule_cuts``), so a code fulfils a condition wholly or
not at all: for all but the order of two columns, codes decide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode.columns import NumericEncoder
from dpsynth.encode.computed import may_leave, operands_of, possible
from dpsynth.encode.raw import numbers
from dpsynth.encode.temporal import stored_microseconds
from dpsynth.errors import SchemaError
from dpsynth.schema import TableSchema, Temporal
from dpsynth.schema.declared import finite
from dpsynth.schema.rules import Condition

Mask = NDArray[np.bool_]

MOST_STEPS = 200_000
"""Assignments that the search for a contradiction tries; beyond them it finds none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """Codes of some columns that never occur together.

    Attributes:
      rule: Number of the rule that says so, from 1.
      masks: For each column which of its codes are meant.
    """

    rule: int
    masks: Mapping[str, Mask] = field(repr=False)


def boxes_of(schema: TableSchema, columns: Mapping[str, Any]) -> tuple[Box, ...]:
    """The forbidden combinations of a declaration's rules, over the codes of these encoders."""
    found = []
    for number, rule in enumerate(schema.rules, 1):
        for conditions in rule.forbidden():
            masks = {name: _all_of(parts, columns[name]) for name, parts in conditions.items()}
            if all(mask.any() for mask in masks.values()):
                found.append(Box(rule=number, masks=masks))
    return tuple(found)


def mask_of(condition: Condition, encoder: Any) -> Mask:
    """Which codes of a column lie in a condition."""
    inside = _numeric(condition, encoder) if isinstance(encoder, NumericEncoder) else _labels(condition, encoder)
    if None in condition.values:
        inside[-1] = True
    return ~inside if condition.negated else inside


def _all_of(conditions: Sequence[Condition], encoder: Any) -> Mask:
    return np.asarray(np.logical_and.reduce([mask_of(c, encoder) for c in conditions]))


def _labels(condition: Condition, encoder: Any) -> Mask:
    read = _LABELS.get(encoder.column.kind)
    labels = [None] * (encoder.size - encoder.column.nullable) if read is None else read(encoder)
    wanted = {v if isinstance(v, bool) else str(v) for v in condition.values if v is not None}
    return np.array([label in wanted for label in labels] + [False] * (encoder.size - len(labels)), bool)


_LABELS: dict[str, Any] = {
    "categorical": lambda encoder: encoder.column.categories,
    "ordinal": lambda encoder: encoder.column.categories,
    "boolean": lambda encoder: (False, True),
}


def _numeric(condition: Condition, encoder: NumericEncoder) -> Mask:
    starts = np.concatenate([[float(encoder.column.bounds[0])], encoder.cuts])
    wanted = [finite(v) for v in condition.values if v is not None]
    inside = np.isin(starts, wanted)
    if condition.limits:
        within = [COMPARED[word](starts, number) for word, number in condition.limits]
        inside |= np.logical_and.reduce(within)
    apart = [code in wanted for code in encoder.column.special]
    return np.append(inside, [*apart, *[False] * encoder.column.nullable]).astype(bool)


COMPARED: dict[str, Any] = {
    "below": np.less,
    "from": np.greater_equal,
    "up_to": np.less_equal,
    "above": np.greater,
}
"""What each word of a comparison means."""


def allowed(boxes: Sequence[Box], codes: Mapping[str, NDArray[np.int64]], rows: int) -> Mask:
    """Which rows lie in none of the boxes; codes by column, shape (rows,)."""
    good = np.ones(rows, bool)
    for box in boxes:
        good &= ~np.logical_and.reduce([mask[codes[name]] for name, mask in box.masks.items()])
    return good


def ordered(schema: TableSchema, table: pa.Table) -> Mask:
    """Which rows of a decoded table keep the order of every pair of columns that a rule declares."""
    good = np.ones(table.num_rows, bool)
    for rule in schema.rules:
        if rule.at_most is not None:
            (first, known), (second, also) = (_comparable(schema, table, name) for name in rule.at_most)
            good &= ~known | ~also | (first <= second)
    return good


def _comparable(schema: TableSchema, table: pa.Table, name: str) -> tuple[NDArray[Any], Mask]:
    """A column's values in one unit, whatever type they are stored in, and where there are any.

    Times are whole microseconds, numbers are float64, which holds every declared one.
    """
    column, stored = schema.columns[name], table.column(name).combine_chunks()
    if isinstance(column, Temporal):
        moments = stored_microseconds(stored, column.kind)
        return moments.values, moments.state == 0
    plain = numbers(stored)
    return plain.values, (plain.state == 0) & ~np.isin(plain.values, getattr(column, "special", ()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """What some columns' codes have to leave room for: an order of two, or the bounds of a computed one.

    Attributes:
      columns: The columns, all codes of which are told apart.
      fits: Whether codes chosen so far, by column, leave room for it.
    """

    columns: tuple[str, ...]
    fits: Callable[[Mapping[str, int]], bool]


def check_consistent(schema: TableSchema, boxes: Sequence[Box], columns: Mapping[str, Any]) -> None:
    """Refuse rules that no row can fulfil together, bounds of computed columns among them.

    Args:
      schema: The declaration.
      boxes: Of its rules, from :func:`boxes_of`.
      columns: The encoder of each column.

    Raises:
      SchemaError: There is a contradiction; it names the fewest rules found that contradict each other.
    """
    limits = _orders(schema, columns) | _computed(schema, columns)
    named: list[int | str] = [*sorted({box.rule for box in boxes} | {n for n in limits if isinstance(n, int)})]
    named += [name for name in limits if isinstance(name, str)]
    if _possible(boxes, limits, columns):
        return
    for one in list(named):
        fewer = [n for n in named if n != one]
        left = {n: limit for n, limit in limits.items() if n in fewer}
        if not _possible([box for box in boxes if box.rule in fewer], left, columns):
            named = fewer
    numbers_ = [str(n) for n in named if isinstance(n, int)]
    said = [f"{'rule' if len(numbers_) == 1 else 'rules'} {', '.join(numbers_)}, counted from 1"] if numbers_ else []
    said += [f"the bounds of the computed column {name!r}" for name in named if isinstance(name, str)]
    raise SchemaError(
        f"The rules of table {schema.name!r} contradict each other.",
        f"No row can fulfil {' and '.join(said)}; without any one of them the others could be fulfilled.",
        "Mend one of these rules.",
    )


def _orders(schema: TableSchema, columns: Mapping[str, Any]) -> dict[int | str, Limit]:
    """By the number of its rule, each declared order of two columns."""
    found: dict[int | str, Limit] = {}
    for number, rule in enumerate(schema.rules, 1):
        if rule.at_most is not None:
            first, second = rule.at_most
            least, greatest = _ends(columns[first])[0], _ends(columns[second])[1]
            found[number] = Limit(columns=rule.at_most, fits=_keeps_order(first, second, least, greatest))
    return found


def _keeps_order(first: str, second: str, least: NDArray[Any], greatest: NDArray[Any]) -> Callable[..., bool]:
    def fits(chosen: Mapping[str, int]) -> bool:
        return first not in chosen or second not in chosen or not least[chosen[first]] > greatest[chosen[second]]

    return fits


def _computed(schema: TableSchema, columns: Mapping[str, Any]) -> dict[int | str, Limit]:
    """By its name, the bounds of each computed column that may leave them, where codes tell whether it is null."""
    found: dict[int | str, Limit] = {}
    for name, column in schema.released.items():
        if column.computed is not None and may_leave(schema, name):
            every = operands_of(schema, name)
            parts = tuple(part for part in every if part in columns)
            if any(schema.columns[part].nullable for part in every if part not in columns):
                continue
            ends = {part: _intervals(columns[part]) for part in parts}
            found[name] = Limit(columns=parts, fits=_within_bounds(schema, name, ends))
    return found


def _within_bounds(schema: TableSchema, name: str, ends: Mapping[str, Sequence[Any]]) -> Callable[..., bool]:
    def fits(chosen: Mapping[str, int]) -> bool:
        if not ends.keys() <= chosen.keys():
            return True
        return possible(schema, name, {part: codes[chosen[part]] for part, codes in ends.items()})

    return fits


def _intervals(encoder: Any) -> list[tuple[float, float] | None]:
    """Where the values of each code of a number lie; None for null and special numbers."""
    step = 1.0 if encoder.column.kind == "integer" else 0.0
    lower, upper = (float(bound) for bound in encoder.column.bounds)
    starts, ends = [lower, *encoder.cuts.tolist()], [*(encoder.cuts - step).tolist(), upper]
    return [*zip(starts, ends, strict=True), *[None] * (encoder.size - len(starts))]


def _possible(boxes: Sequence[Box], limits: Mapping[int | str, Limit], columns: Mapping[str, Any]) -> bool:
    """Whether some row lies in no box and fits every limit: a search over classes of codes that no box tells apart."""
    wide = [n for limit in limits.values() for n in limit.columns]
    names = list(dict.fromkeys([*(n for b in boxes for n in b.masks), *wide]))
    classes = {n: _classes(n, boxes, columns[n], apart=n in wide) for n in names}
    steps = [0]

    def fits(chosen: Mapping[str, int]) -> bool:
        for box in boxes:
            if box.masks.keys() <= chosen.keys() and all(mask[chosen[n]] for n, mask in box.masks.items()):
                return False
        return all(limit.fits(chosen) for limit in limits.values())

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
    masks = [box.masks[name] for box in boxes if name in box.masks]
    signatures = np.array(masks).T if masks else np.zeros((encoder.size, 1), bool)
    return sorted(np.unique(signatures, axis=0, return_index=True)[1].tolist())


def _ends(encoder: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of each code; null, and what stands apart, is below and above everything."""
    encoder = getattr(encoder, "inner", encoder)
    lower, upper = (float(b) for b in encoder.column.bounds)
    apart = np.full(encoder.size - encoder.scale, np.inf)
    least = np.concatenate([[lower], encoder.cuts, -apart])
    greatest = np.concatenate([encoder.cuts - (encoder.column.kind == "integer"), [upper], apart])
    return least, greatest


def signatures(boxes: Sequence[Box], name: str, size: int) -> NDArray[np.int64]:
    """A number for each code of a column, equal where no box tells two codes apart; shape (size,)."""
    masks = [box.masks[name] for box in boxes if name in box.masks]
    if not masks:
        return np.zeros(size, np.int64)
    return np.unique(np.array(masks).T, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
