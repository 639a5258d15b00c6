"""Who is protected: the adjacency of data sets and the unit of privacy."""

from dataclasses import dataclass
from enum import StrEnum

from accountant.errors import ParameterError


class Adjacency(StrEnum):
    """When two data sets are neighbours."""

    ADD_REMOVE = "add-remove"
    """One holds exactly one privacy unit more than the other."""
    REPLACE_ONE = "replace-one"
    """They have the same number of units and differ in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """What is added or removed: one row, or all rows (at most ``max_rows``) that share a value of ``column``.

    Attributes:
      column: Name of the column that identifies a person, or None where each row is a unit.
      max_rows: Most rows of one unit that the source lets through; it enforces this bound, nothing assumes it.
      adjacency: The neighbouring relation of the claim.
    """

    column: str | None = None
    max_rows: int = 1
    adjacency: Adjacency = Adjacency.ADD_REMOVE

    def __post_init__(self) -> None:
        if self.max_rows < 1 or (self.column is None and self.max_rows != 1):
            raise ParameterError(
                f"The privacy unit has max_rows {self.max_rows}.",
                "A unit has at least one row, and exactly one where no id column says which rows belong together.",
                "Declare max_rows >= 1, with a column where it is above 1.",
            )

    def describe(self) -> str:
        """The unit in words."""
        if self.column is None:
            return f"one row ({self.adjacency})"
        return f"all rows, at most {self.max_rows}, that share a value of the id column ({self.adjacency})"
