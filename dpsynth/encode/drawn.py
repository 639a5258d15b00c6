"""Columns that are drawn from a public distribution on output: from sampling's random source, and never read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from dpsynth.encode import values
from dpsynth.encode.columns import BooleanEncoder, CategoricalEncoder, NumericEncoder
from dpsynth.encode.temporal import TemporalEncoder
from dpsynth.schema import Boolean, Categorical, Integer, Real, Temporal
from dpsynth.tables.types import family, value_type

_NO_CUTS: NDArray[np.float64] = np.empty(0)


def drawn(column: Any, rows: int, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
    """Values of a column that is drawn from its declared distribution, one for each row.

    Args:
      column: Its declaration.
      rows: How many.
      generator: Draws them.
      kind: Their Arrow type.

    Privacy: none; post-processing, and a function of public facts alone.
    """
    how = column.drawn_from
    absent = generator.random(rows) < how.absent if how.absent and how.shares is None else np.zeros(rows, bool)
    if how.normal is not None:
        return _normal(column, absent, generator, kind)
    encoder = _ENCODERS[type(column)](column)
    size = encoder.size - column.nullable
    codes = generator.integers(0, size, rows) if how.shares is None else _by_shares(column, rows, generator)
    return encoder.decode(np.where(absent, size, codes).astype(np.int64), generator, kind)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    Categorical: lambda column: CategoricalEncoder(column=column),
    Boolean: lambda column: BooleanEncoder(column=column),
    Integer: lambda column: NumericEncoder(column=column, cuts=_NO_CUTS, unit_steps=False),
    Real: lambda column: NumericEncoder(column=column, cuts=_NO_CUTS, unit_steps=False),
    Temporal: lambda column: TemporalEncoder(
        column=column, inner=NumericEncoder(column=column.ticks, cuts=_NO_CUTS, unit_steps=False)
    ),
}
"""Each kind as labels, or as one bin: of which every declared value is as likely as any other."""


def _by_shares(column: Any, rows: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Codes of labels with their probabilities; null is the code after the last label."""
    labels = ("false", "true") if isinstance(column, Boolean) else column.categories
    how = column.drawn_from
    shares = np.array([*(how.shares.get(label, 0.0) for label in labels), how.absent])
    likely = np.flatnonzero(shares)
    ends = np.cumsum(shares[likely])
    return np.asarray(likely[np.searchsorted(ends[:-1], generator.random(rows) * ends[-1], side="right")], np.int64)


def _normal(column: Any, absent: NDArray[np.bool_], generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
    """By the inverse of the distribution function between the bounds, on the side where that is precise."""
    normal, (lower, upper) = column.drawn_from.normal, column.bounds
    low, high = (lower - normal.mean) / normal.spread, (upper - normal.mean) / normal.spread
    side = -1.0 if low + high > 0 else 1.0
    first, last = sorted((side * low, side * high))
    u = generator.random(len(absent))
    found = normal.mean + side * normal.spread * ndtri(ndtr(first) + u * (ndtr(last) - ndtr(first)))
    whole = isinstance(column, Integer) or family(value_type(kind)) == "int"
    return values.typed(values.on_grid(column, found, whole=whole), absent, column, whole, kind)
