"""The figures of the marginal engine: errors, CPU and memory on coded tables, speed, correctness, peers."""

from benchmarks.engine_checks import SECTIONS as CHECKS
from benchmarks.engine_tables import SECTIONS as TABLES
from benchmarks.harness import Section

SECTIONS: tuple[Section, ...] = (*TABLES, *CHECKS)
