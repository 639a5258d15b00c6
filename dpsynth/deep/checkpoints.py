"""Checkpoints of a training run: what was charged is run once at most, wherever the process dies.

A folder holds one run: who it is (``run.json``), one byte for each step that was taken (``taken``), and the last kept
state of each phase. A step's byte is on disk before the step reads a record. So a run that goes on takes only steps of
which no byte is there, with fresh batches and noise; steps that were taken after the last kept state are lost, and
stay taken. States are functions of accounted outputs, but for the key of a release's split (``dpsynth.resuming``). They
are arrays (npz) and canonical JSON, hashed; no pickle, no code. A gated run's states are removed once its verdict is
drawn: on FAIL the model dies with the table.

One process at a time: the folder is locked while a run has it. A folder that is copied, and run on twice, would take
steps twice: like a ledger it is the operator's to guard, which is why the ledger's own record must name the same run.
"""

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant import faults
from accountant.canonical import dumps, sha256_hex, sha256_of
from accountant.ledger.files import flush_data, flush_folder, replace_atomically
from dpsynth.errors import OutputError

VERSION = 1
EVERY = 25
"""Steps between two kept states of a phase."""

RUN, TAKEN = "run.json", "taken"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoints:
    """The open folder of one run.

    Attributes:
      folder: Where it is.
      run: Public name of the run: the ledger's id of the release.
      taken: Steps that had been taken when it was opened.
      every: Steps between two kept states.
    """

    folder: Path
    run: str
    taken: int
    every: int = EVERY
    _log: int = field(repr=False)

    def note(self) -> None:
        """Write down, durably, that the next step is taken.

        Privacy:
          None by itself; the step was charged, and reads a record only after this.
          Checked by: tests/dpsynth/deep/test_checkpoints.py::test_killed_anywhere_no_step_is_taken_twice_or_uncharged

        Raises:
          OutputError: The disk refused; the step counts as taken all the same.
        """
        faults.reach("step.before")
        try:
            os.write(self._log, b".")
            flush_data(self._log)
        except OSError as error:
            raise _refused(self.folder, "can't be written") from error
        faults.reach("step.taken")

    def keep(self, phase: str, plan: str, step: int, arrays: Arrays) -> None:
        """Keep the state of a phase after ``step`` steps of it, in place of an earlier one.

        Args:
          phase: Its label.
          plan: Hash of the plan and the settings.
          step: Steps of the phase that are behind it.
          arrays: Functions of accounted outputs, by name; or keys, removed when the run ends.

        Raises:
          OutputError: The disk refused.
        """
        raw = io.BytesIO()
        np.savez(raw, allow_pickle=False, **arrays)
        facts = {"version": VERSION, "run": self.run, "phase": phase, "plan": plan, "step": step}
        facts |= {"arrays": sha256_of(raw.getvalue())}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as bundle:
            bundle.writestr(zipfile.ZipInfo("state.json"), dumps(facts | {"facts": sha256_hex(facts)}))
            bundle.writestr(zipfile.ZipInfo("arrays.npz"), raw.getvalue())
        faults.reach("keep.before")
        try:
            replace_atomically(self._state(phase), out.getvalue(), mode=0o600)
        except OSError as error:
            raise _refused(self.folder, "can't be written") from error
        faults.reach("keep.after")

    def kept(self, phase: str, plan: str) -> dict[str, NDArray[Any]]:
        """The kept state of a phase; empty where none was kept.

        Raises:
          OutputError: It is of another run, plan or version, or its bytes were changed.
        """
        path = self._state(phase)
        if not path.exists():
            return {}
        try:
            with zipfile.ZipFile(path) as bundle:
                facts, raw = json.loads(bundle.read("state.json")), bundle.read("arrays.npz")
            own = facts.pop("facts")
            known = {"version": VERSION, "run": self.run, "phase": phase, "plan": plan}
            whole = own == sha256_hex(facts) and facts["arrays"] == sha256_of(raw)
            if not whole or any(facts[name] != value for name, value in known.items()):
                raise ValueError
            with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise _refused(self.folder, "holds a state that isn't of this run, or was changed") from error

    def forget(self, phase: str) -> None:
        """Remove a state that nobody needs any more; one that isn't there is no error."""
        self._state(phase).unlink(missing_ok=True)

    def forget_all(self) -> None:
        """Remove every state: the run has its verdict, or can't get one. Its name and its steps stay."""
        forget_states(self.folder)

    def require_run(self, run: str) -> None:
        """Refuse the checkpoints of another run.

        Raises:
          OutputError: They are.
        """
        if run != self.run:
            raise _refused(self.folder, "is of another run")

    def _state(self, phase: str) -> Path:
        return self.folder / f"{phase}.state"


def forget_states(folder: Path) -> None:
    """Remove every state of a run that has ended, whole or half written; its name and steps stay.

    Raises:
      OutputError: The disk refused.
    """
    try:
        for path in (*folder.glob("*.state"), *folder.glob("*.state.new")):
            path.unlink(missing_ok=True)
        flush_folder(folder)
    except OSError as error:
        raise _refused(folder, "can't be cleared") from error


def run_in(folder: Path) -> str | None:
    """The run that a folder of checkpoints holds; None where there is no such folder yet.

    Raises:
      OutputError: It is there and isn't one.
    """
    if not os.path.lexists(folder):
        return None
    try:
        facts = json.loads((folder / RUN).read_bytes())
        if facts["version"] != VERSION:
            raise ValueError
        return str(facts["run"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _refused(folder, "isn't a folder of checkpoints of this version") from error


def begin_checkpoints(folder: Path, *, run: str) -> None:
    """Make the folder of a new run, closed to others (mode 0700).

    Args:
      folder: Must not exist.
      run: The ledger's id of the release.

    Raises:
      OutputError: It exists, or the disk refused.
    """
    staged = folder.with_name(f"{folder.name}.new")
    try:
        if os.path.lexists(folder):
            raise FileExistsError
        staged.mkdir(mode=0o700, exist_ok=True)
        replace_atomically(staged / RUN, dumps({"version": VERSION, "run": run}), mode=0o600)
        replace_atomically(staged / TAKEN, b"", mode=0o600)
        staged.rename(folder)
        flush_folder(folder.absolute().parent)
    except OSError as error:
        raise _refused(folder, "can't be made") from error


@contextmanager
def open_checkpoints(folder: Path, *, every: int = EVERY) -> Iterator[Checkpoints]:
    """Open and lock the folder of a run.

    Raises:
      OutputError: It isn't one, or another process has it.
    """
    run = run_in(folder)
    if run is None:
        raise _refused(folder, "isn't there")
    try:
        log = os.open(folder / TAKEN, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        raise _refused(folder, "has lost its record of the steps that were taken") from error
    try:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _refused(folder, "belongs to a run that is under way") from error
        yield Checkpoints(folder=folder, run=run, taken=os.fstat(log).st_size, every=every, _log=log)
    finally:
        os.close(log)


def _refused(folder: Path, how: str) -> OutputError:
    return OutputError(
        f"The folder of checkpoints {folder} {how}.",
        "A run goes on only from what it wrote itself, on a disk that keeps it.",
        "Give the folder of the run that was interrupted, or one that doesn't exist for a new run.",
    )
