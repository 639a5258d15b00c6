"""MST: one-way marginals, a privately chosen spanning tree of pairs, and those pairs.

Follows McKenna, Miklau, Sheldon 2021 (arXiv:2108.04978), Algorithm 2 of the NIST 2018 winner, with three changes: the
score subtracts the noise that a pair would bring (a public number), selection is one exact exponential mechanism an
edge with coefficient 1/2 on integer scores, and the budget follows cells^(2/3).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountant.calibrate import bounded_range_eta
from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import estimate_total, estimate_tree
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.shares import by_noise, marginal_sigmas, relative_noise, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.noise.selection import select_exponential
from dpsynth.sources.base import MarginalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class MstConfig:
    """Shares of the budget, each in (0, 1), together 1; and a limit.

    Attributes:
      one_way_share: For the one-way marginals.
      selection_share: For choosing the tree's edges.
      pair_share: For the chosen pairs.
      penalty: Records of L1 error that a cell must promise above its noise, as a multiple of sigma.
      model_mb: Megabytes (10^6 bytes) that its fit may take, declared rules included; None for no such limit.
    """

    one_way_share: float = 0.10
    selection_share: float = 0.08
    pair_share: float = 0.82
    penalty: float = 0.6
    model_mb: int | None = None

    def __post_init__(self) -> None:
        shares = (self.one_way_share, self.selection_share, self.pair_share)
        if not all(0 < s < 1 for s in shares) or abs(sum(shares) - 1) > 1e-9 or self.penalty < 0:
            raise ParameterError(
                f"The shares of mst are {shares}, with penalty {self.penalty}.",
                "Each lies between 0 and 1, they add up to 1, and the penalty isn't negative.",
                "Give shares that add up to 1.",
            )


def measure_mst(
    source: MarginalSource,
    config: MstConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure one-way marginals and the pairs of a privately selected spanning tree.

    Args:
      source: Exact marginals of the records.
      config: Shares of the budget.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      The one-way marginals, then the tree's pairs.

    Privacy:
      Spends a DiscreteGaussian per marginal and a BoundedRange per edge, together at most ``amount``. Marginals have
      the L2 sensitivity that the source's bounds give them, at most ``source.max_rows``, which is that of every L1
      error against a fixed integer table (add-remove of one unit); errors aren't monotone in the data, so the
      exponential mechanism keeps its coefficient 1/2.
      Checked by: tests/oracles/test_mechanisms.py::test_mst

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
    """
    domain = source.domain
    one_ways, selection, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    cliques: list[Clique] = [(n,) for n in domain.names]
    noise = marginal_sigmas(source, cliques, split(one_ways, by_noise(source, cliques)), coordinate=coordinate)
    measured = measure_marginals(
        source, cliques, sigmas=noise, spend=spend, random=random, label="one-way marginals", sides=sides
    )
    if len(domain.names) == 1:
        return measured
    guess = _typical_sigma(domain, pairs, coordinate, source.max_rows)
    scores = _scores(source, measured, penalty=config.penalty * guess)
    edges = select_tree(
        domain,
        scores,
        sensitivity=source.max_rows,
        amount=selection,
        coordinate=coordinate,
        spend=spend,
        random=random,
        sides=sides,
    )
    noise = marginal_sigmas(source, edges, split(pairs, by_noise(source, edges)), coordinate=coordinate)
    return measured + measure_marginals(
        source, edges, sigmas=noise, spend=spend, random=random, label="pairs of the tree", sides=sides
    )


def select_tree(
    domain: Domain,
    scores: Mapping[Clique, int],
    *,
    sensitivity: int,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...],
) -> list[Clique]:
    """Kruskal's algorithm with each edge chosen by the exponential mechanism among those that join two components.

    Args:
      domain: The public domain.
      scores: Integer score of every pair, private.
      sensitivity: How much one unit changes a score.
      amount: Budget of the whole tree, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the draws.
      sides: Whose records the scores come from.

    Returns:
      ``len(domain.names) - 1`` pairs that span the domain.

    Privacy:
      Spends one BoundedRange per edge, together at most ``amount``; score sensitivity ``sensitivity`` under add-remove
      of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_select_tree
    """
    component = {n: n for n in domain.names}
    edges: list[Clique] = []
    rounds = len(domain.names) - 1
    eta = bounded_range_eta(amount=split(amount, [1.0] * rounds)[0], coordinate=coordinate)
    for i in range(rounds):
        offered = [c for c in scores if component[c[0]] != component[c[1]]]
        chosen = offered[
            select_exponential(
                [scores[c] for c in offered],
                sensitivity=sensitivity,
                eta=eta,
                spend=spend,
                random=random,
                label=f"edge {i + 1} of the tree",
                sides=sides,
            )
        ]
        edges.append(chosen)
        old, new = component[chosen[0]], component[chosen[1]]
        component = {n: new if c == old else c for n, c in component.items()}
    return edges


def _typical_sigma(domain: Domain, amount: int, coordinate: Coordinate, sensitivity: int) -> float:
    """The noise of a pair if the budget were shared equally and all rows of a unit lay in one cell: public."""
    share = split(amount, [1.0] * (len(domain.names) - 1))[0]
    return sigmas([share], coordinate=coordinate, sensitivity=sensitivity)[0]


def _scores(source: MarginalSource, measured: Sequence[Measurement], *, penalty: float) -> dict[Clique, int]:
    """Integer L1 error of every pair against independence, less the noise of its cells. Private.

    One record changes one cell of a pair by 1, hence the error by at most 1, because the model's table is rounded to
    integers before the difference; the penalty is a public or accounted number.
    """
    domain = source.domain
    total = estimate_total(measured)
    shares = {m.clique[0]: _share(m, total, domain) for m in measured}
    scores = {}
    for clique, counts in source.counts(list(itertools.combinations(domain.names, 2))):
        expected = total * np.outer(shares[clique[0]], shares[clique[1]])
        error = int(np.abs(counts - np.rint(expected).astype(np.int64)).sum())
        ceiling = penalty * relative_noise(source, clique)
        scores[clique] = error - round(float(np.minimum(ceiling, 4 * expected).sum()))
    return scores


def _share(measurement: Measurement, total: float, domain: Domain) -> NDArray[np.float64]:
    """The one-way distribution as estimation sees it: non-negative, from the noisy marginal alone."""
    (name,) = measurement.clique
    model = estimate_tree(Domain.of({name: domain.size(name)}), [measurement], total=total)
    return np.asarray(model.beliefs[0])
