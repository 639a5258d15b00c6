"""Faults of people with several rows: a root charged where nothing enforces it, and an enforcement that isn't one."""

from tests.mutants.base import Mutant

ADJACENCY, BOUNDING = "accountant/adjacency.py", "dpsynth/sources/bounding.py"
MEMORY, STREAMING = "dpsynth/sources/memory.py", "dpsynth/sources/streaming.py"
RECORDS, COINS, SHARES = "dpsynth/records.py", "dpsynth/noise/coins.py", "dpsynth/mechanisms/shares.py"
CHECKS, MODELS = "dpsynth/plan_checks.py", "dpsynth/schema/models.py"

_ORACLE = "tests/oracles/test_people.py::"
_LAW = (_ORACLE + "test_the_charge_is_never_below_what_a_person_can_do",)
_RECORDS = "tests/dpsynth/test_distinct_rows.py::"
_COINS = "tests/dpsynth/noise/test_coins.py::"
_SOURCE = "tests/dpsynth/sources/test_bounding.py::"

MUTANTS = (
    Mutant(
        "people: the root for every clique once anything is distinct", BOUNDING,
        "domain.cells(tuple(name for name in distinct if name not in clique)) if distinct else None",
        "1 if distinct else None", _LAW, "all rows of a person may lie in a cell of another clique",
    ),
    Mutant(
        "people: the root where nothing is distinct", BOUNDING, "if distinct else None", "if distinct else 1",
        _LAW, "sqrt(k) without enforcement",
    ),
    Mutant(
        "people: the root where one of the distinct columns is held", BOUNDING,
        "(name for name in distinct if name not in clique)) if",
        "(name for name in distinct if not set(distinct) & set(clique))) if",
        _LAW, "rows differ in a column that the clique doesn't hold",
    ),
    Mutant(
        "people: cells of the clique for those of the other columns", BOUNDING, "if name not in clique",
        "if name in clique", _LAW, "the wrong columns bound the rows of a cell",
    ),
    Mutant(
        "people: the rest of the rows forgotten", ADJACENCY, " + (rows % most) ** 2", "", _LAW,
        "rows that fill no cell are rows all the same",
    ),
    Mutant(
        "people: rows in one cell for their square", ADJACENCY, "(rows // most) * most**2", "(rows // most) * most",
        _LAW, "a cell moves by its rows",
    ),
    Mutant(
        "people: the source isn't told to enforce", RECORDS, "contents=contents, distinct=apart)",
        "contents=contents)",
        (_RECORDS + "test_no_two_rows_of_a_person_are_alike_whatever_was_in_the_table",), "enforcement skipped",
    ),
    Mutant(
        "people: distinct in raw order of the file", COINS,
        "for rank in sorted(range(len(rows)), key=values.__getitem__):", "for rank in range(len(rows)):",
        (_COINS + "test_kept_rows_are_pinned",), "the choice isn't a keyed one",
    ),
    Mutant(
        "people: rows are distinct in one of the columns", COINS, "alike = combinations_of(distinct)",
        "alike = combinations_of(distinct[:1])",
        (_COINS + "test_as_many_rows_are_kept_as_can_differ",), "rows cut without need",
    ),
    Mutant(
        "people: only people above the bound are looked at", COINS,
        "        chosen[units_that_repeat(units, alike)] = True\n", "",
        (_COINS + "test_no_two_kept_rows_of_a_person_are_alike_where_they_are_distinct",), "enforcement skipped",
    ),
    Mutant(
        "people: the last row of a kind stays, too", COINS, "first.setdefault(int(alike[rows[rank]]), rank)",
        "first[rank] = rank",
        (_COINS + "test_no_two_kept_rows_of_a_person_are_alike_where_they_are_distinct",), "enforcement skipped",
    ),
    Mutant(
        "people: the source doesn't check", MEMORY, "if units_that_repeat(units, seen).size:", "if False:",
        (_SOURCE + "test_a_source_checks_that_rows_differ",), "assumed, not enforced",
    ),
    Mutant(
        "people: distinct codes fall together unnoticed", MEMORY,
        "distinct=() if set(self._distinct) & set(lookups) else self._distinct,", "distinct=self._distinct,",
        (_SOURCE + "test_codes_that_may_fall_together_are_no_longer_distinct",), "sqrt(k) without enforcement",
    ),
    Mutant(
        "people: distinctness lost in the split", MEMORY,
        "max_rows=self._max_rows,\n            distinct=self._distinct,", "max_rows=self._max_rows,",
        (_SOURCE + "test_a_side_keeps_what_was_enforced",), "the declaration buys nothing",
    ),
    Mutant(
        "people: a stream claims what it doesn't check", STREAMING, "        return ()\n",
        "        return self._domain.names[:1]\n", (_SOURCE + "test_a_stream_enforces_nothing_but_the_number_of_rows",),
        "sqrt(k) without enforcement",
    ),
    Mutant(
        "people: learned columns may be distinct", CHECKS, "if name in encoder.learned]", "if False]",
        (_RECORDS + "test_columns_whose_codes_are_found_out_later_are_refused",), "codes that merge aren't distinct",
    ),
    Mutant(
        "people: open columns may be distinct", MODELS, "column is None or isinstance(column, Open)",
        "column is None", (_RECORDS + "test_columns_whose_codes_are_found_out_later_are_refused",),
        "codes that merge aren't distinct",
    ),
    Mutant(
        "people: noise of the root, charged for all rows", "dpsynth/noise/measure.py",
        "sensitivity=marginal_sensitivity(source, clique, adjacency)", "sensitivity=float(source.max_rows)",
        (_ORACLE + "test_marginals_of_people_whose_rows_differ",), "the declaration buys nothing",
    ),
    Mutant(
        "people: all marginals have the noise of the root", SHARES,
        "_sigma(amount, coordinate, marginal_sensitivity(source, clique))",
        "_sigma(amount, coordinate, source.max_rows**0.5)",
        ("tests/dpsynth/mechanisms/test_mechanisms.py::test_spends_at_most_and_nearly_the_whole_amount",),
        "spends more than planned",
    ),
    Mutant(
        "verify: the root is enough for every marginal", "dpsynth/certificate/people.py",
        "math.prod(sizes[name] for name in lacking)", "1",
        (_RECORDS + "test_verification_asks_of_each_marginal_what_a_person_can_do_to_it",),
        "an engine that charges too little verifies",
    ),
    Mutant(
        "verify: no marginal's sensitivity is looked at", "dpsynth/certificate/people.py",
        "require(step.event.sensitivity >= least,", "require(True,",
        (_RECORDS + "test_verification_asks_of_each_marginal_what_a_person_can_do_to_it",),
        "an engine that charges too little verifies",
    ),
)
