"""Measure a room's figures: ``python benchmarks/figures.py --room line [--fresh]``; non-zero where one is short."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import measure_room

ROOMS = {room: f"benchmarks.{room}" for room in ("line", "engine", "accountant", "deep", "gate", "tables")}
MINUTES = 55.0


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", default="line", help=f"one of {', '.join(ROOMS)}, or all")
    parser.add_argument("--fresh", action="store_true", help="ignore what was measured before on this very code")
    parser.add_argument("--only", nargs="+", default=(), metavar="SECTION", help="measure these sections only")
    arguments = parser.parse_args()
    asked = list(ROOMS) if arguments.room == "all" else [arguments.room]
    unknown = [room for room in asked if room not in ROOMS]
    if unknown:
        print(f"SHORT: the room {unknown[0]!r} has no figures yet; there are figures for {', '.join(ROOMS)}.")
        return 2
    results = [_measure(room, arguments) for room in asked]
    return 0 if all(results) else 1


def _measure(room: str, arguments: argparse.Namespace) -> bool:
    found = import_module(ROOMS[room])
    return measure_room(
        room,
        found.SECTIONS,
        minutes=MINUTES,
        fresh=arguments.fresh,
        covers=getattr(found, "COVERS", None),
        only=arguments.only,
    )


if __name__ == "__main__":
    raise SystemExit(main())
