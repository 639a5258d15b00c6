"""Counting speed in a process of its own: all pairs of the 15 columns of coded Adult, its rows repeated.

Run with ``python -m benchmarks.count_speed TABLE DOMAIN --rows N --threads T``; prints JSON.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dpsynth.domain import Domain
from dpsynth.sources import MemorySource

REPEATS = 3


def main() -> None:
    """Count and report the fastest of several passes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("domain", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    domain = Domain.of(json.loads(given.domain.read_text()))
    table = pq.read_table(given.table, columns=list(domain.names))
    once = np.array([column.to_numpy() for column in table.columns]).astype(np.uint8)
    order = np.random.default_rng(0).integers(0, once.shape[1], given.rows)
    source = MemorySource(domain, np.ascontiguousarray(once[:, order]), threads=given.threads)
    pairs = list(itertools.combinations(domain.names, 2))
    cpu, wall = [], []
    for _ in range(REPEATS):
        began, used = time.perf_counter(), time.process_time()
        for _pair in source.counts(pairs):
            pass
        cpu.append(time.process_time() - used)
        wall.append(time.perf_counter() - began)
    print(json.dumps({"rows": given.rows, "pairs": len(pairs), "cpu_seconds": min(cpu), "seconds": min(wall)}))


if __name__ == "__main__":
    main()
