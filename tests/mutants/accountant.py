"""Faults of the accountant: a price too low, a sum that forgets, a filter that lets through."""

from tests.mutants.base import Mutant

GDP, ZCDP, SLACK = "accountant/rules/gdp.py", "accountant/rules/zcdp.py", "accountant/rules/slack.py"
MU = "accountant/rules/mu.py"
COMPOSE, PRICE, FILTERS = "accountant/compose.py", "accountant/price.py", "accountant/filters.py"
REPORT, CONVERT = "accountant/report.py", "accountant/convert.py"

PLD_RULE, PROFILE, LOSSES = "accountant/rules/pld.py", "accountant/pld.py", "accountant/losses.py"
SELECTION, RDP, RENYI = "accountant/rules/selection.py", "accountant/rules/rdp.py", "accountant/renyi.py"

_PLD = "tests/accountant/test_pld.py::"
_EXTREMES = "tests/accountant/test_extremes.py::"
_PLAN = "tests/accountant/test_fixed_plan.py::"
_RULES = "tests/accountant/test_rules.py::"
_COMPOSE = "tests/accountant/test_compose.py::"
_SPEND = "tests/accountant/test_spend_contract.py::"
_LEDGER = "tests/accountant/test_ledger.py::"

MUTANTS = (
    Mutant(
        "gdp: discrete Gaussian as 1/sigma", GDP, "_square(discrete_gaussian_mu(event.sigma), event.sensitivity)",
        "_square(1.0 / event.sigma, event.sensitivity)", ("tests/oracles/test_neighbours.py::test_count",),
        "no discrete correction: 4.6 % too little at sigma 1",
    ),
    Mutant(
        "gdp: sensitivity ignored", GDP, "_square(discrete_gaussian_mu(event.sigma), event.sensitivity)",
        "_square(discrete_gaussian_mu(event.sigma))",
        (_RULES + "test_sensitivity_scales_mu_and_a_claim_pays_its_pure_pair_and_its_delta",), "sensitivity wrong",
    ),
    Mutant(
        "gdp: bounded range halved", MU, "return pure_mu(eta / 2.0)", "return pure_mu(eta / 4.0)",
        (_RULES + "test_bounded_range_mu_covers_every_bounded_range_pair",), "price too low",
    ),
    Mutant(
        "gdp: claim's delta dropped", GDP, "_square(pure_mu(event.epsilon)), Fraction(event.delta)",
        "_square(pure_mu(event.epsilon))",
        (_RULES + "test_sensitivity_scales_mu_and_a_claim_pays_its_pure_pair_and_its_delta",), "delta dropped",
    ),
    Mutant(
        "gdp: a fixed plan isn't checked", GDP,
        "    require_dominated(event)\n    return Price.of(Fraction(event.mu) ** 2, ",
        "    return Price.of(Fraction(event.mu) ** 2, ",
        (_PLAN + "test_a_plan_below_its_own_curve_is_refused_at_replay",), "a plan enters at any price",
    ),
    Mutant(
        "gdp: a fixed plan's delta dropped", GDP, "Fraction(event.mu) ** 2, Fraction(event.delta)",
        "Fraction(event.mu) ** 2", (_PLAN + "test_a_fixed_plan_is_priced_in_both_coordinates_and_beside_others",),
        "delta dropped",
    ),
    Mutant(
        "selection: k labels move as one", SELECTION, "event.labels_per_unit * Fraction(discrete_gaussian_mu",
        "Fraction(discrete_gaussian_mu", (_PLAN + "test_partition_selection_pays_for_all_labels_of_a_unit",),
        "mu without sqrt(k)",
    ),
    Mutant(
        "selection: delta of one label", SELECTION, "math.expm1(event.labels_per_unit * math.log1p(-lone))",
        "math.expm1(math.log1p(-lone))",
        (_PLAN + "test_the_chance_of_a_lone_label_is_that_of_any_of_the_units_labels",), "delta of k labels",
    ),
    Mutant(
        "selection: a lone label counts zero", SELECTION, "_tail(event.threshold - 1, event.sigma)",
        "_tail(event.threshold, event.sigma)",
        (_PLAN + "test_the_chance_of_a_lone_label_is_that_of_any_of_the_units_labels",), "delta too small",
    ),
    Mutant(
        "pld: selection of half the range", PLD_RULE, "eta, mass = event.eta, -math.expm1(-event.eta)",
        "eta, mass = event.eta / 2.0, -math.expm1(-event.eta / 2.0)",
        (_PLD + "test_a_selection_covers_every_pair_of_outcomes",), "price of a monotone score",
    ),
    Mutant(
        "pld: replace-one as add-remove", PLD_RULE, "if event.adjacency.replaces:", "if False:",
        (_PLD + "test_golden_dp_sgd",), "another adjacency's price",
    ),
    Mutant(
        "pld: a replaced unit moves once", PLD_RULE, "inner = gaussian_curve(2.0 / event.noise_multiplier)",
        "inner = gaussian_curve(1.0 / event.noise_multiplier)",
        (_PLD + "test_a_fixed_size_sample_covers_the_attack_on_one_record_among_zeros",), "sensitivity halved",
    ),
    Mutant(
        "pld: sampled twice", PLD_RULE, "return q * inner(np.where(", "return q * q * inner(np.where(",
        (_PLD + "test_a_sampled_step_is_tight_in_both_directions",), "amplified twice",
    ),
    Mutant(
        "pld: sensitivity ignored", PLD_RULE,
        "Fraction(discrete_gaussian_mu(event.sigma)) * Fraction(event.sensitivity)",
        "Fraction(discrete_gaussian_mu(event.sigma))",
        (_PLD + "test_a_discrete_gaussian_is_the_gaussian_of_its_mu_and_pays_its_slack",), "sensitivity wrong",
    ),
    Mutant(
        "pld: slack of the samplers dropped", PLD_RULE,
        "return Single(mu_square=mu**2, delta=sampler_slack(event.draws))", "return Single(mu_square=mu**2)",
        (_PLD + "test_a_discrete_gaussian_is_the_gaussian_of_its_mu_and_pays_its_slack",), "delta dropped",
    ),
    Mutant(
        "pld: add only", PROFILE, "else (remove, add)", "else (add,)",
        (_PLD + "test_golden_dp_sgd", _PLD + "test_every_answer_is_the_larger_of_both_directions"),
        "half the neighbours",
    ),
    Mutant(
        "pld: the first direction's epsilon", PROFILE, "(_epsilon(parts, rest) for parts in self.directions)",
        "(_epsilon(parts, rest) for parts in self.directions[:1])",
        (_PLD + "test_every_answer_is_the_larger_of_both_directions",), "half the neighbours",
    ),
    Mutant(
        "pld: a plan's pair dominates one direction", PROFILE, "for parts in plan.directions:",
        "for parts in plan.directions[:1]:", (_PLD + "test_every_answer_is_the_larger_of_both_directions",),
        "half the neighbours",
    ),
    Mutant(
        "pld: a claim's delta counts once", PROFILE, "(one.delta * count for one, count in priced)",
        "(one.delta for one, count in priced)", (_PLD + "test_a_claim_pays_its_pure_pair_and_its_delta",),
        "delta dropped",
    ),
    Mutant(
        "pld: a Gaussian counts once", PROFILE, "(one.mu_square * count for one, count in priced)",
        "(one.mu_square for one, count in priced)",
        (_PLD + "test_golden_two_hundred_gaussians_and_fifty_selections",), "ten at the price of one",
    ),
    Mutant(
        "pld: a step counts once", COMPOSE, "times * _times(event))", "times)",
        (_PLD + "test_n_applications_at_once_cost_n_applications",), "ten at the price of one",
    ),
    Mutant(
        "pld: vertices are enough", PROFILE, ">= sag * (1.0 + 1e-9)", ">= 0.0",
        (_PLAN + "test_a_gaussian_that_only_meets_the_vertices_is_not_above_their_chord",),
        "below the plan's curve between",
    ),
    Mutant(
        "losses: rounded down", LOSSES, "* (1.0 + CUSHION)", "* (1.0 - 1e4 * CUSHION)",
        (_PLD + "test_gaussians_are_exact_and_rounded_up_in_every_tail",), "optimistic rounding",
    ),
    Mutant(
        "losses: the window's rest is dropped", LOSSES,
        "return first, last, math.exp(min(0.0, log_scale - theta * last * grid - _WINDOW)) * 1.01",
        "return first, last, 0.0", (_PLD + "test_a_window_that_cuts_says_what_it_cut",), "mass lost",
    ),
    Mutant(
        "losses: roundings of the FFT aren't bounded", LOSSES,
        "math.sqrt(length) * (spread + unit * least) * 1.01 + math.exp(-_FAR)", "0.0",
        (_PLD + "test_the_bound_on_rounding_is_above_the_rounding",), "optimistic rounding",
    ),
    Mutant(
        "pld: little noise underflows", PLD_RULE,
        "            y = sigma * sigma * log_u\n",
        "            log_u = np.log(half + np.hypot(half, np.exp(epsilon / 2.0 + log_c))) - log_c\n"
        "            y = sigma * sigma * log_u\n",
        (_EXTREMES + "test_a_replaced_record_is_seen_however_little_the_noise",), "epsilon 0 without any noise",
    ),
    Mutant(
        "pld: a large epsilon overflows", PLD_RULE, "np.where(epsilon > 30.0, far, near)",
        "np.where(epsilon > 30.0, np.inf, near)",
        (_EXTREMES + "test_a_sampled_step_is_seen_far_beyond_every_epsilon",), "a tail dropped",
    ),
    Mutant(
        "losses: any curve may start at nothing", LOSSES, "        _require_falling(curve)\n", "",
        (_EXTREMES + "test_a_curve_that_is_none_is_refused",), "epsilon 0 from a rounding",
    ),
    Mutant(
        "rdp: a large moment is cut", RDP, "    twice = 2.0 * rate\n", "    twice = min(2.0 * rate, 700.0)\n",
        (_EXTREMES + "test_the_second_moment_of_a_small_sample_is_not_cut",), "price too low",
    ),
    Mutant(
        "filter: threads pass each other", FILTERS, "        with self._lock:\n            self._spent = admit(\n",
        "        if True:\n            self._spent = admit(\n",
        ("tests/accountant/test_filters.py::test_threads_keep_the_cap_together",), "a cap exceeded",
    ),
    Mutant(
        "rdp: deltas aside dropped", RENYI, "total + count * once, delta + count * aside",
        "total + count * once, delta", (_PLAN + "test_renyi_adds_up_and_keeps_deltas_aside",), "delta dropped",
    ),
    Mutant(
        "rdp: a step counts once", RENYI, "total + count * once", "total + once",
        (_PLAN + "test_renyi_adds_up_and_keeps_deltas_aside",), "ten at the price of one",
    ),
    Mutant(
        "rdp: selection of half the range", RDP, "alpha, eta = _orders(), event.eta",
        "alpha, eta = _orders(), event.eta / 2.0",
        (_PLAN + "test_selections_divergence_covers_every_pair_of_outcomes",), "price of a monotone score",
    ),
    Mutant(
        "rdp: the smaller square of a sample", RDP, "+ k * (k - 1.0) * rate", "+ k * (k - 2.0) * rate",
        (_PLAN + "test_divergences_cover_their_definition_in_both_directions",), "price too low",
    ),
    Mutant(
        "zcdp: bounded range eta^2/32", ZCDP, "Fraction(event.eta) ** 2 / 8", "Fraction(event.eta) ** 2 / 32",
        (_RULES + "test_known_rho",), "price of a monotone score, four times too low",
    ),
    Mutant(
        "zcdp: claim's delta dropped", ZCDP, "_half_square(event.epsilon), Fraction(event.delta)",
        "_half_square(event.epsilon)", (_RULES + "test_known_rho",), "delta dropped",
    ),
    Mutant(
        "slack of one draw for all", SLACK, "return Fraction(draws) * _PER_DRAW", "return _PER_DRAW",
        (_RULES + "test_slack_is_charged_for_every_draw_and_valid_to_epsilon_20",), "delta dropped",
    ),
    Mutant(
        "price: rounded down", PRICE, "math.ceil(Fraction(amount) * AMOUNT_UNIT)",
        "math.floor(Fraction(amount) * AMOUNT_UNIT)",
        (_RULES + "test_prices_are_whole_units_rounded_up",), "many small steps for nothing",
    ),
    Mutant(
        "price: delta of the other is lost", PRICE, "max(self.delta, other.delta))\n\n    def fits",
        "self.delta)\n\n    def fits",
        (_LEDGER + "test_the_scope_pays_the_larger_side_of_each_component",), "delta dropped",
    ),
    Mutant(
        "price: delta never too much", PRICE, "self.amount <= cap.amount and self.delta <= cap.delta",
        "self.amount <= cap.amount", (_LEDGER + "test_additive_delta_runs_out_too",), "delta dropped",
    ),
    Mutant(
        "compose: Repeat counts once", COMPOSE, "once.amount * count", "once.amount",
        (_COMPOSE + "test_n_applications_at_once_cost_n_applications",), "ten at the price of one",
    ),
    Mutant(
        "compose: Repeat's delta counts once", COMPOSE, "once.delta * count", "once.delta",
        (_COMPOSE + "test_n_applications_at_once_cost_n_applications",), "delta dropped",
    ),
    Mutant(
        "compose: only the first side pays", COMPOSE, "for side in set(step.sides):", "for side in step.sides[:1]:",
        (_COMPOSE + "test_each_named_side_pays_and_the_scope_pays_the_larger_of_each_component",), "a missing charge",
    ),
    Mutant(
        "compose: the smaller side", COMPOSE, "        result = result.larger(each)\n",
        "        result = each if result == Price() or each.fits(result) else result\n",
        (_COMPOSE + "test_each_named_side_pays_and_the_scope_pays_the_larger_of_each_component",
         _LEDGER + "test_the_scope_pays_the_larger_side_of_each_component"), "the dearer side isn't charged",
    ),
    Mutant(
        "compose: adjacencies mix", COMPOSE, "if event.adjacency is not adjacency:", "if False:",
        (_COMPOSE + "test_mixed_adjacencies_are_refused_with_a_way_out",), "one total of two claims",
    ),
    Mutant(
        "filter: each step alone must fit", FILTERS, "if not amount.fits(", "if not new[side].fits(",
        (_SPEND + "test_the_cap_is_reached_and_never_passed",), "nothing adds up",
    ),
    Mutant(
        "filter: refused when all is above", FILTERS, "if not amount.fits(caps.get(side, NO_PRICE)):",
        "if caps.get(side, NO_PRICE).fits(amount):", (_SPEND + "test_refusal_leaves_no_entry",), "compares wrongly",
    ),
    Mutant(
        "filter: refused and recorded", FILTERS,
        "            self._spent = admit(\n",
        "            self._steps.extend(steps)\n            self._spent = admit(\n",
        (_SPEND + "test_refusal_leaves_no_entry",), "a refusal leaves an entry",
    ),
    Mutant(
        "report: additive delta not subtracted", REPORT, "Fraction(delta) - Fraction(price.delta, DELTA_UNIT)",
        "Fraction(delta)", ("tests/accountant/test_convert.py::test_additive_delta_is_taken_off_before_conversion",),
        "delta counted for two things",
    ),
    Mutant(
        "convert: a term too small", CONVERT, "terms = (order * rho, log_excess,",
        "terms = (order * rho, 0.9 * log_excess,",
        ("tests/accountant/test_convert.py::test_zcdp_is_never_below_its_own_order",), "epsilon too small",
    ),
)
