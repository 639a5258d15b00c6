"""Maximum-entropy estimation from noisy marginals: entropic mirror descent with Anderson acceleration.

Minimises sum_q |M_q - total p_q|^2 / (2 sigma_q^2) over distributions p on a junction tree, from the uniform
distribution (or a warm start), which among the minimisers finds the one of largest entropy that factorises over the
measured cliques.

Sources: McKenna, Sheldon, Miklau 2019 (arXiv:1901.09136), the estimator; Anderson 1965 and Walker and Ni 2011, the
acceleration (type II, least squares over the last updates), safeguarded by the loss.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.anderson import Mixer
from dpsynth.estimation.junction_tree import junction_tree
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import Oracle, Table
from dpsynth.estimation.shrinkage import shrunk
from dpsynth.estimation.zeros import StructuralZeros
from dpsynth.measurement import Measurement

AGAIN = 5.0
"""Tolerance of the second fit as a multiple of the first's: what it fits has little noise left, and starts near."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What one clique should look like: centred counts and the precision of each cell (1 / sigma^2)."""

    clique: Clique
    values: Table
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A fitted model, with what a warm start of the next fit needs.

    Attributes:
      model: The model.
      potentials: The log-potential of each measured clique, flat, axes in the order of the oracle's buffer.
      calls: Oracle calls that the fit took.
    """

    model: TreeModel
    potentials: Mapping[Clique, Table] = field(repr=False)
    calls: int


def estimate_total(measurements: Sequence[Measurement]) -> float:
    """Number of rows: the precision-weighted mean of the noisy totals, at least 1."""
    precision = np.array([1.0 / (m.values.size * m.sigma**2) for m in measurements])
    totals = np.array([float(m.values.sum()) for m in measurements])
    return max(1.0, float(precision @ totals / precision.sum()))


def merge(measurements: Sequence[Measurement], total: float) -> list[Target]:
    """Merge repeated measurements of a clique by precision, and centre each on the total."""
    groups: dict[Clique, list[Measurement]] = {}
    for m in measurements:
        groups.setdefault(m.clique, []).append(m)
    targets = []
    for clique, group in groups.items():
        precision = sum(1.0 / m.sigma**2 for m in group)
        values = np.asarray(sum(m.values / m.sigma**2 for m in group)) / precision
        values = values + (total - values.sum()) / values.size
        targets.append(Target(clique=clique, values=values, precision=precision))
    return targets


def estimate_tree(
    domain: Domain,
    measurements: Sequence[Measurement],
    *,
    total: float | None = None,
    max_calls: int = 1500,
    tolerance: float = 2e-4,
    zeros: Sequence[StructuralZeros] = (),
) -> TreeModel:
    """Fit a graphical model to noisy marginals: once to them, then to what :mod:`dpsynth.estimation.shrinkage` makes
    of them in the light of that fit.

    Args:
      domain: The public domain.
      measurements: Noisy marginals; any cliques, repeats allowed.
      total: Number of rows to fit; None estimates it from the measurements.
      max_calls: Bound on oracle calls.
      tolerance: Decrease of the loss, relative to it or to a hundredth of the number of cells (what is well below
        noise), below which three steps in a row end the fit.
      zeros: Declared cells that can't occur: held at exactly zero.

    Returns:
      The calibrated model, a function of the measurements alone.

    Privacy:
      None; post-processing.
    """
    total = estimate_total(measurements) if total is None else total
    targets = merge(measurements, total)
    first = _fit(domain, targets, total, {}, max_calls, tolerance, zeros)
    if all(len(t.clique) == 1 for t in targets):
        return first.model
    calm = _drawn_in(domain, targets, first.model)
    return _fit(domain, calm, total, first.potentials, max_calls, AGAIN * tolerance, zeros).model


def _drawn_in(domain: Domain, targets: Sequence[Target], model: TreeModel) -> list[Target]:
    """What the model has of each target's clique, without the noise that can be told from signal."""

    def drawn_in(clique: Clique) -> Table:
        def sigma(kept: tuple[int, ...]) -> float:
            wanted = {clique[i] for i in kept}
            holding = [t for t in targets if wanted <= set(t.clique)]
            cells = math.prod(domain.size(n) for n in wanted)
            return math.sqrt(1.0 / sum(t.precision * cells / domain.cells(t.clique) for t in holding))

        return shrunk(model.total * model.marginal(clique), sigma)

    return [replace(t, values=drawn_in(t.clique)) for t in targets]


