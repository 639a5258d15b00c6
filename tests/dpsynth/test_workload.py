"""A workload is public, whole, and part of what the ledger hashes; a selection's sensitivity follows its weights."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dpsynth.mechanisms.scoring as scoring
from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.mechanisms import AimConfig
from dpsynth.mechanisms.aim import candidate_weights
from dpsynth.noise.random import SeededRandom
from dpsynth.plan import make_plan
from dpsynth.schema import parse_schema
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import fit_model
from dpsynth.workload import Workload
from tests.dpsynth.lines import SCHEMA, schema

DOMAIN = Domain.of({"a": 2, "b": 3, "c": 4, "d": 2})
HEAVY_OF_WARDS = Workload(ways=3, marginals=((("ward", "age"), 100),))
HEAVY = Workload(ways=3, target="a", target_weight=4, marginals=((("b", "c"), 9),))
SELECTING = ("adaptive", "aim")


@pytest.mark.parametrize(
    ("workload", "clique", "weight"),
    [
        (Workload(), ("a", "b", "c"), 1),
        (Workload(ways=2), ("a", "b", "c"), 0),
        (HEAVY, ("a", "d"), 4),
        (HEAVY, ("b", "d"), 1),
        (HEAVY, ("b",), 9),
        (HEAVY, ("b", "c", "d"), 9),
        (Workload.of({("a", "b", "c"): 7}), ("a", "c"), 7),
        (Workload.of({("a", "b"): 7}), ("a", "b", "c"), 0),
        (Workload.of({("a", "b"): 7}), ("c",), 0),
    ],
)
def test_weight_of_a_clique(workload, clique, weight):
    assert workload.weight(clique) == weight


@given(
    ways=st.integers(1, 4),
    target=st.sampled_from([None, "a", "d"]),
    listed=st.dictionaries(st.sampled_from([("a",), ("c", "b"), ("a", "b", "d")]), st.integers(1, 9)),
)
def test_attribute_mass_gives_the_overlap_of_every_clique_with_the_workload(ways, target, listed):
    workload = Workload(ways=ways, target=target, marginals=tuple(listed.items()))
    mass = workload.attribute_mass(DOMAIN)
    for clique in itertools.combinations(DOMAIN.names, 2):
        overlap = sum(w * len(set(clique) & set(q)) for q, w in workload.queries(DOMAIN).items())
        assert sum(mass[n] for n in clique) == overlap


def test_aim_weighs_candidates_by_their_overlap_with_the_workload():
    plain = candidate_weights(DOMAIN, AimConfig())
    assert plain[("a", "b", "c")] == 3 * plain[("a",)] == 9
    heavy = candidate_weights(DOMAIN, AimConfig(workload=HEAVY))
    assert heavy[("b", "c")] == sum(HEAVY.attribute_mass(DOMAIN)[n] for n in "bc")
    listed = candidate_weights(DOMAIN, AimConfig(workload=Workload.of({("a", "b", "c"): 2})))
    assert set(listed) == {c for k in (1, 2, 3) for c in itertools.combinations("abc", k)}


def test_too_many_combinations_are_refused_before_they_are_listed():
    wide = Domain.of({f"x{i:03}": 2 for i in range(400)})
    with pytest.raises(ParameterError, match="10,586,800 combinations"):
        Workload().candidates(wide, sizes=(3,), cells_each=10, cells_together=10**9)
    assert len(Workload(ways=2).candidates(wide, sizes=(2,), cells_each=10, cells_together=10**9)) == 400 * 399 // 2


def test_candidates_keep_the_heavy_ones_within_the_limit():
    wide = Domain.of({f"x{i:03}": 30 for i in range(100)})
    workload = Workload(ways=3, marginals=((("x007", "x050", "x099"), 5),))
    found = workload.candidates(wide, sizes=(2, 3), cells_each=30_000, cells_together=6_000_000)
    assert sum(wide.cells(q) for q in found) <= 6_000_000
    assert sum(len(q) == 2 for q in found) == 100 * 99 // 2
    assert ("x007", "x050", "x099") in found
    assert workload.candidates(wide, sizes=(3,), cells_each=10_000, cells_together=10**9) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"ways": 0},
        {"ways": 6},
        {"ways": 0, "target": "a", "marginals": ((("a",), 1),)},
        {"target_weight": 0},
        {"target_weight": 2.5},
        {"target_weight": True},
        {"marginals": ((("a", "b"), 1.0),)},
        {"marginals": ((("a", "b"), "3"),)},
        {"marginals": ((("a", "b"), 101),)},
        {"marginals": ((("a", "b"), 1), (("b", "a"), 2))},
        {"marginals": ((("a", "a"), 1),)},
        {"marginals": (((), 1),)},
        {"marginals": ((tuple("abcdef"), 1),)},
    ],
)
def test_what_a_workload_cant_be_is_said_in_three_sentences(wrong):
    with pytest.raises(ParameterError) as refused:
        Workload(**wrong)
    assert str(refused.value).count(". ") >= 2


def test_names_that_arent_released_are_refused():
    with pytest.raises(ParameterError, match="released"):
        Workload(target="zip").check(DOMAIN)
    with pytest.raises(ParameterError, match="released"):
        Workload.of({("a", "zip"): 1}).check(DOMAIN)


def with_workload(text):
    return parse_schema(SCHEMA.replace("    columns:\n", f"    workload: {text}\n    columns:\n"))


def test_a_schema_declares_a_workload_and_its_canonical_form_loads_again():
    made = with_workload("{ways: 2, target: smoker, marginals: [{of: [age, ward], weight: 5}]}")
    assert made.table.workload.value == Workload(ways=2, target="smoker", marginals=((("age", "ward"), 5),))
    assert made.sha256 != schema().sha256
    assert parse_schema(json.dumps(made.canonical())) == made


@pytest.mark.parametrize(
    "text",
    [
        "{ways: 0}",
        "{ways: 2.5}",
        "{target: nobody}",
        "{marginals: [{of: [age, age]}]}",
        "{marginals: [{of: [age]}, {of: [age]}]}",
        "{marginals: [{of: [age], weight: 0}]}",
        "{marginals: [{of: []}]}",
        "{weights: 3}",
    ],
)
def test_a_wrongly_declared_workload_is_named(text):
    with pytest.raises(SchemaError, match="line"):
        with_workload(text)


def planned(workload=None, text=None, synthesizer="aim"):
    declared = with_workload(text) if text else schema()
    return make_plan(declared, epsilon=1.0, delta=1e-6, synthesizer=synthesizer, workload=workload)


def test_the_plan_that_the_ledger_hashes_holds_the_workload():
    settings_of = [planned(w).to_json()["synthesizer"] for w in (None, Workload(), Workload(target="age"))]
    assert len({str(s) for s in settings_of}) == 3
    assert planned(text="{target: age}").to_json()["synthesizer"] == settings_of[2]
    assert planned(Workload(), text="{target: age}").to_json()["synthesizer"] == settings_of[1]
    with pytest.raises(ParameterError, match="released"):
        planned(Workload(target="zip"))
    assert planned(Workload(), synthesizer="independent").settings() == planned(synthesizer="independent").settings()


@pytest.mark.parametrize("name", SELECTING)
def test_selection_is_told_the_heaviest_weight_of_the_workload(monkeypatch, name):
    told, select = [], scoring.select_exponential

    def noted(scores, *, sensitivity, **rest):
        told.append(sensitivity)
        return select(scores, sensitivity=sensitivity, **rest)

    monkeypatch.setattr(scoring, "select_exponential", noted)
    made = planned(HEAVY_OF_WARDS, synthesizer=name).synthesizer
    domain = Domain.of({"ward": 2, "age": 3, "smoker": 2, "score": 2})
    fit_model(
        MemorySource(domain, np.zeros((4, 9), dtype=np.uint8)),
        made,
        amount=AMOUNT_UNIT,
        coordinate=Coordinate.GDP,
        spend=FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(AMOUNT_UNIT, 2**20)}),
        random=SeededRandom(1),
    )
    assert told
    assert max(told) > 100
