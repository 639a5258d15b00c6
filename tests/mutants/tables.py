"""Faults of learned encodings and of columns that are computed: what is charged, for whom, and what may be read."""

from tests.mutants.base import Mutant

HISTOGRAMS, LEARNING, LINE = "dpsynth/mechanisms/histograms.py", "dpsynth/learning.py", "dpsynth/line.py"
MERGE, SHAPES, PLAN = "dpsynth/encode/merge.py", "dpsynth/encode/histograms.py", "dpsynth/plan.py"
MODELS, ENCODER, RULES = "dpsynth/schema/models.py", "dpsynth/encode/encoder.py", "dpsynth/encode/rules.py"

CONDITIONS, CONTRADICTIONS = "dpsynth/encode/conditions.py", "dpsynth/encode/contradictions.py"
MAKING = "dpsynth/encode/making.py"
PARTITIONS = "dpsynth/noise/partitions.py"
TEMPORAL, STATEMENT = "dpsynth/encode/temporal.py", "dpsynth/statement.py"

_ORACLE = "tests/oracles/test_histograms.py::"
_MERGES = "tests/dpsynth/encode/test_merges.py::"
_LINE = "tests/dpsynth/test_learning.py::"
_RULED = "tests/dpsynth/test_rules.py::"
_LATE = "tests/dpsynth/test_late_rules.py::"
_MADE = "tests/dpsynth/encode/test_generated.py::"
_KINDS = "tests/dpsynth/encode/test_kinds.py::"
_SELECTED, _OPEN = "tests/oracles/test_partitions.py::", "tests/dpsynth/test_open_columns.py::"

