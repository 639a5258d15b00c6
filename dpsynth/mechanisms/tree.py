"""The one-shot tree: noisy errors of all candidates at once, a greedily grown junction tree, one measurement of it.

Two rounds of Gaussian noise and no exponential mechanism, so the model is fitted once. Noise is shared out by
(weight * cells)^(2/3) as in PrivSyn (Zhang et al. 2021, arXiv:2012.15128), and its cost decides when to stop.

  1. one-way marginals
  2. noisy L1 errors of all candidates against independence
  3. until nothing gains: add the candidate whose error, beyond what is explained already, exceeds the noise it brings
     most, among those that keep the junction tree within its size
  4. the maximal chosen marginals, and once more the attributes that are in none
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import estimate_total
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.errors import independent_counts, measure_errors
from dpsynth.mechanisms.scoring import CANDIDATES_CELLS
from dpsynth.mechanisms.shares import by_noise, marginal_sigmas, relative_noise, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource
from dpsynth.workload import Workload

MOST_PER_ATTRIBUTE = 8
"""Candidates chosen at most, as a multiple of the number of attributes."""

LEAST_SHARE = 0.2
"""Of an equal share: what every marginal of the tree gets at least, so that its noise can be foreseen."""

ONE_WAY_DOUBT = 0.6
"""L1 error of a candidate for each unit of noise in each cell of its one-way marginals: what independence is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeConfig:
    """Shares of the budget and limits, all public.

    Attributes:
      one_way_share: For the one-way marginals.
      error_share: For the errors of all candidates.
      measured_per_attribute: Marginals that the penalty expects to be measured, as a multiple of the attributes.
      triple_weight: Weight of a triple's error beside a pair's.
      penalty: Noise that a cell must beat, as a multiple of sigma.
      doubt: Noise of its own that an error must beat, as a multiple of its standard deviation: the largest of many
        noisy errors is too large.
      saturation: A cell's penalty never exceeds this multiple of its expected count.
      model_cells: Largest model, in cells of its junction tree.
      model_mb: Megabytes (10^6 bytes) that its fit may take; None for no such limit.
      candidate_cells: Largest candidate, in cells.
      workload: A declared workload; None for all three-way marginals.
    """

    one_way_share: float = 0.10
    error_share: float = 0.10
    measured_per_attribute: float = 2.0
    triple_weight: float = 0.7
    penalty: float = 0.8
    doubt: float = 1.0
    saturation: float = 4.0
    model_cells: int = 200_000
    model_mb: int | None = None
    candidate_cells: int = 50_000
    workload: Workload | None = None

    def __post_init__(self) -> None:
        shares = (self.one_way_share, self.error_share)
        model = (self.model_cells, 1 if self.model_mb is None else self.model_mb)
        limits = (self.measured_per_attribute, *model, self.candidate_cells)
        scales = (self.penalty, self.doubt, self.saturation, self.triple_weight)
        if not (all(0 < s < 1 for s in shares) and sum(shares) < 1 and min(limits) >= 1 and min(scales) >= 0):
            raise ParameterError(
                f"The settings of tree have the shares {shares}, the limits {limits} and the scales {scales}.",
                "Shares lie between 0 and 1 and leave something, limits are at least 1, scales at least 0.",
                "Mend the settings.",
            )


