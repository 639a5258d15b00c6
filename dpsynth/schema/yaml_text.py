"""YAML with line numbers: duplicate keys and aliases are refused, and keys and labels are the text that was written."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from dpsynth.errors import SchemaError

Path = tuple[str | int, ...]
MAX_DEPTH = 16
_AS_WRITTEN = ("categories", "otherwise", "nulls", "omit", "column", "name", "dataset", "target", "of")
"""Keys whose plain scalars are text as written: ``no`` is the label "no" and ``01`` the label "01"."""
_NULL = "tag:yaml.org,2002:null"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML document as plain values, with the line of every path in it."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of the longest part of ``path`` that was written, counted from 1."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def wrong(file: str, line: int, found: str, expected: str, next_step: str = "") -> SchemaError:
    """A SchemaError that names file, line, what was found and what was expected."""
    return SchemaError(
        f"The schema {file!r} can't be used: at line {line} it has {found}.",
        f"Expected {expected}.",
        next_step or "Mend that line; 'dpsynth init' drafts a schema to compare with.",
    )


def parse(text: str, file: str) -> Document:
    """Parse one YAML document.

    Args:
      text: The whole document.
      file: The name it goes by in errors.

    Raises:
      SchemaError: It isn't one well-formed document of plain values; the message holds a line, never the text.
    """
    try:
        _check_events(text, file)
        node = yaml.compose(text, Loader=_LOADER)
        lines: dict[Path, int] = {}
        value = None if node is None else _plain(node, (), lines, file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise wrong(file, line, "text that isn't YAML", "one YAML document of mappings, lists and values") from None
    return Document(value=value, lines=lines)


def _check_events(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.events.AliasEvent):
            raise wrong(file, _line(event), "an alias (*name)", "every value written out where it is used")
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise wrong(file, _line(event), "values nested too deeply", f"at most {MAX_DEPTH} levels")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _plain(node: Any, path: Path, lines: dict[Path, int], file: str) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, file)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines, file) for i, item in enumerate(node.value)]
    if node.tag != _NULL and _as_written(path):
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError):
        raise wrong(file, lines[path], "a value that isn't what it looks like", "a value, or text in quotes") from None


def _mapping(node: Any, path: Path, lines: dict[Path, int], file: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise wrong(file, line, "a key that isn't text", "one word or text in quotes as a key")
        if key.value in out:
            raise wrong(file, line, "a key that this mapping already has", "every key once")
        out[key.value] = _plain(value, (*path, key.value), lines, file)
        lines[(*path, key.value)] = line
    return out


def _as_written(path: Path) -> bool:
    if path[-3:-1] == ("derived_from", "values"):
        return True
    keys = [part for part in path[-2:] if isinstance(part, str)]
    return bool(keys) and keys[-1] in _AS_WRITTEN and (len(path) < 2 or path[-2] != "columns")
