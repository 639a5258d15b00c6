"""Counting joints of coded rows, and summing marginals out of them: integers throughout, so the order can't matter."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.sources.base import Codes
from dpsynth.sources.cover import JOINT_CELLS, Joint, joint_cover

CHUNK_ROWS = 131_072
"""Rows counted at a time, so that their joint codes stay in cache."""
MOST_CHUNK_ROWS = 2**22
Tables = dict[Clique, NDArray[np.int64]]
THREADS = 2
WORTH_THREADS = 2**21
"""Rows times joints below which threads cost more than they save."""


def add_counts(domain: Domain, codes: Codes, clique: Clique, table: NDArray[np.int64]) -> None:
    """Add the counts of a block of rows to a flat table of a clique.

    Args:
      domain: The public domain.
      codes: Unsigned codes, shape (attributes, rows), each below its attribute's size.
      clique: Attribute names in domain order.
      table: int64, shape ``(domain.cells(clique),)``; changed in place.
    """
    columns = [domain.names.index(n) for n in clique]
    sizes = domain.shape(clique)
    small = table.size < JOINT_CELLS  # so the cells, and every size, are numbers of 16 bits
    rows = codes.shape[1]
    step = CHUNK_ROWS if small else min(MOST_CHUNK_ROWS, max(CHUNK_ROWS, 2 * table.size))
    buffer = np.zeros(min(step, rows), dtype=np.uint16 if small else np.int64)
    for start in range(0, rows, step):
        block = codes[:, start : start + step]
        joint = buffer[: block.shape[1]]
        for place, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            if place == 0:
                joint[:] = block[column]
            else:
                np.multiply(joint, joint.dtype.type(size), out=joint)
                np.add(joint, block[column], out=joint, casting="unsafe")
        table += np.bincount(joint, minlength=table.size)


def marginals_of(domain: Domain, joint: Joint, table: NDArray[np.int64]) -> Tables:
    """The asked cliques of a counted joint, int64, C-order."""
    found: Tables = {}
    _sum_out(table.reshape(domain.shape(joint.clique)), joint.clique, joint.asked, 0, found)
    return found


def _sum_out(table: NDArray[np.int64], names: Clique, asked: Sequence[Clique], kept: int, found: Tables) -> None:
    """Sum a table down to the asked cliques, all of which hold its first ``kept`` names: one attribute at a time, so
    that cliques share what they both sum over."""
    if len(asked) == 1 and len(asked[0]) == kept:
        (clique,) = asked
        found[clique] = np.ascontiguousarray(table.reshape(*table.shape[:kept], -1).sum(axis=-1, dtype=np.int64))
        return
    name = names[kept]
    without = [q for q in asked if name not in q]
    if len(without) < len(asked):
        _sum_out(table, names, [q for q in asked if name in q], kept + 1, found)
    if without:
        _sum_out(table.sum(axis=kept, dtype=np.int64), names[:kept] + names[kept + 1 :], without, kept, found)


def count_marginals(
    domain: Domain, codes: Codes, cliques: Sequence[Clique], *, threads: int = THREADS
) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
    """Exact marginals of rows in memory, in the order asked; the same bits as counting each clique alone. Private.

    Which joints are made follows from the domain and the cliques alone, so that no number of rows decides it.

    Args:
      domain: The public domain.
      codes: Unsigned codes, shape (attributes, rows).
      cliques: Attribute names in domain order, repeats allowed.
      threads: Joints counted at the same time.
    """
    rows = codes.shape[1]
    joints = joint_cover(domain, cliques)

    def count(joint: Joint) -> dict[Clique, NDArray[np.int64]]:
        table = np.zeros(joint.cells, dtype=np.int64)
        add_counts(domain, codes, joint.clique, table)
        return marginals_of(domain, joint, table)

    if threads > 1 and rows * len(joints) >= WORTH_THREADS:
        with ThreadPoolExecutor(threads) as pool:
            yield from in_order(cliques, _a_few_ahead(pool, count, joints, 2 * threads))
    else:
        yield from in_order(cliques, map(count, joints))


def _a_few_ahead(
    pool: ThreadPoolExecutor, count: Callable[[Joint], Tables], joints: Sequence[Joint], most: int
) -> Iterator[Tables]:
    """What each joint gave, in order, with at most ``most`` of them counted ahead of their reader."""
    ahead: deque[Future[Tables]] = deque()
    for joint in joints:
        ahead.append(pool.submit(count, joint))
        if len(ahead) >= most:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def in_order(
    cliques: Sequence[Clique], counted: Iterator[dict[Clique, NDArray[np.int64]]]
) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
    """Pairs in the order asked, from what each joint gave; a clique that is asked twice gets a table of its own."""
    waiting: dict[Clique, NDArray[np.int64]] = {}
    left: dict[Clique, int] = {}
    for clique in cliques:
        left[clique] = left.get(clique, 0) + 1
    for clique in cliques:
        while clique not in waiting:
            waiting |= next(counted)
        left[clique] -= 1
        yield clique, (waiting[clique].copy() if left[clique] else waiting.pop(clique))
