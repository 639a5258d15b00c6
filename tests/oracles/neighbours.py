"""All data sets of at most 3 records on a 2x2 domain, and all pairs that differ by one privacy unit."""

from itertools import combinations_with_replacement

import numpy as np

from dpsynth.domain import Domain
from dpsynth.sources.memory import MemorySource

DOMAIN = Domain.of({"a": 2, "b": 2})
RECORDS = ((0, 0), (0, 1), (1, 0), (1, 1))
PERSONS = tuple(p for rows in (1, 2) for p in combinations_with_replacement(RECORDS, rows))
"""Every person of one or two rows."""

Records = tuple[tuple[int, int], ...]
People = tuple[Records, ...]

DATA: tuple[Records, ...] = tuple(d for rows in range(4) for d in combinations_with_replacement(RECORDS, rows))
"""Every data set of at most 3 records, up to order (no shipped source looks at it)."""

PAIRS: tuple[tuple[Records, Records], ...] = tuple(
    (d, tuple(sorted((*d, r)))) for d in DATA if len(d) < 3 for r in RECORDS
)
"""Every pair where the second has one record more."""

PEOPLE_PAIRS: tuple[tuple[People, People], ...] = tuple(
    (d, tuple(sorted((*d, p)))) for d in ((), *((q,) for q in PERSONS)) for p in PERSONS
)
"""Every pair of at most one person, and the same with one more person of one or two rows."""


def row_source(records: Records) -> MemorySource:
    """The records, each its own privacy unit."""
    return MemorySource(DOMAIN, np.array(records, dtype=np.uint8).reshape(-1, 2).T.copy())


def people_source(people: People) -> MemorySource:
    """People of at most two rows each."""
    rows = [row for person in people for row in person]
    units = np.array([i for i, person in enumerate(people) for _ in person], dtype=np.int64)
    return MemorySource(DOMAIN, np.array(rows, dtype=np.uint8).reshape(-1, 2).T.copy(), units=units, max_rows=2)
