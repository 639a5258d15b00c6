"""Faults of DP-SGD: the bound, the noise, the batches, the divisor, and steps that nobody paid for."""

from tests.mutants.base import Mutant

SGD, PLAN, LAYERS, GRADIENTS = (f"dpsynth/deep/{name}.py" for name in ("sgd", "plan", "layers", "gradients"))
ROWS, TRAINING, WEIGHING = (f"dpsynth/deep/{name}.py" for name in ("rows", "training", "weighing"))
START, AUTOREGRESSIVE = (f"dpsynth/deep/{name}.py" for name in ("start", "autoregressive"))
_START = "tests/dpsynth/deep/test_start.py::test_"
NORMAL, ZIGGURAT = "dpsynth/noise/normal.py", "dpsynth/noise/kernel.py"
KERNEL, _KERNEL = "dpsynth/deep/kernel.py", "tests/dpsynth/deep/test_kernel.py::test_"

_SGD, _PLAN, _LAYERS, _GAN = (
    f"tests/dpsynth/deep/test_{name}.py::test_" for name in ("sgd", "plan", "layers", "trained")
)
GHOST, _GHOST = "dpsynth/deep/ghost.py", "tests/dpsynth/deep/test_ghost.py::test_"
ALONE, _OWN = "dpsynth/deep/alone.py", "tests/dpsynth/deep/test_modules.py::test_"
_AT_ONCE = """        losses, square = self.losses_and_squared_norms(codes)
        weights = torch.clamp(clip * 0.99 / torch.sqrt(square), max=1.0)
        trained = [value for value in self.hooked._module.parameters() if value.requires_grad]
        with _silent():
            found = torch.autograd.grad((losses * weights).sum(), trained)
        for name, value in zip(into, found, strict=True):
            into[name].add_(value)
"""
_FORGETS = "tests/dpsynth/deep/test_resuming.py::test_on_fail_the_model_dies_before_the_ledger_says_so"
_RESUMED = "tests/dpsynth/deep/test_resuming.py::test_killed_anywhere_a_release_pays_once_and_splits_once"
_REFUSED = _GHOST + "what_joins_records_draws_decides_or_remembers_is_refused_uncharged"
_KILLS = "tests/dpsynth/deep/test_checkpoints.py::test_killed_anywhere_no_step_is_taken_twice_or_uncharged"
_NORMS = _LAYERS + "norms_of_every_layer_are_those_of_vmap"
_NEIGHBOUR = _SGD + "a_neighbour_moves_the_sum_by_at_most_the_bound"
_NORMAL = "tests/dpsynth/noise/test_normal.py::test_"
_BATCHES = _SGD + "batches_are_independent_coins_of_every_person"
_AUDIT = "tests/dpsynth/deep/test_audit.py::test_no_attack_beats_the_priced_curve_and_the_best_one_comes_near"
_PEOPLE = (
    "    layout = tuple((value.shape, network.masks.get(name)) for name, value in parameters.items())\n"
    "    whole = torch.zeros(sum(shape.numel() for shape, _ in layout), dtype=torch.float64)\n"
    "    expected = charged.plan.expected_batch(phase)\n"
    "    batch = people.batch(sampling_probability=phase.sampling_probability, random=random, expected=expected)\n"
    "    part, held = whole, 0\n"
    "    for codes, first in batch:\n"
)
_COINS = "np.flatnonzero(row_coins(len(self._codes), share=share, random=random))"

