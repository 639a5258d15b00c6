"""Shrinkage: what noise did to a measured table, undone as far as the rest of the model tells what to expect.

A fit follows its measurements cell by cell, so noise in cells of few records stays in the model. Here each cell of a
measured marginal is drawn towards what it would be without an interaction of its attributes, the more, the larger the
noise is beside the deviation that a cell of its size can have: the posterior mean of a cell whose deviation has a
normal prior with a standard deviation of ``SPREAD`` times its expected count. Totals and one-way marginals stay where
the whole model has them, which has averaged every measurement of them.

Source: James and Stein 1961 in the empirical Bayes form of Efron and Morris 1973, cell by cell; iterative proportional
fitting (Deming and Stephan 1940) for tables without an interaction of three.
"""

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]

SPREAD = math.sqrt(10.0)
"""Prior standard deviation of a cell's deviation, as a multiple of its expected count: real interactions are strong."""

CAUTION = 2.0
"""How many standard deviations of the noise a fitted count must exceed to be believed in the size of its cell."""

SWEEPS = 8
"""Sweeps of proportional fitting: what is left of the margins' differences is far below noise."""


def shrunk(fitted: Table, sigma: Callable[[tuple[int, ...]], float]) -> Table:
    """A marginal of a fitted model with its noise drawn in.

    Args:
      fitted: The marginal, in records, shape as the clique's domain.
      sigma: By positions of some of its attributes, in order, the standard deviation of what is known of a count of
        their marginal from all measurements that hold it.

    Returns:
      Counts of the same total, same shape. A one-way marginal is returned as it is.

    Privacy:
      None; post-processing.
    """
    if fitted.ndim == 1:
        return fitted
    expected = _without_interaction(fitted, sigma)
    drawn = _drawn_in(fitted, expected, sigma(tuple(range(fitted.ndim))))
    lacking = fitted.sum() - drawn.sum()
    return np.asarray(drawn + lacking * expected / expected.sum())


def _drawn_in(table: Table, expected: Table, sigma: float) -> Table:
    """Each cell's expected count, and of its deviation the share that is signal."""
    size = SPREAD * np.maximum(expected, table - CAUTION * sigma)
    return np.asarray(expected + size**2 / (size**2 + sigma**2) * (table - expected))


def _independent(pair: Table, total: float) -> Table:
    """The table of two independent attributes with this one's margins."""
    return np.asarray(np.multiply.outer(pair.sum(axis=1), pair.sum(axis=0)) / total)


def _without_interaction(table: Table, sigma: Callable[[tuple[int, ...]], float]) -> Table:
    """What the table would be without the interaction of all its attributes: of two, independent ones; of more, what
    its pairs, drawn in themselves, imply."""
    total = table.sum()
    if table.ndim == 2:
        return _independent(table, total)
    pairs: dict[tuple[int, ...], Table] = {}
    for kept in itertools.combinations(range(table.ndim), 2):
        pair = table.sum(axis=tuple(i for i in range(table.ndim) if i not in kept))
        drawn = np.maximum(_drawn_in(pair, _independent(pair, total), sigma(kept)), 0.0)
        ones: dict[tuple[int, ...], Table] = {(0,): pair.sum(axis=1), (1,): pair.sum(axis=0)}
        pairs[kept] = _proportional(drawn, ones)
    return _proportional(np.full(table.shape, total / table.size), pairs)


def _proportional(table: Table, margins: Mapping[tuple[int, ...], Table]) -> Table:
    """The table with these margins by iterative proportional fitting; cells of zero stay."""
    for _ in range(SWEEPS):
        for kept, margin in margins.items():
            gone = tuple(i for i in range(table.ndim) if i not in kept)
            now = table.sum(axis=gone, keepdims=True)
            wanted = margin.reshape(now.shape)
            table = table * np.divide(wanted, now, out=np.zeros_like(now), where=now > 0)
    return table
