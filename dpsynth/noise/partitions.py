"""Partition selection: which labels enough people hold, charged first. Exact counts of people in, few labels out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accountant import faults
from accountant.events import PartitionSelection
from accountant.spend import Side, Spend, Step
from dpsynth.noise.base import RandomSource
from dpsynth.noise.gaussian import discrete_gaussian_table, draw_discrete_gaussian


def release_labels(
    count: Callable[[], NDArray[np.int64]],
    event: PartitionSelection,
    *,
    label: str,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> dict[int, int]:
    """The labels whose noisy count of people reaches the threshold, with these noisy counts.

    Only labels that somebody holds are looked at, and only what passes comes out: how many labels there are, and in
    which order they were found, is as private as the labels.

    Args:
      count: Counts the people of each label, int64; called after the charge.
      event: Noise, threshold, and the most labels that one person holds.
      label: Public words for the ledger.
      spend: Charged before anything is counted.
      random: Source of the noise.
      sides: Whose people ``count`` counts.

    Returns:
      The noisy count by the number of the label.

    Privacy:
      Spends ``event`` on each of ``sides``, for neighbours of whom one has a person more, who adds 1 to at most
      ``event.labels_per_unit`` counts.
      Checked by: tests/oracles/test_partitions.py::test_labels_of_neighbours

    Raises:
      BudgetExceeded: The spend refused; nothing was recorded, counted or drawn.
      ParameterError: The noise can't be drawn; nothing was recorded, counted or drawn.
    """
    discrete_gaussian_table(event.sigma)  # refuses a sigma out of range before the charge
    spend.charge([Step(label=label, event=event, sides=sides)])
    people = count()
    held = np.flatnonzero(people > 0)
    if not held.size:
        return {}
    faults.reach("draw.before")
    noisy = people[held] + draw_discrete_gaussian(event.sigma, held.size, random=random)
    faults.reach("draw.after")
    passed = noisy >= event.threshold
    return dict(zip(held[passed].tolist(), noisy[passed].tolist(), strict=True))
