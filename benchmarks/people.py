"""People with several rows: what it is worth to declare in which columns they differ, on a made panel of visits.

Run with ``python benchmarks/people.py [--people 5000] [--rows 4] [--epsilon 1] [--seeds 3] [--repeats]``; prints a
table and JSON. The panel is made from a seed and belongs to nobody; without ``--repeats`` nobody comes twice in a
month. Errors are total variation distances of the model's pairs to those of the whole panel, so what the bounds cut off
counts, too. Seeded noise: a comparison, not a release.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from accountant.filters import FilterSpend
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.noise.coins import keep_at_most
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import find_synthesizer, fit_model

DOMAIN = Domain.of(
    {"sex": 2, "age": 8, "region": 6, "diagnosis": 5, "month": 12, "severity": 4, "treatment": 5, "cost": 10}
)
MU_AT_ONE = 0.237
"""mu of epsilon 1 at delta 1e-6."""
KEY = bytes(32)


def panel(people: int, *, seed: int, repeats: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Up to four visits of made people: codes (attributes, rows) and each row's person. The sick come more often."""
    rng = np.random.default_rng(seed)
    sex, age, region = (rng.integers(0, n, people) for n in (2, 8, 6))
    diagnosis = np.minimum(4, rng.poisson(0.25 * age + 0.4 * sex))
    visits = 1 + np.minimum(3, rng.poisson(0.3 + 0.7 * diagnosis))
    who = np.repeat(np.arange(people), visits)
    months = rng.integers(0, 12, (people, 4)) if repeats else rng.random((people, 12)).argsort(axis=1)[:, :4]
    month = months[np.arange(4) < visits[:, None]]
    winter = (month < 3) | (month > 9)
    severity = np.minimum(3, rng.binomial(3, 0.15 + 0.1 * diagnosis[who] + 0.15 * winter))
    usual = np.minimum(4, severity + (age[who] > 4))
    treatment = np.where(rng.random(len(who)) < 0.7, usual, rng.integers(0, 5, len(who)))
    cost = np.clip(2 * treatment + rng.integers(-1, 3, len(who)), 0, 9)
    columns = [sex[who], age[who], region[who], diagnosis[who], month, severity, treatment, cost]
    return np.array(columns, dtype=np.uint8), who.astype(np.int64)


def bounded(codes: NDArray[np.uint8], who: NDArray[np.int64], *, rows: int, distinct: tuple[str, ...]) -> MemorySource:
    """The source that the line would make of the panel."""
    apart = codes[[DOMAIN.names.index(name) for name in distinct]] if distinct else None
    ids = [str(i).encode() for i in range(int(who.max()) + 1)]
    keep = keep_at_most(who, ids, max_rows=rows, key=KEY, contents=codes, distinct=apart)
    return MemorySource(DOMAIN, codes[:, keep], units=who[keep], max_rows=rows, distinct=distinct)


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Total variation distance of two tables of shares."""
    return float(np.abs(first - second).sum() / 2)


def shares(source: MemorySource, cliques: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], NDArray[np.float64]]:
    return {q: counts / counts.sum() for q, counts in source.counts(list(cliques))}


def counted_by_people(
    codes: NDArray[np.uint8], who: NDArray[np.int64], clique: tuple[str, ...]
) -> NDArray[np.float64]:
    """Shares of a marginal in which each person counts once per cell."""
    shape = DOMAIN.shape(clique)
    cell = np.ravel_multi_index(tuple(codes[DOMAIN.names.index(n)].astype(np.int64) for n in clique), shape)
    once = np.unique(np.stack([who, cell]), axis=1)[1]
    counts = np.bincount(once, minlength=DOMAIN.cells(clique)).reshape(shape)
    return counts / counts.sum()


def measured(
    people: int, rows: int, epsilon: float, seed: int, name: str, distinct: tuple[str, ...], *, repeats: bool
) -> dict[str, float]:
    """Errors of one fit: pairs with a month, and the others."""
    codes, who = panel(people, seed=seed, repeats=repeats)
    source = bounded(codes, who, rows=rows, distinct=distinct)
    pairs = list(itertools.combinations(DOMAIN.names, 2))
    truth = shares(MemorySource(DOMAIN, codes), pairs)
    amount = int((MU_AT_ONE * epsilon) ** 2 * AMOUNT_UNIT)
    spend = FilterSpend(coordinate=Coordinate.GDP, caps={Side.TRAINING: Price(amount, 2**24)})
    made = fit_model(
        source, find_synthesizer(name), amount=amount, coordinate=Coordinate.GDP, spend=spend, random=SeededRandom(seed)
    ).model
    errors = {q: distance(np.asarray(made.marginal(q)).reshape(DOMAIN.shape(q)), truth[q]) for q in pairs}
    cut = {q: distance(table, truth[q]) for q, table in shares(source, pairs).items()}
    inside = [q for q in pairs if "month" in q]
    outside = [q for q in pairs if "month" not in q]
    return {
        "pairs with month": float(np.mean([errors[q] for q in inside])),
        "other pairs": float(np.mean([errors[q] for q in outside])),
        "cut off, with month": float(np.mean([cut[q] for q in inside])),
        "cut off, others": float(np.mean([cut[q] for q in outside])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", action="store_true")
    parser.add_argument("--synthesizers", nargs="+", default=["independent", "mst", "tree", "adaptive"])
    asked = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in asked.synthesizers:
        for distinct in ((), ("month",)):
            runs = [
                measured(asked.people, asked.rows, asked.epsilon, seed, name, distinct, repeats=asked.repeats)
                for seed in range(asked.seeds)
            ]
            means = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
            found.setdefault(name, {})["distinct" if distinct else "number alone"] = means
            said = "  ".join(f"{key} {value:.4f}" for key, value in means.items())
            print(f"{name:12s} {'distinct: [month]' if distinct else 'max_rows alone':18s} {said}", flush=True)
    codes, who = panel(asked.people, seed=0, repeats=asked.repeats)
    ones = [(name,) for name in DOMAIN.names]
    truth = shares(bounded(codes, who, rows=asked.rows, distinct=()), ones)
    kept = keep_at_most(
        who, [str(i).encode() for i in range(asked.people)], max_rows=asked.rows, key=KEY, contents=codes
    )
    bias = {q[0]: distance(counted_by_people(codes[:, kept], who[kept], q), truth[q]) for q in ones}
    print("counted by people per cell, no noise at all:", "  ".join(f"{k} {v:.4f}" for k, v in bias.items()))
    print(json.dumps({"errors": found, "bias of counting people": bias}))


if __name__ == "__main__":
    main()
