"""Named mutants of shipped files: the suite must notice each of them.

Run with ``python benchmarks/line_mutants.py [--only NAME]``; prints a line per mutant and JSON. Each mutant is applied
to a copy of the repository, and its own tests run there; the same tests must pass in a copy without it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.mutants.base import Mutant  # noqa: E402 - found only once the repository is on the path
from tests.mutants.mutants import MUTANTS  # noqa: E402

COPIED = ("accountant", "dpsynth", "tests", "pyproject.toml")
WORKERS = 2
SECONDS = 120
"""Longest run of one mutant's tests: one that never ends isn't killed by a failing test, and is told apart."""
BASELINE_SECONDS = 600
FAILED, GUARD = 1, "mutants_guard"

_GUARD = """\
import sys
from pathlib import Path

from hypothesis import Phase, settings


def pytest_configure(config):
    settings.register_profile("mutants", settings.default, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutants")


def pytest_sessionfinish(session, exitstatus):
    named = [(n, m) for n, m in sys.modules.items() if n.split(".")[0] in ("accountant", "dpsynth")]
    strangers = [n for n, m in named if m.__file__ and Path(__file__).parent not in Path(m.__file__).parents]
    if strangers or not named:
        session.exitstatus = 9
"""
"""A plugin: a module that didn't come from the copy ends the run in its own way, and no failure is made smaller."""


def measure(only: str | None = None, *, rooms: tuple[str, ...] = ("",)) -> dict[str, Any]:
    """Apply every mutant, or those whose name holds ``only`` and whose file is in ``rooms``, and run its tests.

    Returns:
      ``killed``: how many made a test fail; ``survived``: those that didn't, with what happened instead; ``total``;
      ``seconds``.
    """
    began = time.monotonic()
    chosen = [m for m in MUTANTS if m.file.startswith(rooms) and (only is None or only in m.name)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        clean = _copy(ROOT, Path(place) / "clean")
        broken = _failing(clean, sorted({test for mutant in chosen for test in mutant.tests}))
        with ThreadPoolExecutor(WORKERS) as pool:
            folders = [Path(place) / str(i) for i in range(len(chosen))]
            ends = list(pool.map(lambda mutant, folder: _end(clean, folder, mutant, broken), chosen, folders))
    survived = [f"{m.name}: {end}" for m, end in zip(chosen, ends, strict=True) if end != "killed"]
    return {
        "killed": len(chosen) - len(survived),
        "survived": survived,
        "total": len(chosen),
        "seconds": round(time.monotonic() - began, 1),
    }


def _end(clean: Path, folder: Path, mutant: Mutant, broken: Iterable[str]) -> str:
    began = time.monotonic()
    if any(failed.startswith(mutant.tests) for failed in broken):
        end = "its tests fail without it"
    elif (clean / mutant.file).read_text(encoding="utf-8").count(mutant.old) != 1:
        end = "its text isn't there once"
    else:
        end = _words(_run(_mutated(clean, folder, mutant), ["-x", *mutant.tests], SECONDS)[0])
    print(f"{end:10} {time.monotonic() - began:6.1f} s  {mutant.name} ({mutant.why})", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return end


def _words(code: int | None) -> str:
    return {FAILED: "killed", 0: "survived", None: "timed out"}.get(code, f"no verdict: pytest ended with {code}")


def _copy(root: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name)
        else:
            shutil.copy2(root / name, folder / name)
    (folder / f"{GUARD}.py").write_text(_GUARD)
    return folder


def _mutated(clean: Path, folder: Path, mutant: Mutant) -> Path:
    _copy(clean, folder)
    path = folder / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        stale.unlink()
    return folder


def _failing(clean: Path, tests: Sequence[str]) -> list[str]:
    """Tests that fail in a copy without a mutant; there are none in a sound repository."""
    code, said = _run(clean, ["-rfE", *tests], BASELINE_SECONDS)
    failed = [line.split()[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if code != 0 and not failed:
        raise RuntimeError(f"the tests can't be run without a mutant ({code}):\n{said[-3000:]}")
    return failed


def _run(folder: Path, arguments: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Run pytest in a copy, which must be what is imported; the exit code is None where it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", GUARD, *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout.decode(errors="replace")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Apply named mutants and run the tests that must notice them.")
    parser.add_argument("--only", help="mutants whose name holds this text")
    found = measure(parser.parse_args().only)
    print(json.dumps(found, indent=1))
    sys.exit(bool(found["survived"]))
