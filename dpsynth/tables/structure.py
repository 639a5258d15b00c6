"""The structure of a table: names, order and types. Nothing here depends on a record."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from dpsynth.errors import TableError
from dpsynth.schema import TableSchema
from dpsynth.tables.types import output_type, plain_text, plain_type


class Format(StrEnum):
    """What a table was given as."""

    CSV = "csv"
    PARQUET = "parquet"
    PANDAS = "pandas"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """Public facts about a table's form.

    Attributes:
      format: What it was given as.
      header: All column names, in the order of the table, omitted ones included.
      arrow: Names and Arrow types of the columns of the synthetic table, in the order of the table.
      delimiter: Between the fields of a CSV file.
      dtypes: Names of the pandas dtypes of ``arrow``'s columns, where the table was a DataFrame.
    """

    format: Format
    header: tuple[str, ...]
    arrow: pa.Schema
    delimiter: str = ","
    dtypes: tuple[str, ...] = ()

    @classmethod
    def declared(cls, schema: TableSchema) -> "Structure":
        """The structure that a declaration alone gives: its columns in order, with the default types."""
        header = tuple(schema.columns)
        return cls(format=Format.ARROW, header=header, arrow=released_fields(schema, None, header))


def working_fields(fields: pa.Schema) -> pa.Schema:
    """The fields as they are while a table is made: with plain text in the place of text views."""
    return pa.schema([field.with_type(plain_text(field.type)) for field in fields])


def released_fields(schema: TableSchema, fields: pa.Schema | None, header: Sequence[str]) -> pa.Schema:
    """The fields of the synthetic table: those of the table, without metadata and omitted columns.

    Args:
      schema: The declaration.
      fields: The table's own types, null where they aren't public facts, or None where it has none (CSV).
      header: Column names in the order of the table.

    Raises:
      TableError: A type can't be read as a column of its kind.
    """
    out = []
    for name in header:
        if name in schema.omit:
            continue
        column = schema.columns[name]
        if fields is None:
            out.append(pa.field(name, plain_type(column)))
            continue
        field = fields.field(name)
        kind = output_type(name, column, field.type)
        out.append(pa.field(name, kind, nullable=field.nullable or column.nullable))
    return pa.schema(out)


def check_header(header: Sequence[str], schema: TableSchema) -> None:
    """Refuse a header that isn't exactly the declared columns, in any order.

    Undeclared names are given by position only: where a file has no header, they are a record.

    Raises:
      TableError: A column is there twice, missing, or not declared.
    """
    declared = set(schema.columns)
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        places = [i + 1 for i, name in enumerate(header) if name == twice]
        name = repr(twice) if twice in declared else "that isn't declared"
        raise _header_error(f"has a column {name} at positions {places}", "Every column needs a name of its own.")
    missing = [name for name in schema.columns if name not in header]
    extra = [i + 1 for i, name in enumerate(header) if name not in declared]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (" and others" if len(missing) > 5 else "")
        raise _header_error(
            f"lacks {len(missing)} of {len(declared)} declared columns: {shown}",
            f"Its header has {len(header)} fields; names are compared exactly, with case and spaces"
            + (f", and those at positions {extra[:5]} aren't declared." if extra else "."),
        )
    if extra:
        raise _header_error(
            f"has {len(extra)} column(s) that the schema doesn't declare, at positions {extra[:5]}",
            f"The schema declares {len(declared)} columns; what isn't declared can't be released or ignored silently.",
        )


def _header_error(found: str, why: str) -> TableError:
    return TableError(
        f"The table {found}.", why,
        "Mend the header or the schema; a column that is in the table but not to be released goes under 'omit'.",
    )
