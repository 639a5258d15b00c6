"""Faults of the accountant: a price too low, a sum that forgets, a filter that lets through."""

from tests.mutants.base import Mutant

GDP, ZCDP, SLACK = "accountant/rules/gdp.py", "accountant/rules/zcdp.py", "accountant/rules/slack.py"
MU = "accountant/rules/mu.py"
COMPOSE, PRICE, FILTERS = "accountant/compose.py", "accountant/price.py", "accountant/filters.py"
REPORT, CONVERT = "accountant/report.py", "accountant/convert.py"

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
        "        self._spent = admit(\n", "        self._steps.extend(steps)\n        self._spent = admit(\n",
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
