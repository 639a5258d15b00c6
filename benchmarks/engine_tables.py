"""Errors, CPU seconds and memory of the engine's synthesizers on coded tables."""

import json
import math
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.engine_runs import Fits, Table, fits, geometric_mean, house, shared_table
from benchmarks.harness import CACHE, SHARED, Figure, Section, at_most

HOUSE = house()
ADULT = (
    ("adaptive", 0.1, 0.28, 3.0),
    ("adaptive", 1.0, 0.116, 6.0),
    ("adaptive", 10.0, 0.070, 20.0),
    ("mixture", 10.0, 0.060, 50.0),
    ("aim", 1.0, 0.127, 15.0),
    ("mwem", 1.0, 0.20, 20.0),
    ("tree", 1.0, 0.145, 4.0),
)
"""On adult_aim: synthesizer, epsilon, bar of the mean 3-way L1 of 5 seeds, bar of the CPU seconds of a process."""
GRID_TABLES, GRID_EPSILONS = ("salary_aim", "titanic_aim", "nist_taxi", "adult_privmrf"), (0.1, 1.0, 10.0)
GRID = (HOUSE, "aim", "mst", "independent")
DELTA = 1e-9
ROUNDING = 1e-9


def _adult(synthesizer: str, epsilon: float, error: float, cpu: float) -> Callable[[], Iterator[Figure]]:
    def measured() -> Iterator[Figure]:
        runs = fits(shared_table("adult_aim"), synthesizer, epsilon=epsilon, delta=DELTA)
        what = f"{synthesizer} on adult_aim, epsilon {epsilon:g}, delta 1e-9"
        yield at_most(f"{what}: mean 3-way L1 of 5 seeds", runs.mean("3way_l1"), error, "", **runs.detail())
        yield from _costs(what, runs, cpu)

    return measured


def _costs(what: str, runs: Fits, cpu: float) -> Iterator[Figure]:
    spent = statistics.mean(runs.cpu_seconds)
    yield at_most(f"{what}: CPU of the whole process", spent, cpu, "CPU s", largest=max(runs.cpu_seconds))
    yield at_most(f"{what}: peak memory, largest of the seeds", max(runs.peak_mb), 1024, "MB")


def _grid(table: str, epsilon: float) -> dict[str, Fits]:
    return {name: fits(shared_table(table), name, epsilon=epsilon, delta=DELTA) for name in GRID}


def _grid_cell(table: str, epsilon: float) -> Callable[[], Iterator[Figure]]:
    def measured() -> Iterator[Figure]:
        found = _grid(table, epsilon)
        means = {name: runs.mean("3way_l1") for name, runs in found.items()}
        cpu = ", ".join(f"{name} {max(runs.cpu_seconds):.3g}" for name, runs in found.items())
        told = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        what = f"{HOUSE} ({found[HOUSE].chosen[0]}) against independent on {table}, epsilon {epsilon:g}"
        detail = {name: runs.detail() for name, runs in found.items()}
        yield at_most(
            f"{what}: ratio of mean 3-way L1 of 5 seeds ({told}; CPU s {cpu})",
            means[HOUSE] / means["independent"],
            1.0 + ROUNDING,
            "",
            **detail,
        )

    return measured


def _grid_means() -> Iterator[Figure]:
    cells = [(table, epsilon) for table in GRID_TABLES for epsilon in GRID_EPSILONS]
    found = [_grid(*cell) for cell in cells]
    for rival in ("aim", "mst"):
        ratios = [f[HOUSE].mean("3way_l1") / f[rival].mean("3way_l1") for f in found]
        each = {f"{table}, epsilon {epsilon:g}": r for (table, epsilon), r in zip(cells, ratios, strict=True)}
        yield at_most(
            f"{HOUSE} against our own {rival}, {len(cells)} tables and epsilons: geometric mean of ratios of 3-way L1",
            geometric_mean(ratios),
            0.95,
            "",
            ratios=each,
        )
    slowest = max(max(f[HOUSE].cpu_seconds) for f in found)
    yield at_most(f"{HOUSE} on the same: CPU of the slowest process (reported)", slowest, math.inf, "CPU s")


def _adult_pgm() -> Iterator[Figure]:
    runs = fits(shared_table("adult_pgm"), HOUSE, epsilon=1.0, delta=1e-10, ways=(2,))
    what = f"{HOUSE} on adult_pgm, epsilon 1, delta 1e-10"
    yield at_most(f"{what}: mean 2-way TV of 5 seeds", runs.mean("2way_tv"), 0.045, "", **runs.detail())
    yield from _costs(what, runs, 6.0)


def _adult_privmrf() -> Iterator[Figure]:
    runs = fits(shared_table("adult_privmrf"), HOUSE, epsilon=0.8, delta=1e-5, ways=(3, 4, 5), limit=300)
    for ways, bar in ((3, 0.038), (4, 0.068), (5, 0.110)):
        what = f"{HOUSE} on adult_privmrf, epsilon 0.8, delta 1e-5: mean {ways}-way TV of 300 marginals, 5 seeds"
        detail = runs.detail() if ways == 3 else {}
        yield at_most(what, runs.mean(f"{ways}way_tv"), bar, "", **detail)
    yield at_most("the same: CPU of the slowest process (reported)", max(runs.cpu_seconds), math.inf, "CPU s")


def coded_acs() -> Table:
    """acs_income_us_exca in the codes of its declared domain, public bins throughout; made once."""
    from dpsynth.encode import Encoder
    from dpsynth.schema import load_schema
    from dpsynth.tables import open_table

    name, folder = "acs_income_us_exca", CACHE / "coded"
    table = Table(name=name, records=folder / f"{name}.parquet", domain=folder / f"{name}-domain.json")
    if table.records.exists() and table.domain.exists():
        return table
    schema = load_schema(SHARED / "data" / f"{name}.schema.yaml")
    encoder = Encoder.of(schema.table)
    handle = open_table(SHARED / "data" / f"{name}.parquet", schema)
    codes = np.concatenate([encoder.encode(block) for block in handle.blocks()], axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(zip(encoder.domain.names, codes, strict=True))), table.records)
    table.domain.write_text(json.dumps(dict(zip(encoder.domain.names, encoder.domain.sizes, strict=True))))
    return table


def _acs() -> Iterator[Figure]:
    runs = fits(coded_acs(), HOUSE, epsilon=1.0, delta=DELTA, ways=(2,))
    what = f"{HOUSE} on coded acs_income_us_exca, 260,818 x 32, epsilon 1, delta 1e-9"
    yield at_most(f"{what}: mean 2-way TV of 5 seeds", runs.mean("2way_tv"), 0.019, "", **runs.detail())
    yield from _costs(what, runs, 15.0)


SECTIONS: tuple[Section, ...] = (
    *((f"adult-{name}-{epsilon:g}-{bars[0]:g}", _adult(name, epsilon, *bars)) for name, epsilon, *bars in ADULT),
    ("adult-pgm", _adult_pgm),
    ("adult-privmrf", _adult_privmrf),
    ("acs", _acs),
    *((f"grid-{t}-{e:g}", _grid_cell(t, e)) for t in GRID_TABLES for e in GRID_EPSILONS),
    ("grid", _grid_means),
)
