"""Faults of partial synthesis: what its adjacency costs, what is taken for public, what is kept, what is said."""

from tests.mutants.base import Mutant

ADJACENCY, PARTIAL = "accountant/adjacency.py", "dpsynth/mechanisms/partial.py"
KEPT, PARTLY, CHECKS = "dpsynth/samples/kept.py", "dpsynth/partly.py", "dpsynth/certificate/partly.py"

_ORACLE = "tests/oracles/test_partial.py::"
_LINE = "tests/dpsynth/test_partial.py::"
_RELEASE = "tests/dpsynth/test_partly_release.py::"
_READ = _RELEASE + "test_a_public_part_is_read_alone_and_is_the_same_for_neighbours"
_GATE = "tests/dpsynth/gate/test_partly.py::"

MUTANTS = (
    Mutant(
        "partial: priced as a row that comes or goes", ADJACENCY,
        "squared *= 2 if adjacency.replaces else 1", "squared *= 1",
        (_ORACLE + "test_marginals", _ORACLE + "test_partial_synthesis"), "one cell loses what another gains",
    ),
    Mutant(
        "partial: an error that moves by one", PARTIAL, "penalty=penalty), 2 * source.max_rows",
        "penalty=penalty), source.max_rows",
        (_ORACLE + "test_choices",), "an L1 error moves by two where a row changes its cell",
    ),
    Mutant(
        "partial: a public marginal with a private column", PARTIAL, "if any(not set(clique) <= set(public)",
        "if any(not set(clique) & set(public)",
        (_ORACLE + "test_a_marginal_with_a_private_column_is_never_counted_exactly",), "exact counts of private values",
    ),
    Mutant(
        "partial: pairs without a charge", PARTIAL,
        "        source, chosen, sigmas=noise, spend=spend,",
        "        source, chosen, sigmas=noise, spend=type('', (), {'charge': lambda self, steps: None})(),",
        (_ORACLE + "test_partial_synthesis", _LINE + "test_a_fit_is_charged_under_its_own_adjacency"),
        "a measurement that nobody pays",
    ),
    Mutant(
        "partial: pairs charged to training people alone", PARTIAL,
        'label="pairs with a private column", sides=sides,', 'label="pairs with a private column",',
        (_LINE + "test_a_fit_is_charged_under_its_own_adjacency",), "wrong sides",
    ),
    Mutant(
        "partial: choices stated under add-remove", PARTIAL, "sides=sides, adjacency=PARTLY,\n            )\n        ]",
        "sides=sides,\n            )\n        ]",
        (_LINE + "test_a_fit_is_charged_under_its_own_adjacency",), "adjacencies are mixed in one total",
    ),
    Mutant(
        "partial: people of several rows", PARTIAL, "if rows != 1 or not private:", "if not private:",
        (_ORACLE + "test_units_of_several_rows_and_nothing_private_are_refused",),
        "which rows of a person are kept depends on their private part",
    ),
    Mutant(
        "adjacency: a kept part priced as if nothing were replaced", ADJACENCY,
        "return self is not Adjacency.ADD_REMOVE", "return self is Adjacency.REPLACE_ONE",
        (_LINE + "test_what_turns_into_something_else_is_priced_like_a_replaced_unit", _ORACLE + "test_marginals"),
        "sampled steps and partition selection are too cheap",
    ),
    Mutant(
        "adjacency: a replaced unit keeps its side", ADJACENCY, "return self is Adjacency.REPLACE_ONE",
        "return self is Adjacency.REPLACE_PRIVATE",
        (_LINE + "test_a_row_that_keeps_its_coin_pays_one_side",), "a replaced unit may change sides",
    ),
    Mutant(
        "unit: public columns aren't written down", "accountant/ledger/entries.py",
        'return body | ({"public": list(unit.public)} if unit.public else {})', "return body",
        (_LINE + "test_units_have_one_form", _LINE + "test_adjacencies_and_public_columns_are_never_mixed_in_a_scope"),
        "two sets of public columns add up in one scope",
    ),
    Mutant(
        "synthesize: private columns are read", KEPT,
        "whole=False, only=public)", "whole=False)",
        (_LINE + "test_nothing_but_public_columns_is_read",), "private values are kept as they are",
    ),
    Mutant(
        "synthesize: whole rows are kept", "dpsynth/fitted.py",
        "if not self.schema.table.unit.public:", "if False:",
        (_LINE + "test_whole_rows_are_never_kept",), "a model of whole rows keeps a part of them",
    ),
    Mutant(
        "fit: lines of a file decide which public parts are read", "dpsynth/fitting.py",
        "        refuse_csv(handle.structure.format)\n", "        pass\n",
        (_LINE + "test_what_cannot_be_kept_is_refused",), "a private field changes which records there are",
    ),
    Mutant(
        "fitted: a label that doesn't name what isn't protected", "dpsynth/fitted.py",
        "return NOT_RELEASED + partly + (", "return NOT_RELEASED + (",
        (_LINE + "test_a_fit_is_charged_under_its_own_adjacency",), "readers take public columns for protected ones",
    ),
    Mutant(
        "partial: types of private columns as they are stored", "dpsynth/samples/other_tables.py",
        "known = [n for n in order if n in names and (only is None or n in only)]",
        "known = [n for n in order if n in names]",
        (_LINE + "test_no_private_value_decides_a_type_of_what_is_made",), "one private value decides a type",
    ),
    Mutant(
        "partly: private columns are kept as they are", KEPT, "    public = encoder.schema.unit.public\n",
        "    public = tuple(n for n in encoder.domain.names)\n",
        (_RELEASE + "test_no_private_column_is_emitted_as_it_is", _READ), "everybody's record is published",
    ),
    Mutant(
        "partly: one private column is kept as it is", KEPT, "    public = encoder.schema.unit.public\n",
        "    public = (*encoder.schema.unit.public, encoder.domain.names[-1])\n",
        (_RELEASE + "test_no_private_column_is_emitted_as_it_is",), "a column of everybody's is published",
    ),
    Mutant(
        "partly: public columns are drawn like private ones", KEPT, "known=fine >= 0, fine=fine, values=kept",
        "known=fine >= 9, fine=np.full_like(fine, -1), values={}",
        (_RELEASE + "test_everybodys_public_part_is_there_once_and_their_private_part_is_not",),
        "what is said to be kept is not",
    ),
    Mutant(
        "partly: only training people's public columns are emitted", PARTLY,
        "everybody, some = rng.permutation(part.rows), ",
        "everybody, some = rng.permutation(part.rows)[: len(training._units)], ",
        (_RELEASE + "test_everybodys_public_part_is_there_once_and_their_private_part_is_not",),
        "an honest table fails, as people in training are nearer to it",
    ),
    Mutant(
        "partly: rows in the records' order", PARTLY, "everybody, some = rng.permutation(part.rows), ",
        "everybody, some = np.arange(part.rows), ",
        (_RELEASE + "test_everybodys_public_part_is_there_once_and_their_private_part_is_not",),
        "a file that is sorted by a private column tells it",
    ),
    Mutant(
        "partly: read before the scope is asked", "dpsynth/line.py",
        "    if public:\n        refuse_csv(handle.structure.format)\n",
        "    if public:\n        read_public(table, Encoder.of(declared.table), structure=handle.structure)\n",
        (_RELEASE + "test_a_scope_of_another_adjacency_or_other_public_columns_is_refused",),
        "columns that another scope protects decide what is refused",
    ),
    Mutant(
        "partly: text views are taken from", KEPT, "encoder, working_fields(form.arrow), null_is_value",
        "encoder, form.arrow, null_is_value",
        (_RELEASE + "test_public_columns_of_every_type_are_kept_as_they_are_stored",),
        "a run fails after everything was charged",
    ),
    Mutant(
        "ledger: a scope of another unit is charged", "accountant/ledger/reservation.py",
        "    if unit != scope.unit:\n", "    if False:\n",
        (_RELEASE + "test_a_scope_of_another_adjacency_or_other_public_columns_is_refused",),
        "prices of different promises add up",
    ),
    Mutant(
        "partly: the gate charges holdout people alone", "dpsynth/gate/verdict.py", "spend.charge(noise.steps)",
        "spend.charge(noise.steps[1:])",
        (_RELEASE + "test_training_people_pay_for_measurements_and_both_for_the_gate",), "a missing charge",
    ),
    Mutant(
        "partly: the gate is charged as if rows came and went", "dpsynth/gate/noise.py",
        "sensitivity=float(steps), adjacency=self.adjacency)", "sensitivity=float(steps))",
        (_GATE + "test_the_gate_is_charged_under_the_adjacency_of_its_plan",), "adjacencies are mixed in one total",
    ),
    Mutant(
        "gate: numbers of people are always public", "dpsynth/gate/totals.py", "if not plan.counted:", "if True:",
        (_GATE + "test_numbers_of_people_are_public_only_where_rows_stay",), "exact counts where they are private",
    ),
    Mutant(
        "gate: counts are free where whole rows are protected", "dpsynth/gate/plan.py",
        "if unit.adjacency is Adjacency.REPLACE_PRIVATE:", "if True:",
        (_GATE + "test_numbers_of_people_are_public_only_where_rows_stay",), "counts without a share of the budget",
    ),
    Mutant(
        "partly: a table that changed is released", KEPT, "    if not (same and all(", "    if not (True or all(",
        (_RELEASE + "test_a_table_that_changes_while_it_is_read_is_refused_and_stays_charged",),
        "private parts are judged against other people's public parts",
    ),
    Mutant(
        "partly: a public part without a possible private one", KEPT,
        "    _require_room(seen, other.rows, encoder)\n", "",
        (_RELEASE + "test_a_public_part_that_breaks_a_rule_by_itself_is_refused_and_names_no_value",),
        "the refusal comes after everything was charged",
    ),
    Mutant(
        "partly: a label that doesn't name what isn't protected", "dpsynth/storing.py",
        "    if run.plan.unit.public:\n", "    if False:\n",
        (_RELEASE + "test_everybodys_public_part_is_there_once_and_their_private_part_is_not",),
        "a file that is passed on alone is taken for a protected one",
    ),
    Mutant(
        "certificate: doesn't say what isn't protected", "dpsynth/statement.py",
        "        not_protected=unit.public,\n", "",
        (_RELEASE + "test_the_certificate_names_what_is_protected_and_what_is_not",), "readers aren't told",
    ),
    Mutant(
        "verify: public columns aren't those of the scope", CHECKS,
        "    same = data.not_protected == unit.public\n", "    same = True\n",
        (_RELEASE + "test_verification_notices_what_is_said_wrongly",), "a column is protected on paper alone",
    ),
    Mutant(
        "verify: protected columns are taken on trust", CHECKS,
        "data.protected == private_columns(table, unit.public)", "True",
        (_RELEASE + "test_verification_notices_what_is_said_wrongly",), "a public column is called protected",
    ),
    Mutant(
        "verify: a table of training people alone", CHECKS, "made.rows in (None, people)", "True",
        (_RELEASE + "test_verification_notices_what_is_said_wrongly",), "people who were held out are missing",
    ),
    Mutant(
        "verify: a marginal priced as if a row came or went", CHECKS, "step.event.sensitivity >= moved", "True",
        (_RELEASE + "test_verification_notices_what_is_said_wrongly",), "half of the price",
    ),
    Mutant(
        "verify: others than training people are measured", CHECKS, "step.sides == (Side.TRAINING,)", "True",
        (_RELEASE + "test_verification_notices_what_is_said_wrongly",), "the holdout isn't held out",
    ),
    Mutant(
        "reading: speaks of who is in the data", "accountant/report.py",
        "        if adjacency is Adjacency.REPLACE_PRIVATE:\n", "        if False:\n",
        (_RELEASE + "test_the_certificate_names_what_is_protected_and_what_is_not",), "a promise that nothing keeps",
    ),
    Mutant(
        "plan: fewer rows than people", "dpsynth/plan_checks.py", "if unit.public and rows is not None:", "if False:",
        (_RELEASE + "test_what_cannot_be_released_is_refused_before_anything_is_charged",),
        "a number of rows that nobody gets",
    ),
    Mutant(
        "plan: reference people under another adjacency", "dpsynth/plan_checks.py", "if unit.public and reference:",
        "if False:",
        (_RELEASE + "test_what_cannot_be_released_is_refused_before_anything_is_charged",), "a charge without a price",
    ),
)
