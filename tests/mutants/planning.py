"""Faults of filters, sides, groups, retries, calibration and plans: something cheaper than it is."""

from tests.mutants.base import Mutant

PLANNING, CALIBRATE, RENYI = "accountant/planning.py", "accountant/calibrate.py", "accountant/renyi_filter.py"
FILTERS, ODOMETER, SIDES = "accountant/filters.py", "accountant/odometer.py", "accountant/sides.py"
GROUPS, SELECTION, RECURSION = "accountant/groups.py", "accountant/selection.py", "accountant/recursion.py"

_FILTERS = "tests/accountant/test_filters.py::"
_SIDES = "tests/accountant/test_sides.py::"
_GROUPS = "tests/accountant/test_groups.py::"
_PLANNING = "tests/accountant/test_planning.py::"
_CALIBRATE = "tests/accountant/test_calibrate.py::"
_RENYI = "tests/accountant/test_renyi_filter.py::"
_SELECTION = "tests/accountant/test_selection.py::"
_RECURSION = "tests/oracles/test_recursion.py::"

MUTANTS = (
    Mutant(
        "filter: checks after spending", FILTERS,
        "        if not amount.fits(caps.get(side, NO_PRICE)):",
        "        if not spent.get(side, NO_PRICE).fits(caps.get(side, NO_PRICE)):",
        (_FILTERS + "test_the_run_stops_at_the_first_cap",
         "tests/accountant/test_spend_contract.py::test_the_cap_is_reached_and_never_passed"),
        "the last step is free",
    ),
    Mutant(
        "filter: another coordinate's price is remembered", FILTERS, "    return price(event, coordinate)\n",
        "    return price(event, Coordinate.ZCDP)\n", (_FILTERS + "test_what_is_remembered_is_the_exact_price",),
        "half the price",
    ),
    Mutant(
        "filter: adjacency isn't asked", FILTERS,
        "    require_adjacency([step.event for step in steps], adjacency)\n", "",
        (_FILTERS + "test_a_step_without_a_price_anywhere_is_recorded_nowhere",), "one total of two claims",
    ),
    Mutant(
        "several caps: only the first is kept", FILTERS, "for coordinate, sides in self._caps.items()\n            }",
        "for coordinate, sides in list(self._caps.items())[:1]\n            } | dict(list(self._spent.items())[1:])",
        (_FILTERS + "test_the_run_stops_at_the_first_cap",), "a cap that stops nothing is converted",
    ),
    Mutant(
        "several caps: each side at its first coordinate", FILTERS, "spent=self._spent[coordinate], caps=sides,",
        "spent={}, caps=sides,", (_FILTERS + "test_the_run_stops_at_the_first_cap",), "nothing adds up",
    ),
    Mutant(
        "several caps: the largest epsilon", FILTERS, "    return min(stated)\n", "    return max(stated)\n",
        (_FILTERS + "test_the_claim_is_the_smallest_of_the_caps_and_not_of_what_was_spent",), "the claim is too large",
    ),
    Mutant(
        "several caps: epsilon of what was spent", FILTERS,
        "epsilon_of_caps({c: sides.get(side, NO_PRICE) for c, sides in self._caps.items()}, delta)",
        "epsilon_of_caps({c: sides.get(side, NO_PRICE) for c, sides in self._spent.items()}, delta)",
        (_FILTERS + "test_the_claim_is_the_smallest_of_the_caps_and_not_of_what_was_spent",),
        "an epsilon read at a moment that the outcomes chose",
    ),
    Mutant(
        "odometer: leaves out what it can't price", ODOMETER, "            unpriced.append(coordinate)\n",
        "            found.append((coordinate, tuple((side, Price()) for side in BOTH_SIDES)))\n",
        (_FILTERS + "test_an_odometer_leaves_out_no_step",), "a total too low",
    ),
    Mutant(
        "sides: apart under any key", SIDES, "joined.get(charge.split,", "next(iter(joined.values()),",
        (_SIDES + "test_apart_only_under_one_key_one_share_and_one_id_column",
         _SIDES + "test_the_total_is_exactly_that_of_the_unluckiest_person"), "training here may be holdout there",
    ),
    Mutant(
        "sides: apart with fresh coins", SIDES, "if charge.split is None or charge.split.id_column is None:",
        "if charge.split is None:", (_SIDES + "test_fresh_coins_keep_nobody_on_a_side",),
        "training here may be holdout there",
    ),
    Mutant(
        "sides: the first side alone", SIDES, "return total(larger_side(sides) for sides in _groups(charges))",
        "return total(sides[Side.TRAINING] for sides in _groups(charges))",
        (_SIDES + "test_the_total_is_exactly_that_of_the_unluckiest_person",), "the dearer side isn't charged",
    ),
    Mutant(
        "sides: apart although there are two splits", SIDES, "return groups[0] if len(groups) == 1 else None",
        "return groups[0]", (_SIDES + "test_apart_only_under_one_key_one_share_and_one_id_column",),
        "what other splits cost is forgotten",
    ),
    Mutant(
        "sides: replaced people as if they stayed", SIDES,
        "return Price(training.amount + holdout.amount + root, training.delta + holdout.delta)",
        "return Price(training.amount + holdout.amount, training.delta + holdout.delta)",
        (_SIDES + "test_a_replaced_person_pays_the_square_of_the_sum_of_mus",), "sum of squares, not square of a sum",
    ),
    Mutant(
        "sides: the root rounded down", SIDES, "    root += root * root < cross\n", "",
        (_SIDES + "test_a_replaced_person_pays_the_square_of_the_sum_of_mus",), "rounded the wrong way",
    ),
    Mutant(
        "groups: k for k squared", GROUPS, "replace(event, sensitivity=_up(event.sensitivity, rows))",
        "replace(event, sensitivity=event.sensitivity * math.sqrt(rows))",
        (_GROUPS + "test_gaussians_of_k_rows_cost_k_squared",
         _GROUPS + "test_k_rows_in_one_cell_are_no_easier_to_tell_apart_than_charged"), "k times too cheap",
    ),
    Mutant(
        "groups: rho times k", GROUPS, "_up(event.rho, rows * rows)", "_up(event.rho, rows)",
        (_GROUPS + "test_gaussians_of_k_rows_cost_k_squared",), "k times too cheap",
    ),
    Mutant(
        "groups: the root always", GROUPS, "in_one_cell=1 if one_row_per_cell else rows)",
        "in_one_cell=1)", (_GROUPS + "test_histograms_with_one_row_a_cell",), "all rows may lie in one cell",
    ),
    Mutant(
        "adjacency: the root rounded down", "accountant/adjacency.py",
        "    while Fraction(root) ** 2 < squared:\n", "    while False:\n",
        (_GROUPS + "test_histograms_with_one_row_a_cell",), "rounded the wrong way",
    ),
    Mutant(
        "groups: a claim's delta stays", GROUPS, "replace(event, epsilon=_up(event.epsilon, rows), delta=delta)",
        "replace(event, epsilon=_up(event.epsilon, rows))", (_GROUPS + "test_a_claim_walks_row_by_row",),
        "delta too small",
    ),
    Mutant(
        "groups: a claim's delta times k", GROUPS, "math.fsum(math.exp(j * event.epsilon) for j in range(rows))",
        "float(rows)", (_GROUPS + "test_a_claim_walks_row_by_row",), "delta too small",
    ),
    Mutant(
        "groups: unknown events as they are", GROUPS, "    if rule is None:\n        raise UnsupportedEvent(",
        "    if rule is None:\n        return event\n        raise UnsupportedEvent(",
        (_GROUPS + "test_what_is_not_known_is_refused_at_any_depth",), "sampled rows of one person priced as one",
    ),
    Mutant(
        "retries: one is reserved", SELECTION, "Price(cap.amount * tries, cap.delta * tries)", "cap",
        (_SELECTION + "test_retries_are_reserved_in_full",), "K tries for the price of one",
    ),
    Mutant(
        "retries: delta isn't multiplied", SELECTION, "Price(cap.amount * tries, cap.delta * tries)",
        "Price(cap.amount * tries, cap.delta)", (_SELECTION + "test_retries_are_reserved_in_full",), "delta dropped",
    ),
    Mutant(
        "retries: the event happens once", SELECTION,
        "return Repeat(event=event, count=tries, adjacency=event.adjacency)",
        "return Repeat(event=event, count=1, adjacency=event.adjacency)",
        (_SELECTION + "test_declared_tries_compose",), "K tries for the price of one",
    ),
    Mutant(
        "private selection: one epsilon", SELECTION, "return _claim(event, 2.0 * epsilon, grown)",
        "return _claim(event, 1.9 * epsilon, grown)", (_SELECTION + "test_until_passed_uses_what_it_claims",),
        "epsilon too small",
    ),
    Mutant(
        "private selection: delta of one try", SELECTION, "(1.0 - gamma)) / gamma * (1.0 + 1e-12)) if delta",
        "(1.0 - gamma)) * (1.0 + 1e-12)) if delta", (_SELECTION + "test_until_passed_uses_what_it_claims",),
        "delta too small",
    ),
    Mutant(
        "private selection: two for the best of many", SELECTION, "factor = Fraction(2) + Fraction(shape)",
        "factor = Fraction(2)", (_SELECTION + "test_the_best_of_a_random_number_is_what_it_claims",
                                 _SELECTION + "test_a_geometric_number_of_tries_can_cost_nearly_three"),
        "epsilon too small",
    ),
    Mutant(
        "recursion: the end without its grid point", RECURSION, "x = (np.arange(self.size) - self.left) * self.width",
        "x = (np.arange(self.size) - self.left + 1) * self.width",
        (_RECURSION + "test_gaussians_alone_are_exact",), "the curve is moved by a grid step",
    ),
    Mutant(
        "recursion: losses of the other member", RECURSION, "    mean = mu * mu / 2.0\n", "    mean = -mu * mu / 2.0\n",
        (_RECURSION + "test_gaussians_alone_are_exact",), "the loss under the wrong neighbour",
    ),
    Mutant(
        "recursion: losses rounded down", RECURSION,
        "upper = np.expm1(-inside * width) / math.expm1(-width)", "upper = np.zeros_like(inside)",
        (_RECURSION + "test_gaussians_alone_are_exact",), "rounded the wrong way",
    ),
    Mutant(
        "recursion: what is beyond the kernel is forgotten", RECURSION, 'mode="valid") + beyond)', 'mode="valid"))',
        (_RECURSION + "test_what_the_kernel_leaves_out_counts_as_a_failure",), "a tail for nothing",
    ),
    Mutant(
        "recursion: only the ends of t", RECURSION,
        "best = np.maximum(best, np.maximum(end, next_end) + (next_t - t) ** 2 / 8.0 * bend)", "continue",
        (_RECURSION + "test_one_selection_is_its_closed_form",
         _RECURSION + "test_three_hundred_random_adaptive_strategies_never_exceed_it"), "the adversary may choose t",
    ),
    Mutant(
        "recursion: t on the grid alone", RECURSION, "+ (next_t - t) ** 2 / 8.0 * bend)", ")",
        (_RECURSION + "test_a_wide_grid_is_above_every_t",), "the maximum between grid points is missed",
    ),
    Mutant(
        "recursion: half of eta", RECURSION, "eta, width = step.eta, grid.width",
        "eta, width = step.eta / 2, grid.width",
        (_RECURSION + "test_one_selection_is_its_closed_form",), "price of a monotone score",
    ),
    Mutant(
        "recursion: the smallest move", RECURSION, "value = np.maximum(value, ahead)", "value = ahead",
        (_RECURSION + "test_more_choice_never_bounds_less",), "the last move of the table, whatever the run chooses",
    ),
    Mutant(
        "recursion: repeats once", RECURSION, "return steps * event.count, delta * event.count",
        "return steps, delta * event.count", (_RECURSION + "test_gaussians_alone_are_exact",), "ten cost one",
    ),
    Mutant(
        "recursion: on without its flag", RECURSION, "if experimental is not True:", "if False:",
        (_RECURSION + "test_it_is_off_by_default_and_knows_its_steps",), "an experimental bound becomes a default",
    ),
    Mutant(
        "recursion: a curve read to the right", RECURSION, 'side="right")) - 1', 'side="right"))',
        (_RECURSION + "test_reading_a_curve_is_pessimistic",), "delta of a larger epsilon",
    ),
    Mutant(
        "plan: amounts rounded up", PLANNING, "return math.floor(self.share(purpose, side) * self.budget.cap.amount)",
        "return math.ceil(self.share(purpose, side) * self.budget.cap.amount) + 1",
        (_PLANNING + "test_whatever_a_plan_allows_is_within_its_epsilon",), "the parts exceed the whole",
    ),
    Mutant(
        "plan: shares above the whole", PLANNING, "    if whole > 1:\n", "    if whole > 2:\n",
        (_PLANNING + "test_each_side_is_within_the_budget_by_itself",), "the parts exceed the whole",
    ),
    Mutant(
        "plan: a holdout person pays a gate like a training person", PLANNING,
        "return ((1 - holdout_share) / holdout_share * RATIO_SLACK) ** 2", "return Fraction(1)",
        (_PLANNING + "test_a_gate_that_the_holdout_side_cannot_afford_is_refused",), "the dearer side is ignored",
    ),
    Mutant(
        "plan: the gate's ratio isn't squared", PLANNING, "/ holdout_share * RATIO_SLACK) ** 2",
        "/ holdout_share * RATIO_SLACK)",
        (_PLANNING + "test_a_gate_that_the_holdout_side_cannot_afford_is_refused",), "amounts are squares",
    ),
    Mutant(
        "plan: whoever isn't split pays nothing", PLANNING,
        "            paid[Side.HOLDOUT] = paid[Side.TRAINING]\n", "            paid[Side.HOLDOUT] = 0\n",
        (_PLANNING + "test_without_a_holdout_everybody_pays_the_training_lines",), "a side without a charge",
    ),
    Mutant(
        "plan: two lines for one purpose", PLANNING,
        "if len({(line.purpose, line.side) for line in lines}) < len(lines):", "if False:",
        (_PLANNING + "test_one_purpose_has_one_line",), "one of them is ignored",
    ),
    Mutant(
        "calibration: a little above is near enough", CALIBRATE,
        "        if found <= epsilon and (best is None or scale < best.scale):",
        "        if found <= epsilon * (1.0 + _BAND) and (best is None or scale < best.scale):",
        (_CALIBRATE + "test_certification_ends_just_within_from_either_side",), "above its target",
    ),
    Mutant(
        "calibration: rounds the wrong way", CALIBRATE, "(found / (epsilon * (1.0 - 0.4 * _BAND)))",
        "(found / (epsilon * (1.0 + 4.0 * _BAND)))",
        (_CALIBRATE + "test_certification_ends_just_within_from_either_side",), "never ends just within",
    ),
    Mutant(
        "calibration: one step too many", CALIBRATE, "    return Calibrated(scale=good, epsilon=found,",
        "    return Calibrated(scale=good + 1, epsilon=found,",
        (_CALIBRATE + "test_the_largest_number_of_steps",), "above its target",
    ),
    Mutant(
        "calibration: the largest bound", CALIBRATE, "    return min([*found, *_in_coordinates(event, delta)])",
        "    return max([*found, *_in_coordinates(event, delta)])",
        (_CALIBRATE + "test_the_smallest_of_the_bounds_is_stated",
         _CALIBRATE + "test_what_no_noise_reaches_is_refused"), "noise for nothing",
    ),
    Mutant(
        "calibration: closed forms unchecked", CALIBRATE,
        "    while not _fits(event, noise, amount, coordinate):\n        noise, step",
        "    while False:\n        noise, step",
        (_CALIBRATE + "test_closed_forms_fit_however_much_is_allowed",), "a price a rounding above its share",
    ),
    Mutant(
        "calibration: eta of the whole mu", CALIBRATE, "x = root / math.sqrt(8.0)", "x = root / math.sqrt(2.0)",
        (_CALIBRATE + "test_closed_forms_fit_however_much_is_allowed",), "not the largest eta",
    ),
    Mutant(
        "Renyi filter: goes on while an order has room", RENYI, 'if paid[a] > cap), "")',
        'if all(paid[b] > c for b, c in caps.units.items())), "")',
        (_RENYI + "test_the_run_stops_at_the_first_order",), "an order that the outcomes chose",
    ),
    Mutant(
        "Renyi filter: checks after spending", RENYI,
        "            self._require_within(side, units_paid, delta_paid)\n",
        "            self._require_within(side, *self._spent[side])\n",
        (_RENYI + "test_the_run_stops_at_the_first_order",), "the last step is free",
    ),
    Mutant(
        "Renyi filter: delta isn't capped", RENYI, 'over = over or ("delta" if delta > caps.delta else "")',
        'over = over or ""', (_RENYI + "test_additive_deltas_are_capped_and_taken_off",), "delta dropped",
    ),
    Mutant(
        "Renyi filter: delta isn't taken off", RENYI,
        "rest = Fraction(delta) - Fraction(self.delta, DELTA_UNIT)", "rest = Fraction(delta)",
        (_RENYI + "test_additive_deltas_are_capped_and_taken_off",), "delta counted for two things",
    ),
    Mutant(
        "Renyi filter: the largest epsilon", RENYI, "found = max(0.0, min(_order", "found = max(0.0, max(_order",
        (_RENYI + "test_the_claim_is_that_of_the_caps_and_covers_the_run",), "the claim is too large",
    ),
    Mutant(
        "Renyi filter: a side without caps is free", RENYI, 'over = "a step" if any(units) or delta else ""',
        'over = ""', (_RENYI + "test_the_run_stops_at_the_first_order",), "a missing charge",
    ),
    Mutant(
        "Renyi filter: converts without the order", RENYI, "(math.log(delta) + math.log(alpha)) / (alpha - 1.0)",
        "(math.log(delta) + 2 * math.log(alpha)) / (alpha - 1.0)",
        (_RENYI + "test_caps_imply_their_epsilon_and_waste_nothing",), "epsilon too small",
    ),
    Mutant(
        "rounds: a selection of half its sensitivity", "dpsynth/mechanisms/scoring.py",
        "sensitivity=max(int(w) for w in weights) * max_rows,", "sensitivity=max_rows,",
        ("tests/oracles/test_rounds.py::test_three_rounds_give_away_no_more_than_each_curve_that_is_charged",),
        "weighted scores priced as plain ones",
    ),
)
