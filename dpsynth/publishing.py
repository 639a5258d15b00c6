"""Publish a release that the ledger has stored: only one that it recorded as ended, bit for bit, to a place apart."""

import os
from pathlib import Path

from accountant.ledger import Ledger, State
from accountant.ledger.replay import VerifiedRelease
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.writer import copy_release
from dpsynth.errors import OutputError


def publish_staged(staged: str | Path, out: str | Path) -> Path:
    """Publish a release that was stored for a review, bit for bit; returns ``out``.

    Raises:
      OutputError: ``staged`` isn't a stored release as its ledger recorded it, or ``out`` exists.
      LedgerError: It doesn't lie in a ledger.
    """
    folder = Path(staged).absolute()
    if not (folder / "certificate.json").is_file():
        raise OutputError(
            f"There is no stored release at {folder}.",
            "A stored release is a folder with a certificate.json in it.",
            "Give the path that `dpsynth release --review` printed.",
        )
    with Ledger.open(folder.parent.parent) as book:
        kept = book.release(folder.name)
    return publish_stored(folder, Path(out), kept)


def publish_stored(folder: Path, out: Path, kept: VerifiedRelease) -> Path:
    """Copy a stored release to ``out`` and return that.

    Args:
      folder: Where the ledger stored it.
      out: The folder to make.
      kept: What the ledger recorded of it.

    Raises:
      OutputError: The run never ended, the stored files aren't those recorded, or ``out`` can't be made.
    """
    if kept.state is not State.COMMITTED:
        raise OutputError(
            f"Release {kept.release_id} can't be published: it is {kept.state}, not committed.",
            "Its run was interrupted before the ledger recorded its end; what it had reserved stays charged.",
            "Make a new release.",
        )
    try:
        return copy_release(folder, out, kept.artefacts)
    except VerificationFailed as failed:
        raise OutputError(
            f"The stored release {kept.release_id} can't be published.", failed.why, failed.next_step
        ) from failed
    except OutputError as error:
        raise OutputError(
            error.what,
            f"Release {kept.release_id} is complete, charged and stored in {folder}; only its copy wasn't made.",
            f"Publish it with `dpsynth publish {folder} --out DIR` once there is room, to a folder that doesn't exist.",
        ) from error


def require_free(*folders: Path) -> None:
    """Refuse folders that exist, or that can't be made.

    Raises:
      OutputError: One of them; nothing was charged.
    """
    for folder in folders:
        if os.path.lexists(folder):
            raise OutputError(
                f"The folder {folder} exists already; nothing was charged.",
                "A release never writes over anything.",
                "Choose a folder that doesn't exist yet.",
            )
        parent = folder.absolute().parent
        if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
            raise OutputError(
                f"The folder {folder} can't be made; nothing was charged.",
                "Its parent isn't a folder that this user may write to.",
                "Make the parent first, or choose another place.",
            )


def require_apart(out: Path, annex: Path, ledger: Path, *, checkpoints: Path | None = None) -> None:
    """The public folder, the confidential ones and the ledger each stand alone: none is or holds another.

    Raises:
      OutputError: Two of them don't; nothing was charged.
    """
    public, confidential, book = (Path(os.path.realpath(folder)) for folder in (out, annex, ledger))
    pairs: tuple[tuple[Path, Path], ...] = ((public, confidential), (confidential, public))
    pairs += ((public, book), (confidential, book))
    if checkpoints is not None:
        kept = Path(os.path.realpath(checkpoints))
        pairs += tuple(pair for other in (public, confidential, book) for pair in ((kept, other), (other, kept)))
    if any(one.is_relative_to(other) for one, other in pairs):
        raise OutputError(
            "The output folder and the annex don't stand apart; nothing was charged.",
            "One of them is or lies in the other, or in the ledger's folder: what is published may hold nothing "
            "confidential, and a ledger holds only what it wrote.",
            "Choose folders of which none lies in another.",
        )
