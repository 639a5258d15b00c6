"""The page of guarantees names tests that exist, and every promise has one."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for path, name in NAMED:
        file = ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module(body=[], type_ignores=[])
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{path}::{name}")
    assert len(NAMED) > 40
    assert not missing


def test_every_promise_names_a_test() -> None:
    promises = [line for line in PAGE.splitlines() if re.match(r"\| [A-Z](?!romise \|)", line)]
    assert len(promises) > 40
    assert not [line for line in promises if "::test_" not in line]
