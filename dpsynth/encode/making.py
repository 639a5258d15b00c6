"""Which encoder a declared column gets, and whether its codes are to be learned."""

from fractions import Fraction

from dpsynth.encode.columns import ENCODERS, ColumnEncoder, numeric_encoder
from dpsynth.encode.fine import resolution_of
from dpsynth.encode.temporal import temporal_encoder
from dpsynth.schema import Categorical, Column, Integer, Real, TableSchema, Temporal
from dpsynth.schema.rules import rule_cuts

FEW_VALUES, MANY_LABELS = 16, 32
"""Numeric columns of more fine cells, and categorical ones of more labels, are learned where a share is declared."""


def is_learned(table: TableSchema, name: str, column: Column) -> bool:
    """Whether a column's bins or merged labels are to be learned."""
    if table.encoding is None or name in table.encoding.keep:
        return False
    if isinstance(column, Categorical):
        return len(column.categories) > MANY_LABELS
    if not isinstance(column, Integer | Real | Temporal) or column.bins is not None or column.edges is not None:
        return False
    plain = column.ticks if isinstance(column, Temporal) else column
    return numeric_encoder(plain, finely=True).size > FEW_VALUES


def encoder_of(table: TableSchema, name: str, column: Column, *, finely: bool) -> ColumnEncoder:
    """A column's encoder, with bins that begin where rules say something."""
    if isinstance(column, Temporal):
        return temporal_encoder(column, finely=finely, extra=rule_cuts(table.rules, name, column, Fraction(1)))
    if not isinstance(column, Integer | Real):
        return ENCODERS[type(column)](column)
    extra = rule_cuts(table.rules, name, column, resolution_of(column))
    return numeric_encoder(column, finely=finely, extra=extra)
