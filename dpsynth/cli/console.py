"""What the commands print: one JSON object for machines, words and tables for people, refusals in three sentences."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accountant.errors import Refusal
from dpsynth.progress import Progress, SilentProgress

__all__ = ["Output", "print_error", "three_sentences"]


class Output:
    """One command's way to its reader.

    Args:
      as_json: Print exactly one JSON object on standard output and nothing else.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def progress(self) -> Progress:
        """Stages on standard error for a person; silence for a machine."""
        if self.as_json:
            return SilentProgress()
        from rich.console import Console

        from dpsynth.cli.progress import RichProgress

        return RichProgress(Console(stderr=True))

    def result(self, facts: Mapping[str, Any], lines: Iterable[str] = ()) -> None:
        """Print the facts as JSON, or the lines for a person."""
        if self.as_json:
            sys.stdout.write(json.dumps(facts, ensure_ascii=True, default=str) + "\n")
            return
        for line in lines:
            self.say(line)

    def say(self, line: str = "") -> None:
        """One line for a person, as it is: no markup, no wrapping."""
        if not self.as_json:
            sys.stdout.write(line + "\n")

    def table(
        self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
    ) -> None:
        """A table for a person; the columns in ``numbers`` are right-aligned."""
        if self.as_json:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table(title=Text(title), title_justify="left", title_style="bold")
        for i, name in enumerate(header):
            grid.add_column(name, justify="right" if i in numbers else "left", overflow="fold")
        for row in rows:
            grid.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(grid)


def three_sentences(kind: str, what: str, why: str, next_step: str) -> dict[str, dict[str, str]]:
    """The JSON form of an error."""
    return {"error": {"kind": kind, "what": what, "why": why, "next_step": next_step}}


def print_error(error: dict[str, dict[str, str]], *, as_json: bool) -> None:
    """Print an error: JSON on standard output for machines, three sentences on standard error for people."""
    if as_json:
        sys.stdout.write(json.dumps(error, ensure_ascii=True) + "\n")
        return
    body = error["error"]
    sys.stderr.write(f"{body['what']}\n{body['why']}\n{body['next_step']}\n")


def refusal_json(refusal: Refusal) -> dict[str, dict[str, str]]:
    """A refusal in JSON."""
    return three_sentences(type(refusal).__name__, refusal.what, refusal.why, refusal.next_step)
