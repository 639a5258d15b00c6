"""Answer questions with independent libraries: a JSON list on standard input, a JSON object on standard output.

Run by the interpreter of ``.venv-oracles`` (``make oracles``), never by the project's own. A question names its
``kind``: ``epsilon`` (oracle, parts, delta, adjacency), ``draws`` (library, law, scale, size, seed) or ``pmf``
(library, law, scale, cut). An answer that couldn't be given says why under ``error``: nothing is skipped in silence.
"""

import contextlib
import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accountants import ORACLES  # type: ignore[import-not-found]
from samplers import DRAWS, PMFS  # type: ignore[import-not-found]

PACKAGES = (
    "autodp",
    "diffprivlib",
    "dp-accounting",
    "mpmath",
    "numpy",
    "opacus",
    "opendp",
    "prv-accountant",
    "scikit-learn",
    "scipy",
    "torch",
)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """One answer, with the CPU seconds it took."""
    began = time.process_time()
    try:
        found: dict[str, Any] = _KINDS[question["kind"]](question)
    except Exception as error:  # noqa: BLE001 - whatever breaks in another library is an answer that falls short
        found = {"error": f"{type(error).__name__}: {error}"[:300]}
    return {**found, "cpu_seconds": round(time.process_time() - began, 3)}


def _epsilon(question: dict[str, Any]) -> dict[str, Any]:
    oracle = ORACLES[question["oracle"]]
    return dict(oracle(question["parts"], question["delta"], question.get("adjacency", "add-remove")))


def _draws(question: dict[str, Any]) -> dict[str, Any]:
    draw = DRAWS[question["library"]]
    return {"draws": draw(question["law"], question["scale"], question["size"], question.get("seed", 0))}


def _pmf(question: dict[str, Any]) -> dict[str, Any]:
    return {"pmf": PMFS[question["library"]](question["law"], question["scale"], question["cut"])}


_KINDS = {"epsilon": _epsilon, "draws": _draws, "pmf": _pmf}


def main() -> None:
    """Read, answer, write; what libraries print goes to standard error."""
    warnings.simplefilter("ignore")
    questions = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        answers = [answer(question) for question in questions]
        versions = {name: _version(name) for name in PACKAGES}
    json.dump({"answers": answers, "versions": versions, "python": sys.version.split()[0]}, sys.stdout)


def _version(name: str) -> str:
    try:
        return version(name)
    except Exception:  # noqa: BLE001 - a library that isn't there
        return "missing"


if __name__ == "__main__":
    main()
