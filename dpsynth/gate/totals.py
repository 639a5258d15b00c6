"""Numbers of people on each side before a synthetic row exists: noisy, or exact where they are public."""

from dataclasses import dataclass

import numpy as np

from accountant.calibrate import discrete_gaussian_sigma
from accountant.spend import Side, Spend
from dpsynth.gate.plan import GatePlan
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_count
from dpsynth.sources.base import RowSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Numbers of people as everybody may know them, at least 1: noisy and charged, or public.

    Attributes:
      training: People the synthesizer learns from.
      holdout: People held out.
      training_sigma: Standard deviation of the noise of ``training``, in people; 0 where it is public.
      holdout_sigma: The same for ``holdout``.
    """

    training: int
    holdout: int
    training_sigma: float
    holdout_sigma: float


def measure_totals(
    training: RowSource, holdout: RowSource, *, plan: GatePlan, spend: Spend, random: RandomSource
) -> Totals:
    """The number of privacy units on each side, with discrete Gaussian noise where it isn't public.

    Args:
      training: Rows of the people the synthesizer learns from. Private.
      holdout: Rows of the people held out. Private.
      plan: Caps of both measurements.
      spend: Charged on each side before its draw.
      random: Where the bits come from.

    Privacy:
      Spends one ``DiscreteGaussian`` of sensitivity 1 on training people (within ``plan.training_count``) and one on
      holdout people (within ``plan.holdout_count``): one person changes one of the two numbers by 1. Nothing where
      the plan says that only private parts of rows are protected: then all data sets that are neighbours have the
      same rows, whose coins read nothing of them, and both numbers are the same.
      Checked by: tests/dpsynth/gate/test_totals.py::test_each_side_pays_its_own_count,
      tests/dpsynth/gate/test_partly.py::test_numbers_of_people_are_public_only_where_rows_stay

    Raises:
      BudgetExceeded: The spend refused; nothing was drawn for that side.
    """
    if not plan.counted:
        exact = (max(1, _people(side)) for side in (training, holdout))
        return Totals(training=next(exact), holdout=next(exact), training_sigma=0.0, holdout_sigma=0.0)
    return Totals(
        training=_measure(training, plan.training_count, Side.TRAINING, plan=plan, spend=spend, random=random),
        holdout=_measure(holdout, plan.holdout_count, Side.HOLDOUT, plan=plan, spend=spend, random=random),
        training_sigma=_sigma(plan, plan.training_count),
        holdout_sigma=_sigma(plan, plan.holdout_count),
    )


def label(side: Side) -> str:
    """Public words of a side's count, for the ledger."""
    return f"gate: number of {side} people"


def _sigma(plan: GatePlan, amount: int) -> float:
    return discrete_gaussian_sigma(amount=amount, coordinate=plan.coordinate)


def _measure(source: RowSource, amount: int, side: Side, *, plan: GatePlan, spend: Spend, random: RandomSource) -> int:
    noisy = measure_count(
        _people(source),
        sigma=_sigma(plan, amount),
        sensitivity=1,
        spend=spend,
        random=random,
        label=label(side),
        sides=(side,),
    )
    return max(1, noisy)


def _people(source: RowSource) -> int:
    units = [np.unique(units) for _, units in source.blocks()]
    return int(np.unique(np.concatenate(units)).size) if units else 0
