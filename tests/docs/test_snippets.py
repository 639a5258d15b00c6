"""The Python in the documents runs.

Blocks fenced as ```python run in the order in which they stand, one process a document, in an empty folder. A block
right after a line `<!-- not run -->` is skipped.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"(?P<mark><!-- not run -->\s*\n)?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if p.is_file()]


def snippets(text: str) -> list[str]:
    """The blocks of a document that run."""
    return [m["code"] for m in FENCE.finditer(text) if not m["mark"]]


WITH_CODE = [p for p in DOCUMENTS if snippets(p.read_text(encoding="utf-8"))]


@pytest.mark.skipif(not WITH_CODE, reason="no document has Python to run")
@pytest.mark.parametrize("document", WITH_CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_python_of_a_document_runs(document: Path, tmp_path: Path) -> None:
    script = "\n".join(snippets(document.read_text(encoding="utf-8")))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_blocks_are_found_and_marks_respected() -> None:
    text = "a\n```python\nx = 1\n```\n<!-- not run -->\n```python\ny\n```\n```\nplain\n```\n\n```python\nz = 2\n```\n"
    assert snippets(text) == ["x = 1\n", "z = 2\n"]
