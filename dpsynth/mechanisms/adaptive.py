"""The house mechanism: a noisy tree, adaptive rounds that chase the model's largest errors, a last re-measurement.

In the line of MST (arXiv:2108.04978) and AIM (arXiv:2201.12677), with the house's scores: an error counts above the
noise that its effective cells would bring, weights are flat, candidates are pairs and triples whose model stays small.

  1. one-way marginals, equal shares
  2. all pairwise errors against independence, noisy; a maximum spanning tree of them; its pairs
  3. rounds: fit, select the candidate with the largest score, measure it; shares grow when a round changed little
  4. the maximal measured marginals once more, with what is left; of many attributes also the wide ones' own, because
     what noise does to one is seen in every marginal with it
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Fit, estimate_total, fit_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.scoring import (
    CANDIDATES_CELLS,
    Candidates,
    expected_counts,
    l1_error,
    scoring_sample,
    select_candidate,
)
from dpsynth.mechanisms.shares import (
    by_noise,
    graded,
    marginal_sigmas,
    relative_noise,
    sigmas,
    split,
    vector_sensitivity,
)
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_gaussian, measure_marginals
from dpsynth.sources.base import Codes, MarginalSource
from dpsynth.workload import Workload

FIT_CALLS, FIT_TOLERANCE = 100, 3e-3
FEW_ATTRIBUTES = 10
"""Up to here, and half as many more, a round makes one selection: nothing is chosen by scores of an older fit."""
MANY_ATTRIBUTES, MORE_CELLS = 25, 2
"""From here a model may have so many times the cells: many attributes share few cliques."""
MANY_TRIPLES_CELLS = 6_000_000
"""Cells of all triples on offer from ``MANY_ATTRIBUTES`` on; larger ones are hardly chosen, and slow to count."""
MANY_TREE_PENALTY = 0.3
"""Noise that a cell of the tree must beat there, as a multiple of sigma: the widest pairs get the largest shares."""
MANY_CODES = 20
"""Attributes of so many codes are there measured on their own in the end."""
WIDE_CODES, LOST = 100, 0.25
"""Of many attributes, from so many codes on and from such a share of rows misplaced by noise, wide ones come first."""
FOR_LOST = (0.15, 0.05)
"""Shares of the whole budget that wide attributes then take from the rounds and from the end."""
MOST_ROUNDS_PER_ATTRIBUTE = 16
WEIGHTS = {2: 10, 3: 7}
"""Integer weight of a candidate's score by its number of attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveConfig:
    """Shares of the budget and limits, all public.

    Attributes:
      one_way_share: For the one-way marginals.
      tree_share: For the pairwise errors and the tree's pairs.
      error_share: Of the tree's share, for the pairwise errors.
      round_share: For the rounds.
      selection_share: Of each round, for its selection.
      rounds_per_attribute: Planned selections, as a multiple of the number of attributes; fewer where shares grow.
      picks_per_attribute: Selections of a round as a multiple of the number of attributes beyond ``FEW_ATTRIBUTES``, at
        least one; all from one fit, and no two share more than one attribute.
      penalty: Noise that a cell must beat, as a multiple of sigma.
      saturation: A cell's penalty never exceeds this multiple of its expected count.
      model_cells: Largest model, in cells of its junction tree; ``MORE_CELLS`` times as many where there are
        ``MANY_ATTRIBUTES``.
      model_mb: Megabytes (10^6 bytes) that the largest fit may take; None for no such limit.
      candidate_cells: Largest candidate, in cells.
      workload: Which marginals matter; None for all of up to three attributes alike.
    """

    one_way_share: float = 0.05
    tree_share: float = 0.20
    error_share: float = 0.15
    round_share: float = 0.45
    selection_share: float = 0.10
    rounds_per_attribute: int = 2
    picks_per_attribute: float = 0.25
    penalty: float = 0.6
    saturation: float = 4.0
    model_cells: int = 1_000_000
    model_mb: int | None = None
    candidate_cells: int = 200_000
    workload: Workload | None = None

    def __post_init__(self) -> None:
        shares = (self.one_way_share, self.tree_share, self.round_share)
        parts = (*shares, self.error_share, self.selection_share)
        model = (self.model_cells, 1 if self.model_mb is None else self.model_mb)
        counts = (self.rounds_per_attribute, *model, self.candidate_cells)
        good = all(0 < s < 1 for s in parts) and sum(shares) < 1 and min(counts) >= 1
        good = good and self.penalty >= 0 and self.picks_per_attribute > 0
        if not good or self.rounds_per_attribute > MOST_ROUNDS_PER_ATTRIBUTE:
            raise ParameterError(
                f"The settings of adaptive have the shares {parts} and the limits {counts}.",
                "Shares lie between 0 and 1, the first three leave something for the end, limits are at least 1, and "
                f"there are at most {MOST_ROUNDS_PER_ATTRIBUTE} rounds an attribute.",
                "Mend the settings.",
            )


