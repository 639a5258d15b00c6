"""A measurement: one noisy marginal, the only thing that estimation ever sees of the data."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """One noisy marginal, an accounted output.

    Attributes:
      clique: Attribute names in domain order.
      values: Noisy counts, int64, shape ``domain.shape(clique)``.
      sigma: Standard deviation of the noise, in records.
    """

    clique: Clique
    values: NDArray[np.int64] = field(repr=False)
    sigma: float
