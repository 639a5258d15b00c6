"""What a person sees of a run that is under way: the stage, its round, and the share of the budget that is spent."""

import io

from rich.console import Console

from dpsynth.cli.progress import RichProgress


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    progress = RichProgress(console)
    with progress.stage("Measuring [bold]and[/] estimating") as stage:
        for n in range(1, 4):
            stage.tell(f"round {n}", n / 8)
    with progress.stage("Sampling", total=2) as stage:
        stage.advance()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_the_round_and_the_share_of_the_budget() -> None:
    told = shown(terminal=True)
    assert "Measuring [bold]and[/] estimating: round 3" in told
    assert "37 % of the budget spent" in told
    assert "1/2" in told


def test_a_pipe_gets_a_line_for_each_stage_and_nothing_else() -> None:
    assert shown(terminal=False) == "done: Measuring [bold]and[/] estimating\ndone: Sampling\n"
