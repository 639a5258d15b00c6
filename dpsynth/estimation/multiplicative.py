"""Multiplicative weights on the full joint table: the estimate of MWEM where the whole domain fits in memory.

Hardt, Ligett, McSherry 2012 (arXiv:1012.4763), Figure 1, with the improvement of their section 2.3.3: every round goes
over all measurements so far. A marginal is all of its cells' queries at once; they are disjoint, so one product updates
them together. The result is the last round's table, which has seen everything; the mean over rounds that the theorem
speaks of is further off in practice.
"""

from collections.abc import Sequence

import numpy as np

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.base import Table
from dpsynth.estimation.junction_tree import junction_tree
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import expand, reduce_to
from dpsynth.estimation.solver import estimate_total
from dpsynth.measurement import Measurement

SWEEPS = 30
"""Times that a round goes over all measurements so far."""


def multiplied(joint: Table, domain: Domain, clique: Clique, noisy: Table, total: float) -> Table:
    """One update: each cell of the joint times exp((noisy - expected) / (2 total)) of its cell of the marginal.

    Args:
      joint: Probabilities of the whole domain, shape ``domain.sizes``.
      domain: The public domain.
      clique: The measured marginal.
      noisy: Its noisy counts.
      total: Number of rows.
    """
    expected = total * reduce_to(joint, domain.names, clique)
    exponent = np.clip((noisy - expected) / (2 * total), -50.0, 50.0)
    updated = joint * expand(np.exp(exponent), clique, domain.names)
    return np.asarray(updated / updated.sum())


def multiplicative_weights(
    domain: Domain,
    measurements: Sequence[Measurement],
    *,
    total: float,
    sweeps: int = SWEEPS,
    earlier: Sequence[Table] = (),
) -> list[Table]:
    """The joint tables after each round, one measurement a round, from the uniform table on.

    Args:
      domain: The public domain; its full joint table must fit in memory.
      measurements: Noisy marginals, in the order of their rounds.
      total: Number of rows.
      sweeps: Times that a round goes over all measurements so far.
      earlier: The tables of the first rounds, where they are known.

    Privacy:
      None; post-processing.
    """
    rounds = list(earlier)
    joint = rounds[-1] if rounds else np.full(domain.sizes, 1.0 / domain.cells(domain.names))
    for last in range(len(rounds) + 1, len(measurements) + 1):
        for _ in range(sweeps):
            for m in measurements[:last]:
                joint = multiplied(joint, domain, m.clique, m.values.astype(np.float64), total)
        rounds.append(joint)
    return rounds


def joint_model(domain: Domain, rounds: Sequence[Table], total: float) -> TreeModel:
    """The last round's joint table, as a model of one clique."""
    return TreeModel(tree=junction_tree(domain, [domain.names]), beliefs=(rounds[-1],), total=total)


def estimate_joint(domain: Domain, measurements: Sequence[Measurement]) -> TreeModel:
    """Multiplicative weights from scratch, with the total that the measurements tell.

    Privacy:
      None; post-processing.
    """
    total = estimate_total(measurements)
    return joint_model(domain, multiplicative_weights(domain, measurements, total=total), total)
