"""Structural zeros and functional dependencies: public declarations of cells that can't occur."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StructuralZeros:
    """Cells of one marginal that no row can be in: a public declaration, never learnt from data.

    Attributes:
      clique: Attribute names in domain order.
      forbidden: True for a cell that can't occur, shape ``domain.shape(clique)``; at least one cell is allowed.
    """

    clique: Clique
    forbidden: NDArray[np.bool_] = field(repr=False)

    def __post_init__(self) -> None:
        if self.forbidden.ndim != len(self.clique) or self.forbidden.dtype != np.bool_ or self.forbidden.all():
            raise ParameterError(
                f"The structural zeros of {', '.join(self.clique)} can't be used.",
                "They are a truth value for each cell of a marginal, and one cell at least is allowed.",
                "Mend the declared rule.",
            )


def dependency(domain: Domain, cause: str, effect: str, values: NDArray[np.int64]) -> StructuralZeros:
    """The structural zeros of a declared functional dependency.

    Args:
      domain: The public domain.
      cause: The attribute that determines.
      effect: The attribute that is determined.
      values: The code of ``effect`` for each code of ``cause``, shape (size of cause,); public.
    """
    allowed = np.zeros((domain.size(cause), domain.size(effect)), dtype=bool)
    allowed[np.arange(domain.size(cause)), values] = True
    clique = domain.clique((cause, effect))
    return StructuralZeros(clique=clique, forbidden=~(allowed if clique == (cause, effect) else allowed.T))
