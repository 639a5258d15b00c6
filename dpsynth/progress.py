"""How a run tells where it is: named stages, with public totals only."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Progress", "SilentProgress", "SilentStage", "Stage"]


class Stage(Protocol):
    """One stage that is under way."""

    def advance(self, n: int = 1) -> None:
        """``n`` more steps of the stage's total are done."""
        ...

    def tell(self, note: str, share: float) -> None:
        """Where the stage is, in words, and which share of its budget is spent: public or accounted facts only."""
        ...


class Progress(Protocol):
    """A listener to the stages of a run.

    Names and totals are public: numbers of columns, cliques or noisy rows, never of records.
    """

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """A context manager around one stage; ``total`` is its number of steps where that is public and known."""
        ...


class SilentStage:
    """A stage that nobody watches."""

    def advance(self, n: int = 1) -> None:
        """Nothing to tell."""

    def tell(self, note: str, share: float) -> None:
        """Nobody hears it."""


class SilentProgress:
    """Tells nothing; the default."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """A stage that nobody watches."""
        return nullcontext(SilentStage())
