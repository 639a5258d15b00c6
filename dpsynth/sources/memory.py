"""Coded records held in memory: a marginal source and a row source in one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.sources.base import Codes
from dpsynth.sources.bounding import combinations_of, units_that_repeat
from dpsynth.sources.counting import THREADS, count_marginals


class MemorySource:
    """Coded records in memory.

    Args:
      domain: The public domain.
      records: Codes, unsigned integers, shape (attributes, rows), attributes in domain order.
      units: Index of the privacy unit of each row, int64, shape (rows,); None where each row is a unit.
      max_rows: Bound on the rows of one unit; checked here, because every sensitivity rests on it.
      distinct: Attributes of whose codes no two rows of one unit share the combination; checked for the same reason.
      threads: Joints counted at the same time.
    """

    __slots__ = ("_distinct", "_domain", "_max_rows", "_records", "_threads", "_units")

    def __init__(
        self,
        domain: Domain,
        records: Codes,
        *,
        units: NDArray[np.int64] | None = None,
        max_rows: int = 1,
        distinct: Clique = (),
        threads: int = THREADS,
    ) -> None:
        if records.ndim != 2 or records.shape[0] != len(domain.names) or records.dtype.kind != "u":
            raise ValueError("records must be unsigned codes of shape (attributes, rows)")
        if records.size and (records.max(axis=1) >= np.array(domain.sizes)).any():
            raise ValueError("a code lies outside the domain")
        rows = records.shape[1]
        units = np.arange(rows, dtype=np.int64) if units is None else units
        if units.shape != (rows,) or (rows and np.bincount(units).max() > max_rows):
            raise ValueError("a unit has more rows than max_rows")
        if distinct and rows:
            seen = combinations_of(records[[domain.names.index(name) for name in distinct]])
            if units_that_repeat(units, seen).size:
                raise ValueError("two rows of a unit have the same codes of the distinct attributes")
        smallest = np.min_scalar_type(max(domain.sizes) - 1)
        self._records = records if records.dtype.itemsize <= smallest.itemsize else records.astype(smallest)
        self._domain, self._units, self._max_rows, self._threads = domain, units, max_rows, threads
        self._distinct = domain.clique(distinct)

    def __repr__(self) -> str:
        return f"MemorySource({len(self._domain.names)} attributes, max_rows={self._max_rows})"

    @property
    def domain(self) -> Domain:
        """The public domain of the codes."""
        return self._domain

    @property
    def max_rows(self) -> int:
        """The enforced bound on rows of one unit."""
        return self._max_rows

    @property
    def distinct(self) -> Clique:
        """Attributes of whose codes no two rows of one unit share the combination, as enforced."""
        return self._distinct

    def counts(self, cliques: Sequence[Clique]) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
        """Exact counts of each clique, int64, in the order asked. Private."""
        return count_marginals(self._domain, self._records, cliques, threads=self._threads)

    def blocks(self, rows: int = 65_536) -> Iterator[tuple[Codes, NDArray[np.int64]]]:
        """Blocks of coded rows with the unit index of each row. Private."""
        for start in range(0, self._records.shape[1], rows):
            yield self._records[:, start : start + rows], self._units[start : start + rows]

    def recode(self, domain: Domain, lookups: Mapping[str, NDArray[np.int64]]) -> "MemorySource":
        """The same records in another domain of the same attributes.

        Codes that were distinct may fall into one: where a distinct attribute is looked up, the new source enforces the
        bound on rows alone.

        Args:
          domain: The new domain.
          lookups: The new code of each old one, for attributes whose codes change.
        """
        wide = np.min_scalar_type(max(domain.sizes) - 1)
        records = np.empty(self._records.shape, wide)
        for i, name in enumerate(domain.names):
            records[i] = self._records[i] if name not in lookups else lookups[name][self._records[i]]
        return MemorySource(
            domain,
            records,
            units=self._units,
            max_rows=self._max_rows,
            distinct=() if set(self._distinct) & set(lookups) else self._distinct,
            threads=self._threads,
        )

    def restrict(self, keep: NDArray[np.bool_]) -> "MemorySource":
        """The records where ``keep`` is true, units numbered anew from 0."""
        return MemorySource(
            self._domain,
            np.ascontiguousarray(self._records[:, keep]),
            units=_renumber(self._units[keep]),
            max_rows=self._max_rows,
            distinct=self._distinct,
            threads=self._threads,
        )


def joined(source: MemorySource) -> Codes:
    """All coded rows of a source, shape (attributes, rows). Private."""
    empty = np.zeros((len(source.domain.names), 0), dtype=np.uint8)
    return np.concatenate([codes for codes, _ in source.blocks()] or [empty], axis=1)


def _renumber(units: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse: NDArray[Any] = np.unique(units, return_inverse=True)[1]
    return inverse.astype(np.int64).reshape(-1)
