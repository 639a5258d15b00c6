"""Open columns: categorical ones whose labels aren't declared, but found out for a share of the budget."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from dpsynth.schema.columns import ColumnBase
from dpsynth.schema.declared import Label, Number

MOST_VALUES = 4_096
"""Largest declared number of values that may be found out."""
REST = "(never drawn)"
"""Names the rest where it is never drawn; no row of a synthetic table has it."""


class Open(ColumnBase):
    """Labels that aren't all declared: those that enough people hold are found out, and nothing else ever appears.

    What becomes of all other values is declared: a label of theirs (``otherwise``), null, or nothing (``redraw``).

    Attributes:
      kind: The word that names this kind.
      categories: Labels that are known from public knowledge; they are in the domain whoever holds them.
      otherwise: The label of the rest; where it isn't given, the rest is null or never drawn.
      redraw: Whether the rest is never drawn: the rows are the model's, given that they have another value.
      most: Most labels that are found out; of more, those that most people seem to hold.
      share: Share of the budget beside the gate that finding them out may cost.
    """

    kind: Literal["open"]
    categories: tuple[Label, ...] = ()
    otherwise: Label | None = None
    redraw: StrictBool = False
    most: Annotated[StrictInt, Field(ge=1, le=MOST_VALUES)] = 256
    share: Annotated[Number, Field(gt=0, le=0.25)] = 0.02

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.categories)) != len(self.categories) or len(self.categories) > MOST_VALUES:
            raise ValueError(f"at most {MOST_VALUES} labels in 'categories', all different")
        if REST in (*self.categories, self.otherwise):
            raise ValueError(f"another label than {REST!r}")
        if self.redraw and self.otherwise is not None:
            raise ValueError("either 'otherwise' or 'redraw', not both")
        if not self.redraw and self.otherwise is None and not self.nullable:
            raise ValueError("what the rest becomes: a label in 'otherwise', 'nullable: true', or 'redraw: true'")
        if self.redraw and not self.categories and not self.nullable:
            raise ValueError("'categories' or 'nullable: true' beside 'redraw': else there may be nothing to draw")
        return self
