"""How cost grows with rows, columns and sizes: figures from the committed table, each cell of its own commit."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.harness import RESULTS, Figure, Section, at_least, at_most, holds
from benchmarks.scale import CLEAR, ROWS, SIGNAL, SYNTHESIZERS, cell_name, cells_of, line

GROWTH = 1.25
"""Most that the cost after counting may differ between the fewest rows compared and the most: noise of the clock."""
FEWEST = 100_000
"""Fewer rows than this leave most tables below their noise, so that less is fitted."""


def scale() -> Iterator[Figure]:
    """What was measured and what lacks, and whether rows cost anything once they are counted."""
    cells: dict[str, dict[str, Any]] = json.loads((RESULTS / "scale.json").read_text())["cells"]
    yield from scale_figures(cells)


def scale_figures(cells: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """The figures of these cells; a cell that lacks, or wasn't finished, makes its figure fall short."""
    for synthesizer in SYNTHESIZERS:
        planned = [cell_name(synthesizer, *cell) for cell in cells_of()]
        told = {name: line(cells[name]) for name in planned if name in cells}
        lacking = [name.removeprefix(f"{synthesizer}: ") for name in planned if name not in told]
        unfinished = [f"{name}: {told[name]}" for name in told if cells[name]["outcome"] != "finished"]
        short = [*(f"not measured: {name}" for name in lacking), *unfinished]
        yield holds(
            f"scaling of {synthesizer}, epsilon 1: cells of rows, columns and sizes that were measured to their end",
            not short,
            f"{len(planned) - len(short)} of {len(planned)}" + "".join(f"; {s}" for s in short),
            f"{len(planned)} of {len(planned)}",
            cells=told,
            commits={name: cells[name]["commit"] for name in told},
        )
        yield _growth(synthesizer, cells)
        yield _growth_at_one_signal(synthesizer, cells)
    yield from _counting(cells)


def _growth(synthesizer: str, cells: Mapping[str, Mapping[str, Any]]) -> Figure:
    what = f"{synthesizer}: CPU after counting, most rows over {FEWEST:,} rows of 15 columns"
    rest = {
        rows: cells[name]["rest_cpu_seconds"]
        for rows, *shape in ROWS
        if rows >= FEWEST and "rest_cpu_seconds" in cells.get(name := cell_name(synthesizer, rows, *shape), {})
    }
    if FEWEST not in rest or len(rest) < 2:
        return holds(what, False, "not measured", f"<= {GROWTH:g}")
    most = max(rest)
    return at_most(f"{what} ({most:,} rows)", rest[most] / rest[FEWEST], GROWTH, "", rest_cpu_seconds=rest)


def _growth_at_one_signal(synthesizer: str, cells: Mapping[str, Mapping[str, Any]]) -> Figure:
    fewest, shape = CLEAR[0][0], CLEAR[0][1:]
    what = f"{synthesizer} at the relative noise of {SIGNAL:,} rows: CPU after counting, those over {fewest:,} rows"
    first, last = cell_name(synthesizer, fewest, *shape, signal=SIGNAL), cell_name(synthesizer, SIGNAL, *shape)
    rest = {q: cells[q]["rest_cpu_seconds"] for q in (first, last) if "rest_cpu_seconds" in cells.get(q, {})}
    if len(rest) < 2:
        return holds(what, False, "not measured", f"<= {GROWTH:g}")
    return at_most(what, rest[last] / rest[first], GROWTH, "", rest_cpu_seconds=rest)


def _counting(cells: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    rows, *shape = ROWS[-1]
    found = cells.get(cell_name("mst", rows, *shape), {})
    if "counting_cpu_seconds" in found:
        speed = rows / found["counting_cpu_seconds"] / 1e6
        what = f"counting what mst needs of {rows:,} streamed rows of 15 columns"
        yield at_least(what, speed, 10.0, "million rows a CPU second", commit_of_the_cell=found["commit"])


SECTIONS: tuple[Section, ...] = (("scale", scale),)
