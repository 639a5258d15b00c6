"""Tables that break other tools: each gets a verdict, the same as its definition says, and nothing is refused."""

import json

import numpy as np
import pytest

from dpsynth.attacks import ONE, Family, Layout, make_target, side_sums
from dpsynth.encode import Encoder
from dpsynth.gate.battery import probes_on
from dpsynth.gate.layout import layout_of
from dpsynth.schema import parse_schema
from tests.dpsynth.gate.helpers import policy
from tests.dpsynth.gate.test_verdict import gate, source_of

NULL = 3
HOSTILE = ["'; DROP TABLE x; --", "../../etc/passwd", "=cmd|' /C calc'!A0", "a\nb", "\u202etxt.exe", "{{7*7}}", " "]


def sides(layout, codes, held=0.25):
    """Training and holdout of these codes."""
    from dpsynth.domain import Domain

    domain = Domain(names=tuple(f"c{i}" for i in range(layout.columns)), sizes=layout.sizes)
    cut = codes.shape[1] - int(held * codes.shape[1])
    return source_of(codes[:, :cut], domain), source_of(codes[:, cut:], domain)


def passing(layout, codes, synthetic):
    return float(gate(*sides(layout, codes), synthetic, layout=layout, mu=1)[1].pass_probability)


def layout_with(*sizes):
    """Every column on a scale with null after it, the first known and the last a secret."""
    ordered = tuple(max(0, size - 1) for size in sizes)
    return Layout(sizes=sizes, ordered=ordered, known=((0,),), secrets=(len(sizes) - 1,))


@pytest.mark.parametrize("sizes", [(4,), (4, 4), (1, 1, 1), (300, 2)])
def test_a_table_equal_to_all_real_rows_tells_nobody_apart(sizes):
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, s, 4_000) for s in sizes]).astype(np.uint16)
    assert passing(layout_with(*sizes), codes, codes) > 0.98


def test_a_table_equal_to_the_training_rows_alone_fails():
    rng, sizes = np.random.default_rng(0), (50,) * 5
    codes = np.stack([rng.integers(0, s, 4_000) for s in sizes]).astype(np.uint8)
    assert passing(layout_with(*sizes), codes, codes[:, :3_000]) < 1e-6


@pytest.mark.parametrize("value", [0, NULL])
def test_constant_columns_and_nothing_but_nulls_pass(value):
    layout = layout_with(4, 4, 4)
    codes = np.full((3, 2_000), value, dtype=np.uint8)
    assert passing(layout, codes, codes[:, :1_500]) > 0.98
    assert passing(layout, codes, np.zeros((3, 0), dtype=np.uint8)) > 0.98
    assert passing(layout, codes, np.ones((3, 70), dtype=np.uint8)) > 0.98


@pytest.mark.parametrize("rows", [0, 1, 10])
def test_ten_rows_and_fewer_have_a_verdict(rows):
    layout = layout_with(4, 3)
    rng = np.random.default_rng(1)
    codes = np.stack([rng.integers(0, s, rows) for s in layout.sizes]).astype(np.uint8)
    result, annex = gate(*sides(layout, codes), codes, layout=layout)
    assert 0 <= annex.pass_probability <= 1
    assert result.verdict.value in ("pass", "fail")


def test_hostile_column_names_are_positions_to_the_attacks():
    body = {"dpsynth": 1, "dataset": "hostile", "tables": [{"name": "t", "known": [HOSTILE[::-1]], "secrets": HOSTILE}]}
    body["tables"][0]["columns"] = {name: {"kind": "integer", "bounds": [0, 9], "nullable": True} for name in HOSTILE}
    found = layout_of(Encoder.of(parse_schema(json.dumps(body))))
    assert found == Layout(sizes=(11,) * 7, ordered=(10,) * 7, known=(tuple(range(7)),), secrets=tuple(range(7)))


def test_two_million_rows_come_in_blocks():
    """Never more than a block of codes at a time; a person's rows may lie a million rows apart."""
    layout, many, block = layout_with(5, 4), 2_000_000, 65_536
    features = tuple(dict.fromkeys(probe.feature for probe in probes_on(policy(), layout)))
    synthetic = np.array([[0, 1], [0, 3]], dtype=np.uint8)
    alive = []

    def blocks():
        for start in range(0, many, block):
            units = np.arange(start, min(start + block, many)) % (many // 2)
            alive.append(units.size)
            yield np.stack([units % 5, units % 4]).astype(np.uint8), units

    found = side_sums(blocks(), make_target(synthetic, layout, features), features)
    assert max(alive) == block
    assert found.people == many // 2
    exact = next(f for f in features if (f.family, f.distance) == (Family.NEAR, 0))
    units = np.arange(many // 2)
    hits = ((units % 5 == 0) & (units % 4 == 0)) | ((units % 5 == 1) & (units % 4 == 3))
    assert found.sums[exact] == ONE * int(hits.sum())
