"""One-run audits: what right guesses of independent coins say of the claim, from the one table that there is.

With inclusion probability p, (epsilon, delta) allows a guess of membership to be right with probability at most
q = p e^epsilon / (p e^epsilon + 1 - p), whatever was guessed before, but for events of total probability p m delta
(1/2 m delta for each direction of a guess). So of r guesses v or more are right with probability at most
P[Bin(r, q) >= v] + p m delta: docs/audit.md proves it for every p. The largest epsilon whose probability stays within
the error is excluded, and all below it.

Counts of real people are exact, so what is computed from them is confidential: it goes to the annex, decides nothing
and changes no public byte. What is computed from canaries, or from a charged noisy pair, is public.

Source: Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846), section 5, for p = 1/2 and delta = 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from accountant.convert import epsilon_from_mu, mu_from_budget
from accountant.spend import Side, Spend
from dpsynth.attacks.exact import binomial_tail, hypergeometric_tail
from dpsynth.attacks.guessing import RULE, CanaryGuesses, SideGuesses
from dpsynth.errors import ParameterError
from dpsynth.gate.noise import noise_reach
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_count

LARGEST_EPSILON = 60.0
CONFIDENCE = 0.95
MU_ASIDE = 0.2
"""Part of the error that goes to a claim's delta where a claim in mu is bounded; guesses have the rest."""
_DOWN = 1.0 - 1e-7
"""An epsilon of mu is rounded up, by far less than this; here it is a bound from below."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OneRunBound:
    """What guesses exclude. PRIVATE where the guesses are of real people; its repr shows no number.

    Attributes:
      units: Everybody who had a coin.
      guessed: Guesses that were made.
      correct: Those that were right.
      inclusion: Probability with which each coin included its unit.
      delta: Delta at which epsilon is bounded.
      confidence: Probability at least with which both bounds hold, each by itself.
      epsilon_low: (epsilon, delta) holds for no epsilon below this; 0 where nothing is excluded.
      mu_low: mu-GDP holds for no mu below this.
      epsilon_low_gdp: The same as an epsilon at ``delta``, for a claim that is one of GDP.
    """

    units: int
    guessed: int
    correct: int
    inclusion: Fraction
    delta: float
    confidence: float
    epsilon_low: float
    mu_low: float
    epsilon_low_gdp: float

    def __repr__(self) -> str:
        return "OneRunBound(<private>)"

    def contradicts(self, epsilon: float) -> bool:
        """Whether (epsilon, ``delta``) is excluded."""
        return self.epsilon_low > epsilon

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "confidence": self.confidence,
            "correct": self.correct,
            "delta": f"{self.delta:.6g}",
            "epsilon_low": f"{self.epsilon_low:.6g}",
            "epsilon_low_gdp": f"{self.epsilon_low_gdp:.6g}",
            "guessed": self.guessed,
            "inclusion": str(self.inclusion),
            "mu_low": f"{self.mu_low:.6g}",
            "units": self.units,
        }


def bound_from_guesses(
    *,
    correct: int,
    guessed: int,
    units: int,
    inclusion: Fraction,
    delta: float,
    confidence: float = CONFIDENCE,
    both_ways: bool = False,
) -> OneRunBound:
    """The epsilon and the mu that these guesses exclude.

    Args:
      correct: Right guesses.
      guessed: Guesses, by a rule that was fixed beforehand.
      units: Everybody who had an independent coin, guessed or not.
      inclusion: p.
      delta: Delta of the claim, at least 0.
      confidence: Of each of the two bounds.
      both_ways: Whether units were also guessed to be out; then p must be 1/2.

    Raises:
      ParameterError: Counts, coins or confidence out of range.
    """
    sound = 0 <= correct <= guessed <= units and 0 < inclusion < 1 and 0.0 <= delta < 1.0 and 0.5 < confidence < 1.0
    if not sound or (both_ways and inclusion != Fraction(1, 2)):
        raise ParameterError(
            f"Guesses with inclusion probability {inclusion}, delta {delta:g} and confidence {confidence:g} bound "
            "nothing.",
            "Right guesses are some of the guesses, these some of the units; probabilities lie within their ranges, "
            "and guesses in both directions need fair coins.",
            "Check the counts and the coins.",
        )
    error, reach = 1.0 - confidence, units * (1.0 if both_ways else float(inclusion))

    def excluded(bad: float) -> float:
        return _largest(lambda epsilon: chance(epsilon, correct, guessed, inclusion) + bad <= error)

    aside = MU_ASIDE * error
    epsilon_aside = excluded(aside)
    mu_low = mu_from_budget(epsilon_aside, min(0.5, aside / reach)) if epsilon_aside > 0.0 and reach > 0.0 else 0.0
    return OneRunBound(
        units=units,
        guessed=guessed,
        correct=correct,
        inclusion=inclusion,
        delta=delta,
        confidence=confidence,
        epsilon_low=excluded(reach * delta),
        mu_low=mu_low,
        epsilon_low_gdp=epsilon_from_mu(mu_low, delta) * _DOWN if mu_low > 0.0 and delta > 0.0 else 0.0,
    )


def chance(epsilon: float, correct: int, guessed: int, inclusion: Fraction) -> float:
    """The largest probability of so many right guesses, or more, under (epsilon, 0)."""
    odds = float(inclusion / (1 - inclusion)) * math.exp(epsilon)
    return binomial_tail(correct, guessed, odds / (1.0 + odds))


def audit_split(
    training: SideGuesses,
    holdout: SideGuesses,
    *,
    holdout_share: Fraction,
    delta: float,
    confidence: float = CONFIDENCE,
) -> OneRunBound:
    """The split as canary, from exact counts. CONFIDENTIAL: for the operator, in the annex, and nowhere else.

    Args:
      training: Guesses among those that the table was made from.
      holdout: Guesses among those that were held out.
      holdout_share: Probability with which a coin held somebody out.
      delta: Delta of the claim.
      confidence: Of each bound.
    """
    return bound_from_guesses(
        correct=training.guessed,
        guessed=training.guessed + holdout.guessed,
        units=training.people + holdout.people,
        inclusion=1 - holdout_share,
        delta=delta,
        confidence=confidence,
    )


def confidential_json(
    bound: OneRunBound, *, epsilon: float, training: SideGuesses, holdout: SideGuesses, one_key: bool
) -> dict[str, Any]:
    """What the annex tells the operator of the audit by the split's coins.

    Args:
      bound: From :func:`audit_split`.
      epsilon: The claim, at the bound's delta.
      training: As given to it.
      holdout: As given to it.
      one_key: Whether the coins are those of other releases too (a key of the scope): then it is their composition
        that is bounded.
    """
    everybody = training.people + holdout.people
    by_chance = hypergeometric_tail(
        training.guessed, drawn=bound.guessed, marked=training.people, total=everybody
    )  # fmt: skip
    return {
        **bound.to_json(),
        "CONFIDENTIAL": "from exact counts; decides nothing and is never published",
        "by_chance": f"{by_chance:.6g}",
        "claim": f"{epsilon:.6g}",
        "contradicts_the_claim": bound.contradicts(epsilon),
        "rule": RULE,
        "speaks_of": "all releases under the split's key" if one_key else "this release",
    }


def audit_canaries(guesses: CanaryGuesses, *, delta: float, confidence: float = CONFIDENCE) -> OneRunBound:
    """Fabricated canaries with fair coins: from the table and the coins alone, so public, in full.

    Privacy: none; post-processing of accounted outputs and of coins that are no person's.
    """
    return bound_from_guesses(
        correct=guesses.correct,
        guessed=guesses.guessed,
        units=guesses.canaries,
        inclusion=Fraction(1, 2),
        delta=delta,
        confidence=confidence,
        both_ways=True,
    )


def measure_pair(
    training: SideGuesses,
    holdout: SideGuesses,
    *,
    sigmas: tuple[float, float],
    spend: Spend,
    random: RandomSource,
) -> tuple[int, int]:
    """The guesses of both sides with noise of their own: the one pair of counts that may be published.

    Args:
      training: Guesses among training people.
      holdout: Guesses among holdout people.
      sigmas: Noise of each, in people.
      spend: Charged before each draw.
      random: Source of the noise.

    Returns:
      Noisy counts of the two sides; they may come out below zero.

    Privacy:
      Spends one ``DiscreteGaussian(sigma)`` of sensitivity 1 on each side: one person moves the guesses of their own
      side by at most 1, whatever their rows, and those of the other by none.
      Checked by: tests/dpsynth/gate/test_one_run.py::test_a_person_moves_the_guesses_of_their_side_by_at_most_one,
        tests/dpsynth/gate/test_one_run.py::test_each_side_pays_its_own_count

    Raises:
      BudgetExceeded: A charge was refused; nothing of that side was drawn.
    """
    first, second = (
        measure_count(
            side.guessed, sigma=sigma, sensitivity=1, spend=spend, random=random, label=f"guesses, {of}", sides=(of,)
        )
        for side, sigma, of in zip((training, holdout), sigmas, (Side.TRAINING, Side.HOLDOUT), strict=True)
    )
    return first, second


def bound_from_pair(
    pair: tuple[int, int],
    *,
    sigmas: tuple[float, float],
    units: int,
    holdout_share: Fraction,
    delta: float,
    confidence: float = CONFIDENCE,
) -> OneRunBound:
    """What a charged noisy pair excludes: half of the error goes to its noise. Public.

    Args:
      pair: From :func:`measure_pair`.
      sigmas: Its noise.
      units: At least everybody who had a coin: a public bound.
      holdout_share: Probability with which a coin held somebody out.
      delta: Delta of the claim.
      confidence: Of each bound.

    Privacy: none; post-processing of accounted outputs.
    """
    error = 1.0 - confidence
    reaches = [noise_reach(sigma, alpha=Fraction(error) / 4) for sigma in sigmas]
    correct, wrong = max(0, pair[0] - reaches[0]), max(0, pair[1] + reaches[1])
    return bound_from_guesses(
        correct=min(correct, units),
        guessed=min(correct + wrong, units),
        units=units,
        inclusion=1 - holdout_share,
        delta=delta,
        confidence=1.0 - error / 2.0,
    )


def _largest(holds: Callable[[float], bool]) -> float:
    """The largest epsilon that is still excluded, rounded down; 0 where none is."""
    if not holds(0.0):
        return 0.0
    low, high = 0.0, LARGEST_EPSILON
    if holds(high):
        return high
    while high - low > 1e-9 * max(1.0, high):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
