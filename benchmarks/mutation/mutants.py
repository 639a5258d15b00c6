"""All mutants of the rooms: found in the syntax, each with a key that survives edits elsewhere in its file."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.mutation.operators import Change, changes, truth

ROOMS = ("accountant", "dpsynth/noise", "dpsynth/gate")
"""Folders of the mutated files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One small fault.

    Attributes:
      file: Relative to the repository.
      line: Number of the line where it begins, from 1.
      source: That line, stripped.
      operator: Name of the operator.
      before: What stands there.
      after: What the mutant puts there.
      occurrence: Which of the mutants alike in all of the above but ``line`` it is, from 1.
      span: First and last line whose execution could reach it.
      names: Where it is executed when its module is imported: names through which tests can see it.
      start: Offset of its first byte.
      end: Offset behind its last byte.
      text: What stands between them instead; keeps the number of lines.
    """

    file: str
    line: int
    source: str
    operator: str
    before: str
    after: str
    occurrence: int = 1
    span: tuple[int, int]
    names: tuple[str, ...]
    start: int
    end: int
    text: str

    @property
    def change(self) -> str:
        """Operator, before and after, in one line; how an explanation names it."""
        again = f" #{self.occurrence}" if self.occurrence > 1 else ""
        return f"{self.operator}: {self.before} -> {self.after}{again}"

    @property
    def key(self) -> tuple[str, str, str]:
        """File, source line and change."""
        return self.file, self.source, self.change

    def applied(self, content: bytes) -> bytes:
        """The file with this fault."""
        return content[: self.start] + self.text.encode() + content[self.end :]


def all_mutants(root: Path, rooms: Sequence[str] = ROOMS) -> list[Mutant]:
    """Every mutant of every file of the rooms, in the order of files and lines."""
    paths = sorted(path for room in rooms for path in (root / room).rglob("*.py"))
    return [mutant for path in paths for mutant in _of_file(path.relative_to(root).as_posix(), path.read_bytes())]


def sampled(mutants: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """``size`` mutants, each file in proportion to its own (one at least), chosen by a hash of seed and key.

    So a change in one file leaves the choice in the others nearly as it was. In the order of the hash.
    """
    ranked = sorted(mutants, key=lambda mutant: rank(mutant, seed))
    if size >= len(ranked):
        return ranked
    files = Counter(mutant.file for mutant in ranked)
    quota = {file: max(1, round(count * size / len(ranked))) for file, count in files.items()}
    taken: Counter[str] = Counter()
    chosen = []
    for mutant in ranked:
        if taken[mutant.file] < quota[mutant.file]:
            taken[mutant.file] += 1
            chosen.append(mutant)
    return chosen


def rank(mutant: Mutant, seed: int) -> str:
    """A hash of seed and key."""
    return hashlib.sha256(repr((seed, mutant.key)).encode()).hexdigest()


def _of_file(file: str, content: bytes) -> list[Mutant]:
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for mutant in _Finder(file, content).found():
        seen[mutant.key] += 1
        found.append(replace(mutant, occurrence=seen[mutant.key]))
    return found


class _Finder:
    """A walk over one file that knows what is executed at import and what only words errors."""

    def __init__(self, file: str, content: bytes) -> None:
        self._file, self._content = file, content
        self._lines = content.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def found(self) -> Iterator[Mutant]:
        tree = ast.parse(self._content)
        for statement in tree.body:
            yield from self._statement(statement, _names(statement), set())

    def _statement(self, node: ast.stmt, names: tuple[str, ...], bound: set[str]) -> Iterator[Mutant]:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node) or _is_typing(node):
            return
        if isinstance(node, ast.FunctionDef):
            yield from self._function(node, names)
            return
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                yield from self._statement(inner, (*_names(inner), node.name), set())
            return
        if not (isinstance(node, ast.Expr) and not names and _is_docstring(node)):
            yield from self._changed(node, _span(node), names, self._statements(node, names, bound))
        if isinstance(node, ast.Raise):
            return
        for field in _expressions(node):
            yield from self._expression(field, _span(field if _is_compound(node) else node), names)
        for test in _conditions(node):
            yield from self._changed(test, _span(test), names, truth(test))
        for inner in _inner(node):
            yield from self._statement(inner, names, bound)

    def _statements(self, node: ast.stmt, names: tuple[str, ...], bound: set[str]) -> Iterator[Change]:
        """Changes of a whole statement: removed effects and updates, an argument returned in place of a result."""
        yield from changes(node)
        if isinstance(node, ast.Assign) and not names:
            targets = [name for target in node.targets for name in _targets(target)]
            if any(name in bound or not name for name in targets):
                yield "removed", ast.Pass()
            bound.update(targets)

    def _function(self, node: ast.FunctionDef, names: tuple[str, ...]) -> Iterator[Mutant]:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                yield from self._expression(default, _span(default), names)
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        bound = set(arguments)
        for statement in node.body:
            yield from self._statement(statement, (), bound)
        first = next((name for name in arguments if name not in ("self", "cls")), None)
        for statement in ast.walk(node):
            if first and isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call | ast.BinOp):
                returned = ast.Return(ast.Name(first))
                yield from self._changed(statement, _span(statement), (), [("argument", returned)])

    def _expression(self, node: ast.AST, span: tuple[int, int], names: tuple[str, ...]) -> Iterator[Mutant]:
        if isinstance(node, ast.JoinedStr):
            return
        if isinstance(node, ast.Lambda):
            yield from self._expression(node.body, _span(node), ())
            return
        yield from self._changed(node, span, names, changes(node))
        for test in [node.test] if isinstance(node, ast.IfExp) else getattr(node, "ifs", []):
            yield from self._changed(test, span, names, truth(test))
        for child in ast.iter_child_nodes(node):
            yield from self._expression(child, span, names)

    def _changed(
        self, node: ast.AST, span: tuple[int, int], names: tuple[str, ...], found: Iterable[Change]
    ) -> Iterator[Mutant]:
        for operator, other in found:
            assert isinstance(node, ast.expr | ast.stmt)
            start = self._starts[node.lineno - 1] + node.col_offset
            end = self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            after = ast.unparse(ast.fix_missing_locations(other))
            more = "\n" * self._content[start:end].count(b"\n")
            yield Mutant(
                file=self._file,
                line=node.lineno,
                source=self._lines[node.lineno - 1].decode().strip(),
                operator=operator,
                before=ast.unparse(node).split("\n")[0],
                after=after,
                span=span,
                names=names,
                start=start,
                end=end,
                text=after + more if isinstance(node, ast.stmt) else f"({after}{more})",
            )


def _names(node: ast.stmt) -> tuple[str, ...]:
    """What a statement at import binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (node.name,)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return tuple(name for target in targets if target for name in _targets(target)) or ("*",)


def _targets(target: ast.expr) -> list[str]:
    """Names that an assignment binds; empty text for an attribute or an item."""
    if isinstance(target, ast.Tuple | ast.List):
        return [name for each in target.elts for name in _targets(each)]
    return [target.id if isinstance(target, ast.Name) else ""]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_typing(node: ast.stmt) -> bool:
    """What only a type checker reads, and the list of exported names."""
    if isinstance(node, ast.ClassDef):
        return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Assign) and _names(node) == ("__all__",)


def _is_compound(node: ast.stmt) -> bool:
    return bool(getattr(node, "body", None))


def _expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Expressions of a statement that run, its annotations left out."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "body", "orelse", "finalbody", "handlers"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.expr | ast.withitem):
                yield from ast.iter_child_nodes(each) if isinstance(each, ast.withitem) else [each]


def _conditions(node: ast.stmt) -> list[ast.expr]:
    return [node.test] if isinstance(node, ast.If | ast.While) else []


def _inner(node: ast.stmt) -> Iterator[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body


def _span(node: ast.AST) -> tuple[int, int]:
    assert isinstance(node, ast.expr | ast.stmt)
    return node.lineno, node.end_lineno or node.lineno
