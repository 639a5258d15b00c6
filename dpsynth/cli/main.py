"""The `dpsynth` command: run the application inside the one boundary that turns every failure into an exit code.

Exit codes: 0 released (or done), 3 gated, 2 refused or bad input, 1 crash or interruption.
"""

import errno
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

import typer

from accountant.errors import Refusal
from dpsynth.cli.app import app
from dpsynth.cli.console import print_error, refusal_json, three_sentences

__all__ = ["CRASH", "DONE", "GATED", "REFUSED", "main", "run"]

DONE, CRASH, REFUSED, GATED = 0, 1, 2, 3
_INTERRUPTED = 130
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ACCESS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def main() -> NoReturn:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; prints, and lets nothing escape."""
    as_json = "--json" in argv
    debug = os.environ.get("DPSYNTH_DEBUG") == "1"
    disabled = logging.root.manager.disable
    try:
        with warnings.catch_warnings():
            if not debug:  # a library's warning or log line may quote a value
                warnings.simplefilter("ignore")
                logging.disable(logging.CRITICAL)
            return _run(argv, as_json=as_json)
    except Exception as crash:  # noqa: BLE001 - the boundary: no exception text may leave
        if debug:
            traceback.print_exc()
        print_error(_crash(crash), as_json=as_json)
        return CRASH
    finally:
        logging.disable(disabled)


def _run(argv: Sequence[str], *, as_json: bool) -> int:
    try:
        code = app(list(argv), prog_name="dpsynth", standalone_mode=False)
    except Refusal as refusal:
        print_error(refusal_json(refusal), as_json=as_json)
        return REFUSED
    except typer.TyperException as usage:
        return _usage(usage, as_json=as_json)
    except OSError as fault:
        return _system(fault, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        print_error(_interrupted(), as_json=as_json)
        return CRASH
    return code if isinstance(code, int) else DONE


def _usage(usage: typer.TyperException, *, as_json: bool) -> int:
    message = usage.format_message() if hasattr(usage, "format_message") else ""
    show = getattr(usage, "show", None)
    if "\n" in message and show is not None and not as_json:  # a command alone: its help
        show()
        return REFUSED
    command = getattr(getattr(usage, "ctx", None), "command_path", None) or "dpsynth"
    why = "An option or argument is missing, unknown or not of its type."
    what = message.strip() or "The command line can't be read."
    what += "" if what.endswith((".", "?")) else "."
    print_error(three_sentences("UsageError", what, why, f"Run `{command} --help`."), as_json=as_json)
    return REFUSED


def _system(fault: OSError, *, as_json: bool) -> int:
    if fault.errno == errno.EPIPE:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - the reader of our output left
        return CRASH
    if fault.errno in _NO_SPACE:
        what, why = "The output wasn't written.", "The disk or the quota is full; nothing half-written was published."
        step = "Free some space; `dpsynth ledger show` tells what was charged."
    elif fault.errno in _NO_ACCESS:
        what, why = "A file or folder wasn't opened.", "The system doesn't permit it to this user."
        step = "Check the owner and the permissions of the table, the ledger and the output folder."
    else:
        raise fault
    print_error(three_sentences("OutputError", what, why, step), as_json=as_json)
    return REFUSED


def _interrupted() -> dict[str, dict[str, str]]:
    return three_sentences(
        "Interrupted",
        "Interrupted; nothing half-written was published.",
        "What was charged before the interruption stays charged, and a reservation stays in the ledger.",
        "`dpsynth ledger show` lists it; `dpsynth ledger return-stale` gives back what never touched the data.",
    )


def _crash(crash: Exception) -> dict[str, dict[str, str]]:
    return three_sentences(
        "Crash",
        f"dpsynth stopped on a fault of its own ({type(crash).__name__}); nothing half-written was published.",
        "The fault's text is withheld because it may quote a record; what was charged stays charged.",
        "Run it again with DPSYNTH_DEBUG=1 in a confidential terminal to see the trace; report it without data.",
    )
