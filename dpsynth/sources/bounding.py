"""How far one privacy unit moves a marginal: decided here, from what a source enforces, and nowhere else.

All rows of a unit may lie in one cell, so a marginal moves by ``max_rows``. Where no two rows of a unit have the same
codes of some attributes, rows in one cell of a marginal differ in those of them that the marginal doesn't hold: there
are at most as many rows in it as these have codes together, and a single one where it holds them all. The proof is in
docs/decisions/0013-rows-of-a-person-in-cells-of-their-own.md.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant.adjacency import Adjacency, moved_by
from dpsynth.domain import Clique, Domain
from dpsynth.sources.base import MarginalSource


def marginal_sensitivity(
    source: MarginalSource, clique: Clique, adjacency: Adjacency = Adjacency.ADD_REMOVE
) -> float:
    """The L2 norm by which one unit of a source moves the marginal of a clique, rounded up.

    Args:
      source: Its ``max_rows`` and ``distinct`` are enforced, and the domain is that of its codes.
      clique: Attribute names in domain order.
      adjacency: Whether the unit comes or goes, or is replaced.
    """
    return moved_by(source.max_rows, adjacency, in_one_cell=rows_in_one_cell(source.domain, source.distinct, clique))


def rows_in_one_cell(domain: Domain, distinct: Clique, clique: Clique) -> int | None:
    """Most rows of one unit in one cell of a clique's marginal; None where nothing but the bound on rows says.

    Args:
      domain: The domain of the codes that are distinct.
      distinct: Attributes of which no two rows of a unit have the same codes; none where nothing is enforced.
      clique: Attribute names in domain order.
    """
    return domain.cells(tuple(name for name in distinct if name not in clique)) if distinct else None


def combinations_of(codes: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each column's combination of codes, equal where and only where all its codes are. Private.

    Args:
      codes: Unsigned codes below 2^31, shape (attributes, rows).
    """
    numbers = np.zeros(codes.shape[1], dtype=np.int64)
    for row in codes:
        joined = (numbers << np.int64(31)) | row.astype(np.int64)
        numbers = np.unique(joined, return_inverse=True)[1].astype(np.int64).reshape(-1)
    return numbers


def units_that_repeat(units: NDArray[np.int64], combinations: NDArray[np.int64]) -> NDArray[np.int64]:
    """The units of which two rows have one combination, ascending; both numbers below 2^31. Private."""
    pairs, rows = np.unique((units << np.int64(31)) | combinations, return_counts=True)
    return np.unique(pairs[rows > 1] >> np.int64(31))
