"""Faults of the gate and its attacks: too little noise, the wrong people pay, a statistic that one person can move."""

from tests.mutants.base import Mutant

NOISE, PLAN, TOTALS = "dpsynth/gate/noise.py", "dpsynth/gate/plan.py", "dpsynth/gate/totals.py"
VERDICT, CLOSENESS, RECORDS = "dpsynth/gate/verdict.py", "dpsynth/attacks/closeness.py", "dpsynth/records.py"
FEATURES, THRESHOLDS = "dpsynth/attacks/features.py", "dpsynth/gate/thresholds.py"
REFERENCE, LIKELIHOOD = "dpsynth/gate/reference.py", "dpsynth/attacks/likelihood.py"
RELEASE_PLAN, CHECKS, ACCELERATING = "dpsynth/plan.py", "dpsynth/plan_checks.py", "dpsynth/accelerating.py"

_VERDICT = "tests/dpsynth/gate/test_verdict.py::"
_SENSITIVITY = "tests/dpsynth/gate/test_sensitivity.py::"
_PRICE = (_SENSITIVITY + "test_what_each_side_pays_is_the_grid_and_its_ratio",)
_LAW = (_VERDICT + "test_the_law_of_neighbours_is_within_the_price",)
_COUNTS = "tests/dpsynth/gate/test_totals.py::"
_ACCOUNTED = "tests/dpsynth/gate/test_accounted.py::"
_SPLIT = "tests/dpsynth/test_records.py::"
_REFERENCE, _RETRIES = "tests/dpsynth/gate/test_reference.py::", "tests/dpsynth/gate/test_retries.py::"
_ACCELERATED = "tests/dpsynth/attacks/test_accelerating.py::test_the_same_distances_as_the_compiled_scans"
_LIKELY = ("tests/dpsynth/attacks/test_likelihood.py::test_one_person_moves_the_sum_by_their_own_likelihood_alone",)
_MOVES = (_SENSITIVITY + "test_a_sum_moves_by_at_most_one_whichever_the_table",)

