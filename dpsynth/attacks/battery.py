"""An operator's confidential look at two tables: exact attack rates, without noise. Annex only, never published."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpsynth.attacks.closeness import SideSums, side_sums, table_facts
from dpsynth.attacks.features import ONE, Family, Feature, make_target
from dpsynth.attacks.layout import Layout
from dpsynth.attacks.nearest import Codes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ThresholdReport:
    """Exact rates at one distance. PRIVATE: confidential; its repr shows no number.

    Attributes:
      distance: Columns that may differ.
      training: Share of training records with a synthetic row that close.
      holdout: The same for holdout records; None where no holdout was given.
      synthetic: Share of synthetic rows that are that close to another synthetic row.
    """

    distance: int
    training: float
    holdout: float | None
    synthetic: float

    def __repr__(self) -> str:
        return f"ThresholdReport(distance={self.distance}, <private>)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BatteryReport:
    """What the attacks found, exactly. PRIVATE: confidential; its repr shows no number.

    Attributes:
      exact_match: Share of training records that occur in the synthetic table.
      advantage: Largest difference of training and holdout rates over all distances (KS, one-sided); None without a
        holdout.
      thresholds: Rates at each distance.
    """

    exact_match: float
    advantage: float | None
    thresholds: tuple[ThresholdReport, ...]

    def __repr__(self) -> str:
        return "BatteryReport(<private>)"


def battery(training: Codes, synthetic: Codes, *, sizes: Sequence[int], holdout: Codes | None = None) -> BatteryReport:
    """Attack a synthetic table with exact match, nearest neighbour and membership advantage, without noise.

    Confidential: what it returns is exact, so it is for the operator's eyes and spends no budget only because it
    never leaves. A gate is :func:`dpsynth.gate.verdict.run_gate`.

    Args:
      training: Codes of the records the table was made from, shape (columns, rows).
      synthetic: Codes of the synthetic table, shape (columns, rows).
      sizes: Public number of codes of each column.
      holdout: Codes of records that were not used, where there are any.
    """
    features = [Feature(family=Family.NEAR, distance=t) for t in range(len(sizes))]
    target = make_target(synthetic, Layout.plain(sizes), features)
    own = [facts.constant for facts in table_facts(target, features).values()]
    left = _rates(side_sums([(training, _each(training))], target, features))
    right = None if holdout is None else _rates(side_sums([(holdout, _each(holdout))], target, features))
    return BatteryReport(
        exact_match=left[0],
        advantage=None if right is None else max(0.0, *(a - b for a, b in zip(left, right, strict=True))),
        thresholds=tuple(
            ThresholdReport(
                distance=t, training=left[t], holdout=None if right is None else right[t], synthetic=own[t] / ONE
            )
            for t in range(len(sizes))
        ),
    )


def _each(codes: Codes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(codes.shape[1], dtype=np.int64)


def _rates(sums: SideSums) -> list[float]:
    return [close / ONE / max(1, sums.people) for close in sums.sums.values()]
