"""Releases that the gate judges: honest, and with leaks planted in them. One run is one split with its exact verdicts.

No noise of the verdict is drawn: given the exact statistics of a run, the probability of failing is known exactly.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.price import Price
from accountant.spend import BOTH_SIDES
from benchmarks.harness import CACHE, SHARED, commit, state
from dpsynth.attacks import Layout
from dpsynth.data import embedded_adult
from dpsynth.encode import Encoder
from dpsynth.gate import GatePlan, Policy, load_policy, plan_gate
from dpsynth.gate.layout import layout_of
from dpsynth.gate.totals import measure_totals
from dpsynth.gate.verdict import run_gate
from dpsynth.line import STRANGERS
from dpsynth.noise.random import SystemRandom
from dpsynth.records import CodedRecords, read_records, split_records
from dpsynth.sampling import generator, sample_apart
from dpsynth.schema import load_schema
from dpsynth.sources import Codes, MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model
from dpsynth.tables import open_table

EMBEDDED = "Adult (embedded)"
DELTA = 1e-6
DECIDES = ("accountant", "dpsynth", "benchmarks/gate_runs.py", "benchmarks/gate_leaks.py", "constraints.txt")
"""The paths that decide a run."""

Plant = Callable[[Codes, Codes, np.random.Generator], Codes]
"""A leaky table from an honest one and the training rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is released, and how it is gated.

    Attributes:
      table: A table of the shared data, or the embedded one.
      synthesizer: Its name.
      epsilon: Of the release, at delta 1e-6.
      gate_mu: Asked for; None for what the plan allows, at most the profile's.
      people: Rows drawn from the table afresh for every run; None for all.
    """

    table: str
    synthesizer: str = "mst"
    epsilon: float = 1.0
    gate_mu: str | None = None
    people: int | None = 30_000

    @property
    def words(self) -> str:
        """The setting in words."""
        mu = "the gate_mu that the plan allows" if self.gate_mu is None else f"gate_mu {self.gate_mu}"
        return f"{self.table}, {self.synthesizer}, epsilon {self.epsilon:g}, {mu}"

    @property
    def policy(self) -> Policy:
        """The standard profile with this gate_mu."""
        standard = load_policy("standard")
        return standard if self.gate_mu is None else replace(standard, gate_mu=Fraction(self.gate_mu))

    @property
    def plan(self) -> GatePlan:
        """Who pays what; a gate_mu that was asked for is granted or refused."""
        budget = Budget(epsilon=self.epsilon, delta=DELTA)
        amount, coordinate = budget.cap.amount, budget.coordinate
        return plan_gate(self.policy, amount=amount, coordinate=coordinate, unit=PrivacyUnit(), gate_mu=self.gate_mu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One table judged.

    Attributes:
      failing: Exact probability of failing.
      smallest_leak: What the verdict would state.
    """

    failing: float
    smallest_leak: float


def copies(share: float) -> Plant:
    """A share of the training rows, verbatim, in place of as many rows of the table."""

    def plant(honest: Codes, training: Codes, rng: np.random.Generator) -> Codes:
        out = honest.copy()
        chosen = rng.choice(training.shape[1], min(training.shape[1], round(share * training.shape[1])), replace=False)
        chosen = chosen[: out.shape[1]]
        out[:, rng.choice(out.shape[1], len(chosen), replace=False)] = training[:, chosen]
        return out

    return plant


@cache
def coded(table: str) -> tuple[CodedRecords, Layout]:
    """All records of a table, coded by its schema, and its layout."""
    given: tuple[Any, Any] = embedded_adult() if table == EMBEDDED else _shared(table)
    declared = load_schema(given[1])
    encoder = Encoder.of(declared.table)
    records = read_records(open_table(given[0], declared), encoder, unit=declared.table.unit, key=bytes(32))
    return records, layout_of(encoder)


def _shared(table: str) -> tuple[Any, Any]:
    folder = SHARED / "data"
    return folder / f"{table}.parquet", folder / f"{table}.schema.yaml"


