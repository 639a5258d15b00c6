"""Shadow-model membership inference, for research: k refits on public or released data, each target in by a fair coin.

One set of refits serves every target: what a target's score is with it and without it is learned from all refits but
the one that is attacked. Every refit is charged to whoever's data it is, so this is for data that is public, or for a
released table in the place of people.

Source: Carlini et al. 2022 (arXiv:2112.03570), the attack with Gaussian scores.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.exact import clopper_pearson
from dpsynth.audit.comparators import auc
from dpsynth.errors import ParameterError
from dpsynth.noise.base import RandomSource
from dpsynth.noise.coins import row_coins
from dpsynth.progress import SilentStage, Stage
from dpsynth.sources import Codes

FEWEST_REFITS = 8
FALSE_RATE = 0.01

Scores = NDArray[np.float64]
Refit = Callable[[Codes], Callable[[Codes], Scores]]
"""Training codes in; out, how a record scores under what was fitted (its log density, say)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """How well membership is told; as public as the data.

    Attributes:
      refits: Refits that were made.
      targets: Records that had a coin in each.
      auc: Of the log-likelihood ratio of scores, members against others.
      true_rate: Share of members above the threshold that 1 % of the others exceed.
      true_rate_low: An exact 95 % lower bound of it for independent trials; pairs of one refit aren't quite.
    """

    refits: int
    targets: int
    auc: float
    true_rate: float
    true_rate_low: float


def shadow_attack(
    rest: Codes, targets: Codes, refit: Refit, *, refits: int, random: RandomSource, told: Stage | None = None
) -> ShadowReport:
    """Refit with each target in or out by a fair coin, and attack each refit with what the others teach.

    Args:
      rest: Codes of the records of every refit, shape (columns, rows). Public or released.
      targets: Codes of the records whose membership is guessed.
      refit: What is attacked.
      refits: How often it is fitted, at least 8.
      random: Source of the coins.
      told: Told of each refit.

    Privacy:
      None by itself: for data that is public or was released. What a refit of people's data spends, ``refit`` charges.
      Checked by: tests/dpsynth/audit/test_shadow.py::test_a_model_that_remembers_is_told_and_one_that_does_not_is_not

    Raises:
      ParameterError: Too few refits, or no target.
    """
    if refits < FEWEST_REFITS or targets.shape[1] < 1:
        raise ParameterError(
            f"A shadow attack of {refits} refits on {targets.shape[1]:,} targets can't be made.",
            f"Scores with and without a target are learned from at least {FEWEST_REFITS} refits.",
            "Ask for more.",
        )
    stage, coins, scores = told or SilentStage(), [], []
    for _ in range(refits):
        included = row_coins(targets.shape[1], share=Fraction(1, 2), random=random)
        score = refit(np.concatenate([rest, targets[:, included]], axis=1))
        coins.append(included)
        scores.append(score(targets))
        stage.advance()
    return _report(np.array(coins), np.array(scores))


def ratios(coins: NDArray[np.bool_], scores: Scores) -> Scores:
    """Log-likelihood ratio of each score, learned from the other refits; shape (refits, targets).

    Means are the target's own. A variance from few refits would be wild, so one for all targets is used, with and
    without together.
    """
    member, found = coins.astype(np.float64), np.zeros_like(scores)
    for k in range(len(scores)):
        others = np.arange(len(scores)) != k
        there, seen = member[others], scores[others]
        means = [(seen * side).sum(axis=0) / np.maximum(side.sum(axis=0), 1.0) for side in (there, 1.0 - there)]
        both = (there.sum(axis=0) > 0) & (there.sum(axis=0) < len(there))
        spread = np.where(there > 0, seen - means[0], seen - means[1])
        variance = max(float((spread**2).mean()), 1e-12)
        ratio = ((scores[k] - means[1]) ** 2 - (scores[k] - means[0]) ** 2) / (2.0 * variance)
        found[k] = np.where(both, ratio, 0.0)
    return found


def _report(coins: NDArray[np.bool_], scores: Scores) -> ShadowReport:
    told = ratios(coins, scores)
    members, others = told[coins], told[~coins]
    threshold = np.sort(others)[max(0, math.ceil((1.0 - FALSE_RATE) * others.size) - 1)] if others.size else 0.0
    right = int(np.count_nonzero(members > threshold))
    return ShadowReport(
        refits=len(scores),
        targets=scores.shape[1],
        auc=auc(members, others),
        true_rate=right / max(1, members.size),
        true_rate_low=clopper_pearson(right, members.size, error=0.05)[0],
    )
