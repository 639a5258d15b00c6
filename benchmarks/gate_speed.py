"""How fast the attacks are: nearest neighbours on coded and mixed tables, a million rows, the whole gate on Adult."""

import json
import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.gate_runs import EMBEDDED, Setting, coded, judge, rows_of
from benchmarks.harness import Figure, Section, at_most, cpu_seconds, holds, run
from dpsynth.attacks import nearness, prepare
from dpsynth.attacks.layout import Layout
from dpsynth.attacks.mixed import mixed_distance, prepare_mixed

ROWS, COLUMNS = 30_000, 14
MILLION = """
import json, resource, sys, time
import numpy as np
from dpsynth.attacks import Family, Feature, Layout, make_target, side_sums
from dpsynth.data import embedded_adult

rng = np.random.default_rng(0)
sizes = tuple([9, 16, 7, 15, 6, 5, 2, 42, 2, 74, 33, 30, 99, 16])
rows = int(sys.argv[1])
both = [np.array([np.minimum(rng.geometric(min(.9, 3 / s), rows) - 1, s - 1) for s in sizes], dtype=np.uint8)
        for _ in range(2)]
features = [Feature(family=Family.NEAR, distance=t) for t in (0, 1, 2)]
features += [Feature(family=Family.ISOLATED, distance=k) for k in (2, 3)]
began = time.monotonic()
target = make_target(both[0], Layout.plain(sizes), features)
blocks = ((both[1][:, i : i + 65_536], np.arange(i, min(i + 65_536, rows))) for i in range(0, rows, 65_536))
sums = side_sums(blocks, target, features)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def neighbours() -> Iterator[Figure]:
    """30,000 against 30,000 rows of 14 columns of Adult, after warm-up."""
    records, layout = coded("adult_raw")
    rng = np.random.default_rng(0)
    codes = np.ascontiguousarray(rows_of(records.source)[:COLUMNS])
    narrow = Layout(sizes=layout.sizes[:COLUMNS], ordered=layout.ordered[:COLUMNS])
    one = codes[:, rng.choice(codes.shape[1], ROWS, replace=False)]
    columns = [rng.permutation(column[:ROWS]) if c % 3 == 0 else column[:ROWS] for c, column in enumerate(codes)]
    other = np.array(columns)
    table = prepare(other, narrow.sizes)
    mixed = prepare_mixed(table, narrow)
    for words, bar, work in (
        ("coded Hamming", 0.35, lambda: nearness(one, prepare(other, narrow.sizes))),
        ("mixed distances", 1.5, lambda: mixed_distance(one, mixed)),
    ):
        work()
        seconds = []
        for _ in range(5):
            began = cpu_seconds()
            work()
            seconds.append(cpu_seconds() - began)
        what = f"nearest neighbours, {words}, {ROWS:,} x {ROWS:,} x {COLUMNS}, after warm-up"
        yield at_most(what, min(seconds), bar, "CPU s", all_seconds=seconds)


def whole() -> Iterator[Figure]:
    """The gate's own work on Adult: the difference between judging a release twice and once."""
    setting = Setting(table=EMBEDDED, people=None)
    judge(setting, [("none", None)], 0)
    seconds = []
    for tables in (1, 2):
        began = cpu_seconds()
        judge(setting, [(str(i), None) for i in range(tables)], 0)
        seconds.append(cpu_seconds() - began)
    yield at_most("the whole gate on Adult, 48,842 people", seconds[1] - seconds[0], 5.0, "CPU s", both=seconds)


def million() -> Iterator[Figure]:
    """A million people against a million rows: exact and near matches and isolation, streamed in blocks."""
    done = run([sys.executable, "-c", MILLION, "1000000"], timeout_seconds=900)
    if done.code:
        yield holds("a million against a million", False, done.output[-500:], "runs")
        return
    wall, cpu, peak = json.loads(done.output.strip().splitlines()[-1])
    yield at_most("a million against a million rows, decision thresholds, 2 cores", wall, 300, "s", cpu_seconds=cpu)
    yield at_most("the same, peak memory", peak, 1024, "MB")


SECTIONS: tuple[Section, ...] = (("neighbours", neighbours), ("whole gate", whole), ("million", million))
