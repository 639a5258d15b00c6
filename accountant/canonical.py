"""Canonical JSON: one byte string for one value, for whatever is hashed or signed.

Keys are sorted, separators are ``,`` and ``:``, everything outside ASCII is escaped. Floats are refused, because their
decimal form isn't one: write ``float.hex`` or a decimal string.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from accountant.errors import ParameterError

_SCALARS = (str, int, bool, type(None))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, _SCALARS):
        return value
    raise _refused(type(value).__name__, "only objects with text keys, lists, text, integers, booleans and null are")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _refused(f"a key of type {type(key).__name__}", "every key is text")
    return str.__str__(key)


def _refused(what: str, why: str) -> ParameterError:
    return ParameterError(
        f"Canonical JSON can't hold {what}.",
        f"One value must have one byte string: {why}.",
        "Write a float as float.hex() or as a decimal string.",
    )


def dumps(value: Any) -> bytes:
    """The canonical JSON of ``value`` as ASCII bytes.

    Raises:
      ParameterError: The value holds a float, a key that isn't text, or another type without one JSON form.
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def sha256_hex(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, as 64 lower-case hexadecimal digits."""
    return sha256_of(dumps(value))


def sha256_of(content: bytes) -> str:
    """SHA-256 of bytes that are canonical JSON already, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
