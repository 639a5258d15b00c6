"""MWEM: a fixed number of rounds, each selecting the worst marginal of the workload and measuring it.

Hardt, Ligett, McSherry 2012 (arXiv:1012.4763), Figure 1. Where the full joint table is small the estimate is theirs,
multiplicative weights; elsewhere it is the graphical model of McKenna, Sheldon, Miklau 2019 (arXiv:1901.09136, section
5), which the size of the domain doesn't touch, with their penalty for noise in the score. Changed: the number of rows
is private, so one-way marginals come first; noise is Gaussian, and the budget is the ledger's coordinate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Fit, TreeModel, estimate_total, estimate_tree, fit_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.estimation.multiplicative import estimate_joint, joint_model, multiplicative_weights
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.scoring import CANDIDATES_CELLS, Candidates, scoring_sample, select_candidate
from dpsynth.mechanisms.shares import by_noise, marginal_sigmas, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource
from dpsynth.workload import Workload

MOST_ROUNDS_PER_ATTRIBUTE = 16
FIT_CALLS, FIT_TOLERANCE = 50, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class MwemConfig:
    """Rounds, shares and limits, all public.

    Attributes:
      rounds_per_attribute: Rounds, as a multiple of the number of attributes.
      one_way_share: For the one-way marginals.
      selection_share: Of each round, for its selection.
      joint_cells: Largest domain that is estimated by multiplicative weights on its full joint table.
      model_cells: Largest graphical model, in cells of its junction tree.
      model_mb: Megabytes (10^6 bytes) that its largest fit may take; None for no such limit.
      candidate_cells: Largest candidate, in cells.
      workload: A declared workload; None for all three-way marginals.
    """

    rounds_per_attribute: int = 2
    one_way_share: float = 0.10
    selection_share: float = 0.20
    joint_cells: int = 20_000
    model_cells: int = 100_000
    model_mb: int | None = None
    candidate_cells: int = 50_000
    workload: Workload | None = None

    def __post_init__(self) -> None:
        shares = (self.one_way_share, self.selection_share)
        model = (self.model_cells, 1 if self.model_mb is None else self.model_mb)
        limits = (self.rounds_per_attribute, self.joint_cells, *model, self.candidate_cells)
        good = all(0 < s < 1 for s in shares) and min(limits) >= 1
        if not good or self.rounds_per_attribute > MOST_ROUNDS_PER_ATTRIBUTE:
            raise ParameterError(
                f"The settings of mwem have the shares {shares} and the limits {limits}.",
                "Shares lie between 0 and 1, limits are at least 1, and there are at most "
                f"{MOST_ROUNDS_PER_ATTRIBUTE} rounds an attribute.",
                "Mend the settings.",
            )


def measure_mwem(
    source: MarginalSource,
    config: MwemConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure one-way marginals, then one selected marginal of the workload a round, in equal shares.

    Args:
      source: Exact marginals of the records.
      config: Rounds, shares and limits.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      All measurements, repeats included, in the order of the rounds.

    Privacy:
      Spends a DiscreteGaussian per marginal (L2 sensitivity at most ``source.max_rows``) and a BoundedRange per round,
      together at most ``amount``. A score is the candidate's whole weight times its L1 error against a table of whole
      numbers; its sensitivity is the largest weight offered times ``source.max_rows``. Add-remove of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_mwem

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    domain = source.domain

    def measure(cliques: list[Clique], amounts: Sequence[int], label: str) -> list[Measurement]:
        noise = marginal_sigmas(source, cliques, amounts, coordinate=coordinate)
        return measure_marginals(source, cliques, sigmas=noise, spend=spend, random=random, label=label, sides=sides)

    singles: list[Clique] = [(n,) for n in domain.names]
    one_way, rest = split(amount, (config.one_way_share, 1.0 - config.one_way_share))
    weights = candidate_weights(domain, config)
    found = measure(singles, split(one_way if weights else amount, by_noise(source, singles)), "one-way marginals")
    if not weights:
        return found
    total = estimate_total(found)
    candidates = Candidates(source, weights)
    limit_mb = None if is_small(domain, config) else config.model_mb
    state: _State | None = None
    for share in split(rest, [1.0] * (config.rounds_per_attribute * len(domain.names))):
        selection, measurement = split(share, (config.selection_share, 1.0 - config.selection_share))
        (sigma,) = sigmas([measurement], coordinate=coordinate, sensitivity=source.max_rows)
        state = _fitted(domain, found, total, config, state)
        sizes = TreeSizes(domain, [m.clique for m in found])
        offered = candidates.feasible(sizes, state.model, config.model_cells, limit_mb)
        sample = scoring_sample(state.model, random)
        errors, _ = candidates.scores(offered, sample, total=total, ceiling=0.0, saturation=0.0)
        pick = select_candidate(
            candidates.weights[offered].tolist(),
            errors.tolist(),
            (math.sqrt(2 / math.pi) * sigma * (candidates.cells * candidates.relative)[offered]).tolist(),
            max_rows=source.max_rows,
            amount=selection,
            coordinate=coordinate,
            spend=spend,
            random=random,
            sides=sides,
        )
        found += measure([candidates.cliques[offered[pick]]], [measurement], "chosen in a round")
    return found


def candidate_weights(domain: Domain, config: MwemConfig) -> dict[Clique, int]:
    """Pairs and triples of the workload that are small enough, alone and beside all columns, with whole weights.

    What the first round could not measure no later round could: models only grow.
    """
    workload = config.workload or Workload()
    found = workload.candidates(
        domain, sizes=(2, 3), cells_each=config.candidate_cells, cells_together=CANDIDATES_CELLS
    )
    if not is_small(domain, config) and found:
        sizes = TreeSizes(domain, [(n,) for n in domain.names])
        fits = sizes.within(found, cells=config.model_cells, megabytes=config.model_mb)
        found = [q for q, fit in zip(found, fits.tolist(), strict=True) if fit]
    return {q: max(1, workload.weight(q)) for q in found}


def is_small(domain: Domain, config: MwemConfig) -> bool:
    """Whether the full joint table is small enough for multiplicative weights: a public fact."""
    return domain.cells(domain.names) <= config.joint_cells


def estimate_mwem(domain: Domain, measurements: Sequence[Measurement], config: MwemConfig) -> TreeModel:
    """The estimate of the last round: multiplicative weights on a small domain, a graphical model elsewhere.

    Privacy:
      None; post-processing.
    """
    return estimate_joint(domain, measurements) if is_small(domain, config) else estimate_tree(domain, measurements)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """What a round leaves to the next: its model, and where its estimate goes on from."""

    model: TreeModel
    fit: Fit | None = None
    joints: tuple[NDArray[np.float64], ...] = ()


def _fitted(
    domain: Domain, found: Sequence[Measurement], total: float, config: MwemConfig, state: _State | None
) -> _State:
    if is_small(domain, config):
        earlier = state.joints if state else ()
        joints = multiplicative_weights(domain, found, total=total, earlier=earlier)
        return _State(model=joint_model(domain, joints, total), joints=tuple(joints))
    warm = state.fit if state else None
    fit = fit_tree(domain, found, total=total, warm=warm, max_calls=FIT_CALLS, tolerance=FIT_TOLERANCE)
    return _State(model=fit.model, fit=fit)
