"""Faults of the accountant: a price too low, a sum that forgets, a filter that lets through, a ledger that loses."""

from tests.mutants.base import Mutant

GDP, ZCDP, SLACK = "accountant/rules/gdp.py", "accountant/rules/zcdp.py", "accountant/rules/slack.py"
MU = "accountant/rules/mu.py"
COMPOSE, PRICE, FILTERS = "accountant/compose.py", "accountant/price.py", "accountant/filters.py"
REPORT, CONVERT = "accountant/report.py", "accountant/convert.py"
RESERVATION, REPLAY = "accountant/ledger/reservation.py", "accountant/ledger/replay.py"
SCOPE, BOOK, SQLITE = "accountant/ledger/scope.py", "accountant/ledger/book.py", "accountant/ledger/sqlite.py"
FILES, WITNESS = "accountant/ledger/files.py", "accountant/ledger/witness.py"

_RULES = "tests/accountant/test_rules.py::"
_COMPOSE = "tests/accountant/test_compose.py::"
_SPEND = "tests/accountant/test_spend_contract.py::"
_LEDGER = "tests/accountant/test_ledger.py::"
_TAMPER = "tests/accountant/test_ledger_tamper.py::"
_DURABLE = "tests/accountant/test_ledger_durability.py::"

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
    Mutant(
        "ledger: steps charged alone aren't recorded", RESERVATION, "        if steps:\n",
        "        if len(steps) > 1:\n",
        (_SPEND + "test_charges_are_recorded_in_order_and_priced_by_side",), "a missing charge",
    ),
    Mutant(
        "ledger: refund after the touch", RESERVATION,
        "kept = release.price if release.state is State.TOUCHED else Price()", "kept = Price()",
        (_LEDGER + "test_an_abort_refunds_everything_before_the_touch_and_nothing_after",),
        "what was drawn is given back",
    ),
    Mutant(
        "ledger: a touched run is given back", RESERVATION,
        "if release.state is not State.RESERVED:\n            raise LedgerError",
        "if release.state is State.COMMITTED:\n            raise LedgerError",
        (_LEDGER + "test_a_stale_reservation_is_returned_only_by_an_explicit_act_and_only_untouched",),
        "what was drawn is given back",
    ),
    Mutant(
        "ledger: charged before the touch", RESERVATION, 'self._append("charge", (State.TOUCHED,)',
        'self._append("charge", (State.RESERVED, State.TOUCHED)',
        (_LEDGER + "test_a_release_takes_its_steps_in_order_and_ends_once",), "refunded after a draw",
    ),
    Mutant(
        "ledger: another plan under the key", RESERVATION, "if run.plan_hash != plan_hash:", "if False:",
        (_LEDGER + "test_the_same_key_with_another_plan_is_a_conflict",), "another release than asked for",
    ),
    Mutant(
        "ledger: no room needed", RESERVATION, "        require_room(scope, price, ledger.path)\n", "",
        (_LEDGER + "test_a_second_release_beyond_the_budget_is_refused",), "the budget isn't one",
    ),
    Mutant(
        "ledger: another unit", RESERVATION, "if unit != scope.unit:", "if False:",
        (_LEDGER + "test_another_data_set_or_unit_is_refused",), "prices of other people",
    ),
    Mutant(
        "ledger: reserved isn't counted", SCOPE, "self._cap.less(self.spent() + self.reserved())",
        "self._cap.less(self.spent())", (_LEDGER + "test_a_second_release_beyond_the_budget_is_refused",),
        "a race of two",
    ),
    Mutant(
        "ledger: a crash frees what it held", SCOPE, "OPEN_STATES = (State.RESERVED, State.TOUCHED)",
        "OPEN_STATES = (State.RESERVED,)", (_LEDGER + "test_a_release_from_reservation_to_commit",),
        "a run that touched the data isn't held in full",
    ),
    Mutant(
        "ledger: the chain isn't checked", SCOPE,
        'if (entry.get("seq"), entry.get("prev")) != (self.seq + 1, self.head):',
        'if entry.get("seq") != self.seq + 1:',
        (_TAMPER + "test_one_entry_exchanged_with_its_own_hash_breaks_the_chain",),
        "entries can be exchanged",
    ),
    Mutant(
        "ledger: hashes aren't checked", SCOPE, "and sha256_hex(entry) == row[2]", "",
        (_TAMPER + "test_every_flipped_byte_of_an_entry_is_found",), "entries can be changed",
    ),
    Mutant(
        "ledger: the witness isn't asked", BOOK,
        "        self._witness.check(slots, scope.hashes, public_key=self._public_key)\n", "",
        (_TAMPER + "test_an_older_copy_of_the_database_is_a_rollback",), "rollback",
    ),
    Mutant(
        "ledger: no witness after a charge", BOOK, "        self._bear_witness()\n        reach(f", "        reach(f",
        (_LEDGER + "test_the_witness_follows_every_entry",), "rollback",
    ),
    Mutant(
        "ledger: prices aren't worked out again", REPLAY,
        "_expect(_same(cost, price(step.event, release.coordinate)), where,",
        "_expect(True, where,", (_TAMPER + "test_a_consistent_chain_of_false_claims_is_found",), "an underpriced step",
    ),
    Mutant(
        "ledger: totals aren't added up again", REPLAY, '_expect(totals == sides_from_json(entry["totals"]), where,',
        "_expect(True, where,", (_TAMPER + "test_a_consistent_chain_of_false_claims_is_found",), "a sum too low",
    ),
    Mutant(
        "ledger: any refund verifies", REPLAY, '_expect(charged == due, where, "an abort',
        '_expect(True, where, "an abort',
        (_TAMPER + "test_a_consistent_chain_of_false_claims_is_found",), "a refund after the touch goes unnoticed",
    ),
    Mutant(
        "ledger: synchronous off", SQLITE, "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF",
        (_DURABLE + "test_a_transaction_waits_for_the_disk",), "a charge that a power cut undoes",
    ),
    Mutant(
        "ledger: witness not brought to the disk", WITNESS, "        flush_data(handle)\n", "",
        (_DURABLE + "test_a_witness_is_on_disk_before_a_charge_returns",), "a witness that a power cut undoes",
    ),
    Mutant(
        "ledger: nothing is brought to the disk", FILES, 'getattr(os, "fdatasync", os.fsync)(handle)', "handle.real",
        (_DURABLE + "test_bringing_to_the_disk_asks_the_system",), "a witness that a power cut undoes",
    ),
    Mutant(
        "ledger: a late witness goes back", WITNESS, "if max(w.seq for w in slots) >= seq:", "if False:",
        (_DURABLE + "test_a_late_writer_never_takes_the_witness_back",), "rollback",
    ),
    Mutant(
        "ledger: writers don't exclude each other", SQLITE, '"BEGIN IMMEDIATE"', '"BEGIN"',
        (_DURABLE + "test_a_writer_excludes_others_from_the_start",), "two runs see the same room",
    ),
    Mutant(
        "ledger: entries can be updated", SQLITE,
        "BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        "BEFORE UPDATE ON entries BEGIN SELECT 1; END",
        (_TAMPER + "test_the_database_itself_refuses_all_but_appends",), "append-only",
    ),
)
