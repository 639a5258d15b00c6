"""Noisy histograms of fine codes, from which an encoding is learned: what they are charged, and nothing else.

Each column has a histogram of its cells and, where neighbouring cells belong together, one of blocks of them: two
marginals, of which one record changes one cell each by 1. Null and special numbers aren't counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.encode.histograms import Histogram
from dpsynth.mechanisms.shares import sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_counted
from dpsynth.sources.base import MarginalSource

Starts = NDArray[np.int64]


def histogram_sigma(columns: int, *, amount: int, coordinate: Coordinate, max_rows: int) -> float:
    """The noise of each of two histograms of each of so many columns, in rows."""
    (least, *_) = split(amount, [1.0] * (2 * columns))
    return sigmas([least], coordinate=coordinate, sensitivity=max_rows)[0]


def measure_histograms(
    source: MarginalSource,
    blocks: Mapping[str, Starts | None],
    apart: Mapping[str, int],
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> dict[str, Histogram]:
    """Measure the histograms of an encoding, equal shares for each column.

    Args:
      source: Exact marginals of finely coded records.
      blocks: For each column the first cells of its blocks, or None: then its cells get both shares.
      apart: How many of a column's last codes are left out: null, and special numbers.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      A histogram by column.

    Privacy:
      Spends DiscreteGaussian events, each of L2 sensitivity ``source.max_rows`` (a record is in one cell, and in one
      block), together at most ``amount``. Add-remove of one unit.
      Checked by: tests/oracles/test_histograms.py::test_histograms_of_neighbours

    Raises:
      BudgetExceeded: A charge was refused; nothing of that column was counted or drawn.
    """
    halves = split(amount, [1.0] * (2 * len(blocks)))
    half = min(halves, default=1)
    run = _Run(source=source, coordinate=coordinate, spend=spend, random=random, sides=sides)
    found = {}
    for name, starts in blocks.items():
        size = source.domain.size(name) - apart[name]
        if starts is None:
            (noisy,), sigma = run.measure(name, {"labels": np.arange(size)}, size, 2 * half)
            found[name] = Histogram(cells=noisy, sigma=sigma)
            continue
        (noisy, sums), sigma = run.measure(name, {"cells": np.arange(size), "blocks": starts}, size, half)
        found[name] = Histogram(cells=noisy, sigma=sigma, blocks=sums, block_sigma=sigma, starts=starts)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    source: MarginalSource
    coordinate: Coordinate
    spend: Spend
    random: RandomSource
    sides: tuple[Side, ...]

    def measure(
        self, name: str, parts: Mapping[str, Starts], size: int, amount: int
    ) -> tuple[list[NDArray[np.int64]], float]:
        """Histograms of one column with noise, by the first cells of what they count, and the sigma of each."""
        sensitivity = float(self.source.max_rows)
        (sigma,) = sigmas([amount], coordinate=self.coordinate, sensitivity=sensitivity)

        def count() -> list[NDArray[np.int64]]:
            ((_, exact),) = self.source.counts([(name,)])
            return [np.add.reduceat(exact[:size], starts) for starts in parts.values()]

        noisy = measure_counted(
            count,
            sizes=[len(starts) for starts in parts.values()],
            labels=[f"encoding: histogram of {name}, {part}" for part in parts],
            sigma=sigma,
            sensitivity=sensitivity,
            spend=self.spend,
            random=self.random,
            sides=self.sides,
        )
        return noisy, sigma
