"""Measure: exact integers in, noisy integers out, charged first. int64 from the count to the output."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from accountant import faults
from accountant.adjacency import Adjacency
from accountant.events import DiscreteGaussian, DiscreteLaplace, Event
from accountant.spend import Side, Spend, Step
from dpsynth.domain import Clique
from dpsynth.errors import ParameterError
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.noise.gaussian import discrete_gaussian_table, draw_discrete_gaussian
from dpsynth.noise.laplace import discrete_laplace_table, draw_discrete_laplace
from dpsynth.sources.base import MarginalSource
from dpsynth.sources.bounding import marginal_sensitivity

_TRAINING: tuple[Side, ...] = (Side.TRAINING,)


def measure_marginals(
    source: MarginalSource,
    cliques: Sequence[Clique],
    *,
    sigmas: Sequence[float],
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...] = _TRAINING,
    adjacency: Adjacency = Adjacency.ADD_REMOVE,
) -> list[Measurement]:
    """Release marginals with the discrete Gaussian mechanism, charged together before any is counted.

    Args:
      source: Exact marginals; the bounds that it enforces give the sensitivity of each.
      cliques: Attribute names in domain order, one marginal each.
      sigmas: Scale of the noise of each, in records.
      spend: Charged once, with one step per clique.
      random: Where the bits come from.
      label: Public words for the ledger; the clique's names are added to each step.
      sides: Whose records ``source`` holds.
      adjacency: What the charge is stated under.

    Returns:
      One Measurement per clique, in the order asked; ``values`` is int64 of shape ``domain.shape(clique)``.

    Privacy:
      Spends ``DiscreteGaussian(sigma, sensitivity, draws=cells)`` per clique on each of ``sides``, of the sensitivity
      that :func:`dpsynth.sources.bounding.marginal_sensitivity` gives the clique. Under add-remove it is at most
      ``source.max_rows``: a unit of so many rows moves a marginal by an integer vector of at most that L1, hence L2,
      norm; and its root where no two rows of a unit lie in one cell. Where a unit is replaced, cells lose what others
      gain, and it is sqrt(2) times that.
      Checked by: tests/oracles/test_neighbours.py::test_marginals, tests/oracles/test_partial.py::test_marginals,
        tests/oracles/test_people.py::test_marginals_of_people_whose_rows_differ

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded, counted or drawn.
      ParameterError: A clique or sigma can't be used; nothing was recorded, counted or drawn.

    Reference: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Theorem 7.
    """
    asked = [source.domain.clique(clique) for clique in cliques]
    if asked != list(cliques) or len(sigmas) != len(asked):
        raise ParameterError(
            f"Can't measure {len(asked)} marginals with {len(sigmas)} sigmas.",
            "Each marginal has one sigma, and its attributes stand in domain order.",
            "Pass cliques from domain.clique(), and one sigma for each.",
        )
    for sigma in sigmas:
        discrete_gaussian_table(sigma)  # refuses a sigma out of range before the charge
    events = [
        DiscreteGaussian(
            sigma=float(sigma),
            sensitivity=marginal_sensitivity(source, clique, adjacency),
            draws=source.domain.cells(clique),
            adjacency=adjacency,
        )
        for clique, sigma in zip(asked, sigmas, strict=True)
    ]
    spend.charge(
        [
            Step(label=f"{label} ({', '.join(clique)})", event=event, sides=sides)
            for clique, event in zip(asked, events, strict=True)
        ]
    )
    return [
        Measurement(clique=clique, values=_add_gaussian(exact, sigma, random=random), sigma=float(sigma))
        for (clique, exact), sigma in zip(source.counts(asked), sigmas, strict=True)
    ]


def measure_gaussian(
    exact: NDArray[np.int64],
    *,
    sigma: float,
    sensitivity: float,
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...] = _TRAINING,
) -> NDArray[np.int64]:
    """Release an integer vector (counts, or errors on a fixed-point grid) with discrete Gaussian noise.

    Args:
      exact: int64, any shape; in units of the grid.
      sigma: Scale of the noise, in the same units.
      sensitivity: L2 sensitivity in the same units (k sqrt(#pairs) grid steps for the L1 errors of pairs).
      spend: Charged before the draw.
      random: Where the bits come from.
      label: Public words for the ledger.
      sides: Whose records ``exact`` read.

    Returns:
      int64 of the shape of ``exact``.

    Privacy:
      Spends ``DiscreteGaussian(sigma, sensitivity, draws=exact.size)`` on each of ``sides``, for neighbours that move
      ``exact`` by an integer vector of at most ``sensitivity`` in L2.
      Checked by: tests/oracles/test_neighbours.py::test_gaussian_vector

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded or drawn.
      ParameterError: ``exact`` isn't int64, or a parameter is out of range; nothing was recorded or drawn.
    """
    _require_int64(exact)
    discrete_gaussian_table(sigma)
    event = DiscreteGaussian(sigma=float(sigma), sensitivity=float(sensitivity), draws=exact.size)
    _charge(spend, event, label, sides)
    return _add_gaussian(exact, sigma, random=random)


def measure_counted(
    count: Callable[[], Sequence[NDArray[np.int64]]],
    *,
    sizes: Sequence[int],
    labels: Sequence[str],
    sigma: float,
    sensitivity: float,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = _TRAINING,
) -> list[NDArray[np.int64]]:
    """Release integer vectors with equal discrete Gaussian noise, charged together before any is counted.

    Args:
      count: Counts the vectors, int64 of these sizes; called after the charge.
      sizes: How many entries each has; public.
      labels: Public words for the ledger, one for each.
      sigma: Scale of the noise, in counts.
      sensitivity: L2 sensitivity of each, in counts.
      spend: Charged once, with one step per vector.
      random: Where the bits come from.
      sides: Whose records ``count`` reads.

    Returns:
      The noisy vectors, int64.

    Privacy:
      Spends ``DiscreteGaussian(sigma, sensitivity, draws=size)`` per vector on each of ``sides``, for neighbours that
      move each by an integer vector of at most ``sensitivity`` in L2.
      Checked by: tests/oracles/test_histograms.py::test_histograms_of_neighbours

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded, counted or drawn.
      ParameterError: A parameter is out of range, and nothing was recorded; or what was counted isn't int64 of these
        sizes, and nothing was drawn.
    """
    discrete_gaussian_table(sigma)
    events = [DiscreteGaussian(sigma=float(sigma), sensitivity=float(sensitivity), draws=size) for size in sizes]
    spend.charge([Step(label=label, event=e, sides=sides) for label, e in zip(labels, events, strict=True)])
    found = []
    for exact, size in zip(count(), sizes, strict=True):
        _require_int64(exact)
        found.append(_add_gaussian(exact.reshape(size), sigma, random=random))
    return found


def measure_count(
    exact: int,
    *,
    sigma: float,
    sensitivity: int,
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...] = _TRAINING,
) -> int:
    """Release one count with discrete Gaussian noise; it may come out below zero.

    Args:
      exact: The count.
      sigma: Scale of the noise, in counts.
      sensitivity: Most that one privacy unit moves the count.
      spend: Charged before the draw.
      random: Where the bits come from.
      label: Public words for the ledger.
      sides: Whose records ``exact`` counts.

    Privacy:
      Spends ``DiscreteGaussian(sigma, sensitivity, draws=1)`` on each of ``sides``.
      Checked by: tests/oracles/test_neighbours.py::test_count

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded or drawn.
      ParameterError: A parameter is out of range; nothing was recorded or drawn.
    """
    noisy = measure_gaussian(
        np.array([exact], dtype=np.int64),
        sigma=sigma,
        sensitivity=sensitivity,
        spend=spend,
        random=random,
        label=label,
        sides=sides,
    )
    return int(noisy[0])


def measure_laplace(
    exact: NDArray[np.int64],
    *,
    scale: float,
    sensitivity: float,
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...] = _TRAINING,
) -> NDArray[np.int64]:
    """Release an integer vector with discrete Laplace noise.

    Args:
      exact: int64, any shape.
      scale: Scale of the noise, in counts.
      sensitivity: L1 sensitivity, in counts.
      spend: Charged before the draw.
      random: Where the bits come from.
      label: Public words for the ledger.
      sides: Whose records ``exact`` read.

    Returns:
      int64 of the shape of ``exact``.

    Privacy:
      Spends ``DiscreteLaplace(scale, sensitivity, draws=exact.size)`` on each of ``sides``, for neighbours that move
      ``exact`` by an integer vector of at most ``sensitivity`` in L1.
      Checked by: tests/oracles/test_neighbours.py::test_laplace_vector

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded or drawn.
      ParameterError: ``exact`` isn't int64, or a parameter is out of range; nothing was recorded or drawn.
    """
    _require_int64(exact)
    discrete_laplace_table(scale)
    event = DiscreteLaplace(scale=float(scale), sensitivity=float(sensitivity), draws=exact.size)
    _charge(spend, event, label, sides)
    faults.reach("draw.before")
    noise = draw_discrete_laplace(scale, exact.size, random=random)
    faults.reach("draw.after")
    return exact + noise.reshape(exact.shape)


def _charge(spend: Spend, event: Event, label: str, sides: tuple[Side, ...]) -> None:
    spend.charge([Step(label=label, event=event, sides=sides)])


def _add_gaussian(exact: NDArray[np.int64], sigma: float, *, random: RandomSource) -> NDArray[np.int64]:
    """Exact plus noise, charged by the caller. int64 wraps at 2**63, which only post-processes the sum of integers."""
    faults.reach("draw.before")
    noise = draw_discrete_gaussian(sigma, exact.size, random=random)
    faults.reach("draw.after")
    return exact + noise.reshape(exact.shape)


def _require_int64(exact: NDArray[np.int64]) -> None:
    if exact.dtype != np.int64 or exact.size < 1:
        raise ParameterError(
            f"Can't measure an array of type {exact.dtype} with {exact.size} entries.",
            "Noise is added to at least one int64: floats would leak through their low bits.",
            "Count in int64, or put the values on a fixed-point grid first.",
        )
