"""Faults of filters, sides, groups, retries, calibration and plans: something cheaper than it is."""

from tests.mutants.base import Mutant

FILTERS, ODOMETER, SIDES = "accountant/filters.py", "accountant/odometer.py", "accountant/sides.py"
GROUPS, SELECTION = "accountant/groups.py", "accountant/selection.py"

_FILTERS = "tests/accountant/test_filters.py::"
_SIDES = "tests/accountant/test_sides.py::"
_GROUPS = "tests/accountant/test_groups.py::"
_SELECTION = "tests/accountant/test_selection.py::"

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
        "several caps: only the first is kept", FILTERS, "for coordinate, sides in self._caps.items()\n        }",
        "for coordinate, sides in list(self._caps.items())[:1]\n        } | dict(list(self._spent.items())[1:])",
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
        "replace(event, sensitivity=event.sensitivity * _up_root(rows))",
        (_GROUPS + "test_gaussians_of_k_rows_cost_k_squared",
         _GROUPS + "test_k_rows_in_one_cell_are_no_easier_to_tell_apart_than_charged"), "k times too cheap",
    ),
    Mutant(
        "groups: the root always", GROUPS, "return _up_root(rows) if one_row_per_cell else float(rows)",
        "return _up_root(rows)", (_GROUPS + "test_histograms_with_one_row_a_cell",), "all rows may lie in one cell",
    ),
    Mutant(
        "groups: the root rounded down", GROUPS,
        "return root if Fraction(root) ** 2 >= rows else math.nextafter(root, math.inf)", "return root",
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
)