MUTANTS = (
    Mutant(
        "gate: holdout sensitivity not scaled", NOISE, "holdout_steps = -(-grid * totals.training // totals.holdout)",
        "holdout_steps = grid", _PRICE, "a holdout person moves the test N_tr/N_ho times as much",
    ),
    Mutant(
        "gate: holdout sensitivity rounded down", NOISE, "-(-grid * totals.training // totals.holdout)",
        "max(1, grid * totals.training // totals.holdout)", _PRICE, "steps are whole numbers",
    ),
    Mutant(
        "gate: training price charged to holdout people", NOISE,
        "self._step(Side.HOLDOUT, self.holdout_steps)",
        "self._step(Side.HOLDOUT, self.training_steps)", _PRICE, "the price of the other side",
    ),
    Mutant(
        "gate: holdout people pay nothing", NOISE,
        "self._step(Side.HOLDOUT, self.holdout_steps)",
        "self._step(Side.TRAINING, self.holdout_steps)", _PRICE, "a missing charge",
    ),
    Mutant(
        "gate: noise of the cheaper side", NOISE, "sigma=max(_sigma(plan", "sigma=min(_sigma(plan",
        ("tests/dpsynth/gate/test_noise.py::test_gate_mu_of_a_twentieth_is_a_noise_of_twenty_records",),
        "a side above its cap",
    ),
    Mutant(
        "gate: noise halved", VERDICT, "draw_discrete_gaussian(noise.sigma, 1",
        "draw_discrete_gaussian(noise.sigma / 2, 1",
        _LAW, "noise halved",
    ),
    Mutant(
        "gate: not charged", VERDICT, "    spend.charge(noise.steps)\n", "",
        (
            _VERDICT + "test_charges_stand_before_the_draw_and_a_refusal_draws_nothing",
            "tests/dpsynth/test_partly_release.py::test_training_people_pay_for_measurements_and_both_for_the_gate",
        ),
        "a missing charge",
    ),
    Mutant(
        "gate: only training people charged", VERDICT, "spend.charge(noise.steps)", "spend.charge(noise.steps[:1])",
        (_VERDICT + "test_the_whole_gate_fits_the_plan_on_both_sides",), "a missing charge",
    ),
    Mutant(
        "gate: charged after the draw", VERDICT,
        "    spend.charge(noise.steps)\n",
        "    draw_discrete_gaussian(noise.sigma, 1, random=random)\n    spend.charge(noise.steps)\n",
        (_VERDICT + "test_charges_stand_before_the_draw_and_a_refusal_draws_nothing",), "a refused draw has happened",
    ),
    Mutant(
        "gate: verdict of the exact statistic", VERDICT, "Verdict.PASS if noisy <= margin_steps",
        "Verdict.PASS if exact <= margin_steps",
        (_ACCOUNTED + "test_the_verdict_is_that_of_the_published_number_whatever_the_records",), "an unaccounted bit",
    ),
    Mutant(
        "gate: exact statistic published", VERDICT, "noisy_steps=noisy,", "noisy_steps=exact,", _LAW, "no noise at all",
    ),
    Mutant(
        "gate: a second published count", VERDICT,
        "leak=smallest_leak(policy, ((probe, facts[probe.feature]) for probe in probes), scale=measure),",
        "leak=statistics[0].training / ONE / totals.training,",
        (_ACCOUNTED + "test_nothing_but_the_noisy_number_depends_on_the_records",), "an unaccounted count",
    ),
    Mutant(
        "gate: margin read from the exact statistic", VERDICT, "Verdict.PASS if noisy <= margin_steps",
        "Verdict.PASS if noisy <= margin_steps + max(0, exact)",
        (_ACCOUNTED + "test_the_verdict_is_that_of_the_published_number_whatever_the_records",),
        "a bound from the data",
    ),
    Mutant(
        "gate: floor removed", VERDICT, "max(math.floor(value * grid * totals.training) for",
        "max(math.ceil(value * grid * totals.training * 7) / 7 for",
        (_VERDICT + "test_t_is_exact_floored_and_a_maximum",),
        "noise on a grid, a statistic off it",
    ),
    Mutant(
        "gate: holdout divided by the training side", VERDICT, "Fraction(one.holdout, ONE * totals.holdout)",
        "Fraction(one.holdout, ONE * totals.training)", (_VERDICT + "test_t_is_exact_floored_and_a_maximum",),
        "another statistic than the one that is priced",
    ),
    Mutant(
        "gate: sum of attacks for their maximum", VERDICT,
        "max(math.floor(value * grid * totals.training) for value in found)",
        "sum(math.floor(value * grid * totals.training) for value in found)",
        (_SENSITIVITY + "test_steps_move_by_at_most_what_each_side_pays",), "sensitivity of every attack, price of one",
    ),
    Mutant(
        "gate: the synthesizer's share is the whole", PLAN, "training_amount=amount - count - attempts * gate,",
        "training_amount=amount,", ("tests/dpsynth/gate/test_plan.py::test_both_sides_add_up_to_at_most_the_cap",),
        "gate and totals aren't within the release's cap",
    ),
    Mutant(
        "gate: holdout cap not scaled", PLAN, "math.floor(_COUNT_SHARE * amount), math.ceil(gate * held)",
        "math.floor(_COUNT_SHARE * amount), gate",
        ("tests/dpsynth/gate/test_noise.py::test_gate_mu_of_a_twentieth_is_a_noise_of_twenty_records",),
        "the holdout's price is another one than planned",
    ),
    Mutant(
        "gate: replace-one is planned", PLAN, "if unit.adjacency.changes_sides:", "if False:",
        ("tests/dpsynth/gate/test_plan.py::test_tiny_budgets_and_replace_one_are_refused",),
        "a person may change sides",
    ),
    Mutant(
        "totals: exact", TOTALS, "return max(1, noisy)", "return max(1, _people(source))",
        (_ACCOUNTED + "test_totals_hold_the_noise_that_was_drawn",), "the number of people",
    ),
    Mutant(
        "totals: training people pay for both", TOTALS, "sides=(side,),", "sides=(Side.TRAINING,),",
        (_COUNTS + "test_each_side_pays_its_own_count",), "wrong sides",
    ),
    Mutant(
        "totals: rows for people", TOTALS, "int(np.unique(np.concatenate(units)).size)",
        "sum(len(u) for _, u in source.blocks())", (_COUNTS + "test_people_are_counted_across_blocks_and_rows",),
        "a person with several rows moves the count by more than 1",
    ),
    Mutant(
        "attacks: from synthetic rows to records", FEATURES,
        "    near, layout = nearness(records, target.table), target.layout\n",
        "    layout, many = target.layout, records.shape[1]\n"
        "    rows = np.concatenate([np.tile(target.codes, many), records], axis=1)[:, :many]\n"
        "    near = nearness(rows, prepare(records, layout.sizes))\n",
        _MOVES, "one person can move it all",
    ),
    Mutant(
        "attacks: rows for people", CLOSENESS, ".astype(np.int64) // np.maximum(rows, 1)", ".astype(np.int64)",
        _MOVES, "a person counts with every row",
    ),
    Mutant(
        "attacks: a person's rows are taken for people", CLOSENESS, "if (rows == 1).all():", "if True:",
        _MOVES, "a person counts with every row",
    ),
    Mutant(
        "attacks: rare among the records", FEATURES,
        "    near, layout = nearness(records, target.table), target.layout\n",
        "    near, layout = nearness(records, target.table), target.layout\n"
        "    from dataclasses import replace\n\n"
        "    scores = np.sort(_surprises(records, target.surprise))\n"
        "    target = replace(target, rare_from=int(scores[-1]) if scores.size else 0)\n",
        (*_MOVES, "tests/dpsynth/attacks/test_features.py::test_every_feature_is_its_definition"),
        "whether a person counts depends on the others",
    ),
    Mutant(
        "attacks: a secret guessed from the other records", FEATURES,
        "        same = np.flatnonzero(records[secret] == value)\n",
        "        same = np.flatnonzero(records[secret] == np.bincount(records[secret]).argmax())\n",
        (*_MOVES, "tests/dpsynth/attacks/test_features.py::test_every_feature_is_its_definition"),
        "one person decides which others count",
    ),
    Mutant(
        "attacks: a grade above 1", FEATURES, "5 * ONE // 8, ONE], dtype", "5 * ONE // 8, 2 * ONE], dtype",
        _MOVES, "a person counts twice",
    ),
    Mutant(
        "attacks: a rate of the rare alone", FEATURES,
        "Family.RARE: lambda rows, f: ONE * (rows.rare & (rows.near.distance <= f.distance)),",
        "Family.RARE: lambda rows, f: (\n        ONE * (rows.rare & (rows.near.distance <= f.distance))\n"
        "        * rows.rare.size // max(1, rows.rare.sum())\n    ),",
        _MOVES, "normalised by a subgroup's size, which one person changes",
    ),
    Mutant(
        "attacks: constant of one side left out", CLOSENESS,
        "holdout=holdout.sums[feature] - constant * holdout.people",
        "holdout=holdout.sums[feature]",
        ("tests/dpsynth/attacks/test_closeness.py::test_statistics_subtract_the_constant_per_person_and_hide_numbers",),
        "the size of the sides is what is compared",
    ),
    Mutant(
        "attacks: KS with constant side sizes", CLOSENESS,
        "    constant = facts[feature].constant\n", "    constant = 0\n",
        ("tests/dpsynth/attacks/test_closeness.py::test_statistics_subtract_the_constant_per_person_and_hide_numbers",),
        "the null doubles: how far the sides' sizes are from the totals is what is compared",
    ),
    Mutant(
        "gate: stated leak of people met as rarely as strangers", THRESHOLDS,
        "met = float(probe.attack.weight), min(1.0, scale.factor * facts.constant / ONE + scale.floor)",
        "met = float(probe.attack.weight), facts.constant / ONE",
        ("tests/dpsynth/gate/test_thresholds.py::test_the_smallest_leak_is_the_least_that_would_be_seen",),
        "a smaller leak is published than would be seen",
    ),
    Mutant(
        "gate: stated leak of copies that happen to be isolated", THRESHOLDS,
        "if probe.feature.family not in SURE:", "if False:",
        ("tests/dpsynth/gate/test_thresholds.py::test_only_statistics_in_which_every_copy_counts_fully_are_stated",),
        "a smaller leak is published than would be seen",
    ),
    Mutant(
        "gate: thresholds know nothing of the totals' noise", THRESHOLDS,
        "    return math.hypot(split, off * scale.totals), -",
        "    return split, -",
        ("tests/dpsynth/gate/test_thresholds.py::test_the_threshold_of_a_rate_covers_the_least_favourable_rate",),
        "honest tables fail",
    ),
    Mutant(
        "attacks: repr shows the sums", CLOSENESS, 'return "SideSums(<private>)"', "return str(self.sums)",
        (_ACCOUNTED + "test_exact_sums_show_no_number",),
        "exact values in logs",
    ),
    Mutant(
        "split: by row position", RECORDS, "return row_coins(len(units), share=share, random=random)",
        "return np.arange(len(units)) % share.denominator < share.numerator",
        (_SPLIT + "test_rows_without_ids_have_fresh_coins",), "another row moves everybody after it",
    ),
    Mutant(
        "split: rows of a person on both sides", RECORDS, "= of_people[units]",
        "= row_coins(len(units), share=share, random=random)",
        (_SPLIT + "test_a_person_is_on_one_side_only",), "held-out people were learned from",
    ),
    Mutant(
        "split: under no key", RECORDS, "keyed_coins(records.unit_ids, key=key, share=share, purpose=purpose)",
        "keyed_coins(records.unit_ids, key=bytes(32), share=share, purpose=purpose)",
        (_SPLIT + "test_a_person_is_on_one_side_only",), "anybody can tell who is held out",
    ),
    Mutant(
        "split: the second coin is the first", RECORDS, "random=random, purpose=\"reference\")", "random=random)",
        (_SPLIT + "test_a_person_is_on_one_of_three_sides_only",), "whoever is held out is a reference, or nobody is",
    ),
    Mutant(
        "split: reference people are tested, too", RECORDS,
        "source.restrict(held & ~compared)", "source.restrict(held)",
        (_SPLIT + "test_a_person_is_on_one_of_three_sides_only",), "they pay for one of the two only",
    ),
    Mutant(
        "gate: holdout people pay for the reference", REFERENCE, "sides=(Side.REFERENCE,),", "sides=(Side.HOLDOUT,),",
        (_REFERENCE + "test_reference_people_pay_for_their_marginals_and_nothing_else",), "who is read pays nothing",
    ),
    Mutant(
        "gate: every marginal of the reference has the whole price", REFERENCE,
        "amount = max(1, plan.reference_amount // many)", "amount = plan.reference_amount",
        (_REFERENCE + "test_reference_people_pay_for_their_marginals_and_nothing_else",), "above what was planned",
    ),
    Mutant(
        "gate: the holdout's price knows nothing of the reference", PLAN, "/ policy.tested_share, policy.attempts",
        "/ policy.holdout_share, policy.attempts",
        (_REFERENCE + "test_the_price_of_the_test_rises_with_the_half_that_is_tested",),
        "half as many people weigh twice as much",
    ),
    Mutant(
        "gate: one attempt is reserved", PLAN, "left = held_out = amount - attempts * holdout_gate",
        "left = held_out = amount - holdout_gate",
        (_RETRIES + "test_all_attempts_are_within_the_cap_of_each_side",), "retries come on top of the plan",
    ),
    Mutant(
        "plan: every attempt has all of the synthesizer's share", RELEASE_PLAN,
        "(self.gate.training_amount - self._before_the_synthesizer) // self.gate.attempts",
        "self.gate.training_amount - self._before_the_synthesizer",
        (_RETRIES + "test_every_attempt_is_charged_and_all_are_within_the_caps",), "retries come on top of the plan",
    ),
    Mutant(
        "gate: a leak that one of several attempts would see", THRESHOLDS,
        "1 - (1 - policy.detection) / policy.attempts", "policy.detection",
        (_RETRIES + "test_the_stated_leak_is_seen_by_all_attempts_together",), "a copier has several chances to pass",
    ),
    Mutant(
        "attacks: scale of the likelihood from who is looked at", FEATURES,
        "likelihood(scores(codes, target.ratios), target.ratios, one=ONE)",
        "likelihood(scores(codes, target.ratios) - int(scores(codes, target.ratios).sum()), target.ratios, one=ONE)",
        _LIKELY, "one person moves the f of all others",
    ),
    Mutant(
        "attacks: a likelihood without bounds", LIKELIHOOD, "np.clip(score - of.low, 0, of.width)", "score - of.low",
        _LIKELY, "one person counts for many",
    ),
    Mutant(
        "accelerator: a row finds itself", ACCELERATING, "smallest[ignored, own[ignored] - start] = _FAR", "pass",
        (_ACCELERATED,), "closeness of a table to itself, where others are meant",
    ),
    Mutant(
        "accelerator: the last block alone", ACCELERATING, "found = torch.minimum(found, ", "found = (",
        (_ACCELERATED,), "other distances than the compiled scan's",
    ),
    Mutant(
        "accelerator: numbers further apart than categories", ACCELERATING, ".abs().clamp_(max=unit)", ".abs()",
        (_ACCELERATED,), "other distances than the compiled scan's",
    ),
    Mutant(
        "plan: a scan for each of a million codes of a secret", CHECKS, "if size > MOST_SECRET_CODES:", "if False:",
        (_RETRIES + "test_secrets_of_many_codes_are_refused_before_anything_is_touched",), "a release that never ends",
    ),
    Mutant(
        "attacks: another share is rare under the same name", FEATURES, "RARE = 0.1\n", "RARE = 0.2\n",
        ("tests/dpsynth/gate/test_policy.py::test_every_constant_of_the_statistics_is_bound_to_their_name",),
        "two batteries under one hash",
    ),
)
