"""Maximum-entropy estimation from noisy marginals: entropic mirror descent with Anderson acceleration.

Minimises sum_q |M_q - total p_q|^2 / (2 sigma_q^2) over distributions p on a junction tree, from the uniform
distribution (or a warm start), which among the minimisers finds the one of largest entropy that factorises over the
measured cliques.

Sources: McKenna, Sheldon, Miklau 2019 (arXiv:1901.09136), the estimator; Anderson 1965 and Walker and Ni 2011, the
acceleration (type II, least squares over the last updates), safeguarded by the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.junction_tree import junction_tree
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import Oracle, Table
from dpsynth.measurement import Measurement

HISTORY = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What one clique should look like: centred counts and the precision of each cell (1 / sigma^2)."""

    clique: Clique
    values: Table
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A fitted model with the log-potential of each measured clique, for a warm start of the next fit."""

    model: TreeModel
    potentials: Mapping[Clique, Table] = field(repr=False)


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
) -> TreeModel:
    """Fit a graphical model to noisy marginals.

    Args:
      domain: The public domain.
      measurements: Noisy marginals; any cliques, repeats allowed.
      total: Number of rows to fit; None estimates it from the measurements.
      max_calls: Bound on oracle calls.
      tolerance: Decrease of the loss, relative to it or to a hundredth of the number of cells (what is well below
        noise), below which three steps in a row end the fit.

    Returns:
      The calibrated model, a function of the measurements alone.

    Privacy:
      None; post-processing.
    """
    return fit_tree(domain, measurements, total=total, max_calls=max_calls, tolerance=tolerance).model


def fit_tree(
    domain: Domain,
    measurements: Sequence[Measurement],
    *,
    total: float | None = None,
    warm: Fit | None = None,
    max_calls: int = 1500,
    tolerance: float = 2e-4,
) -> Fit:
    """Like :func:`estimate_tree`, from a warm start: potentials of an earlier fit, and one proportional step for each
    clique that it didn't have.

    Privacy:
      None; post-processing.
    """
    total = estimate_total(measurements) if total is None else total
    targets = merge(measurements, total)
    oracle = Oracle.of(junction_tree(domain, [t.clique for t in targets]), [t.clique for t in targets])
    problem = _Problem(oracle=oracle, targets=tuple(targets), total=total)
    theta = _descend(problem, {} if warm is None else warm.potentials, max_calls, tolerance)
    parts = _split(theta, targets)
    model = TreeModel(tree=oracle.tree, beliefs=tuple(oracle.beliefs(parts)), total=total)
    return Fit(model=model, potentials={t.clique: part for t, part in zip(targets, parts, strict=True)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    oracle: Oracle
    targets: tuple[Target, ...]
    total: float

    def loss(self, theta: Table) -> tuple[float, Table]:
        """Loss and its gradient by the log-potentials' mean parameters, as one flat vector; infinite on underflow."""
        try:
            marginals = self.oracle.marginals(_split(theta, self.targets))
        except FloatingPointError:
            return np.inf, np.zeros_like(theta)
        value, gradient = 0.0, []
        for p, t in zip(marginals, self.targets, strict=True):
            residual = self.total * p - t.values
            value += 0.5 * t.precision * float((residual * residual).sum())
            gradient.append((self.total * t.precision * residual).ravel())
        return value, np.concatenate(gradient)


def _split(theta: Table, targets: Sequence[Target]) -> list[Table]:
    ends = np.cumsum([t.values.size for t in targets])[:-1]
    return [part.reshape(t.values.shape) for part, t in zip(np.split(theta, ends), targets, strict=True)]


def _descend(problem: _Problem, warm: Mapping[Clique, Table], max_calls: int, tolerance: float) -> Table:
    """Mirror descent theta <- theta - step * gradient, extrapolated from the last steps where that lowers the loss."""
    theta = _scaled_start(problem, warm)
    loss, gradient = problem.loss(theta)
    uniform = np.zeros_like(theta)
    if not loss <= problem.loss(uniform)[0]:
        theta, (loss, gradient) = uniform, problem.loss(uniform)
    step = 4.0 / (problem.total**2 * max(t.precision for t in problem.targets))
    history: list[tuple[Table, Table]] = []
    noise_level = 0.01 * theta.size  # the loss that noise alone leaves is about half a unit a cell
    calm = 0
    for _ in range(max_calls):
        proposal = _anderson(history, theta, gradient, step)
        new_loss, new_gradient = problem.loss(proposal)
        if not new_loss <= loss:
            step, history = (step, []) if history else (step / 4, [])
            continue
        calm = calm + 1 if loss - new_loss < tolerance * max(loss, noise_level) else 0
        step = step if history else step * 2
        history = [*history, (theta, gradient)][-HISTORY:]
        theta, loss, gradient = proposal, new_loss, new_gradient
        if calm == 3:
            break
    return theta


def _scaled_start(problem: _Problem, warm: Mapping[Clique, Table]) -> Table:
    """Warm potentials, and one sweep of iterative proportional fitting over the cliques that have none; there, cells
    below a tenth of a standard deviation are raised to it."""
    parts = [warm.get(t.clique, np.zeros(t.values.shape)) for t in problem.targets]
    new = [i for i, t in enumerate(problem.targets) if t.clique not in warm]
    order = sorted(new, key=lambda i: len(problem.targets[i].clique))
    for i in order:
        target = problem.targets[i]
        try:
            reached = problem.oracle.marginals(parts)[i]
        except FloatingPointError:
            break
        floor = 0.1 / np.sqrt(target.precision)
        aimed = np.maximum(target.values, floor)
        parts[i] = parts[i] + np.log(aimed / np.maximum(reached * aimed.sum(), 1e-12 * floor))
    return np.concatenate([p.ravel() for p in parts])


def _anderson(history: list[tuple[Table, Table]], theta: Table, gradient: Table, step: float) -> Table:
    """The accelerated point: the affine combination of past points and updates with the smallest combined update.

    ``history`` holds past points with their gradients, so that all updates are of the present step.
    """
    update = -step * gradient
    if not history:
        return theta + update
    points = np.array([theta - p for p, _ in history])
    updates = np.array([step * (g - gradient) for _, g in history])
    gram = updates @ updates.T
    gram[np.diag_indices_from(gram)] += 1e-10 * max(float(np.trace(gram)), 1e-300)
    weights = np.linalg.solve(gram, updates @ update)
    return np.asarray(theta + update - weights @ (points + updates))
