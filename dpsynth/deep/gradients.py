"""Norms and sums of records' gradients, without making them.

A layer's gradient for one record is the outer product of its inputs and the record's signal at its outputs, so its norm
is a product of norms; the gradient of a weighted batch is one matrix product. No gradient of a single record is ever
held.
"""

import math
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.kernel import add_rows, block_squares, totals
from dpsynth.deep.layers import Dense, Layer, Lookup, Reach, edges_of_blocks

ROUNDED = 2**16
"""Float32 sums of weighted gradients round by at most this times 2^-24 of the largest norm."""

STRIPS = 3
"""Products that a masked layer's is cut into, so that most of what its mask drops isn't made."""

Memo = dict[tuple[object, ...], Tensor]
"""What was worked out of a signal that several layers share."""


def squared_norms(layer: Layer, signal: Tensor, memo: Memo | None = None) -> Tensor:
    """Squared L2 norm of each record's gradient of a layer's parameters.

    Args:
      layer: What a forward pass wrote down.
      signal: Gradient of each record's loss at the layer's outputs, shape (records, outputs).
      memo: Where what layers share is kept, while their signals live.

    Returns:
      Shape (records,).
    """
    memo = {} if memo is None else memo
    own = 0.0 if layer.bias is None else 1.0
    if layer.reach is None:
        square = _once(memo, ("square", *_name(signal)), lambda: _squares(signal))
        return square * (_INPUT_NORMS[type(layer)](layer, None) + own)
    outputs = layer.reach.outputs
    by_block = _once(memo, ("blocks", id(outputs), *_name(signal)), lambda: _block_squares(signal, outputs))
    reached = _INPUT_NORMS[type(layer)](layer, layer.reach)
    return (by_block * (reached + own)).sum(dim=1)


def _squares(values: Tensor) -> Tensor:
    """Each record's sum of squares, shape (records,)."""
    if values.device.type != "cpu":
        return values.square().sum(dim=1)
    return _compiled_squares(values, np.array([0, values.shape[1]]))[:, 0]


def _block_squares(values: Tensor, blocks: Tensor) -> Tensor:
    """Sums of squares by block, shape (records, blocks)."""
    if values.device.type != "cpu":
        return values.square() @ blocks
    return _compiled_squares(values, edges_of_blocks(blocks))


def _compiled_squares(values: Tensor, edges: NDArray[np.int64]) -> Tensor:
    out = torch.empty(len(values), len(edges) - 1)
    block_squares()(values.detach().contiguous().numpy(), edges, out.numpy())
    return out


def weighted_gradients(
    layer: Layer,
    signal: Tensor,
    weights: Tensor,
    into: Mapping[str, Tensor],
    memo: Memo | None = None,
    *,
    exact: bool = True,
) -> None:
    """Add the gradients of a batch, each record's times its weight.

    Args:
      layer: What a forward pass wrote down.
      signal: As in :func:`squared_norms`.
      weights: float32, shape (records,).
      into: The sums by parameter, float64, added to in place.
      memo: As in :func:`squared_norms`, another one; for one set of weights.
      exact: Whether products of dense layers are made and summed in float64, as all else is. Where not, on the CPU,
        the gradients of all layers round by at most ``ROUNDED`` 2^-24 of the largest norm of a record's weighted one.
    """
    memo = {} if memo is None else memo
    scaled = _once(memo, ("scaled", *_name(signal)), lambda: signal * weights[:, None])

    def total() -> Tensor:
        return _once(memo, ("total", *_name(signal)), lambda: _summed(scaled))

    if isinstance(layer, Dense):
        _add_dense(layer, scaled, into[layer.weight], exact)
    else:
        _add_lookup(layer, scaled, into[layer.weight])
        if layer.centre is not None:
            into[layer.weight].addr_(layer.centre.shares.double(), total(), alpha=-1.0)
    if layer.bias is not None:
        into[layer.bias].add_(total())


def _summed(scaled: Tensor) -> Tensor:
    """The sum over records, made in float64."""
    if scaled.device.type != "cpu":
        return scaled.sum(dim=0, dtype=torch.float64)
    found = torch.zeros(scaled.shape[1], dtype=torch.float64)
    totals()(scaled.contiguous().numpy(), found.numpy())
    return found


def _name(signal: Tensor) -> tuple[object, ...]:
    """What tells signals apart that live at the same time."""
    return signal.data_ptr(), signal.shape, signal.stride()


