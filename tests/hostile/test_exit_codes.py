"""The exit codes of the real command, as a process: 0 released, 3 gated, 2 refused, 1 crash; never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from dpsynth.cli import main
from tests.dpsynth.cli.test_commands import lenient_policy
from tests.hostile.stand import Ended, Stand, rows, text

ROOT = Path(__file__).parents[2]
CRASHING = """
import sys
from dpsynth.cli import main
import dpsynth.records

def crash(*_, **__):
    raise RuntimeError("north,17,true")

import dpsynth.line
dpsynth.line.read_records = crash
sys.argv[0] = "dpsynth"
main.main()
"""


def run(stand: Stand, table: Path, *more: str, program: tuple[str, ...] = ("-m", "dpsynth")) -> Ended:
    """One release in a process of its own."""
    policy = stand.file("policy.json", lenient_policy().encode())
    argv = ["-e", "2", "-d", "1e-6", "-s", str(stand.schema), "-l", str(stand.ledger), "-o", str(stand.out)]
    command = [sys.executable, *program, "release", str(table), *argv, "--policy", str(policy), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr
    said = tuple(line for line in done.stderr.splitlines() if not line.startswith("done: "))
    return Ended(code=done.returncode, out=done.stdout, said=said)


def test_0_released(stand: Stand) -> None:
    ended = run(stand, stand.file("t.csv", text(rows())), "--synthesizer", "independent")
    stand.released(ended, codes=[main.DONE])
    assert ended.out.startswith("PASS")


def test_3_gated(stand: Stand) -> None:
    ended = run(stand, stand.file("t.csv", text(rows(1))))
    stand.released(ended, codes=[main.GATED])
    assert not list(stand.out.glob("SYNTHETIC-*"))


@pytest.mark.parametrize("content", [b"", b"ward,age,smoker\n", b"ward;age;smoker;score\n"])
def test_2_refused(stand: Stand, content: bytes) -> None:
    stand.refused(run(stand, stand.file("t.csv", content)))
    assert not stand.verified().releases


def test_1_crash(stand: Stand) -> None:
    ended = run(stand, stand.file("t.csv", text(rows(20))), program=("-c", CRASHING))
    assert ended.code == main.CRASH
    assert len(ended.said) == 3
    assert "RuntimeError" in ended.said[0]
    assert "north" not in ended.words
    assert not stand.out.exists()
    (kept,) = stand.verified().releases
    assert (kept.reason, kept.charged) == ("failed", kept.price)
