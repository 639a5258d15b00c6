"""The trained synthesizers beside those that measure marginals, on tables that nothing was tuned on.

Every table is coded by its declaration and cut at random into training rows (four of five) and test rows. Each
synthesizer runs in a process of its own, in test mode, two at a time on one thread each; the mean over a few seeds
counts. Errors are of codes; a learner predicts the target's code (one that is cut at a public value, whether it is
reached) from the others' codes. All runs are kept.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from benchmarks.deep_runs import DECIDES, ONE_THREAD
from benchmarks.harness import CACHE, SHARED, Figure, at_least, at_most, kept, run, state
from benchmarks.line_utility import scorer

EPSILON, DELTA = 3.0, 1e-6
FAMILY, MARGINAL = ("ar-gan", "gan", "ar", "vae"), ("adaptive", "tree", "mst")
BASE = "independent"
NEAR = 0.01
"""The better of the family may lie this much of AUC below the best synthesizer that measures marginals."""
TIMEOUT = 900
AT_ONCE = 2
"""Runs at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTable:
    """A table with a declaration.

    Attributes:
      name: Of its files.
      file: Of its records.
      target: The column that is predicted.
      cut: Where a target of many codes is cut in two; None where it isn't.
      omitted: Columns that are left out, being too wide for weights of all pairs.
      seeds: Seeds whose mean counts.
    """

    name: str
    file: str
    target: str
    cut: int | None = None
    omitted: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)


TABLES = (
    RealTable(name="acs_income_ny", file="acs_income_ny.parquet", target="Income", cut=50_000),
    RealTable(
        name="nhanes_2017",
        file="nhanes_2017.parquet",
        target="DoctorToldYouHaveDiabetes",
        omitted=("UsualSleepTimeOnWeekdaysOrWorkdays",),
    ),
    RealTable(name="german_credit", file="german_credit.csv.gz", target="class-label", seeds=(0, 1, 2, 3)),
)
ROOMS = ("domain.py", "encode", "estimation", "mechanisms", "sampling", "schema", "sources", "synthesizers.py")
PATHS = (*DECIDES, *(f"dpsynth/{room}" for room in ROOMS), "dpsynth/tables", "benchmarks/fit_coded.py")


def table_section(table: RealTable) -> Iterator[Figure]:
    """Each of the family against independent columns, and the better of them against the best that measures."""
    found = {name: _mean(runs) for name, runs in _runs(table, (*FAMILY, *MARGINAL, BASE)).items()}
    what = f"{table.name}, target {table.target}, epsilon {EPSILON:g}, delta {DELTA:g}"
    told = ", ".join(f"{name} {each['2way_tv']:.4f}/{each['auc']:.4f}" for name, each in found.items())
    for name in FAMILY:
        ratio = found[name]["2way_tv"] / found[BASE]["2way_tv"]
        yield at_most(f"{what}: 2-way TV of {name} over that of independent columns", ratio, 1.0, "", **found[name])
    best = {names: max(found[name]["auc"] for name in names) for names in (FAMILY, MARGINAL)}
    gained = best[FAMILY] - best[MARGINAL]
    what = f"{what}: AUC of the better trained one over the best that measures (TV/AUC: {told})"
    yield at_least(what, gained, -NEAR, "", **found)


