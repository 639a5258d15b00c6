"""What every figure shares: a measured value against its bar, processes measured from outside, results on disk."""

import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("DPSYNTH_SHARED", ROOT.parent / "shared"))
RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / ".figures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
      what: What was measured, on what.
      measured: The value, in words.
      bar: What it is held against.
      met: Whether it reaches the bar; a check that was skipped doesn't.
      short: By how much it falls short, in words; empty where it is met.
      detail: Everything behind it: seeds, mean and spread, CPU seconds, peak memory.
    """

    what: str
    measured: str
    bar: str
    met: bool
    short: str
    detail: dict[str, object]

    def line(self) -> str:
        """The figure as one line of the report."""
        state = "met" if self.met else f"SHORT {self.short}"
        return f"{self.what} | measured {self.measured} | bar {self.bar} | {state}"


def at_most(what: str, value: float, bar: float, unit: str, **detail: object) -> Figure:
    """A figure that must not exceed its bar."""
    met = value <= bar
    return Figure(
        what=what,
        measured=f"{value:.4g} {unit}".strip(),
        bar=f"<= {bar:g} {unit}".strip(),
        met=met,
        short="" if met else f"by {value - bar:.4g} {unit}".strip(),
        detail={"value": value, **detail},
    )


def at_least(what: str, value: float, bar: float, unit: str, **detail: object) -> Figure:
    """A figure that must reach its bar."""
    met = value >= bar
    return Figure(
        what=what,
        measured=f"{value:.5g} {unit}".strip(),
        bar=f">= {bar:g} {unit}".strip(),
        met=met,
        short="" if met else f"by {bar - value:.4g} {unit}".strip(),
        detail={"value": value, **detail},
    )


def holds(what: str, met: bool, measured: str, bar: str, **detail: object) -> Figure:
    """A figure that is a yes or a no."""
    return Figure(what=what, measured=measured, bar=bar, met=met, short="" if met else measured, detail=dict(detail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished process, measured by the operating system."""

    code: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run(
    command: Sequence[str], *, cwd: Path = ROOT, environment: dict[str, str] | None = None, timeout_seconds: float = 900
) -> Run:
    """Run a command; CPU seconds are those of it and its children, peak memory that of the largest of them."""
    probe = (
        "import json, resource, subprocess, sys, time\n"
        "began = time.monotonic()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([done.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss,"
        " done.stdout.decode(errors='replace')]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *command],
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        timeout=timeout_seconds,
        check=True,
    )
    code, wall, cpu, peak_kb, output = json.loads(done.stdout)
    return Run(code=code, wall_seconds=wall, cpu_seconds=cpu, peak_mb=peak_kb / 1024, output=output)


ALL = ("accountant", "dpsynth", "tests", "benchmarks", ":!benchmarks/results", "pyproject.toml", "constraints.txt")
"""The paths, as git takes them, that decide a figure of which nothing narrower is said."""


def outcome(done: Run) -> tuple[bool, str]:
    """Whether a run of the tests passed with none skipped, and its counts in words."""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.output)}
    told = ", ".join(f"{n} {word}" for word, n in counts.items()) or f"no counts, exit code {done.code}"
    return done.code == 0 and set(counts) == {"passed"}, told


def tests_pass(what: str, paths: Sequence[str], *, timeout_seconds: float) -> Figure:
    """Tests run afresh; a skipped one counts as short."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-rs", *paths]
    done = run(command, timeout_seconds=timeout_seconds)
    clean, told = outcome(done)
    tail = "" if clean else done.output[-1500:]
    return holds(what, clean, told, "all passed, none skipped", cpu_seconds=done.cpu_seconds, tail=tail)


def kept(path: Path, covers: Sequence[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was found before on this very code, or else found now and kept at ``path``."""
    if path.exists() and not commit(covers).endswith("-changed"):
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    found = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def commit(covers: Sequence[str] = ALL) -> str:
    """The commit measured; marked where the tree differs from it in what decides the figure."""
    dirty = _git("status", "--porcelain", "--", *covers)
    return _git("rev-parse", "HEAD") + ("-changed" if dirty else "")


def state(covers: Sequence[str] = ALL) -> str:
    """A name for the committed content of these paths: equal where nothing that decides a figure has changed."""
    return hashlib.sha256(_git("ls-files", "--stage", "--", *covers).encode()).hexdigest()[:16]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> dict[str, object]:
    """The machine and the versions that the figures were measured with."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("numpy", "scipy", "numba", "pyarrow", "pandas", "cryptography")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


Section = tuple[str, Callable[[], Iterable[Figure]]]


def measure_room(
    room: str,
    sections: Sequence[Section],
    *,
    minutes: float,
    fresh: bool,
    covers: Mapping[str, Sequence[str]] | None = None,
    only: Sequence[str] = (),
) -> bool:
    """Measure a room's sections, print a line per figure, write the results; True where every bar is met.

    A section that was measured when all that decides it had the very same content is taken from the cache, so an
    interrupted run resumes; each figure says at which commit it was measured.

    Args:
      room: The room's name.
      sections: Its sections, in order.
      minutes: After how many no further section begins.
      fresh: Whether to ignore what was measured before.
      covers: By section, the paths that decide it where they are fewer than all the code; ``""`` for all the others.
      only: Sections to measure; the others are taken from the cache, or fall short.
    """
    began, figures = time.monotonic(), []
    for name, section in sections:
        deciding = (covers or {}).get(name, (covers or {}).get("", ALL))
        at, kept = commit(deciding), CACHE / room / state(deciding) / f"{name}.json"
        ask = not only or name in only
        if kept.exists() and not (fresh and ask) and not at.endswith("-changed"):
            found = json.loads(kept.read_text())
        elif not ask or time.monotonic() - began > minutes * 60:
            lacking = holds(name, False, "not measured: out of time; run again to resume", "measured")
            found = [asdict(lacking) | {"commit": None}]
        else:
            found = [asdict(f) | {"commit": at} for f in _measured(name, section)]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found))
        for figure in found:
            print(Figure(**{k: v for k, v in figure.items() if k != "commit"}).line(), flush=True)
        figures += found
    _write(room, figures, time.monotonic() - began)
    short = [f for f in figures if not f["met"]]
    print(f"{len(figures) - len(short)} figures met, {len(short)} short ({room}, commit {commit()[:12]})")
    return not short


def _measured(name: str, section: Callable[[], Iterable[Figure]]) -> list[Figure]:
    try:
        return list(section())
    except Exception as error:  # noqa: BLE001 - a section that breaks is a figure that falls short
        return [holds(name, False, f"broke with {type(error).__name__}: {error}", "measured")]


def _write(room: str, figures: Sequence[Mapping[str, object]], seconds: float) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    body = {
        "room": room,
        "commit": commit(),
        "machine": machine(),
        "seconds": round(seconds, 1),
        "figures": list(figures),
    }
    (RESULTS / f"{room}.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


def cpu_seconds() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
