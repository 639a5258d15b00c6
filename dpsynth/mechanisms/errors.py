"""Noisy errors of many marginals at once: how far a model is from the records on each, as one Gaussian vector."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.scoring import l1_error
from dpsynth.mechanisms.shares import sigmas, vector_sensitivity
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_gaussian
from dpsynth.sources.base import MarginalSource


def measure_errors(
    source: MarginalSource,
    expected: Mapping[Clique, NDArray[np.float64]],
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...],
) -> tuple[dict[Clique, int], float]:
    """Release the L1 error of every marginal against expected counts, in one shot.

    Args:
      source: Exact marginals of the records.
      expected: Expected counts of each clique, public or accounted; rounded to whole numbers before the difference.
      amount: Budget of the whole vector, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before the draw.
      random: Source of the noise.
      label: Public words for the ledger.
      sides: Whose records ``source`` holds.

    Returns:
      A noisy error, in records, of each clique (it may come out below zero), and the standard deviation of its noise.

    Privacy:
      Spends one DiscreteGaussian within ``amount``. One record moves each error by exactly 1, up or down, so one unit
      moves the vector by at most ``source.max_rows`` sqrt(#cliques) in L2; add-remove of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_errors_of_many_marginals

    Raises:
      BudgetExceeded: The charge was refused; nothing was drawn.
    """
    sensitivity = vector_sensitivity(source.max_rows, len(expected))
    (sigma,) = sigmas([amount], coordinate=coordinate, sensitivity=sensitivity)
    exact = np.array([l1_error(counts, expected[q]) for q, counts in source.counts(list(expected))], dtype=np.int64)
    noisy = measure_gaussian(
        exact,
        sigma=sigma,
        sensitivity=sensitivity,
        spend=spend,
        random=random,
        label=label,
        sides=sides,
    )
    return dict(zip(expected, noisy.tolist(), strict=True)), sigma


def independent_counts(
    one_ways: Sequence[Measurement], cliques: Sequence[Clique], total: float
) -> dict[Clique, NDArray[np.float64]]:
    """Expected counts of each clique if attributes were independent, from noisy one-way marginals.

    Privacy:
      None; post-processing.
    """
    share = {m.clique[0]: _positive_share(m) for m in one_ways}
    expected = {}
    for clique in cliques:
        table = np.full((), total)
        for name in clique:
            table = np.multiply.outer(table, share[name])
        expected[clique] = np.asarray(table)
    return expected


def _positive_share(measurement: Measurement) -> NDArray[np.float64]:
    positive = np.maximum(measurement.values, 0.5)
    return np.asarray(positive / positive.sum())
