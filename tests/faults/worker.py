"""A warm process that forks one child per run, so that a kill costs no imports. Orders and answers are JSON lines.

An order: ``folder`` (holds ``ledger``; the child writes ``points.log`` there), ``out``, ``key``, ``synthesizer``, the
position of the fault point at which to send ``signal`` to itself (or none), and ``argv`` for a run of the command line
instead of the API. A list of orders runs at once; its answer lists the exit codes, negative for a signal.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from accountant import faults
from accountant.errors import Refusal
from dpsynth.cli import main as cli
from dpsynth.line import release
from tests.dpsynth import lines

EPSILON, DELTA = 2.0, 1e-6
DONE, REFUSED = 0, 2


def serve() -> None:
    """Answer orders until the input ends."""
    table = lines.table()
    for text in sys.stdin:
        orders = json.loads(text)
        children = [_fork(order, table) for order in orders]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


def _fork(order: dict[str, Any], table: Any) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        code = _run(order, table)
    finally:
        os._exit(code)


def _run(order: dict[str, Any], table: Any) -> int:
    folder = Path(order["folder"])
    _redirect(folder / order["said"])
    log = os.open(folder / "points.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reached = 0

    def hook(name: str) -> None:
        nonlocal reached
        os.write(log, f"{name}\n".encode())
        reached += 1
        if reached - 1 == order["at"]:
            os.kill(os.getpid(), order["signal"])

    faults.hook = hook
    if order["argv"]:
        return cli.run(order["argv"])
    try:
        release(
            table,
            lines.schema(),
            epsilon=EPSILON,
            delta=DELTA,
            ledger=folder / "ledger",
            out=folder / order["out"],
            synthesizer=order["synthesizer"],
            idempotency_key=order["key"],
            policy=lines.lenient(),
        )
    except Refusal as refusal:
        os.write(2, f"{type(refusal).__name__}: {refusal}\n".encode())
        return REFUSED
    return DONE


def _redirect(path: Path) -> None:
    said = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    serve()
