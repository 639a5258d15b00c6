"""zCDP: the rho of ONE application of each event, in exact rational arithmetic, rounded up once.

Sources: Bun, Steinke 2016 (arXiv:1605.02065), Propositions 1.4 and 1.6; the discrete Gaussian costs what the continuous
one does: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Theorem 14; bounded range eta costs eta^2/8: Cesar, Rogers
2021 (arXiv:2004.07223), Lemma 3.2.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from accountant.errors import UnsupportedEvent
from accountant.events import (
    ZCDP,
    ApproxDP,
    BoundedRange,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    FixedPlan,
    FixedSizeSampledGaussian,
    Gaussian,
    Laplace,
    PartitionSelection,
    PoissonSampledGaussian,
    PureDP,
)
from accountant.price import Price
from accountant.rules.plans import require_dominated
from accountant.rules.selection import released_alone, selection_mu_square
from accountant.rules.slack import sampler_slack


def _half_square(numerator: float, denominator: float = 1.0) -> Fraction:
    return (Fraction(numerator) / Fraction(denominator)) ** 2 / 2


def _gaussian(event: Gaussian) -> Price:
    return Price.of(_half_square(1.0, event.noise_multiplier))


def _discrete_gaussian(event: DiscreteGaussian) -> Price:
    return Price.of(_half_square(event.sensitivity, event.sigma), sampler_slack(event.draws))


def _laplace(event: Laplace) -> Price:
    return Price.of(_half_square(event.sensitivity, event.scale))


def _discrete_laplace(event: DiscreteLaplace) -> Price:
    return Price.of(_half_square(event.sensitivity, event.scale), sampler_slack(event.draws))


def _bounded_range(event: BoundedRange) -> Price:
    return Price.of(Fraction(event.eta) ** 2 / 8, sampler_slack(1))


def _pure(event: PureDP) -> Price:
    return Price.of(_half_square(event.epsilon))


def _claim(event: ApproxDP) -> Price:
    return Price.of(_half_square(event.epsilon), Fraction(event.delta))


def _zcdp(event: ZCDP) -> Price:
    return Price.of(Fraction(event.rho))


def _selection(event: PartitionSelection) -> Price:
    return Price.of(selection_mu_square(event) / 2, released_alone(event))


def _sampled(event: PoissonSampledGaussian | FixedSizeSampledGaussian) -> Price:
    raise UnsupportedEvent(
        f"A {type(event).__name__} alone has no price in the coordinate zcdp.",
        "Amplification by sampling isn't a statement about one rho.",
        "Compose the whole plan and enter it as a FixedPlan: accountant.pld.fixed_plan finds its mu and delta.",
    )


def _plan(event: FixedPlan) -> Price:
    """mu-GDP is (mu^2 / 2)-zCDP (Dong, Roth, Su 2022, Corollary B.6); the additive delta stays outside."""
    require_dominated(event)
    return Price.of(Fraction(event.mu) ** 2 / 2, Fraction(event.delta))


ZCDP_RULES: dict[type[Event], Callable[[Any], Price]] = {
    Gaussian: _gaussian,
    DiscreteGaussian: _discrete_gaussian,
    Laplace: _laplace,
    DiscreteLaplace: _discrete_laplace,
    BoundedRange: _bounded_range,
    PureDP: _pure,
    ApproxDP: _claim,
    PoissonSampledGaussian: _sampled,
    FixedSizeSampledGaussian: _sampled,
    ZCDP: _zcdp,
    PartitionSelection: _selection,
    FixedPlan: _plan,
}
"""One rule for each event that isn't itself a composition."""
