"""The reference of the likelihood attack: noisy marginals of half of the people held out, who pay for nothing else.

Which cliques are measured is a function of the synthesizer's accounted outputs: its largest measured ones, or every
column where it measured none. Whoever is a reference is in no other statistic of the gate and in no noisy total.
"""

from collections.abc import Sequence

from accountant.adjacency import PrivacyUnit
from accountant.calibrate import discrete_gaussian_sigma
from accountant.spend import Side, Spend
from dpsynth.domain import Clique, Domain
from dpsynth.errors import GateRefused
from dpsynth.gate.plan import GatePlan
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource
from dpsynth.sources.bounding import marginal_sensitivity

MOST_CLIQUES = 64
"""Most marginals of a reference; fewer where the budget would pay for no noise that can be drawn."""
LABEL = "gate: reference"
"""How the labels of its steps begin."""


def measure_reference(
    source: MarginalSource, measured: Sequence[Clique], *, plan: GatePlan, spend: Spend, random: RandomSource
) -> tuple[Measurement, ...]:
    """Measure the reference people on the cliques that a model preserves, at equal prices.

    Args:
      source: Records of the reference people. Private.
      measured: The cliques that were measured on training people, in their order; an accounted output.
      plan: Its ``reference_amount`` is what these people pay, in this attempt, for all marginals together.
      spend: Charged on the reference side before the draws.
      random: Where the bits come from.

    Privacy:
      Spends a DiscreteGaussian per clique, of L2 sensitivity at most ``source.max_rows``, on reference people alone,
      all of them within ``plan.reference_amount``.
      Checked by: tests/dpsynth/gate/test_reference.py::test_reference_people_pay_for_their_marginals_and_nothing_else

    Raises:
      BudgetExceeded: The spend refused; nothing was drawn.
    """
    wanted = reference_cliques(source.domain, measured)
    sigmas = [_sigma(plan, source.max_rows, many) for many in range(1, len(wanted) + 1)]
    many = sum(sigma <= LARGEST_SIGMA for sigma in sigmas)
    found = measure_marginals(
        source,
        wanted[:many],
        sigmas=[_sigma(plan, marginal_sensitivity(source, clique), many) for clique in wanted[:many]],
        spend=spend,
        random=random,
        label=LABEL,
        sides=(Side.REFERENCE,),
    )
    return tuple(found)


def reference_cliques(domain: Domain, measured: Sequence[Clique]) -> list[Clique]:
    """The measured cliques that no other one holds, in their order; single columns where nothing was measured."""
    distinct = list(dict.fromkeys(clique for clique in measured if clique))
    largest = [one for one in distinct if not any(set(one) < set(other) for other in distinct)]
    return (largest or [(name,) for name in domain.names])[:MOST_CLIQUES]


def require_reference(plan: GatePlan, unit: PrivacyUnit) -> None:
    """Refuse in the plan what would be refused after the data was opened: noise too wide to draw, for one marginal.

    Raises:
      GateRefused: The budget pays for no reference.
    """
    if not plan.reference_amount:
        return
    sigma = _sigma(plan, unit.max_rows, 1)
    if sigma > LARGEST_SIGMA * (1 - 1e-8):
        raise GateRefused(
            f"A reference would need noise of sigma {sigma:.3g}.",
            f"Exact noise can be drawn up to a sigma of {LARGEST_SIGMA:.0f} rows.",
            "Raise the release's epsilon, keep fewer rows of each unit, or use a policy without a likelihood attack.",
        )


def _sigma(plan: GatePlan, rows: float, many: int) -> float:
    amount = max(1, plan.reference_amount // many)
    return discrete_gaussian_sigma(amount=amount, coordinate=plan.coordinate, sensitivity=float(rows))
