"""The source tree as syntax: modules, public callables and their docstrings."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("accountant", "dpsynth")


@dataclass(frozen=True)
class Module:
    """One module: its path relative to the root, its dotted name and its syntax."""

    path: str
    name: str
    tree: ast.Module
    lines: int


@dataclass(frozen=True)
class Callable:
    """One public function or method."""

    where: str
    parameters: frozenset[str]
    docstring: str


@cache
def modules() -> tuple[Module, ...]:
    """All modules of both packages."""
    return tuple(_read(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


def _read(path: Path) -> Module:
    relative, text = path.relative_to(ROOT), path.read_text(encoding="utf-8")
    dotted = ".".join(p for p in relative.with_suffix("").parts if p != "__init__")
    return Module(str(relative), dotted, ast.parse(text, str(relative)), text.count("\n"))


def public_callables(module: Module) -> Iterator[Callable]:
    """Public functions, and public methods of public classes."""
    yield from _callables(module.tree.body, module.path)


def _callables(body: list[ast.stmt], where: str) -> Iterator[Callable]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = node.args
            names = frozenset(a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
            yield Callable(f"{where}::{node.name}", names, ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _callables(node.body, f"{where}::{node.name}")


@cache
def named_in(path: str) -> frozenset[str]:
    """The node ids, within a file, of the tests that it defines: ``test_x`` and ``TestY::test_x``."""
    file = ROOT / path
    if not file.is_file() or not file.name.startswith("test_"):
        return frozenset()
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return frozenset(found)
