"""A small table with structure, its declaration and a ledger: what tests of the whole line share."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from accountant.budget import Budget
from accountant.ledger import Ledger
from dpsynth.gate import Policy, load_policy
from dpsynth.schema import Schema, parse_schema

SCHEMA = """
dpsynth: 1
dataset: wards
tables:
  - name: wards
    privacy_unit: {rows: 1}
    columns:
      ward: {kind: categorical, categories: [north, south, east, west], provenance: the hospital's plan}
      age: {kind: integer, bounds: [0, 99]}
      smoker: {kind: boolean, nullable: true}
      score: {kind: real, bounds: [0, 1], bins: 50}
"""

PERSON_SCHEMA = SCHEMA.replace("{rows: 1}", "{column: person, max_rows: 3}").replace(
    "    columns:\n", "    columns:\n      person: {kind: identifier}\n"
)


def schema(text: str = SCHEMA) -> Schema:
    return parse_schema(text)


def table(rows: int = 3_000, *, seed: int = 0, people: int | None = None) -> pa.Table:
    rng = np.random.default_rng(seed)
    ward = rng.integers(0, 4, rows)
    age = np.clip(20 * ward + rng.integers(0, 30, rows), 0, 99)
    smoker = [None if u < 0.1 else bool(u < 0.4 + 0.1 * w) for u, w in zip(rng.random(rows), ward, strict=True)]
    columns = {
        "ward": pa.array(np.array(["north", "south", "east", "west"])[ward].tolist(), pa.string()),
        "age": pa.array(age.tolist(), pa.int32()),
        "smoker": pa.array(smoker, pa.bool_()),
        "score": pa.array(rng.random(rows).tolist(), pa.float64()),
    }
    if people is not None:
        columns = {"person": pa.array([f"p{i}" for i in rng.integers(0, people, rows)], pa.string())} | columns
    return pa.table(columns)


def lenient() -> Policy:
    """The standard policy with false alarms so rare that no test of something else ever meets one."""
    rare, standard = Fraction(1, 10**9), load_policy("standard")
    attacks = tuple(replace(attack, alpha=rare) for attack in standard.attacks)
    return replace(standard, name="lenient", noise_alpha=rare, attacks=attacks, tolerable_leak=Fraction(999, 1000))


def ledger(
    folder: Path, *, epsilon: float = 4.0, delta: float = 1e-5, declared: Schema | None = None, claims: float = 0.1
) -> Ledger:
    made = declared or schema()
    return Ledger.create(
        folder / "ledger",
        dataset=made.dataset,
        budget=Budget(epsilon=epsilon, delta=delta, claim_share=claims),
        unit=made.table.unit,
    )
