"""Limits that the system keeps: what stops a tool, and what is said of it."""

import signal
import sys
from pathlib import Path

from benchmarks.harness import Run
from benchmarks.limits import CPU_LIMIT, run_limited, why_unfinished


def limited(code: str, folder: Path) -> Run:
    return run_limited([sys.executable, "-c", code], cwd=folder, environment={}, wall_seconds=60, cpu_seconds=1)


def test_a_tool_is_stopped_at_the_limit_that_was_asked_for(tmp_path: Path) -> None:
    done = limited("while True: pass", tmp_path)
    assert done.code == -signal.SIGXCPU
    assert why_unfinished(done, cpu_seconds=1) == "stopped at 1 CPU s"


def test_within_its_limit_a_tool_ends_as_it_would(tmp_path: Path) -> None:
    done = limited("print('ended')", tmp_path)
    assert (done.code, done.output) == (0, "ended\n")


def test_a_tool_that_breaks_early_is_not_said_to_be_out_of_time() -> None:
    def broken(cpu_seconds: float) -> Run:
        return Run(code=1, wall_seconds=300.0, cpu_seconds=cpu_seconds, peak_mb=100.0, output="first\nlast words\n")

    assert why_unfinished(broken(250.0)) == "exit code 1, last words"
    assert why_unfinished(broken(250.0), cpu_seconds=250) == "stopped at 250 CPU s"
    assert why_unfinished(broken(CPU_LIMIT)) == f"stopped at {CPU_LIMIT} CPU s"
