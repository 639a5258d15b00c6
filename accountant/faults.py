"""Named fault points: where a test may kill the process to show that the ledger stays right."""

from collections.abc import Callable

hook: Callable[[str], None] | None = None
"""Called with the name of each fault point that is reached; None outside tests."""


def reach(name: str) -> None:
    """Announce the fault point ``name``; does nothing unless a test set ``hook``."""
    if hook is not None:
        hook(name)
