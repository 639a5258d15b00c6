"""What the gate found, exactly: CONFIDENTIAL. Nothing that writes public files may import this module."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dpsynth.attacks.closeness import AttackStatistic


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GateAnnex:
    """Exact statistics of a gate, for the operator's eyes; its repr shows no number.

    Attributes:
      statistics: Exact sums of every statistic.
      taus: The public threshold of each.
      exact_steps: The statistic before noise, in steps.
      pass_probability: Exact probability over the noise with which this table passes.
    """

    statistics: tuple[AttackStatistic, ...]
    taus: tuple[Fraction, ...]
    exact_steps: int
    pass_probability: Fraction

    def __repr__(self) -> str:
        return "GateAnnex(<private>)"

    def confidential_json(self) -> dict[str, Any]:
        """Everything, as canonical JSON values, for the annex's own writer."""
        return {
            "CONFIDENTIAL": "exact figures; outside the privacy claim",
            "exact_steps": self.exact_steps,
            "pass_probability": f"{float(self.pass_probability):.9g}",
            "statistics": [
                {
                    "attack": s.name,
                    "family": s.feature.family.value,
                    "distance": s.feature.distance,
                    "which": s.feature.which,
                    "constant": s.constant,
                    "training": s.training,
                    "holdout": s.holdout,
                    "tau": str(tau),
                }
                for s, tau in zip(self.statistics, self.taus, strict=True)
            ],
        }
