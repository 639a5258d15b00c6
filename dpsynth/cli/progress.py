"""Progress of a run as lines and bars on standard error."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from dpsynth.progress import SilentStage, Stage

__all__ = ["RichProgress"]


class _BarStage:
    def __init__(self, bars: Bars, task: TaskID, name: str) -> None:
        self._bars, self._task, self._name = bars, task, name

    def advance(self, n: int = 1) -> None:
        """``n`` more steps are done."""
        self._bars.advance(self._task, n)

    def tell(self, note: str, share: float) -> None:
        """The stage's line says where it is; its bar shows the share."""
        self._bars.update(self._task, description=f"{self._name}: {note}", total=1.0, completed=share)


class _SpentColumn(ProgressColumn):
    """A bar and a percentage of the budget, from the first time that a share is told."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=24)

    def render(self, task: Task) -> Table | Text:
        """The bar of a task, or nothing yet."""
        if not task.total:
            return Text()
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._bar.render(task), Text(f"{math.floor(100 * task.completed)} % of the budget spent"))
        return grid


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
        counted = (BarColumn(bar_width=24), MofNCompleteColumn()) if total else (_SpentColumn(),)
        columns = (SpinnerColumn(finished_text="·"), TextColumn("{task.description}", markup=False), *counted)
        with Bars(*columns, console=self._console, transient=True) as bars:
            yield _BarStage(bars, bars.add_task(name, total=total), name)
        self._console.print("[green]✓[/] ", end="")
        self._console.print(name, markup=False, highlight=False)
