"""Faults between table and noise: bounds read from the data, rows that aren't bounded, scores, who is charged."""

from tests.mutants.base import Mutant

COLUMNS, RECORDS, MEMORY = "dpsynth/encode/columns.py", "dpsynth/records.py", "dpsynth/sources/memory.py"
COUNTING, COVER, STREAMING = (f"dpsynth/sources/{name}.py" for name in ("counting", "cover", "streaming"))
DRAFT = "dpsynth/encode/draft.py"
WRITING, STRUCTURE = "dpsynth/tables/writing.py", "dpsynth/tables/structure.py"
MST, INDEPENDENT = "dpsynth/mechanisms/mst.py", "dpsynth/mechanisms/independent.py"
SHARES, FITTING = "dpsynth/mechanisms/shares.py", "dpsynth/fitting.py"

_ENCODER = "tests/dpsynth/encode/test_encoder.py::"
_EVERY = "tests/dpsynth/encode/test_every_kind.py::"
_WHERE = (_ENCODER + "test_where_values_go",)
_SOURCE = "tests/dpsynth/sources/test_source_contract.py::"
_COUNT = "tests/dpsynth/sources/test_counting.py::"
_RECORDS = "tests/dpsynth/test_records.py::"
_SPENDS = "tests/dpsynth/mechanisms/test_mechanisms.py::"
_SCORES = "tests/dpsynth/mechanisms/test_scores.py::"
_MOVES = (_SCORES + "test_one_record_moves_a_score_by_at_most_one",)

