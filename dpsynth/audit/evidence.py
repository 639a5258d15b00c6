"""From many runs of two worlds to a bound on mu: a rule learned on the first runs, tested on the others.

The rule is a statistic (the evidence, and what the words of a run tell) with a threshold. It is learned on one part of
the runs and tested once on the rest, so that no correction for many thresholds is needed. Two Clopper-Pearson bounds
make the interval: for mu-GDP, and the additive delta d that was charged, TPR <= Phi(Phi^-1(FPR) + mu) + d.

Sources: Dong, Roth, Su 2022 (arXiv:1905.02383), section 2; Nasr et al. 2023 (arXiv:2302.07956), for auditing by GDP.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from dpsynth.attacks.exact import clopper_pearson
from dpsynth.audit.subjects import Transcript, Words

LEARNED = 0.3
"""Share of the runs from which the rule is learned."""
SMOOTHING = 10.0
"""Runs that are added to each count of a word: few runs tell little."""
THRESHOLDS = 60
"""Thresholds that are tried on the runs from which the rule is learned."""

_NORMAL = NormalDist()
_LARGEST = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the runs say of mu.

    Attributes:
      low: mu is at least this, up to the stated error; -inf where nothing is excluded.
      estimate: mu of the rates seen, each with half a run added.
      high: This attack's mu is at most this; other attacks may do better.
      true_hits: Runs with the record that the rule found, and their number.
      false_hits: Runs without it that the rule took for such, and their number.
    """

    low: float
    estimate: float
    high: float
    true_hits: tuple[int, int]
    false_hits: tuple[int, int]


def bounds(without: Sequence[Transcript], having: Sequence[Transcript], *, delta: float, error: float) -> Bounds:
    """Learn a rule on the first runs of each world, test it on the others.

    Args:
      without: Runs without the record, in the order in which they were made.
      having: Runs with it.
      delta: Additive delta of the claim.
      error: Probability at most with which ``low`` is too high, and with which ``high`` is too low.
    """
    cuts = [max(1, round(LEARNED * len(runs))) for runs in (without, having)]
    statistic, threshold = learn(without[: cuts[0]], having[: cuts[1]], delta=delta, error=error)
    tested = without[cuts[0] :], having[cuts[1] :]
    false, true = (sum(statistic(run) > threshold for run in runs) for runs in tested)
    return rates(true, len(tested[1]), false, len(tested[0]), delta=delta, error=error)


def learn(
    without: Sequence[Transcript], having: Sequence[Transcript], *, delta: float, error: float
) -> tuple[Callable[[Transcript], float], float]:
    """A statistic and a threshold, from these runs alone: the threshold whose bound on mu is the largest on them."""
    told = _telling([run.words for run in without], [run.words for run in having])

    def statistic(run: Transcript) -> float:
        return run.evidence + sum(told.get(key, 0.0) for key in enumerate(run.words)) + told.get(len(run.words), 0.0)

    no, yes = sorted(map(statistic, without)), sorted(map(statistic, having))
    pooled = sorted({*no, *yes})
    tried = [pooled[i * (len(pooled) - 1) // THRESHOLDS] for i in range(THRESHOLDS)]

    def gained(threshold: float) -> float:
        false, true = (sum(value > threshold for value in values) for values in (no, yes))
        return rates(true, len(yes), false, len(no), delta=delta, error=error).low

    best = max(tried, key=gained)
    above = next((value for value in pooled if value > best), best)
    return statistic, (best + above) / 2.0


def rates(true: int, positives: int, false: int, negatives: int, *, delta: float, error: float) -> Bounds:
    """Bounds on mu of a rule that was fixed before these runs.

    Args:
      true: Runs with the record that it found, of ``positives``.
      positives: Runs with the record.
      false: Runs without it that it took for such, of ``negatives``.
      negatives: Runs without the record.
      delta: Additive delta of the claim.
      error: Of each end of the interval; half of it goes to each rate.
    """
    true_low, true_high = clopper_pearson(true, positives, error=error / 2.0)
    false_low, false_high = clopper_pearson(false, negatives, error=error / 2.0)
    return Bounds(
        low=_mu(true_low - delta, false_high),
        estimate=_mu((true + 0.5) / (positives + 1), (false + 0.5) / (negatives + 1)),
        high=_mu(true_high, false_low),
        true_hits=(true, positives),
        false_hits=(false, negatives),
    )


def _mu(true: float, false: float) -> float:
    return _quantile(true) - _quantile(false)


def _quantile(probability: float) -> float:
    if probability <= 0.0:
        return -_LARGEST
    return _LARGEST if probability >= 1.0 else _NORMAL.inv_cdf(probability)


def _telling(without: Sequence[Words], having: Sequence[Words]) -> dict[object, float]:
    """Log ratio of how often each word stood at its place, and of how many words there were, smoothed."""
    places = [Counter[object](key for words in runs for key in _keys(words)) for runs in (without, having)]
    sizes = [len(without) + 2.0 * SMOOTHING, len(having) + 2.0 * SMOOTHING]
    found: dict[object, float] = {}
    for key in places[0].keys() | places[1].keys():
        no, yes = ((count[key] + SMOOTHING) / size for count, size in zip(places, sizes, strict=True))
        found[key] = math.log(yes / no)
    return found


def _keys(words: Words) -> list[object]:
    return [*enumerate(words), len(words)]
