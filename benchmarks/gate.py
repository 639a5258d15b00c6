"""The figures of the gate: false alarms and power of its verdict on public tables, its speed, what decides it."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.gate_audit import COVERS as AUDIT_COVERS
from benchmarks.gate_audit import SECTIONS as AUDIT
from benchmarks.gate_runs import DECIDES, Setting, runs
from benchmarks.gate_speed import SECTIONS as SPEED
from benchmarks.harness import Figure, Section, at_least, at_most, holds, tests_pass
from benchmarks.line_mutants import measure

TABLES = ("adult_raw", "acs_national2019", "nist_taxi")
CLEAR = ("adult_raw", "adult_pgm", "acs_national2019")
CROWDED = ("adult_aim", "nist_taxi")
EPSILONS = (0.1, 1.0, 10.0)
HONEST, ADAPTIVE = 30, 4
"""Honest runs of each table and epsilon: with mst, and with adaptive beside it."""
POWER, MODELS, CURVE, STATED = 20, 5, 8, 8
BOOTSTRAP = 10_000
MODEL_LEAKS = ("every row with 4 cells changed", "trees with leaves of 5", "trees grown to the end")
CURVE_LEAKS = (".25 % verbatim", ".5 % verbatim", "1 % verbatim", "2 % verbatim", "5 % verbatim")


def honest() -> Iterator[Figure]:
    """False alarms: mean exact probability of failing, fresh people, split, noise and table in every run."""
    settings = [
        Setting(table=table, epsilon=epsilon, synthesizer=made)
        for table in TABLES
        for epsilon in EPSILONS
        for made, many in (("mst", HONEST), ("adaptive", ADAPTIVE))
        for _ in range(many)
    ]
    found = [run["none"]["failing"] for run in runs("honest", _numbered(settings), ["none"])]
    groups: dict[str, list[float]] = {}
    for setting, chance in zip(settings, found, strict=True):
        groups.setdefault(setting.words, []).append(chance)
    means = {words: statistics.mean(chances) for words, chances in groups.items()}
    yield at_most(
        f"false alarms: 97.5 % bootstrap bound of the mean exact probability that an honest table fails, {len(found)} "
        "runs",
        _bound(found, 0.975),
        0.02,
        "",
        mean=statistics.mean(found),
        largest=max(found),
        by_setting=means,
        probabilities=found,
    )


def power() -> Iterator[Figure]:
    """1 % at gate_mu .05 and epsilon 1, .5 % at gate_mu .1 and epsilon 3, n = 30,000, 20 % held out."""
    for epsilon, mu, leak in ((1.0, "0.05", "1 % verbatim"), (3.0, "0.1", ".5 % verbatim")):
        for table in CLEAR:
            setting = Setting(table=table, epsilon=epsilon, gate_mu=mu)
            yield _power(f"power {epsilon:g}", setting, leak, POWER)


def models() -> Iterator[Figure]:
    """Generators without privacy that copy, or nearly."""
    for table in CLEAR:
        for leak in MODEL_LEAKS:
            yield _power("models", Setting(table=table, gate_mu="0.05"), leak, MODELS)


def curve() -> Iterator[Figure]:
    """Tables with many equal rows: how failing grows with the leak, and the smallest leak that the verdict states."""
    for table in CROWDED:
        setting = Setting(table=table, gate_mu="0.05")
        jobs = _numbered([setting] * CURVE)
        found = runs(f"curve {table}", jobs, ["none", *CURVE_LEAKS])
        means = {leak: statistics.mean(run[leak]["failing"] for run in found) for leak in ("none", *CURVE_LEAKS)}
        stated = statistics.median(run["none"]["smallest_leak"] for run in found)
        words = ", ".join(f"{leak} {mean:.3f}" for leak, mean in means.items() if leak != "none")
        yield holds(
            f"operating curve on {setting.words}: mean exact probability of failing",
            True,
            f"{words}; states a smallest leak of {stated:.2%}",
            "reported",
            means=means,
            runs=found,
        )


def stated() -> Iterator[Figure]:
    """A leak as large as the verdict says that it would have seen is seen."""
    for table in (*CLEAR, *CROWDED):
        setting = Setting(table=table, gate_mu="0.05")
        found = runs(f"stated {table}", _numbered([setting] * STATED), ["none", "the stated leak"])
        chances = [run["the stated leak"]["failing"] for run in found]
        yield at_least(
            f"a leak of the stated size on {setting.words}: mean exact probability of failing over {STATED} runs",
            statistics.mean(chances),
            0.95,
            "",
            probabilities=chances,
            stated=[run["none"]["smallest_leak"] for run in found],
        )


def tested() -> Iterator[Figure]:
    """Sensitivities by brute force, laws, edges; and the faults that must be noticed."""
    rooms = ["tests/dpsynth/attacks", "tests/dpsynth/gate"]
    yield tests_pass("tests of the attacks and the gate", rooms, timeout_seconds=600)
    found = measure(rooms=("dpsynth/gate", "dpsynth/attacks"))
    killed = f"{found['killed']} of {found['total']}"
    yield holds(
        "named faults of the attacks and the gate that a test notices",
        not found["survived"],
        killed,
        "all",
        survived=found["survived"],
        seconds=found["seconds"],
    )


def _power(section: str, setting: Setting, leak: str, many: int) -> Figure:
    found = runs(f"{section} {setting.table} {leak}", _numbered([setting] * many), [leak])
    chances = [run[leak]["failing"] for run in found]
    return at_least(
        f"power against {leak} on {setting.words}: 2.5 % bootstrap bound of the mean exact probability of failing, "
        f"{many} runs",
        _bound(chances, 0.025),
        0.95,
        "",
        mean=statistics.mean(chances),
        least=min(chances),
        probabilities=chances,
        smallest_leak_of_the_leaky_table=[run[leak]["smallest_leak"] for run in found],
    )


def _numbered(settings: Sequence[Setting]) -> list[tuple[Setting, int]]:
    return [(setting, seed) for seed, setting in enumerate(settings)]


def _bound(found: Sequence[float], level: float) -> float:
    """A percentile of the bootstrapped mean; the bootstrap itself is seeded."""
    rng, values = np.random.default_rng(0), np.array(found)
    means = values[rng.integers(0, len(values), (BOOTSTRAP, len(values)))].mean(axis=1)
    return float(np.quantile(means, level))


SECTIONS: tuple[Section, ...] = (
    *SPEED,
    ("power", power),
    ("honest", honest),
    ("models", models),
    ("curve", curve),
    ("stated", stated),
    ("tested", tested),
    *AUDIT,
)
COVERS: Mapping[str, Sequence[str]] = {
    "": (*DECIDES, "benchmarks/gate.py", "benchmarks/gate_speed.py", "benchmarks/harness.py"),
    "tested": (
        *("accountant", "dpsynth", "tests/dpsynth/attacks", "tests/dpsynth/gate", "tests/mutants"),
        "benchmarks/gate.py",
    ),
    **AUDIT_COVERS,
}
"""What decides each section."""
