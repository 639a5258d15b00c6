"""Splitting a budget: integer amounts in the ledger's coordinate, rounded down so that parts never exceed the whole."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from accountant.calibrate import discrete_gaussian_sigma
from accountant.price import Coordinate
from dpsynth.domain import Clique, Domain
from dpsynth.sources.base import MarginalSource
from dpsynth.sources.bounding import marginal_sensitivity


def split(amount: int, weights: Sequence[float]) -> list[int]:
    """Integer parts of ``amount`` in proportion to ``weights``, each rounded down to at least one unit."""
    whole = sum(weights)
    return [max(1, int(amount * (w / whole) * (1.0 - 1e-12))) for w in weights]


def by_cells(domain: Domain, cliques: Sequence[Clique]) -> list[float]:
    """Weights cells^(2/3): what minimises the sum of L1 noise over marginals for a given total of precisions."""
    return [domain.cells(c) ** (2 / 3) for c in cliques]


def relative_noise(source: MarginalSource, clique: Clique) -> float:
    """The noise that a clique's marginal needs, over what it would need if all rows of a unit lay in one cell."""
    return marginal_sensitivity(source, clique) / source.max_rows


def by_noise(source: MarginalSource, cliques: Sequence[Clique]) -> list[float]:
    """:func:`by_cells` for marginals that a unit moves by different lengths: (cells times relative noise)^(2/3)."""
    return [(source.domain.cells(c) * relative_noise(source, c)) ** (2 / 3) for c in cliques]


def marginal_sigmas(
    source: MarginalSource, cliques: Sequence[Clique], amounts: Sequence[int], *, coordinate: Coordinate
) -> list[float]:
    """The smallest noise of each clique's marginal that its amount pays for, by how far one unit moves it."""
    return [
        _sigma(amount, coordinate, marginal_sensitivity(source, clique))
        for clique, amount in zip(cliques, amounts, strict=True)
    ]


def sigmas(amounts: Sequence[int], *, coordinate: Coordinate, sensitivity: float) -> list[float]:
    """The smallest noise that each amount pays for."""
    return [_sigma(a, coordinate, float(sensitivity)) for a in amounts]


def vector_sensitivity(max_rows: int, entries: int) -> float:
    """The L2 norm of ``entries`` entries of ``max_rows`` each, rounded up: never below the true root."""
    squared = max_rows**2 * entries
    root = math.sqrt(squared)
    while Fraction(root) ** 2 < squared:
        root = math.nextafter(root, math.inf)
    return root


@lru_cache(maxsize=4096)
def _sigma(amount: int, coordinate: Coordinate, sensitivity: float) -> float:
    return discrete_gaussian_sigma(amount=amount, coordinate=coordinate, sensitivity=sensitivity)


def graded(weights: Sequence[float]) -> list[float]:
    """Weights moved to the nearest power of sqrt(2): fewer different sigmas, hence fewer exact tables to make, and
    noise within 9 % of what the weights themselves would get."""
    return [2.0 ** (round(2.0 * math.log2(w)) / 2.0) for w in weights]