MUTANTS = (
    Mutant(
        "encode: bins from the block's smallest and largest value", COLUMNS,
        'codes = np.searchsorted(self.cuts, found.values, side="right")',
        "ends = np.linspace(found.values.min(), found.values.max(), len(self.cuts) + 2)\n"
        '            codes = np.searchsorted(ends[1:-1], found.values, side="right")',
        _WHERE, "a bound read from the data",
    ),
    Mutant(
        "encode: a stored 0.1 in four bytes isn't 0.1", "dpsynth/encode/raw.py",
        "values = plain_decimals(_numpy(array, 0))", "values = _numpy(array, 0).astype(np.float64)",
        (_EVERY + "test_a_narrow_float_is_held_against_what_it_stands_for",), "what is at an edge falls beside it",
    ),
    Mutant(
        "times: a stored 20200102 is no day", "dpsynth/encode/temporal.py",
        '    if group in ("float", "int", "decimal"):', '    if group in ("float", "int") and kind == "duration":',
        ("tests/dpsynth/encode/test_one_value_one_meaning.py::test_an_intruder_changes_nobody_elses_code_or_key",
         "tests/dpsynth/encode/test_temporal.py::test_digits_of_a_day_are_that_day_in_every_form"),
        "one record decides what others mean",
    ),
    Mutant(
        "frames: a NumPy span among objects is none", "dpsynth/tables/memory.py",
        "    (np.timedelta64, _numpy_span),\n", "",
        ("tests/dpsynth/encode/test_one_value_one_meaning.py::test_an_intruder_changes_nobody_elses_code_or_key",),
        "one record decides what others mean",
    ),
    Mutant(
        "drawing: text views come out as plain text", "dpsynth/drawing.py",
        "    whole = whole if structure is None else whole.cast(structure.arrow)\n", "",
        (_EVERY + "test_values_of_codes_have_these_codes_in_every_type_and_all_else_is_as_declared",),
        "types out aren't types in",
    ),
    Mutant(
        "frames: labels that spell one number are read", "dpsynth/tables/opening.py",
        "        memory.require_told_apart(table, declared)\n", "        pass\n",
        ("tests/dpsynth/encode/test_one_value_one_meaning.py::"
         "test_labels_that_spell_one_value_are_refused_in_a_frame_and_no_others",),
        "one record decides what others mean",
    ),
    Mutant(
        "decode: a number is rounded into the next bin", "dpsynth/encode/values.py",
        "    numbers = _within_bin(np.clip(numbers, lower, upper), cuts, at, kind)\n",
        "    numbers = np.clip(numbers, lower, upper)\n",
        (_EVERY + "test_the_last_number_of_a_bin_isnt_rounded_into_the_next",
         _EVERY + "test_values_of_codes_have_these_codes_in_every_type_and_all_else_is_as_declared"),
        "values of a code have another one",
    ),
    Mutant(
        "encode: integers from the block's smallest value", COLUMNS,
        "np.floor(np.clip(found.values, *self.column.bounds)).astype(np.int64) - int(self.column.bounds[0])",
        "np.floor(np.clip(found.values, *self.column.bounds)).astype(np.int64) - int(found.values.min(initial=0))",
        _WHERE, "a bound read from the data",
    ),
    Mutant(
        "encode: labels in the order in which they occur", COLUMNS, "return lookup[levels(array, labels)]",
        "seen = [str(v) for v in array.unique().to_pylist()]\n"
        "        order = sorted(range(len(labels)), key=lambda i: seen.index(labels[i]) if labels[i] in seen else 99)\n"
        "        return lookup[levels(array, [labels[i] for i in order])]",
        _WHERE, "categories read from the data",
    ),
    Mutant(
        "encode: out of bounds is null, not clamped", COLUMNS, "codes = np.where(found.state == 0, codes,",
        "inside = (found.values >= self.column.bounds[0]) & (found.values <= self.column.bounds[1])\n"
        "        codes = np.where((found.state == 0) & inside, codes,",
        _WHERE, "the declared rule isn't the one that is used",
    ),
    Mutant(
        "encode: an undeclared label has no code", COLUMNS,
        "lookup[UNKNOWN], lookup[ABSENT] = other, null if nullable else other",
        "lookup[UNKNOWN], lookup[ABSENT] = len(lookup), null if nullable else other",
        _WHERE, "a record decides whether a release is refused",
    ),
    Mutant(
        "records: every row is a person", RECORDS, "numbers.setdefault(i, len(numbers))",
        'numbers.setdefault(i + b"%d" % len(numbers), len(numbers))',
        (_RECORDS + "test_rows_of_a_person_are_bounded_and_nobody_else_matters",), "contribution bound not enforced",
    ),
    Mutant(
        "draft: looks at a private table", DRAFT, "    if public:\n", "    if table is not None:\n",
        (_ENCODER + "test_drafts",), "categories read from the data",
    ),
    Mutant(
        "records: rows of a person aren't bounded", RECORDS,
        "keep_at_most(units, names, max_rows=unit.max_rows, key=key, contents=contents, distinct=apart)",
        "np.ones(len(units), dtype=np.bool_)",
        (_RECORDS + "test_rows_of_a_person_are_bounded_and_nobody_else_matters",), "contribution bound not enforced",
    ),
    Mutant(
        "records: rows are chosen by their place in the file", RECORDS,
        "key=key, contents=contents, distinct", "key=key, distinct",
        (_RECORDS + "test_the_order_of_the_file_doesnt_matter",), "order of the file matters",
    ),
    Mutant(
        "records: the source is told one row a person", RECORDS, "units=units[keep], max_rows=unit.max_rows, distinct",
        "units=None, max_rows=1, distinct", (_RECORDS + "test_rows_of_a_person_are_bounded_and_nobody_else_matters",),
        "sensitivity of a row for people",
    ),
    Mutant(
        "sources: the bound isn't checked", MEMORY,
        "units.shape != (rows,) or (rows and np.bincount(units).max() > max_rows)",
        "units.shape != (rows,)", (_SOURCE + "test_bounds_are_enforced_not_assumed",), "every sensitivity rests on it",
    ),
    Mutant(
        "sources: a record counts twice at a chunk's end", COUNTING, "block = codes[:, start : start + step]",
        "block = codes[:, start : start + step + 1]",
        (_SOURCE + "test_counts_in_the_order_asked_int64_c_order_and_right",),
        "a record changes two cells of a marginal",
    ),
    Mutant(
        "sources: a joint's codes overflow", COUNTING, "small = table.size < JOINT_CELLS",
        "small = True",
        (_COUNT + "test_large_marginals_are_counted_in_wide_codes",),
        "a record is counted in another cell",
    ),
    Mutant(
        "sources: 65536 codes in 16 bits", COUNTING, "small = table.size < JOINT_CELLS",
        "small = table.size <= JOINT_CELLS",
        (_COUNT + "test_65536_codes_are_counted_whatever_the_number_of_rows",),
        "a fit fails, or doesn't, by one record",
    ),
    Mutant(
        "sources: joints follow the number of rows", COUNTING, "joints = joint_cover(domain, cliques)",
        "joints = joint_cover(domain, cliques, limit=max(64, rows // 4))",
        (_COUNT + "test_the_joints_of_a_table_in_memory_are_public",),
        "an exact count decides what is done",
    ),
    Mutant(
        "sources: a cover takes a clique twice", COVER, "done = [i for i in within if self.pending[i]]",
        "done = within",
        (_COUNT + "test_a_cover_holds_every_clique_once_within_its_limit",),
        "a marginal that was given is counted again",
    ),
    Mutant(
        "sources: a wide clique takes in what it doesn't hold", COVER, "if whole.issuperset(q)]",
        "if not whole.isdisjoint(q)]",
        (_COUNT + "test_a_clique_wider_than_any_grown_joint_is_a_joint_of_its_own",),
        "a marginal is summed out of a table that lacks one of its columns",
    ),
    Mutant(
        "sources: a marginal of some records", COUNTING, "_sum_out(table.sum(axis=kept, dtype=np.int64), names[:kept]",
        "_sum_out(table.take(0, axis=kept), names[:kept]",
        (_COUNT + "test_counts_are_the_bits_of_naive_counting",),
        "records are missing from a count",
    ),
    Mutant(
        "sources: a stream forgets the units of earlier blocks", STREAMING,
        "_count_units(seen, given, rows, self._max_rows)",
        "_count_units({}, given, rows, self._max_rows)",
        (_COUNT + "test_a_stream_counts_units_over_blocks",),
        "a person's rows in two blocks pass the bound",
    ),
    Mutant(
        "sources: repr holds the number of rows", MEMORY, "attributes, max_rows=",
        "attributes, {self._records.shape[1]} rows, max_rows=",
        (_SOURCE + "test_the_repr_holds_no_count",), "exact values in logs",
    ),
    Mutant(
        "writing: the table's metadata is kept", WRITING, 'metadata={"dpsynth": label})',
        'metadata={**(table.schema.metadata or {}), b"dpsynth": label})',
        ("tests/dpsynth/tables/test_writing.py::test_parquet_keeps_names_order_and_types_and_says_synthetic",),
        "pandas writes the number of rows there",
    ),
    Mutant(
        "structure: the file's metadata is kept", STRUCTURE, "return pa.schema(out)",
        "return pa.schema(out, metadata=None if fields is None else {b'pandas': b'4321'})",
        ("tests/dpsynth/tables/test_opening.py::test_metadata_that_holds_a_row_count_stays_behind",),
        "pandas writes the number of rows there",
    ),
    Mutant(
        "mst: scores of a model in floats", MST, "np.rint(expected).astype(np.int64)", "expected", _MOVES,
        "one record moves a score by 2",
    ),
    Mutant(
        "mst: penalty of the exact counts", MST, "np.minimum(ceiling, 4 * expected)", "np.minimum(ceiling, 4 * counts)",
        _MOVES, "one record moves a score by 5",
    ),
    Mutant(
        "mst: scores against the exact one-ways", MST,
        "shares = {m.clique[0]: _share(m, total, domain) for m in measured}",
        "exact = source.counts([m.clique for m in measured])\n"
        "    shares = {c[0]: (n + 0.5) / (n.sum() + n.size / 2) for c, n in exact}",
        _MOVES, "the model moves with the record",
    ),
    Mutant(
        "mst: selection's sensitivity 1", MST, "sensitivity=source.max_rows,\n        amount=selection",
        "sensitivity=1,\n        amount=selection",
        (_SCORES + "test_selection_is_told_how_much_one_person_moves_a_score",), "people with several rows pay for one",
    ),
    Mutant(
        "mst: every edge has the whole selection share", MST,
        "bounded_range_eta(amount=split(amount, [1.0] * rounds)[0],",
        "bounded_range_eta(amount=amount,", ("tests/oracles/test_mechanisms.py::test_select_tree",),
        "spends more than planned",
    ),
    Mutant(
        "mst: pairs with the noise of one row", MST,
        "marginal_sigmas(source, edges, split(pairs, by_noise(source, edges)), coordinate=coordinate)",
        "sigmas(split(pairs, by_noise(source, edges)), coordinate=coordinate, sensitivity=1)",
        (_SPENDS + "test_spends_at_most_and_nearly_the_whole_amount",), "sensitivity wrong",
    ),
    Mutant(
        "mst: selection from both sides charged to one", MST,
        'label=f"edge {i + 1} of the tree",\n                sides=sides,', 'label=f"edge {i + 1} of the tree",',
        (_SPENDS + "test_both_sides_are_charged_where_both_are_read",), "wrong sides",
    ),
    Mutant(
        "mst: pairs of both sides charged to one", MST, 'label="pairs of the tree", sides=sides',
        'label="pairs of the tree"',
        (_SPENDS + "test_both_sides_are_charged_where_both_are_read",), "wrong sides",
    ),
    Mutant(
        "shares: noise of one row", SHARES, "_sigma(amount, coordinate, marginal_sensitivity(source, clique))",
        "_sigma(amount, coordinate, 1.0)",
        (_SPENDS + "test_spends_at_most_and_nearly_the_whole_amount",), "sensitivity wrong",
    ),
    Mutant(
        "shares: each part is the whole", SHARES, "int(amount * (w / whole) * (1.0 - 1e-12))",
        "int(amount * (1.0 - 1e-12))",
        (_SPENDS + "test_spends_at_most_and_nearly_the_whole_amount",), "spends more than planned",
    ),
    Mutant(
        "fit: charged to training people alone", FITTING, "sides=BOTH_SIDES,\n                told=stage",
        "sides=BOTH_SIDES[:1],\n                told=stage",
        ("tests/dpsynth/test_fitting.py::test_a_fit_charges_both_sides_and_two_fits_charge_twice",), "wrong sides",
    ),
    Mutant(
        "fit: a sample isn't labelled", "dpsynth/fitted.py",
        'table.replace_schema_metadata({"dpsynth": self.label})', "table",
        ("tests/dpsynth/test_fitting.py::test_samples_are_labelled_and_in_the_domain",), "the ungated back door",
    ),
)
