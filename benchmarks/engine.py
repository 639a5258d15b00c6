"""The figures of the marginal engine that exist so far: `adaptive` and `aim` on coded Adult."""

from collections.abc import Callable, Iterator

from benchmarks.harness import Figure, Section, at_most
from benchmarks.line_utility import coded_runs

BARS = (
    ("adaptive", 0.1, 0.28, 3.0),
    ("adaptive", 1.0, 0.116, 6.0),
    ("adaptive", 10.0, 0.070, 20.0),
    ("aim", 1.0, 0.127, 15.0),
)
"""Synthesizer, epsilon, bar of the mean 3-way L1 of 5 seeds, bar of the CPU seconds of a whole process."""


def _section(synthesizer: str, epsilon: float, error: float, cpu: float) -> Callable[[], Iterator[Figure]]:
    def measured() -> Iterator[Figure]:
        runs = coded_runs("adult_aim", synthesizer, epsilon=epsilon, delta=1e-9)
        what = f"{synthesizer} on adult_aim, epsilon {epsilon:g}, delta 1e-9"
        yield at_most(f"{what}: mean 3-way L1 of 5 seeds", runs.mean, error, "", **runs.detail())
        yield at_most(f"{what}: CPU of the whole process, largest of 5", max(runs.cpu_seconds), cpu, "CPU s")
        yield at_most(f"{what}: peak memory, largest of 5", max(runs.peak_mb), 1024, "MB")

    return measured


SECTIONS: tuple[Section, ...] = tuple(
    (f"{name}-{epsilon:g}", _section(name, epsilon, *bars)) for name, epsilon, *bars in BARS
)
