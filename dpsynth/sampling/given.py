"""Sampling under a condition: rows that have given codes, drawn as the model draws them among all its rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError
from dpsynth.estimation.base import Model
from dpsynth.estimation.pool import PoolModel
from dpsynth.sampling.sampler import sample_codes

BLOCK, BLOCKS = 65_536, 64
"""Rows that are drawn at a time to find some with the given codes, and how often at most."""


def sample_given(
    model: Model, given: Mapping[str, int], rows: int, *, rng: np.random.Generator
) -> NDArray[Any]:
    """Sample coded rows under a condition: a pool's own rows that meet it, of other models by rejection.

    Args:
      model: A fitted model.
      given: Code by attribute.
      rows: Number of rows.
      rng: A generator of post-processing randomness.

    Returns:
      Codes, shape (attributes, rows), every column of which has the given codes.

    Privacy:
      None; post-processing.

    Raises:
      ParameterError: An attribute or a code isn't of the domain, or too few of the model's rows have the codes.
    """
    _check(model, given)
    if isinstance(model, PoolModel):
        found = model.given(given)
        return sample_codes(found, rows, rng=rng, rounded=False)
    parts, left = [sample_codes(model, 0, rng=rng)], rows
    for _ in range(BLOCKS):
        if left <= 0:
            break
        drawn = sample_codes(model, BLOCK, rng=rng, rounded=False)
        fits = np.all([drawn[model.domain.names.index(name)] == code for name, code in given.items()], axis=0)
        parts.append(drawn[:, np.flatnonzero(np.broadcast_to(fits, BLOCK))[:left]])
        left -= parts[-1].shape[1]
    if left > 0:
        raise ParameterError(
            f"The model has too few rows with what is given for {', '.join(given)}.",
            f"Of {BLOCK * BLOCKS:,} rows that were drawn fewer than {rows:,} had it.",
            "Give less, or ask for fewer rows.",
        )
    return np.concatenate(parts, axis=1)


def _check(model: Model, given: Mapping[str, int]) -> None:
    sizes = dict(zip(model.domain.names, model.domain.sizes, strict=True))
    if not all(name in sizes and 0 <= code < sizes[name] for name, code in given.items()):
        raise ParameterError(
            "What is given isn't of the model's domain.",
            f"Its attributes are {', '.join(sizes)}, and each has codes from 0 to its size less one.",
            "Give codes of these attributes.",
        )
