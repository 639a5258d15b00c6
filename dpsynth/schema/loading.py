"""Read a schema from YAML: the versioned form, or the flat form with ``columns:`` at the top."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dpsynth.errors import SchemaError
from dpsynth.schema.models import Schema
from dpsynth.schema.yaml_text import Document, parse, wrong
from dpsynth.schema.yaml_text import Path as Keys

MAX_BYTES = 16 * 2**20
_OF_TABLE = ("workload", "omit", "encoding", "rules", "privacy_unit", "rows_magnitude")
_FLAT_KEYS = frozenset({"name", "title", "unit", "source", "licence", "neighbouring", "rows", "columns", *_OF_TABLE})
_KINDS = (
    "categorical", "ordinal", "open", "integer", "real", "boolean", "identifier", "constant", "date", "datetime",
    "time", "duration", "text",
)
_CODED = ("coded", "size")


def load_schema(path: str | Path) -> Schema:
    """Load and validate a schema.

    Args:
      path: A YAML (or JSON) file in the versioned form (``dpsynth: 1``) or in the flat form (``name``, ``columns``).

    Returns:
      The schema. Of the flat form, ``name`` becomes the id of the data set and of the table, and ``rows`` is ignored:
      a row count is no declaration of a domain.

    Raises:
      SchemaError: The file can't be read or its declarations are wrong; the message names file, line, column, what was
        found and what was expected.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SchemaError(
            f"The schema {str(path)!r} can't be read.",
            f"The system says: {error.strerror or 'input/output error'}.",
            "Check the path; 'dpsynth init TABLE' drafts a schema.",
        ) from None
    if len(raw) > MAX_BYTES:
        raise wrong(file.name, 1, "more than 16 MiB of text", "a schema, which is shorter")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise wrong(file.name, 1, "bytes that aren't UTF-8", "text in UTF-8") from None
    return parse_schema(text, file=file.name)


def parse_schema(text: str, *, file: str = "schema") -> Schema:
    """Validate a schema given as YAML text; ``file`` is the name it goes by in errors.

    Raises:
      SchemaError: The declarations are wrong.
    """
    document = parse(text, file)
    value, prefix = _versioned(document, file)
    try:
        return Schema.model_validate(value)
    except ValidationError as error:
        raise _explained(error, value, document, prefix, file) from None


def _versioned(document: Document, file: str) -> tuple[dict[str, Any], Keys]:
    """The document in the versioned form, and the path that it prepends to the written one."""
    value = document.value
    if isinstance(value, dict) and "dpsynth" in value:
        return value | {"tables": _columns_by_name(value.get("tables"), document, file)}, ()
    if isinstance(value, dict) and {"name", "columns"} <= set(value):
        return _from_flat(value, document, file), ("tables", 0)
    raise wrong(file, 1, "no key 'dpsynth'", "'dpsynth: 1', 'dataset' and 'tables' (or 'name' and 'columns')")


def _columns_by_name(tables: Any, document: Document, file: str) -> Any:
    """Turn columns that are a list with names (the canonical form) into a mapping."""
    if not isinstance(tables, list):
        return tables
    return [
        table | {"columns": _mapping(table["columns"], ("tables", i, "columns"), document, file)}
        if isinstance(table, dict) and isinstance(table.get("columns"), list)
        else table
        for i, table in enumerate(tables)
    ]


def _mapping(columns: list[Any], path: Keys, document: Document, file: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for i, column in enumerate(columns):
        name = column.get("name") if isinstance(column, dict) else None
        if not isinstance(name, str) or name in out:
            raise wrong(file, document.line((*path, i)), "a column without a name of its own", "a 'name' for each")
        out[name] = {key: item for key, item in column.items() if key != "name"}
    return out


def _from_flat(value: dict[str, Any], document: Document, file: str) -> dict[str, Any]:
    unknown = sorted(set(value) - _FLAT_KEYS)
    if unknown:
        raise wrong(file, document.line((unknown[0],)), f"the key {_short(unknown[0])}", f"one of {sorted(_FLAT_KEYS)}")
    notes = [f"{key}: {value[key]}" for key in ("unit", "neighbouring") if value.get(key)]
    table = {key: value[key] for key in ("name", "title", "source", "licence", *_OF_TABLE) if key in value}
    columns = value["columns"]
    if isinstance(columns, dict):
        columns = {name: _flat_column(name, column, document, file) for name, column in columns.items()}
    return {
        "dpsynth": 1,
        "dataset": value["name"],
        "tables": [table | {"provenance": "; ".join(notes), "columns": columns}],
    }


def _flat_column(name: str, column: Any, document: Document, file: str) -> Any:
    if not isinstance(column, dict):
        return column
    out = {key: item for key, item in column.items() if key not in (*_CODED, "note")}
    if "note" in column:
        out["provenance"] = column["note"]
    if column.get("coded"):
        bounds, size = column.get("bounds"), column.get("size")
        if bounds != [0, size - 1] if type(size) is int else True:
            line = document.line(("columns", name, "size"))
            raise wrong(file, line, f"size {_short(size)} of coded column {name!r}", "bounds [0, size - 1]")
        out["bins"] = "each"
    return out


def _explained(error: ValidationError, value: Any, document: Document, prefix: Keys, file: str) -> SchemaError:
    problems = error.errors(include_url=False)
    first = problems[0]
    path = tuple(part for part in first["loc"] if part not in _KINDS and part != "[key]")
    written = path[len(prefix):] if path[: len(prefix)] == prefix else path
    found = _found(value, path, str(first["type"]))
    place = f" of column {path[3]!r}" if path[2:3] == ("columns",) and len(path) > 3 else ""
    more = f" It has {len(problems) - 1} more problem(s)." if len(problems) > 1 else ""
    next_step = f"Mend that declaration from public knowledge, never from the values of the table.{more}"
    said = _expected(first)
    if rule := _RULE.search(said):
        line = document.line((*written, "rules", int(rule[1]) - 1))
        return wrong(file, line, f"rule {rule[1]}, counted from 1", said, next_step)
    what = f"{_where(path)}{place}{found}" if path[2:] else "declarations that don't fit together"
    return wrong(file, document.line(written), what, said, next_step)


_RULE = re.compile(r"rule (\d+)")


def _where(path: Keys) -> str:
    keys = [part for part in (path[4:] if path[2:3] == ("columns",) else path[-1:]) if isinstance(part, str)]
    return f"key {keys[-1]!r}" if keys else ("the declaration" if path[2:3] == ("columns",) else "the schema")


def _found(value: Any, path: Keys, problem: str) -> str:
    if problem in ("missing", "union_tag_not_found"):
        return " with nothing declared"
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return f" = {_short(value)}"


def _short(value: Any) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _expected(problem: Any) -> str:
    message = str(problem["msg"])
    if problem["type"] == "value_error":
        return message.removeprefix("Value error, ")
    if problem["type"] == "too_short":
        return f"at least {problem['ctx']['min_length']} entries"
    message = message.removeprefix("Input should be ")
    return _EXPECTED.get(problem["type"], message[:1].lower() + message[1:])


_EXPECTED = {
    "missing": "this key to be declared",
    "extra_forbidden": "no such key here",
    "union_tag_not_found": f"a 'kind', one of {', '.join(_KINDS)}",
    "union_tag_invalid": f"a 'kind', one of {', '.join(_KINDS)}",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "mapping_type": "keys with values",
    "dict_type": "keys with values",
    "tuple_type": "a list",
    "list_type": "a list",
}
