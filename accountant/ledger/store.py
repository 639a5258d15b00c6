"""The seam below the ledger: an append-only list of rows under one exclusive writer."""

from contextlib import AbstractContextManager
from typing import Protocol

Row = tuple[int, str, str]
"""Sequence number, canonical JSON of the entry, its SHA-256."""


class Rows(Protocol):
    """The rows, within a transaction."""

    def after(self, seq: int) -> list[Row]:
        """The rows after ``seq``, in order."""
        ...

    def append(self, row: Row) -> None:
        """Add the next row; durable once the transaction has ended without an exception."""
        ...


class EntryStore(Protocol):
    """Where entries live. Shipped: SQLite. Errors are LedgerError or LedgerTampered, never a driver's own."""

    def writing(self) -> AbstractContextManager[Rows]:
        """An exclusive transaction: committed durably on success, undone on any exception."""
        ...

    def reading(self) -> AbstractContextManager[Rows]:
        """A consistent view; appending to it is an error."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
