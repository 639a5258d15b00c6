"""Our gate, our one-run audit and our comparators on the same coded tables; prints JSON, exact figures of public data.

The gate is run at mu .05 over noise: what is told is the exact probability with which its one noisy draw fails.
"""

import argparse
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.price import Price
from accountant.spend import BOTH_SIDES
from dpsynth.attacks import Layout
from dpsynth.attacks.guessing import guess_members
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import prepare
from dpsynth.domain import Domain
from dpsynth.gate import load_policy, plan_gate
from dpsynth.gate.one_run import audit_split
from dpsynth.gate.totals import measure_totals
from dpsynth.gate.verdict import run_gate
from dpsynth.noise.random import SystemRandom
from dpsynth.sources import Codes, MemorySource

EPSILON, DELTA = 1.0, 1e-6


def main() -> None:
    """The gate's verdict as a probability, and the bound of the coins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("synthetic", type=Path)
    given = parser.parse_args()
    domain = Domain.of(json.loads((given.folder / "domain.json").read_text()))
    training, holdout = (
        MemorySource(domain, read(given.folder / f"{side}.parquet", domain)) for side in ("training", "holdout")
    )
    synthetic, strangers = read(given.synthetic, domain), read(given.folder / "strangers.parquet", domain)
    policy, budget, random = load_policy("standard"), Budget(epsilon=EPSILON, delta=DELTA), SystemRandom()
    plan = plan_gate(policy, amount=budget.cap.amount, coordinate=budget.coordinate, unit=PrivacyUnit())
    cap = Price(budget.cap.amount, 2**30)
    spend = FilterSpend(coordinate=budget.coordinate, caps=dict.fromkeys(BOTH_SIDES, cap))
    totals = measure_totals(training, holdout, plan=plan, spend=spend, random=random)
    _, annex = run_gate(
        training, holdout, synthetic, layout=Layout.plain(domain.sizes), totals=totals, plan=plan, policy=policy,
        spend=spend, random=random, reference=strangers,
    )  # fmt: skip
    table = prepare(synthetic, domain.sizes)
    sides = [guess_members(side.blocks(), table, by_chance(table)) for side in (training, holdout)]
    bound = audit_split(*sides, holdout_share=Fraction(policy.holdout_share), delta=DELTA)
    told = {"gate fails with probability": 1.0 - float(annex.pass_probability), "gate_mu": plan.gate_mu}
    print(json.dumps({**told, "one-run audit: epsilon at least": bound.epsilon_low}))


def read(path: Path, domain: Domain) -> Codes:
    """Codes of a table, shape (columns, rows)."""
    table = pq.ParquetFile(path).read(columns=list(domain.names))
    return np.array([np.from_dlpack(c.combine_chunks()) for c in table.columns]).astype(np.uint16)


if __name__ == "__main__":
    main()
