"""The one boundary: every failure becomes an exit code and three sentences, and no text of a fault leaves."""

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.cli import declaring, main
from dpsynth.cli.console import plain

SECRET = "Jane Doe earns 123456"
COMMANDS = ["demo", "init", "check", "schema", "plan", "budget"]
COMMANDS += ["release", "publish", "verify", "sample", "attack", "audit", "ledger"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Make `dpsynth check` fail with an exception of the test's choice."""

    def arm(error: BaseException) -> None:
        def raise_it(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("dpsynth.schema.load_schema", raise_it)

    return arm


def check(*more: str) -> int:
    return main.run(["check", "table.csv", "--schema", "s.yaml", *more])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([command, "--help"]) == main.DONE
    told = capsys.readouterr().out
    assert "Example" in told or command == "ledger"


def test_the_first_help_names_every_command_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == main.DONE
    told = capsys.readouterr().out
    rows = {
        line.split()[0]: line for line in told.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS
    }
    assert set(rows) == set(COMMANDS)
    assert not [line for line in rows.values() if line.endswith("...")]
    assert max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["check"], ["plan", "--epsilon", "many"], ["release", "--no-such"], ["ledger", "burn"]]
)
def test_usage_errors_are_bad_input(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(argv) == main.REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 3
    assert captured.err.rstrip().endswith("--help`.")
    assert main.run([*argv, "--json"]) == main.REFUSED
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "UsageError"
    assert set(error) == {"kind", "what", "why", "next_step"}


def test_a_refusal_is_three_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["plan", "--schema", str(tmp_path / "none.yaml"), "--epsilon", "1", "--delta", "1e-6"]
    assert main.run(argv) == main.REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 3
    assert main.run([*argv, "--json"]) == main.REFUSED
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "SchemaError"
    assert captured.err == f"{error['what']}\n{error['why']}\n{error['next_step']}\n"


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_a_crash_tells_its_type_and_nothing_else(failing, capsys, json_flag: list[str]) -> None:  # type: ignore[no-untyped-def]
    failing(ValueError(SECRET))
    assert check(*json_flag) == main.CRASH
    captured = capsys.readouterr()
    assert "ValueError" in captured.out + captured.err
    assert "Jane" not in captured.out + captured.err
    assert "DPSYNTH_DEBUG=1" in captured.out + captured.err
    if json_flag:
        assert json.loads(captured.out)["error"]["kind"] == "Crash"


def test_a_chained_crash_tells_nothing_either(failing, capsys) -> None:  # type: ignore[no-untyped-def]
    crash = RuntimeError("outer")
    crash.__cause__ = KeyError(SECRET)
    failing(crash)
    assert check() == main.CRASH
    assert "Jane" not in capsys.readouterr().err


def test_the_trace_shows_on_request(failing, capsys, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DPSYNTH_DEBUG", "1")
    failing(ValueError(SECRET))
    assert check() == main.CRASH
    assert SECRET in capsys.readouterr().err


def test_an_interruption_says_what_the_ledger_holds(failing, capsys) -> None:  # type: ignore[no-untyped-def]
    failing(KeyboardInterrupt())
    assert check() == main.CRASH
    told = capsys.readouterr().err
    assert "return-stale" in told
    assert len(told.splitlines()) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM])
def test_what_the_system_refuses_is_a_refusal(failing, capsys, code: int) -> None:  # type: ignore[no-untyped-def]
    failing(OSError(code, SECRET, SECRET))
    assert check() == main.REFUSED
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 3
    assert "Jane" not in told


def test_other_faults_of_the_system_are_crashes(failing, capsys) -> None:  # type: ignore[no-untyped-def]
    failing(OSError(errno.EIO, SECRET, SECRET))
    assert check() == main.CRASH
    assert "Jane" not in capsys.readouterr().err


def test_warnings_and_logs_of_libraries_stay_inside(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    def chatter(*_: object) -> None:
        warnings.warn(SECRET, stacklevel=1)
        logging.getLogger("library").error(SECRET)
        raise ValueError

    monkeypatch.setattr("dpsynth.schema.load_schema", chatter)
    assert check() == main.CRASH
    captured = capfd.readouterr()
    assert "Jane" not in captured.out + captured.err
    assert logging.root.manager.disable == 0


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "dpsynth.json"
    assert main.run(["schema", "--out", str(target)]) == main.DONE
    written = target.read_bytes()
    assert json.loads(written)["$schema"].startswith("https://json-schema.org/")
    assert main.run(["schema", "--out", str(target)]) == main.REFUSED
    assert main.run(["schema", "--out", str(tmp_path / "no" / "folder.json")]) == main.REFUSED
    assert target.read_bytes() == written
    assert capsys.readouterr().err.count("wasn't written") == 2


def test_confidential_files_are_for_their_owner(tmp_path: Path) -> None:
    declaring.write_new(tmp_path / "lint.txt", "x", mode=0o600)
    assert (tmp_path / "lint.txt").stat().st_mode & 0o777 == 0o600


def test_a_reader_that_leaves_is_no_trace() -> None:
    script = f"{sys.executable} -m dpsynth schema | head -c 1"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


@given(st.text())
def test_printed_text_has_no_control_characters(text: str) -> None:
    shown = plain(text)
    assert len(shown) == len(text)
    assert all(c.isprintable() for c in shown)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == main.DONE
    assert capsys.readouterr().out.startswith("dpsynth")
