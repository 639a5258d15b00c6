"""Coded records that never lie in memory together: every count is a pass over blocks of rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.sources.base import Codes
from dpsynth.sources.counting import THREADS, WORTH_THREADS, add_counts, in_order, marginals_of
from dpsynth.sources.cover import Joint, joint_cover

PASS_CELLS = 2**24
"""Cells of all joints of one pass (128 MB as 64-bit counts); more cliques take more passes."""
REMEMBERED_CELLS = 2**25
"""Cells of remembered marginals (256 MB as 64-bit counts)."""
BLOCK_ROWS = 262_144

Block = tuple[Codes, NDArray[np.int64] | None]
"""Codes (attributes, rows), and the unit index of each row; None where each row is a unit."""


class StreamingSource:
    """Coded records that are read anew, in blocks, for every call; its memory depends on the domain, not on the rows.

    Precondition: the rows are already coded and bounded by the caller, as :mod:`dpsynth.records` does. What is checked
    here guards against a mistaken caller: such a refusal follows from what records hold, can come after charges, and is
    outside any claim. The engine itself reads no stream.

    Marginals that were counted are remembered, up to ``REMEMBERED_CELLS``, so that asking again takes no pass.

    Args:
      domain: The public domain.
      open_blocks: Starts a pass: codes (attributes, rows), unsigned, attributes in domain order, with the unit of each
        row or None. Every pass must give the same rows.
      max_rows: Bound on the rows of one unit, kept by the caller, because every sensitivity rests on it; checked in
        every pass, with one counter a unit where units are given.
      threads: Joints counted at the same time.
    """

    __slots__ = ("_domain", "_held", "_known", "_max_rows", "_open", "_threads")

    def __init__(
        self,
        domain: Domain,
        open_blocks: Callable[[], Iterable[Block]],
        *,
        max_rows: int = 1,
        threads: int = THREADS,
    ) -> None:
        self._domain, self._open, self._max_rows, self._threads = domain, open_blocks, max_rows, threads
        self._known: dict[Clique, NDArray[np.int64]] = {}
        self._held = 0

    def __repr__(self) -> str:
        return f"StreamingSource({len(self._domain.names)} attributes, max_rows={self._max_rows})"

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
        """None: a stream bounds rows alone, so every marginal of it moves by ``max_rows``."""
        return ()

    def counts(self, cliques: Sequence[Clique]) -> Iterator[tuple[Clique, NDArray[np.int64]]]:
        """Exact counts of each clique, int64, in the order asked; one pass for every ``PASS_CELLS`` cells. Private."""
        known = self._known.keys() & set(cliques)
        new = [q for q in cliques if q not in known]
        joints = joint_cover(self._domain, new)
        counted = (found for batch in _passes(joints) for found in self._pass(batch))
        waiting = in_order(new, counted)
        for clique in cliques:
            if clique in known:
                yield clique, self._known[clique].copy()
            else:
                yield self._remember(*next(waiting))

    def _remember(self, clique: Clique, table: NDArray[np.int64]) -> tuple[Clique, NDArray[np.int64]]:
        if clique not in self._known and self._held + table.size <= REMEMBERED_CELLS:
            self._known[clique] = table.copy()
            self._held += table.size
        return clique, table

    def _pass(self, joints: Sequence[Joint]) -> Iterator[dict[Clique, NDArray[np.int64]]]:
        tables = [np.zeros(joint.cells, dtype=np.int64) for joint in joints]

        def add(codes: Codes, place: int) -> None:
            add_counts(self._domain, codes, joints[place].clique, tables[place])

        with self._workers() as pool:
            for codes, _ in self._checked():
                if pool is None or codes.shape[1] * len(joints) < WORTH_THREADS:
                    for place in range(len(joints)):
                        add(codes, place)
                else:
                    list(pool.map(add, [codes] * len(joints), range(len(joints))))
        for joint, table in zip(joints, tables, strict=True):
            yield marginals_of(self._domain, joint, table)

    def _workers(self) -> AbstractContextManager[ThreadPoolExecutor | None]:
        return ThreadPoolExecutor(self._threads) if self._threads > 1 else nullcontext(None)

    def blocks(self, rows: int = 65_536) -> Iterator[tuple[Codes, NDArray[np.int64]]]:
        """Blocks of at most ``rows`` rows with the unit index of each row. Private."""
        for codes, units in self._checked():
            for start in range(0, codes.shape[1], rows):
                yield codes[:, start : start + rows], units[start : start + rows]

    def _checked(self) -> Iterator[tuple[Codes, NDArray[np.int64]]]:
        sizes = np.array(self._domain.sizes)
        seen: dict[int, int] = {}
        before, by_row = 0, None
        for codes, given in self._open():
            if codes.ndim != 2 or codes.shape[0] != len(sizes) or codes.dtype.kind != "u":
                raise ValueError("a block must hold unsigned codes of shape (attributes, rows)")
            if codes.size and (codes.max(axis=1) >= sizes).any():
                raise ValueError("a code lies outside the domain")
            rows = codes.shape[1]
            if by_row not in (None, given is None):
                raise ValueError("either every block names its units or none does")
            by_row = given is None
            units = np.arange(before, before + rows, dtype=np.int64) if given is None else given
            if given is not None:
                _count_units(seen, given, rows, self._max_rows)
            before += rows
            yield codes, units


def stream_parquet(
    path: Path, domain: Domain, *, units: str | None = None, max_rows: int = 1, block_rows: int = BLOCK_ROWS
) -> StreamingSource:
    """A source over a Parquet file of integer codes.

    Precondition: already coded and bounded by the caller; a refusal of what the file holds is outside any claim.

    Args:
      path: The file; its columns include the domain's.
      domain: The public domain of the codes.
      units: Column of whole unit identifiers; None where each row is a unit.
      max_rows: Bound on the rows of one unit; checked on every pass.
      block_rows: Rows read at a time.
    """
    dtype = np.min_scalar_type(max(domain.sizes) - 1)
    columns = [*domain.names, *([] if units is None else [units])]

    def blocks() -> Iterator[Block]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=block_rows, columns=columns, use_threads=False):
                owners = None if units is None else _owners(batch, units)
                yield _codes(batch, domain, dtype), owners

    return StreamingSource(domain, blocks, max_rows=max_rows)


def _codes(batch: Any, domain: Domain, dtype: np.dtype[Any]) -> Codes:
    codes = np.empty((len(domain.names), batch.num_rows), dtype)
    for row, (name, size) in enumerate(zip(domain.names, domain.sizes, strict=True)):
        values = _column(batch, name)
        if values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() < size):
            raise ValueError("a code lies outside the domain")
        codes[row] = values
    return codes


def _owners(batch: Any, name: str) -> NDArray[np.int64]:
    values = _column(batch, name)
    if values.dtype.kind not in "iu":
        raise ValueError("a unit isn't a whole number")
    return values.astype(np.int64)


def _column(batch: Any, name: str) -> NDArray[Any]:
    return np.asarray(batch.column(batch.schema.get_field_index(name)).to_numpy(zero_copy_only=False))


def _passes(joints: Sequence[Joint]) -> Iterator[list[Joint]]:
    batch: list[Joint] = []
    for joint in joints:
        if batch and sum(j.cells for j in batch) + joint.cells > PASS_CELLS:
            yield batch
            batch = []
        batch.append(joint)
    if batch:
        yield batch


def _count_units(seen: dict[int, int], units: NDArray[np.int64], rows: int, max_rows: int) -> None:
    """Add a block's rows to the rows of each unit; nothing is sized by an identifier."""
    if units.shape != (rows,):
        raise ValueError("a block must name the unit of every row")
    for unit, more in zip(*(part.tolist() for part in np.unique(units, return_counts=True)), strict=True):
        seen[unit] = seen.get(unit, 0) + more
        if seen[unit] > max_rows:
            raise ValueError("a unit has more rows than max_rows")
