"""Partial synthesis: what private columns are like, given public ones that are kept as they are.

Neighbours have the same rows with the same public columns, and differ in the private columns of one row
(``Adjacency.REPLACE_PRIVATE``). So the number of rows and every marginal of public columns alone is public: it is
counted exactly and costs nothing. Every other marginal loses 1 in one cell and gains 1 in another: L2 sensitivity
sqrt(2), and 2 for its L1 error against a fixed table.

Measured are the private columns one by one, and pairs with a private column in them, each chosen by the exponential
mechanism: first those of a spanning tree in which all public columns count as one, then whichever promise most. The
model is the graphical model of these pairs and of the public columns' own joints, so a private column depends on all
public ones that it was measured with at once.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accountant.adjacency import Adjacency, moved_by
from accountant.calibrate import bounded_range_eta
from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model, estimate_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.shares import by_cells, sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.noise.selection import select_exponential
from dpsynth.sources.base import MarginalSource

EXACT = 2.0**-20
"""What a marginal of public columns says of its noise, of which there is none: estimation divides by it."""
PARTLY = Adjacency.REPLACE_PRIVATE
_FIRM = 3.0
"""The public columns' marginals weigh as if they had a third of the least noise of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialConfig:
    """Settings of partial synthesis.

    Attributes:
      public: The public columns, sorted.
      one_way_share: Share of the budget for the private columns one by one; the three shares together are 1.
      selection_share: For choosing pairs.
      pair_share: For the chosen pairs.
      edges: Pairs that are chosen for each private column.
      model_cells: Most cells of the model.
      penalty: Records of L1 error that a cell must promise above its noise, as a multiple of sigma.
    """

    public: tuple[str, ...]
    one_way_share: float = 0.10
    selection_share: float = 0.10
    pair_share: float = 0.80
    edges: int = 3
    model_cells: int = 500_000
    penalty: float = 0.6

    def __post_init__(self) -> None:
        shares = (self.one_way_share, self.selection_share, self.pair_share)
        if not all(0 < s < 1 for s in shares) or abs(sum(shares) - 1) > 1e-9 or self.edges < 1 or not self.public:
            raise ParameterError(
                f"The shares of a partial synthesis are {shares}, with {self.edges} pairs a column.",
                "Each share lies between 0 and 1, they add up to 1, and there is a pair and a public column at least.",
                "Give other settings.",
            )


