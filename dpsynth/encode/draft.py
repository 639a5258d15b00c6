"""Draft a schema for a person to finish: from names and types alone, or, for a public table, from its values."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from dpsynth.encode.raw import ABSENT, UNKNOWN, numbers
from dpsynth.errors import TableError
from dpsynth.tables.opening import Block, read_all, table_fields
from dpsynth.tables.types import family, value_type

MOST_LABELS = 1_000
"""A public text column with more distinct values is drafted as free text, and omitted."""

_UNDECLARED = """\
# A draft from column names and types alone: no value of the table was looked at.
# Fill in every empty list from public knowledge (a codebook, a law, a top code), never from the values, and say in
# 'provenance' where it comes from. This file doesn't load before that is done.
"""
_FROM_VALUES = """\
# A draft whose facts (kinds, categories, bounds, nullable) CAME FROM THE VALUES of the table.
# Use it only if the whole table is already PUBLIC: for a private table, these facts would be an unaccounted release.
"""
_EMPTY_KINDS: dict[str, list[str]] = {
    "text": ["kind: categorical", "categories: []  # every label; or 'kind: identifier' for a person's id"],
    "int": ["kind: integer", "bounds: []  # [smallest, largest]; or 'kind: categorical' with the codes"],
    "float": ["kind: real", "bounds: []  # [smallest, largest]"],
    "decimal": ["kind: real", "bounds: []  # [smallest, largest]"],
    "bool": ["kind: boolean"],
    "null": ["kind: categorical", "categories: []  # every label; or 'kind: integer' or 'real' with 'bounds'"],
}
_TIMES = {"time": ["kind: datetime  # or date, time, duration", "bounds: []  # [first, last], texts as in ISO 8601"]}
_OMITTED = ["kind: text  # can't be synthesized: omitted"]


def draft_schema(table: Any, *, public: bool = False, delimiter: str = ",") -> str:
    """Draft the YAML text of a schema.

    Args:
      table: A path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table.
      public: Whether the table is public, so that its values may be looked at.
      delimiter: Between the fields of a CSV file.

    Returns:
      YAML text. Without ``public`` it has empty lists to fill in, and doesn't load until that is done; with it, it says
      that its facts came from the values. Column names are taken from the header as they are.

    Raises:
      TableError: The table can't be read, or a column name is there twice.
    """
    names, fields = table_fields(table, delimiter)
    if len(set(names)) != len(names):
        raise TableError(
            "The table has two columns of one name.",
            "A schema declares columns by name.",
            "Rename one of them.",
        )
    types = {name: pa.null() if fields is None else fields.field(name).type for name in names}
    if public:
        columns = _from_values(read_all(table, names, delimiter), types)
    else:
        kinds, end = _EMPTY_KINDS | _TIMES, ["nullable: false  # true if a value may be absent", 'provenance: ""']
        columns = {name: [*kinds.get(family(value_type(kind)), _OMITTED), *end] for name, kind in types.items()}
    return (_FROM_VALUES if public else _UNDECLARED) + _rendered(_dataset_id(table), columns)


def _rendered(dataset: str, columns: dict[str, list[str]]) -> str:
    omit = [name for name, lines in columns.items() if lines[:1] == _OMITTED]
    out = [
        "dpsynth: 1",
        f"dataset: {dataset}  # the declared id of the data set; ledgers are bound to it",
        "tables:",
        f"  - name: {dataset}",
        "    privacy_unit: {rows: 1}  # or {column: ID_COLUMN, max_rows: 3}, if a person has several rows",
        f"    omit: [{', '.join(map(_quoted, omit))}]",
        "    columns:",
    ]
    for name, lines in columns.items():
        out += [f"      {_quoted(name)}:", *(f"        {line}" for line in lines)]
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', width=2**31, allow_unicode=False).strip()


def _dataset_id(table: Any) -> str:
    stem = Path(table).name.split(".")[0] if isinstance(table, str | Path) else ""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:60] or "my-data"


def _from_values(blocks: Iterator[Block], types: dict[str, pa.DataType]) -> dict[str, list[str]]:
    parts: dict[str, list[pa.Array]] = {name: [] for name in types}
    for block in blocks:
        for name in types:
            parts[name].append(_distinct(block[name]))
    return {name: _column(parts[name], kind) for name, kind in types.items()}


def _distinct(array: Any) -> pa.Array:
    if family(array.type) == "other":
        return array.slice(0, 0)
    return pc.unique(array.dictionary_decode() if pa.types.is_dictionary(array.type) else array)


def _column(parts: list[pa.Array], kind: pa.DataType) -> list[str]:
    group = family(value_type(kind))
    nullable = any((numbers(part).state == ABSENT).any() if group != "bool" else part.null_count for part in parts)
    end = [f"nullable: {'true' if nullable else 'false'}", 'provenance: "the values of the public table"']
    if group == "bool":
        return ["kind: boolean", *end]
    if group not in _EMPTY_KINDS or not parts:
        return _OMITTED if group not in _EMPTY_KINDS else [*_EMPTY_KINDS[group], *end]
    bounds = _bounds(parts)
    if bounds is not None:
        return [*bounds, *end]
    labels = sorted({value for part in parts for value in part.to_pylist() if value not in (None, "", b"")}, key=_text)
    if not 0 < len(labels) <= MOST_LABELS:
        return _OMITTED
    return ["kind: categorical", f"categories: [{', '.join(_quoted(_text(label)) for label in labels)}]", *end]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _bounds(parts: list[pa.Array]) -> list[str] | None:
    found = [numbers(part) for part in parts]
    values = [part.values[part.state == 0] for part in found]
    lower, upper = min(v.min(initial=2e308) for v in values), max(v.max(initial=-2e308) for v in values)
    if any((part.state == UNKNOWN).any() for part in found) or lower >= upper:
        return None
    whole = all((v == v.round()).all() for v in values) and max(-lower, upper) < 2**53
    kind = "integer" if whole else "real"
    return [f"kind: {kind}", f"bounds: [{int(lower)}, {int(upper)}]" if whole else f"bounds: [{lower!s}, {upper!s}]"]
