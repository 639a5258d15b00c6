"""Which tests can see a mutant: those that execute its line, or that reach what its line binds at import."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.mutation.mutants import Mutant

LONGEST, LONGEST_NAMED = 12.0, 30.0
"""Most CPU seconds of tests (without a mutant) that a mutant is given: of any, and of those in a file named as its."""

SERVED = "postgres"
"""In the id of a test that needs a server."""


@dataclass(frozen=True, kw_only=True)
class CoverageMap:
    """What a run without mutants saw.

    Attributes:
      root: The repository.
      tests: ``id``, ``seconds``, ``passed`` and ``forks`` (starts processes, whose lines nobody saw) of each test.
      lines: Ids of the tests by file and line; the empty id where a line was executed while tests were collected.
    """

    root: Path
    tests: Sequence[Mapping[str, Any]]
    lines: Mapping[str, Mapping[str, Sequence[str]]]
    _words: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Tests that fail without a mutant: there are none in a sound repository."""
        return [test["id"] for test in self.tests if not test["passed"]]

    def at_import(self, mutant: Mutant) -> bool:
        """Whether its line is executed while tests are collected, so that only a new import shows it."""
        return bool(mutant.names) or "" in self._executing(mutant.file, *mutant.span)

    def tests_of(self, mutant: Mutant) -> list[Mapping[str, Any]]:
        """The tests that may kill it: those that are named as its file, then any; of both the cheapest."""
        ids = set(self._executing(mutant.file, *mutant.span))
        for name in mutant.names:
            ids |= self._reaching(name, mutant.file)
        files = {test for line in self.lines.get(mutant.file, {}).values() for test in line}
        able = [t for t in self.tests if t["id"] in ids or (t["forks"] and t["id"] in files)]
        about = PurePosixPath(mutant.file).stem
        order = sorted(able, key=lambda t: (t["id"] not in ids, t["forks"], t["seconds"], t["id"]))
        named = _within([t for t in order if t["id"] in ids and about in t["id"].split("::")[0]], LONGEST_NAMED)
        return named + [t for t in _within(order, LONGEST) if t not in named]

    def _executing(self, file: str, first: int, last: int) -> frozenset[str]:
        lines = self.lines.get(file, {})
        return frozenset(test for n in range(first, last + 1) for test in lines.get(str(n), ()))

    def _reaching(self, name: str, file: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        """Tests that execute a line on which the name stands, or whose file names it; and on through other names."""
        if name == "*":
            return frozenset(test for n in self.lines.get(file, {}) for test in self.lines[file][n])
        if name in seen:
            return frozenset()
        if name not in self._words:
            self._words[name] = self._mentioning(name, seen | {name})
        return self._words[name]

    def _mentioning(self, name: str, seen: frozenset[str]) -> frozenset[str]:
        word = re.compile(rf"\b{re.escape(name)}\b")
        ids: set[str] = set()
        for file, texts in self._sources.items():
            for number, text in enumerate(texts, start=1):
                if not word.search(text):
                    continue
                ids |= self._executing(file, number, number)
                bound = re.match(r"(?:    )?(\w+)(?:: [^=]+)? = |(?:    )?(?:class|def) (\w+)", text)
                if bound and "" in self._executing(file, number, number):
                    ids |= self._reaching(bound[1] or bound[2], file, seen)
        naming = {file for file, text in self._test_files.items() if word.search(text)}
        return frozenset(ids | {t["id"] for t in self.tests if t["id"].split("::")[0] in naming})

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        return {file: (self.root / file).read_text(encoding="utf-8").splitlines() for file in self.lines}

    @cached_property
    def _test_files(self) -> dict[str, str]:
        files = {test["id"].split("::")[0] for test in self.tests}
        return {file: (self.root / file).read_text(encoding="utf-8") for file in files}


def _within(order: Sequence[Mapping[str, Any]], longest: float) -> list[Mapping[str, Any]]:
    """The first of these tests, as far as the time goes.

    Without a mutant each test that needs a server starts its own; in a mutant's child they share one.
    """
    started = min((t["seconds"] for t in order if SERVED in t["id"]), default=0.0)
    chosen: list[Mapping[str, Any]] = []
    seconds = 0.0
    for test in order:
        served = SERVED in test["id"] and any(SERVED in t["id"] for t in chosen)
        seconds += test["seconds"] - (started if served else 0.0)
        if chosen and seconds > longest:
            break
        chosen.append(test)
    return chosen
