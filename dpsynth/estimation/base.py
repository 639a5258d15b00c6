"""What every model can do, whichever estimator made it; what is sampled, saved, scored and reported is this."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """One step of drawing rows: new variables, given variables that were drawn before.

    Variables are numbered: attribute ``domain.names[i]`` is ``i``, hidden variables count on from there.

    Attributes:
      given: Variables drawn before.
      given_shape: Their sizes.
      new: Variables drawn in this step.
      new_shape: Their sizes.
      table: Shares, shape (cells of ``given``, cells of ``new``); a row needn't sum to 1.
    """

    given: tuple[int, ...]
    given_shape: tuple[int, ...]
    new: tuple[int, ...]
    new_shape: tuple[int, ...]
    table: Table = field(repr=False)


class Model(Protocol):
    """A distribution over the coded domain, a function of measurements alone."""

    @property
    def domain(self) -> Domain:
        """The public domain."""
        ...

    @property
    def total(self) -> float:
        """Estimated number of rows, an accounted output."""
        ...

    def marginal(self, clique: Clique) -> Table:
        """Exact probability table of any clique, shape ``domain.shape(clique)``."""
        ...

    def log_density(self, codes: NDArray[Any]) -> Table:
        """Natural log of the probability of each coded row; codes of shape (attributes, rows)."""
        ...

    def conditionals(self) -> Iterator[Conditional]:
        """How to draw a row: steps whose product is the model, summed over its hidden variables."""
        ...

    def structure(self) -> dict[str, Any]:
        """What isn't an array, as JSON values with the ``kind`` of the model; it loads from both."""
        ...

    def arrays(self) -> Mapping[str, Table]:
        """The model's numbers as named arrays, for ``npz``."""
        ...
