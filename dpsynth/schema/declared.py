"""What every declaration is made of: finite numbers, labels, and keys that are known."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

MAX_LEVELS = 65_536
"""Most levels of one column: a code fits in two bytes."""
MAX_EXACT = 2**53
"""Largest magnitude of an integer bound: beyond it, not every integer has a float of its own."""
MAX_LABEL_BYTES = 4_096


def finite(value: Any) -> float:
    """A finite number from a number, or from text that YAML 1.1 doesn't read as one (``1e6``)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a finite number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("a finite number") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def label_text(value: Any) -> str:
    """A category's label: text that has a UTF-8 form."""
    if not isinstance(value, str):
        raise ValueError("a label in quotes; an absent value is declared with 'nullable: true'")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("a label that has a UTF-8 form") from None
    if size > MAX_LABEL_BYTES:
        raise ValueError(f"a label of at most {MAX_LABEL_BYTES} bytes")
    return value


Number = Annotated[float, BeforeValidator(finite)]
Label = Annotated[str, BeforeValidator(label_text)]


class Declared(BaseModel):
    """Base of every declaration: immutable, and a key that isn't known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
