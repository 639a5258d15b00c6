"""Progress of a run as lines and bars on standard error."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bars

from dpsynth.progress import SilentStage, Stage

__all__ = ["RichProgress"]


class _BarStage:
    def __init__(self, bars: Bars, task: int) -> None:
        self._bars, self._task = bars, task

    def advance(self, n: int = 1) -> None:
        """``n`` more steps are done."""
        from rich.progress import TaskID

        self._bars.advance(TaskID(self._task), n)


class RichProgress:
    """A spinner or a bar for the stage under way, on a terminal; a line for each stage that ended.

    No durations: what leaves a terminal's log is a function of public names and totals.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Show one stage while its block runs."""
        return self._run(name, total)

    @contextmanager
    def _run(self, name: str, total: int | None) -> Iterator[Stage]:
        if not self._console.is_terminal:
            yield SilentStage()
            self._console.print(f"done: {name}", markup=False, highlight=False)
            return
        counted = (BarColumn(bar_width=24), MofNCompleteColumn()) if total else ()
        columns = (SpinnerColumn(finished_text="·"), TextColumn("{task.description}", markup=False), *counted)
        with Bars(*columns, console=self._console, transient=True) as bars:
            yield _BarStage(bars, bars.add_task(name, total=total))
        self._console.print("[green]✓[/] ", end="")
        self._console.print(name, markup=False, highlight=False)
