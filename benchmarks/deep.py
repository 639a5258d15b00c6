"""The figures of the DP-SGD synthesizers: errors and prediction on Adult, CPU, the engine's checks and its mutants."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from benchmarks.deep_peers import DECIDES as PEERS_DECIDE
from benchmarks.deep_peers import beside
from benchmarks.deep_runs import DECIDES, ONE_THREAD, trained
from benchmarks.deep_tables import PATHS, TABLES, table_section
from benchmarks.harness import Figure, Section, at_least, at_most, holds, run, tests_pass
from dpsynth.data import embedded_adult

BARS = {
    "ar-gan": {1.0: (0.035, 0.015), 3.0: (0.022, 0.010), 10.0: (0.017, 0.007)},
    "gan": {1.0: (0.050, 0.026), 3.0: (0.028, 0.018), 10.0: (0.024, 0.015)},
}
"""By synthesizer and epsilon: two-way total variation, and AUC below that of real rows."""
CPU_SECONDS = {"ar-gan": 30.0, "gan": 40.0}
REPORTED, REPORTED_SEEDS = ("ar", "vae"), (0, 1, 2)
"""Synthesizers without bars, and their seeds."""
AUDITED = 4.0
"""The epsilon that audited trainings claim."""
ON_A_GPU = "tests/dpsynth/deep/test_sgd.py::test_a_gpu_finds_the_same_clipped_sum"
FASTER = 0.8
"""Least speed of a DP-SGD step over that of ordinary SGD on the same network."""


def adult(name: str, epsilon: float) -> Iterator[Figure]:
    """A synthesizer at one epsilon, mean of five seeds; the mean may touch the bar with one standard error."""
    found, (tv, auc) = trained(name, epsilon), BARS[name][epsilon]
    what = f"{name} on adult_aim, 39,073 training rows, epsilon {epsilon:g}, delta 1e-6"
    for figure, score, bar in (("2-way TV", "2way_tv", tv), ("AUC below real", "auc_below_real", auc)):
        detail = {"mean": found.mean(score), "runs": found.runs}
        yield at_most(f"{what}: {figure}", found.touching(score, bar), bar, "", **detail)
    seconds = found.mean("cpu_seconds")
    yield at_most(f"{what}: training, sampling included, one thread", seconds, CPU_SECONDS[name], "CPU s")


def reported(name: str) -> Iterator[Figure]:
    """A synthesizer without bars, as it is."""
    for epsilon in BARS["ar-gan"]:
        found = trained(name, epsilon, seeds=REPORTED_SEEDS)
        told = f"{found.mean('2way_tv'):.4f}, {found.mean('auc_below_real'):.4f}, {found.mean('cpu_seconds'):.1f} CPU s"
        what = f"{name} on adult_aim, epsilon {epsilon:g}, {len(REPORTED_SEEDS)} seeds: 2-way TV, AUC below real"
        yield holds(what, True, told, "reported", runs=found.runs)


def speed() -> Iterator[Figure]:
    """A DP-SGD step against a step of ordinary SGD of the same network and batch, in one run."""
    done = run([sys.executable, "-m", "benchmarks.deep_speed"], environment=ONE_THREAD)
    if done.code != 0:
        raise RuntimeError(done.output[-800:])
    for line in done.output.strip().splitlines():
        batch, ours, ordinary = line.split()
        ratio = float(ordinary) / float(ours)
        what = f"a DP-SGD step of ar-gan's network on Adult's domain, batch {batch}: speed over ordinary SGD"
        yield at_least(what, ratio, FASTER, "", ours_ms=float(ours), ordinary_ms=float(ordinary))


def opacus() -> Iterator[Figure]:
    """The same norms as opacus, and steps faster than its ghost clipping and its hooks, on one network in one run."""
    done = run([sys.executable, "-m", "benchmarks.deep_oracle"], environment=ONE_THREAD)
    if done.code != 0:
        raise RuntimeError(done.output[-800:])
    found = json.loads(done.output.strip().splitlines()[-1])
    what = "per-record norms of a two-layer network, 256 records, against opacus: largest relative difference"
    yield at_most(what, found["norms_apart"], 1e-5, "")
    for batch, times in found["milliseconds"].items():
        for other, bar in (("ordinary", FASTER), ("ghost", 2.0), ("hooks", 30.0)):
            what = f"a DP-SGD step of a two-layer network, batch {batch}: speed over the oracle's step, {other}"
            yield at_least(what, times[other] / times["ours"], bar, "", **times)


def audit() -> Iterator[Figure]:
    """Canaries in whole trainings: the lower bounds of 50 cheap runs, none above the claim."""
    done = run([sys.executable, "-m", "benchmarks.deep_audit"], environment=ONE_THREAD)
    if done.code != 0:
        raise RuntimeError(done.output[-800:])
    for name, bounds in json.loads(done.output.strip().splitlines()[-1]).items():
        what = f"{name}, 100 canaries among 400 people, {len(bounds)} runs: largest lower bound of epsilon at 95 %"
        yield at_most(what, max(bounds), AUDITED, "", bounds=bounds)


def release() -> Iterator[Figure]:
    """`dpsynth release --synthesizer ar-gan` on the embedded Adult with a declared magnitude: the whole line."""
    table, declared = embedded_adult()
    with tempfile.TemporaryDirectory() as folder:
        schema, ledger, out = (Path(folder) / name for name in ("schema.yaml", "ledger", "out"))
        text = declared.read_text().replace("    privacy_unit:", "    rows_magnitude: 50000\n    privacy_unit:", 1)
        schema.write_text(text)
        dpsynth = [sys.executable, "-m", "dpsynth"]
        created = run([*dpsynth, "ledger", "create", str(ledger), "--schema", str(schema), "-e", "1", "-d", "1e-6"])
        paths = ["--schema", str(schema), "--ledger", str(ledger), "--out", str(out)]
        asked = ["--epsilon", "1", "--delta", "1e-6", "--synthesizer", "ar-gan", "--json"]
        done = run([*dpsynth, "release", str(table), *asked, *paths])
        if created.code != 0:
            raise RuntimeError(created.output[-800:])
        key = str(ledger / "keys" / "signing.pub")
        verified = run([*dpsynth, "verify", str(out), "--key", key]) if out.is_dir() else None
    sound = done.code == 0 and verified is not None and verified.code == 0
    what = "ar-gan released end to end from the embedded Adult at epsilon 1"
    yield holds(f"{what}: passed its gate, verified", sound, "yes" if sound else done.output[-300:], "yes")
    yield at_most(f"{what}: wall, 2 cores", done.wall_seconds, 90.0, "s", cpu=done.cpu_seconds, peak_mb=done.peak_mb)


def correctness() -> Iterator[Figure]:
    """The room's own tests; a skipped one is short, and without torch none would be collected. The one that needs a GPU
    is asked for where one is at hand."""
    at_hand = import_module("torch").cuda.is_available()
    what = "norms against vmap(grad), batches, noise, bounds, plans, checkpoints" + ("" if at_hand else "; no GPU here")
    apart = [] if at_hand else [f"--deselect={ON_A_GPU}"]
    yield tests_pass(what, ["tests/dpsynth/deep", *apart], timeout_seconds=900)


def mutants() -> Iterator[Figure]:
    """Every named mutant of the room is noticed."""
    command = [sys.executable, "benchmarks/line_mutants.py", "--only", "deep: "]
    done = run(command, environment=ONE_THREAD)
    yield holds("mutants of DP-SGD", done.code == 0, "killed" if done.code == 0 else done.output[-300:], "all killed")


SECTIONS: tuple[Section, ...] = (
    *((f"{name}-{epsilon:g}", partial(adult, name, epsilon)) for name, bars in BARS.items() for epsilon in bars),
    *((name, partial(reported, name)) for name in REPORTED),
    *((table.name, partial(table_section, table)) for table in TABLES),
    ("speed", speed),
    ("opacus", opacus),
    ("audit", audit),
    ("dpctgan", beside),
    ("release", release),
    ("correctness", correctness),
    ("mutants", mutants),
)
TESTED = (*DECIDES, "dpsynth", "tests/dpsynth/deep", "tests/mutants")
COVERS: Mapping[str, Sequence[str]] = {
    "": DECIDES,
    **dict.fromkeys(("release", "correctness", "mutants"), TESTED),
    **dict.fromkeys((table.name for table in TABLES), PATHS),
    "dpctgan": (*DECIDES, *PEERS_DECIDE),
}
"""What decides each section."""
