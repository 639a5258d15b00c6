"""Faults of the audits: rules that are tested on what they were learned from, bounds that don't cover, wrong prices."""

from tests.mutants.base import Mutant

EVIDENCE, MECHANISM, SUBJECTS, RUNS = (
    f"dpsynth/audit/{name}.py" for name in ("evidence", "mechanism", "subjects", "runs")
)
EXACT, GUESSING = "dpsynth/attacks/exact.py", "dpsynth/attacks/guessing.py"
ONE_RUN, CANARIES, LINE = "dpsynth/gate/one_run.py", "dpsynth/audit/canaries.py", "dpsynth/line.py"

_EVIDENCE = "tests/dpsynth/audit/test_evidence.py::"
_MECHANISM = "tests/dpsynth/audit/test_mechanism.py::"
_ONE_RUN = "tests/dpsynth/gate/test_one_run.py::"
_GUESSING = "tests/dpsynth/attacks/test_guessing.py::"
_EXACT = "tests/dpsynth/attacks/test_exact.py::"

MUTANTS = (
    Mutant(
        "audit: tested on the runs that it was learned from", EVIDENCE,
        "without[cuts[0] :], having[cuts[1] :]", "without[:], having[:]",
        (_EVIDENCE + "test_the_rule_is_learned_from_the_first_runs_alone",), "a rule fits what it was learned from",
    ),
    Mutant(
        "audit: learned on all runs", EVIDENCE, "max(1, round(LEARNED * len(runs)))", "len(runs) - 1",
        (_EVIDENCE + "test_the_rule_is_learned_from_the_first_runs_alone",), "nothing is left to test on",
    ),
    Mutant(
        "audit: one rate at its estimate", EVIDENCE, "low=_mu(true_low - delta, false_high)",
        "low=_mu(true_low - delta, (false + 0.5) / (negatives + 1))",
        (_EVIDENCE + "test_both_rates_stand_at_their_worst",),
        "both rates are uncertain",
    ),
    Mutant(
        "audit: delta forgotten", EVIDENCE, "true_low - delta", "true_low",
        (_EVIDENCE + "test_bounds_are_those_of_two_exact_rates",), "an additive delta explains some hits",
    ),
    Mutant(
        "audit: the cheapest charge is the claim", MECHANISM, "dearest = dearest.larger(charge)", "dearest = charge",
        (_MECHANISM + "test_the_claim_is_the_dearest_charge",), "a claim holds for every run",
    ),
    Mutant(
        "audit: a charge beyond the budget passes", MECHANISM, " or claimed > given * (1.0 + 1e-9)", "",
        (_MECHANISM + "test_a_charge_beyond_what_was_given_is_shown",), "more was charged than was given",
    ),
    Mutant(
        "audit: replacing priced as adding", SUBJECTS, "for_group(event, 2)", "for_group(event, 1)",
        (_MECHANISM + "test_replacing_a_record_costs_two_steps",
         _MECHANISM + "test_a_sound_mechanism_is_not_above_its_claim_and_comes_near_it"),
        "a replaced record moves two cells",
    ),
    Mutant(
        "audit: each case has the whole error", MECHANISM, "(1.0 - confidence) / len(worlds)", "1.0 - confidence",
        (_MECHANISM + "test_cases_share_the_error",), "several cases are several chances to be wrong",
    ),
    Mutant(
        "audit: runs of other settings are taken", RUNS, "lines[0] != body", "False",
        (_MECHANISM + "test_runs_of_something_else_are_refused",), "they say nothing of this synthesizer",
    ),
    Mutant(
        "exact: one-sided bounds too narrow", EXACT, "betaincinv(hits, trials - hits + 1, error)",
        "betaincinv(hits, trials - hits + 1, 2 * error)",
        (_EXACT + "test_each_end_of_the_interval_fails_with_at_most_its_error",), "the interval doesn't cover",
    ),
    Mutant(
        "exact: the observed arrangement isn't counted", EXACT, "(1 + sum(shuffled(i) >= observed",
        "(0 + sum(shuffled(i) >= observed",
        (_EXACT + "test_a_permutation_p_value_is_uniform_or_larger",), "a p-value of zero",
    ),
    Mutant(
        "one-run: delta is free", ONE_RUN, "excluded(reach * delta)", "excluded(0.0)",
        (_ONE_RUN + "test_the_worst_mechanism_is_refuted_no_more_often_than_stated",
         _ONE_RUN + "test_more_units_delta_and_confidence_exclude_less"),
        "delta tells some coins in clear",
    ),
    Mutant(
        "one-run: delta of the guessed alone", ONE_RUN, "units * (1.0 if both_ways", "guessed * (1.0 if both_ways",
        (_ONE_RUN + "test_more_units_delta_and_confidence_exclude_less",), "whoever had a coin may be told by delta",
    ),
    Mutant(
        "one-run: every coin is fair", ONE_RUN, "float(inclusion / (1 - inclusion)) * math.exp", "1.0 * math.exp",
        (_ONE_RUN + "test_a_guess_is_right_with_the_posterior_of_its_coin",
         _ONE_RUN + "test_guesses_of_chance_exclude_nothing"),
        "with 80 % members, four guesses of five are right by chance",
    ),
    Mutant(
        "one-run: a noisy pair taken as exact", ONE_RUN, "max(0, pair[0] - reaches[0])", "max(0, pair[0])",
        (_ONE_RUN + "test_a_noisy_pair_is_wrong_no_more_often_than_stated",
         _ONE_RUN + "test_a_noisy_pair_excludes_what_its_noise_leaves"),
        "noise refutes a true claim",
    ),
    Mutant(
        "one-run: mu with the whole error twice", ONE_RUN,
        "epsilon_aside = excluded(aside)", "epsilon_aside = excluded(0.0)",
        (_ONE_RUN + "test_mu_is_excluded_where_one_of_its_pairs_is",), "delta and the guesses share the error",
    ),
    Mutant(
        "one-run: one side pays for both", ONE_RUN, "label=f\"guesses, {of}\", sides=(of,)",
        "label=f\"guesses, {of}\", sides=(Side.TRAINING,)",
        (_ONE_RUN + "test_each_side_pays_its_own_count",), "holdout people are read and pay nothing",
    ),
    Mutant(
        "one-run: a guess for every row", GUESSING,
        "guessed.append(np.unique(units[occurs(codes, table) & (chance.expected(codes) * improbable <= 1.0)]))",
        "guessed.append(np.arange(np.count_nonzero(occurs(codes, table))))",
        (_GUESSING + "test_a_person_is_guessed_once_whatever_their_rows_and_blocks",),
        "a person with many rows is many guesses",
    ),
    Mutant(
        "one-run: copies that chance explains", GUESSING, "chance.expected(codes) * improbable <= 1.0", "codes[0] >= 0",
        (_GUESSING + "test_a_copy_that_chance_hardly_explains_is_guessed_and_nothing_else_is",),
        "chance explains a common row",
    ),
    Mutant(
        "one-run: the table that verdicts chose", LINE, "guesses = guesses or audited(", "guesses = audited(",
        ("tests/dpsynth/gate/test_retries.py::test_the_audit_looks_at_the_table_that_no_verdict_chose",),
        "a verdict reads the people who were held out",
    ),
    Mutant(
        "one-run: delta of one unit", ONE_RUN, "units * (1.0 if both_ways else float(inclusion))",
        "(1.0 if both_ways else float(inclusion))",
        ("tests/dpsynth/gate/test_one_run_proof.py::test_no_rule_makes_the_reported_epsilon_too_large",
         _ONE_RUN + "test_more_units_delta_and_confidence_exclude_less"),
        "everybody's coin may be told by delta",
    ),
    Mutant(
        "one-run: all canaries are included", CANARIES, "made_up[:, included]", "made_up[:, :]",
        ("tests/dpsynth/audit/test_canaries.py::test_included_canaries_alone_join_the_records",),
        "coins that decide nothing can't be told",
    ),
)
