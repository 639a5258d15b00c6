"""Faults of the noise room: less noise, another sensitivity, a missing or late charge, the wrong people."""

from tests.mutants.base import Mutant

GAUSSIAN, LAPLACE = "dpsynth/noise/gaussian.py", "dpsynth/noise/laplace.py"
MEASURE, SELECTION = "dpsynth/noise/measure.py", "dpsynth/noise/selection.py"
COINS, RANDOM, TABLES = "dpsynth/noise/coins.py", "dpsynth/noise/random.py", "dpsynth/noise/tables.py"

_PAIRS = "tests/oracles/test_neighbours.py::"
_LAWS = "tests/dpsynth/noise/test_laws.py::"
_FITS = "tests/statistical/test_samplers.py::"
_ORDER = "tests/dpsynth/noise/test_measure.py::"
_CHARGE_FIRST = (_ORDER + "test_one_charge_comes_first_and_names_what_was_done",)
_SIDES = (_ORDER + "test_every_side_that_was_read_is_charged",)
_REFUSAL = (_ORDER + "test_a_refusal_counts_nothing_and_draws_nothing",)
_COINS = "tests/dpsynth/noise/test_coins.py::"

MUTANTS = (
    Mutant(
        "gaussian: table of half sigma", GAUSSIAN, "variance = Fraction(sigma) ** 2",
        "variance = Fraction(sigma / 2) ** 2",
        (_PAIRS + "test_count",), "noise halved",
    ),
    Mutant(
        "gaussian: sigma for its variance", GAUSSIAN, "variance = Fraction(sigma) ** 2", "variance = Fraction(sigma)",
        (_LAWS + "test_discrete_gaussian_table_is_its_law",), "variance wrong",
    ),
    Mutant(
        "gaussian: noise doubled", GAUSSIAN, "variance = Fraction(sigma) ** 2", "variance = Fraction(sigma * 2) ** 2",
        (_PAIRS + "test_count",), "a price that isn't attained hides what is lost",
    ),
    Mutant(
        "gaussian: draw of half sigma", GAUSSIAN,
        "return random.draw(discrete_gaussian_table(sigma), size) - gaussian_cut(sigma)",
        "return random.draw(discrete_gaussian_table(sigma / 2), size) - gaussian_cut(sigma / 2)",
        (_PAIRS + "test_gaussian_vector",), "noise halved where it is drawn",
    ),
    Mutant(
        "gaussian: tail cut early", GAUSSIAN, "math.ceil(13.5 * sigma) + 1", "math.ceil(6.0 * sigma) + 1",
        (_LAWS + "test_discrete_gaussian_table_is_its_law",), "slack above what is charged to delta",
    ),
    Mutant(
        "gaussian: one draw for all cells", MEASURE,
        "noise = draw_discrete_gaussian(sigma, exact.size, random=random)",
        "noise = np.repeat(draw_discrete_gaussian(sigma, 1, random=random), exact.size)",
        (_PAIRS + "test_a_joint_marginal",), "differences of cells come out exact",
    ),
    Mutant(
        "laplace: table of half scale", LAPLACE, "exp_neg(1 / Fraction(scale))", "exp_neg(2 / Fraction(scale))",
        (_PAIRS + "test_laplace_vector",), "noise halved",
    ),
    Mutant(
        "laplace: draw of half scale", MEASURE, "draw_discrete_laplace(scale, ", "draw_discrete_laplace(scale / 2, ",
        (_PAIRS + "test_laplace_vector",), "noise halved where it is drawn",
    ),
    Mutant(
        "laplace: tail cut early", LAPLACE, "math.ceil(91 * scale) + 1", "math.ceil(40 * scale) + 1",
        (_LAWS + "test_discrete_laplace_table_is_its_law",), "slack above what is charged to delta",
    ),
    Mutant(
        "selection: coefficient 1 for 1/2", SELECTION, "(2 * index(sensitivity))", "index(sensitivity)",
        (_PAIRS + "test_selection",), "scores move in opposite directions: four times the rho",
    ),
    Mutant(
        "selection: sensitivity ignored", SELECTION, "(2 * index(sensitivity))", "2",
        (_PAIRS + "test_selection",), "sensitivity wrong",
    ),
    Mutant(
        "selection: half of eta charged", SELECTION, "event = BoundedRange(eta=eta, ",
        "event = BoundedRange(eta=eta / 2, ",
        (_PAIRS + "test_selection",), "price of another mechanism",
    ),
    Mutant(
        "selection: not charged", SELECTION,
        "    spend.charge([Step(label=label, event=event, sides=sides)])\n", "",
        _CHARGE_FIRST, "a missing charge",
    ),
    Mutant(
        "selection: charged after the draw", SELECTION,
        "    spend.charge([Step(label=label, event=event, sides=sides)])\n"
        '    faults.reach("draw.before")\n    chosen = int(random.draw(table, 1)[0])\n',
        '    faults.reach("draw.before")\n    chosen = int(random.draw(table, 1)[0])\n'
        "    spend.charge([Step(label=label, event=event, sides=sides)])\n",
        _REFUSAL, "a refused draw has happened",
    ),
    Mutant(
        "selection: training people pay for all", SELECTION, "Step(label=label, event=event, sides=sides)",
        "Step(label=label, event=event)", _SIDES, "wrong sides",
    ),
    Mutant(
        "selection: float scores", SELECTION, "exact = [index(score) for score in scores]", "exact = list(scores)",
        (_LAWS + "test_scores_are_never_floats",), "float arithmetic leaks",
    ),
    Mutant(
        "marginals: sensitivity 1", MEASURE, "sensitivity=marginal_sensitivity(source, clique, adjacency)",
        "sensitivity=1.0",
        (_PAIRS + "test_marginals_of_people_with_two_rows",), "max_rows ignored",
    ),
    Mutant(
        "marginals: noise halved", MEASURE, "values=_add_gaussian(exact, sigma, random=random)",
        "values=_add_gaussian(exact, sigma / 2, random=random)", (_PAIRS + "test_marginals",), "noise halved",
    ),
    Mutant(
        "marginals: one clique charged", MEASURE,
        "for clique, event in zip(asked, events, strict=True)\n        ]\n    )",
        "for clique, event in zip(asked[:1], events[:1], strict=True)\n        ]\n    )",
        (_PAIRS + "test_marginals",), "a missing charge",
    ),
    Mutant(
        "marginals: not charged", MEASURE, "    spend.charge(\n        [", "    list(\n        [",
        _CHARGE_FIRST, "a missing charge",
    ),
    Mutant(
        "marginals: counted before the charge", MEASURE, "    spend.charge(\n        [",
        "    list(source.counts(asked))\n    spend.charge(\n        [",
        _REFUSAL, "a refusal reads records",
    ),
    Mutant(
        "marginals: training people pay for all", MEASURE, "event=event, sides=sides)\n            for clique",
        "event=event)\n            for clique", _SIDES, "wrong sides",
    ),
    Mutant(
        "marginals: slack of one draw", MEASURE, "draws=source.domain.cells(clique),\n            adj",
        "adj",
        _CHARGE_FIRST, "delta of every cell but one is missing",
    ),
    Mutant(
        "vector: sensitivity 1", MEASURE,
        "DiscreteGaussian(sigma=float(sigma), sensitivity=float(sensitivity), draws=exact.size)",
        "DiscreteGaussian(sigma=float(sigma), draws=exact.size)", (_PAIRS + "test_gaussian_vector",),
        "sensitivity wrong",
    ),
    Mutant(
        "vector: charged after the draw", MEASURE,
        "    _charge(spend, event, label, sides)\n    return _add_gaussian(exact, sigma, random=random)\n",
        "    noisy = _add_gaussian(exact, sigma, random=random)\n    _charge(spend, event, label, sides)\n"
        "    return noisy\n",
        _REFUSAL, "a refused draw has happened",
    ),
    Mutant(
        "vector: not charged", MEASURE,
        "    _charge(spend, event, label, sides)\n    return _add_gaussian(exact, sigma, random=random)\n",
        "    return _add_gaussian(exact, sigma, random=random)\n", (_PAIRS + "test_count",), "a missing charge",
    ),
    Mutant(
        "vector: floats measured", MEASURE, "if exact.dtype != np.int64 or exact.size < 1:", "if exact.size < 1:",
        (_ORDER + "test_only_int64_is_measured",), "low bits of floats leak",
    ),
    Mutant(
        "count: sensitivity 1", MEASURE, "sensitivity=sensitivity,\n", "sensitivity=1,\n",
        (_PAIRS + "test_count_of_people_with_two_rows",), "people with several rows pay for one",
    ),
    Mutant(
        "laplace: sensitivity 1", MEASURE,
        "DiscreteLaplace(scale=float(scale), sensitivity=float(sensitivity), draws=exact.size)",
        "DiscreteLaplace(scale=float(scale), draws=exact.size)", _CHARGE_FIRST, "sensitivity wrong",
    ),
    Mutant(
        "laplace: not charged", MEASURE,
        '    _charge(spend, event, label, sides)\n    faults.reach("draw.before")\n    noise = draw_discrete_laplace',
        '    faults.reach("draw.before")\n    noise = draw_discrete_laplace', _CHARGE_FIRST, "a missing charge",
    ),
    Mutant(
        "laplace: charged after the draw", MEASURE,
        '    _charge(spend, event, label, sides)\n    faults.reach("draw.before")\n'
        "    noise = draw_discrete_laplace(scale, exact.size, random=random)\n",
        '    faults.reach("draw.before")\n    noise = draw_discrete_laplace(scale, exact.size, random=random)\n'
        "    _charge(spend, event, label, sides)\n",
        _REFUSAL, "a refused draw has happened",
    ),
    Mutant(
        "vectors: training people pay for all", MEASURE,
        "spend.charge([Step(label=label, event=event, sides=sides)])", "spend.charge([Step(label=label, event=event)])",
        _SIDES, "wrong sides",
    ),
    Mutant(
        "tables: ties not refined", TABLES, "for tie in np.flatnonzero(", "for tie in np.flatnonzero(0 * ",
        ("tests/dpsynth/noise/test_tables.py::test_lookup_is_the_full_comparison_even_on_ties",),
        "64 bits where the law needs 256",
    ),
    Mutant(
        "random: one key for everybody", RANDOM, "_Words(lambda: os.urandom(32), _REKEY_WORDS)",
        "_Words(lambda: bytes(32), _REKEY_WORDS)",
        ("tests/dpsynth/noise/test_random.py::test_two_system_sources_differ_and_a_stream_doesnt_repeat",),
        "noise that anybody can subtract",
    ),
    Mutant(
        "random: the same words again", RANDOM, "self._buffer[:count], self._buffer[count:]",
        "self._buffer[:count], self._buffer",
        ("tests/dpsynth/noise/test_random.py::test_two_system_sources_differ_and_a_stream_doesnt_repeat",),
        "noise reused between releases of one run",
    ),
    Mutant(
        "random: parent and child share a stream", RANDOM, "if os.getpid() != self._owner:", "if False:",
        ("tests/dpsynth/noise/test_random.py::test_fork_gives_three_different_streams",
         "tests/dpsynth/noise/test_random.py::test_the_fork_hook_alone_drops_the_stream"),
        "the same noise twice",
    ),
    Mutant(
        "random: a seeded run looks private", RANDOM, "private = False", "private = True",
        ("tests/dpsynth/noise/test_random.py::test_only_the_system_source_is_private",), "seeds in artefacts",
    ),
    Mutant(
        "coins: without the key", COINS, "[_value(key, domain, identity) < limit",
        "[_value(b'', domain, identity) < limit",
        (_COINS + "test_keys_and_purposes_give_independent_coins",), "anybody can tell who is held out",
    ),
    Mutant(
        "coins: another share", COINS, "[share.denominator - share.numerator, share.numerator]",
        "[share.numerator, share.denominator - share.numerator]", (_FITS + "test_row_coins_have_their_share",),
        "sides exchanged: the ratio that holdout people pay by is wrong",
    ),
    Mutant(
        "coins: first rows of the file stay", COINS,
        "values = [_value(key, domain, rank.to_bytes(8, \"big\") + ids[unit]) for rank in range(len(rows))]",
        "values = list(range(len(rows)))", (_COINS + "test_every_rank_is_kept_equally_often",), "chosen by position",
    ),
    Mutant(
        "coins: one row too many stays", COINS, "list(first.values())[:max_rows]",
        "list(first.values())[: max_rows + 1]", (_COINS + "test_the_bound_reads_a_person_alone",),
        "contribution bound not enforced",
    ),
)
