"""Sampling under a condition: rows that have given codes, drawn as the model draws them among all its rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError
from dpsynth.estimation.base import Model
from dpsynth.estimation.pool import PoolModel
from dpsynth.sampling.completing import complete_codes
from dpsynth.sampling.sampler import sample_codes, smallest_dtype


def sample_given(
    model: Model, given: Mapping[str, int], rows: int, *, rng: np.random.Generator
) -> NDArray[Any]:
    """Sample coded rows under a condition: a pool's own rows that meet it, of other models the exact conditional.

    Nothing is rejected, so a condition may be as rare as it is.

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
      ParameterError: An attribute or a code isn't of the domain, or the model gives the codes no probability.
    """
    _check(model, given)
    if isinstance(model, PoolModel):
        found = model.given(given)
        return sample_codes(found, rows, rng=rng, rounded=False)
    names = model.domain.names
    codes = np.zeros((len(names), max(rows, 1)), smallest_dtype(model.domain.sizes))
    known = np.zeros(codes.shape, bool)
    for name, code in given.items():
        codes[names.index(name)], known[names.index(name)] = code, True
    drawn, possible = complete_codes(model, codes, known, rng=rng)
    if not possible.all():
        raise ParameterError(
            f"The model has no row with what is given for {', '.join(given)}.",
            "It gives this combination no probability: it was declared impossible, or never seen through the noise.",
            "Give less.",
        )
    return drawn[:, :rows]


def _check(model: Model, given: Mapping[str, int]) -> None:
    sizes = dict(zip(model.domain.names, model.domain.sizes, strict=True))
    if not all(name in sizes and 0 <= code < sizes[name] for name, code in given.items()):
        raise ParameterError(
            "What is given isn't of the model's domain.",
            f"Its attributes are {', '.join(sizes)}, and each has codes from 0 to its size less one.",
            "Give codes of these attributes.",
        )
