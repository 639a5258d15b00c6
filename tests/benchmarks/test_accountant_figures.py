"""The judge of the cross-checks: what an independent library may say without a figure falling short."""

import random
from typing import Any

import pytest

from benchmarks import accountant, accountant_oracles, harness
from benchmarks.accountant_oracles import P_THRESHOLD, ask, objection, two_sample
from benchmarks.accountant_tests import ROOMS
from tests.mutants.mutants import MUTANTS


def said(lower: float | None = None, estimate: float | None = None, upper: float | None = None) -> dict[str, Any]:
    return {"lower": lower, "estimate": estimate, "upper": upper}


@pytest.mark.parametrize(
    ("answer", "tight"),
    [
        (said(lower=0.9, upper=1.0005), True),
        (said(lower=1.0, estimate=1.0, upper=1.0), True),
        (said(lower=0.9995, upper=1.0018), True),
        (said(upper=7.0), False),
        (said(lower=0.2), False),
        (said(estimate=1.0009), False),
    ],
)
def test_an_answer_around_ours_is_no_objection(answer: dict[str, Any], tight: bool) -> None:
    assert objection(1.0, answer, tight) == ""


@pytest.mark.parametrize(
    ("answer", "tight", "why"),
    [
        (said(lower=1.0001, upper=1.1), False, "below the lower bound"),
        (said(upper=0.998), False, "above the upper bound"),
        (said(lower=0.5, upper=0.998), True, "above the upper bound"),
        (said(lower=0.5, upper=1.002), True, "from"),
        (said(lower=0.996, upper=1.002), True, "from"),
        (said(estimate=0.998), False, "from"),
        (said(lower=0.9, estimate=1.002, upper=1.1), True, "from"),
        (said(), True, "no answer"),
        ({"error": "ImportError: gone"}, False, "no answer (ImportError: gone)"),
    ],
)
def test_anything_else_is_told(answer: dict[str, Any], tight: bool, why: str) -> None:
    assert why in objection(1.0, answer, tight)


def test_a_missing_environment_is_a_figure_that_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accountant_oracles, "PYTHON", accountant_oracles.ROOT / "no" / "python")
    with pytest.raises(RuntimeError, match="make oracles"):
        ask([])
    for section in (accountant_oracles.composition, accountant_oracles.samplers):
        found = harness._measured("cross-checks", section)
        assert [f.met for f in found] == [False]


def test_a_library_that_is_missing_makes_its_own_figure_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(questions: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        answers = []
        for question in questions:
            gone = question.get("oracle") == "opendp_zcdp"
            answers.append({"error": "ModuleNotFoundError"} if gone else said(lower=0.0, upper=100.0))
        return answers, {}

    monkeypatch.setattr(accountant_oracles, "ask", without)
    found = {f.what: f.met for f in accountant_oracles.conversions()}
    assert all(met == ("opendp_zcdp" not in what) for what, met in found.items())
    assert set(found.values()) == {True, False}


def test_two_samples_of_one_law_agree_and_of_two_laws_do_not() -> None:
    bits = random.Random(7)
    one, same, wider, moved = (
        [round(bits.gauss(mean, sigma)) for _ in range(40_000)]
        for mean, sigma in ((0.0, 3.0), (0.0, 3.0), (0.0, 3.15), (0.2, 3.0))
    )
    assert two_sample(one, same) > 1e-3
    assert two_sample(one, wider) < P_THRESHOLD
    assert two_sample(one, moved) < P_THRESHOLD


def test_every_section_has_its_own_name_and_every_room_has_mutants() -> None:
    names = [name for name, _ in accountant.SECTIONS]
    assert len(set(names)) == len(names)
    assert all(any(m.file.startswith(room) for m in MUTANTS) for room in ROOMS)
