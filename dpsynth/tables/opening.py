"""Open a table: structure first, records only when they are asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dpsynth.errors import ParameterError, TableError
from dpsynth.schema import Schema, TableSchema
from dpsynth.tables import csv_file, memory, parquet_file
from dpsynth.tables.structure import Format, Structure, check_header, released_fields

Block = dict[str, pa.Array]
"""Raw columns of consecutive records: Arrow arrays of one length by column name."""
Reader = Callable[[int], Iterator[Block]]
_SUFFIXES = {".csv": Format.CSV, ".csv.gz": Format.CSV, ".parquet": Format.PARQUET}


class TableHandle:
    """A table whose structure was checked and whose records were not looked at.

    Attributes:
      structure: Its public form.
      schema: The declaration that it was checked against.
    """

    __slots__ = ("_left_out", "_read", "schema", "structure")

    def __init__(
        self, *, structure: Structure, schema: TableSchema, read: Reader, left_out: Callable[[], int] = lambda: 0
    ) -> None:
        self.structure, self.schema, self._read, self._left_out = structure, schema, read, left_out

    def __repr__(self) -> str:
        return f"TableHandle({self.schema.name!r}, {self.structure.format.value}, {len(self.structure.arrow)} columns)"

    def blocks(self, rows: int = 65_536) -> Iterator[Block]:
        """The records, in blocks of at most ``rows``: only after the ledger says that the handle was touched.

        Omitted columns are left out, but for the privacy unit's, and so are derived ones. Nothing that a record
        contains raises. Empty blocks aren't yielded, so a table without records yields nothing.

        Raises:
          TableError: The file can't be read to the end.
          ParameterError: ``rows`` isn't positive.
        """
        if rows < 1:
            raise ParameterError(f"Blocks of {rows} rows can't be read.", "A block has at least one.", "Use rows >= 1.")
        return self._read(rows)

    def lines_left_out(self) -> int:
        """CONFIDENTIAL: how many lines of a CSV file are no records; 0 for tables of other forms.

        Raises:
          TableError: The file can't be read to the end.
        """
        return self._left_out()


def open_table(table: Any, schema: Schema | TableSchema, *, delimiter: str = ",") -> TableHandle:
    """Check a table's structure against its declaration, without reading a record.

    Args:
      table: A path to a ``.csv``, ``.csv.gz`` or ``.parquet`` file, a pandas DataFrame or a pyarrow Table.
      schema: What was declared of it.
      delimiter: Between the fields of a CSV file, one character.

    Returns:
      A handle with the public structure. Row counts, statistics, dictionaries and metadata were not looked at.

    Raises:
      TableError: The file can't be read, or names don't fit the declaration, or a type can't be read.
      SchemaError: The declaration holds a kind that can't be released.
    """
    declared = schema.table if isinstance(schema, Schema) else schema
    declared.check_releasable()
    if isinstance(table, str | Path):
        return _open_file(Path(table), declared, delimiter)
    names = read_names(table)
    check_header(names, declared)
    form = Format.ARROW if isinstance(table, pa.Table) else Format.PANDAS
    if form is Format.PANDAS:
        memory.require_told_apart(table, declared)
    columns = _columns_to_read(declared, names)
    fields = table.schema if form is Format.ARROW else memory.chosen_fields(table)
    arrow = released_fields(declared, fields, names)
    dtypes = () if form is Format.ARROW else memory.released_dtypes(table, declared, arrow)
    return TableHandle(
        structure=Structure(format=form, header=names, arrow=arrow, dtypes=dtypes),
        schema=declared,
        read=lambda rows: read_all(table, columns, rows=rows),
    )


def read_names(table: Any) -> tuple[str, ...]:
    """The column names of a table in memory.

    Raises:
      TableError: It isn't a DataFrame or an Arrow table, or a name isn't text.
    """
    if isinstance(table, pa.Table):
        return tuple(table.column_names)
    if not _is_dataframe(table):
        raise TableError(
            f"A table of type {type(table).__name__!r} can't be read.",
            "Paths to CSV or Parquet files, pandas DataFrames and pyarrow Tables can.",
            "Convert it to one of these.",
        )
    names = list(table.columns)
    if not all(isinstance(name, str) for name in names):
        raise TableError(
            "The DataFrame has column names that aren't text.",
            "Names are compared with the declared ones, which are text on one level.",
            "Rename the columns, for example with df.columns = [...].",
        )
    return tuple(str(name) for name in names)


def table_fields(table: Any, delimiter: str = ",") -> tuple[tuple[str, ...], pa.Schema | None]:
    """The column names of a table of any form, and its Arrow types where it has any.

    Raises:
      TableError: It can't be read.
    """
    if isinstance(table, str | Path):
        return file_fields(Path(table), delimiter)
    names = read_names(table)
    return names, table.schema if isinstance(table, pa.Table) else memory.pandas_fields(table)


def read_all(table: Any, names: tuple[str, ...], delimiter: str = ",", rows: int = 65_536) -> Iterator[Block]:
    """Blocks of the columns ``names`` of a table of any form, without a declaration.

    Raises:
      TableError: It can't be read to the end.
    """
    if not isinstance(table, str | Path):
        blocks = memory.arrow_blocks if isinstance(table, pa.Table) else memory.pandas_blocks
        return blocks(table, names, rows)
    path = Path(table)
    if file_format(path) is Format.CSV:
        return csv_file.read_blocks(path, file_fields(path, delimiter)[0], names, delimiter, rows)
    return parquet_file.read_blocks(path, names, rows)


def file_format(path: Path) -> Format:
    """The format that a file's name says.

    Raises:
      TableError: It says another one.
    """
    name = path.name.lower()
    found = next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), None)
    if found is None:
        raise TableError(
            f"The format of {path.name!r} isn't known.",
            f"The name of a table ends in one of {', '.join(_SUFFIXES)}.",
            "Rename or convert the file.",
        )
    return found


def file_fields(path: Path, delimiter: str) -> tuple[tuple[str, ...], pa.Schema | None]:
    """The column names of a file, and its types where it has any.

    Raises:
      TableError: The file can't be read.
    """
    if file_format(path) is Format.CSV:
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise TableError("That delimiter can't be used.", "It is one ASCII character.", "Use ',' or ';', say.")
        return csv_file.read_header(path, delimiter), None
    fields = parquet_file.read_fields(path)
    return tuple(fields.names), fields


def _open_file(path: Path, schema: TableSchema, delimiter: str) -> TableHandle:
    header, fields = file_fields(path, delimiter)
    check_header(header, schema)
    columns = _columns_to_read(schema, header)
    arrow, form = released_fields(schema, fields, header), file_format(path)
    return TableHandle(
        structure=Structure(format=form, header=header, arrow=arrow, delimiter=delimiter),
        schema=schema,
        read=lambda rows: read_all(path, columns, delimiter, rows),
        left_out=lambda: csv_file.lines_left_out(path, len(header), delimiter) if form is Format.CSV else 0,
    )


def _columns_to_read(schema: TableSchema, header: tuple[str, ...]) -> tuple[str, ...]:
    derived = {name for name, column in schema.columns.items() if column.derived_from is not None}
    left_out = (set(schema.omit) - {schema.privacy_unit.column}) | derived
    return tuple(name for name in header if name not in left_out)


def _is_dataframe(table: Any) -> bool:
    return any(c.__name__ == "DataFrame" and c.__module__.split(".")[0] == "pandas" for c in type(table).__mro__)