def measure_adaptive(
    source: MarginalSource,
    config: AdaptiveConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure one-way marginals, a tree of pairs, and adaptively chosen pairs and triples.

    Args:
      source: Exact marginals of the records.
      config: Shares and limits.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      All measurements, repeats included.

    Privacy:
      Spends DiscreteGaussian events (marginals: L2 sensitivity at most ``source.max_rows``; the vector of pairwise
      errors: ``source.max_rows`` sqrt(#pairs)) and a BoundedRange per round, together at most ``amount``. A score is an
      integer weight times the L1 error against a table of whole numbers, so its sensitivity is the largest weight
      among the candidates offered times ``source.max_rows``; penalties are public or accounted. Add-remove of one unit.
      Checked by: tests/oracles/test_adaptive.py::test_selection_of_a_round,
        tests/oracles/test_adaptive.py::test_noisy_errors_of_the_tree

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    run = _Adaptive(
        source=source, config=config, coordinate=coordinate, spend=spend, random=random, sides=sides
    )
    shares = (config.one_way_share, config.tree_share, config.round_share)
    one_ways, tree, rounds, rest = split(amount, (*shares, 1.0 - sum(shares)))
    measured = run.measure([(n,) for n in source.domain.names], one_ways, None, "one-way marginals")
    if len(source.domain.names) == 1:
        return measured
    total = estimate_total(measured)
    if lost := run.lost(measured, total):
        more, rounds, rest = _moved(amount, rounds, rest)
        measured += run.measure(lost, more, [run.domain.cells(q) ** (2 / 3) for q in lost], "wide columns, once more")
    measured += run.tree(measured, total, tree)
    chosen, fit = run.rounds(measured, total, rounds)
    measured += chosen
    return measured + run.again(measured, total, rest, fit)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Adaptive:
    source: MarginalSource
    config: AdaptiveConfig
    coordinate: Coordinate
    spend: Spend
    random: RandomSource
    sides: tuple[Side, ...]

    @property
    def domain(self) -> Domain:
        return self.source.domain

    @property
    def many(self) -> bool:
        return len(self.domain.names) >= MANY_ATTRIBUTES

    def measure(
        self, cliques: Sequence[Clique], amount: int, weights: Sequence[float] | None, label: str
    ) -> list[Measurement]:
        """Marginals with shares of ``amount`` by weight; equal shares where there are none."""
        amounts = split(amount, weights or [1.0] * len(cliques))
        noise = marginal_sigmas(self.source, cliques, amounts, coordinate=self.coordinate)
        return measure_marginals(
            self.source, cliques, sigmas=noise, spend=self.spend, random=self.random, label=label, sides=self.sides
        )

    def lost(self, one_ways: Sequence[Measurement], total: float) -> list[Clique]:
        """Of many attributes those of many codes, if noise misplaces more than ``LOST`` of the rows in one of them.

        Noise in a wide attribute is an error of every marginal with it, so it is measured first of all.
        """
        wide = [m for m in one_ways if self.many and m.values.size >= MANY_CODES]
        rough = [m for m in wide if 0.4 * m.values.size * m.sigma > LOST * max(total, 1.0)]
        return [m.clique for m in wide] if any(m.values.size >= WIDE_CODES for m in rough) else []

    def tree(self, one_ways: Sequence[Measurement], total: float, amount: int) -> list[Measurement]:
        """The pairs of a maximum spanning tree of noisy pairwise errors against independence."""
        pairs: list[Clique] = list(itertools.combinations(self.domain.names, 2))
        errors, rest = split(amount, (self.config.error_share, 1.0 - self.config.error_share))
        share = {m.clique[0]: _positive_share(m) for m in one_ways}
        exact = np.array(
            [l1_error(counts, total * np.outer(share[q[0]], share[q[1]])) for q, counts in self.source.counts(pairs)],
            dtype=np.int64,
        )
        sensitivity = vector_sensitivity(self.source.max_rows, len(pairs))
        (sigma,) = sigmas([errors], coordinate=self.coordinate, sensitivity=sensitivity)
        noisy = measure_gaussian(
            exact,
            sigma=sigma,
            sensitivity=sensitivity,
            spend=self.spend,
            random=self.random,
            label="errors of all pairs against independence",
            sides=self.sides,
        )
        typical = self._sigma(rest // (len(self.domain.names) - 1))
        gains = [
            float(e) - self._tree_penalty(total, share[q[0]], share[q[1]], typical * relative_noise(self.source, q))
            for q, e in zip(pairs, noisy.tolist(), strict=True)
        ]
        edges = _spanning_tree(self.domain, pairs, gains)
        return self.measure(edges, rest, by_noise(self.source, edges), "pairs of the tree")

    def rounds(self, measured: Sequence[Measurement], total: float, amount: int) -> tuple[list[Measurement], Fit]:
        """Select the candidates whose errors exceed their noise most, measure them, fit; until ``amount`` is used up.

        A round makes several selections from one set of scores, each charged as one of its own.
        """
        config, found = self.config, list(measured)
        pairs = [m.clique for m in found if len(m.clique) == 2]
        offered = dict.fromkeys([*pairs, *_candidates(self.domain, config)])
        workload = config.workload or Workload()
        candidates = Candidates(self.source, {q: WEIGHTS[len(q)] * max(1, workload.weight(q)) for q in offered})
        sizes = TreeSizes(self.domain, [m.clique for m in found])
        most = config.model_cells * (MORE_CELLS if self.many else 1)
        picks = max(1, round(config.picks_per_attribute * (len(self.domain.names) - FEW_ATTRIBUTES)))
        share = max(1, amount // (config.rounds_per_attribute * len(self.domain.names)))
        left, fit = amount, self._fit(found, total, None)
        while left > 0:
            sample = scoring_sample(fit.model, self.random)
            share = share if left >= 2 * share else left
            sigma = self._sigma(split(share, self._parts)[1])
            limit = most * min(1.0, (amount - left + picks * share) / amount)
            open_to = candidates.feasible(sizes, fit.model, limit, config.model_mb)
            errors, penalties = self._scores(candidates, open_to, sample, total, sigma)
            chosen: list[int] = []
            while left > 0 and len(chosen) < picks and len(open_to):
                share = share if left >= 2 * share else left
                selection, measurement = split(share, self._parts)
                pick = self._select(candidates.weights[open_to], errors, penalties, selection=selection)
                chosen.append(int(open_to[pick]))
                clique = candidates.cliques[chosen[-1]]
                found += self.measure([clique], measurement, None, "chosen in a round")
                sizes.add(clique)
                left -= share
                keep = candidates.shared(open_to, chosen[-1]) < 2
                keep[keep] = candidates.within(open_to[keep], sizes, fit.model, limit, config.model_mb)
                open_to, errors, penalties = open_to[keep], errors[keep], penalties[keep]
            before = [expected_counts(sample, self.domain, candidates.cliques[q], total) for q in chosen]
            fit = self._fit(found, total, fit)
            after = [total * fit.model.marginal(candidates.cliques[q]).ravel() for q in chosen]
            calm = [
                float(np.abs(new - old).sum())
                <= self._penalty(old, self.config.penalty * sigma * candidates.relative[q])
                for new, old, q in zip(after, before, chosen, strict=True)
            ]
            if 2 * sum(calm) > len(calm):
                share = 4 * share
        return found[len(measured) :], fit

    def again(self, measured: Sequence[Measurement], total: float, amount: int, fit: Fit) -> list[Measurement]:
        """Measure the maximal measured cliques once more, in shares by their effective noise.

        Of many attributes also the wide ones' own: noise in one is an error of every marginal with it, so its cells
        count once for each attribute of the table.
        """
        cliques = list(dict.fromkeys(m.clique for m in measured))
        maximal = [q for q in cliques if not any(set(q) < set(r) for r in cliques)]
        sigma = self._sigma(amount // len(maximal))
        relative = [relative_noise(self.source, q) for q in maximal]
        raw = [
            (self.domain.cells(q) * r * max(1.0, np.minimum(1.0, total * fit.model.marginal(q) / (sigma * r)).sum()))
            ** (2 / 3)
            for q, r in zip(maximal, relative, strict=True)
        ]
        wide: list[Clique] = [(n,) for n in self.domain.names if self.many and self.domain.size(n) >= MANY_CODES]
        raw += [(len(self.domain.names) * self.domain.cells(q)) ** (4 / 3) for q in wide]
        effective = graded(raw)
        floor = sum(effective) / len(effective)  # at least half of an equal share: what the plan foresees
        return self.measure([*maximal, *wide], amount, [floor + e for e in effective], "measured again")

    @property
    def _parts(self) -> tuple[float, float]:
        return self.config.selection_share, 1.0 - self.config.selection_share

    def _scores(
        self, candidates: Candidates, positions: NDArray[np.int64], sample: Codes, total: float, sigma: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return candidates.scores(
            positions, sample, total=total, ceiling=self.config.penalty * sigma, saturation=self.config.saturation
        )

    def _select(
        self,
        weights: NDArray[np.int64],
        errors: NDArray[np.int64],
        penalties: NDArray[np.float64],
        *,
        selection: int,
    ) -> int:
        return select_candidate(
            weights.tolist(),
            errors.tolist(),
            penalties.tolist(),
            max_rows=self.source.max_rows,
            amount=selection,
            coordinate=self.coordinate,
            spend=self.spend,
            random=self.random,
            sides=self.sides,
        )

    def _tree_penalty(
        self, total: float, first: NDArray[np.float64], second: NDArray[np.float64], sigma: float
    ) -> float:
        """Noise that a pair must beat; of many attributes only in cells that it could reach."""
        if not self.many:
            return self.config.penalty * sigma * min(first.size * second.size, total / 3)
        ceiling = MANY_TREE_PENALTY * sigma
        return min(self._penalty(total * np.outer(first, second), ceiling), ceiling * total / 3)

    def _penalty(self, expected: NDArray[np.float64], ceiling: float) -> float:
        return float(np.minimum(ceiling, self.config.saturation * expected).sum())

    def _sigma(self, amount: int) -> float:
        return sigmas([amount], coordinate=self.coordinate, sensitivity=self.source.max_rows)[0]

    def _fit(self, measured: Sequence[Measurement], total: float, warm: Fit | None) -> Fit:
        return fit_tree(
            self.domain, measured, total=total, warm=warm, max_calls=FIT_CALLS, tolerance=FIT_TOLERANCE
        )


def _moved(amount: int, rounds: int, rest: int) -> tuple[int, int, int]:
    """For wide attributes that are lost in noise: a share of the whole, taken from the rounds and from the end."""
    from_rounds, from_rest = (int(amount * part) for part in FOR_LOST)
    taken = min(from_rounds, rounds // 2), min(from_rest, rest // 2)
    return sum(taken), rounds - taken[0], rest - taken[1]


def _positive_share(measurement: Measurement) -> NDArray[np.float64]:
    positive = np.maximum(measurement.values, 0.5)
    return np.asarray(positive / positive.sum())


def _spanning_tree(domain: Domain, pairs: Sequence[Clique], gains: Sequence[float]) -> list[Clique]:
    component = {n: n for n in domain.names}
    edges = []
    for _, pair in sorted(zip(gains, pairs, strict=True), key=lambda g: (-g[0], g[1])):
        old, new = component[pair[0]], component[pair[1]]
        if old != new:
            edges.append(pair)
            component = {n: new if c == old else c for n, c in component.items()}
    return edges


def _candidates(domain: Domain, config: AdaptiveConfig) -> list[Clique]:
    workload, left, found = config.workload or Workload(), CANDIDATES_CELLS, list[Clique]()
    for ways in (k for k in WEIGHTS if k <= len(domain.names)):
        if ways > 2 and len(domain.names) >= MANY_ATTRIBUTES:
            left = min(left, MANY_TRIPLES_CELLS)
        found += workload.candidates(domain, sizes=[ways], cells_each=config.candidate_cells, cells_together=left)
        left = CANDIDATES_CELLS - sum(domain.cells(q) for q in found)
    return found or [min(itertools.combinations(domain.names, 2), key=domain.cells)]