def measure_tree(
    source: MarginalSource,
    config: TreeConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure one-way marginals, the errors of all candidates, and a junction tree grown from them.

    Args:
      source: Exact marginals of the records.
      config: Shares and limits.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      The one-way marginals, then the tree's.

    Privacy:
      Spends a DiscreteGaussian per marginal (its L2 sensitivity at most ``source.max_rows``) and one for the errors
      (``source.max_rows`` sqrt(#candidates)), together at most ``amount``; what is grown from the noisy errors is
      post-processing. Add-remove of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_tree,
        tests/oracles/test_mechanisms.py::test_errors_of_many_marginals

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    domain = source.domain
    one_way, error, rest = split(
        amount, (config.one_way_share, config.error_share, 1.0 - config.one_way_share - config.error_share)
    )

    def measure(cliques: Sequence[Clique], amount: int, weights: Sequence[float], label: str) -> list[Measurement]:
        noise = marginal_sigmas(source, cliques, split(amount, weights), coordinate=coordinate)
        return measure_marginals(source, cliques, sigmas=noise, spend=spend, random=random, label=label, sides=sides)

    singles: list[Clique] = [(n,) for n in domain.names]
    measured = measure(singles, one_way, by_noise(source, singles), "one-way marginals")
    weights = candidate_weights(domain, config)
    if not weights:
        return measured
    total = estimate_total(measured)
    expected = independent_counts(measured, list(weights), total)
    errors, doubt = measure_errors(
        source,
        expected,
        amount=error,
        coordinate=coordinate,
        spend=spend,
        random=random,
        label="errors of all candidates against independence",
        sides=sides,
    )
    planned = max(1, int(rest / (config.measured_per_attribute * len(domain.names))))
    (sigma,) = sigmas([planned], coordinate=coordinate, sensitivity=source.max_rows)
    (least,) = sigmas([rest], coordinate=coordinate, sensitivity=source.max_rows)
    relative = {q: relative_noise(source, q) for q in (*expected, *singles)}
    reached = {
        q: np.minimum(1.0, config.saturation * table / (config.penalty * sigma * relative[q]))
        for q, table in expected.items()
    }
    effective = {q: relative[q] * float(cells.sum()) for q, cells in reached.items()}
    own = {m.clique[0]: ONE_WAY_DOUBT * m.sigma * m.values.size for m in measured}
    believed = {q: e - config.doubt * doubt - sum(own[n] for n in q) for q, e in errors.items()}
    chosen = grow(
        domain,
        believed,
        weights,
        effective,
        noise=config.penalty * least,
        model_cells=config.model_cells,
        model_mb=config.model_mb,
    )
    last = chosen + [q for q in singles if not any(set(q) < set(r) for r in chosen)]
    shares = [(weights.get(q, 1.0) * domain.cells(q) * relative[q]) ** (2 / 3) for q in last]
    floor = LEAST_SHARE / (1 - LEAST_SHARE) * sum(shares) / len(shares)
    return measured + measure(last, rest, [floor + s for s in shares], "marginals of the tree")


def candidate_weights(domain: Domain, config: TreeConfig) -> dict[Clique, float]:
    """Pairs and triples of the workload that are small enough, with their weights; the smallest pair at least."""
    workload = config.workload or Workload()
    found = workload.candidates(
        domain, sizes=(2, 3), cells_each=config.candidate_cells, cells_together=CANDIDATES_CELLS
    )
    if not found and len(domain.names) > 1:
        found = [min(itertools.combinations(domain.names, 2), key=domain.cells)]
    return {q: max(1, workload.weight(q)) * (config.triple_weight if len(q) == 3 else 1.0) for q in found}


def grow(
    domain: Domain,
    errors: Mapping[Clique, float],
    weights: Mapping[Clique, float],
    effective: Mapping[Clique, float],
    *,
    noise: float,
    model_cells: int,
    model_mb: int | None = None,
) -> list[Clique]:
    """Candidates chosen greedily by weight times (error beyond what chosen ones explain, minus the noise it brings).

    Measuring cliques of c cells each in shares of c^(2/3) brings noise * (sum of c^(2/3))^(3/2) of L1 error together:
    what one more would add to that is its own noise and what the others lose to it. A chosen pair inside a triple
    explains as much of the triple's error as of its own; of three, the two largest.

    Args:
      domain: The public domain.
      errors: Noisy error of each candidate against independence, an accounted output.
      weights: Weight of each.
      effective: Cells of each that noise would reach, times its relative noise.
      noise: L1 error of a single cell that had the whole budget, where all rows of a unit may lie in it.
      model_cells: Most cells of the junction tree.
      model_mb: Most megabytes of its fit, the one-way marginals included.

    Returns:
      The maximal chosen candidates.

    Privacy:
      None; post-processing.
    """
    offered = sorted(errors)
    sizes, chosen, covered = TreeSizes(domain, [(n,) for n in domain.names]), list[Clique](), set[Clique]()
    columns = sizes.columns(offered)
    weight, beyond = (np.array([given[q] for q in offered], dtype=np.float64) for given in (weights, errors))
    part = np.array([effective[q] for q in offered]) ** (2 / 3)
    share = dict(zip(offered, part.tolist(), strict=True))
    left, spread = np.ones(len(offered), dtype=np.bool_), 0.0
    while len(chosen) < MOST_PER_ATTRIBUTE * len(domain.names):
        brought = noise * ((spread + part) ** 1.5 - spread**1.5)
        gains = np.where(left, weight * (beyond - brought), 0.0)
        positive = np.flatnonzero(gains > 0)
        best_first = positive[np.lexsort((-positive, -gains[positive]))]
        fits = (sizes.within([offered[i]], cells=model_cells, megabytes=model_mb)[0] for i in best_first)
        tried = next((at + 1 for at, fit in enumerate(fits) if fit), 0)
        left[best_first[:tried] if tried else best_first] = False  # models only grow: what doesn't fit never will
        if not tried:
            break
        position = int(best_first[tried - 1])
        best = offered[position]
        chosen.append(best)
        sizes.add(best)
        inside = set(itertools.combinations(best, 2))
        spread += share[best] - sum(share[q] for q in inside & set(chosen) - {best})
        covered |= inside
        shared = np.isin(columns, columns[position][columns[position] >= 0]).sum(axis=1)
        for i in np.flatnonzero(left & (shared >= 2)).tolist():
            found = sorted(errors.get(p, 0.0) for p in itertools.combinations(offered[i], 2) if p in covered)
            if len(offered[i]) == 2:
                left[i] = False
            else:
                beyond[i] = errors[offered[i]] - sum(found[1:] if len(found) == 3 else found[-1:])
    return [q for q in chosen if not any(set(q) < set(r) for r in chosen)]