def measure_partial(
    source: MarginalSource,
    config: PartialConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure private columns, and chosen pairs of them with each other and with public ones.

    Args:
      source: Exact marginals of the records, each row a unit.
      config: Public columns and shares.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw, under ``REPLACE_PRIVATE``.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      Exact marginals of public columns alone, then the private columns, then the pairs.

    Privacy:
      Spends a DiscreteGaussian per marginal with a private column and a BoundedRange per choice, together at most
      ``amount``, for neighbours that differ in the private columns of one row: L2 sensitivity sqrt(2) of a marginal, 2
      of an L1 error. Public columns aren't protected.
      Checked by: tests/oracles/test_partial.py::test_partial_synthesis

    Raises:
      BudgetExceeded: A charge was refused; nothing of that step was drawn.
      ParameterError: Units have several rows, or no column is private.
    """
    domain, public = source.domain, source.domain.clique(config.public)
    private = tuple(n for n in domain.names if n not in public)
    _require_rows(source.max_rows, private)
    moved = moved_by(source.max_rows, PARTLY)
    one_ways, selection, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    told = count_public(source, [(n,) for n in public], public=public)
    cliques: list[Clique] = [(n,) for n in private]
    noise = sigmas(split(one_ways, by_cells(domain, cliques)), coordinate=coordinate, sensitivity=moved)
    alone = measure_marginals(
        source, cliques, sigmas=noise, spend=spend, random=random, label="private columns", sides=sides,
        adjacency=PARTLY,
    )  # fmt: skip
    choices = min(config.edges * len(private), math.comb(len(domain.names), 2) - math.comb(len(public), 2))
    (guess,) = sigmas([split(pairs, [1.0] * choices)[0]], coordinate=coordinate, sensitivity=moved)
    chosen = choose_pairs(
        source, config, [*told, *alone], choices=choices, penalty=config.penalty * guess, amount=selection,
        coordinate=coordinate, spend=spend, random=random, sides=sides,
    )  # fmt: skip
    noise = sigmas(split(pairs, by_cells(domain, chosen)), coordinate=coordinate, sensitivity=moved)
    joint = measure_marginals(
        source, chosen, sigmas=noise, spend=spend, random=random, label="pairs with a private column", sides=sides,
        adjacency=PARTLY,
    )  # fmt: skip
    groups = {domain.clique(set(_parents(name, chosen, public))) for name in private}
    wider = [clique for clique in sorted(groups) if len(clique) > 1]
    return [*told, *count_public(source, wider, public=public), *alone, *joint]


def count_public(source: MarginalSource, cliques: Sequence[Clique], *, public: Clique) -> list[Measurement]:
    """Exact marginals of public columns: public facts under ``REPLACE_PRIVATE``.

    Raises:
      ParameterError: One holds a private column; nothing was counted.
    """
    if any(not set(clique) <= set(public) for clique in cliques):
        raise ParameterError(
            "A marginal with a private column can't be counted exactly.",
            f"Only marginals of the {len(public)} public columns alone are public.",
            "Measure it with noise.",
        )
    return [Measurement(clique=c, values=counts, sigma=EXACT) for c, counts in source.counts(cliques)]


def estimate_partial(domain: Domain, measurements: Sequence[Measurement], config: PartialConfig) -> Model:
    """The graphical model of the measurements; exact ones weigh more than any other, but not beyond measure.

    Privacy:
      None; post-processing.
    """
    least = min(m.sigma for m in measurements if m.sigma > EXACT)
    firm = [replace(m, sigma=least / _FIRM) if m.sigma <= EXACT else m for m in measurements]
    total = next(float(m.values.sum()) for m in measurements if m.sigma <= EXACT)
    return estimate_tree(domain, firm, total=max(1.0, total))


def choose_pairs(
    source: MarginalSource,
    config: PartialConfig,
    known: Sequence[Measurement],
    *,
    choices: int,
    penalty: float,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...],
) -> list[Clique]:
    """Pairs with a private column, each by the exponential mechanism among those that the model has room for.

    Args:
      source: Exact marginals of the records.
      config: Public columns, and how large the model may become.
      known: The marginal of each column, public or noisy.
      choices: How many pairs.
      penalty: What a cell must promise above its noise, in records.
      amount: Budget of all choices, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw, under ``REPLACE_PRIVATE``.
      random: Source of the draws.
      sides: Whose records ``source`` holds.

    Returns:
      At most ``choices`` pairs: fewer where the model has no room for more.

    Privacy:
      Spends one BoundedRange per choice, together at most ``amount``. A row whose private columns change leaves a cell
      of a pair and enters another, so an L1 error moves by at most 2. What is offered follows from public facts and
      earlier choices alone.
      Checked by: tests/oracles/test_partial.py::test_choices
    """
    domain, public = source.domain, source.domain.clique(config.public)
    pairs = [c for c in itertools.combinations(domain.names, 2) if not set(c) <= set(public)]
    scores, sensitivity = _scores(source, pairs, known, penalty=penalty), 2 * source.max_rows
    component = {n: "" if n in public else n for n in domain.names}
    chosen: list[Clique] = []
    eta = bounded_range_eta(amount=split(amount, [1.0] * choices)[0], coordinate=coordinate)
    for i in range(choices):
        room = [c for c in scores if c not in chosen and _fits(c, chosen, domain, public, config.model_cells)]
        joining = [c for c in room if component[c[0]] != component[c[1]]]
        offered = joining or room
        if not offered:
            break
        pick = offered[
            select_exponential(
                [scores[c] for c in offered], sensitivity=sensitivity, eta=eta, spend=spend, random=random,
                label=f"pair {i + 1} of {choices}", sides=sides, adjacency=PARTLY,
            )
        ]  # fmt: skip
        chosen.append(pick)
        old, new = component[pick[0]], component[pick[1]]
        component = {n: new if c == old else c for n, c in component.items()}
    return chosen


def _parents(name: str, chosen: Sequence[Clique], public: Clique) -> set[str]:
    """The public columns that a private one was paired with."""
    return {other for pair in chosen if name in pair for other in pair if other in public}


def _fits(pair: Clique, chosen: Sequence[Clique], domain: Domain, public: Clique, most: int) -> bool:
    """Whether the model stays small enough with one more pair, and with the public columns' joints that go with it."""
    pairs = [*chosen, pair]
    private = {n for p in pairs for n in p if n not in public}
    joints = [domain.clique({name, *_parents(name, pairs, public)}) for name in private]
    return TreeSizes(domain, [*pairs, *joints]).cells_with(pair) <= most


def _scores(
    source: MarginalSource, offered: Sequence[Clique], known: Sequence[Measurement], *, penalty: float
) -> dict[Clique, int]:
    """Integer L1 error of every pair against independence, less the noise of its cells. Private."""
    rows = float(known[0].values.sum())
    shares = {m.clique[0]: _share(m.values) for m in known}
    found = {}
    for clique, counts in source.counts(offered):
        expected = rows * np.outer(shares[clique[0]], shares[clique[1]])
        error = int(np.abs(counts - np.rint(expected).astype(np.int64)).sum())
        found[clique] = error - round(float(np.minimum(penalty, 4 * expected).sum()))
    return found


def _share(values: NDArray[np.int64]) -> NDArray[np.float64]:
    positive = np.maximum(values, 0).astype(np.float64)
    whole = positive.sum()
    return np.asarray(positive / whole if whole > 0 else np.full(len(positive), 1.0 / len(positive)))


def _require_rows(rows: int, private: Sequence[str]) -> None:
    if rows != 1 or not private:
        raise ParameterError(
            f"A partial synthesis was asked for units of {rows} rows, with {len(private)} private columns.",
            "Its unit is a row, of which a column at least is private.",
            "Declare 'rows: 1', and fewer public columns.",
        )
