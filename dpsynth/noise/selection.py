"""Exact selection: the exponential mechanism on integer scores."""

import math
from collections.abc import Sequence
from fractions import Fraction
from operator import index

from accountant import faults
from accountant.adjacency import Adjacency
from accountant.events import BoundedRange
from accountant.spend import Side, Spend, Step
from dpsynth.errors import ParameterError
from dpsynth.noise.base import RandomSource
from dpsynth.noise.fixed_point import powers_of_exp
from dpsynth.noise.tables import CumulativeTable


def selection_table(scores: Sequence[int], *, sensitivity: int, eta: float) -> CumulativeTable:
    """The exact law of one selection: weights exp(eta (score - max) / (2 sensitivity)).

    Args:
      scores: Integers on one fixed-point grid.
      sensitivity: Most that any score moves between neighbours, in grid units.
      eta: Bounded-range parameter, taken as the exact binary fraction that the float is.

    Returns:
      A table over the candidates. Weights are within 2**-376 of the largest one (``powers_of_exp``), so its total
      variation from the intended law is below len(scores) * 2**-255.

    Raises:
      ParameterError: No candidate, or a sensitivity or eta that isn't above zero and finite.
    """
    if not scores or sensitivity < 1 or not (math.isfinite(eta) and eta > 0):
        raise ParameterError(
            f"A selection among {len(scores)} candidates, sensitivity {sensitivity}, eta {eta} can't be made.",
            "It needs a candidate, an integer sensitivity of at least 1 and a finite eta above 0.",
            "Check the plan's share for selection.",
        )
    exact = [index(score) for score in scores]
    best = max(exact)
    weight = powers_of_exp(Fraction(eta) / (2 * index(sensitivity)))
    return CumulativeTable.from_weights([weight(best - score) for score in exact])


def select_exponential(
    scores: Sequence[int],
    *,
    sensitivity: int,
    eta: float,
    spend: Spend,
    random: RandomSource,
    label: str,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    adjacency: Adjacency = Adjacency.ADD_REMOVE,
) -> int:
    """Choose a candidate with probability proportional to exp(eta score / (2 sensitivity)).

    Args:
      scores: One integer per candidate, all on one fixed-point grid; never floats.
      sensitivity: Most that any one score moves between neighbours, in grid units. Scores may
        move in opposite directions (L1 errors of marginals do): that is why the coefficient is 1/2.
      eta: Bounded-range parameter; a larger one prefers the best more strongly and costs more.
      spend: Charged before the draw.
      random: Where the bits come from.
      label: Public words for the ledger.
      sides: Whose records the scores read.
      adjacency: What the charge is stated under.

    Returns:
      The position of the chosen candidate.

    Privacy:
      Spends ``BoundedRange(eta)`` on each of ``sides``, for neighbours that move each score by at most ``sensitivity``.
      Checked by: tests/oracles/test_neighbours.py::test_selection

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded or drawn.
      ParameterError: No candidate, or a parameter out of range; nothing was recorded or drawn.

    Reference: Dong, Durfee, Rogers 2020 (arXiv:1909.13830); McSherry, Talwar 2007.
    """
    table = selection_table(scores, sensitivity=sensitivity, eta=eta)
    event = BoundedRange(eta=eta, adjacency=adjacency)
    spend.charge([Step(label=label, event=event, sides=sides)])
    faults.reach("draw.before")
    chosen = int(random.draw(table, 1)[0])
    faults.reach("draw.after")
    return chosen