def _mean(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What was scored of each seed, in the mean, and the spread of what is held against a bar."""
    found = {score: statistics.mean(run[score] for run in runs) for score in runs[0]}
    spread = {f"{score}_spread": statistics.stdev(run[score] for run in runs) for score in ("2way_tv", "auc")}
    return found | spread | {"seeds": len(runs)}


def _runs(table: RealTable, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """All runs of these synthesizers, several at a time."""
    folder = CACHE / "deep" / state(PATHS)

    def one(asked: tuple[str, int]) -> dict[str, Any]:
        name, seed = asked
        with threadpool_limits(limits=1):
            path = folder / f"{table.name}-{name}-{seed}.json"
            return kept(path, PATHS, partial(_measure, table, name, seed))

    asked = list(product(names, table.seeds))
    _prepared(table)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(asked, pool.map(one, asked), strict=True))
    return {name: [found[name, seed] for seed in table.seeds] for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A table's parts, coded, and what a learner makes of the training rows.

    Attributes:
      parts: Training and test codes, shape (columns, rows).
      sizes: Codes by column.
      reached: The code of the target's cut, or None.
      auc: On the test rows.
    """

    parts: tuple[np.ndarray, np.ndarray]
    sizes: dict[str, int]
    reached: int | None
    auc: float


@cache
def _prepared(table: RealTable) -> Prepared:
    codes, sizes, reached = coded(table)
    order = np.random.default_rng(0).permutation(codes.shape[1])
    training, test = (codes[:, part] for part in np.split(order, [round(0.8 * len(order))]))
    real, held = (_learnt(part, sizes, table.target, reached) for part in (training, test))
    auc = scorer("learn").evaluate(real, held, real, table.target)["auc"]
    return Prepared(parts=(training, test), sizes=sizes, reached=reached, auc=auc)


def _measure(table: RealTable, name: str, seed: int) -> dict[str, Any]:
    prepared = _prepared(table)
    (training, test), sizes = prepared.parts, prepared.sizes
    with tempfile.TemporaryDirectory() as folder:
        real, domain, out = (Path(folder) / file for file in ("real.parquet", "domain.json", "made.parquet"))
        _frame(training, sizes).to_parquet(real, index=False)
        domain.write_text(json.dumps(sizes))
        asked = [f"--epsilon={EPSILON}", f"--delta={DELTA}", f"--seed={seed}", f"--synthesizer={name}"]
        module = "benchmarks.deep_fit" if name in FAMILY else "benchmarks.fit_coded"
        asked += [f"--target={table.target}"] if name in FAMILY else []
        command = [sys.executable, "-m", module, str(real), str(domain), str(out), *asked]
        done = run(command, environment=ONE_THREAD, timeout_seconds=TIMEOUT)
        if done.code != 0:
            raise RuntimeError(done.output[-800:])
        made = pd.read_parquet(out)[list(sizes)].to_numpy().T.astype(np.int64)
    tv = scorer("marginals").score(training, made, sizes, ways=(2,))["2way_tv"]
    real, held, learnt = (_learnt(part, sizes, table.target, prepared.reached) for part in (training, test, made))
    auc = scorer("learn").evaluate(learnt, held, real, table.target)["auc"]
    scores = {"2way_tv": tv, "auc": auc, "auc_real": prepared.auc}
    return scores | {"cpu_seconds": done.cpu_seconds, "peak_mb": done.peak_mb}


def coded(table: RealTable) -> tuple[np.ndarray, dict[str, int], int | None]:
    """Codes, shape (columns, rows); the columns' sizes; and the code of the target's cut."""
    from dpsynth.encode import Encoder
    from dpsynth.schema import load_schema
    from dpsynth.tables import open_table

    schema = load_schema(SHARED / "data" / f"{table.name}.schema.yaml")
    encoder = Encoder.of(schema.table)
    handle = open_table(SHARED / "data" / table.file, schema)
    codes = np.concatenate([encoder.encode(block) for block in handle.blocks()], axis=1).astype(np.int64)
    names = encoder.domain.names
    left = [i for i, name in enumerate(names) if name not in table.omitted]
    sizes = {names[i]: encoder.domain.sizes[i] for i in left}
    column = encoder.columns[names.index(table.target)]
    reached = None if table.cut is None else int(column.encode(pa.array([table.cut]))[0])
    return codes[left], sizes, reached


def _frame(codes: np.ndarray, sizes: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame(dict(zip(sizes, codes, strict=True)))


def _learnt(codes: np.ndarray, sizes: dict[str, int], target: str, reached: int | None) -> pd.DataFrame:
    frame = _frame(codes, sizes)
    if reached is not None:
        frame[target] = (frame[target] >= reached).astype(int)
    return frame
