"""The generic mutation run: what it changes, what it leaves alone, and when an explanation is stale."""

import ast
from pathlib import Path

import pytest
import yaml

from benchmarks.mutation.mutants import ROOMS, all_mutants, sampled
from benchmarks.mutation.survivors import explanations, stale

ROOT = Path(__file__).parents[2]

SOURCE = '''"""A docstring with 1."""
import math

__all__ = ["f"]
LIMIT: int = 3


def f(x: "list[1]", wide: bool = False) -> float:
    """Another, with 2."""
    if not x < LIMIT and wide:
        raise ValueError(f"{x + 1} is above 3")
    x = math.floor(x) // 2
    g(x)
    return max(
        x,
        -1.0,
    )
'''

CHANGES = {
    "constant: 3 -> 4",
    "constant: 3 -> 2",
    "constant: False -> True",
    "and-or: not x < LIMIT and wide -> not x < LIMIT or wide",
    "not: not x < LIMIT -> x < LIMIT",
    "boundary: x < LIMIT -> x <= LIMIT",
    "comparison: x < LIMIT -> x >= LIMIT",
    "removed: raise ValueError(f'{x + 1} is above 3') -> pass",
    "removed: x = math.floor(x) // 2 -> pass",
    "arithmetic: math.floor(x) // 2 -> math.floor(x) * 2",
    "rounding: math.floor(x) // 2 -> -(-math.floor(x) // 2)",
    "call: math.floor(x) -> math.ceil(x)",
    "constant: 2 -> 3",
    "constant: 2 -> 1",
    "removed: g(x) -> pass",
    "argument: return max(x, -1.0) -> return x",
    "call: max(x, -1.0) -> min(x, -1.0)",
    "sign: -1.0 -> 1.0",
    "constant: 1.0 -> 2.0",
    "constant: 1.0 -> 0.5",
}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "accountant").mkdir()
    (tmp_path / "accountant" / "small.py").write_text(SOURCE)
    return tmp_path


def test_the_operators_find_what_runs_and_nothing_else(room: Path) -> None:
    assert {m.change for m in all_mutants(room)} == CHANGES


def test_what_runs_at_import_is_told_by_its_names(room: Path) -> None:
    names = {m.change: m.names for m in all_mutants(room)}
    assert names["constant: 3 -> 4"] == ("LIMIT",)
    assert names["constant: False -> True"] == ("f",)
    assert names["constant: 2 -> 3"] == ()


def test_a_mutant_differs_in_its_change_alone_and_keeps_the_lines() -> None:
    mutants = all_mutants(ROOT)
    assert len({m.key for m in mutants}) == len(mutants)
    for mutant in mutants[:: len(mutants) // 150]:
        content = (ROOT / mutant.file).read_bytes()
        found = mutant.applied(content)
        assert ast.dump(ast.parse(found)) != ast.dump(ast.parse(content))
        assert found.count(b"\n") == content.count(b"\n")


def test_a_sample_takes_each_file_and_hardly_depends_on_the_others() -> None:
    mutants = all_mutants(ROOT)
    chosen = sampled(mutants, 200, 0)
    assert chosen == sampled(mutants, 200, 0)
    assert {m.file for m in chosen} == {m.file for m in mutants}
    assert {m.file.rsplit("/", 1)[0] for m in chosen} >= set(ROOMS)
    assert 150 <= len(chosen) <= 250
    assert chosen != sampled(mutants, 200, 1)


def test_an_explanation_is_stale_where_its_mutant_is_gone_or_dies(room: Path, tmp_path: Path) -> None:
    entry = {"line": "LIMIT: int = 3", "changes": ["constant: 3 -> 4", "constant: 4 -> 5"], "why": "It is a test."}
    path = tmp_path / "survivors.yaml"
    path.write_text(yaml.safe_dump({"accountant/small.py": [entry]}))
    known, mutants = explanations(path), all_mutants(room)
    assert [words.rsplit("(")[-1] for words in stale(known, mutants, [])] == ["gone)"]
    assert [words.rsplit("(")[-1] for words in stale(known, mutants, mutants)] == ["killed)", "gone)"]


def test_an_explanation_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "survivors.yaml"
    path.write_text(yaml.safe_dump({"a.py": [{"line": "x", "changes": ["y"], "why": ""}]}))
    with pytest.raises(ValueError, match="a why in words"):
        explanations(path)
