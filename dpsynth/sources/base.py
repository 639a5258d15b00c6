"""How the engine sees records: exact marginals, and blocks of coded rows. Both are private; nothing here spends."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain

Codes = NDArray[Any]
"""Coded columns: unsigned integers, shape (attributes, rows), each row of the array one column."""


class MarginalSource(Protocol):
    """Exact marginals of coded records, on any engine.

    ``counts`` yields one pair per clique in the order asked: int64, C-order, shape ``domain.shape(clique)``. One more
    record changes exactly one cell of each by 1; one more privacy unit by at most ``max_rows`` in L1, and in L2 by what
    :func:`dpsynth.sources.bounding.marginal_sensitivity` says.
    """

    @property
    def domain(self) -> Domain:
        """The public domain of the codes."""
        ...

    @property
    def max_rows(self) -> int:
        """The enforced bound on rows of one privacy unit (1 where a row is the unit)."""
        ...

    @property
    def distinct(self) -> Clique:
        """Attributes of whose codes no two rows of one unit share the combination, as enforced; empty if none are."""
        ...

    def counts(self, cliques: Sequence[Clique]) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
        """Exact counts of each clique, in the order asked."""
        ...


class RowSource(Protocol):
    """Coded rows in blocks, with the privacy unit of each row."""

    @property
    def domain(self) -> Domain:
        """The public domain of the codes."""
        ...

    def blocks(self, rows: int = 65_536) -> Iterator[tuple[Codes, NDArray[np.int64]]]:
        """Blocks of at most ``rows`` rows: codes (attributes, rows) and unit indices (rows,).

        Rows of one unit carry the same unit index; indices are 0 .. units - 1 within this source.
        """
        ...
