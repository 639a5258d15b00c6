"""What adaptive mechanisms score with: whole errors of candidates against a model; private until one is selected."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from accountant.calibrate import bounded_range_eta
from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique
from dpsynth.estimation import TreeModel
from dpsynth.noise.base import RandomSource
from dpsynth.noise.seeds import draw_seed
from dpsynth.noise.selection import select_exponential
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources.memory import MemorySource

SCORING_ROWS = 50_000
"""Rows sampled from the model to score candidates; more gain nothing."""


def l1_error(exact: NDArray[np.int64], expected: NDArray[np.float64]) -> int:
    """L1 error against a table rounded to whole numbers: one record changes it by at most 1. Private."""
    return int(np.abs(exact.ravel() - np.rint(expected.ravel()).astype(np.int64)).sum())


def inside(clique: Clique, model: TreeModel) -> bool:
    """Whether a clique lies within one of the model's, so that measuring it leaves the model's size as it is."""
    return any(set(clique) <= set(c) for c in model.tree.cliques)


def expected_counts(
    model: TreeModel, cliques: Sequence[Clique], total: float, random: RandomSource
) -> dict[Clique, NDArray[np.float64]]:
    """Expected counts of each clique, from a sample of the model. A function of accounted outputs.

    Privacy:
      None; post-processing.
    """
    sample = MemorySource(model.domain, sample_codes(model, SCORING_ROWS, rng=generator(draw_seed(random))))
    scale = np.float64(total / SCORING_ROWS)
    return {q: np.asarray(x.ravel() * scale, dtype=np.float64) for q, x in sample.counts(cliques)}


def select_candidate(
    offered: Mapping[Clique, int],
    exact: Mapping[Clique, NDArray[np.int64]],
    expected: Mapping[Clique, NDArray[np.float64]],
    *,
    penalties: Mapping[Clique, float],
    max_rows: int,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...],
) -> Clique:
    """The exponential mechanism over weight times (L1 error minus penalty), in whole numbers.

    Args:
      offered: Candidates and their whole weights; public or accounted.
      exact: Exact counts of each. Private.
      expected: The model's counts of each.
      penalties: Error that each must exceed to be worth its noise; public or accounted.
      max_rows: Rows of one unit.
      amount: Budget of the selection, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before the draw.
      random: Source of the draw.
      sides: Whose records the counts come from.

    Privacy:
      Spends one BoundedRange within ``amount``; sensitivity: the largest weight offered times ``max_rows``.
      Checked by: tests/oracles/test_adaptive.py::test_selection_of_a_round,
        tests/oracles/test_adaptive.py::test_selection_of_aim
    """
    cliques = list(offered)
    chosen = select_exponential(
        [offered[q] * (l1_error(exact[q], expected[q]) - round(penalties[q])) for q in cliques],
        sensitivity=max(offered.values()) * max_rows,
        eta=bounded_range_eta(amount=amount, coordinate=coordinate),
        spend=spend,
        random=random,
        label="which marginal to measure",
        sides=sides,
    )
    return cliques[chosen]
