"""Small policies, sources and random sources for the gate's tests."""

import dataclasses
import functools
from fractions import Fraction

import numpy as np

from accountant.adjacency import PrivacyUnit
from accountant.filters import FilterSpend
from accountant.price import Coordinate, Price
from accountant.spend import Side
from dpsynth.attacks import Layout
from dpsynth.domain import Domain
from dpsynth.gate import load_policy, plan_gate
from dpsynth.sources.memory import MemorySource

DOMAIN = Domain(names=("a", "b", "c"), sizes=(2, 3, 2))
LAYOUT = Layout(sizes=(2, 3, 2), ordered=(0, 3, 0), known=((0, 1), (2,)), secrets=(0, 1))
"""A scale in the middle, two sets of known columns, two secrets: every family of features."""


class Chosen:
    """A random source that returns chosen indices (0 noise where nothing is chosen)."""

    private = False

    def __init__(self, *indices):
        self.indices = list(indices)
        self.lengths = []

    def draw(self, table, size):
        self.lengths.append(len(table))
        chosen = self.indices.pop(0) if self.indices else len(table) // 2
        return np.full(size, chosen, dtype=np.int64)


def policy(**changes):
    return dataclasses.replace(_research(), **changes)


@functools.cache
def _research():
    return load_policy("research")


def plan(of, mu, *, coordinate=Coordinate.GDP, gate_mu=None):
    scale = {Coordinate.GDP: 1, Coordinate.ZCDP: Fraction(1, 2)}[coordinate]
    amount = Price.of(Fraction(mu) ** 2 * scale).amount
    return plan_gate(of, amount=amount, coordinate=coordinate, unit=PrivacyUnit(), gate_mu=gate_mu)


def budget(of_plan):
    caps = dict.fromkeys(Side, Price(of_plan.amount, of_plan.delta))
    return FilterSpend(coordinate=of_plan.coordinate, caps=caps, adjacency=of_plan.adjacency)


def source(codes, units=None, domain=DOMAIN, max_rows=1):
    codes = np.asarray(codes, dtype=np.uint8).reshape(len(domain.names), -1)
    units = None if units is None else np.asarray(units, dtype=np.int64)
    return MemorySource(domain, codes, units=units, max_rows=max_rows)


def table(rng, rows, domain=DOMAIN):
    return np.stack([rng.integers(0, s, rows) for s in domain.sizes]).astype(np.uint8)
