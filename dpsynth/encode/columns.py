"""One encoder per kind of column: raw values to codes and back. Total, and a function of declared facts only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode import values
from dpsynth.encode.binning import cuts_of
from dpsynth.encode.fine import fine_cuts
from dpsynth.encode.raw import ABSENT, UNKNOWN, Numbers, levels, numbers
from dpsynth.schema import Boolean, Categorical, Column, Integer, Real

Code = NDArray[np.int64]
NO_NUMBER = "not a finite number"
"""What the operator's check says of values that are none."""


class ColumnEncoder(Protocol):
    """Codes of one column: ``0 .. size - 1``; null is the last code of a nullable column."""

    @property
    def size(self) -> int:
        """Number of codes."""
        ...

    @property
    def scale(self) -> int:
        """How many of the first codes stand on a scale; 0 where none do."""
        ...

    def encode(self, array: pa.Array) -> Code:
        """The codes of raw values, whatever they are; shape (rows,)."""
        ...

    def decode(self, codes: Code, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
        """Values of an Arrow type that have these codes.

        Privacy: none; post-processing.
        """
        ...

    def problems(self, array: pa.Array) -> dict[str, int]:
        """CONFIDENTIAL: how many values don't fit the declaration, by what is wrong with them."""
        ...

    def describe(self) -> dict[str, Any]:
        """The encoding as JSON-able public facts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalEncoder:
    """Codes are positions in the declared list of labels."""

    column: Categorical

    @property
    def size(self) -> int:
        """Number of labels, and null."""
        return len(self.column.categories) + self.column.nullable

    @property
    def scale(self) -> int:
        """The labels, where their order means something."""
        return len(self.column.categories) if self.column.ordered else 0

    def encode(self, array: pa.Array) -> Code:
        """Undeclared values go to ``otherwise``, else to null, else to the first label."""
        labels, nullable = self.column.categories, self.column.nullable
        null = len(labels)
        other = labels.index(self.column.otherwise) if self.column.otherwise is not None else null if nullable else 0
        lookup = np.arange(null + 2)
        lookup[UNKNOWN], lookup[ABSENT] = other, null if nullable else other
        return lookup[levels(array, labels)]

    def decode(self, codes: Code, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
        """The labels. Privacy: none; post-processing."""
        return values.labelled(self.column.categories, codes, kind)

    def problems(self, array: pa.Array) -> dict[str, int]:
        """CONFIDENTIAL: counts of undeclared labels, and of nulls where none are declared."""
        found = levels(array, self.column.categories)
        return _counted({"undeclared label": found == UNKNOWN, "undeclared null": _undeclared(found, self.column)})

    def describe(self) -> dict[str, Any]:
        """The size; the labels are in the schema."""
        return {"kind": "categorical", "size": self.size, "otherwise": self.column.otherwise}


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanEncoder:
    """False is 0, true is 1."""

    column: Boolean

    @property
    def size(self) -> int:
        """2, and null."""
        return 2 + self.column.nullable

    @property
    def scale(self) -> int:
        """None."""
        return 0

    def encode(self, array: pa.Array) -> Code:
        """What is neither true nor false is null, else false."""
        fallback = 2 if self.column.nullable else 0
        return np.array([0, 1, fallback, fallback])[self._truth(array)]

    def decode(self, codes: Code, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
        """True, false or null; text is written ``true`` and ``false``. Privacy: none; post-processing."""
        return values.labelled(("false", "true"), codes, kind)

    def problems(self, array: pa.Array) -> dict[str, int]:
        """CONFIDENTIAL: counts of values that are neither, and of nulls where none are declared."""
        found = self._truth(array)
        undeclared = _undeclared(found, self.column)
        return _counted({"neither true nor false": found == UNKNOWN, "undeclared null": undeclared})

    def describe(self) -> dict[str, Any]:
        """The size."""
        return {"kind": "boolean", "size": self.size}

    @staticmethod
    def _truth(array: pa.Array) -> Code:
        found = levels(array, _SPELLINGS)
        return np.where(found >= 0, found % 2, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericEncoder:
    """Codes are bins between the declared bounds."""

    column: Integer | Real
    cuts: NDArray[np.float64]
    unit_steps: bool

    @property
    def size(self) -> int:
        """Number of bins, of special numbers, and null."""
        return self.scale + len(self.column.special) + self.column.nullable

    @property
    def scale(self) -> int:
        """The bins."""
        return len(self.cuts) + 1

    def encode(self, array: pa.Array) -> Code:
        """What lies outside the bounds is clamped; what is no finite number is null, else in the first bin."""
        return self.encode_numbers(numbers(array))

    def encode_numbers(self, found: Numbers) -> Code:
        """The codes of values that were read as numbers; shape (rows,)."""
        if self.unit_steps:
            codes = np.floor(np.clip(found.values, *self.column.bounds)).astype(np.int64) - int(self.column.bounds[0])
        else:
            codes = np.searchsorted(self.cuts, found.values, side="right")
        codes = np.where(found.state == 0, codes, self.size - 1 if self.column.nullable else 0)
        for code, number in enumerate(self.column.special, self.scale):
            codes[(found.values == number) & (found.state == 0)] = code
        return codes

    def decode(self, codes: Code, generator: np.random.Generator, kind: pa.DataType) -> pa.Array:
        """Values spread evenly over their bin, at the column's resolution. Privacy: none; post-processing."""
        return values.spread(self.column, self.cuts, codes, generator, kind)

    @property
    def widths(self) -> NDArray[np.float64]:
        """How many multiples of the resolution each bin holds, at least 1."""
        return values.bin_widths(self.column, self.cuts)

    def problems(self, array: pa.Array) -> dict[str, int]:
        """CONFIDENTIAL: counts of values outside the bounds, of what is no number, and of undeclared nulls."""
        return self.problems_of(numbers(array))

    def problems_of(self, found: Numbers) -> dict[str, int]:
        """CONFIDENTIAL: the same of values that were read as numbers."""
        number, (lower, upper) = found.state == 0, self.column.bounds
        number &= ~np.isin(found.values, self.column.special)
        return _counted({
            "below the lower bound": number & (found.values < lower),
            "above the upper bound": number & (found.values > upper),
            NO_NUMBER: found.state == UNKNOWN,
            "undeclared null": _undeclared(found.state, self.column),
        })

    def describe(self) -> dict[str, Any]:
        """Size and cuts, as text."""
        cuts = "each" if self.unit_steps else [repr(cut) for cut in self.cuts.tolist()]
        special = {"special": [repr(code) for code in self.column.special]} if self.column.special else {}
        return {"kind": self.column.kind, "size": self.size, "cuts": cuts} | special


_SPELLINGS = ("false", "true", "False", "True", "FALSE", "TRUE", "0", "1", "no", "yes", "No", "Yes", "f", "t", "n", "y",
              "F", "T", "N", "Y", "NO", "YES")
"""Spellings of false and true, in turn."""


def _undeclared(found: NDArray[Any], column: Column) -> NDArray[np.bool_]:
    return np.asarray((found == ABSENT) & (not column.nullable))


def _counted(masks: dict[str, NDArray[np.bool_]]) -> dict[str, int]:
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return {name: count for name, count in counts.items() if count}


def numeric_encoder(column: Integer | Real, *, finely: bool, extra: Sequence[float] = ()) -> NumericEncoder:
    """The encoder of a numeric column.

    Args:
      column: The declaration.
      finely: Whether its codes are fine cells, not bins.
      extra: Further first values of bins, because a rule says something there.
    """
    cuts = fine_cuts(column) if finely else cuts_of(column)
    cuts = np.union1d(cuts, np.array(extra, np.float64)) if extra else cuts
    lower, upper = column.bounds
    each = column.kind == "integer" and len(cuts) == upper - lower
    return NumericEncoder(column=column, cuts=cuts, unit_steps=each)


ENCODERS: dict[type, Callable[[Any], ColumnEncoder]] = {
    Categorical: lambda column: CategoricalEncoder(column=column),
    Boolean: lambda column: BooleanEncoder(column=column),
    Integer: lambda column: numeric_encoder(column, finely=False),
    Real: lambda column: numeric_encoder(column, finely=False),
}
"""How each kind is encoded; kinds that aren't here are never learned."""
