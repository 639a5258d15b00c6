"""Durable files: plain names under one folder, exclusive create, fsync, and refusals for what a disk can do."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from accountant import faults
from dpsynth.errors import OutputError

Content = bytes | Callable[[BinaryIO], object]
"""What a file holds: its bytes, or a function that writes them to an open binary file."""

SYNTHETIC = "SYNTHETIC-"
NOT_PRIVATE = "SYNTHETIC-NOT-PRIVATE-"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FULL = {errno.ENOSPC, errno.EDQUOT}


def plain_name(name: str) -> bool:
    """Whether ``name`` may name a published file: ASCII letters, digits, ``._-``, no separator, no dot first."""
    return _PLAIN.fullmatch(name) is not None


def table_name(table: str, suffix: str, *, private: bool = True) -> str:
    """The published file name of a table, plain whatever the table is called.

    Args:
      table: Its declared name; other characters than plain ones become ``_``.
      suffix: ``parquet`` or ``csv``.
      private: False for a run from a seed; the name then says NOT-PRIVATE.
    """
    clean = re.sub(r"[^A-Za-z0-9._-]", "_", table).strip(".")[:120] or "table"
    return f"{SYNTHETIC if private else NOT_PRIVATE}{clean}.{suffix.lstrip('.')}"


def write_new(folder: Path, name: str, content: Content, *, mode: int = 0o666) -> None:
    """Create ``folder/name``, which must not exist, and bring it to the disk.

    Args:
      folder: An existing folder.
      name: A plain name; anything that could leave the folder is refused.
      content: Bytes, or a function that writes them.
      mode: Permissions before the process's umask.

    Raises:
      OutputError: The name isn't plain, the file exists, or the disk refused.
    """
    if not plain_name(name):
        raise OutputError(
            "A file name of a release was refused.",
            "It must be plain: letters, digits, dot, dash and underscore, and no dot first.",
            "Rename the table in the schema.",
        )
    faults.reach(f"write.before:{name}")
    with refusing_disk(), _create(folder / name, mode) as handle:
        if callable(content):
            content(handle)
        else:
            handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    faults.reach(f"write.after:{name}")


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    with refusing_disk():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_file(path: Path) -> str:
    """SHA-256 of a regular file, hexadecimal, in constant memory; a symlink is an OSError."""
    with _open_regular(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_file(path: Path) -> bytes:
    """The bytes of a regular file; a symlink is an OSError."""
    with _open_regular(path) as handle:
        return handle.read()


@contextmanager
def _open_regular(path: Path) -> Iterator[BufferedReader]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield handle


@contextmanager
def refusing_disk() -> Iterator[None]:
    """Turn an error of the file system into an OutputError that names its kind and no path."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise OutputError(
            f"The output couldn't be written: {'the disk is full' if full else os.strerror(error.errno or errno.EIO)}.",
            "Nothing of this release was published; what was staged is removed.",
            "Free some space." if full else "Choose a folder that doesn't exist yet, where you may write.",
        ) from None


def _create(path: Path, mode: int) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode), "wb")
