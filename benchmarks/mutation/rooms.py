"""The rooms: which tests have to notice what is wrong with which files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from benchmarks.harness import ROOT
from benchmarks.mutation.mutants import Mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Files, and the tests that have to notice what is wrong with them.

    Attributes:
      name: Of the room.
      files: Patterns of its files.
      tests: Patterns of its test files.
      others: Patterns of those among them that are another room's.
    """

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """The test files."""
        return sorted(_found(self.tests) - _found(self.others))


def _found(patterns: Sequence[str]) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}


_CURVES = tuple(f"tests/accountant/test_{name}*.py" for name in ("pld", "fixed_plan", "renyi", "recursion"))
_LEDGER = ("tests/accountant/test_ledger*.py",)

ROOMS = (
    Room(
        name="noise",
        files=("dpsynth/noise/*.py",),
        tests=("tests/dpsynth/noise/test_*.py", "tests/statistical/test_samplers.py"),
    ),
    Room(name="gate", files=("dpsynth/gate/*.py",), tests=("tests/dpsynth/gate/test_*.py",)),
    Room(
        name="ledger",
        files=("accountant/ledger/*.py",),
        tests=(*_LEDGER, "tests/accountant/test_spend_contract.py", "tests/accountant/test_edges.py"),
    ),
    Room(
        name="curves",
        files=(
            *(f"accountant/{name}.py" for name in ("losses", "pld", "renyi", "renyi_filter", "fixed", "recursion")),
            *(f"accountant/rules/{name}.py" for name in ("pld", "rdp", "plans", "selection")),
        ),
        tests=(*_CURVES, "tests/accountant/test_edges.py", "tests/oracles/test_recursion.py"),
    ),
    Room(
        name="prices",
        files=("accountant/*.py", "accountant/rules/*.py"),
        tests=("tests/accountant/test_*.py",),
        others=(*_LEDGER, *_CURVES),
    ),
)
"""A file belongs to the first that names it. A room's own tests have to do: oracles of whole mechanisms take longer
than a mutant is given, and what only another room's tests would see is seen too late."""


def room_of(mutant: Mutant) -> Room:
    """The first room that names the mutant's file; the last where none does."""
    named = (room for room in ROOMS if any(PurePosixPath(mutant.file).match(pattern) for pattern in room.files))
    return next(named, ROOMS[-1])


def digest(room: Room) -> str:
    """A hash of the room's files, its tests and what they share: what was found holds for them alone."""
    helpers = {path for target in room.targets for path in (ROOT / target).parent.glob("*.py")}
    helpers = {path for path in helpers if not path.name.startswith("test_")}
    paths = {*helpers, *(ROOT / name for name in (*_found(room.files), *room.targets))}
    found = hashlib.sha256()
    for path in sorted([*paths, ROOT / "tests" / "conftest.py", ROOT / "constraints.txt"]):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
