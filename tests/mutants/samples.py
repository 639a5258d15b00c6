"""Faults of samples that people ask for: the model's law, what stays as it is, what is refused, what is said."""

from tests.mutants.base import Mutant

COMPLETING, TABLES = "dpsynth/sampling/completing.py", "dpsynth/samples/completing.py"
TARGETS, OTHERS, MAKING = "dpsynth/samples/targets.py", "dpsynth/samples/other_tables.py", "dpsynth/samples/making.py"

_LAW = ("tests/dpsynth/sampling/test_completing.py::test_the_unknown_codes_have_the_models_conditional_law",)
_SAMPLES = "tests/dpsynth/samples/test_samples.py::"

MUTANTS = (
    Mutant(
        "completing: what is known below a step isn't told", COMPLETING,
        "        told[step.parent].append(_Message(", "        told[0][:0].append(_Message(",
        _LAW, "cells are drawn as if what is known elsewhere in the row said nothing",
    ),
    Mutant(
        "completing: joint shares taken for conditional ones", COMPLETING,
        "table=shares.ravel()", "table=np.ascontiguousarray(found.table).ravel()",
        _LAW, "separators count twice",
    ),
    Mutant(
        "completing: impossible rows pass", COMPLETING,
        "possible[rows] &= weights.sum(axis=1)[own] > 0", "possible[rows] &= weights.sum(axis=1)[own] >= 0",
        _LAW, "rows that the model excludes are filled with anything",
    ),
    Mutant(
        "completing: a pool's rows regardless of weight", COMPLETING,
        "ends = np.concatenate([[0.0], np.cumsum(model.weights[order])])",
        "ends = np.concatenate([[0.0], np.cumsum(np.ones(pool))])",
        _LAW, "not the model's law",
    ),
    Mutant(
        "samples: known cells are drawn anew", TABLES,
        "table = _with_values(table, part.values)", "table = _with_values(table, {})",
        (_SAMPLES + "test_known_cells_stay_as_they_are_in_every_form",), "known values change within their bin",
    ),
    Mutant(
        "samples: rows that break a rule are kept", TABLES,
        "        good &= computed & rules_kept(encoder.schema, table)\n", "        good[:] = True\n",
        (_SAMPLES + "test_rebalanced_rows_have_the_targets_shares_and_the_models_law_given_them",
         _SAMPLES + "test_an_order_of_columns_holds_with_known_values_as_they_are"), "rules are broken",
    ),
    Mutant(
        "targets: a label means all that share its code", TARGETS,
        "known[at], fine[at] = True, unmerged if apart else -1", "known[at], fine[at] = True, -1",
        (_SAMPLES + "test_labels_that_share_a_code_are_told_apart",), "a target about one label meets others",
    ),
    Mutant(
        "targets: the model's own shares aren't kept", TARGETS,
        "(values, float(share), float(own[at]), int(counts[at]))",
        "(values, float(share), float(share), int(counts[at]))",
        (_SAMPLES + "test_what_a_target_leaves_goes_to_the_others_in_the_models_proportions",),
        "a reader takes the asked proportions for the data's",
    ),
    Mutant(
        "other tables: the private one is completed", OTHERS,
        "dataset.strip().casefold() == private_dataset.casefold()", "dataset == private_dataset + ' '",
        (_SAMPLES + "test_the_private_table_is_refused_by_its_declared_id",), "private rows leave as they are",
    ),
    Mutant(
        "other tables: values outside the domain are clamped", "dpsynth/encode/observed.py",
        "if nullable.problems(array) or (", "if (",
        (_SAMPLES + "test_values_outside_the_domain_are_refused_and_never_told",), "known cells change silently",
    ),
    Mutant(
        "other tables: rows that break a rule are completed", OTHERS,
        "    if broken.any():", "    if broken.all() and not broken.any():",
        (_SAMPLES + "test_rows_that_break_a_rule_are_refused",), "it tries ten thousand times, or breaks a rule",
    ),
    Mutant(
        "joined: origins are exchanged", MAKING,
        "origins = [SYNTHETIC_ROWS] * synthetic.num_rows + [PUBLIC_ROWS] * other.rows",
        "origins = [PUBLIC_ROWS] * synthetic.num_rows + [SYNTHETIC_ROWS] * other.rows",
        (_SAMPLES + "test_joined_rows_are_the_public_ones_in_the_synthetic_types",), "synthetic rows pass for people's",
    ),
    Mutant(
        "joined: any table passes for a sample", "dpsynth/fitted.py",
        'if own and all(step["made"] == "rebalanced" for step in done):', "if own:",
        (_SAMPLES + "test_only_samples_of_the_model_are_joined",), "rows of people are called synthetic",
    ),
    Mutant(
        "joined: a sample of another model", "dpsynth/fitted.py",
        'own = (facts["label"], facts["release"]) == (self.label, self.release_id)', "own = True",
        (_SAMPLES + "test_only_samples_of_the_model_are_joined",), "another fit's rows with this one's epsilon",
    ),
)
