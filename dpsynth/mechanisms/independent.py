"""Independent columns: every one-way marginal, nothing else. The baseline that every mechanism has to beat."""

from dataclasses import dataclass

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.shares import by_noise, marginal_sigmas, split
from dpsynth.noise.base import RandomSource
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources.base import MarginalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentConfig:
    """The whole budget goes to the one-way marginals, in shares of cells^(2/3).

    Attributes:
      model_mb: Megabytes (10^6 bytes) that its fit may take, declared rules included; None for no such limit.
    """

    model_mb: int | None = None


def measure_independent(
    source: MarginalSource,
    config: IndependentConfig,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> list[Measurement]:
    """Measure all one-way marginals.

    Args:
      source: Exact marginals of the records.
      config: Empty.
      amount: Budget, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Returns:
      One measurement per attribute.

    Privacy:
      Spends one DiscreteGaussian per attribute, together at most ``amount``; L2 sensitivity as the source's bounds
      give it, at most ``source.max_rows``, under add-remove of one unit.
      Checked by: tests/oracles/test_mechanisms.py::test_independent

    Raises:
      BudgetExceeded: The charge was refused; nothing was drawn.
    """
    domain = source.domain
    cliques = [(n,) for n in domain.names]
    amounts = split(amount, by_noise(source, cliques))
    return measure_marginals(
        source,
        cliques,
        sigmas=marginal_sigmas(source, cliques, amounts, coordinate=coordinate),
        spend=spend,
        random=random,
        label="one-way marginals",
        sides=sides,
    )
