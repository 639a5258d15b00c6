"""Open columns: private numbers for their values while records are read, and a closed declaration once some passed.

Until a charged selection has found out which values enough people hold, a value has a private number, in the order in
which values are met; nothing of that leaves. Then the column is a closed categorical one, with the labels that were
declared, those that passed, and what the declaration says of the rest; everything after that is as for any other.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode.raw import ABSENT, UNKNOWN, dictionary_indices, keys, levels, texts
from dpsynth.errors import ParameterError
from dpsynth.schema import Categorical, Open, TableSchema
from dpsynth.schema.declared import MAX_LABEL_BYTES
from dpsynth.schema.opened import REST
from dpsynth.schema.rules import Rule
from dpsynth.tables.types import family

OPEN_CODES = 2**32 - 1
"""Numbers of values while records are read: 0 is null, the others are private. A constant, whatever the table holds."""


@dataclass(slots=True, kw_only=True, repr=False)
class Interned:
    """CONFIDENTIAL: the values of an open column that were met so far, and the number of each, from 1.

    Text is compared exactly, and stored numbers as numbers: a whole one has one value whatever it is stored as.

    Attributes:
      inferred: Whether a reader may have inferred the column's type from its values (DataFrames). Then a text that
        spells a whole number is that number, too, since one record decides whether it is stored as one.
    """

    inferred: bool = False
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """The number of each value; 0 for null. Private."""
        if family(array.type) in ("text", "binary"):
            array = array.dictionary_encode()
        if family(array.type) == "dictionary":
            found = np.append(self._of(self._values(array.dictionary)), 0)
            return np.asarray(found[dictionary_indices(array)])
        return self._of(self._values(array))

    def _values(self, array: pa.Array) -> Sequence[bytes | None]:
        exactly = family(array.type) in ("text", "binary") and not self.inferred
        return texts(array) if exactly else keys(array)

    def _of(self, found: Sequence[bytes | None]) -> NDArray[np.int64]:
        known = self._numbers
        numbers = (0 if key is None else known.setdefault(key, len(known) + 1) for key in found)
        return np.fromiter(numbers, np.int64, len(found))

    @property
    def values(self) -> tuple[bytes, ...]:
        """The values as bytes, in the order of their numbers. Private."""
        return tuple(key[1:] for key in self._numbers)


def numbering(name: str, interned: Mapping[str, Interned] | None) -> Interned:
    """What numbers the values of an open column.

    Raises:
      ParameterError: Nothing does: its labels weren't found out.
    """
    if interned is None or name not in interned:
        raise ParameterError(
            f"Values of the open column {name!r} have no codes yet.",
            "Its labels are found out by a charged selection, in a release or a fit.",
            "Use the encoder of a release or a fitted model.",
        )
    return interned[name]


def digests(values: Sequence[bytes]) -> NDArray[np.uint64]:
    """A number for null and for each value that depends on nothing but the value; shape (values + 1,)."""
    found = [int.from_bytes(hashlib.sha256(value).digest()[:8], "big") for value in values]
    return np.array([0, *found], np.uint64)


def open_columns(table: TableSchema) -> dict[str, Open]:
    """The released columns whose labels aren't declared."""
    return {name: column for name, column in table.released.items() if isinstance(column, Open)}


def candidates(column: Open, values: Sequence[bytes]) -> NDArray[np.bool_]:
    """Which numbers, 0 for null among them, belong to values that a selection may release. Private."""
    declared = (*column.categories, column.otherwise, REST, *column.nulls)
    found = levels(_texts(values), [label for label in declared if label is not None])
    fits = np.array([_label(value) is not None for value in values], np.bool_)
    return np.append(False, (found == UNKNOWN) & fits)


def chosen_labels(column: Open, values: Sequence[bytes], noisy: Mapping[int, int]) -> tuple[str, ...]:
    """The labels that passed, at most ``column.most`` of them, sorted: a function of what passed with its noisy counts.

    Privacy:
      None; post-processing.
    """
    passed = sorted((-count, values[number - 1].decode()) for number, count in noisy.items())
    return tuple(sorted(label for _, label in passed[: column.most]))


def closed_codes(column: Open, labels: Sequence[str], values: Sequence[bytes]) -> NDArray[np.int64]:
    """The code in the closed column of each number of a value, null first; shape (values + 1,). Private.

    A value has the code that its text has in any categorical column of these labels.
    """
    made = _closed(column, labels)
    null = len(made.categories)
    rest = null if made.otherwise is None else made.categories.index(made.otherwise)
    found = np.append(ABSENT, levels(_texts(values), [*made.categories, *column.nulls]))
    absent = (found == ABSENT) | (found >= null)
    return np.where(absent, null if column.nullable else rest, np.where(found == UNKNOWN, rest, found))


def closed_table(table: TableSchema, selected: Mapping[str, Sequence[str]]) -> TableSchema:
    """The declaration with each open column closed: the labels that are declared or were found out, and the rest.

    Args:
      table: The declaration.
      selected: The labels that passed, by column; none for a column that isn't named.
    """
    found = open_columns(table)
    if not found:
        return table
    columns = dict(table.columns)
    rules = []
    for name, column in found.items():
        columns[name] = made = _closed(column, selected.get(name, ()))
        if REST in made.categories:
            rules.append(Rule(forbid={name: REST}, provenance="the rest of an open column is never drawn"))
    changed: dict[str, Any] = {"columns": columns, "rules": (*table.rules, *rules)}
    if table.encoding is not None:
        changed["encoding"] = table.encoding.model_copy(update={"keep": (*table.encoding.keep, *found)})
    return table.model_copy(update=changed)


def _closed(column: Open, labels: Sequence[str]) -> Categorical:
    """The closed column; ``REST`` is a label of it where no row may have the rest, or where there is no other label."""
    known = (*column.categories, *labels)
    rest = column.otherwise
    if column.redraw or (rest is None and not known):
        rest = REST
    return Categorical(
        categories=known if rest is None or rest in known else (*known, rest),
        otherwise=REST if column.redraw else column.otherwise,
        nullable=column.nullable,
        nulls=column.nulls,
        title=column.title,
        provenance=column.provenance,
    )


def public_values(column: Open, blocks: Iterable[pa.Array]) -> tuple[str, ...]:
    """The labels of a PUBLIC table, a synthetic one say, that a declaration leaves open; sorted."""
    interned = Interned()
    for array in blocks:
        interned.codes(array)
    values = interned.values
    wanted = candidates(column, values)[1:]
    return tuple(sorted(value.decode() for value, asked in zip(values, wanted, strict=True) if asked))


def _texts(values: Sequence[bytes]) -> pa.Array:
    return pa.array(values, pa.large_binary())


def _label(value: bytes) -> str | None:
    """A value as a label; None where it can't be one."""
    if not value or len(value) > MAX_LABEL_BYTES:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
