"""The survivors that are explained: ``benchmarks/mutation_survivors.yaml``, by file, source line and change.

Each file has a list of entries: ``line`` (the source line, stripped), ``changes`` (as a report prints them) and ``why``
(one sentence: why the mutant means the same, or why it harms nobody).
"""

from collections.abc import Iterable
from pathlib import Path

import yaml

from benchmarks.mutation.mutants import Mutant

Explanations = dict[tuple[str, str, str], str]


def explanations(path: Path) -> Explanations:
    """Reasons by file, source line and change; empty where there is no such file yet."""
    body = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    found: Explanations = {}
    for file, entries in (body or {}).items():
        for entry in entries:
            if set(entry) != {"line", "changes", "why"} or len(entry["why"].split()) < 3:
                raise ValueError(f"{path}: an entry of {file} needs line, changes and a why in words: {entry}")
            for change in entry["changes"]:
                if found.setdefault((file, entry["line"], change), entry["why"]) != entry["why"]:
                    raise ValueError(f"{path}: {file}: {entry['line']}: {change} is explained twice")
    return found


def stale(known: Explanations, mutants: Iterable[Mutant], killed: Iterable[Mutant]) -> list[str]:
    """Explanations whose mutant is gone or was killed."""
    there, dead = {mutant.key for mutant in mutants}, {mutant.key for mutant in killed}
    return [
        f"{file}: {line}: {change} ({'killed' if (file, line, change) in dead else 'gone'})"
        for file, line, change in known
        if (file, line, change) in dead or (file, line, change) not in there
    ]
