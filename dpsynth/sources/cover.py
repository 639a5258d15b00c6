"""Which joint tables to count so that every asked marginal can be summed out of one of them. Public facts only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain

JOINT_CELLS = 65_536
"""Cells of a joint that was grown: its codes fit 16 bits, its table the second-level cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A table to count, and the asked cliques that are summed out of it.

    Attributes:
      clique: Attribute names in domain order.
      cells: Its cells.
      asked: Cliques within it, each in exactly one joint of a cover.
    """

    clique: Clique
    cells: int
    asked: tuple[Clique, ...]


def joint_cover(domain: Domain, cliques: Sequence[Clique], *, limit: int = JOINT_CELLS) -> list[Joint]:
    """Joints of at most ``limit`` cells that hold every clique; a clique above the limit is a joint of its own.

    Greedy: the largest clique that is left starts a joint, which takes in the attribute that completes most other
    cliques for its size, as long as it fits.

    Args:
      domain: The public domain.
      cliques: Asked cliques, repeats allowed.
      limit: Cells of a grown joint.

    Returns:
      The joints, in the order in which the cliques ask for them.
    """
    left = sorted(dict.fromkeys(cliques), key=lambda q: (-len(q), -domain.cells(q)))
    if not left:
        return []
    column = {name: i for i, name in enumerate(domain.names)}
    sizes = np.array(domain.sizes, dtype=np.float64)
    worth = 1.0 / np.log2(sizes + 1.0)
    holds = np.zeros((len(left), len(domain.names)), dtype=np.bool_)
    for row, clique in enumerate(left):
        holds[row, [column[n] for n in clique]] = True
    width = holds.sum(axis=1)
    pending = np.ones(len(left), dtype=np.bool_)
    joints = []
    while pending.any():
        first = int(np.argmax(pending))
        inside, cells, missing = _grow(holds, width, pending, holds[first].copy(), sizes, worth, limit)
        done = pending & (missing == 0)
        pending &= ~done
        joints.append(
            Joint(
                clique=tuple(n for n, here in zip(domain.names, inside, strict=True) if here),
                cells=cells,
                asked=tuple(left[i] for i in np.flatnonzero(done)),
            )
        )
    place = {clique: i for i, clique in reversed(list(enumerate(cliques)))}
    return sorted(joints, key=lambda joint: min(place[q] for q in joint.asked))


def _grow(
    holds: NDArray[np.bool_],
    width: NDArray[np.int64],
    pending: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    sizes: NDArray[np.float64],
    worth: NDArray[np.float64],
    limit: int,
) -> tuple[NDArray[np.bool_], int, NDArray[np.int64]]:
    """Attributes of the grown joint, its cells, and how many attributes each clique still misses."""
    cells = int(np.prod([int(s) for s in sizes[inside]], dtype=object))
    missing = width - holds[:, inside].sum(axis=1)
    while True:
        almost = holds[pending & (missing == 1)] & ~inside
        gain = almost.sum(axis=0) * worth
        gain[cells * sizes > limit] = 0.0
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            return inside, cells, missing
        inside[best] = True
        cells *= int(sizes[best])
        missing = missing - holds[:, best]
