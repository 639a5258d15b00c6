"""Declared rules over codes: which combinations of codes never occur.

Bins of ordered columns begin wherever a rule says something (``rule_cuts``), so a code fulfils a condition wholly or
not at all. A column that is derived from another one has no codes of its own: what a rule says of it, it says of codes
of that one. What codes don't decide (orders of numbers, columns that are made on output) is held over values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.encode.columns import BooleanEncoder, CategoricalEncoder, NumericEncoder
from dpsynth.encode.conditions import decided_late, fulfilled, within
from dpsynth.encode.derived import derive
from dpsynth.encode.temporal import TemporalEncoder
from dpsynth.schema import TableSchema
from dpsynth.schema.rules import Condition, Rule, is_ordinal, placed
from dpsynth.tables.types import plain_type

Mask = NDArray[np.bool_]


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
    """The forbidden combinations of a declaration's rules that codes decide, over the codes of these encoders."""
    found = []
    for number, rule in enumerate(schema.rules, 1):
        for box in (*rule.forbidden(), *_orders_of_labels(schema, rule)):
            if decided_late(schema, box):
                continue
            masks: dict[str, Mask] = {}
            for name, conditions in box.items():
                coded, mask = codes_meant(schema, name, conditions, columns)
                masks[coded] = masks[coded] & mask if coded in masks else mask
            if all(mask.any() for mask in masks.values()):
                found.append(Box(rule=number, masks=masks))
    return tuple(found)


def _orders_of_labels(schema: TableSchema, rule: Rule) -> Iterator[dict[str, tuple[Condition, ...]]]:
    """What an order of two ordinal columns forbids: each label of the first with the lower ones of the second."""
    if rule.at_most is not None and is_ordinal(schema.columns[rule.at_most[0]]):
        first, second = rule.at_most
        column: Any = schema.columns[first]
        for label in column.categories[1:]:
            yield {first: (Condition(values=(label,)),), second: (Condition(limits=(("below", label),)),)}


def codes_meant(
    schema: TableSchema, name: str, conditions: Sequence[Condition], columns: Mapping[str, Any]
) -> tuple[str, Mask]:
    """Which codes of a column, or of what it is derived from, lie in all of the conditions; and of which column."""
    column = schema.columns[name]
    if column.derived_from is None:
        return name, np.asarray(np.logical_and.reduce([mask_of(c, columns[name]) for c in conditions]))
    coded = column.derived_from.column
    values = derive(schema, name, np.arange(columns[coded].size), plain_type(column))
    return coded, np.asarray(np.logical_and.reduce([fulfilled(column, values, c) for c in conditions]))


def mask_of(condition: Condition, encoder: Any) -> Mask:
    """Which codes of a column lie in a condition."""
    inside = np.zeros(encoder.size, bool)
    plain = _MASKS[type(encoder)](condition, encoder)
    inside[: len(plain)] = plain
    if None in condition.values:
        inside[-1] = True
    return ~inside if condition.negated else inside


def _labels(condition: Condition, encoder: CategoricalEncoder) -> Mask:
    labels = encoder.column.categories
    wanted = {str(v) for v in condition.values if v is not None}
    inside = np.array([label in wanted for label in labels], bool)  # compared as text: an array would drop final NULs
    if condition.limits:
        inside |= within(np.arange(len(labels)), placed(condition, encoder.column).limits)
    return inside


def _truths(condition: Condition, encoder: BooleanEncoder) -> Mask:
    return np.array([truth in condition.values for truth in (False, True)])


def _bins(condition: Condition, encoder: NumericEncoder, column: Any = None) -> Mask:
    found = placed(condition, column or encoder.column)
    wanted = [value for value in found.values if value is not None]
    starts = np.concatenate([[float(encoder.column.bounds[0])], encoder.cuts])
    inside = np.isin(starts, wanted) | within(starts, found.limits)
    return np.append(inside, [code in wanted for code in encoder.column.special]).astype(bool)


_MASKS: dict[type, Callable[[Condition, Any], Mask]] = {
    CategoricalEncoder: _labels,
    BooleanEncoder: _truths,
    NumericEncoder: _bins,
    TemporalEncoder: lambda condition, encoder: _bins(condition, encoder.inner, encoder.column),
}
"""Which codes, but that of null, are meant."""


def allowed(boxes: Sequence[Box], codes: Mapping[str, NDArray[np.int64]], rows: int) -> Mask:
    """Which rows lie in none of the boxes; codes by column, shape (rows,)."""
    good = np.ones(rows, bool)
    for box in boxes:
        good &= ~np.logical_and.reduce([mask[codes[name]] for name, mask in box.masks.items()])
    return good


def signatures(boxes: Sequence[Box], name: str, size: int) -> NDArray[np.int64]:
    """A number for each code of a column, equal where no box tells two codes apart; shape (size,)."""
    masks = [box.masks[name] for box in boxes if name in box.masks]
    if not masks:
        return np.zeros(size, np.int64)
    return np.unique(np.array(masks).T, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
