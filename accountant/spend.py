"""The seam between whoever touches records and whoever counts the cost: spend first, then draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from accountant.events import Event


class Side(StrEnum):
    """Which people an event read; everybody is on one side only.

    Those the synthesizer learns from, those held out for the gate, and, where a gate asks for it, those held out whose
    noisy marginals it compares with. The last pay for these alone.
    """

    TRAINING = "training"
    HOLDOUT = "holdout"
    REFERENCE = "reference"


BOTH_SIDES: tuple[Side, ...] = (Side.TRAINING, Side.HOLDOUT)
"""The sides that every split has; reference people are there where they were charged or may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One charge: a public label, what was done, and the price each side pays.

    Attributes:
      label: What it is for, from public names only.
      event: What was done to the records of every side named in ``sides``.
      sides: The sides whose records were read; each is priced by the event.
    """

    label: str
    event: Event
    sides: tuple[Side, ...] = (Side.TRAINING,)


class Spend(Protocol):
    """Something that can be charged: a ledger reservation, or a filter in memory."""

    def charge(self, steps: Sequence[Step]) -> None:
        """Record the steps, durably, before their noise is drawn.

        Privacy:
          Records the events of ``steps``; draws nothing.
          Checked by: tests/accountant/test_spend_contract.py::test_refusal_leaves_no_entry

        Raises:
          BudgetExceeded: The steps don't fit; nothing was recorded.
        """
        ...
