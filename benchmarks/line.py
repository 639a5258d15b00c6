"""The figures of the line: from a real table to an accounted, gated, signed release."""

from benchmarks.harness import Section
from benchmarks.line_demo import demo, help_time, tampering
from benchmarks.line_gate import copier, honest
from benchmarks.line_ledger import ledger
from benchmarks.line_oracles import faults, mutants, oracles
from benchmarks.line_utility import mst_error, tables

SECTIONS: tuple[Section, ...] = (
    ("demo", demo),
    ("help", help_time),
    ("tampering", tampering),
    ("mst", mst_error),
    ("tables", tables),
    ("copier", copier),
    ("honest", honest),
    ("ledger", ledger),
    ("faults", faults),
    ("oracles", oracles),
    ("mutants", mutants),
)
