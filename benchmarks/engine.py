"""The figures of the marginal engine: errors, CPU and memory on coded tables, speed, correctness, peers."""

from collections.abc import Mapping, Sequence

from benchmarks.engine_checks import SECTIONS as CHECKS
from benchmarks.engine_runs import DECIDES
from benchmarks.engine_scale import SECTIONS as SCALE
from benchmarks.engine_tables import SECTIONS as TABLES
from benchmarks.harness import Section

SECTIONS: tuple[Section, ...] = (*TABLES, *SCALE, *CHECKS)

TESTED = (
    *("accountant", "dpsynth", "tests", "benchmarks/engine*.py", "pyproject.toml", "constraints.txt"),
    *(":!dpsynth/deep", ":!tests/dpsynth/deep", ":!tests/accountant"),
)
COVERS: Mapping[str, Sequence[str]] = {
    "": DECIDES,
    "peers": (*DECIDES, "benchmarks/results/peers.json", "benchmarks/peers/compare.py", "benchmarks/limits.py"),
    "scale": ("benchmarks/results/scale.json", "benchmarks/scale.py", "benchmarks/engine_scale.py"),
    "correctness": TESTED,
    "mutants": TESTED,
}
"""What decides each section."""
