"""Small files that must be whole or absent, and private where they hold keys."""

import os
from pathlib import Path

WITNESS = "witness.json"
"""Name of the witness in a ledger's folder."""


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Create ``path`` exclusively with ``mode`` and flush it to disk; raises OSError."""
    _write(path, content, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def replace_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Put ``content`` at ``path`` in one step, durably; a crash leaves the old or the new file. Raises OSError."""
    staged = path.with_name(path.name + ".new")
    try:
        _write(staged, content, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_data(handle: int) -> None:
    """Bring what was written to an open file to the disk; raises OSError."""
    getattr(os, "fdatasync", os.fsync)(handle)


def flush_folder(path: Path) -> None:
    """Make the folder's names durable, where the platform can."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, content: bytes, flags: int, mode: int) -> None:
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
