"""The mutants still fit what is shipped: their text is there once, changes it, compiles, and their tests exist."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.base import Mutant
from tests.mutants.mutants import MUTANTS

ROOT = Path(__file__).parents[2]


def faults_of(mutant: Mutant) -> list[str]:
    """Everything that keeps a mutant from being one, in words."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    found = [] if text.count(mutant.old) == 1 else [f"its text occurs {text.count(mutant.old)} times in {mutant.file}"]
    mutated = text.replace(mutant.old, mutant.new)
    try:
        if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(text)):
            found.append("it changes nothing")
    except SyntaxError:
        found.append("it doesn't compile")
    found += [f"there is no {test}" for test in mutant.tests if not exists(test)]
    return found if mutant.tests else [*found, "it has no test"]


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return name.partition("[")[0] in {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_every_mutant_fits_what_is_shipped() -> None:
    found = {mutant.name: faults_of(mutant) for mutant in MUTANTS}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_names_are_unique_and_no_fault_is_there_twice() -> None:
    assert [name for name, times in Counter(m.name for m in MUTANTS).items() if times > 1] == []
    assert [patch for patch, times in Counter((m.file, m.old, m.new) for m in MUTANTS).items() if times > 1] == []


SOUND = MUTANTS[0]


@pytest.mark.parametrize(
    "bad",
    [
        Mutant("twice", SOUND.file, "sigma", "tau", SOUND.tests, ""),
        Mutant("nowhere", SOUND.file, "no such text", "x", SOUND.tests, ""),
        Mutant("same", SOUND.file, SOUND.old, f"{SOUND.old}  # more", SOUND.tests, ""),
        Mutant("broken", SOUND.file, SOUND.old, "variance = (", SOUND.tests, ""),
        Mutant("untested", SOUND.file, SOUND.old, SOUND.new, (), ""),
        Mutant("unknown test", SOUND.file, SOUND.old, SOUND.new, (f"{SOUND.tests[0]}_s",), ""),
    ],
    ids=lambda mutant: mutant.name,
)
def test_this_check_can_fail(bad: Mutant) -> None:
    assert faults_of(bad)
