"""Sampling coded rows from a tree model: systematic inverse CDF per parent configuration, shuffled within groups.

Within each configuration of a separator the new attributes get the model's conditional shares as exactly as a whole
number of rows can; which row of the group gets which value is a fresh random order, so two children of one parent stay
conditionally independent (unshuffled they would become comonotone).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique
from dpsynth.estimation.model import TreeModel


def generator(seed: int | None) -> np.random.Generator:
    """A generator for post-processing: keyed from the operating system where ``seed`` is None.

    Privacy:
      None; post-processing.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def smallest_dtype(sizes: tuple[int, ...]) -> np.dtype[Any]:
    """The smallest unsigned type that holds every code of a domain."""
    return np.min_scalar_type(max(sizes) - 1)


def sample_codes(model: TreeModel, rows: int, *, rng: np.random.Generator) -> NDArray[Any]:
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
    domain, tree = model.domain, model.tree
    codes = np.zeros((len(domain.names), rows), dtype=smallest_dtype(domain.sizes))
    for belief, clique, separator in zip(model.beliefs, tree.cliques, tree.separators, strict=True):
        new = tuple(n for n in clique if n not in separator)
        axes = [clique.index(n) for n in (*separator, *new)]
        shape = [belief.shape[a] for a in axes]
        groups = int(np.prod(shape[: len(separator)], dtype=np.int64))
        table = np.transpose(belief, axes).reshape(groups, -1)
        drawn = _draw(table, _joint(codes, domain.names, separator, shape[: len(separator)]), rng)
        for name, values in zip(new, np.unravel_index(drawn, shape[len(separator) :]), strict=True):
            codes[domain.names.index(name)] = values
    return codes


def _joint(codes: NDArray[Any], names: Clique, clique: Clique, shape: list[int]) -> NDArray[np.int64]:
    joint = np.zeros(codes.shape[1], dtype=np.int64)
    for name, size in zip(clique, shape, strict=True):
        joint *= size
        joint += codes[names.index(name)]
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
