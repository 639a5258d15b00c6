"""The ledger in use: a second release beyond the budget, and a stored release returned."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Figure, Run, holds, run


def ledger() -> Iterator[Figure]:
    """Through the command line, on the embedded Adult."""
    from accountant.ledger import Ledger
    from dpsynth.data import embedded_adult

    table, schema = embedded_adult()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        book = folder / "ledger"
        dpsynth = [sys.executable, "-m", "dpsynth"]
        made = run([*dpsynth, "ledger", "create", str(book), "--schema", str(schema), "-e", "1", "-d", "1e-6"])
        assert made.code == 0, made.output

        def release(name: str, *more: str) -> Run:
            paths = ["--schema", str(schema), "--ledger", str(book), "--out", str(folder / name)]
            return run([*dpsynth, "release", str(table), *paths, "-e", "1", "-d", "1e-6", *more, "--json"])

        first = release("one", "--idempotency-key", "first")
        with Ledger.open(book) as opened:
            before = (opened.seq, opened.head, opened.spent())
        second = release("two")
        with Ledger.open(book) as opened:
            after = (opened.seq, opened.head, opened.spent())
        refused = second.code == 2 and not (folder / "two").exists()
        yield holds(
            "a second release that would exceed the budget is refused and nothing is charged",
            refused and before == after,
            f"exit code {second.code}, ledger {'unchanged' if before == after else 'changed'}",
            "exit code 2, ledger unchanged",
            said=second.output[-600:],
        )
        again = release("again", "--idempotency-key", "first")
        same = again.code == first.code and _bytes(folder / "one") == _bytes(folder / "again")
        with Ledger.open(book) as opened:
            charged = (opened.seq, opened.head, opened.spent()) != before
        yield holds(
            "the same idempotency key returns the stored release bit for bit, uncharged",
            same and not charged,
            f"{'same' if same else 'other'} bytes, {'charged' if charged else 'uncharged'}",
            "same bytes, uncharged",
            verdict=json.loads(first.output.splitlines()[-1]).get("verdict"),
        )


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