MUTANTS = (
    Mutant(
        "deep: no clip", SGD, "torch.clamp(clip * (1.0 - MARGIN) / torch.sqrt(square), max=1.0)",
        "torch.ones_like(square)",
        (_NEIGHBOUR,), "one person moves the sum by any amount",
    ),
    Mutant(
        "deep: the bound for layers one by one", SGD,
        "            weighted_gradients(layer, signal, weights, into, memo, exact=exact)",
        "            weights = torch.clamp(clip / torch.sqrt(squared_norms(layer, signal)), max=1.0)\n"
        "            weighted_gradients(layer, signal, weights, into, exact=exact)",
        (_NEIGHBOUR,), "together they pass the bound",
    ),
    Mutant(
        "deep: sums of people in float32", SGD,
        '        raise ValueError("gradients are summed in float64")', "        pass",
        (_SGD + "a_sum_in_float32_is_refused", _GHOST + "one_person_does_not_change_how_thousands_of_others_round"),
        "one person changes how thousands of others round",
    ),
    Mutant(
        "deep: gradients of people in float32", GRADIENTS,
        "lambda: signal * weights[:, None])", "lambda: (signal * weights[:, None]).half().float())",
        (_LAYERS + "the_clipped_sum_is_that_of_clipped_gradients",), "a record's gradient is rounded past the bound",
    ),
    Mutant(
        "deep: half noise", KERNEL, "drawn[k] * deviation", "drawn[k] * 0.5 * deviation",
        (_SGD + "the_noise_is_the_plans", _AUDIT), "the noise is half of what was charged",
    ),
    Mutant(
        "deep: noise without the bound", SGD, "charged.plan.noise_of(phase) * phase.clip",
        "charged.plan.noise_of(phase) * 1.0",
        (_SGD + "the_noise_is_the_plans",), "a bound above 1 has less noise than was charged",
    ),
    Mutant(
        "deep: shuffled batches accounted as Poisson", SGD, _COINS,
        f"np.argsort(-{_COINS[15:-1]}.astype(int), kind='stable')"
        "[: round(len(self._codes) * sampling_probability)]",
        (_BATCHES,), "a batch of a fixed size isn't amplified as independent coins are",
    ),
    Mutant(
        "deep: a person twice in a batch", SGD, _COINS,
        f"np.repeat({_COINS}, 2)[::3]",
        (_BATCHES,), "a person moves the sum by twice the bound",
    ),
    Mutant(
        "deep: the divisor counts people", SGD, "deviation, expected, random)",
        "deviation, phase.sampling_probability * max(1, len(people._codes)), random)",
        (_SGD + "the_gradient_is_sum_plus_noise_over_the_divisor",), "the number of people is private",
    ),
    Mutant(
        "deep: what isn't finite is summed", SGD, "finite = torch.isfinite(square)",
        "finite = torch.ones_like(square, dtype=torch.bool)",
        (_SGD + "a_gradient_that_is_not_finite_adds_nothing",), "one record makes the whole sum infinite",
    ),
    Mutant(
        "deep: weights share their noise", KERNEL, "noise[used : used + end - start]", "noise[: end - start]",
        (_SGD + "the_noise_is_the_plans", _SGD + "noise_is_one_call_for_all_parameters_and_lands_on_free_weights"),
        "weights share their noise, which can be subtracted",
    ),
    Mutant(
        "deep: squares of some outputs are left out", KERNEL, "total += part[k] * part[k]",
        "total += part[k] * part[k] if k else np.float32(0.0)",
        (_NORMS, _NEIGHBOUR), "norms are too small, so clipped gradients pass the bound",
    ),
    Mutant(
        "deep: numbers of a record's own are shared by position", SGD,
        "    found = draw_normal(records * numbers, random=random).reshape(records, numbers)\n",
        "    network.__dict__.setdefault('kept', draw_normal(CHUNK * numbers, random=random).reshape(CHUNK, numbers))\n"
        "    found = network.__dict__['kept'][:records]\n",
        (_SGD + "every_record_of_a_batch_has_numbers_of_its_own",), "one person more gives all after them other noise",
    ),
    Mutant(
        "deep: numbers stay where records are left out", SGD, "own[finite]", "own[: int(finite.sum())]",
        (_SGD + "a_record_keeps_its_numbers_when_others_are_left_out",), "one record moves the noise of all after it",
    ),
    Mutant(
        "deep: company by rank", SGD, "np.searchsorted(places[chosen], np.arange(1, intervals) / intervals)",
        "np.arange(1, intervals) * len(chosen) // intervals",
        (_SGD + "one_person_more_changes_the_company_of_one_interval_alone",),
        "one person changes how everybody's products round",
    ),
    Mutant(
        "deep: float32 sums of too many people", GRADIENTS, "ROUNDED = 2**16", "ROUNDED = 2**17",
        (_KERNEL + "float32_sums_of_a_chunk_round_by_a_256th_of_the_bound_at_most",),
        "one person changes how others' gradients round by more than the margin",
    ),
    Mutant(
        "deep: slices are taken for shorter than they are", GRADIENTS,
        "2 * math.ceil(records / parts) / 3", "parts / 3",
        (_KERNEL + "float32_sums_of_a_chunk_round_by_a_256th_of_the_bound_at_most",),
        "one person changes how others' gradients round by more than the margin",
    ),
    Mutant(
        "deep: any number of people in float32", SGD, "exact=not first)", "exact=False)",
        (_SGD + "what_is_beyond_the_declared_people_is_summed_in_float64",),
        "with more people than were declared, one person changes how all of them round",
    ),
    Mutant(
        "deep: gradients are multiplied in bfloat16 where somebody asks for it elsewhere", GRADIENTS,
        ' or torch.is_autocast_enabled("cpu")', "",
        (_KERNEL + "products_of_fewer_bits_are_not_asked_for",), "products round past the margin",
    ),
    Mutant(
        "deep: a large batch forgets its last people", SGD,
        "    whole = whole if part is whole else whole.add_(part)\n    dev", "    dev",
        (_SGD + "large_batches_are_summed_in_parts",), "people who paid aren't in the sum",
    ),
    Mutant(
        "deep: a large batch counts people twice", SGD, "part, held = torch.zeros_like(whole), 0",
        "part, held = whole.clone(), 0",
        (_SGD + "large_batches_are_summed_in_parts",), "a person moves the sum by twice the bound",
    ),
    Mutant(
        "deep: gradients are multiplied in bfloat16", GRADIENTS, 'asked in ("none", "ieee")', "True",
        (_KERNEL + "products_of_fewer_bits_are_not_asked_for",), "products round past the margin",
    ),
    Mutant(
        "deep: a step for nothing", PLAN, "self._left[phase.label] -= 1", "self._left[phase.label] -= 0",
        (_PLAN + "no_step_is_taken_twice_or_uncharged", _SGD + "an_empty_batch_takes_its_step_and_its_noise"),
        "more steps are taken than were charged",
    ),
    Mutant(
        "deep: the step after the records", SGD,
        f"    charged.take(phase)\n{_PEOPLE}", f"{_PEOPLE}        charged.take(phase)\n",
        (_SGD + "a_step_is_taken_before_a_record_is_looked_at",), "an uncharged step reads records",
    ),
    Mutant(
        "deep: one step charged for a phase", PLAN, "count=phase.steps", "count=1",
        (_PLAN + "the_events_are_what_is_done",), "a whole phase is paid as one step",
    ),
    Mutant(
        "deep: a bias is free", GRADIENTS, "own = 0.0 if layer.bias is None else 1.0", "own = 0.0",
        (_NORMS,), "norms leave out biases, so clipped gradients pass the bound",
    ),
    Mutant(
        "deep: lookups count as one column", GRADIENTS, "columns = float(layer.rows.shape[1])", "columns = 1.0",
        (_NORMS,), "norms of lookups are too small",
    ),
    Mutant(
        "deep: one reach for all blocks", GRADIENTS,
        "torch.tensor(columns) if reach is None else reach.blocks.sum(dim=0)",
        "torch.tensor(columns) if reach is None else reach.blocks.amax(dim=0)",
        (_NORMS,), "norms of masked lookups are too small",
    ),
    Mutant(
        "deep: centred codes count less than they are", LAYERS, "1.0 - 2.0 * shares + squares", "1.0 - 2.0 * shares",
        (_NORMS,), "norms of centred lookups are too small",
    ),
    Mutant(
        "deep: a parameter used twice", LAYERS, "        if name in self._used:", "        if not self._used:",
        (_LAYERS + "a_parameter_is_used_once",), "norms of shared parameters don't add up",
    ),
    Mutant(
        "deep: units of many rows", PLAN, "if max_rows != 1:", "if max_rows < 1:",
        (_SGD + "units_of_several_rows_are_refused",), "a person's rows are clipped one by one",
    ),
    Mutant(
        "deep: a plan is charged after its people are read", TRAINING,
        "    charged = charge_plan(\n        plan,\n",
        "    people = People(source, order=order)\n    charged = charge_plan(\n        plan,\n",
        (_GAN + "the_plan_is_charged_once_before_a_record_is_read", _GAN + "a_refused_charge_reads_nothing"),
        "a refused release has read its people",
    ),
    Mutant(
        "deep: the critic's people without noise", WEIGHING,
        "        add_clipped(made, parameters, chosen, clip=phase.clip, into=other)\n",
        "        add_clipped(made, parameters, chosen, clip=phase.clip, into=other)\n"
        "        for codes, _ in training.people.batch(sampling_probability=1.0, random=training.random):\n"
        "            add_clipped(critic, parameters, codes, clip=phase.clip, into=other)\n",
        (_GAN + "people_are_seen_through_noisy_gradients_alone",), "exact gradients of people reach the critic",
    ),
    Mutant(
        "deep: a classifier is charged after its people are read", "dpsynth/deep/finetune.py",
        '    charged = charge_plan(plan, delta=delta, spend=spend, label="tuning of a classifier", sides=sides)\n'
        "    people, adam = People(source, order=order), Adam()\n",
        "    people, adam = People(source, order=order), Adam()\n"
        '    charged = charge_plan(plan, delta=delta, spend=spend, label="tuning of a classifier", sides=sides)\n',
        ("tests/dpsynth/deep/test_finetune.py::test_a_refused_charge_reads_nothing",),
        "a refused tuning has read its people",
    ),
    Mutant(
        "deep: the pool counts people", ROWS, "config.pool_rows(training.charged.plan.people)",
        "config.pool_rows(len(training.people._codes))",
        (_GAN + "people_are_seen_through_noisy_gradients_alone",), "the model's size tells how many people there are",
    ),
    Mutant(
        "deep: a plan of another budget is run", "dpsynth/deep/planning.py",
        "    if price(plan_event(plan, delta=config.delta), coordinate).amount > amount:", "    if amount < 0:",
        ("tests/dpsynth/deep/test_release.py::test_a_plan_for_more_than_the_amount_trains_nothing",),
        "training costs more than its share of the release",
    ),
    Mutant(
        "deep: strangers of the same rows", "dpsynth/sampling/sampler.py",
        "model.part(0.0, 1.0 - share), model.part(1.0 - share, 1.0)", "model, model",
        ("tests/dpsynth/deep/test_release.py::test_strangers_are_rows_that_the_table_has_not",),
        "the gate takes copies for strangers",
    ),
    Mutant(
        "normal: the wedge is kept whole", ZIGGURAT, ">= math.exp(-0.5 * value * value)", ">= 1.0",
        (_NORMAL + "the_law_is_normal_in_every_strip_and_beyond_them",), "the law isn't normal",
    ),
    Mutant(
        "normal: the tail is exponential", ZIGGURAT, "found = 2.0 * other > beyond * beyond", "found = True",
        (_NORMAL + "the_tail_is_exponential_places_that_a_second_word_keeps",
         _NORMAL + "the_law_is_normal_in_every_strip_and_beyond_them"), "the tail isn't normal",
    ),
    Mutant(
        "normal: no tail", ZIGGURAT, "value = BASE + beyond", "value = BASE",
        (_NORMAL + "the_law_is_normal_in_every_strip_and_beyond_them",), "large noise is missing",
    ),
    Mutant(
        "normal: a tail of 53 bits", ZIGGURAT,
        "-math.log((np.float64(words[taken + 1] >> np.uint64(1)) + 1.0) * _TO_TAIL)",
        "-math.log((np.float64(words[taken + 1] >> np.uint64(11)) + 1.0) * _TO_UNIT)",
        (_NORMAL + "the_largest_normal_is_that_of_the_smallest_words",), "the tail ends earlier than is stated",
    ),
    Mutant(
        "normal: the sign is the strip's", ZIGGURAT, "(word >> np.uint64(7)) & np.uint64(2)",
        "(word << np.uint64(1)) & np.uint64(2)",
        (_NORMAL + "signs_are_fair_and_independent_of_the_strip",), "one side of the noise is known from its size",
    ),
    Mutant(
        "normal: numbers that need more words are dropped", ZIGGURAT,
        "                if taken + 1 > left:\n                    return count, used",
        "                if taken + 1 > left:\n                    return count, left",
        (_NORMAL + "blocks_of_words_make_no_difference",), "large noise is rarer at the ends of blocks",
    ),
    Mutant(
        "normal: one key for all calls", NORMAL, "bytes(random.draw(_BYTE, 32).tolist())", "bytes(32)",
        ("tests/dpsynth/noise/test_normal.py::test_each_call_has_a_key_of_its_own_from_the_source",),
        "noise that was added once can be subtracted",
    ),
    Mutant(
        "deep: more noise is charged than is added", SGD, "charged.plan.noise_of(phase) * phase.clip",
        "charged.plan.noise_multiplier * phase.clip",
        (_SGD + "the_noise_is_the_plans",), "a phase that is priced for more noise runs with less",
    ),
    Mutant(
        "deep: shares of codes are counted", START, "    noisy = counter.shares(found,",
        "    from dpsynth.deep.sgd import add_clipped\n"
        "    found = {name: value.double() for name, value in found.items()}\n"
        "    for codes, _ in training.people.batch(sampling_probability=1.0, random=training.random):\n"
        "        add_clipped(counter, found, codes, clip=phase.clip, into=found)\n"
        "    found = {name: value / len(training.people._codes) for name, value in found.items()}\n"
        "    noisy = counter.shares(found,",
        (_GAN + "people_are_seen_through_noisy_gradients_alone",), "raw frequencies of codes make the rows",
    ),
    Mutant(
        "deep: a start's bound without its columns' weights", START, "size ** (1 / 3) / whole))", "1.0))",
        (_START + "every_record_moves_the_counts_by_one_in_all",), "every record is clipped, and shares are wrong",
    ),
    Mutant(
        "deep: noise in pairs is believed", START, "max(deviation, FEWEST) ** 2", "FEWEST**2",
        (_START + "what_noise_explains_of_a_pair_is_taken_away", _START + "a_column_of_numbers_tells_a_curve"),
        "rows are made of noise",
    ),
    Mutant(
        "deep: rare codes are believed as common ones are", START, "rows[:, None] * alike * rows",
        "alike / len(rows) ** 2",
        (_START + "a_rare_code_does_not_tell_what_its_noise_says",), "noise decides what goes with a rare code",
    ),
    Mutant(
        "deep: biases of columns that aren't learned have noise", AUTOREGRESSIVE,
        "(weights > 0).float()", "(weights >= 0).float()",
        (_SGD + "weights_outside_the_masks_stay_zero", _START + "columns_that_are_not_learned_stay_where_they_start"),
        "noise moves columns that no gradient moves",
    ),
    Mutant(
        "deep: steps aren't written down", PLAN, "            self._note()", "            pass",
        (_KILLS, _PLAN + "what_another_process_took_is_taken"), "a run that goes on takes its steps again",
    ),
    Mutant(
        "deep: steps of a dead process are taken again", PLAN, "self._left[phase.label], taken = phase.steps - behind",
        "self._left[phase.label], taken = phase.steps",
        (_KILLS, _PLAN + "what_another_process_took_is_taken"), "more steps are run than were charged",
    ),
    Mutant(
        "deep: a run that goes on is charged again", PLAN, "    if not charged:\n", "    if charged or not charged:\n",
        (_KILLS,), "one plan is paid twice",
    ),
    Mutant(
        "deep: a step is written down after its batch", "dpsynth/deep/sgd.py",
        "    charged.take(phase)\n    layout =", "    people.batch(sampling_probability=1.0, random=random)\n"
        "    charged.take(phase)\n    layout =",
        (_KILLS,), "a process that dies in between has read people for a step that runs again",
    ),
    Mutant(
        "deep: any state is taken", "dpsynth/deep/checkpoints.py", "if not whole or any(", "if not whole and any(",
        ("tests/dpsynth/deep/test_checkpoints.py::test_states_are_of_one_run_plan_and_phase_and_whole",),
        "a state of another run goes on in this one",
    ),
    Mutant(
        "deep: a module's gradients without a bound", ALONE,
        "torch.clamp(clip * (1.0 - MARGIN) / torch.sqrt(square[finite]), max=1.0)", "torch.ones_like(square[finite])",
        ("tests/dpsynth/deep/test_modules.py::test_a_neighbour_moves_the_sum_by_at_most_the_bound",
         _GHOST + "a_neighbour_moves_the_sum_by_at_most_the_bound"),
        "one person moves a module's sum by any amount",
    ),
    Mutant(
        "deep: a module's code runs on people", ALONE, "each = vmap(graph,", "each = vmap(of_values,",
        (_OWN + "what_a_module_keeps_or_writes_changes_nobodys_gradient",),
        "a module keeps one batch for the next, where one person moves everybody's gradient",
    ),
    Mutant(
        "deep: a module draws for everybody at once", ALONE, "vmap(graph, in_dims=(None, 0))",
        'vmap(graph, in_dims=(None, 0), randomness="different")',
        (_OWN + "what_draws_decides_writes_or_calls_other_code_is_refused_uncharged",),
        "what a module draws depends on a record's position, and isn't the system's randomness",
    ),
    Mutant(
        "deep: a module calls any code", ALONE, "    _require_torch(graph)\n", "",
        (_OWN + "what_draws_decides_writes_or_calls_other_code_is_refused_uncharged",),
        "code that isn't torch's sees people",
    ),
    Mutant(
        "deep: batches go through a module at once", GHOST,
        "        add_alone(self.gradients, parameters, codes, clip=clip, into=into)\n",
        _AT_ONCE,
        (_GHOST + "the_bound_holds_whatever_a_module_does_on_rare_codes_or_in_large_batches",),
        "what made-up records don't show moves the sum past the bound",
    ),
    Mutant(
        "deep: small losses are close to anything", GHOST, "CLOSE * other.detach().abs().max()", "CLOSE",
        (_REFUSED,), "a scaled loss hides from the look what joins records",
    ),
    Mutant(
        "deep: through opacus in float32", GHOST, "copy.deepcopy(module).double().train()",
        "copy.deepcopy(module).float().train()",
        (_GHOST + "one_person_does_not_change_how_thousands_of_others_round",),
        "one person changes how thousands of others round",
    ),
    Mutant(
        "deep: norms of opacus are believed", GHOST, "        if not _same(norms, squares[order]):",
        "        if len(norms) != len(squares):",
        (_REFUSED,), "a parameter that opacus doesn't see in use passes the bound",
    ),
    Mutant(
        "deep: company isn't looked at", GHOST, "or not _same(found, losses[order]):", "or not len(found):",
        (_REFUSED,), "one person moves the gradients of all others in the batch",
    ),
    Mutant(
        "deep: modules are looked at where they start", GHOST, "_look_at(moved(own), loss,",
        "_look_at(copy.deepcopy(own), loss,",
        (_REFUSED,), "weights that are zero at first hide what comes after",
    ),
    Mutant(
        "deep: a module with memory goes through opacus", GHOST,
        "next(own.buffers(), None) is not None or ModuleValidator.validate(own, strict=False)", "False",
        (_REFUSED,), "a batch norm joins the records of a batch",
    ),
    Mutant(
        "deep: what isn't finite is summed through opacus", ALONE, "finite = torch.isfinite(square)",
        "finite = torch.ones_like(square, dtype=torch.bool)",
        (_GHOST + "a_gradient_that_is_not_finite_adds_nothing",), "one record makes the whole sum infinite",
    ),
    Mutant(
        "deep: a module's plan is charged after its people are read", "dpsynth/deep/modules.py",
        "    charged = charge_plan(terms.plan,", "    People(source)\n    charged = charge_plan(terms.plan,",
        (_GHOST + "the_plan_is_charged_before_a_record_is_read",
         "tests/dpsynth/deep/test_modules.py::test_the_plan_is_charged_before_a_record_is_read"),
        "a refused training has read its people",
    ),
    Mutant(
        "deep: pairs are measured beside the bound", START, '("pairs of", len(sizes), joint, pairs)):',
        '("pairs of", len(sizes), joint, 1.0)):',
        (_START + "every_record_moves_the_counts_by_one_in_all",), "every record is clipped, and shares are wrong",
    ),
    Mutant(
        "deep: a release that goes on splits anew", "dpsynth/resuming.py", 'KeptRandom(found["split key"].tobytes())',
        "run.random",
        (_RESUMED,), "people who paid as holdout pay as training people, too",
    ),
    Mutant(
        "deep: a release that goes on counts people anew", "dpsynth/resuming.py",
        "    if run.reservation.state.steps:\n        run.checkpoints.forget_all()",
        "    if len(run.reservation.state.steps) > 9:\n        run.checkpoints.forget_all()",
        (_RESUMED,), "people are counted twice, or a count that was lost is drawn again",
    ),
    Mutant(
        "deep: a verdict is drawn again", "dpsynth/resuming.py", "    if any(step.label not in known",
        "    if all(step.label not in known",
        (_RESUMED,), "whoever kills a release after a bad verdict gets another one",
    ),
    Mutant(
        "deep: a release goes on with any table", "dpsynth/resuming.py",
        'if found["commitment"].tobytes().hex() != commitment:', "if not found:",
        ("tests/dpsynth/deep/test_resuming.py::test_it_goes_on_with_its_own_table_and_plan_alone",),
        "coins by position put other people on the sides",
    ),
    Mutant(
        "deep: a failed model stays on the disk", "dpsynth/line.py",
        "    forget_run(run)  # on FAIL the model dies with the table, before the ledger says so\n", "",
        (_FORGETS,), "on FAIL the model outlives its table",
    ),
    Mutant(
        "deep: what can't go on keeps its model", "dpsynth/resuming.py",
        "        forget_run(run)\n        raise", "        raise",
        (_RESUMED,), "a process that dies after a bad verdict leaves the model",
    ),
    Mutant(
        "deep: a run that was ended keeps its split", "dpsynth/runs.py", "        forget_states(folder)\n", "",
        ("tests/dpsynth/deep/test_resuming.py::test_a_run_that_was_ended_by_hand_leaves_no_states",),
        "who was trained on stays readable",
    ),
    Mutant(
        "deep: checkpoints lie where the table is published", "dpsynth/publishing.py", "if checkpoints is not None:",
        "if checkpoints is None and ledger is None:",
        ("tests/dpsynth/deep/test_resuming.py::test_checkpoints_stand_apart_from_what_is_published_and_the_ledger",),
        "states of a run are published",
    ),
    Mutant(
        "deep: any key returns the stored release", "dpsynth/runs.py", " and found.key_hash == hash_of_key(key)", "",
        (_FORGETS,), "another release is reserved and never ended",
    ),
)
