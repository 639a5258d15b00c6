"""Faults of the one-shot mechanisms: a vector of errors charged as one, a share spent twice."""

from tests.mutants.base import Mutant

ERRORS, TREE = (f"dpsynth/mechanisms/{name}.py" for name in ("errors", "tree"))
MWEM = "dpsynth/mechanisms/mwem.py"

_ORACLE = "tests/oracles/test_mechanisms.py::"
_TOLD = (
    "tests/dpsynth/mechanisms/test_selection_sensitivity.py::"
    "test_selection_is_told_the_heaviest_weight_times_the_rows_of_a_person"
)
_ERRORS = _ORACLE + "test_errors_of_many_marginals"

MUTANTS = (
    Mutant(
        "errors: a vector charged as one error", ERRORS, "vector_sensitivity(source.max_rows, len(expected))",
        "source.max_rows * 1.0",
        (_ERRORS,), "one record moves every error",
    ),
    Mutant(
        "errors: rows of a person ignored", ERRORS, "vector_sensitivity(source.max_rows, len(expected))",
        "vector_sensitivity(1, len(expected))",
        ("tests/dpsynth/mechanisms/test_tree.py::test_errors_pay_for_the_rows_of_a_person",),
        "a person with k rows moves each error by k",
    ),
    Mutant(
        "mwem: rows of a person ignored in selection", MWEM, "max_rows=source.max_rows", "max_rows=1",
        (_TOLD,), "a person with k rows moves an error by k",
    ),
    Mutant(
        "mixture: one loss for two halves", "dpsynth/estimation/mixture_solver.py",
        "by_w: Single = np.float32(0.5) *", "by_w: Single = np.float32(1.0) *",
        ("tests/dpsynth/estimation/test_mixture_solver.py::test_loss_and_gradient_are_those_of_the_definition",),
        "each pair is counted twice in the weights' gradient",
    ),
    Mutant(
        "auto: rows of a person ignored", "dpsynth/auto.py", "math.sqrt(amount / scale) / unit.max_rows",
        "math.sqrt(amount / scale)",
        ("tests/dpsynth/test_auto.py::test_rows_of_one_person_count_as_one_signal",),
        "people with many rows bring more noise than the rule sees",
    ),
)