MUTANTS = (
    Mutant(
        "histograms: exact cells beside noisy blocks", HISTOGRAMS,
        "found[name] = Histogram(cells=noisy, sigma=sigma, blocks=sums",
        "found[name] = Histogram(cells=next(iter(source.counts([(name,)])))[1][:size], sigma=sigma, blocks=sums",
        (_ORACLE + "test_histograms_of_neighbours", _ORACLE + "test_merges_read_nothing_but_accounted_outputs"),
        "bins and spikes are made of counts without noise",
    ),
    Mutant(
        "histograms: counted before they are charged", "dpsynth/noise/measure.py",
        "    discrete_gaussian_table(sigma)\n    events = [DiscreteGaussian(",
        "    discrete_gaussian_table(sigma)\n    count()\n    events = [DiscreteGaussian(",
        (_ORACLE + "test_whoever_is_read_is_charged_within_the_amount_and_before_the_count",),
        "records are read before anybody is charged",
    ),
    Mutant(
        "histograms: people of many rows pay for one", HISTOGRAMS,
        "sensitivity = float(self.source.max_rows)", "sensitivity = 1.0",
        (_ORACLE + "test_histograms_of_neighbours",), "sensitivity of a row for people",
    ),
    Mutant(
        "histograms: each column has the whole budget", HISTOGRAMS,
        "half = min(halves, default=1)", "half = amount // 2",
        (_ORACLE + "test_histograms_of_neighbours",), "the share of the encoding is overspent",
    ),
    Mutant(
        "histograms: null is counted", HISTOGRAMS, "size = source.domain.size(name) - apart[name]",
        "size = source.domain.size(name)",
        (_LINE + "test_a_fit_charges_both_sides_and_its_model_loads_again",),
        "codes and cells no longer match",
    ),
    Mutant(
        "learning: the number of bins follows the exact number of rows", LEARNING,
        "rows = max(1.0, sum(sums) / len(sums))",
        "rows = float(sum(len(units) for _, units in source.blocks())) ** 4",
        (_ORACLE + "test_the_number_of_bins_follows_the_noisy_rows",), "the row count isn't private",
    ),
    Mutant(
        "line: the encoding is learned from the holdout, too", LINE,
        "                    training,\n                    amount=run.plan.encoding_amount,",
        "                    holdout,\n                    amount=run.plan.encoding_amount,",
        (_LINE + "test_the_encoding_sees_training_people",), "holdout people pay nothing for it",
    ),
    Mutant(
        "fit: the encoding is charged to training people alone", "dpsynth/fitting.py",
        "sides=BOTH_SIDES,\n                )\n                source = recoded",
        "sides=BOTH_SIDES[:1],\n                )\n                source = recoded",
        (_LINE + "test_a_fit_charges_both_sides_and_its_model_loads_again",), "wrong sides",
    ),
    Mutant(
        "plan: the encoding comes on top of the synthesizer", PLAN,
        "return self.encoding_amount + planned_amount(self.selections)", "return planned_amount(self.selections)",
        (_LINE + "test_the_plan_prints_the_share_of_the_encoding_before_anything_is_touched",),
        "more is planned than the cap",
    ),
    Mutant(
        "merge: cells come out in the order of the rows", MERGE,
        "rows = np.lexsort((generator.random(len(codes)), codes))", 'rows = np.argsort(codes, kind="stable")',
        (_MERGES + "test_what_is_split_is_independent_of_the_order_of_the_rows",), "rows of a code are comonotone",
    ),
    Mutant(
        "merge: evenly within a bin", MERGE, "return np.divide(self.weights, whole, out=equal, where=whole > 0)",
        "return equal",
        (_MERGES + "test_splitting_gives_each_code_its_own_cells_in_their_shares",), "a spike is spread",
    ),
    Mutant(
        "bins: a rule's cut lies within a bin", SHAPES, "must = set(cuts)", "must = set[int]()",
        (_MERGES + "test_cuts_of_rules_begin_bins",), "codes no longer decide whether a rule holds",
    ),
    Mutant(
        "bins: full runs use up what is reserved for cuts", SHAPES, "used + (i not in must)", "used",
        (_MERGES + "test_cuts_where_nobody_is_leave_no_bins_over_to_others",),
        "the domain is larger than the plan checked, which refuses after the records were read",
    ),
    Mutant(
        "derived: the column is learned all the same", MODELS,
        " and not column.generated\n        }", "\n        }",
        (_MERGES + "test_derived_columns_are_computed_and_never_read",), "the dependency doesn't hold in the output",
    ),
    Mutant(
        "rules: a null isn't forbidden", RULES, "        inside[-1] = True\n", "        pass\n",
        (_RULED + "test_codes_decide_what_values_decide",), "rows break a rule about null",
    ),
    Mutant(
        "rules: up to means below", CONDITIONS, '"up_to": np.less_equal', '"up_to": np.less',
        (_RULED + "test_codes_decide_what_values_decide", _RULED + "test_no_rule_is_ever_broken",
         _LATE + "test_conditions_of_a_sample_read_the_same"),
        "rows break a rule at its bound",
    ),
    Mutant(
        "rules: bins don't begin where a rule says something", MAKING,
        "extra = rule_cuts(table.rules, name, column, resolution_of(column))", "extra = list[float]()",
        (_RULED + "test_codes_decide_what_values_decide",), "a code fulfils a condition in part",
    ),
    Mutant(
        "rules: a contradiction isn't looked for", PLAN, "    encoder.check_rules()\n", "",
        (_RULED + "test_contradictory_rules_are_refused_with_a_smallest_set",), "a release would never end",
    ),
    Mutant(
        "drawing: the rounded rows stay whatever the rules", "dpsynth/drawing.py",
        "codes.append(found[:, good][:, :left])", "codes.append(found[:, :left])",
        (_RULED + "test_rows_are_the_models_given_the_rules",), "codes that the gate sees aren't those that leave",
    ),
    Mutant(
        "drawing: a row that breaks an order is swapped", ENCODER,
        "        kept &= rules_kept(self.schema, table)\n", "",
        (_RULED + "test_an_order_of_columns_is_kept_within_bins_too", _LATE + "test_rows_are_the_models_given_rules_"
         "on_order_and_on_columns_made_on_output"), "an order doesn't hold in the output",
    ),
    Mutant(
        "rules: what is computed or drawn is held against no condition", CONDITIONS,
        "            if decided_late(schema, box) and _has(box, known):", "            if False:",
        (_LATE + "test_rows_are_the_models_given_rules_on_order_and_on_columns_made_on_output",),
        "rules on computed columns don't hold in the output",
    ),
    Mutant(
        "rules: what isn't known breaks a rule", CONDITIONS,
        "np.logical_and.reduce([*hit, *sure])", "np.logical_and.reduce(hit)",
        (_LATE + "test_a_fitted_model_keeps_rules_on_computed_columns_in_every_kind_of_sample",),
        "rows that can be completed are refused",
    ),
    Mutant(
        "rules: labels have no order", RULES,
        "within(np.arange(len(labels)), placed(condition, encoder.column).limits)", "np.zeros(len(labels), bool)",
        (_LATE + "test_an_order_of_labels_is_a_structural_zero_and_the_search_sees_it",),
        "rows break an order of labels",
    ),
    Mutant(
        "rules: bins of dates don't begin where a rule says something", MAKING,
        "extra=rule_cuts(table.rules, name, column, Fraction(1)))", "extra=[])",
        (_LATE + "test_rules_on_dates_and_times_hold_and_bins_begin_where_they_speak",),
        "a code fulfils a condition in part",
    ),
    Mutant(
        "contradictions: steps of different resolutions are compared", CONTRADICTIONS,
        "scale = encoder.column.step if isinstance(encoder, TemporalEncoder) else 1", "scale = 1",
        (_LATE + "test_orders_of_times_of_different_resolutions_are_compared_as_times",),
        "rules that can be kept are refused",
    ),
    Mutant(
        "contradictions: what may be null is surely not", CONTRADICTIONS,
        "or not (null or interval is None)", "or interval is not None",
        (_LATE + "test_a_quotient_that_may_be_null_contradicts_nothing",), "rules that can be kept are refused",
    ),
    Mutant(
        "rules: an order compares what is stored, whatever its unit", CONDITIONS,
        "        return moments.values, moments.state == 0\n",
        "        return moments.values // 1_000_000 * (stored.type.bit_width // 32), moments.state == 0\n",
        (_RULED + "test_an_order_holds_whatever_types_its_columns_are_stored_in",),
        "rows break a rule that the certificate says holds",
    ),
    Mutant(
        "statement: the encoding is learned wherever it was planned", STATEMENT,
        "    learned = any(step.label.startswith(ENCODING_STEP) for step in facts.kept.steps)\n",
        "    learned = facts.plan.encoding_amount > 0\n",
        (_LINE + "test_where_too_few_people_end_a_run_nothing_is_said_to_be_learned",),
        "the certificate speaks of histograms that nobody drew",
    ),
    Mutant(
        "statement: rules are no public inputs", STATEMENT,
        "enumerate(table.rules, 1)", "enumerate(table.rules[:0], 1)",
        ("tests/dpsynth/test_statement.py::"
         "test_rules_derived_columns_and_what_is_learned_are_public_inputs_with_their_provenance",),
        "nobody learns where a rule comes from",
    ),
    Mutant(
        "times: seconds are cast as Arrow casts them", TEMPORAL, "    found = numbers(array)\n",
        "    found = numbers(pc.cast(array, pa.float64()))\n",
        ("tests/dpsynth/encode/test_temporal.py::test_total_on_any_stored_type",),
        "one record decides whether a release fails, and its value is in the message",
    ),
    Mutant(
        "fit: structural zeros are left out", "dpsynth/synthesizers.py",
        "if forbidden.any() and sizes.within([clique], cells=ZEROS_CELLS, megabytes=model_mb)[0]:", "if False:",
        (_RULED + "test_a_fit_holds_what_it_can_in_the_model_and_the_rest_in_sampling",),
        "the model spends its mass on rows that are never drawn",
    ),
    Mutant(
        "times: a moment with a zone is read as if it had none", "dpsynth/schema/temporal.py",
        "moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)", "moment = moment.replace(tzinfo=None)",
        ("tests/dpsynth/encode/test_temporal.py::test_one_moment_has_one_code_in_every_form",),
        "one moment has two codes, by the form it is stored in",
    ),
    Mutant(
        "open: whatever the noisy count, a label comes out", PARTITIONS, "passed = noisy >= event.threshold",
        "passed = noisy >= 1", (_SELECTED + "test_labels_of_neighbours",), "labels of single people are released",
    ),
    Mutant(
        "open: half of the noise", PARTITIONS, "draw_discrete_gaussian(event.sigma, held.size",
        "draw_discrete_gaussian(event.sigma / 2, held.size", (_SELECTED + "test_labels_of_neighbours",),
        "what is charged is less than what is told",
    ),
    Mutant(
        "open: labels are found out for nothing", PARTITIONS,
        "    spend.charge([Step(label=label, event=event, sides=sides)])\n", "",
        (_SELECTED + "test_whoever_is_read_is_charged_before_anything_is_counted",), "a charge is missing",
    ),
    Mutant(
        "open: counted before it is charged", PARTITIONS,
        "    spend.charge([Step(label=label, event=event, sides=sides)])\n    people = count()\n",
        "    people = count()\n    spend.charge([Step(label=label, event=event, sides=sides)])\n",
        (_SELECTED + "test_whoever_is_read_is_charged_before_anything_is_counted",), "read before anybody is charged",
    ),
    Mutant(
        "open: labels are found among everybody", LINE,
        "                    encoder,\n                    training,\n                    records.opened,",
        "                    encoder,\n                    records.source,\n                    records.opened,",
        (_OPEN + "test_labels_are_found_among_training_people_alone",), "holdout people pay nothing for it",
    ),
    Mutant(
        "open: rows are counted, not people", "dpsynth/selecting.py",
        "    held = np.unique(np.concatenate(pairs)) & np.uint64(2**32 - 1)\n",
        "    held = np.concatenate([codes[place] for codes, _ in source.blocks()])\n",
        (_SELECTED + "test_labels_of_neighbours",), "a person of many rows adds more than 1 to a label",
    ),
    Mutant(
        "open: a person of many rows pays for one label", "dpsynth/selecting.py",
        "        event = _within(name, sigma, rows, room, coordinate)\n",
        "        event = _within(name, sigma, 1, room, coordinate)\n",
        (_OPEN + "test_people_are_counted_not_rows_and_hold_as_many_labels_as_rows",),
        "sensitivity of a row for people",
    ),
    Mutant(
        "open: the delta isn't reserved", PLAN, " + planned_delta(self.selections)\n", "\n",
        (_OPEN + "test_the_plan_shows_the_share_and_reserves_the_delta",), "a charge beyond what was reserved",
    ),
    Mutant(
        "open: which rows of a person stay depends on others", "dpsynth/records.py",
        "        ranked[place] = digests(values)[codes[place]]\n", "        pass\n",
        (_OPEN + "test_which_rows_of_a_person_stay_depends_on_their_values_alone",),
        "one person more changes rows of others, and no sensitivity holds",
    ),
    Mutant(
        "open: what didn't pass keeps its label", "dpsynth/encode/opened.py",
        "    known = (*column.categories, *labels)\n    rest =",
        "    known = (*column.categories, *labels, *(() if labels else (\"zqx-astronaut-1\",)))\n    rest =",
        (_OPEN + "test_the_rest_is_what_was_declared_in_a_fit_and_in_its_loaded_model",
         _OPEN + "test_any_values_are_coded_within_what_was_declared_or_found"), "an undeclared label appears",
    ),
    Mutant(
        "open: a code of null may be a label", "dpsynth/encode/opened.py",
        "declared = (*column.categories, column.otherwise, REST, *column.nulls)",
        "declared = (*column.categories, column.otherwise, REST)",
        (_OPEN + "test_no_label_that_passes_is_a_code_of_null_however_it_is_spelled",),
        "an error after the data was opened tells what passed",
    ),
    Mutant(
        "open: texts are numbers in every table", "dpsynth/encode/opened.py",
        'exactly = family(array.type) in ("text", "binary") and not self.inferred', "exactly = False",
        (_OPEN + "test_labels_of_text_keep_their_bytes",), "labels are written in another way than in the table",
    ),
    Mutant(
        "open: texts are never numbers", "dpsynth/records.py",
        "inferred = handle.structure.format is Format.PANDAS", "inferred = False",
        (_OPEN + "test_no_record_decides_the_value_of_another_in_a_dataframe",),
        "one record decides whether the others' labels are 1 or 1.0",
    ),
    Mutant(
        "statement: labels are found out wherever it was planned", STATEMENT,
        "    found = any(isinstance(step.event, PartitionSelection) for step in facts.kept.steps)\n",
        "    found = bool(facts.plan.selections)\n",
        (_OPEN + "test_too_few_people_find_nothing_and_nothing_is_said_of_it",),
        "the certificate speaks of a selection that nobody drew",
    ),
    Mutant(
        "verify: a selection that wasn't planned", "dpsynth/certificate/planned.py",
        "    require([(step.label, step.event) for step in steps] == due, ", "    require(True, ",
        ("tests/dpsynth/certificate/test_verify_release.py::test_a_selection_of_labels_that_wasnt_planned_is_found",),
        "a certificate may state another threshold than the planned one",
    ),
    Mutant(
        "nulls: codes of absent values are values", "dpsynth/encode/encoder.py",
        "array = without_null_codes(block[name], self.schema.columns[name])", "array = block[name]",
        (_KINDS + "test_each_code_of_an_absent_value_is_null_and_special_numbers_come_back",),
        "a code that means nothing is learned as a number",
    ),
    Mutant(
        "special: a special number is clamped like any other", "dpsynth/encode/columns.py",
        "            codes[(found.values == number) & (found.state == 0)] = code\n", "            pass\n",
        (_KINDS + "test_each_code_of_an_absent_value_is_null_and_special_numbers_come_back",),
        "a refusal becomes the smallest value",
    ),
    Mutant(
        "special: the histograms of an encoding count special numbers as the last cell", ENCODER,
        "name: column.size - column.scale if isinstance(column, BINNED)",
        "name: int(column.column.nullable) if isinstance(column, BINNED)",
        (_KINDS + "test_special_numbers_are_left_out_of_what_is_learned",), "codes and cells no longer match",
    ),
    Mutant(
        "constant: the column is learned", MODELS, "isinstance(column, Identifier | Constant)",
        "isinstance(column, Identifier)",
        (_KINDS + "test_each_code_of_an_absent_value_is_null_and_special_numbers_come_back",),
        "a column that is declared never to be read is read",
    ),
    Mutant(
        "computed: rows out of bounds are clamped", "dpsynth/encode/computed.py",
        "        good &= inside | ~known\n", "",
        (_MADE + "test_any_computation_is_exact_and_within_its_bounds",), "a sum doesn't hold in the output",
    ),
    Mutant(
        "computed: a special number is added up", "dpsynth/encode/computed.py",
        "np.where(special & (found.state == 0), np.int8(-1), found.state)", "found.state",
        (_MADE + "test_computed_columns_are_right_in_every_row_and_rows_are_the_models_given_their_bounds",),
        "a code of a refusal is a number in a sum",
    ),
    Mutant(
        "computed: bounds are no rule", CONTRADICTIONS, ", *_computed(schema, columns)]", "]",
        (_MADE + "test_contradictions_with_bounds_of_computed_columns_are_named",), "a release would never end",
    ),
    Mutant(
        "drawn: all rows have the same draw", "dpsynth/encode/drawn.py", "u = generator.random(len(absent))",
        "u = np.full(len(absent), generator.random())", (_MADE + "test_drawn_columns_have_their_declared_law",),
        "another law than the declared one",
    ),
    Mutant(
        "feasible: shares are looked at in the largest domain alone", "dpsynth/feasible_noise.py",
        "smallest=smallest or domain", "smallest=domain",
        ("tests/dpsynth/test_feasible_noise.py::test_a_share_is_looked_at_where_it_is_smallest",),
        "a run is refused after its charges",
    ),
    Mutant(
        "times: the time of day of a moment is the whole moment", TEMPORAL,
        'Micros(stored.values % UNITS["day"], stored.state)', "stored",
        ("tests/dpsynth/encode/test_temporal.py::test_a_time_of_day_has_one_code_in_every_form",),
        "every stored moment is the last time of day",
    ),
)