def _once(memo: Memo, key: tuple[object, ...], make: Callable[[], Tensor]) -> Tensor:
    if key not in memo:
        memo[key] = make()
    return memo[key]


def _dense_norms(layer: Dense, reach: Reach | None) -> Tensor:
    if reach is None:
        return _squares(layer.inputs)
    return _block_squares(layer.inputs, reach.inputs) @ reach.blocks


def _lookup_norms(layer: Lookup, reach: Reach | None) -> Tensor:
    if layer.centre is not None:
        far = layer.centre.far[layer.rows]
        return far.sum(dim=1) if reach is None else far @ reach.blocks
    columns = float(layer.rows.shape[1])
    return torch.tensor(columns) if reach is None else reach.blocks.sum(dim=0)


def _add_dense(layer: Dense, scaled: Tensor, into: Tensor, exact: bool) -> None:
    strips = [(slice(None), 0)] if layer.reach is None else _strips(layer.reach)
    parts = () if exact or into.device.type != "cpu" or not _keeps_all_bits() else slices(len(scaled))
    if not parts:
        inputs, scaled = layer.inputs.double(), scaled.double()
        for units, first in strips:
            into[units, first:].addmm_(inputs[:, units].T, scaled[:, first:])
        return
    for units, first in strips:
        found = layer.inputs[parts[0], units].T @ scaled[parts[0], first:]
        for part in parts[1:]:
            found.add_(layer.inputs[part, units].T @ scaled[part, first:])
        into[units, first:].add_(found)


@lru_cache(maxsize=4096)
def slices(records: int) -> tuple[slice, ...]:
    """Runs of records whose float32 products are summed by themselves, then with each other: the fewest that keep the
    rounding within ``ROUNDED`` 2^-24 of the largest norm; none where no number of them does.

    Where every product and sum is the nearest float32, a sum of K products in any order, another one for each weight,
    rounds by at most (2 K^2 / 3 + 3 K / 2) 2^-24 of that norm in L2: the j-th largest of a sum's partial sums has at
    most K - j + 1 terms, and the vector of every weight's m largest terms a norm of at most the root of m K. Sums of S
    slices of K add S K (S + 1) / 2 2^-24. That is to first order; the rest is below 2^-13 of it.

    Args:
      records: How many there are.
    """
    for parts in range(1, records + 1):
        if records * (2 * math.ceil(records / parts) / 3 + parts / 2 + 2) <= ROUNDED:
            return tuple(slice(records * k // parts, records * (k + 1) // parts) for k in range(parts))
    return ()


def _keeps_all_bits() -> bool:
    """Whether products of float32 matrices are made of all their bits, as they are unless somebody asks for less.

    Elsewhere than on x86 a library may be told by the environment to use fewer, which torch doesn't know.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or torch.is_autocast_enabled("cpu"):
        return False
    asked = getattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision", None)
    return torch.get_float32_matmul_precision() == "highest" if asked is None else asked in ("none", "ieee")


@lru_cache(maxsize=64)
def _strips(reach: Reach) -> list[tuple[slice, int]]:
    """A few runs of inputs and the first output that any of them reaches: what lies before needs no product."""
    first = _first_outputs(reach)[reach.inputs.argmax(dim=1).cpu().numpy()]
    edges = np.linspace(0, len(first), STRIPS + 1).astype(int).tolist()
    return [(slice(start, end), int(first[start:end].min())) for start, end in pairwise(edges) if start < end]


def _add_lookup(layer: Lookup, scaled: Tensor, into: Tensor) -> None:
    columns = layer.rows.shape[1]
    if into.device.type != "cpu":
        scaled = scaled.double()
        for column in range(columns):
            into.index_add_(0, layer.rows[:, column], scaled)
        return
    first = np.zeros(columns, dtype=np.int64) if layer.reach is None else _first_outputs(layer.reach)
    rows = layer.rows.contiguous().numpy()
    if not add_rows()(rows, first, scaled.contiguous().numpy(), into.numpy()):
        raise IndexError("a code lies outside its column")


@lru_cache(maxsize=64)
def _first_outputs(reach: Reach) -> NDArray[np.int64]:
    """The first output that each input block reaches, or their number where it reaches none."""
    reached = (reach.blocks @ reach.outputs.T).cpu().numpy() > 0
    found: NDArray[Any] = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
    return found.astype(np.int64)


_INPUT_NORMS: dict[type, Callable[..., Tensor]] = {Dense: _dense_norms, Lookup: _lookup_norms}