def fit_tree(
    domain: Domain,
    measurements: Sequence[Measurement],
    *,
    total: float | None = None,
    warm: Fit | None = None,
    max_calls: int = 1500,
    tolerance: float = 2e-4,
    zeros: Sequence[StructuralZeros] = (),
) -> Fit:
    """Like :func:`estimate_tree`, from a warm start: potentials of an earlier fit, and one proportional step for each
    clique that it didn't have.

    Privacy:
      None; post-processing.
    """
    total = estimate_total(measurements) if total is None else total
    known = {} if warm is None else warm.potentials
    return _fit(domain, merge(measurements, total), total, known, max_calls, tolerance, zeros)


def _fit(
    domain: Domain,
    targets: Sequence[Target],
    total: float,
    warm: Mapping[Clique, Table],
    max_calls: int,
    tolerance: float,
    zeros: Sequence[StructuralZeros],
) -> Fit:
    cliques = [t.clique for t in targets]
    tree = junction_tree(domain, [*cliques, *(z.clique for z in zeros)])
    oracle = Oracle(tree, cliques, targets=[(t.values, t.precision) for t in targets], total=total, zeros=zeros)
    problem = _Problem(oracle=oracle, targets=tuple(targets), total=total)
    theta, calls = _descend(problem, warm, max_calls, tolerance)
    model = TreeModel(tree=tree, beliefs=tuple(oracle.flat_beliefs(theta)), total=total)
    return Fit(model=model, potentials=dict(zip(cliques, problem.split(theta), strict=True)), calls=calls)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    oracle: Oracle
    targets: tuple[Target, ...]
    total: float

    def split(self, flat: Table) -> list[Table]:
        """One part for each target."""
        return np.split(flat, np.cumsum([t.values.size for t in self.targets])[:-1])


def _descend(problem: _Problem, warm: Mapping[Clique, Table], max_calls: int, tolerance: float) -> tuple[Table, int]:
    """Mirror descent theta <- theta - step * gradient, extrapolated from the last steps where that lowers the loss."""
    evaluate = problem.oracle.loss
    theta = _scaled_start(problem, warm)
    loss, gradient = evaluate(theta)
    if not warm or not np.isfinite(loss):
        uniform = np.zeros_like(theta)
        level, slope = evaluate(uniform)
        if not loss <= level:
            theta, loss, gradient = uniform, level, slope
    step = 4.0 / (problem.total**2 * max(t.precision for t in problem.targets))
    mixer = Mixer(theta.size)
    noise_level = 0.01 * theta.size  # the loss that noise alone leaves is about half a unit a cell
    calm = calls = 0
    while calls < max_calls and calm < 3:
        proposal = mixer.proposal(theta, gradient, step)
        new_loss, new_gradient = evaluate(proposal)
        calls += 1
        if not new_loss <= loss:
            step = step if mixer.used else step / 4
            mixer.forget()
            continue
        calm = calm + 1 if loss - new_loss < tolerance * max(loss, noise_level) else 0
        step = step if mixer.used else step * 2
        mixer.remember(proposal - theta, new_gradient - gradient)
        theta, loss, gradient = proposal, new_loss, new_gradient
    return theta, calls


def _scaled_start(problem: _Problem, warm: Mapping[Clique, Table]) -> Table:
    """Warm potentials, and one sweep of iterative proportional fitting over the cliques that have none; there, cells
    below a tenth of a standard deviation are raised to it."""
    known = [warm.get(t.clique) for t in problem.targets]
    zeros = [np.zeros(t.values.size) for t in problem.targets]
    theta = np.concatenate([z if w is None else w for w, z in zip(known, zeros, strict=True)])
    ways = {i: len(t.clique) for i, (t, w) in enumerate(zip(problem.targets, known, strict=True)) if w is None}
    ones = [i for i, k in ways.items() if k == 1]  # where they come first, none moves another
    for together in [*([ones] if ones else []), *([i] for i in sorted(ways, key=lambda i: ways[i]) if ways[i] > 1)]:
        try:
            reached = problem.split(problem.oracle.flat_marginals(theta))
        except FloatingPointError:
            break
        parts = problem.split(theta)  # views
        for i in together:
            target = problem.targets[i]
            floor = 0.1 / np.sqrt(target.precision)
            aimed = np.maximum(problem.oracle.order.inward(target.values, target.clique), floor)
            parts[i] += np.log(aimed / np.maximum(reached[i] * aimed.sum(), 1e-12 * floor))
    return theta
