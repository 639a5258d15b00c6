"""What the commands print: one JSON object for machines, words and tables for people, refusals in three sentences."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accountant.errors import Refusal
from dpsynth.progress import Progress, SilentProgress

__all__ = ["Output", "plain", "print_error", "refusal_json", "three_sentences"]


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

    def text(self, text: str) -> None:
        """A whole file's text for a person or a pipe, as it is."""
        if not self.as_json:
            sys.stdout.write(text)

    def say(self, line: str = "") -> None:
        """One line for a person: no markup, no wrapping, and no control characters that a name might smuggle in."""
        if not self.as_json:
            sys.stdout.write(plain(line) + "\n")

    def table(
        self,
        title: str,
        header: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        numbers: Sequence[int] = (),
        whole: Sequence[int] = (0,),
    ) -> None:
        """A table for a person; the columns in ``numbers`` are right-aligned, those in ``whole`` never break."""
        if self.as_json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table(
            title=Text(plain(title)), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for i, name in enumerate(header):
            grid.add_column(name, justify="right" if i in numbers else "left", overflow="fold", no_wrap=i in whole)
        for row in rows:
            grid.add_row(*(Text(plain(cell)) for cell in row))
        Console(highlight=False).print(grid)


def plain(text: str) -> str:
    """The text with every unprintable character replaced."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def three_sentences(kind: str, what: str, why: str, next_step: str) -> dict[str, dict[str, str]]:
    """The JSON form of an error."""
    return {"error": {"kind": kind, "what": what, "why": why, "next_step": next_step}}


def print_error(error: dict[str, dict[str, str]], *, as_json: bool) -> None:
    """Print an error: JSON on standard output for machines, three sentences on standard error for people."""
    if as_json:
        sys.stdout.write(json.dumps(error, ensure_ascii=True) + "\n")
        return
    body = error["error"]
    sys.stderr.write("".join(f"{plain(body[part])}\n" for part in ("what", "why", "next_step")))


def refusal_json(refusal: Refusal) -> dict[str, dict[str, str]]:
    """A refusal in JSON."""
    return three_sentences(type(refusal).__name__, refusal.what, refusal.why, refusal.next_step)
