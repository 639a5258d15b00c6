"""The figures of the accountant: its mathematics against golden values and independent libraries, and its ledger."""

from benchmarks.accountant_books import kills, races, tampering, times
from benchmarks.accountant_golden import aim_plan, filter_time, golden, import_time, query_time
from benchmarks.accountant_oracles import composition, conversions, laws, samplers
from benchmarks.accountant_tests import generic_mutants, named_mutants, tests
from benchmarks.harness import Section

SECTIONS: tuple[Section, ...] = (
    ("import", import_time),
    ("filter", filter_time),
    ("golden", golden),
    ("query", query_time),
    ("aim", aim_plan),
    ("composition", composition),
    ("conversions", conversions),
    ("laws", laws),
    ("samplers", samplers),
    ("charge", times),
    ("tampering", tampering),
    ("kills", kills),
    ("tests", tests),
    ("mutants", named_mutants),
    ("mutation", generic_mutants),
    ("races", races),
)
