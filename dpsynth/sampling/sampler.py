"""Sampling coded rows from a model: systematic inverse CDF per parent configuration, shuffled within groups.

Within each configuration of what was drawn before, the new variables get the model's conditional shares as exactly as a
whole number of rows can; which row of the group gets which value is a fresh random order, so two children of one parent
stay conditionally independent (unshuffled they would become comonotone).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Domain
from dpsynth.estimation.base import Conditional, Model
from dpsynth.estimation.pool import PoolModel
from dpsynth.sampling.rounding import round_to_model, tables_to_match

TIMES, FEWEST, MOST = 6, 100_000, 1_000_000
"""Rows that stand for the model when a sample is rounded to it: a multiple of its own, within bounds."""


def generator(seed: int | None) -> np.random.Generator:
    """A generator for post-processing: keyed from the operating system where ``seed`` is None.

    Privacy:
      None; post-processing.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def smallest_dtype(sizes: tuple[int, ...]) -> np.dtype[Any]:
    """The smallest unsigned type that holds every code of a domain."""
    return np.min_scalar_type(max(sizes) - 1)


def sample_codes(model: Model, rows: int, *, rng: np.random.Generator, rounded: bool = True) -> NDArray[Any]:
    """Sample coded rows.

    Args:
      model: A fitted model.
      rows: Number of rows.
      rng: A generator of post-processing randomness.
      rounded: Bring the sample's triples (pairs, where triples are too many) close to the model's, see
        :mod:`dpsynth.sampling.rounding`; else rows are independent but for systematic shares.

    Returns:
      Codes, smallest unsigned type, shape (attributes, rows), in random order.

    Privacy:
      None; post-processing.
    """
    domain = model.domain
    steps = [] if isinstance(model, PoolModel) else list(model.conditionals())

    def draw(count: int) -> NDArray[Any]:
        if isinstance(model, PoolModel):
            return _draw_from_pool(model, count, rng)
        return _draw_rows(domain, steps, count, rng)

    codes = draw(rows)
    sets = tables_to_match(domain, rows, model_cells=sum(s.table.size for s in steps))
    if rows and rounded and len(sets):
        many = draw(min(max(TIMES * rows, FEWEST), MOST))
        codes = round_to_model(codes, many, domain, steps, sets, rng).astype(codes.dtype)
    return codes


Drawn = TypeVar("Drawn")


def sample_apart(
    model: Model,
    rows: int,
    apart: int,
    *,
    rng: np.random.Generator,
    draw: Callable[..., Drawn] = sample_codes,  # type: ignore[assignment]
) -> tuple[Drawn, Drawn]:
    """A sample, and rows of the same model that are independent of it.

    Args:
      model: A fitted model; a pool is parted, so that no row of it comes on both sides.
      rows: Rows of the sample.
      apart: Rows beside it, as the model draws them.
      rng: A generator of post-processing randomness.
      draw: How each part is drawn, with the arguments of :func:`sample_codes`.

    Privacy:
      None; post-processing.
    """
    one, other = model, model
    if isinstance(model, PoolModel):
        share = min(0.5, apart / len(model.weights))
        one, other = model.part(0.0, 1.0 - share), model.part(1.0 - share, 1.0)
    return draw(one, rows, rng=rng), draw(other, apart, rng=rng, rounded=False)


def _draw_from_pool(model: PoolModel, rows: int, rng: np.random.Generator) -> NDArray[Any]:
    """Systematic by weight along a random order of the pool: no row comes oftener than its share, rounded up."""
    order = rng.permutation(len(model.weights))
    ends = np.cumsum(model.shares[order])
    places = np.searchsorted(ends, (rng.random() + np.arange(rows)) / max(1, rows) * ends[-1], side="right")
    chosen = order[np.minimum(places, len(order) - 1)]
    return model.codes[:, rng.permutation(chosen)].astype(smallest_dtype(model.domain.sizes))


def _draw_rows(domain: Domain, steps: Sequence[Conditional], rows: int, rng: np.random.Generator) -> NDArray[Any]:
    dtype = smallest_dtype(domain.sizes)
    drawn: dict[int, NDArray[Any]] = {}
    for step in steps:
        cells = draw_cells(step.table, _joint(drawn, step.given, step.given_shape, rows), rng)
        for variable, values in zip(step.new, np.unravel_index(cells, step.new_shape), strict=True):
            drawn[variable] = values.astype(dtype if variable < len(domain.names) else np.int64)
    return np.array([drawn[i] for i in range(len(domain.names))], dtype=dtype)


def _joint(
    drawn: Mapping[int, NDArray[Any]], given: tuple[int, ...], shape: tuple[int, ...], rows: int
) -> NDArray[np.int64]:
    joint = np.zeros(rows, dtype=np.int64)
    for variable, size in zip(given, shape, strict=True):
        joint *= size
        joint += drawn[variable]
    return joint


def draw_cells(table: NDArray[np.float64], group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One column index per row, by its group's row of ``table`` (groups, cells): its shares as exactly as can be.

    Privacy:
      None; post-processing.
    """
    from dpsynth.sampling.kernel import draw

    drawn = np.empty(len(group), dtype=np.int64)
    table = np.ascontiguousarray(table)
    draw()(table, group, rng.random(len(table)), rng.permutation(len(group)), drawn)
    return drawn
