"""Runs of an audit, kept in a file as they are made: an audit that was interrupted goes on where it stopped.

One JSON object a line: a head that says what the runs are of, then runs in the order in which they were made. A line
that an interruption cut short is dropped; a file of other settings is refused.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from accountant.price import Price
from dpsynth.audit.subjects import Transcript
from dpsynth.errors import OutputError, ParameterError

Place = tuple[int, int]
"""Number of the case, and 0 for runs without the record, 1 for runs with it."""


class Keeper(Protocol):
    """Where runs are kept."""

    def kept(self, place: Place) -> Sequence[Transcript]:
        """Runs that were made before, in order."""
        ...

    def keep(self, place: Place, runs: Iterable[Transcript]) -> None:
        """Keep further runs."""
        ...


class Unkept:
    """Runs that are forgotten with the process."""

    def kept(self, place: Place) -> Sequence[Transcript]:
        """None were made before."""
        return ()

    def keep(self, place: Place, runs: Iterable[Transcript]) -> None:
        """Nothing is kept."""


class RunFile:
    """Runs in a file, which is made where there is none.

    Args:
      path: The file.
      head: What the runs are of, as JSON values.

    Raises:
      ParameterError: The file holds runs of something else, or isn't such a file.
      OutputError: The file can't be written.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path, self._runs = path, dict[Place, list[Transcript]]()
        body = json.dumps({"audit": 1, **head}, sort_keys=True)
        text = self._text()
        whole = text[: text.rfind("\n") + 1]
        lines = whole.split("\n")[:-1]
        if not lines and (body + "\n").startswith(text):
            self._write(body + "\n", "w")
            return
        if not lines or lines[0] != body:
            raise ParameterError(
                f"The file {path.name} doesn't hold runs of this audit.",
                "It has another head: another synthesizer, other settings, another mu or another seed.",
                "Choose another file, or ask for what it holds.",
            )
        for line in lines[1:]:
            self._read(line)
        if text != whole:
            os.truncate(path, len(whole.encode()))

    def kept(self, place: Place) -> Sequence[Transcript]:
        """Runs that were made before, in order."""
        return tuple(self._runs.get(place, ()))

    def keep(self, place: Place, runs: Iterable[Transcript]) -> None:
        """Append runs, and let the system write them out."""
        rows = [[run.evidence, list(run.words), run.charged.amount, run.charged.delta] for run in runs]
        self._write(json.dumps({"at": list(place), "runs": rows}) + "\n", "a")

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(
                f"The file {self._path.name} can't be read.",
                "Runs that were kept would be read from it.",
                "Choose a text file, or one that doesn't exist yet.",
            ) from error

    def _read(self, line: str) -> None:
        try:
            body = json.loads(line)
            case, world = map(int, body["at"])
            runs = [
                Transcript(evidence=float(e), words=tuple(map(str, words)), charged=Price(amount, delta))
                for e, words, amount, delta in body["runs"]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise ParameterError(
                f"The file {self._path.name} can't be read on.",
                "A line of it isn't what an audit writes.",
                "Choose another file.",
            ) from error
        self._runs.setdefault((case, world), []).extend(runs)

    def _write(self, text: str, mode: str) -> None:
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"The file {self._path.name} can't be written.",
                "Runs are kept there as they are made.",
                "Choose a file in a folder that you may write to.",
            ) from error
