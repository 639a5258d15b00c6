"""The random source seam: every random bit of the engine is a draw from a finite, exact table."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dpsynth.noise.tables import CumulativeTable


class RandomSource(Protocol):
    """Draws from cumulative tables. Shipped: the system CSPRNG, and a seeded one for tests."""

    @property
    def private(self) -> bool:
        """False for a seeded or enumerated source: whatever it made must say NOT PRIVATE."""
        ...

    def draw(self, table: CumulativeTable, size: int) -> NDArray[np.int64]:
        """``size`` independent indices into ``table``, each with exactly its probability (within the stated slack)."""
        ...
