"""One fit of generated records of any size, streamed in blocks; prints CPU seconds of counting and of the rest as JSON.

The rows repeat a pool of generated ones, so that their generation costs nothing and the engine alone is measured.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.price import Price
from accountant.spend import Side
from dpsynth.domain import Clique, Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.sources.streaming import StreamingSource
from dpsynth.synthesizers import find_synthesizer, fit_model

POOL_ROWS = 2**18
HIDDEN = 12
"""Hidden classes that make the columns depend on each other."""


class TimedSource:
    """A source that adds up the CPU seconds of its counts."""

    def __init__(self, source: StreamingSource) -> None:
        self.source, self.cpu_seconds = source, 0.0
        self.domain, self.max_rows = source.domain, source.max_rows

    def counts(self, cliques: Sequence[Clique]) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
        """Count, and note what it cost."""
        began = time.process_time()
        for pair in self.source.counts(cliques):
            self.cpu_seconds += time.process_time() - began
            yield pair
            began = time.process_time()


def generated(domain: Domain, rows: int) -> StreamingSource:
    """Records of a fixed mixture of hidden classes, ``rows`` of them."""
    rng = np.random.default_rng(0)
    pool_rows = min(rows, POOL_ROWS)
    hidden = rng.integers(0, HIDDEN, pool_rows)
    pool = np.empty((len(domain.names), pool_rows), np.min_scalar_type(max(domain.sizes) - 1))
    for column, size in zip(pool, domain.sizes, strict=True):
        centre = rng.random(HIDDEN)[hidden]
        column[:] = np.minimum((centre + 0.3 * rng.random(pool_rows)) / 1.3 * size, size - 1)

    def blocks() -> Iterator[tuple[NDArray[Any], None]]:
        for start in range(0, rows, pool_rows):
            yield pool[:, : min(pool_rows, rows - start)], None

    return StreamingSource(domain, blocks, threads=1)


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--synthesizer", required=True)
    parser.add_argument("--signal", type=int, help="scale the budget to the relative noise of so many rows")
    given = parser.parse_args()
    domain = Domain.of({f"x{i:03}": given.size for i in range(given.columns)})
    source = TimedSource(generated(domain, given.rows))
    budget = Budget(epsilon=1.0, delta=1e-9)
    cap = Price(int(budget.cap.amount * ((given.signal or given.rows) / given.rows) ** 2), budget.cap.delta)
    began = time.process_time()
    fitted = fit_model(
        source,
        find_synthesizer(given.synthesizer),
        amount=cap.amount,
        coordinate=budget.coordinate,
        spend=FilterSpend(coordinate=budget.coordinate, caps={Side.TRAINING: cap}),
        random=SeededRandom(0),
    )
    used = time.process_time() - began
    told = {"counting": source.cpu_seconds, "rest": used - source.cpu_seconds, "chosen": fitted.report.synthesizer}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
