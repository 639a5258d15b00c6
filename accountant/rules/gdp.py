"""GDP: the mu of ONE application of each event, every float rounded up.

The mu of each primitive is in ``accountant.rules.mu``, with the proof for the discrete Gaussian. A sampled Gaussian has
no price here: its curve isn't that of a Gaussian, and the smallest mu above it depends on what it is composed with.
A zCDP mechanism has none either: a rho implies no mu.

Source: Dong, Roth, Su 2022 (arXiv:1905.02383), Theorems 2.10, 2.14 and Corollary 3.3.
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
from accountant.rules.mu import bounded_range_mu, discrete_gaussian_mu, pure_mu
from accountant.rules.plans import require_dominated
from accountant.rules.selection import released_alone, selection_mu_square
from accountant.rules.slack import sampler_slack


def _square(mu: float, scale: float = 1.0) -> Fraction:
    return (Fraction(mu) * Fraction(scale)) ** 2


def _gaussian(event: Gaussian) -> Price:
    return Price.of(1 / Fraction(event.noise_multiplier) ** 2)


def _discrete_gaussian(event: DiscreteGaussian) -> Price:
    return Price.of(_square(discrete_gaussian_mu(event.sigma), event.sensitivity), sampler_slack(event.draws))


def _laplace(event: Laplace) -> Price:
    return Price.of(_square(pure_mu(event.sensitivity / event.scale)))


def _discrete_laplace(event: DiscreteLaplace) -> Price:
    return Price.of(_square(pure_mu(event.sensitivity / event.scale)), sampler_slack(event.draws))


def _bounded_range(event: BoundedRange) -> Price:
    return Price.of(_square(bounded_range_mu(event.eta)), sampler_slack(1))


def _pure(event: PureDP) -> Price:
    return Price.of(_square(pure_mu(event.epsilon)))


def _claim(event: ApproxDP) -> Price:
    return Price.of(_square(pure_mu(event.epsilon)), Fraction(event.delta))


def _selection(event: PartitionSelection) -> Price:
    return Price.of(selection_mu_square(event), released_alone(event))


def _sampled(event: PoissonSampledGaussian | FixedSizeSampledGaussian) -> Price:
    raise UnsupportedEvent(
        f"A {type(event).__name__} alone has no price in the coordinate gdp.",
        "Its curve isn't a Gaussian's, so no mu prices one step tightly.",
        "Compose the whole plan and enter it as a FixedPlan: accountant.pld.fixed_plan finds its mu and delta.",
    )


def _zcdp(event: ZCDP) -> Price:
    raise UnsupportedEvent(
        "A mechanism known by its rho has no price in the coordinate gdp.",
        "A rho implies no mu.",
        "Use a scope in the coordinate zcdp, or compose the whole plan and enter it as a FixedPlan.",
    )


def _plan(event: FixedPlan) -> Price:
    require_dominated(event)
    return Price.of(Fraction(event.mu) ** 2, Fraction(event.delta))


GDP_RULES: dict[type[Event], Callable[[Any], Price]] = {
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
