"""What adaptive mechanisms score with: whole errors of candidates against a model; private until one is selected."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from accountant.calibrate import bounded_range_eta
from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.estimation import TreeModel
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.mechanisms.shares import relative_noise
from dpsynth.noise.base import RandomSource
from dpsynth.noise.seeds import draw_seed
from dpsynth.noise.selection import select_exponential
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources.base import Codes, MarginalSource

FEWEST_SCORING_ROWS, MOST_SCORING_ROWS = 25_000, 50_000
"""Rows sampled from the model to score candidates: half of the model's own, within these; more gain nothing."""

CANDIDATES_CELLS = 60_000_000
"""Cells of all candidates together (240 MB of exact counts); the lightest and largest are left out."""

MOST_COUNT = 2**31 - 1

MOST_EXPECTED = 2.0**62
"""Largest sum of an expected table: an error against it, and so a score, stays within 64 bits."""


def l1_error(exact: NDArray[np.int64], expected: NDArray[np.float64]) -> int:
    """L1 error against a table rounded to whole numbers: one record changes it by at most 1. Private."""
    whole = np.minimum(np.rint(expected.ravel()), MOST_EXPECTED / expected.size)
    return int(np.abs(exact.ravel() - whole.astype(np.int64)).sum())


class Candidates:
    """Marginals on offer, with their exact counts in one buffer. Private.

    A count is kept up to 2^31 - 1 and clipped there, which one record still moves by at most 1.

    Attributes:
      domain: The public domain.
      cliques: The candidates.
      weights: Whole weight of each candidate's score, shape (candidates,).
      relative: Noise of each one's marginal over that of one in which all rows of a unit lie in one cell.
      columns: Positions of each one's attributes, padded with -1 in front, shape (candidates, ways).
    """

    __slots__ = ("_exact", "_starts", "cells", "cliques", "columns", "domain", "relative", "weights")

    def __init__(self, source: MarginalSource, weights: Mapping[Clique, int]) -> None:
        self.domain: Domain = source.domain
        self.cliques: tuple[Clique, ...] = tuple(weights)
        self.weights = np.array(list(weights.values()), dtype=np.int64)
        self.columns = TreeSizes(self.domain, ()).columns(self.cliques)
        self.cells = np.array([self.domain.cells(q) for q in self.cliques], dtype=np.int64)
        self.relative = np.array([relative_noise(source, q) for q in self.cliques], dtype=np.float64)
        self._starts = np.cumsum(self.cells) - self.cells
        self._exact = np.empty(int(self.cells.sum()), dtype=np.int32)
        for start, (_, counts) in zip(self._starts.tolist(), source.counts(self.cliques), strict=True):
            self._exact[start : start + counts.size] = np.minimum(counts.ravel(), MOST_COUNT)

    def __repr__(self) -> str:
        return f"Candidates({len(self.cliques)})"

    def feasible(
        self, sizes: TreeSizes, model: TreeModel, cells: float, megabytes: float | None
    ) -> NDArray[np.int64]:
        """Positions of the candidates for which :meth:`within` holds."""
        everywhere = np.arange(len(self.cliques))
        return everywhere[self.within(everywhere, sizes, model, cells, megabytes)]

    def within(
        self, positions: NDArray[np.int64], sizes: TreeSizes, model: TreeModel, cells: float, megabytes: float | None
    ) -> NDArray[np.bool_]:
        """Which of these candidates lie inside the model's cliques, or leave the tree of ``sizes`` within ``cells``;
        and, where there is such a limit, leave its fit within ``megabytes``."""
        columns = self.columns[positions]
        member = np.zeros((len(model.tree.cliques), len(self.domain.names) + 1), dtype=bool)
        member[:, -1] = True  # where the padding points
        for i, clique in enumerate(model.tree.cliques):
            member[i, [self.domain.names.index(n) for n in clique]] = True
        inside = np.asarray(member[:, columns].all(axis=2).any(axis=0))
        inside[~inside] = sizes.all_cells_with(columns[~inside], cells) <= cells
        if megabytes is not None:
            cliques = [self.cliques[q] for q in positions[inside].tolist()]
            inside[inside] = sizes.within(cliques, cells=np.inf, megabytes=megabytes)
        return inside

    def shared(self, positions: NDArray[np.int64], one: int) -> NDArray[np.int64]:
        """How many attributes each of these candidates shares with ``one``."""
        own = self.columns[one][self.columns[one] >= 0]
        return np.asarray(np.isin(self.columns[positions], own).sum(axis=1))

    def scores(
        self, positions: NDArray[np.int64], sample: Codes, *, total: float, ceiling: float, saturation: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Errors and penalties of candidates against a sample of the model.

        Args:
          positions: Candidates to score.
          sample: Codes of the model's sample, shape (attributes, rows).
          total: Rows that the sample stands for.
          ceiling: Largest penalty of a cell where all rows of a unit may lie in one; others' are smaller, like their
            noise.
          saturation: Largest penalty of a cell as a multiple of its expected count.

        Returns:
          L1 errors against expected counts rounded to whole numbers, int64: private, one record moves each by 1. And
          penalties, sums over cells of min(ceiling, saturation * expected count): functions of the sample alone.
        """
        from dpsynth.mechanisms.kernel import scan

        errors, penalties = np.empty(len(positions), dtype=np.int64), np.empty(len(positions))
        codes, sizes = np.ascontiguousarray(sample, dtype=np.uint32), np.array(self.domain.sizes, dtype=np.int64)
        for relative in np.unique(self.relative[positions]).tolist():
            alike = self.relative[positions] == relative
            asked = positions[alike]
            found, noise = np.empty(len(asked), dtype=np.int64), np.empty(len(asked))
            scan()(
                codes,
                sizes,
                self.columns[asked],
                self.cells[asked],
                self._starts[asked],
                self._exact,
                np.array([min(total, MOST_EXPECTED) / sample.shape[1], ceiling * relative, saturation]),
                found,
                noise,
            )
            errors[alike], penalties[alike] = found, noise
        return errors, penalties


def scoring_sample(model: TreeModel, random: RandomSource) -> Codes:
    """Rows of the model to score candidates with; a function of accounted outputs.

    Privacy:
      None; post-processing.
    """
    rows = int(min(MOST_SCORING_ROWS, max(FEWEST_SCORING_ROWS, model.total / 2)))
    return sample_codes(model, rows, rng=generator(draw_seed(random)), rounded=False)


def expected_counts(sample: Codes, domain: Domain, clique: Clique, total: float) -> NDArray[np.float64]:
    """Expected counts of a clique, flat, from a sample of the model."""
    shape = domain.shape(clique)
    joint = np.ravel_multi_index(tuple(sample[domain.names.index(n)].astype(np.int64) for n in clique), shape)
    return np.asarray(np.bincount(joint, minlength=domain.cells(clique)) * (total / sample.shape[1]))


def select_candidate(
    weights: Sequence[int],
    errors: Sequence[int],
    penalties: Sequence[float],
    *,
    max_rows: int,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...],
) -> int:
    """The exponential mechanism over weight times (L1 error minus penalty), in whole numbers.

    Args:
      weights: Whole weight of each candidate offered; public or accounted.
      errors: Whole L1 error of each, which one record moves by at most 1. Private.
      penalties: Error that each must exceed to be worth its noise; public or accounted.
      max_rows: Rows of one unit.
      amount: Budget of the selection, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before the draw.
      random: Source of the draw.
      sides: Whose records the counts come from.

    Returns:
      The position of the chosen one among those offered.

    Privacy:
      Spends one BoundedRange within ``amount``; sensitivity: the largest weight offered times ``max_rows``.
      Checked by: tests/oracles/test_adaptive.py::test_selection_of_a_round,
        tests/oracles/test_adaptive.py::test_selection_of_aim
    """
    return select_exponential(
        [int(w) * (int(e) - round(float(p))) for w, e, p in zip(weights, errors, penalties, strict=True)],
        sensitivity=max(int(w) for w in weights) * max_rows,
        eta=bounded_range_eta(amount=amount, coordinate=coordinate),
        spend=spend,
        random=random,
        label="which marginal to measure",
        sides=sides,
    )
