"""A mixture of products fitted to noisy marginals of any number and size.

The loss is that of the graphical model, sum_q |M_q - total p_q|^2 / (2 sigma_q^2); Adam lowers it over softmax logits.
All pairs together are one matrix product of the components' tables with themselves, a larger marginal is the product of
its last attribute's table with the others'. The start is a graphical model of the strongest measured marginals, at the
points of a low-discrepancy sequence, one a component: so a fit draws nothing. The processor
and the number of BLAS threads choose the order of its sums, so machines or settings may differ in small digits.

Sources: Aydore et al. 2021 (arXiv:2103.06641) and Liu, Vietri, Wu 2021 (arXiv:2106.07153), relaxed tables and mixtures
of products fitted to noisy answers; Kingma, Ba 2015 (arXiv:1412.6980), Adam.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.base import Model, Table
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.estimation.mixture import MixtureModel
from dpsynth.estimation.solver import Target, estimate_total, fit_tree, merge
from dpsynth.measurement import Measurement

Single = NDArray[np.float32]

FIRST_RATE, LAST_RATE = 0.1, 0.01
"""Adam's rate at its first and its last step."""

SMALL_ROUNDS = 2
"""One-ways and pairs are fitted first, in this multiple of the steps: they cost little, and the rest starts near."""

START_CELLS = 50_000
"""Cells of the junction tree that a fit starts from."""

SMOOTHING = 0.3
"""Share of the one-way marginals in a component at the start; the rest is one record of the starting model."""


def fit_mixture(
    domain: Domain,
    measurements: Sequence[Measurement],
    *,
    components: int,
    steps: int,
    total: float | None = None,
) -> MixtureModel:
    """Fit a mixture of products to noisy marginals.

    Args:
      domain: The public domain.
      measurements: Noisy marginals; any cliques, repeats allowed.
      components: Number of product distributions.
      steps: Steps of Adam.
      total: Number of rows to fit; None estimates it from the measurements.

    Returns:
      The model: of the records it sees the measurements alone. Its digits are those of this machine and this number of
      BLAS threads.

    Privacy:
      None; post-processing.
    """
    total = estimate_total(measurements) if total is None else total
    targets = merge(measurements, total)
    theta = _start(domain, measurements, targets, total, components)
    omega = np.zeros(components, dtype=np.float32)
    small = [t for t in targets if len(t.clique) <= 2]
    if small and len(small) < len(targets):
        theta, omega = _adam(_Problem(domain, small, total), theta, omega, SMALL_ROUNDS * steps)
    problem = _Problem(domain, targets, total)
    theta, omega = _adam(problem, theta, omega, steps)
    tables = problem.probabilities(theta)
    return MixtureModel(
        domain=domain,
        weights=_rows_to_one(_softmax(omega)[None, :])[0],
        tables=tuple(_rows_to_one(tables[:, block]) for block in problem.blocks),
        total=total,
    )


