"""Run an outside synthesizer on training rows only, as an accounted event.

The claim is charged before anything of the records is written. The command sees coded columns in a private folder that
is removed afterwards, whatever happens; its words are private, too, and go to the annex at most. What it writes is an
output of the claimed mechanism, so reading and mending it is post-processing.
"""

import contextlib
import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from accountant.adjacency import PrivacyUnit
from accountant.spend import Side, Spend, Step
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError, Refusal
from dpsynth.external.config import ExternalConfig, require_matching_claim
from dpsynth.sources.base import Codes

_TRANSCRIPT_BYTES = 1 << 20


class ExternalFailed(Refusal):
    """The outside synthesizer ended without a usable table; its claim stays charged: mend the tool."""


def run_external(
    config: ExternalConfig,
    *,
    records: Codes,
    domain: Domain,
    rows: int,
    unit: PrivacyUnit,
    spend: Spend,
    label: str = "outside synthesizer",
    workdir: Path | None = None,
    transcript: BinaryIO | None = None,
) -> Codes:
    """Make synthetic codes with an outside command.

    Files: ``{train}`` is a CSV with a header of attribute names and one row of codes per training row; ``{domain}`` is
    a JSON object of names and sizes; ``{out}`` is where the command leaves a CSV like ``{train}``. Reading is total: at
    most ``rows`` rows are read, fewer are accepted; a code below 0 becomes 0, one above the domain its last code, and
    a cell that isn't a whole number 0. Only a missing or empty file, or a header of other names, fails.

    Args:
      config: The command and its claim.
      records: Codes of the training rows, shape (attributes, rows).
      domain: The public domain of the codes.
      rows: How many rows to ask for: noisy or public.
      unit: The privacy unit of the scope that pays.
      spend: Charged first.
      label: Public label of the charge.
      workdir: Where the private folder is made (mode 0700); the system's temporary folder by default.
      transcript: A confidential sink for what the command printed, at most 1 MiB.

    Returns:
      Codes of the synthetic rows, shape (attributes, rows returned).

    Privacy:
      Spends ``ApproxDP(claim_epsilon, claim_delta)`` on the training side, as claimed by the tool and believed. That
      the command ends well is part of its claimed output; how long it runs is not.
      Checked by: tests/dpsynth/external/test_bridge.py::test_charged_before_the_command_sees_a_record

    Raises:
      UnsupportedEvent: The claim doesn't fit the scope; the claim wasn't charged.
      ParameterError: The program doesn't exist; the claim wasn't charged.
      BudgetExceeded: The claim isn't affordable; nothing was run.
      ExternalFailed: The command failed; charged.
    """
    require_matching_claim(config, unit)
    program = find_program(config)
    spend.charge([Step(label=label, event=config.event(), sides=(Side.TRAINING,))])
    with tempfile.TemporaryDirectory(prefix="dpsynth-external-", dir=workdir) as name:
        folder = Path(name)
        _write_inputs(folder, records, domain)
        _run(config, program, folder, rows, transcript)
        return _read_codes(folder / "out.csv", domain, rows)


def find_program(config: ExternalConfig) -> str:
    """The absolute path of the command's program; raises ParameterError where there is none."""
    found = shutil.which(config.command[0])
    if found is None:
        raise ParameterError(
            "The outside synthesizer can't be started.",
            f"There is no program {config.command[0]!r} to run.",
            "Install it, or give its full path in the command.",
        )
    return str(Path(found).absolute())


def _write_inputs(folder: Path, records: Codes, domain: Domain) -> None:
    sizes = dict(zip(domain.names, domain.sizes, strict=True))
    (folder / "domain.json").write_text(json.dumps(sizes), encoding="utf-8")
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(domain.names)
        writer.writerows(records.T.tolist())


def _arguments(config: ExternalConfig, program: str, folder: Path, rows: int) -> list[str]:
    values = {
        "{train}": str(folder / "train.csv"),
        "{domain}": str(folder / "domain.json"),
        "{out}": str(folder / "out.csv"),
        "{epsilon}": repr(config.claim_epsilon),
        "{delta}": repr(config.claim_delta),
        "{rows}": str(rows),
    }

    def filled(argument: str) -> str:
        for placeholder, value in values.items():
            argument = argument.replace(placeholder, value)
        return argument

    return [program, *(filled(a) for a in config.command[1:])]


def _run(config: ExternalConfig, program: str, folder: Path, rows: int, transcript: BinaryIO | None) -> None:
    environment = {name: os.environ[name] for name in config.environment if name in os.environ}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder)}
    words = folder / "words.txt"
    with words.open("wb") as sink:
        try:
            process = subprocess.Popen(
                _arguments(config, program, folder, rows),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError:
            raise _failed("The system couldn't start it.") from None
        try:
            code: int | None = process.wait(timeout=config.timeout_seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    if transcript is not None:
        with words.open("rb") as said:
            transcript.write(said.read(_TRANSCRIPT_BYTES))
    if code is None:
        raise _failed(f"It ran longer than the declared {config.timeout_seconds:g} seconds.")
    if code != 0:
        raise _failed("It ended with an exit status other than 0.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its children, too: none may outlive the folder
    process.wait()


def _read_codes(path: Path, domain: Domain, rows: int) -> Codes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        raise _failed("It left no file at {out}.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _failed("It left no file at {out}.")
    with os.fdopen(handle, newline="", encoding="utf-8", errors="replace") as stream:
        reader = _lines(csv.reader(stream))
        header = next(reader, [])
        if sorted(header) != sorted(domain.names):
            raise _failed("The header of its table isn't the attribute names, each once.")
        table = [_clipped(row, header, domain) for row in islice(reader, rows)]
    if not table:
        raise _failed("Its table has no rows.")
    return np.array(table, dtype=np.min_scalar_type(max(domain.sizes) - 1)).T.copy()


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from (row for row in reader if row)
    except csv.Error:
        return


def _clipped(row: Sequence[str], header: Sequence[str], domain: Domain) -> list[int]:
    found = dict(zip(header, row, strict=False))
    limits = zip(domain.names, domain.sizes, strict=True)
    return [min(max(_whole(found.get(name, "")), 0), size - 1) for name, size in limits]


def _whole(text: str) -> int:
    try:
        return int(text) if len(text) <= 20 else 0
    except ValueError:
        return 0


def _failed(why: str) -> ExternalFailed:
    return ExternalFailed(
        "The outside synthesizer made no table; its claim stays charged.",
        why,
        "Try the command on public data first; what it printed is in the confidential annex.",
    )
