"""What the gate says in public: a function of accounted outputs and public facts only."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The gate's answer."""

    PASS = "pass"
    """The noisy statistic is within the margin; no evidence of privacy, which the proof gives."""
    FAIL = "fail"
    """The noisy statistic is above the margin: the table is destroyed, its budget stays spent."""
    UNDECIDABLE = "undecidable"
    """Too few people, as totals say, for any decision; no table was drawn."""
    REFUTED = "refuted"
    """Canaries or a charged pair contradict the claim; reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The public outcome of a gate.

    ``noisy_steps`` is the very output that the gate's charge pays for (the verdict is post-processing of it), so it is
    published: anybody can check ``noisy_steps <= margin_steps``. No other number of the attacks leaves.

    Attributes:
      verdict: The answer.
      policy: Name of the policy.
      policy_sha256: Its hash.
      attacks: Names of its attacks that had something to look at on a table of this layout; none where undecidable.
      coordinate: What the amounts are ("gdp": mu^2, "zcdp": rho).
      training_amount: Charged to training people for the test, in units of 2^-40; 0 where undecidable.
      holdout_amount: Charged to holdout people for the test.
      training_people: Number of training people, noisy where it isn't public.
      holdout_people: The same of holdout people.
      sigma_records: Scale of the test's noise, in training records.
      grid: Steps of one training record.
      margin_steps: Largest noisy statistic that passes, in steps.
      noisy_steps: The noisy statistic, in steps; None where undecidable.
      smallest_leak: The smallest share of training people copied verbatim that would be seen with the policy's
        probability, from the synthetic table, the policy and accounted numbers; above 1 where none would be.
    """

    verdict: Verdict
    policy: str
    policy_sha256: str
    attacks: tuple[str, ...]
    coordinate: str
    training_amount: int
    holdout_amount: int
    training_people: int
    holdout_people: int
    sigma_records: float
    grid: int
    margin_steps: int
    noisy_steps: int | None
    smallest_leak: float

    def to_json(self) -> dict[str, Any]:
        """Canonical JSON values; the floats as decimal text of six significant digits."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return list(value) if isinstance(value, tuple) else value
