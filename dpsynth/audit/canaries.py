"""Fabricated canaries: records that nobody is behind, included by fair coins, and what the table tells of the coins.

From the synthetic table and the coins alone, so free and publishable. They go among the training records before the
synthesizer sees them; on a table of their own number they change what it fits, so whoever does this says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dpsynth.attacks.guessing import CanaryGuesses, guess_canaries
from dpsynth.attacks.nearest import prepare
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.gate.one_run import OneRunBound, audit_canaries
from dpsynth.noise.base import RandomSource
from dpsynth.noise.coins import row_coins
from dpsynth.noise.tables import CumulativeTable
from dpsynth.sources import Codes

FEWEST_CANARIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryReport:
    """What the canaries told; public, in full.

    Attributes:
      guesses: Canaries, guesses, right ones.
      bound: What these exclude.
    """

    guesses: CanaryGuesses
    bound: OneRunBound


def fabricate(domain: Domain, canaries: int, *, random: RandomSource) -> Codes:
    """Records whose codes are uniform and independent: a function of the public domain and of random bits.

    Args:
      domain: The public domain.
      canaries: How many.
      random: Where the bits come from.

    Returns:
      Codes, shape (columns, canaries).

    Privacy:
      None: no record is read, and nobody is in them.
      Checked by: tests/dpsynth/audit/test_canaries.py::test_canaries_are_made_of_the_domain_and_bits_alone
    """
    dtype = np.min_scalar_type(max(domain.sizes) - 1)
    columns = [random.draw(CumulativeTable.from_weights([1] * size), canaries) for size in domain.sizes]
    return np.array(columns).astype(dtype)


def audit_by_canaries(
    records: Codes,
    domain: Domain,
    make: Callable[[Codes], Codes],
    *,
    delta: float,
    random: RandomSource,
    canaries: int = 200,
    confidence: float = 0.95,
) -> CanaryReport:
    """Fabricate canaries, include each by a fair coin, make a table of the records and them, and guess the coins.

    Args:
      records: Codes of the training records, shape (columns, rows).
      domain: Their public domain.
      make: What is audited: training codes in, synthetic codes out; it charges what it spends.
      delta: Delta of its claim.
      random: Source of canaries and coins.
      canaries: How many, at least 20; fixed before any data is seen.
      confidence: Of each bound.

    Privacy:
      None beyond what ``make`` charges: what is guessed is post-processing of its output and of coins of nobody's.
      Checked by: tests/dpsynth/audit/test_canaries.py::test_the_guesses_are_a_function_of_the_table_and_the_coins

    Raises:
      ParameterError: Too few canaries.
    """
    if canaries < FEWEST_CANARIES:
        raise ParameterError(
            f"An audit by {canaries} canaries can't be made.",
            f"Fewer than {FEWEST_CANARIES} exclude next to nothing, however well they are remembered.",
            "Use 100 or 200.",
        )
    made_up = fabricate(domain, canaries, random=random)
    included = row_coins(canaries, share=Fraction(1, 2), random=random)
    synthetic = make(np.concatenate([records, made_up[:, included].astype(records.dtype)], axis=1))
    guesses = guess_canaries(made_up, included, prepare(synthetic, domain.sizes))
    return CanaryReport(guesses=guesses, bound=audit_canaries(guesses, delta=delta, confidence=confidence))
