"""Several tries at one release: declared retries that compose, and private selection as the alternative.

A gate may be tried K times. Either K is declared and K times the price is reserved up front, or a coin decides after
each failure whether there is another try. The second costs twice epsilon however often it is tried, and is dearer for
K <= 2 by any accounting.

Theorem (a known threshold, Liu and Talwar 2019, arXiv:1811.07971, Section 3; proved here with its delta). Let M be
(epsilon, delta)-DP, its output passing or failing. Repeat: run M; if it passes, output it and stop; otherwise stop with
chance gamma and output nothing. The whole is (2 epsilon, delta (1 + e^epsilon (1 - gamma)) / gamma)-DP.

Proof. For a set S of outputs let N be the chance that one round stops and outputs in S, and A that it stops. Both are
post-processings of M by an independent coin, so N <= e^epsilon N' + delta, A' <= e^epsilon A + delta', where a prime is
a neighbour and delta' = (1 - gamma) delta, as A = gamma + (1 - gamma) P[pass]. The output is in S with chance N / A. As
A >= gamma, A' / A <= e^epsilon + (1 - gamma) delta / gamma (gamma + (1 - gamma) e^epsilon P[pass] <= e^epsilon A). So
N / A <= e^epsilon (N' / A') (A' / A) + delta / gamma <= e^(2 epsilon) N' / A' + e^epsilon (1 - gamma) delta / gamma +
delta / gamma, with N' / A' <= 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from accountant.errors import ParameterError, UnsupportedEvent
from accountant.events import ApproxDP, Event, PureDP, Repeat
from accountant.price import Price
from accountant.spend import Side


def reserve_retries(caps: Mapping[Side, Price], *, tries: int) -> dict[Side, Price]:
    """What to reserve, before the first, for ``tries`` tries of a release whose every try is within ``caps``.

    Each try composes, failed ones included; there is no refund for tries that a pass makes needless unless the
    enclosing scope is a filter of the same coordinate.
    """
    _require_tries(tries)
    return {side: Price(cap.amount * tries, cap.delta * tries) for side, cap in caps.items()}


def declared_retries(event: Event, *, tries: int) -> Event:
    """The event of ``tries`` declared tries: all are paid, whichever passes."""
    _require_tries(tries)
    return Repeat(event=event, count=tries, adjacency=event.adjacency)


def until_passed(event: PureDP | ApproxDP, *, gamma: float) -> ApproxDP:
    """Run until the first pass, stopping after each failure with chance ``gamma``: the theorem above.

    Args:
      event: What one try is, its threshold test included.
      gamma: Chance to stop after a failure, in (0, 1]; at most 1/gamma tries are expected, and their number isn't
        bounded. The coins are secret and independent of the data. The number of tries must not leave.

    Returns:
      A claim of 2 epsilon; its delta is 0 where ``event`` has none.

    Raises:
      UnsupportedEvent: The delta reaches 1, or the event isn't an (epsilon, delta) pair.
    """
    _require_gamma(gamma)
    epsilon, delta = _pair(event)
    growth = math.exp(epsilon) if epsilon < 700.0 else math.inf
    grown = delta * ((1.0 + growth * (1.0 - gamma)) / gamma * (1.0 + 1e-12)) if delta else 0.0
    return _claim(event, 2.0 * epsilon, grown)


def best_of_a_random_number(event: PureDP, *, shape: float) -> ApproxDP:
    """Run a random number of tries and output the best by a score that each try releases.

    The number of tries K has the truncated negative binomial law of ``shape`` eta (1 is geometric, 0 logarithmic) and
    any chance gamma in (0, 1); its law is public, its value must not leave.

    Args:
      event: What one try is, its score included; pure.
      shape: eta, above -1.

    Returns:
      A claim of (2 + eta) epsilon.

    Reference: Papernot, Steinke 2022 (arXiv:2110.03620), Corollary 3.
    """
    if not (math.isfinite(shape) and shape > -1.0):
        raise ParameterError(
            f"A number of tries of shape {shape} was given.",
            "The truncated negative binomial law has a finite shape above -1.",
            "Use 1 for a geometric number of tries, 0 for a logarithmic one.",
        )
    epsilon, delta = _pair(event)
    if delta:
        raise UnsupportedEvent(
            "The best of a random number of tries was asked for tries with a delta.",
            "The theorem that is used here is about pure tries.",
            "Use until_passed, or declare the number of tries.",
        )
    factor = Fraction(2) + Fraction(shape)
    exact = factor * Fraction(epsilon)
    near = float(exact)
    return _claim(event, near if Fraction(near) >= exact else math.nextafter(near, math.inf), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryChoice:
    """Two ways to try again, side by side, both as (epsilon, delta) pairs.

    Attributes:
      tries: Declared number of tries, or the expected one of private selection at most.
      declared: ``tries`` tries added up; a coordinate composes them for less.
      selected: Private selection with gamma = 1/tries.
    """

    tries: int
    declared: tuple[float, float]
    selected: tuple[float, float]

    @property
    def declared_is_better(self) -> bool:
        """Whether declared retries cost no more in both numbers: always for one or two tries."""
        return self.declared[0] <= self.selected[0] and self.declared[1] <= self.selected[1]


def compare_retries(event: PureDP | ApproxDP, *, tries: int) -> RetryChoice:
    """Declared retries against private selection with as many expected tries."""
    _require_tries(tries)
    epsilon, delta = _pair(event)
    selected = until_passed(event, gamma=1.0 / tries)
    return RetryChoice(
        tries=tries, declared=(tries * epsilon, tries * delta), selected=(selected.epsilon, selected.delta)
    )


def _pair(event: PureDP | ApproxDP) -> tuple[float, float]:
    if type(event) is PureDP:
        return event.epsilon, 0.0
    if type(event) is ApproxDP:
        return event.epsilon, event.delta
    raise UnsupportedEvent(
        f"Private selection of a {type(event).__name__} was asked for.",
        "Its theorems are about tries with one (epsilon, delta).",
        "Convert the try at a delta of your choice, or declare the number of tries, which composes.",
    )


def _claim(event: Event, epsilon: float, delta: float) -> ApproxDP:
    if delta >= 1.0:
        raise UnsupportedEvent(
            "Private selection was asked for tries whose delta is too large.",
            f"Over all tries it would be {delta:.3g}, and a delta of 1 says nothing.",
            "Use a smaller delta for each try, or a larger gamma.",
        )
    return ApproxDP(epsilon=epsilon, delta=delta, adjacency=event.adjacency)


def _require_tries(tries: int) -> None:
    if type(tries) is not int or tries < 1:
        raise ParameterError(
            f"{tries!r} tries were declared.", "There is a whole number of tries, at least 1.", "Declare that number."
        )


def _require_gamma(gamma: float) -> None:
    if not 0.0 < gamma <= 1.0:
        raise ParameterError(
            f"A chance of {gamma} to stop after a failure was given.",
            "It is above 0 and at most 1, or tries would never end.",
            "Use 1/K for at most K expected tries.",
        )
