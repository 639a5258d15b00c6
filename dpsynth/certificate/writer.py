"""The public writer: stage every file, bring it to the disk, publish the folder by one atomic rename.

A staging folder ``.<name>.staging`` (mode 0700) stands beside the target and is locked while its writer lives; what a
crash left there is removed by the next writer. The confidential annex has a writer of its own, out of this one's reach.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accountant import faults
from dpsynth.certificate.dossier import Artefact
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.files import Content, read_file, refusing_disk, sha256_file, sync_folder, write_new
from dpsynth.errors import OutputError


class _Lock:
    """An exclusive lock on a folder, given back once."""

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(os.fstat(self._descriptor), folder.lstat())
        except OSError:
            held = False
        if not held:
            self.release()
            raise OutputError(
                "The output folder is being written by another run.",
                "Its staging folder is locked by a living process.",
                "Wait for it to end, or choose another output folder.",
            )

    def release(self) -> None:
        """Give the lock back; does nothing the second time."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A release being written.

    Attributes:
      target: Where the folder will stand once published.
      folder: The folder that will be renamed to the target; it lies in a locked one of mode 0700.
    """

    target: Path
    folder: Path


@contextmanager
def open_staging(target: Path) -> Iterator[Staging]:
    """Make the staging folder of ``target``; at the end of the block whatever wasn't published is destroyed.

    Raises:
      OutputError: The target exists, its parent doesn't, another writer is at work, or the disk refused.
    """
    target = target.absolute()
    if os.path.lexists(target):
        raise _exists()
    outer = target.parent / f".{target.name}.staging"
    with refusing_disk():
        outer.mkdir(mode=0o700, exist_ok=True)
        lock = _Lock(outer)
    try:
        with refusing_disk():
            _empty(outer)
            (outer / "release").mkdir()
        yield Staging(target=target, folder=outer / "release")
    finally:
        with refusing_disk():
            shutil.rmtree(outer)
        lock.release()


def stage(staging: Staging, files: Mapping[str, Content]) -> tuple[Artefact, ...]:
    """Write files into the staging folder, in order.

    Args:
      staging: From :func:`open_staging`.
      files: Plain names and contents.

    Returns:
      The names with the hashes of what is on the disk.

    Raises:
      OutputError: A name isn't plain or is taken, or the disk refused (full, read-only).
    """
    for name, content in files.items():
        write_new(staging.folder, name, content)
    return tuple(Artefact(name=name, sha256=sha256_file(staging.folder / name)) for name in files)


def unstage(staging: Staging, name: str) -> None:
    """Destroy one staged file, such as the table of a release that failed its gate."""
    with refusing_disk():
        (staging.folder / name).unlink()
    sync_folder(staging.folder)


def publish(staging: Staging) -> Path:
    """Rename the staged folder to its target, all or nothing, and return the target.

    Raises:
      OutputError: Something stands at the target now, or the disk refused.
    """
    sync_folder(staging.folder)
    if os.path.lexists(staging.target):
        raise _exists()
    faults.reach("rename.before")
    with refusing_disk():
        staging.folder.rename(staging.target)
    sync_folder(staging.target.parent)
    faults.reach("rename.after")
    return staging.target


def copy_release(stored: Path, target: Path, recorded: Mapping[str, str]) -> Path:
    """Publish a stored release once more, bit for bit.

    Args:
      stored: Its folder.
      target: The folder to make.
      recorded: SHA-256 of each of its files, by name, as the ledger has them. What was staged is compared, not what is
        stored: what changes in between isn't published.

    Returns:
      ``target``.

    Raises:
      VerificationFailed: The stored files aren't those recorded.
      OutputError: ``target`` exists, or the disk refused.
    """
    with open_staging(target) as staging:
        staged = stage(staging, _contents(stored, recorded))
        if {file.name: file.sha256 for file in staged} != dict(recorded):
            raise _not_recorded()
        return publish(staging)


def _contents(stored: Path, recorded: Mapping[str, str]) -> dict[str, Content]:
    try:
        if {path.name for path in stored.iterdir()} != set(recorded):
            raise _not_recorded()
        return {name: read_file(stored / name) for name in sorted(recorded)}
    except OSError:
        raise _not_recorded() from None


def _not_recorded() -> VerificationFailed:
    return VerificationFailed(
        "The stored release can't be published.",
        "Its files aren't the ones that the ledger recorded.",
        "Restore the ledger's folder from a copy, or make a new release.",
    )


def _empty(outer: Path) -> None:
    for leftover in outer.iterdir():
        shutil.rmtree(leftover)


def _exists() -> OutputError:
    return OutputError(
        "The output folder exists already.",
        "A release never writes over anything.",
        "Choose a folder that doesn't exist yet.",
    )
