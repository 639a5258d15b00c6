"""Frozen dataclasses of public facts to JSON values and back, driven by their own type hints.

A float is written as its shortest decimal string, which ``float`` reads back bit for bit, so that canonical JSON can
hold it. A key that a class doesn't know is ignored: the predicate is versioned with open fields.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from accountant.events import Event, event_from_json

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """JSON values of a dataclass, tuple, mapping, event or scalar; floats become decimal strings."""
    if isinstance(value, Event):
        return value.to_json()
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    return repr(float(value)) if isinstance(value, float) else value


def from_json(kind: type[T], body: Any) -> T:
    """Rebuild a value of ``kind`` from :func:`to_json`.

    Raises:
      ValueError: The body lacks a field, or a field has another type than ``kind`` declares.
    """
    result: T = _read(kind, body)
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, body: Any) -> Any:
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        return _read_optional(kind, body)
    if origin is tuple:
        return _read_tuple(kind, body)
    if kind is Event:
        return event_from_json(_expect(dict, body))
    if is_dataclass(kind):
        return _read_dataclass(kind, _expect(dict, body))
    if kind is float:
        return float(_expect(str, body))
    if issubclass(kind, str) and kind is not str:
        return kind(_expect(str, body))
    return _expect(kind, body)


def _read_optional(kind: Any, body: Any) -> Any:
    (inner,) = (k for k in get_args(kind) if k is not type(None))
    return None if body is None else _read(inner, body)


def _read_tuple(kind: Any, body: Any) -> tuple[Any, ...]:
    args, items = get_args(kind), _expect(list, body)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], item) for item in items)
    if len(args) != len(items):
        raise ValueError(f"a list has {len(items)} items, not {len(args)}")
    return tuple(_read(k, item) for k, item in zip(args, items, strict=True))


def _read_dataclass(kind: Any, body: dict[str, Any]) -> Any:
    hints, known = _hints(kind), {f.name: f for f in fields(kind)}
    missing = [name for name, f in known.items() if name not in body and not _has_default(f)]
    if missing:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    return kind(**{name: _read(hints[name], body[name]) for name in known if name in body})


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _expect(kind: type, body: Any) -> Any:
    if type(body) is not kind:
        raise ValueError(f"a {kind.__name__} was expected")
    return body
