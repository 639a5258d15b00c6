"""What a price means for people: epsilon, a posterior from a prior, ceilings on attacks."""

import math
from dataclasses import dataclass
from fractions import Fraction

from accountant.adjacency import Adjacency
from accountant.convert import epsilon_from_mu, epsilon_from_rho
from accountant.errors import ParameterError
from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Coordinate, Price
from accountant.rules.slack import LARGEST_EPSILON


def epsilon_of(price: Price, delta: float, coordinate: Coordinate) -> float:
    """The epsilon (rounded up) that ``price`` implies at ``delta``; its additive delta is taken from ``delta`` first.

    Raises:
      ParameterError: The additive delta uses up ``delta``, or epsilon would exceed 20, where the samplers' slack is
        no longer proved.
    """
    rest = Fraction(delta) - Fraction(price.delta, DELTA_UNIT)
    if not 0 < rest < 1:
        raise ParameterError(
            f"No epsilon can be stated at delta {delta}.",
            "The additive deltas of what was spent use all of it.",
            "Ask at a larger delta.",
        )
    epsilon = _convert(price.amount, float(rest) * (1.0 - 2.0**-52), coordinate)
    if epsilon > LARGEST_EPSILON:
        raise ParameterError(
            f"An epsilon above {LARGEST_EPSILON:g} isn't stated.",
            "The samplers' slack is proved up to that epsilon, and beyond it a guarantee means nothing.",
            "Spend less, or ask at a larger delta.",
        )
    return epsilon


def _convert(amount: int, delta: float, coordinate: Coordinate) -> float:
    up = 1.0 + 2.0**-50
    if coordinate is Coordinate.GDP:
        return epsilon_from_mu(math.sqrt(amount / AMOUNT_UNIT) * up if amount else 0.0, delta)
    return epsilon_from_rho(amount / AMOUNT_UNIT * up, delta)


def posterior(prior: float, epsilon: float) -> float:
    """The most that a belief of ``prior`` can become, outside events whose chance is of the order of delta."""
    odds = prior * math.exp(epsilon)
    return odds / (odds + 1.0 - prior)


def tpr_ceiling(fpr: float, epsilon: float, delta: float) -> float:
    """The highest true positive rate of any membership attack at a false positive rate."""
    return min(1.0, math.exp(epsilon) * fpr + delta)


def advantage_ceiling(epsilon: float, delta: float) -> float:
    """The largest TPR - FPR of any membership attack: (e^epsilon - 1 + 2 delta) / (e^epsilon + 1)."""
    return (math.expm1(epsilon) + 2.0 * delta) / (math.exp(epsilon) + 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainReading:
    """A guarantee in words that people use.

    Attributes:
      epsilon: As stated.
      delta: As stated.
      prior: A belief about one person before the release.
      posterior: The most it can become.
      advantage: Ceiling on TPR - FPR of any membership attack.
      tpr_at: Ceilings on the TPR, by FPR.
    """

    epsilon: float
    delta: float
    prior: float
    posterior: float
    advantage: float
    tpr_at: tuple[tuple[float, float], ...]

    def sentence(self, *, adjacency: Adjacency = Adjacency.ADD_REMOVE) -> str:
        """The reading as one sentence.

        Under ``REPLACE_PRIVATE`` it speaks of what a row's private part may be, which is all that is protected: any
        statement about it is a bet on one set of values against the others, and each is as likely as any other to give
        what was released, up to e^epsilon and delta.
        """
        if adjacency is Adjacency.REPLACE_PRIVATE:
            return (
                f"Whoever believed with {self.prior:.0%} something of the private columns of a person's row can come "
                f"to believe it with at most {self.posterior:.1%} (outside events of chance about {self.delta:g}); no "
                f"attack that tells two private parts of a row apart has an advantage above {self.advantage:.1%}. Who "
                "is in the data, and public columns, aren't protected."
            )
        return (
            f"Whoever believed with {self.prior:.0%} that a person is in the data can come to believe it with at most "
            f"{self.posterior:.1%} (outside events of chance about {self.delta:g}); no membership attack has an "
            f"advantage above {self.advantage:.1%}."
        )


def plain_reading(*, epsilon: float, delta: float, prior: float = 0.01) -> PlainReading:
    """Read (epsilon, delta) for people; ceilings are in their (epsilon, delta) form."""
    return PlainReading(
        epsilon=epsilon,
        delta=delta,
        prior=prior,
        posterior=posterior(prior, epsilon),
        advantage=advantage_ceiling(epsilon, delta),
        tpr_at=tuple((fpr, tpr_ceiling(fpr, epsilon, delta)) for fpr in (0.0001, 0.001, 0.01, 0.1)),
    )
