"""A table of which a part of each row is public, its declaration and a ledger: what tests of partial releases share."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.budget import Budget
from accountant.ledger import Ledger
from dpsynth.schema import Schema, parse_schema

UNIT_TEXT = "{rows: 1, adjacency: replace-private-part, public: [ward, age]}"
SCHEMA = f"""
dpsynth: 1
dataset: clinic
tables:
  - name: clinic
    privacy_unit: {UNIT_TEXT}
    columns:
      id: {{kind: identifier}}
      ward: {{kind: categorical, categories: [north, south, east], nullable: true}}
      age: {{kind: integer, bounds: [0, 99], bins: 5}}
      ill: {{kind: boolean, nullable: true}}
      cost: {{kind: real, bounds: [0, 100], bins: 10}}
      note: {{kind: categorical, categories: [a, b, c, d, e, f, g, h]}}
      level: {{kind: ordinal, categories: [low, mid, high, top]}}
"""
PUBLIC, PRIVATE = ("age", "ward"), ("ill", "cost", "note", "level")
UNIT = PrivacyUnit(adjacency=Adjacency.REPLACE_PRIVATE, public=PUBLIC)
RULES = """
    rules:
      - {when: {age: {below: 18}}, then: {ill: null}}
      - {forbid: {ward: north, level: top}}
"""


def schema(text: str = SCHEMA) -> Schema:
    return parse_schema(text)


def table(rows: int = 3_000, *, seed: int = 0) -> pa.Table:
    """Private columns that follow the public ones."""
    rng = np.random.default_rng(seed)
    ward, age = rng.integers(0, 4, rows), rng.integers(0, 100, rows)
    ill = rng.random(rows) < 0.1 + 0.25 * (ward % 2) + 0.5 * (age >= 60)
    letters = np.array(list("abcdefgh"))[np.minimum(rng.integers(0, 8, rows), 2 * ward + 1)]
    return pa.table({
        "id": [f"p{i}" for i in range(rows)],
        "ward": pa.array([["north", "south", "east", None][w] for w in ward]),
        "age": pa.array(age, pa.int64()),
        "ill": pa.array([None if a < 18 else bool(i) for a, i in zip(age, ill, strict=True)]),
        "cost": pa.array(np.clip(rng.normal(25 + 50 * ill, 10), 0, 100)),
        "note": pa.array(letters.tolist()),
        "level": pa.array([("low", "mid", "high", "top")[k] for k in np.where(ward == 0, 0, rng.integers(0, 4, rows))]),
    })


def ledger(folder: Path, *, epsilon: float = 6.0, declared: Schema | None = None) -> Ledger:
    made = declared or schema()
    budget = Budget(epsilon=epsilon, delta=1e-5, claim_share=0.1)
    return Ledger.create(folder / "ledger", dataset=made.dataset, budget=budget, unit=made.table.unit)
