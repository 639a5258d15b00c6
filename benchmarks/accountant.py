"""The figures of the accountant: its mathematics against golden values and independent libraries, and its ledger."""

from collections.abc import Mapping, Sequence

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

OURS = (
    *("accountant", "benchmarks/accountant_*.py", "benchmarks/oracles", "benchmarks/harness.py", "constraints.txt"),
)
BOOKS = (
    *("accountant/ledger", "accountant/*.py", "accountant/rules", "benchmarks/accountant_books.py"),
    *("benchmarks/accountant_ledger.py", "benchmarks/harness.py", "constraints.txt"),
    *(f"tests/accountant/{name}.py" for name in ("ledgers", "servers", "test_ledger_tamper", "test_ledger_durability")),
)
GUARDS = ("tests/accountant", "tests/dpsynth/noise", "tests/dpsynth/gate")
MUTATED = (*OURS, "dpsynth/noise", "dpsynth/gate", *GUARDS)
TESTED = (*GUARDS, "tests/oracles", "tests/statistical", "tests/conftest.py", "pyproject.toml")
ELSEWHERE = ("dpsynth/deep", "dpsynth/cli", "dpsynth/report", "dpsynth/noise/normal.py", "dpsynth/statement.py")
COVERS: Mapping[str, Sequence[str]] = {
    "": OURS,
    **dict.fromkeys(("laws", "samplers"), (*OURS, "dpsynth/noise")),
    **dict.fromkeys(("charge", "tampering", "kills", "races"), BOOKS),
    "tests": (*OURS, "dpsynth", *TESTED, *(f":!{path}" for path in ELSEWHERE)),
    "mutants": (*MUTATED, "tests/oracles", "tests/mutants", ":!tests/mutants/deep.py", "benchmarks/line_mutants.py"),
    "mutation": (*MUTATED, "benchmarks/mutation", "benchmarks/mutation_survivors.yaml"),
}
"""What decides each section: prices and books hang on the accountant alone."""
