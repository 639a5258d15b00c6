"""Faults of the adaptive mechanisms: a lighter sensitivity, a model of floats, an error vector charged as one error."""

from tests.mutants.base import Mutant

ADAPTIVE, AIM, SCORING = (f"dpsynth/mechanisms/{name}.py" for name in ("adaptive", "aim", "scoring"))
SCAN = "dpsynth/mechanisms/kernel.py"

_ORACLE = "tests/oracles/test_adaptive.py::"
_SPENT = "tests/dpsynth/mechanisms/test_mechanisms.py::test_spends_at_most_and_nearly_the_whole_amount"
_ROUNDED = "tests/dpsynth/sampling/test_rounding.py::"
_TOLD = "tests/dpsynth/mechanisms/test_selection_sensitivity.py::"
_SENSITIVITY = _TOLD + "test_selection_is_told_the_heaviest_weight_times_the_rows_of_a_person"

_MEMORY = "tests/dpsynth/estimation/test_memory.py::test_a_fit_takes_what_is_said"
_REPORTED = "tests/dpsynth/test_fit_report.py::"

MUTANTS = (
    Mutant(
        "scoring: lightest weight offered", SCORING, "sensitivity=max(int(w) for w in weights) * max_rows",
        "sensitivity=min(int(w) for w in weights) * max_rows",
        (_ORACLE + "test_selection_of_a_round", _ORACLE + "test_selection_of_aim"),
        "sensitivity is the largest weight offered",
    ),
    Mutant(
        "scoring: rows of a person ignored in selection", SCORING,
        "sensitivity=max(int(w) for w in weights) * max_rows",
        "sensitivity=max(int(w) for w in weights)",
        (_SENSITIVITY,), "a person with k rows moves an error by k",
    ),
    Mutant(
        "scoring: weights ignored in selection", SCORING, "sensitivity=max(int(w) for w in weights) * max_rows",
        "sensitivity=max_rows",
        (_ORACLE + "test_selection_of_a_round", _ORACLE + "test_selection_of_aim"),
        "a heavy score moves by its weight",
    ),
    Mutant(
        "adaptive: all errors charged as one", ADAPTIVE, "vector_sensitivity(self.source.max_rows, len(pairs))",
        "self.source.max_rows * 1.0",
        (_ORACLE + "test_noisy_errors_of_the_tree",), "one record moves every pair's error",
    ),
    Mutant(
        "adaptive: the rest is spent twice", ADAPTIVE, "return measured + run.again(measured, total, rest, fit)",
        "return measured + run.again(measured, total, 2 * rest, fit)",
        (_SPENT,), "more than the amount is asked for",
    ),
    Mutant(
        "aim: one-way marginals are free", AIM, "amount - len(one_ways) * initial", "amount",
        (_SPENT,), "more than the amount is asked for",
    ),
    Mutant(
        "plan: a workload isn't part of it", "dpsynth/plan.py",
        "chosen.asked(workload=wanted, model_mb=model_mb)", "chosen.asked(model_mb=model_mb)",
        ("tests/dpsynth/test_workload.py::test_the_plan_that_the_ledger_hashes_holds_the_workload",),
        "two runs that measure other things have one hash",
    ),
    Mutant(
        "scoring kernel: model of floats", SCAN, "np.int64(np.rint(expected))", "expected",
        (_TOLD + "test_one_record_moves_every_compiled_error_by_exactly_one",),
        "truncation after summing moves an error by 2",
    ),
    Mutant(
        "scoring: counts wrap instead of being clipped", SCORING, "np.minimum(counts.ravel(), MOST_COUNT)",
        "counts.ravel()",
        (_TOLD + "test_counts_beyond_32_bits_are_clipped",), "a record could move an error by 2^32",
    ),
    Mutant(
        "adaptive: picks of a round charged as one", ADAPTIVE,
        "                left -= share\n", "                left -= share // 2\n",
        (_SPENT,), "each selection and measurement of a round costs its own share",
    ),
    Mutant(
        "adaptive: wide columns come on top of the last step", ADAPTIVE,
        'return self.measure([*maximal, *wide], amount, [floor + e for e in effective], "measured again")',
        'return self.measure(maximal, amount, None, "measured again") + self.measure(wide, amount, None, "alone")',
        ("tests/dpsynth/mechanisms/test_mechanisms.py::"
         "test_adaptive_measures_wide_columns_alone_in_the_end_within_its_amount",),
        "the last step costs more than what is left",
    ),
    Mutant(
        "adaptive: every cell of the tree's pairs is penalised", ADAPTIVE,
        "return min(self._penalty(total * np.outer(first, second), ceiling), ceiling * total / 3)",
        "return ceiling * first.size * second.size",
        ("tests/dpsynth/mechanisms/test_mechanisms.py::"
         "test_the_tree_of_adaptive_holds_a_wide_pair_whose_dependence_is_clear",),
        "wide pairs are left out however clear they are",
    ),
    Mutant(
        "report: repeats are averaged, not merged", "dpsynth/fit_report.py", "math.fsum(s**-2 for s in found) ** -0.5",
        "math.fsum(found) / len(found)",
        (_REPORTED + "test_measured_marginals_are_merged_by_precision_and_the_maximal_ones_preserved",),
        "a marginal that was measured twice is said to be noisier than it is",
    ),
    Mutant(
        "report: an inferred marginal is said to have the error of noise", "dpsynth/fit_report.py",
        "if set(clique) <= set(m.clique)]", "if set(clique) & set(m.clique)]",
        (_REPORTED + "test_a_marginal_inside_a_measured_one_has_an_error_and_any_other_has_none",),
        "an error is promised that nothing bounds",
    ),
    Mutant(
        "memory: the solver's own buffers are left out", "dpsynth/estimation/memory.py", "9, 31, 13", "9, 13, 13",
        (_MEMORY,), "a fit takes more memory than it says",
    ),
    Mutant(
        "memory: offsets are left out", "dpsynth/estimation/memory.py", "measured) + 2 * offsets_bytes",
        "measured)", (_MEMORY,), "a fit of many two-code columns takes more memory than it says",
    ),
    Mutant(
        "memory: the limit isn't held against candidates", "dpsynth/mechanisms/scoring.py",
        "if megabytes is not None:", "if False:",
        ("tests/dpsynth/mechanisms/test_model_mb.py::test_the_largest_fit_stays_within_the_limit",),
        "a fit takes more memory than was allowed",
    ),
    Mutant(
        "shrinkage: a marginal's noise is that of one measurement", "dpsynth/estimation/solver.py",
        "holding = [t for t in targets if wanted <= set(t.clique)]",
        "holding = [t for t in targets if set(clique) == set(t.clique)]",
        (
            "tests/dpsynth/estimation/test_shrinkage.py"
            "::test_a_pair_that_is_known_well_is_kept_in_what_a_noisy_triple_becomes",
        ),
        "pairs that are known well are drawn in",
    ),
    Mutant(
        "shrinkage: the total moves", "dpsynth/estimation/shrinkage.py",
        "drawn + lacking * expected / expected.sum()", "drawn",
        ("tests/dpsynth/estimation/test_shrinkage.py::test_totals_stay_and_less_noise_moves_less",),
        "rows are lost where noise is large",
    ),
    Mutant(
        "report: a refused charge is noted", "dpsynth/synthesizers.py",
        "        self.spend.charge(steps)\n        self.steps.extend(steps)",
        "        self.steps.extend(steps)\n        self.spend.charge(steps)",
        (_REPORTED + "test_a_refused_charge_is_not_reported",), "what wasn't spent is reported",
    ),
    Mutant(
        "progress: another share than what was charged", "dpsynth/synthesizers.py",
        "self.spent += sum(", "self.spent += 2 * sum(",
        (_REPORTED + "test_a_fit_tells_each_round_and_the_share_that_was_charged",), "another share is told",
    ),
    Mutant(
        "scoring: model of floats", SCORING, "whole.astype(np.int64)", "expected.ravel()",
        (_TOLD + "test_one_record_moves_an_error_by_exactly_one",), "truncation after summing moves an error by 2",
    ),
    Mutant(
        "rounding: impossible values are taken", "dpsynth/sampling/kernel.py", "fits = fits and allowed[at]",
        "fits = fits and at >= 0",
        (_ROUNDED + "test_an_impossible_value_would_be_taken_without_the_model",), "a structural zero is sampled",
    ),
    Mutant(
        "rounding: only one copy of a table is kept", "dpsynth/sampling/kernel.py",
        "for c in range(2, places.shape[1], 4):", "for c in range(2, 6, 4):",
        (_ROUNDED + "test_costs_are_kept_as_if_worked_out_anew",), "later attributes are moved by stale costs",
    ),
    Mutant(
        "sampler: a cell without mass is drawn", "dpsynth/sampling/kernel.py",
        "while cell < last and (reached <= position or table[g, cell] == 0.0):",
        "while cell < cells - 1 and reached <= position:",
        (_ROUNDED + "test_a_draw_never_takes_a_cell_without_mass",), "a structural zero is sampled",
    ),
    Mutant(
        "oracle: structural zeros are left out", "dpsynth/estimation/oracle.py",
        "np.where(zero.forbidden, 0.0, 1.0)", "np.where(zero.forbidden, 1.0, 1.0)",
        ("tests/dpsynth/estimation/test_zeros.py::test_marginals_under_zeros_equal_brute_force",),
        "a forbidden cell has probability",
    ),
)
