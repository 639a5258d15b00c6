"""Splitting a budget: integer amounts in the ledger's coordinate, rounded down so that parts never exceed the whole."""

from collections.abc import Sequence

from accountant.calibrate import discrete_gaussian_sigma
from accountant.price import Coordinate
from dpsynth.domain import Clique, Domain


def split(amount: int, weights: Sequence[float]) -> list[int]:
    """Integer parts of ``amount`` in proportion to ``weights``, each rounded down to at least one unit."""
    whole = sum(weights)
    return [max(1, int(amount * (w / whole) * (1.0 - 1e-12))) for w in weights]


def by_cells(domain: Domain, cliques: Sequence[Clique]) -> list[float]:
    """Weights cells^(2/3): what minimises the sum of L1 noise over marginals for a given total of precisions."""
    return [domain.cells(c) ** (2 / 3) for c in cliques]


def sigmas(amounts: Sequence[int], *, coordinate: Coordinate, sensitivity: float) -> list[float]:
    """The smallest noise that each amount pays for."""
    return [discrete_gaussian_sigma(amount=a, coordinate=coordinate, sensitivity=sensitivity) for a in amounts]
