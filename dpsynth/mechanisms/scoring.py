"""What adaptive mechanisms score with: whole errors of candidates against a model; private until one is selected."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique
from dpsynth.estimation import TreeModel
from dpsynth.noise.base import RandomSource
from dpsynth.noise.seeds import draw_seed
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
