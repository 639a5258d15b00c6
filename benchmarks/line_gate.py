"""The gate on Adult: a copier must fail it, honest mst must pass it, by exact probability over its noise."""

import statistics
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.price import Price
from accountant.spend import BOTH_SIDES
from benchmarks.harness import SHARED, Figure, at_least, cpu_seconds
from dpsynth.data import embedded_adult
from dpsynth.encode import Encoder
from dpsynth.gate import load_policy, plan_gate
from dpsynth.gate.totals import measure_totals
from dpsynth.gate.verdict import run_gate
from dpsynth.line import STRANGERS
from dpsynth.noise.random import SystemRandom
from dpsynth.records import CodedRecords, read_records, split_records
from dpsynth.sampling import generator, sample_codes
from dpsynth.schema import load_schema
from dpsynth.sources import Codes, MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model
from dpsynth.tables import open_table

EPSILON, DELTA = 1.0, 1e-6
HONEST_SPLITS, COPIER_SPLITS = 30, 10
COPIED = 0.05


def honest() -> Iterator[Figure]:
    """mst over fresh splits of two encodings of Adult."""
    for name, records in _tables():
        began = cpu_seconds()
        chances, mus = _chances(records, copied=0.0, splits=HONEST_SPLITS)
        yield at_least(
            f"honest mst on {name}: mean exact probability of passing over {HONEST_SPLITS} fresh splits",
            statistics.mean(chances),
            0.985,
            "",
            probabilities=chances,
            gate_mu=mus[0],
            cpu_seconds=cpu_seconds() - began,
        )


def copier() -> Iterator[Figure]:
    """mst whose table holds 5 % of the training rows verbatim."""
    for name, records in _tables():
        chances, mus = _chances(records, copied=COPIED, splits=COPIER_SPLITS)
        yield at_least(
            f"a copier of 5 % of training rows on {name}, gate_mu {mus[0]:.3g}: exact probability of failing, least of "
            f"{COPIER_SPLITS} splits",
            1.0 - max(chances),
            0.99,
            "",
            probabilities_of_passing=chances,
            gate_mu=mus[0],
        )


def _tables() -> Iterator[tuple[str, CodedRecords]]:
    table, schema = embedded_adult()
    yield "Adult (embedded)", _read(table, schema)
    yield "adult_aim", _read(SHARED / "data" / "adult_aim.parquet", SHARED / "data" / "adult_aim.schema.yaml")


def _read(table: object, schema: object) -> CodedRecords:
    declared = load_schema(schema)  # type: ignore[arg-type]
    encoder = Encoder.of(declared.table)
    return read_records(open_table(table, declared), encoder, unit=declared.table.unit, key=bytes(32))


def _chances(records: CodedRecords, *, copied: float, splits: int) -> tuple[list[float], list[float]]:
    policy, budget, random = load_policy("standard"), Budget(epsilon=EPSILON, delta=DELTA), SystemRandom()
    plan = plan_gate(policy, amount=budget.cap.amount, coordinate=budget.coordinate, unit=PrivacyUnit())
    chances = []
    for _ in range(splits):
        cap = Price(budget.cap.amount, 2**20)
        spend = FilterSpend(coordinate=budget.coordinate, caps=dict.fromkeys(BOTH_SIDES, cap))
        training, holdout = split_records(records, share=policy.holdout_share, key=bytes(32), random=random)
        totals = measure_totals(training, holdout, plan=plan, spend=spend, random=random)
        fitted = fit_model(
            training,
            find_synthesizer("mst"),
            amount=plan.training_amount,
            coordinate=budget.coordinate,
            spend=spend,
            random=random,
        )
        rows = round(fitted.model.total / (1 - Fraction(policy.holdout_share)))
        rng = generator(None)
        synthetic = sample_codes(fitted.model, rows, rng=rng)
        strangers = sample_codes(fitted.model, STRANGERS, rng=rng, rounded=False)
        _, annex = run_gate(
            training,
            holdout,
            _with_copies(synthetic, training, copied),
            domain=training.domain,
            totals=totals,
            plan=plan,
            policy=policy,
            spend=spend,
            random=random,
            reference=strangers,
        )
        chances.append(float(annex.pass_probability))
    return chances, [plan.gate_mu]


def _with_copies(synthetic: Codes, training: MemorySource, share: float) -> Codes:
    """The table with a share of the training rows in place of some of its own."""
    if not share:
        return synthetic
    rows = np.concatenate([codes for codes, _ in training.blocks()], axis=1)
    rng = np.random.default_rng()
    chosen = rng.choice(rows.shape[1], round(share * rows.shape[1]), replace=False)
    out = synthetic.copy()
    out[:, rng.choice(out.shape[1], len(chosen), replace=False)] = rows[:, chosen]
    return out
