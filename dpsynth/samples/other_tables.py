"""Tables that aren't the private one, kept as they are in what is made of them: read, and held to the declaration."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.encode import Encoder
from dpsynth.encode.computed import with_computed
from dpsynth.encode.conditions import rules_kept
from dpsynth.encode.derived import derive
from dpsynth.encode.observed import Observed, observe
from dpsynth.errors import ParameterError, TableError
from dpsynth.schema import Identifier, TableSchema
from dpsynth.schema.columns import Constant
from dpsynth.schema.generated import computation_order
from dpsynth.tables import Format, Structure
from dpsynth.tables.opening import file_format, read_all, table_fields
from dpsynth.tables.types import output_type, plain_text, plain_type, value_type


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherTable:
    """A table of other origin.

    Attributes:
      structure: Its released columns in its order, then those that it lacks; with their types in what is made of it.
      rows: How many it has.
      arrays: By column what it holds, but for omitted columns and those that are made on output.
    """

    structure: Structure
    rows: int
    arrays: Mapping[str, pa.Array] = field(repr=False)


def require_other(dataset: str, private_dataset: str) -> None:
    """Refuse a table that is declared to be of the private data set, or of none.

    Data sets are known by declared ids, never by their content: nothing that a table's content could be compared with
    may leave a fit. So this catches a mistake, and no lie.

    Raises:
      ParameterError: The declared id is empty, or that of the private data set.
    """
    if not dataset.strip() or dataset.strip().casefold() == private_dataset.casefold():
        raise ParameterError(
            "This table can't be used here.",
            "Its declared data set is the one that the model was fitted to, or none: private rows would leave as they "
            "are.",
            "Use a table of other origin, and declare the id of its data set.",
        )


def read_other(
    table: Any, schema: TableSchema, *, whole: bool, delimiter: str = ",", only: Collection[str] | None = None
) -> OtherTable:
    """Read a table of other origin.

    Args:
      table: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table.
      schema: What was declared of the private table; of this one, too, holds what it says of the columns it has.
      whole: Whether it must have all columns but identifiers and those that are made on output.
      delimiter: Between the fields of a CSV file.
      only: The columns that are read; all, if None. Others have the types that their declaration alone gives: a stored
        one can be what a reader inferred from their values.

    Raises:
      TableError: It can't be read, or its columns or their types aren't those declared.
    """
    names, fields = table_fields(table, delimiter)
    if len(set(names)) < len(names) or not set(names) <= set(schema.columns):
        raise TableError(
            "The table has columns that can't be used.",
            "Each of its columns has to be declared in the model's schema, and to be there once.",
            "Leave out or rename the others.",
        )
    read = {n: c for n, c in schema.released.items() if not (c.generated or isinstance(c, Constant))}
    lacking = [n for n, column in read.items() if n not in names and not isinstance(column, Identifier)]
    if whole and lacking:
        raise TableError(
            f"The table lacks {len(lacking)} columns that the synthetic rows have, the first of them {lacking[0]!r}.",
            "Rows of two tables can stand in one where they have the same columns.",
            "Give a table with all of them.",
        )
    order = [*(n for n in names if n in schema.released), *(n for n in schema.released if n not in names)]
    kinds = {n: plain_type(schema.columns[n]) for n in order}
    if fields is not None:
        known = [n for n in order if n in names and (only is None or n in only)]
        stored = {n: output_type(n, schema.columns[n], fields.field(n).type) for n in known}
        kinds |= {n: plain_text(value_type(kind)) for n, kind in stored.items()}
    wanted = tuple(n for n in names if n in read and (only is None or n in only))
    blocks = list(read_all(table, wanted, delimiter))
    return OtherTable(
        structure=Structure(
            format=file_format(Path(table)) if isinstance(table, str | Path) else Format.ARROW,
            header=tuple(order),
            arrow=pa.schema([pa.field(n, kinds[n]) for n in order]),
            delimiter=delimiter,
        ),
        rows=sum(len(next(iter(block.values()))) for block in blocks),
        arrays={n: _joined([block[n] for block in blocks], kinds[n]) for n in wanted},
    )


def _joined(arrays: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    plain = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in arrays]
    return pa.concat_arrays(plain) if plain else pa.array([], kind)


def observed_columns(
    other: OtherTable, encoder: Encoder, fields: pa.Schema, *, null_is_value: Collection[str]
) -> dict[str, Observed]:
    """What is known of each attribute that the table has.

    Args:
      other: The table.
      encoder: The encoding of the declaration.
      fields: The types that values get.
      null_is_value: Columns whose nulls are values.

    Raises:
      TableError: A value isn't in its column's declared domain; the column is named, the value isn't.
    """
    found: dict[str, Observed] = {}
    for name, column in zip(encoder.domain.names, encoder.columns, strict=True):
        if name not in other.arrays:
            continue
        seen = observe(column, other.arrays[name], fields.field(name).type, null_is_value=name in null_is_value)
        if seen is None:
            raise outside(name)
        found[name] = seen
    return found


def refuse_csv(form: Format) -> None:
    """Refuse a CSV file where a part of each row is public.

    Raises:
      TableError: It is one.
    """
    if form is Format.CSV:
        raise TableError(
            "A part of each row is public, and the table is a CSV file.",
            "What is written in a private field can decide there which lines are records, and so which public parts "
            "are read.",
            "Write the table as Parquet, where columns lie apart.",
        )


def outside(name: str) -> TableError:
    """The refusal of values outside the declared domain of a column."""
    return TableError(
        f"Values of column {name!r} are outside its declared domain.",
        "What is kept as it is has to be what the model's schema declares: nothing is clamped here, or put into a "
        "bucket.",
        "Mend these values, or leave them out.",
    )


def identifiers(other: OtherTable, encoder: Encoder, fields: pa.Schema) -> dict[str, pa.Array]:
    """The identifiers that the table has, as they are; an empty field of a CSV file is null.

    Raises:
      TableError: They don't fit the type that they have to have.
    """
    found = {}
    for name, array in other.arrays.items():
        if name in encoder.domain.names:
            continue
        if other.structure.format is Format.CSV:
            array = pc.if_else(pc.equal(pc.binary_length(array), 0), pa.scalar(None, array.type), array)
        try:
            found[name] = array.cast(fields.field(name).type)
        except pa.ArrowInvalid:
            raise TableError(
                f"The identifiers in {name!r} can't be kept.",
                f"Not all of them have a form as {fields.field(name).type}.",
                "Store them as text, or leave the column out.",
            ) from None
    return found


def require_possible(seen: Mapping[str, Observed], rows: int, encoder: Encoder) -> None:
    """Refuse rows whose known cells break a declared rule.

    Raises:
      TableError: Some do; nothing tells which.
    """
    broken = np.zeros(rows, bool)
    for box in encoder.boxes:
        if set(box.masks) <= set(seen):
            hit = [(seen[n].codes >= 0) & mask[seen[n].codes] for n, mask in box.masks.items()]
            broken |= np.logical_and.reduce(hit)
    known, cells = _known(seen, encoder.schema)
    if known.num_columns:
        broken |= ~rules_kept(encoder.schema, known, cells)
    if broken.any():
        raise TableError(
            "Some rows break a declared rule by what is known of them.",
            "Rules hold in every row that is made, and known cells are kept as they are.",
            "Mend these rows, or leave them out.",
        )


def _known(seen: Mapping[str, Observed], schema: TableSchema) -> tuple[pa.Table, dict[str, NDArray[np.bool_]]]:
    """What is known of rows, with what follows from it; and which cells of each column are known."""
    arrays = {name: found.values for name, found in seen.items()}
    cells = {name: found.codes >= 0 for name, found in seen.items()}
    for name, column in schema.released.items():
        if column.derived_from is not None and column.derived_from.column in seen:
            cause, cells[name] = seen[column.derived_from.column].codes, cells[column.derived_from.column]
            codes = np.where(cause >= 0, cause, len(column.derived_from.values))
            arrays[name] = derive(schema, name, codes, plain_type(column))
    rows = len(next(iter(arrays.values()))) if arrays else 0
    for name in computation_order(schema.released):
        computed = schema.columns[name].computed
        if computed is not None and set(computed.operands) <= set(cells):
            cells[name] = np.logical_and.reduce([cells[operand] for operand in computed.operands])
            arrays[name] = pa.nulls(rows, plain_type(schema.columns[name]))
    inner = schema.model_copy(update={"columns": {name: schema.columns[name] for name in arrays}})
    return with_computed(inner, pa.table(arrays))[0], cells
