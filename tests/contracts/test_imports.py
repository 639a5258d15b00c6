"""Light starts: what each entry may load, and what it may cost. Each check runs in a process of its own."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.source_tree import ROOT

HEAVY = ("torch", "pandas", "numba", "pyarrow", "scipy", "sklearn", "jinja2")


def loaded(code: str) -> set[str]:
    """Names of all modules that are loaded after running ``code``."""
    show = "\nimport sys\nsys.stderr.write('\\n'.join(sys.modules))"
    done = _python("-c", code + show)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("\n"))


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": ""},
    )


def least_cpu_seconds(*arguments: str) -> float:
    """The least CPU time of three runs: the machine may be busy, the code isn't faster than its fastest run."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert _python(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import dpsynth", HEAVY),
        (
            "from dpsynth.cli.main import run\nassert run(['--help']) == 0",
            (*HEAVY, "numpy", "cryptography", "pydantic"),
        ),
        ("from dpsynth.cli.main import run\nassert run(['release', '--help']) == 0", (*HEAVY, "numpy")),
        ("import accountant", ("scipy.stats", "pandas", "pyarrow", "torch", "dpsynth")),
        ("import accountant.ledger", ("scipy.stats", "pandas", "pyarrow", "torch", "dpsynth")),
        ("import dpsynth.certificate.verify", ("torch", "pandas", "numba", "pyarrow")),
    ],
    ids=["dpsynth", "help", "release-help", "accountant", "ledger", "verify"],
)
def test_an_entry_loads_only_what_it_needs(code: str, forbidden: tuple[str, ...]) -> None:
    found = loaded(code) & set(forbidden)
    assert not found, sorted(found)


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"json", "numpy"} <= loaded("import json, numpy")


def test_help_costs_little() -> None:
    assert least_cpu_seconds("-m", "dpsynth", "--help") <= 0.3


def test_the_accountant_costs_little() -> None:
    assert least_cpu_seconds("-c", "import accountant") <= 0.2


def test_the_import_contracts_hold() -> None:
    from importlinter.cli import lint_imports_command

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as c; c()",
            "--no-logo",
            "--no-cache",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert callable(lint_imports_command)
    assert done.returncode == 0, done.stdout


def test_no_module_has_the_name_of_an_exported_function() -> None:
    """A submodule, once imported, would take the function's place in the package."""
    import dpsynth

    modules = {path.stem for path in Path(dpsynth.__file__).parent.iterdir()}
    assert not modules & set(dpsynth.__all__)
