"""A column of any kind."""

from typing import Annotated

from pydantic import Field

from dpsynth.schema.columns import Boolean, Categorical, Constant, Identifier, Integer, Opaque, Real
from dpsynth.schema.opened import Open
from dpsynth.schema.temporal import Temporal

Column = Annotated[
    Categorical | Open | Integer | Real | Boolean | Temporal | Identifier | Constant | Opaque,
    Field(discriminator="kind"),
]
"""A column of any kind, told apart by the word in ``kind``."""
