"""The gate on Adult: a copier must fail it, honest mst must pass it, by exact probability over its noise."""

import statistics
from collections.abc import Iterator

from benchmarks.gate_leaks import LEAKS
from benchmarks.gate_runs import EMBEDDED, Setting, judge
from benchmarks.harness import Figure, at_least, cpu_seconds

HONEST_SPLITS, COPIER_SPLITS = 30, 10
COPIED = "5 % verbatim"
SETTINGS = tuple(Setting(table=table, people=None) for table in (EMBEDDED, "adult_aim"))


def honest() -> Iterator[Figure]:
    """mst over fresh splits of two encodings of Adult."""
    for setting in SETTINGS:
        began = cpu_seconds()
        chances = _passing(setting, "none", HONEST_SPLITS)
        yield at_least(
            f"honest mst on {setting.table}: mean exact probability of passing over {HONEST_SPLITS} fresh splits",
            statistics.mean(chances),
            0.985,
            "",
            probabilities=chances,
            gate_mu=setting.plan.gate_mu,
            cpu_seconds=cpu_seconds() - began,
        )


def copier() -> Iterator[Figure]:
    """mst whose table holds 5 % of the training rows verbatim."""
    for setting in SETTINGS:
        chances, mu = _passing(setting, COPIED, COPIER_SPLITS), setting.plan.gate_mu
        yield at_least(
            f"a copier of 5 % of training rows on {setting.table}, gate_mu {mu:.3g}: exact probability of failing, "
            f"least of {COPIER_SPLITS} splits",
            1.0 - max(chances),
            0.99,
            "",
            probabilities_of_passing=chances,
            gate_mu=mu,
        )


def _passing(setting: Setting, leak: str, splits: int) -> list[float]:
    return [1.0 - judge(setting, [(leak, LEAKS[leak])], seed)[leak].failing for seed in range(splits)]