def _start(
    domain: Domain, measurements: Sequence[Measurement], targets: Sequence[Target], total: float, components: int
) -> Single:
    """Logits of components around the records of a graphical model, smoothed by one-way marginals."""
    ones = {n: np.full(s, 1.0 / s) for n, s in zip(domain.names, domain.sizes, strict=True)}
    for t in targets:
        if len(t.clique) == 1:
            positive = np.maximum(t.values, 0.5)
            ones[t.clique[0]] = positive / positive.sum()
    kept = set(_strongest(domain, targets, ones, total))
    tree = fit_tree(
        domain, [m for m in measurements if m.clique in kept], total=total, max_calls=100, tolerance=1e-3
    ).model
    records = _spread_records(tree, components)
    parts = [
        np.log((1 - SMOOTHING) * np.eye(domain.size(n))[records[i]] + SMOOTHING * ones[n])
        for i, n in enumerate(domain.names)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _strongest(domain: Domain, targets: Sequence[Target], ones: dict[str, Table], total: float) -> list[Clique]:
    """All one-ways, and greedily those marginals that differ most from independence, within a small junction tree."""
    gains = []
    for t in targets:
        if len(t.clique) > 1:
            independent = np.full((), total)
            for name in t.clique:
                independent = np.multiply.outer(independent, ones[name])
            noise = np.minimum(0.8 / math.sqrt(t.precision), 4 * independent).sum()
            gains.append((float(np.abs(t.values - independent).sum() - noise), t.clique))
    sizes = TreeSizes(domain, [])
    kept: list[Clique] = [t.clique for t in targets if len(t.clique) == 1]
    for gain, clique in sorted(gains, reverse=True):
        if gain > 0 and sizes.cells_with(clique) <= START_CELLS:
            sizes.add(clique)
            kept.append(clique)
    return kept or [min((t.clique for t in targets), key=domain.cells)]


def _spread_records(model: Model, rows: int) -> dict[int, NDArray[np.int64]]:
    """Records of a model at the points of a Kronecker sequence (roots of primes): each variable's share is even."""
    drawn: dict[int, NDArray[np.int64]] = {}
    for step, prime in zip(model.conditionals(), _primes(), strict=False):
        group = np.zeros(rows, dtype=np.int64)
        for variable, size in zip(step.given, step.given_shape, strict=True):
            group = group * size + drawn[variable]
        ends = np.cumsum(step.table + 1e-12, axis=1)
        point = (np.arange(1, rows + 1) * math.sqrt(prime)) % 1.0
        ends = ends[group]
        cells = (ends < (point * ends[:, -1])[:, None]).sum(axis=1)
        for variable, values in zip(step.new, np.unravel_index(cells, step.new_shape), strict=True):
            drawn[variable] = np.asarray(values)
    return drawn


class _Problem:
    """The measured marginals, laid out for matrix products.

    Args:
      domain: The public domain.
      targets: Centred, merged marginals.
      total: Number of rows.
    """

    def __init__(self, domain: Domain, targets: Sequence[Target], total: float) -> None:
        ends = np.cumsum(domain.sizes)
        self.blocks = [slice(int(e) - s, int(e)) for e, s in zip(ends, domain.sizes, strict=True)]
        self.starts = np.array([b.start for b in self.blocks])
        self.sizes = np.array(domain.sizes)
        self.width = int(ends[-1])
        self.indicator = np.repeat(np.eye(len(domain.sizes), dtype=np.float32), domain.sizes, axis=0)
        self.scale = np.float32(total)
        self.pair_values = np.zeros((self.width, self.width), dtype=np.float32)
        self.pair_precision = np.zeros((self.width, self.width), dtype=np.float32)
        self.one_values = np.zeros(self.width, dtype=np.float32)
        self.one_precision = np.zeros(self.width, dtype=np.float32)
        self.larger: list[tuple[list[slice], Single, np.float32]] = []
        place = dict(zip(domain.names, self.blocks, strict=True))
        for t in targets:
            at = [place[n] for n in t.clique]
            shares = (t.values / total).astype(np.float32)
            precision = np.float32(t.precision * total**2)
            if len(at) == 1:
                self.one_values[at[0]], self.one_precision[at[0]] = shares, precision
            elif len(at) == 2:
                for a, b, values in ((at[0], at[1], shares), (at[1], at[0], shares.T)):
                    self.pair_values[a, b], self.pair_precision[a, b] = values, precision
            else:
                order = sorted(range(len(at)), key=lambda i: at[i].stop - at[i].start)
                values = np.ascontiguousarray(np.transpose(shares, order))
                self.larger.append(([at[i] for i in order], values.reshape(-1, values.shape[-1]), precision))

    def probabilities(self, theta: Single) -> Single:
        """Softmax within each attribute's block; shape (components, width)."""
        highest = np.maximum.reduceat(theta, self.starts, axis=1)
        powers = np.exp(theta - np.repeat(highest, self.sizes, axis=1))
        return np.asarray(powers / np.repeat(powers @ self.indicator, self.sizes, axis=1))

    def gradient(self, theta: Single, omega: Single) -> tuple[float, Single, Single]:
        """Loss, and its gradient by the logits of tables and weights."""
        p, w = self.probabilities(theta), _softmax(omega)
        weighted = p * w[:, None]
        residual = weighted.T @ p - self.pair_values
        force = residual * self.pair_precision
        loss = 0.25 * float(np.vdot(residual, force))
        by_p: Single = np.asarray(p @ force, dtype=np.float32)
        by_w: Single = np.float32(0.5) * np.einsum("kj,kj->k", p, by_p)
        one = w @ p - self.one_values
        single = one * self.one_precision
        loss += 0.5 * float(one @ single)
        by_p += single
        by_w = by_w + p @ single
        for at, values, precision in self.larger:
            loss += _product_term(p, w, at, values, precision, by_p, by_w)
        by_p *= weighted
        by_theta = by_p - p * np.repeat(by_p @ self.indicator, self.sizes, axis=1)
        return loss, by_theta, w * (by_w - w @ by_w)


def _product_term(
    p: Single, w: Single, at: Sequence[slice], values: Single, precision: np.float32, by_p: Single, by_w: Single
) -> float:
    """Add the gradient of one marginal of three or more attributes, by tables and by weights; returns its loss."""
    parts = [p[:, a] for a in at]
    front = parts[0]
    prefixes = [front]
    for part in parts[1:-1]:
        front = (front[:, :, None] * part[:, None, :]).reshape(len(p), -1)
        prefixes.append(front)
    last = np.ascontiguousarray(parts[-1])
    residual = front.T @ (last * w[:, None]) - values
    force = residual * precision
    by_last = front @ force
    by_p[:, at[-1]] += by_last
    by_w += np.einsum("kj,kj->k", last, by_last)
    by_front = last @ force.T
    for i in range(len(at) - 2, 0, -1):
        before = prefixes[i - 1]
        grid = by_front.reshape(len(p), before.shape[1], -1)
        by_p[:, at[i]] += np.einsum("kab,ka->kb", grid, before)
        by_front = np.einsum("kab,kb->ka", grid, parts[i])
    by_p[:, at[0]] += by_front
    return 0.5 * float(np.vdot(residual, force))


def _adam(problem: _Problem, theta: Single, omega: Single, steps: int) -> tuple[Single, Single]:
    """Adam with a geometrically falling rate, on the logits of tables and weights."""
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in (theta, omega)]
    for step in range(1, steps + 1):
        _, *gradients = problem.gradient(theta, omega)
        rate = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** ((step - 1) / max(1, steps - 1))
        scale = np.float32(rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step))
        for variable, gradient, (mean, square) in zip((theta, omega), gradients, moments, strict=True):
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.001) * (gradient * gradient - square)
            variable -= scale * mean / (np.sqrt(square) + np.float32(1e-12))
    return theta, omega


def _softmax(logits: Single) -> Single:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _rows_to_one(table: Single) -> Table:
    """In double precision, each row summing to 1."""
    exact = table.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))


def _primes() -> Iterator[int]:
    found: list[int] = []
    for candidate in count(2):
        if all(candidate % q for q in found):
            found.append(candidate)
            yield candidate
