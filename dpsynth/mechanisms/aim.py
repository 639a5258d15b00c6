"""AIM, as published: workload-aware adaptive and iterative measurement, with a sound selection.

McKenna, Mullins, Sheldon, Miklau 2022 (arXiv:2201.12677), Algorithms 1 to 3, for the workload of all 3-way marginals or
a declared one.
The exponential mechanism keeps its coefficient 1/2: an L1 error isn't monotone in the data, so the coefficient 1 that
is often used would cost four times what it charges. The budget is the ledger's coordinate instead of zCDP alone.
"""

import math
from dataclasses import dataclass

import numpy as np

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Fit, estimate_total, fit_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.scoring import CANDIDATES_CELLS, Candidates, expected_counts, scoring_sample, select_candidate
from dpsynth.mechanisms.shares import marginal_sigmas, relative_noise, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource
from dpsynth.workload import Workload

SELECTION_SHARE = 0.1
ROUNDS_PER_ATTRIBUTE = 16
FIT_CALLS, FIT_TOLERANCE = 200, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class AimConfig:
    """Limits of AIM, public; its other constants are the paper's.

    Attributes:
      ways: Attributes of the workload's marginals, where none is declared.
      workload: A declared workload; None for all marginals of ``ways`` attributes.
      model_cells: Largest model, in cells of its junction tree (8 bytes each).
      model_mb: Megabytes (10^6 bytes) that its largest fit may take; None for no such limit.
      candidate_cells: Largest candidate, in cells.
    """

    ways: int = 3
    workload: Workload | None = None
    model_cells: int = 1_000_000
    model_mb: int | None = None
    candidate_cells: int = 200_000

    def __post_init__(self) -> None:
        limits = (self.ways, self.model_cells, 1 if self.model_mb is None else self.model_mb, self.candidate_cells)
        if min(limits) < 1:
            raise ParameterError(
                f"AIM was given {self.ways} ways and limits of {self.model_cells} and {self.candidate_cells} cells.",
                "Each is at least 1.",
                "Mend the settings.",
            )


def measure_aim(
    source: MarginalSource,
    config: AimConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure one-way marginals, then one adaptively selected marginal a round, with annealed budgets.

    Args:
      source: Exact marginals of the records.
      config: Limits.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      All measurements, repeats included.

    Privacy:
      Spends a DiscreteGaussian per marginal (L2 sensitivity at most ``source.max_rows``) and a BoundedRange per round,
      together at most ``amount``. A score is the candidate's whole weight times its L1 error against a table of whole
      numbers; its sensitivity is the largest weight offered times ``source.max_rows``. Add-remove of one unit.
      Checked by: tests/oracles/test_adaptive.py::test_selection_of_aim

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    domain = source.domain
    weights = candidate_weights(domain, config)
    share = max(1, amount // (ROUNDS_PER_ATTRIBUTE * len(domain.names)))
    one_ways: list[Clique] = [(n,) for n in domain.names]

    def measure(cliques: list[Clique], each: int, label: str) -> list[Measurement]:
        noise = marginal_sigmas(source, cliques, [each] * len(cliques), coordinate=coordinate)
        return measure_marginals(source, cliques, sigmas=noise, spend=spend, random=random, label=label, sides=sides)

    initial = split(share, (SELECTION_SHARE, 1.0 - SELECTION_SHARE))[1]
    found = measure(one_ways, initial, "one-way marginals")
    total, left = estimate_total(found), amount - len(one_ways) * initial
    candidates = Candidates(source, weights)
    sizes, fit = TreeSizes(domain, one_ways), _fit(domain, found, total, None)
    while left > 0:
        share = share if left >= 2 * share else left
        selection, measurement = split(share, (SELECTION_SHARE, 1.0 - SELECTION_SHARE))
        (sigma,) = sigmas([measurement], coordinate=coordinate, sensitivity=source.max_rows)
        cells = config.model_cells * (amount - left + share) / amount
        offered = candidates.feasible(sizes, fit.model, cells, config.model_mb)
        sample = scoring_sample(fit.model, random)
        errors, _ = candidates.scores(offered, sample, total=total, ceiling=0.0, saturation=0.0)
        pick = select_candidate(
            candidates.weights[offered].tolist(),
            errors.tolist(),
            [_noise(sigma, cells) for cells in (candidates.cells * candidates.relative)[offered].tolist()],
            max_rows=source.max_rows,
            amount=selection,
            coordinate=coordinate,
            spend=spend,
            random=random,
            sides=sides,
        )
        chosen = candidates.cliques[offered[pick]]
        before = expected_counts(sample, domain, chosen, total)
        found += measure([chosen], measurement, "chosen in a round")
        sizes.add(chosen)
        fit = _fit(domain, found, total, fit)
        left -= share
        change = np.abs(total * fit.model.marginal(chosen).ravel() - before).sum()
        if change <= _noise(sigma, domain.cells(chosen) * relative_noise(source, chosen)):
            share = 4 * share
    return found


def candidate_weights(domain: Domain, config: AimConfig) -> dict[Clique, int]:
    """Every small enough subset of a workload marginal, with its weight: attributes shared with the workload."""
    workload = config.workload or Workload(ways=min(config.ways, len(domain.names)))
    mass = workload.attribute_mass(domain)
    widest = max(workload.ways, *(len(q) for q, _ in workload.marginals), 1)
    one_ways: list[Clique] = [(n,) for n in domain.names]
    wider = workload.candidates(
        domain,
        sizes=range(2, min(widest, len(domain.names)) + 1),
        cells_each=config.candidate_cells,
        cells_together=CANDIDATES_CELLS,
    )
    return {q: sum(mass[n] for n in q) for q in (*one_ways, *wider) if any(mass[n] for n in q)}


def _noise(sigma: float, cells: float) -> float:
    """Expected L1 norm of the noise on so many cells."""
    return math.sqrt(2.0 / math.pi) * sigma * cells


def _fit(domain: Domain, found: list[Measurement], total: float, warm: Fit | None) -> Fit:
    return fit_tree(domain, found, total=total, warm=warm, max_calls=FIT_CALLS, tolerance=FIT_TOLERANCE)
