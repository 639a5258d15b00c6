"""The mixture: all one-ways and pairs, the noisy errors of all triples, and the best of them; fitted without a tree.

For budgets that pay for more marginals than a junction tree can hold. The estimate is a mixture of products
(dpsynth.estimation.mixture), which any set of marginals fits into.

  1. all one-way marginals and all pairs, shares ~ cells^(2/3); a mixture of them
  2. noisy L1 errors of all triples against the mixture, in one shot
  3. the triples whose error exceeds their noise most, shares ~ (weight * cells)^(2/3)
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import MixtureModel
from dpsynth.estimation.mixture_solver import fit_mixture
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.errors import measure_errors
from dpsynth.mechanisms.scoring import CANDIDATES_CELLS
from dpsynth.mechanisms.shares import by_noise, marginal_sigmas, relative_noise, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource
from dpsynth.workload import Workload

LEAST_SHARE = 0.2
"""Of an equal share: what every measured triple gets at least, so that its noise can be foreseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig:
    """Shares of the budget and sizes, all public.

    Attributes:
      pair_share: For one-way marginals and pairs.
      error_share: For the errors of all triples.
      triples: Triples that are measured, at most.
      penalty: Noise that a cell must beat, as a multiple of sigma.
      saturation: A cell's penalty never exceeds this multiple of its expected count.
      components: Product distributions in the mixture.
      steps: Steps of the estimate.
      codes: Largest sum of the attributes' sizes; all pairs are one square table of it.
      candidate_cells: Largest triple, in cells.
      workload: A declared workload; None for all three-way marginals.
    """

    pair_share: float = 0.20
    error_share: float = 0.05
    triples: int = 100
    penalty: float = 0.6
    saturation: float = 4.0
    components: int = 1_200
    steps: int = 200
    codes: int = 3_000
    candidate_cells: int = 50_000
    workload: Workload | None = None

    def __post_init__(self) -> None:
        shares = (self.pair_share, self.error_share)
        limits = (self.triples, self.components, self.steps, self.codes, self.candidate_cells)
        scales = (self.penalty, self.saturation)
        if not (all(0 < s < 1 for s in shares) and sum(shares) < 1 and min(limits) >= 1 and min(scales) >= 0):
            raise ParameterError(
                f"The settings of mixture have the shares {shares}, the limits {limits} and the scales {scales}.",
                "Shares lie between 0 and 1 and leave something, limits are at least 1, scales at least 0.",
                "Mend the settings.",
            )


def measure_mixture(
    source: MarginalSource,
    config: MixtureConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure all one-way marginals and pairs, the errors of all triples, and the triples with the largest ones.

    Args:
      source: Exact marginals of the records.
      config: Shares and sizes.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      One-way marginals and pairs, then triples.

    Privacy:
      Spends a DiscreteGaussian per marginal (its L2 sensitivity at most ``source.max_rows``) and one for the errors
      (``source.max_rows`` sqrt(#triples)), together at most ``amount``; fits and choices are post-processing.
      Add-remove of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_mixture,
        tests/oracles/test_mechanisms.py::test_mixture_chooses_from_noisy_errors_alone,
        tests/oracles/test_mechanisms.py::test_errors_of_many_marginals

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    domain = source.domain

    def measure(cliques: Sequence[Clique], amounts: Sequence[int], label: str) -> list[Measurement]:
        noise = marginal_sigmas(source, cliques, amounts, coordinate=coordinate)
        return measure_marginals(source, cliques, sigmas=noise, spend=spend, random=random, label=label, sides=sides)

    small = ones_and_pairs(domain)
    triples = candidate_weights(domain, config)
    if not triples:
        return measure(small, split(amount, by_noise(source, small)), "one-way marginals and pairs")
    pair, error, rest = split(
        amount, (config.pair_share, config.error_share, 1.0 - config.pair_share - config.error_share)
    )
    found = measure(small, split(pair, by_noise(source, small)), "one-way marginals and pairs")
    model = fit_mixture(domain, found, components=config.components, steps=config.steps)
    expected = {q: model.total * model.marginal(q) for q in triples}
    errors, _ = measure_errors(
        source,
        expected,
        amount=error,
        coordinate=coordinate,
        spend=spend,
        random=random,
        label="errors of all triples against pairs",
        sides=sides,
    )
    (sigma,) = sigmas([rest // config.triples], coordinate=coordinate, sensitivity=source.max_rows)
    ceiling = config.penalty * sigma
    relative = {q: relative_noise(source, q) for q in triples}
    gains = {
        q: w * (errors[q] - float(np.minimum(ceiling * relative[q], config.saturation * expected[q]).sum()))
        for q, w in triples.items()
    }
    best = sorted(gains, key=lambda q: (-gains[q], q))[: config.triples]
    shares = [(triples[q] * domain.cells(q) * relative[q]) ** (2 / 3) for q in best]
    floor = LEAST_SHARE / (1 - LEAST_SHARE) * sum(shares) / len(shares)
    return found + measure(best, split(rest, [floor + s for s in shares]), "triples with the largest errors")


def ones_and_pairs(domain: Domain) -> list[Clique]:
    """Every one-way marginal and every pair."""
    return [q for k in (1, 2) for q in itertools.combinations(domain.names, k)]


def candidate_weights(domain: Domain, config: MixtureConfig) -> dict[Clique, int]:
    """Triples of the workload that are small enough, with their whole weights."""
    workload = config.workload or Workload()
    found = workload.candidates(domain, sizes=(3,), cells_each=config.candidate_cells, cells_together=CANDIDATES_CELLS)
    return {q: max(1, workload.weight(q)) for q in found}


def estimate_mixture(domain: Domain, measurements: Sequence[Measurement], config: MixtureConfig) -> MixtureModel:
    """A mixture of products, from scratch.

    Privacy:
      None; post-processing.
    """
    return fit_mixture(domain, measurements, components=config.components, steps=config.steps)
