"""Guesses of who was trained on, for one-run audits: a rule fixed before the table is drawn, one guess a person.

A person is guessed to be a member where a row of theirs occurs in the synthetic table although a tree of pairs fitted
to that table expects at most one row in ``IMPROBABLE`` such tables: chance hardly explains it. Everybody else is passed
over. Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846) audit by such guesses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.closeness import Blocks
from dpsynth.attacks.improbable import Chance
from dpsynth.attacks.nearest import Codes, Table, nearness, occurs

IMPROBABLE = 2_000
"""A row is guessed by if so many tables, or more, hold it once by chance. docs/audit.md says how it was chosen."""
RULE = f"improbable-copies-{IMPROBABLE}"
"""Name of the rule, for whoever has to know that it was fixed beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SideGuesses:
    """How many people of one side there are, and how many of them are guessed. PRIVATE: its repr shows no number.

    Attributes:
      people: Privacy units of the side.
      guessed: Those of whom some row is an improbable copy; one person more or less moves it by at most 1.
    """

    people: int
    guessed: int

    def __repr__(self) -> str:
        return "SideGuesses(<private>)"


def guess_members(blocks: Blocks, table: Table, chance: Chance, *, improbable: int = IMPROBABLE) -> SideGuesses:
    """Count the people of one side who are guessed to be members.

    Args:
      blocks: Coded rows of one side and the privacy unit of each; rows of one unit may lie in different blocks.
      table: The synthetic table, from :func:`dpsynth.attacks.nearest.prepare`.
      chance: What is expected of a row, from :func:`dpsynth.attacks.improbable.by_chance` of the same table.
      improbable: Tables that hold a row once by chance, at least, for it to be guessed by.
    """
    everybody, guessed = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for codes, units in blocks:
        everybody.append(np.unique(units))
        guessed.append(np.unique(units[occurs(codes, table) & (chance.expected(codes) * improbable <= 1.0)]))
    return SideGuesses(
        people=int(np.unique(np.concatenate(everybody)).size), guessed=int(np.unique(np.concatenate(guessed)).size)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryGuesses:
    """What a rule makes of fabricated canaries; nobody is in them, so these counts are public.

    Attributes:
      canaries: All that had a coin.
      guessed: Those that were guessed, in or out.
      correct: Right guesses.
    """

    canaries: int
    guessed: int
    correct: int


def guess_canaries(canaries: Codes, included: NDArray[np.bool_], table: Table) -> CanaryGuesses:
    """Guess the nearest quarter of the canaries to be in, the furthest quarter to be out; ties in canaries' order.

    Args:
      canaries: Codes of all fabricated records, shape (columns, canaries).
      included: What their coins said.
      table: The synthetic table.

    Privacy: none; post-processing of accounted outputs and of coins that are no person's.
    """
    count = canaries.shape[1]
    order = np.argsort(nearness(canaries, table).distance, kind="stable")
    quarter = count // 4
    right = np.count_nonzero(included[order[:quarter]]) + np.count_nonzero(~included[order[count - quarter :]])
    return CanaryGuesses(canaries=count, guessed=2 * quarter, correct=int(right))
