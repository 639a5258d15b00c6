"""The seam below the ledger: an append-only list of rows under one exclusive writer, with what stands beside it."""

from contextlib import AbstractContextManager
from typing import Protocol

Row = tuple[int, str, str]
"""Sequence number, canonical JSON of the entry, its SHA-256."""

Lease = tuple[str, float]
"""Who holds a release, and until when (seconds since 1970). Beside the chain: entries hold no time."""


class Rows(Protocol):
    """The rows, within a transaction. What is written is durable once it has ended without an exception."""

    def after(self, seq: int) -> list[Row]:
        """The rows after ``seq``, in order."""
        ...

    def append(self, row: Row) -> None:
        """Add the next row."""
        ...

    def checkpoints(self) -> list[tuple[int, str]]:
        """Sequence number and signature of every checkpoint, in order."""
        ...

    def checkpoint(self, seq: int) -> str | None:
        """The signature beside the row ``seq``, if there is one."""
        ...

    def add_checkpoint(self, seq: int, signature: str) -> None:
        """Add the checkpoint of the row just appended."""
        ...

    def lease(self, release_id: str) -> Lease | None:
        """The lease of a release, if it has one."""
        ...

    def put_lease(self, release_id: str, lease: Lease) -> None:
        """Set the lease of a release."""
        ...


class EntryStore(Protocol):
    """Where entries live. Shipped: SQLite, PostgreSQL. Errors are LedgerError or LedgerTampered, never a driver's."""

    def writing(self) -> AbstractContextManager[Rows]:
        """An exclusive transaction: committed durably on success, undone on any exception."""
        ...

    def reading(self) -> AbstractContextManager[Rows]:
        """A consistent view; appending to it is an error."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
