"""Sampling coded rows from a model: systematic inverse CDF per parent configuration, shuffled within groups.

Within each configuration of what was drawn before, the new variables get the model's conditional shares as exactly as a
whole number of rows can; which row of the group gets which value is a fresh random order, so two children of one parent
stay conditionally independent (unshuffled they would become comonotone).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.estimation.base import Model


def generator(seed: int | None) -> np.random.Generator:
    """A generator for post-processing: keyed from the operating system where ``seed`` is None.

    Privacy:
      None; post-processing.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def smallest_dtype(sizes: tuple[int, ...]) -> np.dtype[Any]:
    """The smallest unsigned type that holds every code of a domain."""
    return np.min_scalar_type(max(sizes) - 1)


def sample_codes(model: Model, rows: int, *, rng: np.random.Generator) -> NDArray[Any]:
    """Sample coded rows.

    Args:
      model: A fitted model.
      rows: Number of rows.
      rng: A generator of post-processing randomness.

    Returns:
      Codes, smallest unsigned type, shape (attributes, rows), in random order.

    Privacy:
      None; post-processing.
    """
    domain = model.domain
    dtype = smallest_dtype(domain.sizes)
    drawn: dict[int, NDArray[Any]] = {}
    for step in model.conditionals():
        cells = _draw(step.table, _joint(drawn, step.given, step.given_shape, rows), rng)
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


def _draw(table: NDArray[np.float64], group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One column index per row, by its group's row of ``table`` (groups, cells)."""
    rows = len(group)
    if rows == 0:
        return np.zeros(0, dtype=np.int64)
    mass = table.sum(axis=1, keepdims=True)
    share = np.where(mass > 0, table / np.where(mass > 0, mass, 1.0), 1.0 / table.shape[1])
    ends = np.cumsum(share, axis=1)
    ends /= ends[:, -1:]
    shuffled = rng.permutation(rows)
    order = shuffled[np.argsort(group[shuffled], kind="stable")]
    sizes = np.bincount(group, minlength=len(table))
    starts = np.cumsum(sizes) - sizes
    sorted_group = group[order]
    rank = np.arange(rows) - starts[sorted_group]
    position = (rank + rng.random(len(table))[sorted_group]) / sizes[sorted_group]
    cells = table.shape[1]
    flat = np.searchsorted((ends + np.arange(len(table))[:, None]).ravel(), position + sorted_group, side="right")
    drawn = np.empty(rows, dtype=np.int64)
    drawn[order] = np.clip(flat - sorted_group * cells, 0, cells - 1)
    return drawn
