"""Who is protected: the adjacency of data sets and the unit of privacy."""

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from accountant.errors import ParameterError


class Adjacency(StrEnum):
    """When two data sets are neighbours."""

    ADD_REMOVE = "add-remove"
    """One holds exactly one privacy unit more than the other."""
    REPLACE_ONE = "replace-one"
    """They have the same number of units and differ in one."""
    REPLACE_PRIVATE = "replace-private-part"
    """They have the same units with the same public columns, and differ in the other columns of one. The number of
    units and everything about the public columns is public, and not protected."""

    @property
    def replaces(self) -> bool:
        """Whether what one unit adds to a sum turns into something else, instead of coming or going."""
        return self is not Adjacency.ADD_REMOVE

    @property
    def changes_sides(self) -> bool:
        """Whether a unit may be on another side of a split afterwards: a replaced one has another coin, but one that
        keeps its row and its public columns keeps its coin."""
        return self is Adjacency.REPLACE_ONE


WHOLE_UNITS = (Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE)
"""The adjacencies that protect everything about a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """What is added, removed or replaced: one row, or all rows (at most ``max_rows``) that share a value of ``column``.

    Attributes:
      column: Name of the column that identifies a person, or None where each row is a unit.
      max_rows: Most rows of one unit that the source lets through; it enforces this bound, nothing assumes it.
      adjacency: The neighbouring relation of the claim.
      public: The columns that aren't protected, under ``REPLACE_PRIVATE``, in the order of their names; else none.
    """

    column: str | None = None
    max_rows: int = 1
    adjacency: Adjacency = Adjacency.ADD_REMOVE
    public: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_rows < 1 or (self.column is None and self.max_rows != 1):
            raise ParameterError(
                f"The privacy unit has max_rows {self.max_rows}.",
                "A unit has at least one row, and exactly one where no id column says which rows belong together.",
                "Declare max_rows >= 1, with a column where it is above 1.",
            )
        partly = self.adjacency is Adjacency.REPLACE_PRIVATE
        in_order = self.public == tuple(sorted(set(self.public)))
        if partly != bool(self.public) or not in_order or (partly and self.column is not None):
            raise ParameterError(
                f"The privacy unit has {len(self.public)} public columns under {self.adjacency}.",
                f"Public columns, sorted and each once, belong to {Adjacency.REPLACE_PRIVATE}, whose unit is a row: "
                "which rows of a person are kept could depend on their private part.",
                "Declare both for rows, or neither.",
            )

    @property
    def marginal_sensitivity(self) -> float:
        """The L2 norm that one unit moves the counts of a marginal by, rounded up.

        All its rows may lie in one cell: ``max_rows``, and where they go into another cell, the square root of twice
        its square. Under ``REPLACE_PRIVATE`` that is so of a marginal with a private column; one of public columns
        alone doesn't move.
        """
        return moved_by(self.max_rows, self.adjacency)

    def describe(self) -> str:
        """The unit in words."""
        if self.public:
            return f"the private columns of one row ({self.adjacency}); not protected: {', '.join(self.public)}"
        if self.column is None:
            return f"one row ({self.adjacency})"
        return f"all rows, at most {self.max_rows}, that share a value of the id column ({self.adjacency})"


def moved_by(rows: int, adjacency: Adjacency, *, in_one_cell: int | None = None) -> float:
    """The L2 norm by which ``rows`` rows of one unit move a marginal that sees what changes, rounded up.

    Whole numbers up to ``m`` that add up to ``rows`` have the largest sum of squares where as many of them as possible
    are ``m``: moving one from a smaller to a larger number never makes it less. A unit that is replaced takes one such
    vector away and brings another one; neither has a negative entry, so their squared norms add up at most.

    Args:
      rows: Most rows of one unit.
      adjacency: Whether the unit comes or goes, or is replaced.
      in_one_cell: Most of them in one cell, where something enforces that; all of them by default.
    """
    most = rows if in_one_cell is None else min(rows, max(1, in_one_cell))
    squared = (rows // most) * most**2 + (rows % most) ** 2
    squared *= 2 if adjacency.replaces else 1
    root = math.sqrt(squared)
    while Fraction(root) ** 2 < squared:
        root = math.nextafter(root, math.inf)
    return root
