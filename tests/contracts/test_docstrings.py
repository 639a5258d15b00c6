"""Whatever can spend or draw says what it costs, and names a test that checks it."""

import re
from pathlib import Path

import pytest

from tests.contracts.source_tree import PACKAGES, ROOT, Callable, Module, modules, named_in, public_callables

SPENDING = frozenset({"spend", "reservation", "random"})
NODE_ID = re.compile(r"tests/[\w/]+\.py::[\w:]+")
SECTION = re.compile(r"^Privacy:[ \t]*(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def problem(found: Callable) -> str | None:
    """What is wrong with a callable's Privacy section, or None."""
    section = SECTION.search(found.docstring)
    if section is None:
        return "no `Privacy:` section" if found.parameters & SPENDING else None
    text = " ".join(section.group(1).split())
    if text.lower().startswith("none; post-processing"):
        return None
    if "Checked by:" not in text:
        return "`Privacy:` names no test (`Checked by:`)"
    named = NODE_ID.findall(text.split("Checked by:", 1)[1])
    missing = [n for n in named if n.split("::", 1)[1] not in named_in(n.split("::", 1)[0])]
    return f"tests that don't exist: {missing}" if missing else None if named else "`Checked by:` names no test"


def test_privacy_sections_are_complete_and_their_tests_exist() -> None:
    wrong = {c.where: p for m in modules() for c in public_callables(m) if (p := problem(c))}
    assert not wrong, "\n".join(f"{where}: {what}" for where, what in sorted(wrong.items()))


def test_the_scan_sees_the_callables_that_matter() -> None:
    spending = {c.where for m in modules() for c in public_callables(m) if c.parameters & SPENDING}
    assert "dpsynth/external/bridge.py::run_external" in spending
    assert len(spending) >= 5


GOOD = """Do.

Privacy:
  Spends a lot.
  Checked by: tests/contracts/test_docstrings.py::test_the_scan_can_fail

Raises:
  X: y."""


@pytest.mark.parametrize(
    ("docstring", "wrong"),
    [
        (GOOD, False),
        ("Do.\n\nPrivacy: none; post-processing.", False),
        ("Do.", True),
        ("Do.\n\nPrivacy:\n  Spends a lot.", True),
        ("Do.\n\nPrivacy:\n  Spends.\n  Checked by: someone.", True),
        (GOOD.replace("can_fail", "cannot_be_found"), True),
        (GOOD.replace("test_docstrings.py", "test_elsewhere.py"), True),
    ],
)
def test_the_scan_can_fail(docstring: str, wrong: bool) -> None:
    assert bool(problem(Callable("here", frozenset({"spend"}), docstring))) == wrong


def test_everything_public_has_a_docstring() -> None:
    bare = [c.where for m in modules() for c in public_callables(m) if not c.docstring]
    bare += [m.path for m in modules() if not _documented(m)]
    assert not bare, bare


def _documented(module: Module) -> bool:
    import ast

    return not module.tree.body or ast.get_docstring(module.tree) is not None


def test_both_packages_are_seen() -> None:
    assert {m.path.split("/")[0] for m in modules()} == set(PACKAGES)
    assert all((ROOT / Path(m.path)).is_file() for m in modules())
