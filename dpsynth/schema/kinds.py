"""A column of any kind."""

from typing import Annotated

from pydantic import Field

from dpsynth.schema.columns import Boolean, Categorical, Identifier, Integer, Opaque, Real
from dpsynth.schema.temporal import Temporal

Column = Annotated[
    Categorical | Integer | Real | Boolean | Temporal | Identifier | Opaque, Field(discriminator="kind")
]
"""A column of any kind, told apart by the word in ``kind``."""
