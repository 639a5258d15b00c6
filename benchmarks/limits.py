"""Other projects' tools within limits that the system keeps, and why one didn't finish."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Run, run

CPU_LIMIT = 600
"""CPU seconds after which the system stops a tool, by the count of its scheduler; what a finished process is said to
have used can lie some per cent below."""
MEMORY_LIMIT = 10 * 2**30
"""Bytes of address space: what the machine can give one process while it does other things."""
_LIMITED = (
    "import os, resource, sys; limit, memory = int(sys.argv[1]), int(sys.argv[2]);"
    "resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5));"
    "resource.setrlimit(resource.RLIMIT_AS, (memory, memory)); os.execv(sys.argv[3], sys.argv[3:])"
)


def run_limited(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: dict[str, str],
    wall_seconds: float,
    cpu_seconds: int = CPU_LIMIT,
) -> Run:
    """Run a command within so many CPU seconds and ``MEMORY_LIMIT``; its first word is the path of a program."""
    limits = [sys.executable, "-c", _LIMITED, str(cpu_seconds), str(MEMORY_LIMIT)]
    return run([*limits, *command], cwd=cwd, environment=environment, timeout_seconds=wall_seconds)


def why_unfinished(done: Run, *, cpu_seconds: int = CPU_LIMIT) -> str:
    """Why a tool didn't finish within so many CPU seconds, in words."""
    if done.code == -signal.SIGXCPU or done.cpu_seconds >= cpu_seconds - 1:
        return f"stopped at {cpu_seconds} CPU s"
    last = [line for line in done.output.splitlines() if line.strip()]
    return f"exit code {done.code}, {last[-1][:200] if last else 'no message'}"
