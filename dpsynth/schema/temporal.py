"""Dates, moments, times of day and durations: their declaration, and what their texts mean."""

import datetime
import re
import zoneinfo
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, model_validator

from dpsynth.schema.columns import ColumnBase, Integer
from dpsynth.schema.declared import MAX_EXACT, MAX_LEVELS

UNITS = {
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
"""Microseconds of each resolution."""
_DEFAULTS = {"date": "day", "datetime": "second", "time": "second", "duration": "second"}
_EPOCH = datetime.datetime(1970, 1, 1)
_SPAN = re.compile(r"(-?\d{1,7})d(\d{1,5})\.(\d{6})s")


def _text(value: Any) -> Any:
    """A bound as text; YAML makes dates and numbers of some that aren't in quotes."""
    if isinstance(value, datetime.date | datetime.time) or (isinstance(value, int | float) and value is not True):
        return str(value)
    return value


class Temporal(ColumnBase):
    """A date, a moment, a time of day or a duration between public bounds.

    Attributes:
      kind: The word that names this kind.
      bounds: First and last value as ISO 8601 text (a duration: a number of seconds); what lies outside is clamped.
        Without them a column can't be released.
      resolution: Synthetic values are multiples of it: day (of a date), else second, if nothing is declared.
      bins: How many bins of equal width.
      zone: Time zone of a moment's type where the table has no types of its own; moments themselves are in UTC.
    """

    kind: Literal["date", "datetime", "time", "duration"]
    bounds: tuple[Annotated[StrictStr, BeforeValidator(_text)], Annotated[StrictStr, BeforeValidator(_text)]] | None = (
        None
    )
    resolution: Literal["day", "hour", "minute", "second", "millisecond", "microsecond"] | None = None
    bins: Annotated[StrictInt, Field(ge=1, le=MAX_LEVELS - 1)] | None = None
    edges: None = None
    zone: StrictStr | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.zone is not None and self.kind != "datetime":
            raise ValueError("a 'zone' for a datetime alone")
        if self.zone is not None and not _is_zone(self.zone):
            raise ValueError("the name of a time zone in 'zone', such as Europe/Paris or UTC")
        if self.kind == "date" and self.resolution not in (None, "day"):
            raise ValueError("no 'resolution' but day for a date")
        if self.bounds is None:
            return self
        first, last = (microseconds(bound, self.kind) for bound in self.bounds)
        if first is None or last is None or last - first < self.step:
            raise ValueError("bounds [first, last], texts as in ISO 8601 (a duration: seconds), at least a step apart")
        if max(abs(first), abs(last)) // self.step > MAX_EXACT:
            raise ValueError("bounds of fewer steps; declare a coarser 'resolution'")
        return self

    @property
    def step(self) -> int:
        """Microseconds of its resolution."""
        return UNITS[self.resolution or _DEFAULTS[self.kind]]

    @property
    def ticks(self) -> Integer:
        """The column as whole multiples of its resolution.

        Raises:
          ValueError: It has no bounds.
        """
        if self.bounds is None:
            raise ValueError("'bounds: [first, last]', two public values: fill them in")
        first, last = (microseconds(bound, self.kind) or 0 for bound in self.bounds)
        return Integer(
            bounds=(first // self.step, last // self.step), bins=self.bins, scale="linear", nullable=self.nullable
        )


def _is_zone(name: str) -> bool:
    try:
        return bool(zoneinfo.ZoneInfo(name).key)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False


def microseconds(text: str, kind: str) -> int | None:
    """Microseconds that a text means: since 1970 in UTC, since midnight, or of a duration; None where it means none."""
    try:
        if kind == "duration":
            return _duration(text)
        if kind == "time":
            return _of_day(text)
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
        return (moment - _EPOCH) // datetime.timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def _of_day(text: str) -> int | None:
    """Of a time of day; of a moment its own, in UTC where it has a zone, and midnight of a day."""
    try:
        time = datetime.time.fromisoformat(text)
    except ValueError:
        moment = microseconds(text, "datetime")
        return None if moment is None else moment % UNITS["day"]
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + time.microsecond


def _duration(text: str) -> int | None:
    """Of seconds as a number, or of days and seconds as a table in memory writes them."""
    if span := _SPAN.fullmatch(text):
        days, seconds, rest = (int(part) for part in span.groups())
        return (days * 86_400 + seconds) * 1_000_000 + rest
    found = float(text)
    return round(found * 1_000_000) if abs(found) < 9e12 else None