def rows_of(source: MemorySource) -> Codes:
    """All codes of a source."""
    return np.concatenate([codes for codes, _ in source.blocks()], axis=1)


def judge(setting: Setting, plants: Sequence[tuple[str, Plant | None]], seed: int) -> dict[str, Judged]:
    """Split afresh, fit, sample, and judge the honest table (where there is no plant) and each leaky one.

    Noise and coins are the operating system's: a run can't be repeated. ``seed`` draws the people and the leaks.
    """
    (records, layout), policy, random = coded(setting.table), setting.policy, SystemRandom()
    rng = np.random.default_rng(seed)
    budget = Budget(epsilon=setting.epsilon, delta=DELTA)
    plan = setting.plan
    chosen = _some(records, setting.people, rng)
    training, holdout = split_records(chosen, share=policy.holdout_share, key=bytes(32), random=random)
    spend = _spend(budget)
    totals = measure_totals(training, holdout, plan=plan, spend=spend, random=random)
    fitted = fit_model(
        training,
        find_synthesizer(setting.synthesizer),
        amount=plan.training_amount,
        coordinate=budget.coordinate,
        spend=spend,
        random=random,
    )
    rows = round(fitted.model.total / (1 - Fraction(policy.holdout_share)))
    honest, strangers = sample_apart(fitted.model, rows, STRANGERS, rng=generator(None))
    found: dict[str, Judged] = {}
    for name, given in plants:
        plant = copies(found["none"].smallest_leak) if name == "the stated leak" else given
        table = honest if plant is None else plant(honest, rows_of(training), rng)
        result, annex = run_gate(
            training,
            holdout,
            table,
            layout=layout,
            totals=totals,
            plan=plan,
            policy=policy,
            spend=_spend(budget),
            random=random,
            reference=strangers,
        )
        found[name] = Judged(failing=float(1 - annex.pass_probability), smallest_leak=result.smallest_leak)
    return found


def _spend(budget: Budget) -> FilterSpend:
    cap = Price(budget.cap.amount, 2**30)
    return FilterSpend(coordinate=budget.coordinate, caps=dict.fromkeys(BOTH_SIDES, cap))


def _some(records: CodedRecords, people: int | None, rng: np.random.Generator) -> CodedRecords:
    codes = rows_of(records.source)
    if people is None or people >= codes.shape[1]:
        return records
    kept = np.ascontiguousarray(codes[:, rng.choice(codes.shape[1], people, replace=False)])
    return CodedRecords(source=MemorySource(records.source.domain, kept), unit_ids=None)


def runs(name: str, jobs: Iterable[tuple[Setting, int]], leaks: Sequence[str], *, workers: int = 2) -> list[Any]:
    """Judge many runs, in processes; each is kept when it is done, so that a section that is cut off resumes.

    Args:
      name: Of the section.
      jobs: Settings and seeds.
      leaks: Names of leaks of :mod:`benchmarks.gate_leaks`; ``"none"`` is the honest table.
      workers: Processes.

    Returns:
      For each job, ``{leak: {"failing": ..., "smallest_leak": ...}}``.
    """
    folder = CACHE / "gate" / "runs" / state(DECIDES)
    keep = not commit(DECIDES).endswith("-changed")
    asked = [
        (setting, seed, tuple(leaks), str(folder / f"{name}-{i}.json") if keep else None)
        for i, (setting, seed) in enumerate(jobs)
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_one, asked))


def _one(job: tuple[Setting, int, tuple[str, ...], str | None]) -> dict[str, dict[str, float]]:
    from pathlib import Path

    from benchmarks.gate_leaks import LEAKS

    setting, seed, leaks, kept = job
    if kept is not None and Path(kept).exists():
        known: dict[str, dict[str, float]] = json.loads(Path(kept).read_text())
        return known
    judged = judge(setting, [(leak, LEAKS[leak]) for leak in leaks], seed)
    found = {leak: {"failing": j.failing, "smallest_leak": j.smallest_leak} for leak, j in judged.items()}
    if kept is not None:
        Path(kept).parent.mkdir(parents=True, exist_ok=True)
        Path(kept).write_text(json.dumps(found))
    return found
