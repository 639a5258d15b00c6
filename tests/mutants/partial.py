"""Faults of partial synthesis: what its adjacency costs, what is taken for public, what is kept, what is said."""

from tests.mutants.base import Mutant

ADJACENCY, PARTIAL = "accountant/adjacency.py", "dpsynth/mechanisms/partial.py"

_ORACLE = "tests/oracles/test_partial.py::"
_LINE = "tests/dpsynth/test_partial.py::"

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
        "synthesize: private columns are read", "dpsynth/samples/making.py",
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
        "plan: a gated release of a partly public table", "dpsynth/plan.py",
        "require_add_remove(table.unit, gated=gated)", "require_add_remove(table.unit, gated=False)",
        (_LINE + "test_a_gated_release_and_other_synthesizers_are_refused_before_the_data",),
        "a gate whose price isn't stated under this adjacency",
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
)
