"""A folder with a ledger and a schema, where hostile input is released through the command line, and what must hold."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from accountant.ledger.verify import VerifiedLedger, verify
from accountant.price import Price
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from tests.dpsynth import lines

HEADER = ("ward", "age", "smoker", "score")
ROWS = 1_500


def rows(count: int = ROWS) -> list[list[str]]:
    """Records of :data:`lines.SCHEMA` as text."""
    table = lines.table(count).to_pydict()
    told = {True: "true", False: "false", None: ""}
    return [
        [ward, str(age), told[smoker], str(score)] for ward, age, smoker, score in zip(*table.values(), strict=True)
    ]


def text(records: Sequence[Sequence[str]], header: Sequence[str] = HEADER, *, delimiter: str = ",") -> bytes:
    """A CSV file."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *records])
    return out.getvalue().encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
      code: Its exit code.
      out: What it printed.
      said: The lines on standard error, but for those about finished stages.
    """

    code: int
    out: str
    said: tuple[str, ...]

    @property
    def words(self) -> str:
        """Everything on standard error."""
        return "\n".join(self.said)


class Stand:
    """The folder, and the command line in it."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], *, schema: str = lines.SCHEMA, epsilon: float = 8.0
    ) -> None:
        self.folder, self._capsys = folder, capsys
        self.schema, self.ledger = folder / "schema.yaml", folder / "ledger"
        self.out, self.annex = folder / "out", folder / "out.CONFIDENTIAL-annex"
        self.schema.write_text(schema, encoding="utf-8")
        self.policy = folder / "policy.yaml"
        self.policy.write_text(json.dumps(lines.lenient().to_json()))
        lines.ledger(folder, epsilon=epsilon, declared=lines.schema(schema)).close()

    def file(self, name: str, content: bytes) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run(self, *argv: object) -> Ended:
        """One command."""
        self._capsys.readouterr()
        code = main.run([str(part) for part in argv])
        captured = self._capsys.readouterr()
        said = tuple(line for line in captured.err.splitlines() if not line.startswith("done: "))
        return Ended(code=code, out=captured.out, said=said)

    def release(self, table: object, *more: object, **options: object) -> Ended:
        """One release; ``options`` replace those of the command line."""
        asked: Mapping[str, object] = {
            "schema": self.schema,
            "epsilon": 2.0,
            "delta": 1e-6,
            "ledger": self.ledger,
            "out": self.out,
            "synthesizer": "independent",
            "policy": self.policy,
        } | options
        return self.run("release", table, *more, *(f"--{name}={value}" for name, value in asked.items()))

    def verified(self) -> VerifiedLedger:
        """The ledger, verified."""
        return verify(self.ledger)

    def released(self, ended: Ended, *, codes: Sequence[int] = (main.DONE, main.GATED)) -> None:
        """Assert that a release ended with a verdict: published, verified, charged."""
        assert ended.code in codes, ended.said
        assert ended.said == ()
        verify_release(self.out, (self.ledger / "keys/signing.pub").read_bytes())
        found = self.verified()
        assert found.reserved == Price()
        assert found.spent.amount > 0
        self._clean()

    def refused(self, ended: Ended, *words: str, charged: bool = False, ledger: bool = True) -> None:
        """Assert a refusal: exit code 2, three sentences, nothing half-written, and the ledger right."""
        assert ended.code == main.REFUSED, ended.said
        assert ended.out == ""
        assert len(ended.said) == 3, ended.said
        assert all(line.strip().endswith(".") for line in ended.said), ended.said
        assert "Traceback" not in ended.words
        for word in words:
            assert word in ended.words
        assert not self.out.exists()
        self._clean()
        if not ledger:
            return
        found = self.verified()
        assert found.reserved == Price()
        assert ("stays charged" in ended.words) == charged
        if not charged:
            assert found.spent == Price()
            return
        assert found.spent == found.releases[-1].price
        assert found.releases[-1].release_id in ended.words

    def _clean(self) -> None:
        """No staging folder or temporary file anywhere; the annex absent or complete."""
        left = [p for p in self.folder.rglob("*") if p.name.startswith(".") or p.name.endswith((".new", ".tmp"))]
        assert left == []
        if self.annex.exists():
            assert {p.name for p in self.annex.iterdir()} == {"CONFIDENTIAL.txt", "annex.json"}
